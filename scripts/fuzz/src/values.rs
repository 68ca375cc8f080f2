//! The arguments of calls.

use kevent_sys as sys;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::choose::{Argument, Choose, Dice, c_number, flags, number, one_of, plain};

/// Places of descriptors; the first ones are for queues.
pub const PLACES: i32 = 16;
pub const QUEUES: i32 = 4;

/// The place of a queue that a call is for. Rarely, what is there is something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Queue(pub i32);

impl Choose for Queue {
    fn choose(dice: &mut Dice) -> Self {
        Queue(one_of(dice, &[0, 0, 0, 1, 1, 2, 3]))
    }
}

plain!(Queue: i32);

/// The place of any file, the low ones more often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct File(pub i32);

impl Choose for File {
    fn choose(dice: &mut Dice) -> Self {
        // Calls that are for the same file make a program.
        let mut place = || dice.random_range(QUEUES..PLACES);
        File(place().min(place()).min(place()))
    }
}

plain!(File: i32);

/// The place of a file or a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Any(pub i32);

impl Choose for Any {
    fn choose(dice: &mut Dice) -> Self {
        match dice.random_ratio(1, 4) {
            true => Any(Queue::choose(dice).0),
            false => Any(File::choose(dice).0),
        }
    }
}

plain!(Any: i32);

number!(Slots: u32, [0, 1, 2, 4, 4, 8, 16, 64, 256],
    rarely [3, 4096, 65535, 65536, 65537, 0x8000_0000, u32::MAX]);
flags!(InitFlags: u32, [sys::KEVENT_INIT_CLOEXEC, sys::KEVENT_INIT_NONBLOCK],
    rarely [sys::KEVENT_INIT_QUERY, 8, 0x8000_0000]);
number!(/** In halves of a page. */ Room: u32, [0, 2, 4, 6, 8], rarely [1, 124, 126]);
flags!(OpenFlags: u32, [0, 2, 0o4000, 0o2000000], rarely [1, 0o2000]);
number!(Owner: u32, [0, 1, 2, 3, 9], rarely [4, sys::KEVENT_OWNER_MAX, sys::KEVENT_OWNER_MAX + 1]);
number!(Page: u32, [0, 0, 1], rarely [2, 4]);
number!(Pages: u32, [1, 1, 2, 5], rarely [0, 3, 64, 1025, 1026]);
flags!(Protection: u32, [1, 2, 3, 3], rarely [4]);
number!(MapFlags: u32, [1, 1, 2], rarely [0, 3, 0x21]);
number!(/** DONTNEED, DONTFORK, WIPEONFORK, REMOVE ... */ Advice: u32,
    [4, 9, 10, 11, 18, 21], rarely [8, 14, 16, 23, 24]);
number!(Command: u32, [0, 0, 0, 1, 2, 3, 3, 4, 4], rarely [5, u32::MAX]);
number!(/** -1: as many as there are. */ Claimed: i32, [-1],
    rarely [0, 1, 2, 9, sys::KEVENT_BATCH_MAX as i32, sys::KEVENT_BATCH_MAX as i32 + 1, i32::MAX]);
number!(Least: u32, [0, 0, 0, 1, 1, 2], rarely [3, 8, 9, 65536, u32::MAX]);
number!(Most: u32, [1, 2, 4, 8], rarely [0, 9, 64, 65537, u32::MAX]);
flags!(WaitFlags: u32, [0, 0, 0, sys::KEVENT_FLAGS_ABSTIME], rarely [2, 4, 0x8000_0000]);
number!(/** Get or wait, with a timeout or all of the argument. */ What: u32, [0, 1, 2, 3], rarely []);
number!(Count: u32, [1, 1, 2, 3, 8], rarely [0, 16, 4096, u32::MAX]);
number!(Bytes: u32, [1, 8, 8, 100], rarely [0, 4095, 65535]);
flags!(MessageFlags: u32, [0, 0, 1], rarely [2, 0x20, 0x8000]);
number!(How: u32, [0, 1, 2], rarely [3]);
number!(SocketOption: u32, [0, 1, 2, 3], rarely []);
number!(SocketValue: u32, [0, 1, 2, 100], rarely [65536, u32::MAX]);
number!(SocketType: u32, [1, 1, 2, 5], rarely [3]);
number!(/** UNIX, IP of both kinds, and netlink. */ Family: u32, [1, 2, 10], rarely [16]);
number!(Lazy: u32, [0, 0, 1], rarely []);
number!(/** Nothing, to poll once, or again and again, or whom to tell. */ Submitted: u32,
    [0, 1, 2, 3], rarely []);
number!(Backlog: u32, [0, 1, 4], rarely []);
flags!(EventfdFlags: u32, [1], rarely []);
number!(Initial: u32, [0, 0, 1, 5], rarely [u32::MAX]);
flags!(/** O_DIRECT, O_CLOEXEC, notifications. */ PipeFlags: u32, [0, 0o2000000], rarely [0o40000]);
number!(Nanoseconds: u32, [1, 1000, 100_000, 1_000_000], rarely [0, 999_999_999]);
number!(Name: u32, [0, 0, 1, 2, 3, 4, 5, 6, 7], rarely []);
flags!(PollEvents: u32, [1, 1, 4, 4, 0x2000], rarely [2, 8, 16, 32, 0x40, 0x80, 0x100, 0x200]);
number!(Milliseconds: u32, [0, 0, 1], rarely [7]);
number!(EpollOp: u32, [1, 1, 2, 3], rarely [0]);
flags!(/** With EXCLUSIVE, ONESHOT and ET. */ EpollEvents: u32,
    [1, 1, 4, 0x2000], rarely [1 << 28, 1 << 30, 1 << 31]);
number!(/** FIONREAD, TIOCSTI, FIONBIO, FIOASYNC. */ Request: u32,
    [0x541b, 0x5421, 0x5452], rarely [0x5412, 0, u32::MAX]);
number!(Child: u32, [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 15], rarely []);
number!(Thread: u32, [0, 1, 2, 3], rarely []);
number!(/** USR1 interrupts, USR2 is for a signalfd, KILL ends all. */ Signal: i32,
    [10, 10, 12], rarely [9]);
number!(Watches: u32, [0, 1, 2, 3], rarely [1000]);
number!(Files: u32, [4096], rarely [0, 8, 16]);
number!(Nth: u32, [1, 2, 3, 4, 5, 6, 7, 8], rarely [0, 9, 10, 12, 16, 20]);
number!(Microseconds: u32, [1, 50, 200, 1000], rarely [4000]);
number!(/** Of the first page of a ring. */ Word: u32,
    // Words and data of the first slots, ids, and the header.
    [23, 23, 31, 31, 39, 47, 18, 19, 26, 27], rarely [0, 1, 2, 8, 16, 17, 20, 21, 22, 24, 511]);
number!(/** Store, xor, or. */ Store: u32, [0, 0, 1, 2], rarely []);

/// What is written into the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scribble(pub u64);

impl Choose for Scribble {
    fn choose(dice: &mut Dice) -> Self {
        let flags = one_of(
            dice,
            &[
                0,
                sys::KEVENT_RET_TAKEN,
                sys::KEVENT_RET_FINISHED,
                sys::KEVENT_RET_TAKEN | sys::KEVENT_RET_FINISHED,
                sys::KEVENT_RET_TAKEN | 1 << sys::KEVENT_RET_OWNER_SHIFT,
                sys::KEVENT_RET_OWNER_MASK,
                1 << sys::KEVENT_RET_LAP_SHIFT,
                sys::KEVENT_RET_LAP_MASK,
                sys::KEVENT_RET_COUNTED,
                u32::MAX,
            ],
        );
        let low = one_of(dice, &[0, 0, 1, 0x7f, u32::MAX]);
        match dice.random_ratio(1, 8) {
            true => Scribble(dice.random()),
            false => Scribble(u64::from(flags) << 32 | u64::from(low)),
        }
    }
}

plain!(Scribble: u64);

/// Where an array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    Stack,
    Nowhere,
    Unmapped,
    Kernel,
    /// So many words of it are mapped.
    Edge(u32),
    Readonly,
    /// In the ring of this queue.
    InRing(u32),
    /// So many words of it are in one page, the rest in the next; none is present.
    Fresh(u32),
}

#[repr(C)]
pub struct CPlace {
    kind: u32,
    at: u32,
}

impl Choose for Place {
    fn choose(dice: &mut Dice) -> Self {
        if dice.random_ratio(5, 6) {
            return Place::Stack;
        }
        match dice.random_range(0..9) {
            0 => Place::Nowhere,
            1 => Place::Unmapped,
            2 => Place::Kernel,
            3 => Place::Readonly,
            4..=5 => Place::Edge(one_of(dice, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 24])),
            6..=7 => Place::Fresh(one_of(dice, &[0, 1, 4, 7, 8, 9, 12, 16])),
            _ => Place::InRing(Queue::choose(dice).0 as u32),
        }
    }
}

impl Place {
    fn parts(self) -> (u32, u32) {
        match self {
            Place::Stack => (0, 0),
            Place::Nowhere => (1, 0),
            Place::Unmapped => (2, 0),
            Place::Kernel => (3, 0),
            Place::Edge(words) => (4, words),
            Place::Readonly => (5, 0),
            Place::InRing(queue) => (6, queue),
            Place::Fresh(words) => (7, words),
        }
    }
}

impl Argument for Place {
    type C = CPlace;

    fn pass(&self) -> CPlace {
        let (kind, at) = self.parts();
        CPlace { kind, at }
    }

    fn literal(&self) -> String {
        const NAMES: [&str; 8] = [
            "STACK", "NOWHERE", "UNMAPPED", "KERNEL", "EDGE", "READONLY", "IN_RING", "FRESH",
        ];
        let (kind, at) = self.parts();
        format!("(struct place){{ {}, {at} }}", NAMES[kind as usize])
    }
}

/// A timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    Never,
    After(i64),
    /// From now on, as a date.
    At(i64),
    /// Nanoseconds that are no part of a second.
    Wrong(i64),
    /// Half of it is not mapped.
    Unreadable,
}

#[repr(C)]
pub struct CWhen {
    kind: u32,
    ns: i64,
}

impl Choose for When {
    fn choose(dice: &mut Dice) -> Self {
        const NS: &[i64] = &[0, 0, 0, 1, 10_000, 1_000_000, 10_000_000];
        match dice.random_range(0..32) {
            0 => When::Never,
            1..=4 => When::At(one_of(dice, NS)),
            5 => When::Wrong(one_of(dice, &[-1, 1_000_000_000, i64::MIN, i64::MAX])),
            6 => When::Unreadable,
            7 => When::After(one_of(dice, &[i64::MAX, -1])),
            _ => When::After(one_of(dice, NS)),
        }
    }
}

impl When {
    fn parts(self) -> (u32, i64) {
        match self {
            When::Never => (0, 0),
            When::After(ns) => (1, ns),
            When::At(ns) => (2, ns),
            When::Wrong(ns) => (3, ns),
            When::Unreadable => (4, 0),
        }
    }
}

impl Argument for When {
    type C = CWhen;

    fn pass(&self) -> CWhen {
        let (kind, ns) = self.parts();
        CWhen { kind, ns }
    }

    fn literal(&self) -> String {
        const NAMES: [&str; 5] = ["NEVER", "AFTER", "AT", "WRONG", "UNREADABLE"];
        let (kind, ns) = self.parts();
        let ns = c_number(i128::from(ns));
        format!("(struct when){{ {}, {ns} }}", NAMES[kind as usize])
    }
}

number!(MaskSize: u32, [0, 0, 8], rarely [4, 16]);
number!(/** REALTIME, MONOTONIC, BOOTTIME, TAI. */ Clock: u32, [0, 1, 1, 7, 11], rarely [2, 3, 5, 9, 12, u32::MAX]);
number!(LeastWait: u64, [0, 0, 1, 100_000, 1_000_000], rarely [1 << 40, u64::MAX]);
number!(Reserved: u64, [0], rarely [1]);

/// What KEVENT_FLAGS_EXT_ARG points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extended {
    pub timeout: When,
    pub mask: MaskSize,
    pub clock: Clock,
    pub min_wait: LeastWait,
    pub reserved: Reserved,
}

#[repr(C)]
pub struct CExtended {
    timeout: CWhen,
    mask: u32,
    clock: u32,
    min_wait: u64,
    reserved: u64,
}

impl Choose for Extended {
    fn choose(dice: &mut Dice) -> Self {
        Extended {
            timeout: When::choose(dice),
            mask: MaskSize::choose(dice),
            clock: Clock::choose(dice),
            min_wait: LeastWait::choose(dice),
            reserved: Reserved::choose(dice),
        }
    }
}

impl Argument for Extended {
    type C = CExtended;

    fn pass(&self) -> CExtended {
        CExtended {
            timeout: self.timeout.pass(),
            mask: self.mask.0,
            clock: self.clock.0,
            min_wait: self.min_wait.0,
            reserved: self.reserved.0,
        }
    }

    fn literal(&self) -> String {
        format!(
            "(struct extended){{ {}, {}, {}, {}, {} }}",
            self.timeout.literal(),
            self.mask.literal(),
            self.clock.literal(),
            self.min_wait.literal(),
            self.reserved.literal()
        )
    }
}

/// A position in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// From its head.
    Head(i64),
    From0(i64),
}

#[repr(C)]
pub struct CPosition {
    from_head: i32,
    plus: i64,
}

impl Choose for Position {
    fn choose(dice: &mut Dice) -> Self {
        if dice.random_ratio(5, 6) {
            return Position::Head(one_of(dice, &[0, 0, 0, -1, -1, -2, -4, 1, -8]));
        }
        let numbers = [0, 1, 2, 8, 1 << 32, 1 << 31, -1, i64::MIN, i64::MAX];
        Position::From0(one_of(dice, &numbers))
    }
}

impl Position {
    fn parts(self) -> (i32, i64) {
        match self {
            Position::Head(plus) => (1, plus),
            Position::From0(plus) => (0, plus),
        }
    }
}

impl Argument for Position {
    type C = CPosition;

    fn pass(&self) -> CPosition {
        let (from_head, plus) = self.parts();
        CPosition { from_head, plus }
    }

    fn literal(&self) -> String {
        let (from_head, plus) = self.parts();
        let plus = c_number(i128::from(plus));
        format!("(struct position){{ {from_head}, {plus} }}")
    }
}
