// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::time::{Duration, Instant, SystemTime};

use kevent_sys::{
    KEVENT_TIMER, KEVENT_TIMER_ABSTIME, KEVENT_TIMER_BOOTTIME, KEVENT_TIMER_CLOCK_MASK,
    KEVENT_TIMER_FIRED, KEVENT_TIMER_MONOTONIC, KEVENT_TIMER_REALTIME, KEVENT_TIMER_TAI,
};

use super::sealed::{Request, Sealed};
use super::{modes, Source};
use crate::nanoseconds;

/// A timer, which needs no descriptor.
///
/// [`Event::data`](crate::Event::data) is how often it expired since it was last told of, so a consumer
/// that is late knows how late. Its interrupts are at least 100 us apart; what expires between two
/// is counted together. A time beyond 292 years is 292 years.
///
/// ```
/// use std::time::{Duration, Instant};
/// use kevent::Timer;
///
/// let in_a_second = Timer::after(Duration::from_secs(1)).once();
/// let ticks = Timer::every(Duration::from_millis(10));
/// let deadline = Timer::at(Instant::now() + Duration::from_secs(30)).once();
/// ```
///
/// A timer that has expired for the last time stays in the queue, unless it was
/// [`once`](Timer::once): [`rearm`](crate::Registration::rearm) starts it anew, before and after it
/// expired. So a timeout that input puts off is a timer without a mode:
///
/// ```
/// # if !kevent::is_supported() { return Ok(()); }
/// use std::time::Duration;
/// use kevent::{Ring, Timer, Wait};
///
/// let ring = Ring::new(8)?;
/// let mut consumer = ring.consumer()?;
/// let mut idle = ring.add(1, Timer::after(Duration::from_millis(10)))?;
/// # std::thread::sleep(Duration::from_millis(30));
/// let mut ended = 0;
/// while ended < 2 {
///     idle.rearm()?; // the peer has said something: the time counts from now on
///     consumer.wait(Wait::FOREVER)?; // returns also for an event that was taken back by rearm()
///     for event in consumer.events() {
///         assert!(idle.owns(&event)); // not of a time before it was put off
///         ended += 1;
///     }
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    first: u64,
    interval: u64,
    pub(super) flags: u32,
}

/// The clock of a relative [`Timer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Clock {
    /// Stands still while the machine is suspended; that of [`Instant`].
    #[default]
    Monotonic,
    /// Goes on while the machine is suspended. It does not wake it.
    Boottime,
}

impl Timer {
    fn new(first: u64, interval: u64, flags: u32) -> Timer {
        Timer {
            first,
            interval,
            flags,
        }
    }

    /// Expires once, so long after it is added or set.
    pub fn after(delay: Duration) -> Timer {
        Timer::new(nanoseconds(delay), 0, KEVENT_TIMER_MONOTONIC)
    }

    /// Expires again and again, the first time after one interval.
    pub fn every(interval: Duration) -> Timer {
        Timer::after(interval).repeat(interval)
    }

    /// Expires at a time, and at once if it is over. Never early.
    pub fn at(time: Instant) -> Timer {
        // In this order: what passes between the two readings makes the timer late.
        let now = Instant::now();
        let clock = monotonic();
        let first = match time.checked_duration_since(now) {
            Some(ahead) => clock.saturating_add(ahead),
            None => clock.saturating_sub(now - time),
        };
        let flags = KEVENT_TIMER_ABSTIME | KEVENT_TIMER_MONOTONIC;
        Timer::new(nanoseconds(first), 0, flags)
    }

    /// Expires when the clock on the wall says so, and follows that clock when it is set.
    pub fn at_date(time: SystemTime) -> Timer {
        let first = time.duration_since(SystemTime::UNIX_EPOCH);
        let flags = KEVENT_TIMER_ABSTIME | KEVENT_TIMER_REALTIME;
        Timer::new(nanoseconds(first.unwrap_or_default()), 0, flags)
    }

    /// Expires when International Atomic Time, which has no leap seconds, is `since_epoch`.
    pub fn at_tai(since_epoch: Duration) -> Timer {
        let flags = KEVENT_TIMER_ABSTIME | KEVENT_TIMER_TAI;
        Timer::new(nanoseconds(since_epoch), 0, flags)
    }

    /// And again after each interval, which is 1 ns at least.
    pub fn repeat(self, interval: Duration) -> Timer {
        Timer {
            interval: nanoseconds(interval).max(1),
            ..self
        }
    }

    /// Runs by another clock. It has no effect on a timer that expires at a time.
    pub fn clock(self, clock: Clock) -> Timer {
        if self.flags & KEVENT_TIMER_ABSTIME != 0 {
            return self;
        }
        let bits = match clock {
            Clock::Monotonic => KEVENT_TIMER_MONOTONIC,
            Clock::Boottime => KEVENT_TIMER_BOOTTIME,
        };
        Timer {
            flags: self.flags & !KEVENT_TIMER_CLOCK_MASK | bits,
            ..self
        }
    }
}

modes!(Timer);

impl Source for Timer {}

impl Sealed for Timer {
    fn request(&self) -> Request {
        Request {
            kind: KEVENT_TIMER,
            id: None,
            mask: KEVENT_TIMER_FIRED,
            flags: self.flags,
            param: [self.first, self.interval],
        }
    }
}

/// What CLOCK_MONOTONIC says.
fn monotonic() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: The structure is ours. This clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        for ahead in [0, 1, 1000, 1_000_000_000] {
            let before = monotonic();
            let timer = Timer::at(Instant::now() + Duration::from_nanos(ahead));
            assert!(u128::from(timer.first) >= before.as_nanos() + u128::from(ahead));
            assert_eq!(timer.interval, 0);
        }
    }

    #[test]
    fn a_time_that_is_over_fires_at_once() {
        let now = Instant::now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(Timer::at(now).first < monotonic().as_nanos() as u64);
        assert_eq!(
            Timer::at_date(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).first,
            0
        );
    }

    #[test]
    fn the_last_mode_counts() {
        let flags = |timer: Timer| timer.request().flags;
        let timer = Timer::after(Duration::ZERO);
        assert_eq!(
            flags(timer.once().dispatch()),
            kevent_sys::KEVENT_REQ_DISPATCH
        );
        assert_eq!(
            flags(timer.dispatch().once()),
            kevent_sys::KEVENT_REQ_ONESHOT
        );
    }

    #[test]
    fn a_date_keeps_its_clock() {
        let timer = Timer::at_tai(Duration::from_secs(1));
        assert_eq!(timer.clock(Clock::Boottime), timer);
        let timer = Timer::after(Duration::ZERO).clock(Clock::Boottime);
        assert_eq!(timer.flags & KEVENT_TIMER_CLOCK_MASK, KEVENT_TIMER_BOOTTIME);
        assert_eq!(timer.clock(Clock::Monotonic), Timer::after(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn no_time_is_refused(secs: u64, nanos in 0..1_000_000_000u32) {
            let timer = Timer::every(Duration::new(secs, nanos));
            prop_assert!(timer.interval >= 1 && timer.interval < 1 << 63);
            prop_assert!(timer.first < 1 << 63);
            prop_assert!(timer.first <= timer.interval);
        }
    }
}
