// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One event, in the ring or copied.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use kevent_sys::ukevent;

use crate::protocol::consumer::DATA_CLOSED;
use crate::protocol::word::Word;
use crate::source::{PollEvents, SocketEvents};

/// What an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A [`Socket`](crate::Socket).
    Socket,
    /// A [`Timer`](crate::Timer).
    Timer,
    /// A file, see [`Fd`](crate::Fd).
    Fd,
    /// A program, see [`User`](crate::User).
    User,
    /// What this version of the crate does not know.
    Other(u32),
}

impl Kind {
    /// `KEVENT_SOCKET` and so on.
    pub fn number(self) -> u32 {
        match self {
            Kind::Socket => kevent_sys::KEVENT_SOCKET,
            Kind::Timer => kevent_sys::KEVENT_TIMER,
            Kind::Fd => kevent_sys::KEVENT_POLL,
            Kind::User => kevent_sys::KEVENT_USER,
            Kind::Other(number) => number,
        }
    }
}

impl From<u32> for Kind {
    fn from(number: u32) -> Kind {
        match number {
            kevent_sys::KEVENT_SOCKET => Kind::Socket,
            kevent_sys::KEVENT_TIMER => Kind::Timer,
            kevent_sys::KEVENT_POLL => Kind::Fd,
            kevent_sys::KEVENT_USER => Kind::User,
            number => Kind::Other(number),
        }
    }
}

bitflags::bitflags! {
    /// What there is to say about an event beside what fired.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Remarks: u32 {
        /// The source has gone, and will not wake anybody any more.
        const BROKEN = kevent_sys::KEVENT_RET_BROKEN;
        /// The source did not say which bits are true: they are those that were asked for,
        /// and what is told without being asked for may be true beside them.
        const RECHECK = kevent_sys::KEVENT_RET_RECHECK;
        /// A program fired it, and not the source.
        const INJECTED = kevent_sys::KEVENT_RET_INJECTED;
    }
}

/// One event.
///
/// It is read in place, in the ring ([`Taken`](crate::Taken) derefs to it), or from a copy
/// ([`Queue::get`](crate::Queue::get), [`Event::clone`]).
// A ring is shared memory. The kernel leaves a taken entry alone, but other processes that have the
// queue may write to it, so it is only ever read as atomics.
#[repr(C, align(64))]
pub struct Event {
    id: AtomicU64,
    kind: AtomicU32,
    asked: AtomicU32,
    flags: AtomicU32,
    error: AtomicU32,
    pub(crate) data: AtomicU64,
    user: AtomicU64,
    generation: AtomicU64,
    zero: AtomicU64,
    pub(crate) word: AtomicU64,
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Event>() == size_of::<ukevent>());
    assert!(align_of::<Event>() >= align_of::<ukevent>());
    assert!(offset_of!(Event, id) == offset_of!(ukevent, id));
    assert!(offset_of!(Event, kind) == offset_of!(ukevent, type_));
    assert!(offset_of!(Event, asked) == offset_of!(ukevent, event));
    assert!(offset_of!(Event, flags) == offset_of!(ukevent, req_flags));
    assert!(offset_of!(Event, error) == offset_of!(ukevent, error));
    assert!(offset_of!(Event, data) == offset_of!(ukevent, data));
    assert!(offset_of!(Event, user) == offset_of!(ukevent, user));
    assert!(offset_of!(Event, generation) == offset_of!(ukevent, param));
    assert!(offset_of!(Event, word) == offset_of!(ukevent, __bindgen_anon_1));
};

impl Event {
    /// Makes it that of [`User`](crate::User), with twice its token for a datum.
    #[cfg(test)]
    pub(crate) fn fill(&self, token: u64) {
        self.kind.store(kevent_sys::KEVENT_USER, Relaxed);
        self.user.store(token, Relaxed);
        self.data.store(2 * token, Relaxed);
    }

    /// The token that the registration was given.
    pub fn token(&self) -> u64 {
        self.user.load(Relaxed)
    }

    /// What it comes from.
    pub fn kind(&self) -> Kind {
        self.kind.load(Relaxed).into()
    }

    /// What the kernel calls the source: the number of a file or socket, or one that the queue chose.
    pub fn id(&self) -> u64 {
        self.id.load(Relaxed)
    }

    /// Which registration it comes from, see [`Registration::owns`](crate::Registration::owns).
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    fn word(&self) -> Word {
        Word(self.word.load(Relaxed))
    }

    /// The bits that fired, which mean what the kind of the source says.
    pub fn bits(&self) -> u32 {
        self.word().mask()
    }

    /// What a socket reports; nothing if it is an event of something else.
    pub fn socket(&self) -> SocketEvents {
        match self.kind() {
            Kind::Socket => SocketEvents::from_bits_truncate(self.bits()),
            _ => SocketEvents::empty(),
        }
    }

    /// What a file reports; nothing if it is an event of something else.
    pub fn poll(&self) -> PollEvents {
        match self.kind() {
            Kind::Fd => PollEvents::from_bits_truncate(self.bits()),
            _ => PollEvents::empty(),
        }
    }

    /// How often a timer expired, or the sum of what [`Sender::send`](crate::Sender::send) gave; of a
    /// socket, bytes that can be received, connections that wait, or room to send, 0 if not known.
    pub fn data(&self) -> u64 {
        let data = self.data.load(Relaxed);
        match self.word().result() & kevent_sys::KEVENT_RET_COUNTED {
            0 => data,
            _ => data & !DATA_CLOSED,
        }
    }

    /// The error of a socket that reports [`SocketEvents::ERROR`].
    pub fn error(&self) -> Option<io::Error> {
        match self.error.load(Relaxed) {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno as i32)),
        }
    }

    /// What else there is to say.
    pub fn remarks(&self) -> Remarks {
        Remarks::from_bits_truncate(self.word().result())
    }
}

/// A copy, which stays when the slot is free.
impl Clone for Event {
    fn clone(&self) -> Event {
        let wide = |field: &AtomicU64| AtomicU64::new(field.load(Relaxed));
        let narrow = |field: &AtomicU32| AtomicU32::new(field.load(Relaxed));
        Event {
            id: wide(&self.id),
            kind: narrow(&self.kind),
            asked: narrow(&self.asked),
            flags: narrow(&self.flags),
            error: narrow(&self.error),
            data: wide(&self.data),
            user: wide(&self.user),
            generation: wide(&self.generation),
            zero: wide(&self.zero),
            word: wide(&self.word),
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut event = f.debug_struct("Event");
        event
            .field("token", &self.token())
            .field("kind", &self.kind());
        match self.kind() {
            Kind::Socket => event.field("bits", &self.socket()),
            Kind::Fd => event.field("bits", &self.poll()),
            _ => event.field("bits", &self.bits()),
        };
        event.field("data", &self.data());
        if let Some(error) = self.error() {
            event.field("error", &error);
        }
        event
            .field("remarks", &self.remarks())
            .finish_non_exhaustive()
    }
}

/// What the kernel copied out.
impl From<ukevent> for Event {
    fn from(raw: ukevent) -> Event {
        // SAFETY: Both are the same 64 bytes, see above, and any bytes are numbers.
        unsafe { std::mem::transmute(raw) }
    }
}
