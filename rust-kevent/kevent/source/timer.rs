// SPDX-License-Identifier: GPL-2.0

//! Timers.
//!
//! A timer needs no file. Its expirations are computed from the clock whenever somebody looks: when
//! it expires, or a call goes through what is to be looked at again. So they are counted right
//! however seldom it is run, and it is run no more often than anybody can make use of:
//!
//! * never sooner than [`FLOOR`] after it ran, whatever the interval;
//! * while its event is untaken, after 1, 2, 4, 8 ... times that or the interval, up to [`LAZIEST`].
//!   The *lag* counts the doublings.
//!
//! A call that finds the event finished reports what the clock says, and ends the lag.
//!
//! The timers of a queue share its `hrtimer`s. Those that expire together are reported in one go.
//!
//! # Races
//!
//! All is decided by the lock of the queue's timers:
//!
//! * *Expiry and look*: what one has counted, the other does not. Both report while they hold the lock,
//!   so what they have counted is told of the request that it was counted for.
//! * *Expiry and MODIFY*: MODIFY stops the timer before it changes anything. On return, nothing is
//!   being reported.
//! * *Look and end*: a timer that was stopped is in no tree, and there is nothing to find.

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
        queue::{
            Inner,
            Queue, //
        },
        registration::{
            Handle,
            Nature, //
        },
        state::Wake,
        trace, //
    },
    prelude::*,
    sync::Arc,
    time::hrtimer::{
        impl_has_user_timers,
        Due,
        Expire,
        UserClock,
        UserTimer,
        UserTimers, //
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
        let Target { queue, handle } = target;
        let clockwork = Clockwork {
            handle,
            next: NEVER,
            interval: 0,
            lag: 0,
        };
        let tie = Arc::pin_init(
            try_pin_init!(TimerTie { timer <- UserTimer::new(queue, clockwork) }? Error),
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

/// No time of a clock.
const NEVER: i64 = i64::MAX;

/// What a timer counts. Times are in ns of its clock.
pub(crate) struct Clockwork {
    /// The next expiration that is to be counted.
    next: i64,
    interval: u64,
    handle: Handle,
    lag: u32,
}

/// The timers of a queue.
pub(crate) type Timers = UserTimers<Clockwork>;

impl_has_user_timers! {
    impl HasUserTimers<Clockwork> for Queue { self.timers }
}

impl Clockwork {
    /// The expirations until `now` that were not counted before.
    fn advance(&mut self, now: i64) -> u64 {
        let next = self.next;
        if now < next {
            return 0;
        }
        // No interval: this was the last one.
        let Some(more) = now.abs_diff(next).checked_div(self.interval) else {
            self.next = NEVER;
            return 1;
        };
        let count = more.saturating_add(1);
        self.next = next.saturating_add_unsigned(count.saturating_mul(self.interval));
        count
    }

    /// When it is to run after it has counted all until now.
    fn expires(&self) -> Option<i64> {
        if self.next == NEVER {
            return None;
        }
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
        Some(
            self.next
                .saturating_add_unsigned(skipped.saturating_mul(self.interval)),
        )
    }

    /// Counts and reports. Returns whom to wake, if that made an event; nothing if the timer is
    /// not to go on.
    #[inline]
    fn report(&mut self, queue: &Queue, inner: &mut Inner, now: i64) -> Option<Wake> {
        let count = self.advance(now);
        if count == 0 {
            return Some(Wake::None);
        }
        let fired = fired(count);
        let wake = inner.events.report(self.handle, &fired, 0)?;
        trace::fire(queue, fired.mask, wake != Wake::None);
        self.lag = match wake {
            Wake::None => self.lag.saturating_add(1).min(MAX_LAG),
            _ => 0,
        };
        Some(wake)
    }
}

impl Expire for Clockwork {
    type Owner = Queue;

    fn expired(queue: &Queue, due: &mut Due<'_, Self>) {
        let mut inner = queue.lock();
        let mut wake = Wake::None;
        let mut events = 0u32;
        while due.take(|clockwork, now| {
            let woken = clockwork.report(queue, &mut inner, now)?;
            wake = wake.or(woken);
            events = events.wrapping_add(u32::from(woken != Wake::None));
            clockwork.expires()
        }) {}
        queue.wake(inner, wake, events);
    }
}

#[pin_data]
struct TimerTie {
    #[pin]
    timer: UserTimer<Clockwork>,
}

impl Tie for TimerTie {
    fn prepare(self: Arc<Self>, _request: &Event) -> Result {
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
            clockwork.next = if absolute {
                clock.host_time(first)
            } else {
                now.saturating_add(first)
            };
            clockwork.next
        });
        None
    }

    fn end(&self) {
        self.timer.stop();
    }

    fn look(&self, finished: bool) -> Option<Fired> {
        let queue = self.timer.owner();
        self.timer.adjust(|clockwork, now, expires| {
            let mut inner = queue.lock();
            let lag = clockwork.lag;
            let wake = clockwork.report(queue, &mut inner, now)?;
            queue.wake(inner, wake, 1);
            clockwork.lag = lag;
            if clockwork.next != NEVER && (!finished || lag == 0) {
                return Some(expires);
            }
            clockwork.lag = 0;
            clockwork.expires()
        });
        None
    }
}
