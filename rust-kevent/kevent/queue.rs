// SPDX-License-Identifier: GPL-2.0

//! A queue: its state, and who sleeps on it.
//!
//! # Sleepers
//!
//! A thread that one event satisfies sleeps on `sleepers`, and is woken alone. One that wants
//! several sleeps on `batchers`, and keeps nobody from his turn: it is woken when as many events
//! have fired as it lacks, or when the ring has no room for more.
//!
//! A consumer of the ring takes events without the kernel, and often those for which another one is
//! being woken. So only one sleeper is woken at a time:
//!
//! ```text
//!   event        waking: owed += 1            else: waking, wake a sleeper
//!   the sleeper  runs: no longer waking
//!                owed, and more events than it takes: owed -= 1, waking, wake the next
//!                owed, and no more events:    owed = 0
//! ```
//!
//! N events for N sleepers so wake all of them, one by the other, and an event that was taken
//! meanwhile wakes nobody. All of it is under `inner`. The races:
//!
//! * *Nobody to wake*: while somebody is `waking`, a thread that slept is on its way to `inner`:
//!   the one woken, or, if all had just stopped to sleep, any of those. The first that comes takes
//!   the mark away, so an event after that wakes one more, perhaps needlessly.
//! * *Woken and gone*: who leaves by signal, timeout or READY, or may die before it takes an event,
//!   takes none: it wakes the next if there is any event. One that dies later, or is slow, leaves
//!   its event untaken: what fires into that wakes the next. Who sleeps after that has seen the
//!   event, so only while nobody sleeps may a source say it again without the lock.
//! * *Woken for what another took*: it sleeps again, and what is owed goes to the next if there are
//!   events that it does not want. As each of these costs one that is owed, two threads that lie
//!   about what they know do not wake each other for ever.
//! * *Woken, and slow to run*: events that fire until it runs wait for it, as if they had fired
//!   then.
//! * *Woken for a level that another took*: that may still be true, so it looks at what there is to
//!   look at before it sleeps again. Who takes a checked level wakes the next one to look. If
//!   nobody sleeps yet, who is about to must look first: `handed` tells him that there was one
//!   since he did.
//!
//! # Pollers
//!
//! Pollers may want edges, and those come from sources: that a level was looked at again and is
//! still true is none. So what a look finds is told to sleepers, and to pollers only if one of
//! these has found nothing since they were told last: the event of the level was not finished then,
//! or somebody was just looking. A wake-up may come second to a look, and then merges into the
//! event that the look has made. So wake-ups that merge are told to pollers, too.

use super::{
    array::{
        accounted,
        Array,
        Circle,
        Spot, //
    },
    deadline::Deadline,
    event::{
        Event,
        Fired, //
    },
    keys::{
        Hash,
        Secret,
        Vacant, //
    },
    limit::Limit,
    memory::{
        RingAccess,
        RingMemory, //
    },
    registration::{
        Handle,
        Nature,
        Registration,
        Table, //
    },
    resume::PutOff,
    ring::{
        Repeat,
        Ring,
        Slot, //
    },
    source::{
        Tie,
        TieOf,
        Tied, //
    },
    state::{
        Asked,
        Look,
        Next,
        Removed,
        State,
        Wake, //
    },
    trace, //
};
use crate::{
    bindings,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            AtomicFlag,
            Relaxed, //
        },
        lock::{
            spinlock::{
                SpinLockGuard,
                SpinLockIrqGuard,
                SpinLockIrqOnGuard, //
            },
            Backend,
            Guard, //
        },
        new_condvar,
        new_mutex,
        new_spinlock_irq,
        poll::PollCondVarBox,
        Arc,
        CondVar,
        CondVarWait,
        Mutex,
        SpinLockIrq,
        UniqueArc, //
    },
    workqueue::{
        self,
        impl_has_work,
        new_work,
        Work,
        WorkItem, //
    }, //
};
static NUMBER: Atomic<u64> = Atomic::new(0);

/// Registrations and events of a queue.
pub(crate) type Events = State<RingAccess, Tied>;

/// Registrations looked at again by a call that may find enough without them.
pub(crate) const FEW: u32 = 64;

/// How `EPOLL_URING_WAKE` marks a wake-up that io_uring must not answer from its own.
pub(crate) const URING_WAKE: u32 = 1 << 27;

/// What is changed by `kevent_ctl()` alone.
#[derive(Default)]
pub(crate) struct Control {
    /// The generation of the newest registration.
    generation: u64,
    /// How many registrations the user is charged for that are not there: they have ended, or a
    /// batch is about to make them. Nothing when `control` is free.
    credit: u32,
}

/// The state, locked in process context.
pub(crate) type Locked<'a> = SpinLockIrqOnGuard<'a, Inner>;

/// What wake-ups change.
pub(crate) struct Inner {
    /// Registrations and events.
    pub(crate) events: Events,
    /// Threads in [`Queue::sleep()`], and [`POLLED`].
    audience: u32,
    /// How many threads there want more than one event.
    batchers: u32,
    /// After how many events the first of these may have enough.
    due: u32,
    /// One of the others is woken, and has not run since.
    waking: bool,
    /// Events since then.
    owed: u32,
    /// How many sleepers READY lets go.
    kicks: u32,
    /// How many times checked levels were handed out.
    pub(crate) handed: u32,
    /// A poller has found nothing since pollers were told.
    blind: bool,
}

/// There may be pollers: of those that have registered, one has looked for events since nobody was
/// registered.
const POLLED: u32 = 1 << 31;

impl Inner {
    /// Threads in [`Queue::sleep()`]: less than there can be.
    fn sleepers(&self) -> u32 {
        self.audience & !POLLED
    }

    /// Whether somebody sleeps whom one event satisfies.
    fn has_singles(&self) -> bool {
        self.sleepers() > self.batchers
    }

    /// Counts an event of which nobody need be told, as one who sleeps is on his way: whether it is
    /// one.
    #[cfg_attr(
        not(CONFIG_KEVENT_FILE),
        expect(dead_code, reason = "only files fire one by one")
    )]
    #[inline(always)]
    pub(crate) fn owe(&mut self) -> bool {
        let owed = self.waking && self.batchers == 0 && self.audience & POLLED == 0;
        if owed {
            self.owed = self.owed.saturating_add(1);
        }
        owed
    }

    /// Whether there is a ring, and no room in it.
    fn is_full(&self) -> bool {
        self.events.ring().is_some() && self.events.pending() != 0
    }
}

/// One queue.
#[pin_data]
pub(crate) struct Queue {
    /// Serializes `kevent_ctl()`. Taken before `inner`.
    #[pin]
    pub(crate) control: Mutex<Control>,
    #[pin]
    inner: SpinLockIrq<Inner>,
    #[pin]
    sleepers: CondVar,
    #[pin]
    batchers: CondVar,
    pollers: PollCondVarBox,
    /// The work item is to tell them [`URING_WAKE`] too.
    uring_wake: AtomicFlag,
    secret: Secret,
    /// The memory of the ring.
    pub(crate) memory: Option<Arc<RingMemory>>,
    /// Whose registrations they are.
    pub(crate) limit: Limit,
    /// Counts queues from boot.
    pub(crate) number: u64,
    /// Its timers.
    #[cfg(CONFIG_KEVENT_TIMER)]
    #[pin]
    pub(crate) timers: super::source::Timers,
    #[pin]
    work: Work<Queue>,
}

/// Whom a tie tells.
///
/// # Invariants
///
/// The spot was made by the table of the queue.
#[cfg_attr(
    not(any(CONFIG_KEVENT_TIMER, CONFIG_KEVENT_FILE)),
    allow(dead_code, reason = "user events have no tie")
)]
pub(crate) struct Target<N = ()> {
    queue: Arc<Queue>,
    spot: Spot<Registration<Tied>>,
    handle: Handle,
    /// What else the tie knows. Of 4 bytes, it takes no room.
    pub(crate) note: N,
}

impl<N> Target<N> {
    /// The queue.
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// The registration.
    pub(crate) fn handle(&self) -> Handle {
        self.handle
    }

    /// The queue, of which it has a reference.
    #[cfg_attr(
        not(CONFIG_KEVENT_TIMER),
        expect(dead_code, reason = "timers have no use for the rest")
    )]
    pub(crate) fn into_queue(self) -> Arc<Queue> {
        self.queue
    }

    /// The same, with another note.
    pub(crate) fn with<M>(self, note: M) -> Target<M> {
        let Target {
            queue,
            spot,
            handle,
            ..
        } = self;
        // INVARIANT: They are those that they were.
        Target {
            queue,
            spot,
            handle,
            note,
        }
    }
}

impl<N: Clone> Clone for Target<N> {
    fn clone(&self) -> Self {
        // INVARIANT: As there.
        Target {
            queue: self.queue.clone(),
            note: self.note.clone(),
            ..*self
        }
    }
}

/// What became of [`Queue::post()`].
pub(crate) enum Posted<'a> {
    /// All is done.
    Done,
    /// There is an event, for [`Queue::posted()`]; whether of a special registration.
    Unheard(SpinLockGuard<'a, Inner>, bool),
    /// It takes [`Queue::report_otherwise()`].
    Not(SpinLockGuard<'a, Inner>),
}

/// What a thread waits for.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    /// How many events satisfy it, at least 1.
    pub(crate) wants: u32,
    /// How many it surely takes.
    pub(crate) takes: u32,
    /// When it stops to wait.
    pub(crate) deadline: Deadline,
    /// `handed` when it began to look.
    pub(crate) seen: u32,
}

/// Why a thread stops to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// What it waits for is true.
    Done,
    /// READY let it go.
    Kicked,
    /// Its time is over.
    Timeout,
    /// A signal is pending.
    Signal,
    /// It was woken for what another took, and there is something to look at again.
    InVain,
}

impl Queue {
    /// A queue, with a ring unless `slots` is 0.
    pub(crate) fn new(slots: u32) -> Result<Arc<Self>> {
        let (memory, ring) = if slots == 0 {
            (None, None)
        } else {
            let memory = Arc::new(RingMemory::new(slots)?, accounted())?;
            let slots = Circle::new(slots as usize, Slot::FRESH)?;
            (
                Some(memory.clone()),
                Some(Ring::new(RingMemory::access(memory), slots)),
            )
        };
        let limit = Limit::of_caller()?;
        // SAFETY: Any context may call it.
        let secret = Secret::new([(); 2].map(|()| unsafe { bindings::get_random_u64() }));
        let pollers = PollCondVarBox::new(c"kevent_pollers", crate::static_lock_class!())?;
        Arc::pin_init(
            try_pin_init!(Queue {
                control <- new_mutex!(Control::default(), "kevent_control"),
                // In place: it is too large for the stack.
                inner <- new_spinlock_irq!(init!(Inner {
                    events: State::new(ring, secret),
                    audience: 0,
                    batchers: 0,
                    due: u32::MAX,
                    waking: false,
                    owed: 0,
                    kicks: 0,
                    handed: 0,
                    blind: false,
                }), "kevent_inner"),
                sleepers <- new_condvar!("kevent_sleepers"),
                batchers <- new_condvar!("kevent_batchers"),
                pollers,
                uring_wake: AtomicFlag::new(false),
                secret,
                memory,
                limit,
                number: NUMBER.fetch_add(1, Relaxed),
                #[cfg(CONFIG_KEVENT_TIMER)]
                timers <- super::source::Timers::new(),
                work <- new_work!("kevent_pollers"),
            }),
            accounted(),
        )
    }

    /// Locks the state in process context, with no lock held but mutexes.
    #[inline(always)]
    pub(crate) fn lock(&self) -> Locked<'_> {
        // SAFETY: There, interrupts are on.
        unsafe { self.inner.lock_irq() }
    }

    /// The same, near the oldest event: interrupts get in on the way there.
    #[inline]
    pub(crate) fn lock_near(&self) -> Locked<'_> {
        loop {
            let mut inner = self.lock();
            if inner.events.catch_up() {
                return inner;
            }
        }
    }

    /// Locks the state in any context.
    pub(crate) fn lock_anywhere(&self) -> SpinLockIrqGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Whom pollers register with.
    pub(crate) fn pollers(&self) -> &PollCondVarBox {
        &self.pollers
    }

    /// Locks the state where interrupts are off.
    #[inline(always)]
    fn lock_with<'a>(&'a self, irq: &'a LocalInterruptDisabled) -> SpinLockGuard<'a, Inner> {
        self.inner.lock_with(irq)
    }

    /// A source says that the bits of `fired` are true, of which those count that are wanted or in
    /// `always`. Returns whether that made an event, or only changed one; nothing if it concerns
    /// nobody. `repeat` then learns what the source may say again without the lock.
    ///
    /// Called from any context. `later` keeps the lock of the pollers out of it,
    /// for who holds one of that class.
    #[cfg_attr(
        not(CONFIG_KEVENT_FILE),
        expect(dead_code, reason = "only files fire one by one")
    )]
    pub(crate) fn report<N>(
        target: &Target<N>,
        fired: &Fired,
        always: u32,
        later: bool,
        repeat: Option<&Repeat>,
    ) -> Option<bool> {
        let Target { queue, handle, .. } = target;
        let mut inner = queue.lock_anywhere();
        let wake = inner.events.report(*handle, fired, always);
        Self::reported(queue, *handle, inner, wake, fired.mask, later, repeat)
    }

    /// The same with `later`, unless the registration has an event that nobody is through with.
    /// Returns whether it concerns the registration, and it has none.
    #[cfg_attr(
        not(CONFIG_KEVENT_FILE),
        expect(dead_code, reason = "only files fire one by one")
    )]
    pub(crate) fn report_if_idle<N>(target: &Target<N>, fired: &Fired, always: u32) -> bool {
        let Target { queue, handle, .. } = target;
        let mut inner = queue.lock_anywhere();
        if inner.events.is_busy(*handle) {
            return false;
        }
        let wake = inner.events.report(*handle, fired, always);
        Self::reported(queue, *handle, inner, wake, fired.mask, true, None).is_some()
    }

    /// [`Queue::report()`] after [`Queue::post()`] has done nothing.
    #[cfg_attr(
        not(CONFIG_KEVENT_FILE),
        expect(dead_code, reason = "only files fire one by one")
    )]
    pub(crate) fn report_otherwise<N>(
        target: &Target<N>,
        mut inner: SpinLockGuard<'_, Inner>,
        fired: &Fired,
        always: u32,
        repeat: &Repeat,
    ) -> Option<bool> {
        let Target { queue, handle, .. } = target;
        let wake = inner.events.report_otherwise(*handle, fired, always);
        let repeat = Some(repeat);
        Self::reported(queue, *handle, inner, wake, fired.mask, false, repeat)
    }

    /// Tells of a wake-up that made no event: pollers, and somebody who sleeps beside an event that
    /// nobody takes. If there are none, the source may say it again without the lock.
    #[inline]
    fn merged<B: Backend>(
        queue: &Arc<Self>,
        handle: Handle,
        mut inner: Guard<'_, Inner, B>,
        mask: u32,
        later: bool,
        repeat: Option<&Repeat>,
    ) {
        let sleeps = inner.has_singles();
        queue.wake_beside(&mut inner);
        if queue.is_polled(&mut inner) {
            drop(inner);
            Self::tell(queue, mask, later);
        } else if let Some(repeat) = repeat.filter(|_| !sleeps) {
            inner.events.repeat(handle, repeat);
        }
    }

    #[inline]
    fn reported<B: Backend>(
        queue: &Arc<Self>,
        handle: Handle,
        inner: Guard<'_, Inner, B>,
        wake: Option<Wake>,
        mask: u32,
        later: bool,
        repeat: Option<&Repeat>,
    ) -> Option<bool> {
        let wake = wake?;
        trace::fire(queue, mask, wake != Wake::None);
        if wake == Wake::None {
            Self::merged(queue, handle, inner, mask, later, repeat);
            return Some(false);
        }
        Self::announce(queue, inner, wake, mask, later);
        Some(true)
    }

    /// What [`Queue::report()`] does most often: makes an event of which nobody waits to hear. If
    /// it is not that, nothing was done, and the lock is handed on.
    ///
    /// Not to be called while [what is reported is traced](trace::is_fire_traced).
    #[cfg_attr(
        not(CONFIG_KEVENT_FILE),
        expect(dead_code, reason = "only files fire one by one")
    )]
    #[inline(always)]
    pub(crate) fn post<'a, N>(
        target: &'a Target<N>,
        irq: &'a LocalInterruptDisabled,
        fired: &Fired,
        always: u32,
    ) -> Posted<'a> {
        let mut inner = target.queue.lock_with(irq);
        // SAFETY: By the type invariant, and it is used with what the lock of the queue protects.
        let here = unsafe { target.spot.here() };
        match inner.events.post(&here, &target.handle, fired, always) {
            Some(special) if u32::from(special) | inner.audience == 0 => Posted::Done,
            Some(special) => Posted::Unheard(inner, special),
            None => Posted::Not(inner),
        }
    }

    /// Tells of an event that [`Queue::post()`] has made.
    #[cfg_attr(
        not(CONFIG_KEVENT_FILE),
        expect(dead_code, reason = "only files fire one by one")
    )]
    #[inline(always)]
    pub(crate) fn posted<N>(
        target: &Target<N>,
        mut inner: SpinLockGuard<'_, Inner>,
        special: bool,
        mask: u32,
    ) {
        let wake = match special {
            true => inner.events.posted(target.handle),
            false => Wake::One,
        };
        Self::announce(&target.queue, inner, wake, mask, false);
    }

    /// Tells sleepers and pollers of one event.
    #[inline]
    fn announce<B: Backend>(
        this: &Arc<Self>,
        mut inner: Guard<'_, Inner, B>,
        wake: Wake,
        mask: u32,
        later: bool,
    ) {
        this.wake_sleepers(&mut inner, wake, 1);
        let poll = this.is_polled(&mut inner);
        drop(inner);
        if poll {
            Self::tell(this, mask, later);
        }
    }

    /// Whether a poller may have missed what happened under this lock.
    #[inline]
    fn is_polled(&self, inner: &mut Inner) -> bool {
        if inner.audience & POLLED == 0 {
            return false;
        }
        inner.blind = false;
        let active = self.pollers.is_active();
        if !active {
            inner.audience &= !POLLED;
        }
        active
    }

    /// Tells pollers from a wake-up that says `mask`.
    #[inline(never)]
    fn tell(this: &Arc<Self>, mask: u32, later: bool) {
        let extra = mask & URING_WAKE;
        if later {
            // A work item that is on its way already tells them. Either it sees the flag, or it is
            // no longer pending: that is ordered by who queues it, and who runs it.
            if extra != 0 {
                this.uring_wake.store(true, Relaxed);
            }
            let _ = workqueue::system_highpri().enqueue(this.clone());
        } else {
            this.tell_pollers(extra);
        }
    }

    /// What process context found by asking a source, unless the request has changed meanwhile.
    pub(crate) fn found(&self, asked: &Asked<Tied>, fired: &Fired) {
        let inner = self.lock();
        if inner.events.is_valid(asked) {
            self.found_at(
                inner,
                asked.handle,
                fired,
                asked.tie.with(|tie| tie.always()),
            );
        }
    }

    /// The same, of a registration that nobody else can change meanwhile.
    pub(crate) fn found_at(
        &self,
        mut inner: Locked<'_>,
        handle: Handle,
        fired: &Fired,
        always: u32,
    ) {
        if let Some(wake) = inner.events.report(handle, fired, always) {
            trace::fire(self, fired.mask, wake != Wake::None);
            self.wake(inner, wake, 1);
        }
    }

    /// The same by looking again. Returns whether that made an event.
    fn found_again(&self, asked: &Asked<Tied>, fired: &Fired) -> bool {
        let mut inner = self.lock();
        if !inner.events.is_valid(asked) {
            return false;
        }
        let always = asked.tie.with(|tie| tie.always());
        let Some(wake) = inner.events.report(asked.handle, fired, always) else {
            return false;
        };
        trace::fire(self, fired.mask, wake != Wake::None);
        match inner.blind {
            true => self.wake(inner, wake, 1),
            false => self.wake_sleepers(&mut inner, wake, 1),
        }
        wake != Wake::None
    }

    /// Looks at registrations again of which there may be more to say. No lock is held while a
    /// source is asked. `left` counts down how many may still be passed. Returns how many events
    /// that made.
    ///
    /// A thread that dies looks at no more of them: what it finds, nobody takes.
    pub(crate) fn look_again(&self, left: &mut u32) -> u32 {
        let mut found = 0u32;
        while *left != 0 {
            // SAFETY: Looks at `current`.
            if unsafe { bindings::kevent_is_dying() } {
                *left = 0;
                break;
            }
            let look = self.lock().events.next_look(left);
            match look {
                Look::At(asked, finished) => {
                    if let Some(fired) = asked.tie.with(|tie| tie.look(finished)) {
                        found = found.wrapping_add(self.found_again(&asked, &fired).into());
                    }
                }
                Look::More => {}
                Look::Nothing => *left = 0,
            }
        }
        found
    }

    /// Whether there is an event to be had, also after looking. Who has registered with the pollers
    /// before is told of later ones.
    pub(crate) fn is_readable(&self) -> bool {
        let mut inner = self.lock_near();
        inner.audience |= POLLED;
        let mut left = inner.events.to_look_at();
        let mut asks = inner.events.pending().saturating_add(left);
        loop {
            if inner.events.has_events() {
                let unchecked = inner.events.unchecked().filter(|_| asks != 0);
                let Some(unchecked) = unchecked else {
                    return true;
                };
                drop(inner);
                asks = asks.wrapping_sub(1);
                if self.is_good(unchecked) {
                    return true;
                }
            } else if left != 0 {
                drop(inner);
                self.look_again(&mut left);
            } else {
                inner.blind = true;
                return false;
            }
            inner = self.lock_near();
        }
    }

    /// Asks the source of an event. One that it does not agree to is dropped; then it is asked once
    /// more, for what fired between, and reports that as an event of its own.
    #[inline(never)]
    fn is_good(&self, (next, event, asked): (Next, Event, Asked<Tied>)) -> bool {
        let is_true = || {
            asked.tie.with(|tie| {
                tie.look(true)
                    .is_some_and(|found| found.mask & (event.mask | tie.always()) != 0)
            })
        };
        if is_true() {
            return true;
        }
        {
            let mut inner = self.lock_near();
            let is_next = inner
                .events
                .unchecked()
                .is_some_and(|(now, _, same)| now == next && same.generation == asked.generation);
            if !is_next || !inner.events.take(next) {
                return false;
            }
            inner.events.rearm(asked.handle);
        }
        if let Some(fired) = asked.tie.with(|tie| tie.look(true)) {
            self.found(&asked, &fired);
        }
        false
    }

    /// The last descriptor and the last mapping are gone.
    pub(crate) fn release(&self) {
        let mut control = self.control.lock();
        let places = self.lock().events.table().used();
        for place in 0..places {
            let handle = Table::<Tied>::nth(place);
            let mut inner = self.lock();
            if inner.events.request(handle).is_some() {
                {
                    let removed = inner.events.remove(handle);
                    drop(inner);
                    control.end(self, &removed);
                }
                inner = self.lock();
            }
            // It has a reference to the queue, and is dropped after the lock.
            let _spare = inner.events.table().empty(handle);
            drop(inner);
        }
        control.settle(self);
    }

    /// The hash of the key of a request.
    #[inline]
    pub(crate) fn hash(&self, request: &Event) -> Hash {
        self.secret.hash(request.kind, request.id)
    }

    /// Locks the state if there is a registration with the key of a request, even if it is over.
    pub(crate) fn lock_at(&self, request: &Event) -> Option<(Locked<'_>, Handle)> {
        let hash = self.hash(request);
        let inner = self.lock();
        let handle = inner.events.find(hash, request.kind, request.id)?;
        Some((inner, handle))
    }

    #[inline(always)]
    fn wake_sleepers(&self, inner: &mut Inner, wake: Wake, events: u32) {
        if wake != Wake::None && inner.sleepers() != 0 {
            self.rouse(inner, wake, events);
        }
    }

    #[inline(never)]
    fn rouse(&self, inner: &mut Inner, wake: Wake, events: u32) {
        if inner.batchers != 0 {
            inner.due = inner.due.saturating_sub(events);
            if inner.due == 0 || wake == Wake::All || inner.is_full() {
                inner.due = u32::MAX;
                self.batchers.notify_all();
            }
        }
        if wake == Wake::All {
            inner.waking = inner.has_singles();
            inner.owed = 0;
            self.sleepers.notify_all();
        } else if inner.waking {
            inner.owed = inner.owed.saturating_add(events);
        } else if inner.has_singles() {
            inner.owed = events.saturating_sub(1);
            self.wake_one(inner);
        }
    }

    /// Wakes who handles what the caller leaves, if there is anything.
    pub(crate) fn pass_on(&self) {
        let mut inner = self.lock_near();
        if !inner.waking && inner.has_singles() && inner.events.has_events() {
            self.wake_one(&mut inner);
        }
    }

    /// Wakes the next one to look at a level that the caller has taken.
    pub(crate) fn pass_look(&self, inner: &mut Inner) {
        inner.handed = inner.handed.wrapping_add(1);
        if !inner.waking && inner.has_singles() && inner.events.to_look_at() != 0 {
            self.wake_one(inner);
        }
    }

    /// Something fired into an event that nobody takes: wakes who sleeps beside it.
    #[inline]
    pub(crate) fn wake_beside(&self, inner: &mut Inner) {
        if inner.has_singles() && !inner.waking {
            self.wake_one(inner);
        }
    }

    fn wake_one(&self, inner: &mut Inner) {
        inner.waking = true;
        self.sleepers.notify_one();
    }

    /// Wakes after `events` of them. Pollers have locks of their own, so theirs is the last turn.
    pub(crate) fn wake<B: Backend>(&self, mut inner: Guard<'_, Inner, B>, wake: Wake, events: u32) {
        self.wake_sleepers(&mut inner, wake, events);
        let poll = wake != Wake::None && self.is_polled(&mut inner);
        drop(inner);
        if poll {
            self.tell_pollers(0);
        }
    }

    #[inline]
    fn tell_pollers(&self, extra: u32) {
        self.pollers
            .notify_poll(bindings::POLLIN | bindings::POLLRDNORM | extra);
    }

    /// Lets one sleeper return. With nobody asleep, the next one that would sleep.
    pub(crate) fn kick(&self) {
        let mut inner = self.lock();
        if inner.kicks < inner.sleepers().max(1) {
            inner.kicks = inner.kicks.saturating_add(1);
        }
        self.pass_kick(&mut inner);
    }

    /// Wakes who may take a kick.
    fn pass_kick(&self, inner: &mut Inner) {
        if inner.has_singles() {
            self.wake_one(inner);
        } else if inner.batchers != 0 {
            self.batchers.notify_all();
        }
    }

    /// Waits until `missing` is 0, which says how many events must fire at least before it can be.
    /// What the thread has put off it does before it sleeps, without the lock.
    pub(crate) fn sleep(
        &self,
        inner: &mut Locked<'_>,
        wait: &Wait,
        put_off: &mut PutOff<'_>,
        mut missing: impl FnMut(&mut Events) -> u32,
    ) -> Woken {
        let mut slept = None;
        loop {
            while slept.is_some() && !inner.events.catch_up() {
                inner.do_unlocked(|| {});
            }
            let lacks = missing(&mut inner.events);
            let reason = if lacks == 0 {
                Some(Woken::Done)
            } else if inner.kicks != 0 {
                inner.kicks = inner.kicks.wrapping_sub(1);
                Some(Woken::Kicked)
            } else {
                match slept {
                    _ if wait.deadline.is_now() => Some(Woken::Timeout),
                    // Task work may look like a signal until it has run.
                    None | Some(CondVarWait::Signal) if put_off.is_some() => None,
                    Some(CondVarWait::Signal) => Some(Woken::Signal),
                    Some(CondVarWait::Timeout) => Some(Woken::Timeout),
                    None if crate::current!().signal_pending() => Some(Woken::Signal),
                    _ if inner.events.to_look_at() != 0
                        && (slept.is_some() || inner.handed != wait.seen) =>
                    {
                        Some(Woken::InVain)
                    }
                    _ => None,
                }
            };
            if let Some(ended) = slept {
                let signal = ended == CondVarWait::Signal;
                self.settle(inner, wait, reason.or(signal.then_some(Woken::Signal)));
            }
            if let Some(reason) = reason {
                return reason;
            }
            slept = if put_off.is_some() {
                inner.do_unlocked(|| put_off.run());
                // It comes anew.
                None
            } else {
                Some(self.sleep_once(inner, wait, lacks))
            };
        }
    }

    fn sleep_once(&self, inner: &mut Locked<'_>, wait: &Wait, lacks: u32) -> CondVarWait {
        let deadline = wait.deadline.condvar();
        inner.audience = inner.audience.wrapping_add(1);
        let ended = if wait.wants > 1 {
            inner.batchers = inner.batchers.saturating_add(1);
            inner.due = inner.due.min(lacks);
            let ended = self.batchers.wait_interruptible_until(inner, deadline);
            inner.batchers = inner.batchers.saturating_sub(1);
            ended
        } else {
            let ended = self.sleepers.wait_interruptible_until(inner, deadline);
            inner.waking = false;
            ended
        };
        inner.audience = inner.audience.wrapping_sub(1);
        ended
    }

    /// Who slept passes on what it does not use, and what is owed. No reason: it sleeps again.
    fn settle(&self, inner: &mut Inner, wait: &Wait, reason: Option<Woken>) {
        if inner.kicks != 0 {
            self.pass_kick(inner);
        }
        if wait.wants > 1 || inner.waking || !inner.has_singles() {
            return;
        }
        let takes = match reason {
            Some(Woken::Done) if !crate::current!().signal_pending() => u64::from(wait.takes),
            Some(Woken::InVain) | None => 0,
            Some(_) => {
                inner.owed = inner.owed.saturating_add(1);
                0
            }
        };
        if inner.owed == 0 {
            return;
        }
        if inner.events.available(takes.saturating_add(1)) > takes {
            inner.owed = inner.owed.saturating_sub(1);
            self.wake_one(inner);
        } else {
            inner.owed = 0;
        }
    }

    /// Whether a consumer still holds an event of what was removed. Interrupts are let in.
    #[cold]
    #[inline(never)]
    fn is_held(&self, handle: Handle) -> bool {
        loop {
            let held = self.lock().events.is_held(handle);
            if let Some(held) = held {
                return held;
            }
        }
    }

    /// Locks the state when there is room for one more registration. That stays while `control` is
    /// held.
    #[inline(always)]
    fn lock_with_room(&self) -> Result<Locked<'_>> {
        let mut inner = self.lock();
        match inner.events.table().wants() {
            None => Ok(inner),
            Some(len) => {
                drop(inner);
                self.grow(len)
            }
        }
    }

    #[cold]
    fn grow(&self, len: usize) -> Result<Locked<'_>> {
        if len == 0 {
            return Err(ENOSPC);
        }
        let chunk = Array::new(len, Registration::FREE)?;
        let mut inner = self.lock();
        match inner.events.table().grow(chunk) {
            Ok(()) => Ok(inner),
            // A wake-up has freed a place meanwhile. Nobody else takes one.
            Err(refused) => {
                drop(inner);
                // Outside the lock.
                drop(refused);
                Ok(self.lock())
            }
        }
    }
}

impl_has_work! {
    impl HasWork<Self> for Queue { self.work }
}

impl WorkItem for Queue {
    type Pointer = Arc<Queue>;

    fn run(this: Arc<Queue>) {
        let extra = match this.uring_wake.xchg(false, Relaxed) {
            true => URING_WAKE,
            false => 0,
        };
        this.tell_pollers(extra);
    }
}

impl Control {
    /// What tells a request from those before it.
    pub(crate) fn next_generation(&mut self) -> u64 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }

    /// Charges the user for as many registrations at once, if that is no more than he may have. If
    /// it is, each is charged by itself.
    pub(crate) fn advance(&mut self, queue: &Queue, num: u32) {
        if queue.limit.charge(num).is_ok() {
            self.credit = self.credit.saturating_add(num);
        }
    }

    /// Charges the user for one registration.
    #[inline]
    fn charge(&mut self, queue: &Queue) -> Result {
        match self.credit.checked_sub(1) {
            Some(left) => self.credit = left,
            None => queue.limit.charge(1)?,
        }
        Ok(())
    }

    /// What was charged for one is for the next.
    #[inline]
    fn refund(&mut self) {
        self.credit = self.credit.saturating_add(1);
    }

    /// Gives back what the user is charged too much. Last of what is done with `control` held.
    pub(crate) fn settle(&mut self, queue: &Queue) {
        let credit = core::mem::take(&mut self.credit);
        if credit != 0 {
            queue.limit.uncharge(credit);
        }
    }

    /// Ends what was removed from the state. Returns whether a consumer still holds an event of it.
    ///
    /// The handle is nobody's yet: that takes `control`. Until the tie ends, what it reports
    /// concerns nobody.
    #[inline]
    pub(crate) fn end(&mut self, queue: &Queue, removed: &Removed<Tied>) -> bool {
        self.refund();
        if let Some(tie) = &removed.tie {
            tie.with(|tie| tie.end());
            if let Some(untaken) = &removed.untaken {
                tie.with(|tie| tie.pass_on(untaken));
            }
        }
        removed.outstanding || (removed.unsure && queue.is_held(removed.handle))
    }

    /// Ends the registrations that are over in the state.
    pub(crate) fn reap(&mut self, queue: &Queue) {
        loop {
            let mut inner = queue.lock();
            let Some(handle) = inner.events.dead() else {
                return;
            };
            let removed = inner.events.remove(handle);
            drop(inner);
            self.end(queue, &removed);
        }
    }

    /// What a tie watches is gone. If it has ended, the registration is gone too, or another one.
    #[cfg_attr(not(CONFIG_KEVENT_FILE), expect(dead_code, reason = "only files go"))]
    pub(crate) fn forget<T: Tie>(&mut self, queue: &Queue, handle: Handle, tie: &Arc<T>) {
        let is_tied = queue
            .lock()
            .events
            .tied(handle)
            .is_some_and(|tied| tied.with(|tied| core::ptr::addr_eq(tied, Arc::as_ptr(tie))));
        if is_tied {
            self.remove(queue, handle);
            self.settle(queue);
        }
    }

    /// Removes and ends a registration, if there is one.
    pub(crate) fn remove(&mut self, queue: &Queue, handle: Handle) {
        let mut inner = queue.lock();
        let Some(request) = inner.events.request(handle).copied() else {
            return;
        };
        let removed = inner.events.remove(handle);
        drop(inner);
        let outstanding = self.end(queue, &removed);
        if !removed.over {
            trace::remove(queue, &request, outstanding);
        }
    }

    /// Removes the registration with the key of `request` if it is over, or a ghost: if its file
    /// lives on under another number. [`EEXIST`] if it is neither.
    #[cold]
    fn make_way(&mut self, queue: &Queue, request: &Event) -> Result {
        let Some((inner, handle)) = queue.lock_at(request) else {
            return Ok(());
        };
        let tie = inner.events.tied(handle).cloned();
        let over = inner.events.template(handle).is_none();
        drop(inner);
        let current = || tie.map_or(Ok(true), |tie| tie.with(|tie| tie.is_of(request)));
        if !over && current()? {
            return Err(EEXIST);
        }
        self.remove(queue, handle);
        Ok(())
    }
}

/// A registration that `kevent_ctl()` makes.
pub(crate) struct New<'a> {
    queue: &'a Arc<Queue>,
    control: &'a mut Control,
    request: &'a Event,
    hash: Hash,
    generation: u64,
    handle: Option<Handle>,
}

impl<'a> New<'a> {
    /// A registration that is not in the table yet.
    #[inline]
    pub(crate) fn begin(
        queue: &'a Arc<Queue>,
        control: &'a mut Control,
        request: &'a Event,
        generation: u64,
    ) -> Self {
        New {
            queue,
            control,
            request,
            hash: queue.hash(request),
            generation,
            handle: None,
        }
    }

    /// [`EEXIST`] if there is one with its key already. What is in its way without being one goes.
    pub(crate) fn make_way(&mut self) -> Result {
        self.control.make_way(self.queue, self.request)
    }

    /// Puts it into the table. Called once.
    #[inline]
    pub(crate) fn insert(&mut self, nature: Nature) -> Result {
        let (mut inner, vacant) = self.make_room()?;
        // Dropped after the lock.
        let _spare = inner.events.table().spare();
        self.put(inner, vacant, nature, |_| None)
    }

    /// Puts it into the table, with what ties it to its source. Called once, instead.
    ///
    /// The tie is that of the registration that had the place before, if nobody else has that and
    /// `renew` says that it is good. It has ended, and its target is the same. Otherwise `make`
    /// makes one. Both are called under the inner lock.
    #[cfg_attr(
        not(any(CONFIG_KEVENT_TIMER, CONFIG_KEVENT_FILE)),
        expect(dead_code, reason = "user events have no tie")
    )]
    #[inline(always)]
    pub(crate) fn insert_tied<T: TieOf, I: PinInit<T>>(
        &mut self,
        nature: Nature,
        renew: impl FnOnce(Pin<&mut T>) -> bool,
        make: impl FnOnce(Target) -> I,
    ) -> Result<Arc<T>> {
        let (mut inner, vacant) = self.make_room()?;
        self.control.charge(self.queue)?;
        let (request, generation) = (self.request, self.generation);
        let again = inner
            .events
            .add_again(vacant, request, generation, nature, |kept| {
                let kept = T::untied(kept).map_err(Err)?;
                let mut kept = Arc::into_unique_or_drop(kept).ok_or(Ok(None))?;
                if !renew(kept.as_mut()) {
                    return Err(Ok(Some(kept)));
                }
                let tie = Arc::from(kept);
                Ok((tie.clone().tied(), tie))
            });
        match again {
            Ok((handle, tie)) => {
                self.handle = Some(handle);
                Ok(tie)
            }
            Err(refused) => {
                // What is not good goes after the lock.
                drop(inner);
                drop(refused);
                self.control.refund();
                self.insert_new(nature, make)
            }
        }
    }

    #[inline(never)]
    fn insert_new<T: TieOf, I: PinInit<T>>(
        &mut self,
        nature: Nature,
        make: impl FnOnce(Target) -> I,
    ) -> Result<Arc<T>> {
        let place = UniqueArc::new_uninit(accounted())?;
        let queue = self.queue.clone();
        let (mut inner, vacant) = self.make_room()?;
        let spot = inner.events.table().next_spot().ok_or(ENOSPC)?;
        let mut made = None;
        self.put(inner, vacant, nature, |handle| {
            // INVARIANT: The table is that of the queue.
            let target = Target {
                queue,
                spot,
                handle,
                note: (),
            };
            let Ok(tie) = place.pin_init_with(make(target));
            let tie = Arc::from(tie);
            made = Some(tie.clone());
            Some(tie.tied())
        })?;
        // There is room, so it was made.
        made.ok_or(ENOSPC)
    }

    /// Locks the state if there is room, and none with the key. Returns where that would be.
    #[inline(always)]
    fn make_room(&mut self) -> Result<(Locked<'a>, Vacant)> {
        let Event { kind, id, .. } = *self.request;
        let inner = self.queue.lock_with_room()?;
        if let Some(vacant) = inner.events.vacant(self.hash, kind, id) {
            return Ok((inner, vacant));
        }
        drop(inner);
        self.make_way()?;
        let inner = self.queue.lock_with_room()?;
        let vacant = inner.events.vacant(self.hash, kind, id).ok_or(EEXIST)?;
        Ok((inner, vacant))
    }

    #[inline(always)]
    fn put(
        &mut self,
        mut inner: Locked<'_>,
        vacant: Vacant,
        nature: Nature,
        tie: impl FnOnce(Handle) -> Option<Tied>,
    ) -> Result {
        self.control.charge(self.queue)?;
        self.handle = inner
            .events
            .add(vacant, self.request, self.generation, nature, tie);
        if self.handle.is_none() {
            // There is room.
            self.control.refund();
            return Err(ENOSPC);
        }
        Ok(())
    }

    /// Ends what was not completed.
    #[cold]
    pub(crate) fn cancel(self) {
        if let Some(handle) = self.handle {
            let removed = self.queue.lock().events.remove(handle);
            self.control.end(self.queue, &removed);
        }
    }
}
