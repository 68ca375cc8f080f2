// SPDX-License-Identifier: GPL-2.0

//! Sources of events.
//!
//! A source is a file here and a line in [`sources!`]. It checks requests, and makes a [`Tie`]
//! between a registration and what that watches. The tie tells the queue when there is something to
//! report, by [`Queue::report()`].
//!
//! ```text
//!   ADD ---> tie() ---> prepare() ---> start() --+---> reports ---+---> end() ---> dropped
//!                           ^                    |        ^       |
//!                           +------ MODIFY ------+        +-look()+
//! ```
//!
//! The first three are for a source that leaves [`Source::add()`] as it is.
//!
//! `prepare()`, `start()` and `end()` are called with [`Queue::control`](super::queue::Queue::control) held, and
//! `look()` without any lock, also while or after the tie ends; it then finds nothing.

use super::{
    event::{
        Event,
        Fired,
        REQ_ALWAYS_QUEUE,
        REQ_DISPATCH,
        REQ_ET,
        REQ_LAST_CHECK,
        REQ_ONESHOT,
        REQ_WAKEUP_ALL,
        RET_DONE,
        RET_INJECTED, //
    },
    queue::{
        New,
        Queue, //
    },
    registration::{
        Handle,
        Nature, //
    }, //
};
use crate::{
    prelude::*,
    sync::Arc, //
};

/// Request flags that every source knows.
const KNOWN: u32 =
    REQ_ONESHOT | REQ_WAKEUP_ALL | REQ_ET | REQ_LAST_CHECK | REQ_ALWAYS_QUEUE | REQ_DISPATCH;

/// Whom a tie tells.
#[cfg_attr(
    not(any(CONFIG_KEVENT_TIMER, CONFIG_KEVENT_FILE)),
    expect(dead_code, reason = "user events have no tie")
)]
#[derive(Clone)]
pub(crate) struct Target {
    /// The queue.
    pub(crate) queue: Arc<Queue>,
    /// The registration.
    pub(crate) handle: Handle,
}

/// What ties a registration to what it watches.
pub(crate) trait Tie: Send + Sync {
    /// Does what can fail before it watches as `request` says, for the first time or after a change.
    /// What would stem from the old request, and not from a state, ends with this.
    fn prepare(self: Arc<Self>, request: &Event) -> Result;

    /// Watches as `request` says. Returns what is true now.
    fn start(&self, request: &Event) -> Option<Fired>;

    /// Stops to watch. On return nothing is reported any more.
    fn end(&self);

    /// What is true now, or what was counted; `finished` if no event of it is under way.
    fn look(&self, finished: bool) -> Option<Fired>;

    /// The datum that belongs to `mask` now, if it is of the kind that changes. The queue's lock is
    /// held, and the registration in its table; so what is watched is still there.
    fn measure(&self, _mask: u32) -> Option<u64> {
        None
    }

    /// Whether it watches what `request` names now.
    fn is_of(&self, _request: &Event) -> Result<bool> {
        Ok(true)
    }

    /// These bits were taken back, and no consumer of this queue will see them.
    fn pass_on(&self, _untaken: &Fired) {}

    /// Bits that are reported without being asked for.
    fn always(&self) -> u32 {
        0
    }
}

/// One type of source.
pub(crate) trait Source: Sync {
    /// Request flags that it knows beside those that every source does.
    fn flags(&self) -> u32 {
        0
    }

    /// Checks a request to add or to modify, after what holds for all sources.
    fn check(&self, request: &Event) -> Result;

    /// What there is to look at, once an event was published.
    fn nature(&self) -> Nature {
        Nature::Plain
    }

    /// Makes what will tie a registration to what it watches, if that is anything.
    fn tie(&self, _target: Target) -> Result<Option<Arc<dyn Tie>>> {
        Ok(None)
    }

    /// Puts a registration into the table, begins to watch as `request` says, and reports what is
    /// true now. On error, the caller takes it out again.
    fn add(&self, new: &mut New<'_>, request: &Event) -> Result {
        let target = new.insert()?;
        let handle = target.handle;
        let Some(tie) = self.tie(target)? else {
            return Ok(());
        };
        let queue = new.queue();
        queue.lock().events.tie(handle, tie.clone(), self.nature());
        tie.clone().prepare(request)?;
        if let Some(fired) = tie.start(request) {
            queue.found_at(queue.lock(), handle, &fired, tie.always());
        }
        Ok(())
    }

    /// What READY makes of a registration fire.
    fn ready(&self, registration: &Event, request: &Event) -> Result<Fired> {
        Ok(Fired {
            mask: injected(registration, request),
            result: RET_DONE | RET_INJECTED,
            ..Fired::default()
        })
    }
}

#[cfg(CONFIG_KEVENT_FILE)]
mod file;

#[cfg(CONFIG_KEVENT_TIMER)]
pub(crate) use timer::Timers;

macro_rules! sources {
    ($($config:ident, $kind:ident => $module:ident::$source:ident;)*) => {
        $(
            #[cfg($config)]
            mod $module;
        )*

        /// The source of a type.
        pub(crate) fn lookup(kind: u32) -> Result<&'static dyn Source> {
            match kind {
                $(
                    #[cfg($config)]
                    $crate::bindings::$kind => Ok(&$module::$source),
                )*
                _ => Err(EOPNOTSUPP),
            }
        }
    };
}

sources! {
    CONFIG_KEVENT_USER, KEVENT_USER => user::User;
    CONFIG_KEVENT_TIMER, KEVENT_TIMER => timer::Timer;
    CONFIG_KEVENT_POLL, KEVENT_POLL => poll::Poll;
    CONFIG_KEVENT_SOCKET, KEVENT_SOCKET => socket::Socket;
}

/// Types that there may be.
const TYPES: core::ops::Range<u32> = 0..16;

/// Prepares all sources.
///
/// # Safety
///
/// Called once, before there is a queue.
pub(crate) unsafe fn init() {
    #[cfg(CONFIG_KEVENT_FILE)]
    // SAFETY: By the safety requirement.
    unsafe {
        file::init()
    };
}

/// The types that [`lookup()`] knows, one bit for each.
pub(crate) fn available() -> u32 {
    TYPES
        .filter(|kind| lookup(*kind).is_ok())
        .fold(0, |bits, kind| bits | 1u32.wrapping_shl(kind))
}

/// Checks a request to add or to modify.
pub(crate) fn check(request: &Event) -> Result<&'static dyn Source> {
    let source = lookup(request.kind)?;
    let known = KNOWN | source.flags();
    let once = REQ_ONESHOT | REQ_DISPATCH;
    if request.flags & !known != 0 || request.flags & once == once || request.mask == 0 {
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
