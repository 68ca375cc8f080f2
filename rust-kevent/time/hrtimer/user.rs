// SPDX-License-Identifier: GPL-2.0

//! Timers that a user of the kernel controls: clock and mode are chosen at run time, and expiries may
//! be in the past.
//!
//! A timer has a state, with a lock that its callback takes. A timer is started only by who holds
//! that lock and has found it idle, so that nobody moves a timer that is queued.

use super::HrTimerRestart;
use crate::{
    bindings,
    container_of,
    prelude::*,
    sync::{
        new_spinlock_irq,
        SpinLockIrq, //
    },
    types::Opaque, //
};

/// The clock of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserClock {
    /// `CLOCK_MONOTONIC`.
    Monotonic,
    /// `CLOCK_REALTIME`.
    RealTime,
    /// `CLOCK_BOOTTIME`.
    BootTime,
    /// `CLOCK_TAI`.
    Tai,
}

impl UserClock {
    fn id(self) -> bindings::clockid_t {
        let id = match self {
            UserClock::Monotonic => bindings::CLOCK_MONOTONIC,
            UserClock::RealTime => bindings::CLOCK_REALTIME,
            UserClock::BootTime => bindings::CLOCK_BOOTTIME,
            UserClock::Tai => bindings::CLOCK_TAI,
        };
        id as bindings::clockid_t
    }

    /// The time of this clock that is `time` in the time namespace of the caller.
    pub fn host_time(self, time: i64) -> i64 {
        // SAFETY: Computes with numbers, and looks at `current`.
        unsafe { bindings::timens_ktime_to_host(self.id(), time) }
    }
}

/// What a timer does.
pub trait Expire: Send + Unpin + Sized {
    /// The timer expired; it is now `now` by its clock. Returns when it expires next.
    ///
    /// The lock of the state is held, and the context may be a hard interrupt.
    fn expired(&mut self, now: i64) -> Option<i64>;
}

/// A timer with its state.
///
/// # Invariants
///
/// `timer` is set up with [`UserTimer::run`]. Who queues it holds the lock of `state`, and has found
/// that it is neither queued nor running.
#[pin_data(PinnedDrop)]
pub struct UserTimer<S: Expire> {
    #[pin]
    timer: Opaque<bindings::hrtimer>,
    #[pin]
    state: SpinLockIrq<S>,
}

// SAFETY: A timer is not bound to a thread.
unsafe impl<S: Expire> Send for UserTimer<S> {}
// SAFETY: The state has a lock, and timers have one of their own.
unsafe impl<S: Expire> Sync for UserTimer<S> {}

const ABS: bindings::hrtimer_mode = bindings::hrtimer_mode_HRTIMER_MODE_ABS;

impl<S: Expire> UserTimer<S> {
    /// A timer that is idle.
    pub fn new(state: S) -> impl PinInit<Self> {
        pin_init!(Self {
            timer <- Opaque::ffi_init(|timer: *mut bindings::hrtimer| {
                // SAFETY: The memory is ours, and pinned from now on.
                unsafe { Self::setup(timer, UserClock::Monotonic) }
            }),
            state <- new_spinlock_irq!(state, "UserTimer::state"),
        })
    }

    /// The time by its clock.
    fn now(&self) -> i64 {
        // SAFETY: The timer is set up.
        unsafe { bindings::hrtimer_cb_get_time(self.timer.get()) }
    }

    /// Stops the timer, changes its clock and state, and starts it if `change` says when it is to
    /// expire. If that time has come, it expires at once, and [`Expire::expired`] is called from here.
    ///
    /// May wait for the callback, so no lock that the callback takes may be held.
    pub fn start(&self, clock: UserClock, change: impl FnOnce(&mut S, i64) -> Option<i64>) {
        loop {
            let mut state = self.state.lock();
            if self.try_cancel() {
                // SAFETY: The timer is idle and stays so, as the lock is held.
                unsafe { Self::setup(self.timer.get(), clock) };
                let expires = change(&mut state, self.now());
                return self.queue(&mut state, expires);
            }
            drop(state);
            self.cancel();
        }
    }

    /// Changes the state of a timer, and moves it to when `change` says, if it does; but a timer whose
    /// callback is about to run is left to that.
    pub fn adjust(&self, change: impl FnOnce(&mut S, i64) -> Option<i64>) {
        let mut state = self.state.lock();
        let expires = change(&mut state, self.now());
        if expires.is_some() && self.try_cancel() {
            self.queue(&mut state, expires);
        }
    }

    /// Whether the timer is now idle. The lock of the state must be held for it to stay so.
    fn try_cancel(&self) -> bool {
        // SAFETY: The timer is set up.
        unsafe { bindings::hrtimer_try_to_cancel(self.timer.get()) >= 0 }
    }

    /// Queues an idle timer, with the lock of the state held.
    fn queue(&self, state: &mut S, mut expires: Option<i64>) {
        while let Some(time) = expires {
            // INVARIANT: By the contract of this function.
            //
            // SAFETY: The timer is set up.
            let start =
                || unsafe { bindings::hrtimer_start_range_ns_user(self.timer.get(), time, 0, ABS) };
            // The call queues an expired timer if another one expires before it.
            if time > self.now() && start() {
                return;
            }
            expires = state.expired(self.now());
        }
    }

    /// # Safety
    ///
    /// `timer` must be valid for writes, and idle.
    unsafe fn setup(timer: *mut bindings::hrtimer, clock: UserClock) {
        // SAFETY: By the safety requirement.
        unsafe { bindings::hrtimer_setup(timer, Some(Self::run), clock.id(), ABS) };
    }

    /// Stops the timer. On return its callback does not run. May wait, so no lock that the callback
    /// takes may be held.
    pub fn cancel(&self) {
        // SAFETY: The timer is set up.
        unsafe { bindings::hrtimer_cancel(self.timer.get()) };
    }

    /// # Safety
    ///
    /// `timer` must be that of a `UserTimer<S>` which expired.
    unsafe extern "C" fn run(timer: *mut bindings::hrtimer) -> bindings::hrtimer_restart {
        // SAFETY: By the safety requirement, and `drop()` waits until this returns.
        let this = unsafe { &*container_of!(Opaque::cast_from(timer), Self, timer) };
        let mut state = this.state.lock();
        match state.expired(this.now()) {
            Some(expires) => {
                // SAFETY: While its callback runs, nobody queues the timer, by the type invariant.
                unsafe { bindings::hrtimer_set_expires(timer, expires) };
                HrTimerRestart::Restart.into_c()
            }
            None => HrTimerRestart::NoRestart.into_c(),
        }
    }
}

#[pinned_drop]
impl<S: Expire> PinnedDrop for UserTimer<S> {
    fn drop(self: Pin<&mut Self>) {
        self.cancel();
    }
}
