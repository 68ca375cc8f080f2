// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::time::{Duration, Instant};

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
}

impl Wait {
    /// Until there is an event.
    pub const FOREVER: Wait = Wait {
        timeout: None,
        larger: None,
    };

    /// Not at all.
    pub const NOT: Wait = Wait {
        timeout: Some(Duration::ZERO),
        larger: None,
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
}

/// Up to so long.
impl From<Duration> for Wait {
    fn from(timeout: Duration) -> Wait {
        Wait {
            timeout: Some(timeout),
            larger: None,
        }
    }
}

/// Up to so long; without one, for ever.
impl From<Option<Duration>> for Wait {
    fn from(timeout: Option<Duration>) -> Wait {
        Wait {
            timeout,
            larger: None,
        }
    }
}
