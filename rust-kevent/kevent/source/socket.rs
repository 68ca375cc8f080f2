// SPDX-License-Identifier: GPL-2.0

//! Sockets.
//!
//! C header: [`include/linux/kevent.h`](srctree/include/linux/kevent.h)
//!
//! What is asked for and reported are not the bits of poll but RECV, SEND, ACCEPT and so on: a
//! listener accepts, everything else receives. A wake-up is answered from its key and by reads of
//! the socket that take no lock:
//!
//! | key of the wake-up         | TCP, UDP, UNIX               | other sockets                  |
//! |----------------------------|------------------------------|--------------------------------|
//! | readable, writable         | the bits of the key, and (1) | the bits of the key            |
//! | an error                   | all by the state, the errno  | the bits of the key, the errno |
//! | none: the state is another | all by the state             | what is wanted, with RECHECK   |
//!
//! (1) By the state: urgent data, the end of the file, and what TCP can read.
//!
//! The datum is read at the same moment. `fs/kevent_socket.c` has the reads.
//!
//! # Room to send
//!
//! TCP wakes a writer only if a mark at the socket says that somebody found no room. A send that
//! fails sets it, and so does the poll method, which is called when a request begins or changes,
//! and when a level is looked at again.

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
        queue::New, //
    },
    prelude::*, //
};
use core::ptr::NonNull;

// With the reference count of its `Arc`, 128 bytes.
static_assert!(size_of::<file::Watch<Open>>() <= 120);

/// The source of sockets.
pub(crate) struct Socket;

impl Source for Socket {
    type Tie = file::Watch<Open>;

    fn flags(&self) -> u32 {
        REQ_EXCLUSIVE
    }

    fn check(&self, request: &Event) -> Result {
        file::check(request, bindings::KEVENT_SOCKET_MASK)
    }

    fn add(&self, new: &mut New<'_>, request: &Event) -> Result {
        file::add::<Open>(new, request)
    }
}

/// Bits of a key that say only that something came.
const CAME: u32 =
    bindings::POLLIN | bindings::POLLRDNORM | bindings::POLLRDBAND | bindings::POLLPRI;

/// Those that say only that there is room.
const ROOM: u32 = bindings::POLLOUT | bindings::POLLWRNORM | bindings::POLLWRBAND;

/// Stream sockets of which most is known by a glance.
#[derive(Clone, Copy)]
enum Stream {
    Tcp,
    Unix,
    No,
}

/// A socket that is open.
#[derive(Clone, Copy)]
pub(crate) struct Open {
    socket: NonNull<bindings::socket>,
}

/// What is wanted of a socket.
#[derive(Clone, Copy)]
pub(crate) struct Want {
    mask: u16,
    stream: Stream,
}

static_assert!(bindings::KEVENT_SOCKET_MASK <= u16::MAX as u32);

// SAFETY: It is read only, by functions that any context may call.
unsafe impl Send for Open {}
// SAFETY: As above.
unsafe impl Sync for Open {}

impl Open {
    fn fired(sure: bool, state: bindings::kevent_socket) -> Fired {
        Fired {
            mask: state.mask,
            result: if sure {
                RET_DONE
            } else {
                RET_DONE | RET_RECHECK
            },
            data: state.data,
            error: state.error,
        }
    }
}

impl Kind for Open {
    const ALWAYS: u32 = bindings::KEVENT_SOCKET_ERROR | bindings::KEVENT_SOCKET_HUP;
    const HUNG_UP: u32 = bindings::KEVENT_SOCKET_HUP;
    type Want = Want;

    unsafe fn new(file: &LocalFile, wanted: u32) -> Result<(Self, Want)> {
        // SAFETY: The file is valid.
        let socket = unsafe { bindings::kevent_socket_of(file.as_ptr()) };
        let socket = NonNull::new(socket).ok_or(ENOTSOCK)?;
        // SAFETY: The socket is open.
        let stream = match unsafe { bindings::kevent_socket_stream(socket.as_ptr()) } {
            bindings::kevent_stream_KEVENT_STREAM_TCP => Stream::Tcp,
            bindings::kevent_stream_KEVENT_STREAM_UNIX => Stream::Unix,
            _ => Stream::No,
        };
        let mask = wanted as u16;
        Ok((Open { socket }, Want { mask, stream }))
    }

    fn change(want: Want, wanted: u32) -> Want {
        Want {
            mask: wanted as u16,
            ..want
        }
    }

    #[inline(always)]
    fn wanted(want: Want) -> u32 {
        want.mask.into()
    }

    fn poll_bits(mask: u32) -> u32 {
        let room = match mask & bindings::KEVENT_SOCKET_SEND {
            0 => 0,
            _ => bindings::POLLOUT,
        };
        room | bindings::POLLIN
            | bindings::POLLPRI
            | bindings::POLLERR
            | bindings::POLLHUP
            | bindings::POLLRDHUP
    }

    const KEYS: u32 = u32::MAX;

    fn keys(mask: u32) -> u32 {
        // What says only that something came concerns nobody who waits for room alone, nor the
        // other way round. A send that is acknowledged wakes all the same.
        let mut keys = u32::MAX;
        if mask & bindings::KEVENT_SOCKET_SEND == 0 {
            keys &= !ROOM;
        }
        if mask & !Self::ALWAYS & !bindings::KEVENT_SOCKET_SEND == 0 {
            keys &= !CAME;
        }
        keys
    }

    const HAS_DATUM: bool = true;

    const CALLS: bool = true;

    #[inline(always)]
    fn simple(&self, want: Want, key: u32) -> Option<(u32, u64)> {
        if key & bindings::POLLIN == 0 || key & !CAME != 0 {
            return None;
        }
        // SAFETY: By the contract of `new()`, the socket is open, and of this type.
        let bytes = unsafe {
            match want.stream {
                Stream::Tcp => bindings::kevent_tcp_received(self.socket.as_ptr()),
                Stream::Unix => bindings::kevent_unix_received(self.socket.as_ptr()),
                Stream::No => 0,
            }
        };
        (bytes > 0).then_some((bindings::KEVENT_SOCKET_RECV, bytes as u64))
    }

    fn woken(&self, key: u32, wanted: u32) -> Option<Fired> {
        let mut state = bindings::kevent_socket::default();
        // SAFETY: By the contract of `new()`, the socket is open.
        let sure = unsafe {
            bindings::kevent_socket_woken(self.socket.as_ptr(), key, wanted, &raw mut state)
        };
        Some(Self::fired(sure, state)).filter(|fired| !sure || fired.mask & wanted != 0)
    }

    fn found(&self, ready: u32, wanted: u32) -> Fired {
        let mut state = bindings::kevent_socket::default();
        // SAFETY: The file is held, so the socket is open.
        unsafe {
            bindings::kevent_socket_found(self.socket.as_ptr(), ready, wanted, &raw mut state)
        };
        Self::fired(true, state)
    }

    fn measure(&self, mask: u32) -> u64 {
        // SAFETY: By the contract of `new()`, the socket is open.
        unsafe { bindings::kevent_socket_datum(self.socket.as_ptr(), mask) }
    }
}
