//! The records of `kevent_ctl()`.

use kevent_sys as sys;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::choose::{Argument, Choose, Dice, c_number, flags, number, one_of};
use crate::values::{Any, PollEvents};

flags!(Modes: u32,
    [0, sys::KEVENT_REQ_ONESHOT, sys::KEVENT_REQ_WAKEUP_ALL, sys::KEVENT_REQ_ET,
     sys::KEVENT_REQ_LAST_CHECK, sys::KEVENT_REQ_ALWAYS_QUEUE, sys::KEVENT_REQ_DISPATCH,
     sys::KEVENT_REQ_EXCLUSIVE],
    rarely [0x80, 0x8000, sys::KEVENT_TIMER_ABSTIME, sys::KEVENT_TIMER_TAI, 0x8000_0000]);
flags!(TimerModes: u32,
    [0, sys::KEVENT_REQ_ONESHOT, sys::KEVENT_REQ_DISPATCH, sys::KEVENT_REQ_WAKEUP_ALL,
     sys::KEVENT_REQ_LAST_CHECK, sys::KEVENT_TIMER_ABSTIME, sys::KEVENT_TIMER_REALTIME,
     sys::KEVENT_TIMER_BOOTTIME, sys::KEVENT_TIMER_TAI],
    rarely [0x80_0000, sys::KEVENT_TIMER_CLOCK_MASK, sys::KEVENT_REQ_EXCLUSIVE]);
flags!(SocketEvents: u32,
    [sys::KEVENT_SOCKET_RECV, sys::KEVENT_SOCKET_RECV, sys::KEVENT_SOCKET_SEND,
     sys::KEVENT_SOCKET_ACCEPT, sys::KEVENT_SOCKET_URGENT, sys::KEVENT_SOCKET_EOF],
    rarely [sys::KEVENT_SOCKET_MASK, sys::KEVENT_SOCKET_ERROR, sys::KEVENT_SOCKET_HUP, 0x80]);
number!(UserEvents: u32, [1, 1, 1, 2, 3], rarely [0, 0x8000_0000, u32::MAX]);
number!(/** 4000 is no descriptor. */ Token: u64, [0, 1, 2, 3],
    rarely [7, 4000, 1 << 32, u64::MAX]);
number!(Datum: u64, [0, 0, 1, 2],
    rarely [i64::MAX as u64, sys::KEVENT_DATA_CLOSED as u64, u64::MAX]);
number!(Expiry: u64, [0, 1, 60_000, 100_000, 1_000_000, 3_000_000],
    rarely [i64::MAX as u64, 1 << 63, u64::MAX, 1 << 40]);

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Socket,
    Timer,
    Poll,
    User,
    Other(u32),
}

impl Kind {
    fn number(self) -> u32 {
        match self {
            Kind::Socket => sys::KEVENT_SOCKET,
            Kind::Timer => sys::KEVENT_TIMER,
            Kind::Poll => sys::KEVENT_POLL,
            Kind::User => sys::KEVENT_USER,
            Kind::Other(number) => number,
        }
    }

    fn literal(self) -> String {
        match self {
            Kind::Socket => "KEVENT_SOCKET".to_owned(),
            Kind::Timer => "KEVENT_TIMER".to_owned(),
            Kind::Poll => "KEVENT_POLL".to_owned(),
            Kind::User => "KEVENT_USER".to_owned(),
            Kind::Other(number) => number.to_string(),
        }
    }
}

impl Choose for Kind {
    fn choose(dice: &mut Dice) -> Self {
        match dice.random_range(0..32) {
            0 => Kind::Other(dice.random_range(0..12)),
            1 => Kind::Other(one_of(dice, &[1, 4, 5, 6, 7, 8, 10, 32, u32::MAX])),
            2..=10 => Kind::User,
            11..=15 => Kind::Timer,
            16..=22 => Kind::Socket,
            _ => Kind::Poll,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Id {
    /// The number of the descriptor at this place.
    Of(i32),
    Token(u64),
}

/// One record. What is 0 is left out where it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub kind: Kind,
    pub id: Id,
    pub event: u32,
    #[serde(default, skip_serializing_if = "is_0")]
    pub flags: u32,
    #[serde(default, skip_serializing_if = "is_0")]
    pub data: u64,
    #[serde(default, skip_serializing_if = "is_0")]
    pub user: u64,
    #[serde(default, skip_serializing_if = "is_0")]
    pub first: u64,
    #[serde(default, skip_serializing_if = "is_0")]
    pub second: u64,
}

fn is_0<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Choose for Record {
    fn choose(dice: &mut Dice) -> Self {
        let kind = Kind::choose(dice);
        let on_file = matches!(kind, Kind::Poll | Kind::Socket);
        let id = match on_file && !dice.random_ratio(1, 40) {
            true => Id::Of(Any::choose(dice).0),
            false => Id::Token(Token::choose(dice).0),
        };
        let (event, flags) = match kind {
            Kind::Timer => (1, TimerModes::choose(dice).0),
            Kind::User | Kind::Other(_) => (UserEvents::choose(dice).0, Modes::choose(dice).0),
            Kind::Socket => (SocketEvents::choose(dice).0, Modes::choose(dice).0),
            Kind::Poll => (PollEvents::choose(dice).0, Modes::choose(dice).0),
        };
        let timer = kind == Kind::Timer || dice.random_ratio(1, 60);
        let expiry = |dice: &mut Dice| if timer { Expiry::choose(dice).0 } else { 0 };
        Record {
            kind,
            id,
            event,
            flags,
            data: Datum::choose(dice).0,
            user: dice.random_range(0..4),
            first: expiry(dice),
            second: expiry(dice),
        }
    }
}

/// What one call is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Records(pub Vec<Record>);

impl Choose for Records {
    fn choose(dice: &mut Dice) -> Self {
        let len = one_of(dice, &[1, 1, 1, 1, 2, 2, 3, 5, 8, 0]);
        Records((0..len).map(|_| Record::choose(dice)).collect())
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct CRequest {
    place: i32,
    record: sys::ukevent,
}

#[repr(C)]
pub struct CRequests {
    nr: u32,
    request: *const CRequest,
}

impl Record {
    #[cfg_attr(not(feature = "act"), allow(dead_code))]
    fn request(&self) -> CRequest {
        let (place, id) = match self.id {
            Id::Of(place) => (place, 0),
            Id::Token(token) => (-1, token),
        };
        let record = sys::ukevent {
            id,
            type_: self.kind.number(),
            event: self.event,
            req_flags: self.flags,
            data: self.data,
            user: self.user,
            param: [self.first, self.second],
            ..Default::default()
        };
        CRequest { place, record }
    }

    fn literal(&self) -> String {
        let mut fields = vec![format!(".type = {}", self.kind.literal())];
        let place = match self.id {
            Id::Of(place) => place,
            Id::Token(token) => {
                fields.push(format!(".id = {}", c_number(token.into())));
                -1
            }
        };
        fields.push(format!(".event = {}", c_number(self.event.into())));
        for (name, value) in [
            ("req_flags", self.flags.into()),
            ("data", self.data),
            ("user", self.user),
            ("param[0]", self.first),
            ("param[1]", self.second),
        ] {
            if value != 0 {
                fields.push(format!(".{name} = {}", c_number(value.into())));
            }
        }
        format!("{{ {place}, {{ {} }} }}", fields.join(", "))
    }
}

impl Argument for Records {
    type C = CRequests;

    /// They stay for ever: the process that they are for does not.
    fn pass(&self) -> CRequests {
        let requests: Vec<CRequest> = self.0.iter().map(Record::request).collect();
        CRequests {
            nr: requests.len() as u32,
            request: requests.leak().as_ptr(),
        }
    }

    fn literal(&self) -> String {
        if self.0.is_empty() {
            return "(struct requests){ 0, NULL }".to_owned();
        }
        let records: Vec<String> = self.0.iter().map(Record::literal).collect();
        let records = records.join(",\n\t\t");
        let nr = self.0.len();
        format!("(struct requests){{ {nr}, (const struct request[]){{\n\t\t{records} }} }}")
    }
}
