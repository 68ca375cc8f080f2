// SPDX-License-Identifier: GPL-2.0

//! Files with a poll method.
//!
//! | key of the wake-up | reported                                                        |
//! |--------------------|-----------------------------------------------------------------|
//! | poll bits          | those that are wanted, errors and hang-ups                      |
//! | none               | what is wanted, with RECHECK: the file cannot be asked from here |
//! | `POLLFREE`         | a hang-up, with BROKEN: nothing more will come                  |

use super::{
    file::{
        self,
        Kind, //
    },
    Source, //
};
use crate::{
    bindings,
    fs::LocalFile,
    kevent::{
        event::{
            Event,
            Fired,
            REQ_EXCLUSIVE,
            RET_DONE,
            RET_RECHECK, //
        },
        queue::{
            New,
            URING_WAKE, //
        }, //
    },
    prelude::*, //
};

// With the reference count of its `Arc`, 128 bytes.
static_assert!(size_of::<file::Watch<Pollable>>() <= 120);

/// The source of files.
pub(crate) struct Poll;

impl Source for Poll {
    type Tie = file::Watch<Pollable>;

    fn flags(&self) -> u32 {
        REQ_EXCLUSIVE
    }

    fn check(&self, request: &Event) -> Result {
        file::check(request, BITS)
    }

    fn add(&self, new: &mut New<'_>, request: &Event) -> Result {
        file::add::<Pollable>(new, request)
    }
}

/// What can be asked for.
const BITS: u32 = Pollable::ALWAYS
    | bindings::POLLIN
    | bindings::POLLPRI
    | bindings::POLLOUT
    | bindings::POLLRDNORM
    | bindings::POLLRDBAND
    | bindings::POLLWRNORM
    | bindings::POLLWRBAND
    | bindings::POLLMSG
    | bindings::POLLRDHUP;

/// Any file; its bits are those of poll.
#[derive(Clone, Copy)]
pub(crate) struct Pollable;

impl Kind for Pollable {
    const ALWAYS: u32 = bindings::POLLERR | bindings::POLLHUP;
    const HUNG_UP: u32 = bindings::POLLHUP;

    type Want = u32;

    unsafe fn new(file: &LocalFile, wanted: u32) -> Result<(Self, u32)> {
        // SAFETY: The file is valid.
        if unsafe { bindings::kevent_is_refused(file.as_ptr()) } {
            return Err(EINVAL);
        }
        if !file.can_poll() {
            return Err(EPERM);
        }
        Ok((Pollable, wanted))
    }

    fn change(_want: u32, wanted: u32) -> u32 {
        wanted
    }

    #[inline(always)]
    fn wanted(want: u32) -> u32 {
        want
    }

    fn poll_bits(mask: u32) -> u32 {
        mask
    }

    const KEYS: u32 = BITS;

    fn keys(mask: u32) -> u32 {
        // What pollers of the queue are told as well.
        mask | URING_WAKE
    }

    const HAS_DATUM: bool = false;

    const CALLS: bool = false;

    #[inline(always)]
    fn simple(&self, _want: u32, key: u32) -> Option<(u32, u64)> {
        (key != 0).then_some((key, 0))
    }

    /// A key that says nothing.
    fn woken(&self, key: u32, _wanted: u32) -> Option<Fired> {
        Some(Fired {
            mask: key,
            result: RET_DONE | RET_RECHECK,
            ..Fired::default()
        })
    }

    fn found(&self, ready: u32, _wanted: u32) -> Fired {
        Fired {
            mask: ready,
            result: RET_DONE,
            ..Fired::default()
        }
    }
}
