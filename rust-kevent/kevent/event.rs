// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One event, or one request: `struct ukevent`.

/// The source failed, or the request was refused.
pub const RET_BROKEN: u32 = 0x1;
/// The event is complete, or the request was answered: with [`RET_BROKEN`], it was refused.
pub const RET_DONE: u32 = 0x2;
/// An event of the registration is taken and not finished.
pub const RET_OUTSTANDING: u32 = 0x8;
/// The source did not say which bits are true.
pub const RET_RECHECK: u32 = 0x10;
/// Fired by READY.
pub const RET_INJECTED: u32 = 0x20;
/// The datum counts.
pub const RET_COUNTED: u32 = 0x40;

/// Delivered once, then the registration is gone.
pub const REQ_ONESHOT: u32 = 0x1;
/// Every sleeper of the queue is woken.
pub const REQ_WAKEUP_ALL: u32 = 0x2;
/// Reported once per change.
pub const REQ_ET: u32 = 0x4;
/// Looked at again when `kevent_get_events()` takes it.
pub const REQ_LAST_CHECK: u32 = 0x8;
/// Historical; always so.
pub const REQ_ALWAYS_QUEUE: u32 = 0x10;
/// Delivered once, then disabled until MODIFY.
pub const REQ_DISPATCH: u32 = 0x20;
/// Of several queues that watch a source, one is told.
pub const REQ_EXCLUSIVE: u32 = 0x40;

/// Set in a counting datum by the consumer that took it.
pub const DATA_CLOSED: u64 = 1 << 63;

/// `struct ukevent`, as the kernel keeps it for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Event {
    /// What the source calls the registration.
    pub id: u64,
    /// The type of the source.
    pub kind: u32,
    /// The requested mask.
    pub mask: u32,
    /// `REQ_*`.
    pub flags: u32,
    /// An errno, or 0.
    pub error: u32,
    /// The datum of the source.
    pub data: u64,
    /// The caller's.
    pub user: u64,
    /// Parameters of a request; generation and 0 in an event.
    pub param: [u64; 2],
    /// Fired mask and return flags, see [`Word`](super::word::Word).
    pub word: u64,
}

impl Event {
    /// All zeroes.
    pub const EMPTY: Event = Event {
        id: 0,
        kind: 0,
        mask: 0,
        flags: 0,
        error: 0,
        data: 0,
        user: 0,
        param: [0; 2],
        word: 0,
    };
}

/// What a source reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fired {
    /// The bits that are true now.
    pub mask: u32,
    /// `RET_*`.
    pub result: u32,
    /// The datum, or what is to be added to it.
    pub data: u64,
    /// An errno, or 0.
    pub error: u32,
}

impl Fired {
    /// Adds what `other`, which fired later, reports.
    pub fn merge(&mut self, other: &Fired) {
        // READY counts nothing, but may come before what does.
        if other.result & RET_COUNTED != 0 {
            self.data = count(self.data, other.data);
        }
        self.mask |= other.mask;
        self.result |= other.result;
        if self.error == 0 {
            self.error = other.error;
        }
    }
}

/// The sum of two counts, which stops at the largest value of 63 bits.
pub fn count(a: u64, b: u64) -> u64 {
    a.saturating_add(b).min(DATA_CLOSED - 1)
}
