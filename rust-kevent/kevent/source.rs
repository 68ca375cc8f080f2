// SPDX-License-Identifier: GPL-2.0

//! Sources of events.
//!
//! A source is a file here and a line in [`sources!`]. It checks requests, and makes a [`Tie`]
//! between a registration and what that watches. The tie tells the queue when there is something to
//! report, by [`Queue::report()`](super::queue::Queue::report).
//!
//! ```text
//!   Source::add() ---------+---> reports ---+---> end() ---> dropped
//!     prepare(), start()   |        ^       |
//!     ^                    |        +-look()+
//!     +------ MODIFY ------+
//! ```
//!
//! `prepare()`, `start()` and `end()` are called with
//! [`Queue::control`](super::queue::Queue::control) held, and `look()` without any lock, also while
//! or after the tie ends; it then finds nothing.

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
    queue::New, //
};
use crate::{
    prelude::*,
    sync::Arc, //
};

/// Request flags that every source knows.
const KNOWN: u32 =
    REQ_ONESHOT | REQ_WAKEUP_ALL | REQ_ET | REQ_LAST_CHECK | REQ_ALWAYS_QUEUE | REQ_DISPATCH;

/// What ties a registration to what it watches.
pub(crate) trait Tie: Send + Sync {
    /// Does what can fail before it watches as `request` says, for the first time or after a
    /// change. What would stem from the old request, and not from a state, ends with this.
    fn prepare(&self, request: &Event) -> Result;

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

/// What the registrations of a source are tied by.
pub(crate) trait TieOf: Tie + Sized {
    /// One of those that there are.
    fn tied(self: Arc<Self>) -> Tied;

    /// The opposite.
    fn untied(tied: Tied) -> Result<Arc<Self>, Tied>;
}

/// No tie.
#[derive(Clone, Copy)]
pub(crate) enum Untied {}

impl Tie for Untied {
    fn prepare(&self, _request: &Event) -> Result {
        match *self {}
    }

    fn start(&self, _request: &Event) -> Option<Fired> {
        match *self {}
    }

    fn end(&self) {
        match *self {}
    }

    fn look(&self, _finished: bool) -> Option<Fired> {
        match *self {}
    }
}

/// One type of source.
pub(crate) trait Source {
    /// What ties a registration to what it watches.
    type Tie: Tie;

    /// Request flags that it knows beside those that every source does.
    fn flags(&self) -> u32 {
        0
    }

    /// Checks a request to add or to modify, after what holds for all sources.
    fn check(&self, request: &Event) -> Result;

    /// Puts a registration into the table, begins to watch as `request` says, and reports what is
    /// true now. On error, the caller takes it out again.
    fn add(&self, new: &mut New<'_>, request: &Event) -> Result;

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

        /// A source.
        #[derive(Clone, Copy)]
        pub(crate) enum Known {
            $(
                #[cfg($config)]
                $source,
            )*
        }

        /// The source of a type.
        #[inline]
        pub(crate) fn lookup(kind: u32) -> Result<Known> {
            match kind {
                $(
                    #[cfg($config)]
                    $crate::bindings::$kind => Ok(Known::$source),
                )*
                _ => Err(EOPNOTSUPP),
            }
        }

        /// What ties a registration to what that watches, whatever it is.
        #[derive(Clone)]
        pub(crate) enum Tied {
            $(
                #[cfg($config)]
                #[allow(dead_code, reason = "not every source has ties")]
                $source(Arc<<$module::$source as Source>::Tie>),
            )*
        }

        impl Tied {
            /// Hands it to `work`, which so has direct calls.
            #[inline(always)]
            #[allow(unused_variables, reason = "there may be no source")]
            pub(crate) fn with<R>(&self, work: impl FnOnce(&dyn Tie) -> R) -> R {
                match *self {
                    $(
                        #[cfg($config)]
                        Tied::$source(ref tie) => work(&**tie),
                    )*
                }
            }
        }

        $(
            #[cfg($config)]
            impl TieOf for <$module::$source as Source>::Tie {
                #[inline]
                fn tied(self: Arc<Self>) -> Tied {
                    Tied::$source(self)
                }

                #[inline]
                #[allow(unreachable_patterns, reason = "there may be no other source")]
                fn untied(tied: Tied) -> Result<Arc<Self>, Tied> {
                    match tied {
                        Tied::$source(tie) => Ok(tie),
                        other => Err(other),
                    }
                }
            }
        )*

        /// Checks a request to add, and adds what `new` begins.
        #[inline]
        #[allow(unused_variables, reason = "there may be no source")]
        pub(crate) fn add<'a>(request: &Event, new: impl FnOnce() -> New<'a>) -> Result {
            match request.kind {
                $(
                    #[cfg($config)]
                    $crate::bindings::$kind => {
                        let source = $module::$source;
                        check_by(&source, request)?;
                        let mut new = new();
                        let added = source.add(&mut new, request);
                        if added.is_err() {
                            new.cancel();
                        }
                        added
                    }
                )*
                _ => Err(EOPNOTSUPP),
            }
        }

        impl Known {
            /// Checks a request to add or to modify.
            #[allow(unused_variables, reason = "there may be no source")]
            pub(crate) fn check(self, request: &Event) -> Result {
                match self {
                    $(
                        #[cfg($config)]
                        Known::$source => check_by(&$module::$source, request),
                    )*
                }
            }

            /// What READY makes of a registration fire.
            #[allow(unused_variables, reason = "there may be no source")]
            pub(crate) fn ready(self, registration: &Event, request: &Event) -> Result<Fired> {
                match self {
                    $(
                        #[cfg($config)]
                        Known::$source => $module::$source.ready(registration, request),
                    )*
                }
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

/// Types that a query can tell of: its answer is positive.
const TYPES: core::ops::Range<u32> = 0..15;

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

/// Checks what holds for all sources, and then by one.
#[inline(always)]
fn check_by(source: &impl Source, request: &Event) -> Result {
    let known = KNOWN | source.flags();
    let once = REQ_ONESHOT | REQ_DISPATCH;
    if request.flags & !known != 0 || request.flags & once == once || request.mask == 0 {
        return Err(EINVAL);
    }
    source.check(request)
}

/// The bits that READY fires: those of the request that are wanted, all of them if it names none.
fn injected(registration: &Event, request: &Event) -> u32 {
    match request.mask {
        0 => registration.mask,
        mask => mask & registration.mask,
    }
}
