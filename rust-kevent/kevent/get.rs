// SPDX-License-Identifier: GPL-2.0

//! `kevent_get_events()`: one more consumer.
//!
//! An event is copied before it is taken, both under the lock, so that a bad address, a signal or
//! a faster consumer of the ring costs nothing. The copy must not fault there; a page that is not
//! present is faulted in with the lock dropped, and the copy is tried again.
//!
//! An event to which its source has to agree is taken first, so that what fires while the source is
//! asked is an event of its own. It is dropped if nothing is true any more, and comes back if it
//! cannot be copied.

use super::{
    deadline::Deadline,
    event::{
        Event,
        REQ_DISPATCH,
        RET_RECHECK, //
    },
    queue::{
        Inner,
        Queue,
        Woken,
        FEW, //
    },
    record::Buffer,
    source::Tie,
    state::Asked,
    word::Word, //
};
use crate::{
    bindings,
    prelude::*,
    sync::{
        lock::spinlock::SpinLockIrqGuard,
        Arc,
        CondVarTurn, //
    }, //
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
    /// This event is taken, and delivered if its source agrees.
    Check(Asked<Arc<dyn Tie>>, Event),
}

/// Looks again, once in a call: a level is not to be delivered twice by it.
fn look_once<'a>(
    queue: &'a Queue,
    mut inner: SpinLockIrqGuard<'a, Inner>,
    looked: &mut bool,
) -> SpinLockIrqGuard<'a, Inner> {
    if !*looked && inner.events.to_look_at() != 0 {
        let limit = if inner.events.has_events() {
            FEW
        } else {
            u32::MAX
        };
        drop(inner);
        queue.look_again(limit);
        inner = queue.lock();
    }
    *looked = true;
    inner
}

fn copy_round(
    queue: &Queue,
    buffer: &mut Buffer,
    copied: &mut u32,
    max: u32,
    looked: &mut bool,
) -> Round {
    let mut inner = look_once(queue, queue.lock(), looked);
    for _ in 0..ROUND {
        if *copied == max {
            break;
        }
        let Some((next, event)) = inner.events.peek() else {
            break;
        };
        if let Some(asked) = inner.events.to_check(next, &event) {
            if inner.events.take(next) {
                return Round::Check(asked, event);
            }
            continue;
        }
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

/// Delivers an event if it is still true. Returns whether it was.
fn check(
    queue: &Queue,
    buffer: &mut Buffer,
    asked: &Asked<Arc<dyn Tie>>,
    mut event: Event,
) -> Result<bool> {
    let word = Word(event.word);
    let wanted = event.mask | asked.tie.always();
    let mask = asked.tie.look(true).map_or(0, |found| found.mask & wanted);
    if mask != 0 {
        event.word = Word::untaken(mask, word.result() & !RET_RECHECK, 0).0;
        let Err(error) = buffer.push(&event) else {
            return Ok(true);
        };
        undeliver(queue, asked);
        return Err(error);
    }
    if event.flags & REQ_DISPATCH != 0 {
        undeliver(queue, asked);
    }
    Ok(false)
}

/// An event was taken, and delivered to nobody: its registration reports what is true now.
fn undeliver(queue: &Queue, asked: &Asked<Arc<dyn Tie>>) {
    {
        let mut inner = queue.lock();
        if inner.events.is_valid(asked) {
            inner.events.rearm(asked.handle);
        }
    }
    if let Some(fired) = asked.tie.look(true) {
        queue.found(asked, &fired);
    }
}

fn copy(
    queue: &Queue,
    buffer: &mut Buffer,
    copied: &mut u32,
    max: u32,
    looked: &mut bool,
) -> Result {
    loop {
        // What a dying thread takes, nobody sees. A page that comes and goes must not hold it.
        //
        // SAFETY: Looks at `current`.
        if unsafe { bindings::kevent_is_dying() } {
            return Err(EINTR);
        }
        match copy_round(queue, buffer, copied, max, looked) {
            Round::Over => return Ok(()),
            Round::Full => {}
            Round::Fault => buffer.fault_in()?,
            Round::Check(asked, event) => {
                if check(queue, buffer, &asked, event)? {
                    *copied = copied.saturating_add(1);
                }
            }
        }
    }
}

fn wait(queue: &Queue, events: u32, deadline: Deadline, looked: &mut bool) -> Woken {
    let turn = if events > 1 {
        CondVarTurn::Shared
    } else {
        CondVarTurn::Exclusive
    };
    let mut inner = look_once(queue, queue.lock(), looked);
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
    let mut looked = false;
    if let Some(batch) = request.batch {
        if min != 0 {
            woken = wait(queue, max, batch, &mut looked);
        }
    }
    let mut copied = 0;
    loop {
        if matches!(woken, Woken::Done | Woken::Timeout) && copied < min {
            woken = wait(
                queue,
                min.saturating_sub(copied),
                request.deadline,
                &mut looked,
            );
        }
        if let Err(err) = copy(queue, &mut buffer, &mut copied, max, &mut looked) {
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
