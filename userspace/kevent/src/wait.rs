// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::time::{Duration, Instant};

use crate::signals::Signals;

/// How long to wait, and for how much.
///
/// A timeout counts from the call on; what is over already, and [`Wait::NOT`], only looks.
///
/// ```
/// use std::time::{Duration, Instant};
/// use kevent::Wait;
///
/// let forever = Wait::FOREVER;
/// let a_second = Wait::from(Duration::from_secs(1));
/// let until = Wait::until(Instant::now() + Duration::from_secs(1));
/// // Up to 100 us more if that brings 16 events instead of one.
/// let batches = Wait::FOREVER.for_more(16, Duration::from_micros(100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub(crate) timeout: Option<Duration>,
    pub(crate) larger: Option<(u32, Duration)>,
    pub(crate) blocked: Option<Signals>,
}

impl Wait {
    /// Until there is an event.
    pub const FOREVER: Wait = Wait {
        timeout: None,
        larger: None,
        blocked: None,
    };

    /// Not at all.
    pub const NOT: Wait = Wait {
        timeout: Some(Duration::ZERO),
        larger: None,
        blocked: None,
    };

    /// Until a time, which is compared with the clock here and now.
    pub fn until(deadline: Instant) -> Wait {
        deadline.saturating_duration_since(Instant::now()).into()
    }

    /// Rather gets `events` of them, if that takes no longer than `within`. Fewer calls for more
    /// events, at the price of some delay.
    pub fn for_more(self, events: u32, within: Duration) -> Wait {
        Wait {
            larger: Some((events, within)),
            ..self
        }
    }

    /// With these signals blocked, and no others, from before it looks for events until it ends: as
    /// `ppoll()` does. One that is let in ends it.
    ///
    /// None is let in by a wait that finds an event, so a thread that always finds one does not get
    /// the signal. It comes as an event among the others by a signalfd and [`Fd`](crate::Fd).
    pub fn with_blocked(self, signals: Signals) -> Wait {
        Wait {
            blocked: Some(signals),
            ..self
        }
    }
}

/// Up to so long.
impl From<Duration> for Wait {
    fn from(timeout: Duration) -> Wait {
        Wait {
            timeout: Some(timeout),
            larger: None,
            blocked: None,
        }
    }
}

/// Up to so long; without one, for ever.
impl From<Option<Duration>> for Wait {
    fn from(timeout: Option<Duration>) -> Wait {
        Wait {
            timeout,
            larger: None,
            blocked: None,
        }
    }
}
