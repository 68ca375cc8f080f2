// SPDX-License-Identifier: GPL-2.0

//! `kevent_commit()`: free slots by position.

use super::{
    queue::{
        Queue,
        FEW, //
    },
    ring::CommitError, //
};
use crate::prelude::*;

/// Positions freed in one round of the lock.
const ROUND: u32 = 64;

/// Frees slots up to, not including, position (`over`, `index`). Returns how many became free.
pub(crate) fn commit(queue: &Queue, index: u32, over: u32) -> Result<u32> {
    let mut freed = 0u32;
    loop {
        let mut inner = queue.lock();
        match inner.events.advance_tail() {
            Some(true) => {}
            Some(false) => continue,
            None => return Err(EINVAL),
        }
        let committed = match inner.events.commit(index, over, ROUND) {
            Ok(committed) => committed,
            // Others committed between two rounds.
            Err(_) if freed != 0 => return Ok(freed),
            Err(CommitError::PastHead) => return Err(EINVAL),
            Err(CommitError::Wraps) => return Err(EOVERFLOW),
        };
        freed = freed.saturating_add(committed.freed);
        let mut looks = inner.events.to_look_at().min(FEW);
        queue.wake(inner, committed.wake, committed.events);
        if !committed.more {
            queue.look_again(&mut looks);
            return Ok(freed);
        }
    }
}
