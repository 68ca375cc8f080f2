// SPDX-License-Identifier: GPL-2.0

//! `kevent_get_events()`: one more consumer.
//!
//! An event is copied before it is taken, both under the lock, so that a bad address, a signal or
//! a faster consumer of the ring costs nothing. The copy must not fault there; a page that is not
//! present is faulted in with the lock dropped, and the copy is tried again.

use super::{
    deadline::Deadline,
    queue::{
        Queue,
        Woken, //
    },
    record::Buffer, //
};
use crate::{
    bindings,
    prelude::*,
    sync::CondVarTurn, //
};

/// Events copied in one round of the lock.
const ROUND: u32 = 16;

/// What a caller wants.
pub(crate) struct Request {
    /// How many events it waits for.
    pub(crate) min: u32,
    /// How many it has room for.
    pub(crate) max: u32,
    /// When it stops to wait.
    pub(crate) deadline: Deadline,
    /// Until when it waits for `max` of them.
    pub(crate) batch: Option<Deadline>,
}

enum Round {
    /// Nothing more, or no more room.
    Over,
    /// Others may want the lock.
    Full,
    /// The next place is not present.
    Fault,
}

fn copy_round(queue: &Queue, buffer: &mut Buffer, copied: &mut u32, max: u32) -> Round {
    let mut inner = queue.lock();
    for _ in 0..ROUND {
        if *copied == max {
            break;
        }
        let Some((next, event)) = inner.events.peek() else {
            break;
        };
        match buffer.offer(&event, || inner.events.take(next)) {
            Ok(true) => *copied = copied.saturating_add(1),
            Ok(false) => {}
            Err(_) => return Round::Fault,
        }
    }
    // What was taken from the ring left room for what is pending.
    inner.events.flush(ROUND);
    if *copied == max || !inner.events.has_events() {
        Round::Over
    } else {
        Round::Full
    }
}

fn copy(queue: &Queue, buffer: &mut Buffer, copied: &mut u32, max: u32) -> Result {
    loop {
        // What a dying thread takes, nobody sees. A page that comes and goes must not hold it.
        //
        // SAFETY: Looks at `current`.
        if unsafe { bindings::kevent_is_dying() } {
            return Err(EINTR);
        }
        match copy_round(queue, buffer, copied, max) {
            Round::Over => return Ok(()),
            Round::Full => {}
            Round::Fault => buffer.fault_in()?,
        }
    }
}

fn wait(queue: &Queue, events: u32, deadline: Deadline) -> Woken {
    let turn = if events > 1 {
        CondVarTurn::Shared
    } else {
        CondVarTurn::Exclusive
    };
    let mut inner = queue.lock();
    queue.sleep(&mut inner, turn, deadline, |state| {
        state.available(u64::from(events)) >= u64::from(events)
    })
}

/// Waits for `min` events, and copies `max` at most. Returns how many.
pub(crate) fn get_events(queue: &Queue, request: &Request, mut buffer: Buffer) -> Result<u32> {
    let (min, max) = (request.min, request.max);
    if max == 0 || min > max {
        return Err(EINVAL);
    }
    let mut woken = Woken::Done;
    if let Some(batch) = request.batch {
        if min != 0 {
            woken = wait(queue, max, batch);
        }
    }
    let mut copied = 0;
    loop {
        if matches!(woken, Woken::Done | Woken::Timeout) && copied < min {
            woken = wait(queue, min.saturating_sub(copied), request.deadline);
        }
        if let Err(err) = copy(queue, &mut buffer, &mut copied, max) {
            return if copied == 0 { Err(err) } else { Ok(copied) };
        }
        if copied >= min || woken != Woken::Done {
            break;
        }
    }
    if copied == 0 && woken == Woken::Signal {
        return Err(EINTR);
    }
    Ok(copied)
}
