// SPDX-License-Identifier: GPL-2.0

//! Sources of events.
//!
//! A source is a file here and a line in [`lookup()`]. It checks requests, ties a registration to
//! what it watches, and calls [`Queue::fire()`] when that has something to report.

use super::{
    event::{
        Event,
        Fired,
        REQ_ALWAYS_QUEUE,
        REQ_DISPATCH,
        REQ_ET,
        REQ_EXCLUSIVE,
        REQ_LAST_CHECK,
        REQ_ONESHOT,
        REQ_WAKEUP_ALL, //
    },
    queue::Queue,
    registration::Handle, //
};
use crate::{
    bindings,
    prelude::*,
    sync::Arc, //
};

mod poll;
mod user;

/// Request flags that exist.
const KNOWN: u32 = REQ_ONESHOT
    | REQ_WAKEUP_ALL
    | REQ_ET
    | REQ_LAST_CHECK
    | REQ_ALWAYS_QUEUE
    | REQ_DISPATCH
    | REQ_EXCLUSIVE;

/// What ties a registration to what it watches. When it is dropped, nothing fires any more.
pub(crate) trait Tie {
    /// Fires if what is watched is true now.
    fn look(&self);
}

/// The ties of all sources.
pub(crate) enum Watch {
    /// To a queue.
    Queue(poll::QueueWatch),
}

impl Tie for Watch {
    fn look(&self) {
        match self {
            Watch::Queue(watch) => watch.look(),
        }
    }
}

/// One type of source.
pub(crate) trait Source: Sync {
    /// Checks a request to add or to modify, after what holds for all sources.
    fn check(&self, request: &Event) -> Result;

    /// Begins to watch for `handle`, if there is something to watch.
    fn watch(&self, queue: &Arc<Queue>, handle: Handle, request: &Event) -> Result<Option<Watch>>;

    /// What READY makes of a registration fire.
    fn ready(&self, registration: &Event, request: &Event) -> Result<Fired>;
}

/// The source of a type.
pub(crate) fn lookup(kind: u32) -> Result<&'static dyn Source> {
    match kind {
        bindings::KEVENT_POLL => Ok(&poll::Poll),
        bindings::KEVENT_USER => Ok(&user::User),
        _ => Err(EOPNOTSUPP),
    }
}

/// The types that [`lookup()`] knows, one bit for each.
pub(crate) fn available() -> u32 {
    (0..16)
        .filter(|kind| lookup(*kind).is_ok())
        .fold(0, |bits, kind| bits | 1u32.wrapping_shl(kind))
}

/// Checks a request to add or to modify.
pub(crate) fn check(request: &Event) -> Result<&'static dyn Source> {
    let source = lookup(request.kind)?;
    let once = REQ_ONESHOT | REQ_DISPATCH;
    if request.flags & !KNOWN != 0 || request.flags & once == once || request.mask == 0 {
        return Err(EINVAL);
    }
    source.check(request)?;
    Ok(source)
}

/// The bits that READY fires: those of the request that are wanted, all of them if it names none.
fn injected(registration: &Event, request: &Event) -> u32 {
    match request.mask {
        0 => registration.mask,
        mask => mask & registration.mask,
    }
}
