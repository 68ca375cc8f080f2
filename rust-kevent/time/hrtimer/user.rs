// SPDX-License-Identifier: GPL-2.0

//! Timers that a user of the kernel controls, and may have many of: the clock is chosen at run
//! time, and expiries may be in the past.
//!
//! The timers of one owner share an `hrtimer` for each clock. It is armed for the soonest; the
//! others wait in a tree. So most timers are started and stopped without touching the `hrtimer`,
//! and those that expire together do so in one callback.
//!
//! # The lock
//!
//! One lock of the owner protects the trees, and the states of the timers. [`Expire::expired`] runs
//! under it. So who has it, and finds that a timer is in no tree, knows that it does not expire.
//!
//! # When the `hrtimer` runs
//!
//! Under the lock, one of these holds for each clock:
//!
//! * the `hrtimer` is queued, for the soonest timer or earlier, or for the next of several rounds;
//! * its callback is running and has yet to take the lock;
//! * there is no timer.
//!
//! Who starts a timer that is sooner than what the `hrtimer` is armed for moves the `hrtimer`. Who
//! stops the soonest one leaves the `hrtimer` as it is: it finds nothing, and is armed for the
//! next. A timer that is set anew over and over, and never expires, costs no access to the clock
//! event device.
//!
//! The `hrtimer` may be queued by another processor while its callback waits for the lock. Then the
//! callback leaves it so: it is as soon as any timer.
//!
//! The callback is a hard interrupt, or, with `PREEMPT_RT`, a thread: the lock sleeps there.
//!
//! It lets a bounded number of timers expire. If more are due, the `hrtimer` is queued for a moment
//! later, and counts as armed for the soonest of them: the interrupt ends, and who starts a timer
//! does not do the work of the next one.

use super::HrTimerRestart;
use crate::{
    bindings,
    container_of,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    },
    time::{
        BootTime,
        ClockSource,
        Monotonic,
        RealTime,
        Tai, //
    },
    types::Opaque, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ptr::NonNull, //
};

mod tree;
use tree::{
    Node,
    Tree, //
};

/// The clock of a timer. Its number is a place in arrays.
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
    const ALL: [Self; 4] = [
        UserClock::Monotonic,
        UserClock::RealTime,
        UserClock::BootTime,
        UserClock::Tai,
    ];

    fn id(self) -> bindings::clockid_t {
        match self {
            UserClock::Monotonic => Monotonic::ID,
            UserClock::RealTime => RealTime::ID,
            UserClock::BootTime => BootTime::ID,
            UserClock::Tai => Tai::ID,
        }
    }

    fn now(self) -> i64 {
        match self {
            UserClock::Monotonic => Monotonic::ktime_get(),
            UserClock::RealTime => RealTime::ktime_get(),
            UserClock::BootTime => BootTime::ktime_get(),
            UserClock::Tai => Tai::ktime_get(),
        }
    }

    /// The time of this clock that is `time` in the time namespace of the caller.
    ///
    /// # Safety
    ///
    /// The thread is in a system call: when it ends, it has no namespaces at last.
    pub unsafe fn host_time(self, time: i64) -> i64 {
        // SAFETY: By the safety requirement, `current` has namespaces. The rest are numbers.
        unsafe { bindings::timens_ktime_to_host(self.id(), time) }
    }
}

/// The state of a timer, and what it does.
pub trait Expire: Send + Sized {
    /// Who has such timers.
    type Owner: HasUserTimers<Self>;

    /// Timers expired, at least one. If they are not taken from `due`, they expire again at once.
    ///
    /// The lock of the timers is held, so none may be started, adjusted or stopped. The context may
    /// be a hard interrupt.
    fn expired(owner: &Self::Owner, due: Due<'_, Self>);
}

/// Who has timers. Implemented by [`impl_has_user_timers!`](crate::impl_has_user_timers).
///
/// # Safety
///
/// What is returned is part of `self`, and always the same.
pub unsafe trait HasUserTimers<T: Expire<Owner = Self>>: Send + Sync + Sized {
    /// Its timers.
    fn user_timers(&self) -> &UserTimers<T>;
}

/// Implements [`HasUserTimers`] for a struct with a field of type [`UserTimers`].
#[macro_export]
macro_rules! impl_has_user_timers {
    (impl HasUserTimers<$timer:ty> for $self:ty { self.$field:ident }) => {
        // SAFETY: It is a field.
        unsafe impl $crate::time::hrtimer::HasUserTimers<$timer> for $self {
            #[inline]
            fn user_timers(&self) -> &$crate::time::hrtimer::UserTimers<$timer> {
                let timers: *const $crate::time::hrtimer::UserTimers<$timer> =
                    ::core::ptr::addr_of!(self.$field);
                // SAFETY: It points into `self`.
                unsafe { &*timers }
            }
        }
    };
}
pub use impl_has_user_timers;

/// Timers that expire in one round: under the lock, and in one interrupt.
const ROUND: u32 = 64;
/// From the begin of a round to that of the next one, in ns, if more timers are due.
const PACE: i64 = 20_000;

const ABS: bindings::hrtimer_mode = bindings::hrtimer_mode_HRTIMER_MODE_ABS;

/// What runs the timers of one clock.
#[pin_data]
struct Base {
    #[pin]
    timer: Opaque<bindings::hrtimer>,
    clock: UserClock,
}

/// The timers of one clock that are started.
struct Line {
    tree: Tree,
    /// What the `hrtimer` is queued for, or was when its callback began; `i64::MAX` if neither. The
    /// soonest timer, if that is due and waits for the next round.
    armed: i64,
}

impl Line {
    /// Whether the `hrtimer` would run after the soonest timer.
    #[inline]
    fn is_late(&self) -> bool {
        self.tree
            .soonest()
            .is_some_and(|soonest| soonest < self.armed)
    }

    /// When the `hrtimer` is to run next, if it is, after a round at `now`.
    fn next(&mut self, now: i64) -> Option<i64> {
        self.armed = self.tree.soonest().unwrap_or(i64::MAX);
        match self.armed {
            i64::MAX => None,
            soonest if soonest <= now => Some(now.saturating_add(PACE)),
            soonest => Some(soonest),
        }
    }
}

type Lines = [Line; UserClock::ALL.len()];

#[inline]
fn line(lines: &mut Lines, clock: UserClock) -> &mut Line {
    // There is one for each clock.
    &mut lines[clock as usize]
}

/// The timers of one owner.
///
/// # Examples
///
/// Bells that ring every millisecond, and a tower that knows how often all of its bells did:
///
/// ```
/// use kernel::{
///     prelude::*,
///     sync::{
///         atomic::{
///             Atomic,
///             Relaxed, //
///         },
///         Arc, //
///     },
///     time::{
///         delay::fsleep,
///         hrtimer::{
///             impl_has_user_timers,
///             Due,
///             Expire,
///             UserClock,
///             UserTimer,
///             UserTimers, //
///         },
///         Delta, //
///     }, //
/// };
///
/// const PERIOD: i64 = 1_000_000;
///
/// struct Bell;
///
/// #[pin_data]
/// struct Tower {
///     #[pin]
///     timers: UserTimers<Bell>,
///     rung: Atomic<u32>,
/// }
///
/// impl_has_user_timers! {
///     impl HasUserTimers<Bell> for Tower { self.timers }
/// }
///
/// impl Expire for Bell {
///     type Owner = Tower;
///
///     fn expired(tower: &Tower, due: Due<'_, Bell>) {
///         due.take(|_bell, now, _expires| {
///             tower.rung.fetch_add(1, Relaxed);
///             Some(now.saturating_add(PERIOD))
///         });
///     }
/// }
///
/// let tower = Arc::pin_init(
///     pin_init!(Tower {
///         timers <- UserTimers::new(),
///         rung: Atomic::new(0),
///     }),
///     GFP_KERNEL,
/// )?;
/// let bell = KBox::pin_init(UserTimer::new(tower.clone(), Bell), GFP_KERNEL)?;
/// bell.start(UserClock::Monotonic, |_bell, now| now.saturating_add(PERIOD));
/// while tower.rung.load(Relaxed) < 3 {
///     fsleep(Delta::from_millis(1));
/// }
/// bell.stop();
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// * `bases` are those of `UserClock::ALL`, in this order.
/// * Nodes in `lines` are those of a `UserTimer<T>` whose owner has these timers. They are in the
///   tree of the clock that their timer names.
#[pin_data(PinnedDrop)]
pub struct UserTimers<T: Expire> {
    #[pin]
    bases: [Base; UserClock::ALL.len()],
    #[pin]
    lines: SpinLockIrq<Lines>,
    _timers: PhantomData<T>,
}

// SAFETY: Nothing in it is bound to a thread.
unsafe impl<T: Expire> Send for UserTimers<T> {}
// SAFETY: The trees have a lock, and an `hrtimer` has one of its own.
unsafe impl<T: Expire> Sync for UserTimers<T> {}

impl<T: Expire> UserTimers<T> {
    /// No timers.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            bases <- pin_init::pin_init_array_from_fn(|index| Self::base(index)),
            lines <- new_spinlock_irq!(
                [const {
                    Line {
                        tree: Tree::new(),
                        armed: i64::MAX,
                    }
                }; UserClock::ALL.len()],
                "UserTimers::lines"
            ),
            _timers: PhantomData,
        })
    }

    fn base(index: usize) -> impl PinInit<Base> {
        let clock = UserClock::ALL.get(index).copied();
        let clock = clock.unwrap_or(UserClock::Monotonic);
        pin_init!(Base {
            timer <- Opaque::ffi_init(move |timer: *mut bindings::hrtimer| {
                // SAFETY: The memory is ours, and pinned from now on.
                unsafe { bindings::hrtimer_setup(timer, Some(Self::run), clock.id(), ABS) };
            }),
            clock,
        })
    }

    fn hrtimer(&self, clock: UserClock) -> *mut bindings::hrtimer {
        self.bases[clock as usize].timer.get()
    }

    /// Lets timers expire that have done so by `now`, up to [`ROUND`].
    ///
    /// # Safety
    ///
    /// `line` must be that of `clock`, borrowed from the lock.
    unsafe fn expire(line: &mut Line, clock: UserClock, now: i64) {
        let Some(first) = line.tree.first() else {
            return;
        };
        if line.tree.soonest().is_some_and(|soonest| soonest > now) {
            return;
        }
        // SAFETY: By the type invariant. It is not dropped as long as the lock is held, even if it
        // is taken out of the tree; see `UserTimer::used`.
        let owner = unsafe { &(*UserTimer::<T>::of(first)).owner };
        let due = Due {
            tree: &mut line.tree,
            clock,
            now,
            first,
            most: ROUND,
            _timers: PhantomData,
        };
        T::expired(owner, due);
    }

    /// Makes the `hrtimer` run in time.
    ///
    /// # Safety
    ///
    /// As that of [`Self::expire()`].
    #[inline(always)]
    unsafe fn arm(&self, line: &mut Line, clock: UserClock) {
        if line.is_late() {
            // SAFETY: By the safety requirement.
            unsafe { self.move_hrtimer(line, clock) };
        }
    }

    /// Moves the `hrtimer` to the soonest timer, or lets that expire.
    ///
    /// # Safety
    ///
    /// As that of [`Self::expire()`].
    #[cold]
    unsafe fn move_hrtimer(&self, line: &mut Line, clock: UserClock) {
        let Some(soonest) = line.tree.soonest() else {
            return;
        };
        line.armed = soonest;
        let timer = self.hrtimer(clock);
        // SAFETY: The timer is set up.
        if unsafe { bindings::hrtimer_start_range_ns_user(timer, soonest, 0, ABS) } {
            return;
        }
        // It has expired already, and is not queued.
        let now = clock.now();
        // SAFETY: By the safety requirement.
        unsafe { Self::expire(line, clock, now) };
        if let Some(next) = line.next(now) {
            // SAFETY: The timer is set up.
            unsafe { bindings::hrtimer_start_range_ns(timer, next, 0, ABS) };
        }
    }

    /// # Safety
    ///
    /// `timer` must be that of one of the `bases`, and its callback be running.
    unsafe extern "C" fn run(timer: *mut bindings::hrtimer) -> bindings::hrtimer_restart {
        // SAFETY: By the safety requirement, and `drop()` waits until this returns. The place of a
        // base is the number of its clock.
        let (this, clock) = unsafe {
            let base = container_of!(Opaque::cast_from(timer), Base, timer);
            let clock = (*base).clock;
            let bases = base
                .sub(clock as usize)
                .cast::<[Base; UserClock::ALL.len()]>();
            (&*container_of!(bases, Self, bases), clock)
        };
        let mut lines = this.lines.lock();
        let line = line(&mut lines, clock);
        let now = clock.now();
        // SAFETY: The line is that of the clock, and locked.
        unsafe { Self::expire(line, clock, now) };
        // SAFETY: The timer is valid. It is only queued by who has the lock, so while its callback
        // runs this does not change.
        if unsafe { (&raw const (*timer).is_queued).read_volatile() } {
            return HrTimerRestart::NoRestart.into_c();
        }
        let Some(next) = line.next(now) else {
            return HrTimerRestart::NoRestart.into_c();
        };
        // SAFETY: Its callback runs, and it is not queued.
        unsafe { bindings::hrtimer_set_expires(timer, next) };
        HrTimerRestart::Restart.into_c()
    }
}

#[pinned_drop]
impl<T: Expire> PinnedDrop for UserTimers<T> {
    fn drop(self: Pin<&mut Self>) {
        // Each timer has its owner, so there is none left; but an `hrtimer` may be queued.
        for base in &self.bases {
            // SAFETY: The timer is set up.
            unsafe { bindings::hrtimer_cancel(base.timer.get()) };
        }
    }
}

/// Timers that have expired.
pub struct Due<'a, T: Expire> {
    tree: &'a mut Tree,
    clock: UserClock,
    now: i64,
    first: NonNull<Node>,
    /// How many may be taken.
    most: u32,
    _timers: PhantomData<&'a T>,
}

impl<T: Expire> Due<'_, T> {
    /// Takes each out of the tree. `expire` gets its state, the time by its clock, and when it was
    /// to expire, and returns when it expires next, if it does.
    #[inline]
    pub fn take(self, mut expire: impl FnMut(&mut T, i64, i64) -> Option<i64>) {
        let Due {
            tree,
            clock,
            now,
            first,
            most,
            ..
        } = self;
        let mut next = Some(first);
        for _ in 0..most {
            let Some(node) = next else {
                break;
            };
            // SAFETY: It is in the tree.
            let expires = unsafe { tree.expires(node) };
            if expires > now {
                break;
            }
            // SAFETY: By the invariant of `UserTimers`, whose lock is held.
            let place = unsafe { &mut *(*UserTimer::<T>::of(node)).place.get() };
            // SAFETY: It is in the tree.
            unsafe { tree.unlink(node) };
            place.queued = None;
            if let Some(expires) = expire(&mut place.state, now, expires) {
                // SAFETY: It is in no tree, and its `drop()` takes it out.
                unsafe { tree.link(node, expires) };
                place.queued = Some(clock);
            }
            next = tree.first();
        }
    }
}

/// What the lock of the timers protects.
struct Place<T> {
    state: T,
    /// In whose tree it is.
    queued: Option<UserClock>,
}

/// A timer.
///
/// # Invariants
///
/// `node` is in the tree of its owner that `place` says, or in none.
#[pin_data(PinnedDrop)]
pub struct UserTimer<T: Expire> {
    #[pin]
    node: Opaque<Node>,
    place: UnsafeCell<Place<T>>,
    /// Whether it was started since it was stopped. If not, it is in no tree, and no callback that
    /// found it in one is still running.
    used: Atomic<bool>,
    owner: Arc<T::Owner>,
}

// SAFETY: A timer is not bound to a thread, and its state and owner may be sent.
unsafe impl<T: Expire> Send for UserTimer<T> {}
// SAFETY: Node and place have a lock.
unsafe impl<T: Expire> Sync for UserTimer<T> {}

impl<T: Expire> UserTimer<T> {
    /// A timer that is in no tree.
    pub fn new(owner: Arc<T::Owner>, state: T) -> impl PinInit<Self> {
        pin_init!(Self {
            node <- Opaque::uninit(),
            place: UnsafeCell::new(Place {
                state,
                queued: None,
            }),
            used: Atomic::new(false),
            owner,
        })
    }

    /// The owner.
    pub fn owner(&self) -> &Arc<T::Owner> {
        &self.owner
    }

    /// # Safety
    ///
    /// `node` must be that of a `UserTimer<T>`.
    #[inline]
    unsafe fn of(node: NonNull<Node>) -> *const Self {
        // SAFETY: By the safety requirement.
        unsafe { container_of!(Opaque::cast_from(node.as_ptr()), Self, node) }
    }

    #[inline]
    fn node(&self) -> NonNull<Node> {
        // SAFETY: A field has an address.
        unsafe { NonNull::new_unchecked(self.node.get()) }
    }

    /// Takes it out of its tree.
    ///
    /// # Safety
    ///
    /// `lines` must be those of its owner, and locked.
    #[inline]
    unsafe fn unlink(&self, lines: &mut Lines) {
        // SAFETY: By the safety requirement.
        let place = unsafe { &mut *self.place.get() };
        if let Some(clock) = place.queued.take() {
            // SAFETY: By the type invariant.
            unsafe { line(lines, clock).tree.unlink(self.node()) };
        }
    }

    /// Puts it into a tree.
    ///
    /// # Safety
    ///
    /// As that of [`Self::unlink()`], and it must be in no tree.
    #[inline]
    unsafe fn link(&self, lines: &mut Lines, clock: UserClock, expires: i64) {
        // SAFETY: By the safety requirement. It stays valid, as `drop()` takes it out.
        unsafe {
            line(lines, clock).tree.link(self.node(), expires);
            (*self.place.get()).queued = Some(clock);
        }
    }

    /// Starts the timer, or starts it anew. `change` gets its state, and the time by the clock, and
    /// returns when it expires. If that time has come, it expires from here.
    pub fn start(&self, clock: UserClock, change: impl FnOnce(&mut T, i64) -> i64) {
        let timers = self.owner.user_timers();
        let mut lines = timers.lines.lock();
        self.used.store(true, Relaxed);
        // SAFETY: The lines are those of the owner, and locked. So is the place.
        let (now, expires) = unsafe {
            self.unlink(&mut lines);
            let now = clock.now();
            let expires = change(&mut (*self.place.get()).state, now);
            self.link(&mut lines, clock, expires);
            (now, expires)
        };
        let line = line(&mut lines, clock);
        if expires <= now {
            let due = Due {
                tree: &mut line.tree,
                clock,
                now,
                first: self.node(),
                most: 1,
                _timers: PhantomData,
            };
            T::expired(&self.owner, due);
        }
        // SAFETY: The line is that of the clock, and locked.
        unsafe { timers.arm(line, clock) };
    }

    /// Changes a timer that was started and will expire. `change` gets its state, the time by its
    /// clock, and when it is to expire, and returns when it is to do so instead, or nothing to stop
    /// it.
    pub fn adjust(&self, change: impl FnOnce(&mut T, i64, i64) -> Option<i64>) {
        let timers = self.owner.user_timers();
        let mut lines = timers.lines.lock();
        let place = self.place.get();
        // SAFETY: The lock is held.
        let Some(clock) = (unsafe { (*place).queued }) else {
            return;
        };
        // SAFETY: By the type invariant, and the lock is held.
        let (old, expires) = unsafe {
            let old = line(&mut lines, clock).tree.expires(self.node());
            (old, change(&mut (*place).state, clock.now(), old))
        };
        if expires == Some(old) {
            return;
        }
        // SAFETY: The lines are those of the owner, and locked.
        unsafe { self.unlink(&mut lines) };
        if let Some(expires) = expires {
            // SAFETY: As above. The line is that of the clock.
            unsafe {
                self.link(&mut lines, clock, expires);
                timers.arm(line(&mut lines, clock), clock);
            }
        }
    }

    /// Stops the timer. On return it does not expire, nor is it doing so.
    pub fn stop(&self) {
        // Pairs with the release below.
        if !self.used.load(Acquire) {
            return;
        }
        let mut lines = self.owner.user_timers().lines.lock();
        // SAFETY: The lines are those of the owner, and locked.
        unsafe { self.unlink(&mut lines) };
        self.used.store(false, Release);
    }
}

#[pinned_drop]
impl<T: Expire> PinnedDrop for UserTimer<T> {
    fn drop(self: Pin<&mut Self>) {
        self.stop();
    }
}
