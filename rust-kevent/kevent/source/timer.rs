// SPDX-License-Identifier: GPL-2.0

//! Timers.
//!
//! A timer needs no file. Its expirations are computed from the clock whenever somebody looks: when
//! it expires, or a call goes through what is to be looked at again. So they are counted right
//! however seldom it is run, and it is run no more often than anybody can make use of:
//!
//! * never sooner than [`FLOOR`] after it ran, whatever the interval;
//! * while its event is untaken, after 1, 2, 4, 8 ... times that or the interval, up to
//!   [`LAZIEST`]. The *lag* counts the doublings.
//!
//! A call that finds the event finished reports what the clock says, and ends the lag.
//!
//! The timers of a queue share its `hrtimer`s. Those that expire together are reported in one go.
//!
//! # Races
//!
//! All is decided by the lock of the queue's timers:
//!
//! * *Expiry and look*: what one has counted, the other does not. Both report while they hold the
//!   lock, so what they have counted is told of the request that it was counted for.
//! * *Expiry and MODIFY*: MODIFY stops the timer before it changes anything. On return, nothing is
//!   being reported.
//! * *Look and end*: a timer that was stopped is in no tree, and there is nothing to find.

use super::{
    Source,
    Tie, //
};
use crate::{
    bindings,
    kevent::{
        event::{
            Event,
            Fired,
            RET_COUNTED,
            RET_DONE, //
        },
        queue::{
            Events,
            New,
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
const MAX_LAG: u8 = 20;
/// The lag of a timer that has not expired yet: it runs for the first expiration.
const FIRST: u8 = u8::MAX;

const CLOCK_MASK: u32 = bindings::KEVENT_TIMER_CLOCK_MASK;

/// The source of timers.
pub(crate) struct Timer;

impl Source for Timer {
    type Tie = TimerTie;

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

    fn add(&self, new: &mut New<'_>, request: &Event) -> Result {
        // One that was used before has the handle of its place, and gets the rest when it starts.
        let tie = new.insert_tied(
            Nature::Count,
            |_| true,
            |target| {
                let clockwork = Clockwork {
                    handle: target.handle(),
                    interval: 0,
                    lag: FIRST,
                };
                pin_init!(TimerTie { timer <- UserTimer::new(target.into_queue(), clockwork) })
            },
        )?;
        tie.start(request);
        Ok(())
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
///
/// Packed, so that a timer with all that belongs to it fits into 64 bytes. When the next expiration
/// is follows from when the timer is to run.
#[repr(C, packed)]
pub(crate) struct Clockwork {
    interval: u64,
    handle: Handle,
    lag: u8,
}

/// The timers of a queue.
pub(crate) type Timers = UserTimers<Clockwork>;

impl_has_user_timers! {
    impl HasUserTimers<Clockwork> for Queue { self.timers }
}

impl Clockwork {
    /// Expirations that are passed over until it runs.
    fn skipped(&self) -> u64 {
        if self.lag == FIRST {
            return 0;
        }
        let lazy = self
            .interval
            .max(FLOOR)
            .checked_mul(1u64.wrapping_shl(self.lag.into()))
            .map_or(LAZIEST, |lazy| lazy.min(LAZIEST));
        // Both divide by nothing only if there is no interval, and nothing to pass over.
        let floor = FLOOR
            .saturating_add(self.interval.saturating_sub(1))
            .checked_div(self.interval);
        let lazy = lazy.checked_div(self.interval);
        floor.max(lazy).unwrap_or(1).saturating_sub(1)
    }

    /// When it runs, if `next` is the next expiration.
    fn expires(&self, next: i64) -> i64 {
        next.saturating_add_unsigned(self.skipped().saturating_mul(self.interval))
    }

    /// The next expiration, if it is to run at `expires`.
    fn next(&self, expires: i64) -> i64 {
        if self.interval == 0 {
            return expires;
        }
        expires.saturating_sub_unsigned(self.skipped().saturating_mul(self.interval))
    }

    /// The expirations of a timer that runs, and the one after them, if there is one. It was to run
    /// at `expires`, which is not after `now`.
    #[inline]
    fn expirations(&self, now: i64, expires: i64) -> (u64, Option<i64>) {
        if self.interval == 0 {
            return (1, None);
        }
        self.count_up(now, expires)
    }

    #[inline(never)]
    fn count_up(&self, now: i64, expires: i64) -> (u64, Option<i64>) {
        self.count(now, self.next(expires))
    }

    /// When it runs again, if `next` is the next expiration, and the last one woke as `woken` says.
    #[inline(never)]
    fn go_on(&mut self, next: i64, woken: Wake) -> i64 {
        self.lag = match (woken, self.lag) {
            (Wake::None, FIRST) => 1,
            (Wake::None, lag) => lag.saturating_add(1).min(MAX_LAG),
            _ => 0,
        };
        self.expires(next)
    }

    /// The expirations from `next` until `now`, and the one after them, if there is one.
    fn count(&self, now: i64, next: i64) -> (u64, Option<i64>) {
        if now < next {
            return (0, Some(next));
        }
        let Some(more) = now.abs_diff(next).checked_div(self.interval) else {
            return (1, None);
        };
        let count = more.saturating_add(1);
        let next = next.saturating_add_unsigned(count.saturating_mul(self.interval));
        (count, Some(next))
    }
}

impl Expire for Clockwork {
    type Owner = Queue;

    fn expired(queue: &Queue, due: Due<'_, Self>) {
        let mut inner = queue.lock_anywhere();
        let (wake, events, merged) = report_all(queue, &mut inner.events, due);
        if merged {
            queue.wake_beside(&mut inner);
        }
        queue.wake(inner, wake, events);
    }
}

/// Returns whom to wake, for how many events, and whether others only changed one. Not inlined:
/// what it needs for each timer is reached from `events`, and so stays in registers.
#[inline(never)]
fn report_all(queue: &Queue, events: &mut Events, due: Due<'_, Clockwork>) -> (Wake, u32, bool) {
    let mut wake = Wake::None;
    let mut made = 0u32;
    let mut merged = false;
    due.take(|clockwork, now, expires| {
        let (count, next) = clockwork.expirations(now, expires);
        let woken = report(queue, events, clockwork.handle, count)?;
        wake = wake.or(woken);
        made = made.wrapping_add(u32::from(woken != Wake::None));
        merged |= woken == Wake::None;
        Some(clockwork.go_on(next?, woken))
    });
    (wake, made, merged)
}

/// Returns whom to wake; nothing if the timer is not to go on.
#[inline(always)]
fn report(queue: &Queue, events: &mut Events, handle: Handle, count: u64) -> Option<Wake> {
    let fired = fired(count);
    let wake = events.report(handle, &fired, 0)?;
    trace::fire(queue, fired.mask, wake != Wake::None);
    Some(wake)
}

#[pin_data]
pub(crate) struct TimerTie {
    #[pin]
    timer: UserTimer<Clockwork>,
}

// With the reference count of its `Arc`, 64 bytes.
static_assert!(size_of::<TimerTie>() <= 56);

impl Tie for TimerTie {
    fn prepare(&self, _request: &Event) -> Result {
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
            clockwork.lag = FIRST;
            if absolute {
                // SAFETY: Only `kevent_ctl()` starts it.
                unsafe { clock.host_time(first) }
            } else {
                now.saturating_add(first)
            }
        });
        None
    }

    fn end(&self) {
        self.timer.stop();
    }

    fn look(&self, finished: bool) -> Option<Fired> {
        let queue = self.timer.owner();
        self.timer.adjust(|clockwork, now, expires| {
            let (count, next) = clockwork.count(now, clockwork.next(expires));
            if count != 0 {
                let mut inner = queue.lock_anywhere();
                let wake = report(queue, &mut inner.events, clockwork.handle, count)?;
                queue.wake(inner, wake, 1);
            } else if !finished || matches!(clockwork.lag, 0 | FIRST) {
                return Some(expires);
            }
            if finished || clockwork.lag == FIRST {
                clockwork.lag = 0;
            }
            Some(clockwork.expires(next?))
        });
        None
    }
}
