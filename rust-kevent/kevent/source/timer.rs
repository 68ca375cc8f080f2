// SPDX-License-Identifier: GPL-2.0

//! Timers.
//!
//! A timer needs no file. Its expirations are computed from the clock whenever somebody looks: the
//! callback, or a call that goes through what is to be looked at again. So they are counted right
//! however seldom the callback runs, and it runs no more often than anybody can make use of:
//!
//! * never sooner than [`FLOOR`] after it ran, whatever the interval;
//! * while its event is untaken, after 1, 2, 4, 8 ... times that or the interval, up to [`LAZIEST`].
//!   The *lag* counts the doublings.
//!
//! A call that finds the event finished reports what the clock says, and ends the lag.
//!
//! # Races
//!
//! * *Callback and look*: both under the lock of the state; what one has counted, the other does not.
//! * *Callback and MODIFY*: MODIFY stops the timer, and waits for the callback, before it changes
//!   anything.
//! * *Look and end*: a tie that has ended is not live; nobody starts its timer again.

use super::{
    Source,
    Target,
    Tie, //
};
use crate::{
    bindings,
    kevent::{
        array::accounted,
        event::{
            Event,
            Fired,
            RET_COUNTED,
            RET_DONE, //
        },
        queue::Queue,
        registration::Nature, //
    },
    prelude::*,
    sync::Arc,
    time::hrtimer::{
        Expire,
        UserClock,
        UserTimer, //
    }, //
};

/// The shortest time between two runs of a callback, in ns.
const FLOOR: u64 = 100_000;
/// The longest that it lets a taken event wait for the next, in ns, if the interval is shorter.
const LAZIEST: u64 = 1_000_000_000;
/// Doublings after which the lag is beyond any use.
const MAX_LAG: u32 = 20;

const CLOCK_MASK: u32 = bindings::KEVENT_TIMER_CLOCK_MASK;

/// The source of timers.
pub(crate) struct Timer;

impl Source for Timer {
    fn flags(&self) -> u32 {
        bindings::KEVENT_TIMER_ABSTIME | CLOCK_MASK
    }

    fn check(&self, request: &Event) -> Result {
        clock(request)?;
        if request.mask != bindings::KEVENT_TIMER_FIRED
            || request.param.iter().any(|time| *time > i64::MAX as u64)
        {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn nature(&self) -> Nature {
        Nature::Count
    }

    fn tie(&self, target: Target) -> Result<Option<Arc<dyn Tie>>> {
        let clockwork = Clockwork {
            target,
            next: None,
            interval: 0,
            lag: 0,
        };
        let tie = Arc::pin_init(
            try_pin_init!(TimerTie { timer <- UserTimer::new(clockwork) }? Error),
            accounted(),
        )?;
        Ok(Some(tie))
    }
}

/// The clock of a request. Relative times are not moved when a clock is set.
fn clock(request: &Event) -> Result<UserClock> {
    let relative = request.flags & bindings::KEVENT_TIMER_ABSTIME == 0;
    match request.flags & CLOCK_MASK {
        bindings::KEVENT_TIMER_MONOTONIC => Ok(UserClock::Monotonic),
        bindings::KEVENT_TIMER_BOOTTIME => Ok(UserClock::BootTime),
        bindings::KEVENT_TIMER_REALTIME | bindings::KEVENT_TIMER_TAI if relative => {
            Ok(UserClock::Monotonic)
        }
        bindings::KEVENT_TIMER_REALTIME => Ok(UserClock::RealTime),
        bindings::KEVENT_TIMER_TAI => Ok(UserClock::Tai),
        _ => Err(EINVAL),
    }
}

fn fired(count: u64) -> Fired {
    Fired {
        mask: bindings::KEVENT_TIMER_FIRED,
        result: RET_DONE | RET_COUNTED,
        data: count,
        error: 0,
    }
}

/// What a timer counts. Times are in ns of its clock.
struct Clockwork {
    target: Target,
    /// When it expires next; nothing if never.
    next: Option<i64>,
    interval: u64,
    lag: u32,
}

impl Clockwork {
    /// The expirations until `now` that were not counted before.
    fn advance(&mut self, now: i64) -> u64 {
        let Some(next) = self.next.filter(|next| *next <= now) else {
            return 0;
        };
        // No interval: this was the last one.
        let Some(more) = now.abs_diff(next).checked_div(self.interval) else {
            self.next = None;
            return 1;
        };
        let count = more.saturating_add(1);
        self.next = Some(next.saturating_add_unsigned(count.saturating_mul(self.interval)));
        count
    }

    /// When the callback is to run after it has counted all until now.
    fn expires(&self) -> Option<i64> {
        let next = self.next?;
        let lazy = self
            .interval
            .max(FLOOR)
            .checked_mul(1u64.wrapping_shl(self.lag))
            .map_or(LAZIEST, |lazy| lazy.min(LAZIEST));
        // Both divide by nothing only if there is no interval, when `next` is all there is.
        let floor = FLOOR
            .saturating_add(self.interval.saturating_sub(1))
            .checked_div(self.interval);
        let lazy = lazy.checked_div(self.interval);
        let skipped = floor.max(lazy).unwrap_or(1).saturating_sub(1);
        Some(next.saturating_add_unsigned(skipped.saturating_mul(self.interval)))
    }
}

impl Expire for Clockwork {
    fn expired(&mut self, now: i64) -> Option<i64> {
        let count = self.advance(now);
        if count != 0 {
            let inner = self.target.queue.lock();
            match Queue::report(&self.target, inner, &fired(count), 0, || false, None) {
                Some(true) => self.lag = 0,
                Some(false) => self.lag = self.lag.saturating_add(1).min(MAX_LAG),
                // Delivered, and not to go on.
                None => return None,
            }
        }
        self.expires()
    }
}

#[pin_data]
struct TimerTie {
    #[pin]
    timer: UserTimer<Clockwork>,
}

impl Tie for TimerTie {
    fn prepare(self: Arc<Self>, request: &Event) -> Result {
        clock(request)?;
        self.end();
        Ok(())
    }

    fn start(&self, request: &Event) -> Option<Fired> {
        let clock = clock(request).ok()?;
        let [first, interval] = request
            .param
            .map(|time| i64::try_from(time).unwrap_or(i64::MAX));
        let absolute = request.flags & bindings::KEVENT_TIMER_ABSTIME != 0;
        self.timer.start(clock, |clockwork, now| {
            clockwork.interval = interval.unsigned_abs();
            clockwork.lag = 0;
            clockwork.next = Some(if absolute {
                clock.host_time(first)
            } else {
                now.saturating_add(first)
            });
            clockwork.next
        });
        None
    }

    fn end(&self) {
        self.timer.adjust(|clockwork, _| {
            clockwork.next = None;
            None
        });
        self.timer.cancel();
    }

    fn look(&self, finished: bool) -> Option<Fired> {
        let mut count = 0;
        self.timer.adjust(|clockwork, now| {
            count = clockwork.advance(now);
            if !finished || clockwork.lag == 0 {
                return None;
            }
            clockwork.lag = 0;
            clockwork.expires()
        });
        (count != 0).then(|| fired(count))
    }
}
