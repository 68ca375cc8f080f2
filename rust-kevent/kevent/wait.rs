// SPDX-License-Identifier: GPL-2.0

//! `kevent_wait()`: sleep until the ring holds news.
//!
//! It never sleeps while something is pending: a consumer that freed a slot and died before it said
//! so must not keep others from what waits for that slot. Who was woken for what another took
//! begins anew, as it may still be true.

use super::{
    deadline::Deadline,
    queue::{
        Events,
        Locked,
        Queue,
        Wait,
        Woken,
        FEW, //
    },
    resume::PutOff, //
};
use crate::{
    fs::File,
    prelude::*, //
};

/// Pending events moved in one round of the lock.
const ROUND: u32 = 64;

/// What a caller wants.
pub(crate) struct Request {
    /// How many pending events it wants moved into the ring.
    pub(crate) num: u32,
    /// The low half of the position up to which it knows the ring.
    pub(crate) old: u32,
    /// When it stops to wait.
    pub(crate) deadline: Deadline,
    /// Until when it waits for `num` events.
    pub(crate) batch: Option<Deadline>,
}

fn past(state: &Events, old: u32) -> u64 {
    state.ring().map_or(0, |ring| ring.past(old))
}

/// Looks again, and moves pending events, of which `left` counts down how many still may be.
fn prepare<'a>(
    queue: &'a Queue,
    mut inner: Locked<'a>,
    request: &Request,
    left: &mut u32,
) -> Locked<'a> {
    let mut looks = inner.events.to_look_at();
    if looks != 0 {
        if past(&inner.events, request.old) != 0 || inner.events.pending() != 0 {
            looks = looks.min(FEW);
        }
        drop(inner);
        queue.look_again(&mut looks);
        inner = queue.lock();
    }

    while *left != 0 && inner.events.pending() != 0 {
        let round = (*left).min(ROUND);
        let moved = inner.events.flush(round);
        *left = left.saturating_sub(moved);
        if moved < round {
            break;
        }
        // Let interrupts in.
        drop(inner);
        inner = queue.lock();
    }
    inner
}

/// `seen` is what [`Wait`] says.
fn sleep(
    queue: &Queue,
    inner: &mut Locked<'_>,
    request: &Request,
    slots: u64,
    seen: u32,
    put_off: &mut PutOff<'_>,
) -> Woken {
    let mut woken = Woken::Done;
    if let Some(deadline) = request.batch {
        // At most the number of slots.
        let wants = u64::from(request.num.max(1)).min(slots) as u32;
        let wait = Wait {
            wants,
            takes: 1,
            deadline,
            seen,
        };
        woken = queue.sleep(inner, &wait, put_off, |state| match state.pending() {
            0 => wants.saturating_sub(past(state, request.old) as u32),
            _ => 0,
        });
    }
    if matches!(woken, Woken::Done | Woken::Timeout) {
        let wait = Wait {
            wants: 1,
            takes: 1,
            deadline: request.deadline,
            seen,
        };
        woken = queue.sleep(inner, &wait, put_off, |state| {
            let news = past(state, request.old) != 0 || state.pending() != 0;
            u32::from(!news)
        });
    }
    woken
}

/// A call by way of `file`, that of the queue. Returns how many positions of the ring lie past what
/// the caller knows.
pub(crate) fn wait(queue: &Queue, file: &File, request: &Request) -> Result<u32> {
    // SAFETY: A system call by way of `file`, and there is no other.
    let mut put_off = unsafe { PutOff::new(file) };
    let mut inner = queue.lock();
    let Some(slots) = inner.events.ring().map(|ring| ring.size()) else {
        return Err(EINVAL);
    };

    let mut left = request.num;
    let mut woken = Woken::InVain;
    while woken == Woken::InVain {
        let seen = inner.handed;
        inner = prepare(queue, inner, request, &mut left);
        woken = sleep(queue, &mut inner, request, slots, seen, &mut put_off);
    }
    if woken == Woken::Done && left != 0 && inner.events.pending() != 0 {
        inner.events.flush(left.min(ROUND));
    }
    match past(&inner.events, request.old) {
        0 if woken == Woken::Signal => Err(EINTR),
        // At most the number of slots.
        past => Ok(past as u32),
    }
}
