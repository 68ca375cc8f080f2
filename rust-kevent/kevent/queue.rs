// SPDX-License-Identifier: GPL-2.0

//! A queue: its state, and who sleeps on it.
//!
//! # Sleepers
//!
//! A thread that one event satisfies sleeps on `sleepers`, and is woken alone. One that wants several
//! sleeps on `batchers`, and keeps nobody from his turn: it is woken when as many events have fired as
//! it lacks, or when the ring has no room for more.
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
//! * *Nobody to wake*: while somebody is `waking`, a thread that slept is on its way to `inner`: the
//!   one woken, or, if all had just stopped to sleep, any of those. The first that comes takes the
//!   mark away, so an event after that wakes one more, perhaps needlessly.
//! * *Woken and gone*: who leaves by signal, timeout or READY, or may die before it takes an event,
//!   takes none: it wakes the next if there is any event.
//! * *Woken for what another took*: it sleeps again, and what is owed goes to the next if there are
//!   events that it does not want. As each of these costs one that is owed, two threads that lie about
//!   what they know do not wake each other for ever.
//! * *Woken, and slow to run*: events that fire until it runs wait for it, as if they had fired then.

use super::{
    array::{
        accounted,
        Array,
        Circle, //
    },
    deadline::Deadline,
    event::{
        Event,
        Fired, //
    },
    keys::{
        Hash,
        Keys, //
    },
    limit::Limit,
    memory::{
        RingAccess,
        RingMemory, //
    },
    registration::{
        Handle,
        Nature,
        Registration, //
    },
    ring::{
        Repeat,
        Ring,
        Slot, //
    },
    source::{
        Target,
        Tie, //
    },
    state::{
        Asked,
        Look,
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
            Relaxed, //
        },
        lock::{
            spinlock::{
                SpinLockGuard,
                SpinLockIrqGuard, //
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
        SpinLockIrq, //
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
pub(crate) type Events = State<RingAccess, Arc<dyn Tie>>;

/// Registrations looked at again by a call that may find enough without them.
pub(crate) const FEW: u32 = 64;

/// How `EPOLL_URING_WAKE` marks a wake-up that io_uring must not answer from its own.
const URING_WAKE: u32 = 1 << 27;

/// What is changed by `kevent_ctl()` alone.
pub(crate) struct Control {
    /// All registrations.
    pub(crate) keys: Keys,
    /// The generation of the newest.
    generation: u64,
}

/// What wake-ups change.
pub(crate) struct Inner {
    /// Registrations and events.
    pub(crate) events: Events,
    /// Threads in [`Queue::sleep()`].
    sleepers: u32,
    /// How many of them want more than one event.
    batchers: u32,
    /// After how many events the first of these may have enough.
    due: u32,
    /// One of the others is woken, and has not run since.
    waking: bool,
    /// Events since then.
    owed: u32,
    /// How many sleepers READY lets go.
    kicks: u32,
}

impl Inner {
    /// Whether somebody sleeps whom one event satisfies.
    fn has_singles(&self) -> bool {
        self.sleepers > self.batchers
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

/// What a thread waits for.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    /// How many events satisfy it, at least 1.
    pub(crate) wants: u32,
    /// How many it surely takes.
    pub(crate) takes: u32,
    /// When it stops to wait.
    pub(crate) deadline: Deadline,
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
        let secret = [(); 2].map(|()| unsafe { bindings::get_random_u64() });
        let pollers = PollCondVarBox::new(c"kevent_pollers", crate::static_lock_class!())?;
        Arc::pin_init(
            try_pin_init!(Queue {
                control <- new_mutex!(Control {
                    keys: Keys::new(secret),
                    generation: 0,
                }, "kevent_control"),
                inner <- new_spinlock_irq!(Inner {
                    events: State::new(ring),
                    sleepers: 0,
                    batchers: 0,
                    due: u32::MAX,
                    waking: false,
                    owed: 0,
                    kicks: 0,
                }, "kevent_inner"),
                sleepers <- new_condvar!("kevent_sleepers"),
                batchers <- new_condvar!("kevent_batchers"),
                pollers,
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

    /// Locks the state.
    pub(crate) fn lock(&self) -> SpinLockIrqGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Whom pollers register with.
    pub(crate) fn pollers(&self) -> &PollCondVarBox {
        &self.pollers
    }

    /// Locks the state where interrupts are off.
    pub(crate) fn lock_with<'a>(
        &'a self,
        irq: &'a LocalInterruptDisabled,
    ) -> SpinLockGuard<'a, Inner> {
        self.inner.lock_with(irq)
    }

    /// A source says that the bits of `fired` are true, of which those count that are wanted or in
    /// `always`. Returns whether that made an event, or only changed one; nothing if it concerns
    /// nobody. `repeat` then learns what the source may say again without the lock.
    ///
    /// Called from any context, with the lock held. `later` keeps the lock of the pollers out of it,
    /// for who holds one of that class.
    #[cfg_attr(
        not(CONFIG_KEVENT_FILE),
        expect(dead_code, reason = "only files fire one by one")
    )]
    #[inline(always)]
    pub(crate) fn report<B: Backend>(
        target: &Target,
        mut inner: Guard<'_, Inner, B>,
        fired: &Fired,
        always: u32,
        later: impl FnOnce() -> bool,
        repeat: Option<&Repeat>,
    ) -> Option<bool> {
        let Target { queue, handle } = target;
        let wake = inner.events.report(*handle, fired, always)?;
        trace::fire(queue, fired.mask, wake != Wake::None);
        if wake == Wake::None {
            if let Some(repeat) = repeat {
                Self::learn(&inner.events, *handle, repeat);
            }
            return Some(false);
        }
        queue.wake_sleepers(&mut inner, wake, 1);
        let poll = queue.pollers.is_active();
        drop(inner);
        if poll {
            Self::tell(queue, fired.mask & URING_WAKE, later());
        }
        Some(true)
    }

    #[inline(never)]
    fn learn(events: &Events, handle: Handle, repeat: &Repeat) {
        events.repeat(handle, repeat);
    }

    /// Tells pollers from a wake-up.
    #[inline(never)]
    fn tell(this: &Arc<Self>, extra: u32, later: bool) {
        if later {
            // A work item that is on its way already tells them.
            let _ = workqueue::system_highpri().enqueue(this.clone());
        } else {
            this.tell_pollers(extra);
        }
    }

    /// What process context found by asking a source, unless the request has changed meanwhile.
    pub(crate) fn found(&self, asked: &Asked<Arc<dyn Tie>>, fired: &Fired) {
        let inner = self.lock();
        if inner.events.is_valid(asked) {
            self.found_at(inner, asked.handle, fired, asked.tie.always());
        }
    }

    /// The same, of a registration that nobody else can change meanwhile.
    pub(crate) fn found_at(
        &self,
        mut inner: SpinLockIrqGuard<'_, Inner>,
        handle: Handle,
        fired: &Fired,
        always: u32,
    ) {
        if let Some(wake) = inner.events.report(handle, fired, always) {
            trace::fire(self, fired.mask, wake != Wake::None);
            self.wake(inner, wake, 1);
        }
    }

    /// Looks at registrations again of which there may be more to say. No lock is held while a source
    /// is asked. `left` counts down how many may still be passed.
    pub(crate) fn look_again(&self, left: &mut u32) {
        while *left != 0 {
            let look = self.lock().events.next_look(left);
            match look {
                Look::At(asked, finished) => {
                    if let Some(fired) = asked.tie.look(finished) {
                        self.found(&asked, &fired);
                    }
                }
                Look::More => {}
                Look::Nothing => *left = 0,
            }
        }
    }

    /// Whether there is an event to be had, also after looking.
    pub(crate) fn is_readable(&self) -> bool {
        let mut inner = self.lock();
        if inner.events.has_events() {
            return true;
        }
        let mut left = inner.events.to_look_at();
        if left == 0 {
            return false;
        }
        drop(inner);
        self.look_again(&mut left);
        self.lock().events.has_events()
    }

    /// The last descriptor and the last mapping are gone.
    pub(crate) fn release(&self) {
        let mut control = self.control.lock();
        let keys = core::mem::replace(&mut control.keys, Keys::new([0; 2]));
        for handle in keys.handles() {
            let removed = self.lock().events.remove(handle);
            self.end(removed);
        }
        drop(control);
    }

    #[inline(always)]
    fn wake_sleepers(&self, inner: &mut Inner, wake: Wake, events: u32) {
        if wake != Wake::None && inner.sleepers != 0 {
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
        let mut inner = self.lock();
        if !inner.waking && inner.has_singles() && inner.events.has_events() {
            self.wake_one(&mut inner);
        }
    }

    fn wake_one(&self, inner: &mut Inner) {
        inner.waking = true;
        self.sleepers.notify_one();
    }

    /// Wakes after `events` of them. Pollers have locks of their own, so theirs is the last turn.
    pub(crate) fn wake(&self, mut inner: SpinLockIrqGuard<'_, Inner>, wake: Wake, events: u32) {
        self.wake_sleepers(&mut inner, wake, events);
        let poll = wake != Wake::None && self.pollers.is_active();
        drop(inner);
        if poll {
            self.tell_pollers(0);
        }
    }

    fn tell_pollers(&self, extra: u32) {
        self.pollers
            .notify_poll(bindings::POLLIN | bindings::POLLRDNORM | extra);
    }

    /// Lets one sleeper return. With nobody asleep, the next one that would sleep.
    pub(crate) fn kick(&self) {
        let mut inner = self.lock();
        if inner.kicks < inner.sleepers.max(1) {
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
    pub(crate) fn sleep(
        &self,
        inner: &mut SpinLockIrqGuard<'_, Inner>,
        wait: &Wait,
        mut missing: impl FnMut(&mut Events) -> u32,
    ) -> Woken {
        let mut slept = None;
        loop {
            let lacks = missing(&mut inner.events);
            let reason = if lacks == 0 {
                Some(Woken::Done)
            } else if inner.kicks != 0 {
                inner.kicks = inner.kicks.wrapping_sub(1);
                Some(Woken::Kicked)
            } else {
                match slept {
                    _ if wait.deadline.is_now() => Some(Woken::Timeout),
                    Some(CondVarWait::Signal) => Some(Woken::Signal),
                    Some(CondVarWait::Timeout) => Some(Woken::Timeout),
                    None if crate::current!().signal_pending() => Some(Woken::Signal),
                    _ => None,
                }
            };
            if slept.is_some() {
                self.settle(inner, wait, reason);
            }
            if let Some(reason) = reason {
                return reason;
            }
            slept = Some(self.sleep_once(inner, wait, lacks));
        }
    }

    fn sleep_once(
        &self,
        inner: &mut SpinLockIrqGuard<'_, Inner>,
        wait: &Wait,
        lacks: u32,
    ) -> CondVarWait {
        let deadline = wait.deadline.condvar();
        inner.sleepers = inner.sleepers.saturating_add(1);
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
        inner.sleepers = inner.sleepers.saturating_sub(1);
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
            Some(_) => {
                inner.owed = inner.owed.saturating_add(1);
                0
            }
            None => 0,
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

    /// Locks the state when there is room for one more registration. That stays while `control` is
    /// held.
    fn lock_with_room(&self) -> Result<SpinLockIrqGuard<'_, Inner>> {
        let mut inner = self.lock();
        let Some(len) = inner.events.table().wants() else {
            return Ok(inner);
        };
        drop(inner);
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

    /// Ends what was removed from the state. Returns whether a consumer still holds an event of it.
    ///
    /// The handle is nobody's yet: that takes `control`, which the caller holds. Until the tie ends,
    /// what it reports concerns nobody.
    pub(crate) fn end(&self, removed: Removed<Arc<dyn Tie>>) -> bool {
        if let Some(tie) = removed.tie {
            tie.end();
            if let Some(untaken) = removed.untaken {
                tie.pass_on(&untaken);
            }
        }
        self.limit.uncharge();
        removed.outstanding
    }
}

impl_has_work! {
    impl HasWork<Self> for Queue { self.work }
}

impl WorkItem for Queue {
    type Pointer = Arc<Queue>;

    fn run(this: Arc<Queue>) {
        this.tell_pollers(0);
    }
}

/// Whether a registration has the key of `request`.
#[inline]
fn is_of(events: &Events, handle: Handle, request: &Event) -> bool {
    events
        .request(handle)
        .is_some_and(|found| found.kind == request.kind && found.id == request.id)
}

/// What every event of a registration begins as.
#[inline]
pub(crate) fn template(request: &Event, generation: u64) -> Event {
    Event {
        error: 0,
        data: 0,
        param: [generation, 0],
        word: 0,
        ..*request
    }
}

impl Control {
    /// What tells a request from those before it.
    pub(crate) fn next_generation(&mut self) -> u64 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }

    /// The hash of the key of a request.
    pub(crate) fn hash(&self, request: &Event) -> Hash {
        self.keys.hash(request.kind, request.id)
    }

    /// The registration of a request's key, even if it is over, in the state.
    pub(crate) fn find(&self, events: &Events, hash: Hash, request: &Event) -> Option<Handle> {
        self.keys
            .find(hash, |handle| is_of(events, handle, request))
    }

    /// The same, and locks the state if there is such a registration.
    pub(crate) fn lock<'a>(
        &self,
        queue: &'a Queue,
        hash: Hash,
        request: &Event,
    ) -> Option<(SpinLockIrqGuard<'a, Inner>, Handle)> {
        let mut inner = None;
        let handle = self.keys.find(hash, |handle| {
            let inner = inner.get_or_insert_with(|| queue.lock());
            is_of(&inner.events, handle, request)
        })?;
        Some((inner?, handle))
    }

    /// Ends the registrations that are over in the state.
    pub(crate) fn reap(&mut self, queue: &Queue) {
        loop {
            let mut inner = queue.lock();
            let Some((handle, template)) = inner.events.dead() else {
                return;
            };
            let removed = inner.events.remove(handle);
            drop(inner);
            self.keys.remove(self.hash(&template), handle);
            queue.end(removed);
        }
    }

    /// What a tie watches is gone. If it has ended, the registration is gone too, or another one.
    #[cfg_attr(not(CONFIG_KEVENT_FILE), expect(dead_code, reason = "only files go"))]
    pub(crate) fn forget<T: Tie>(&mut self, queue: &Queue, handle: Handle, tie: &Arc<T>) {
        let is_tied = queue
            .lock()
            .events
            .tied(handle)
            .is_some_and(|tied| core::ptr::addr_eq(Arc::as_ptr(tied), Arc::as_ptr(tie)));
        if is_tied {
            self.remove(queue, handle);
        }
    }

    /// Removes and ends a registration.
    pub(crate) fn remove(&mut self, queue: &Queue, handle: Handle) {
        let mut inner = queue.lock();
        let Some(request) = inner.events.request(handle).copied() else {
            return;
        };
        let over = inner.events.template(handle).is_none();
        let removed = inner.events.remove(handle);
        drop(inner);
        self.keys.remove(self.hash(&request), handle);
        let outstanding = queue.end(removed);
        if !over {
            trace::remove(queue, &request, outstanding);
        }
    }
}

/// A registration that `kevent_ctl()` makes, with `control` held.
pub(crate) struct New<'a> {
    queue: &'a Arc<Queue>,
    request: &'a Event,
    generation: u64,
    handle: Option<Handle>,
}

impl<'a> New<'a> {
    /// A registration that is not in the table yet.
    pub(crate) fn new(queue: &'a Arc<Queue>, request: &'a Event, generation: u64) -> Self {
        New {
            queue,
            request,
            generation,
            handle: None,
        }
    }

    /// The queue.
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        self.queue
    }

    /// The registration, once it is in the table.
    pub(crate) fn handle(&self) -> Option<Handle> {
        self.handle
    }

    /// Puts it into the table. Called once.
    pub(crate) fn insert(&mut self) -> Result<Target> {
        let mut inner = self.queue.lock_with_room()?;
        self.put(&mut inner)
    }

    /// Puts it into the table, with what ties it to its source. Called once, instead.
    ///
    /// `tie` is called under the inner lock.
    #[cfg_attr(
        not(CONFIG_KEVENT_FILE),
        expect(dead_code, reason = "only files make their ties at once")
    )]
    pub(crate) fn insert_tied<T: Tie + 'static>(
        &mut self,
        nature: Nature,
        tie: impl FnOnce(Target) -> Arc<T>,
    ) -> Result<Arc<T>> {
        let mut inner = self.queue.lock_with_room()?;
        let target = self.put(&mut inner)?;
        let handle = target.handle;
        let tie = tie(target);
        inner.events.tie(handle, tie.clone(), nature);
        Ok(tie)
    }

    #[inline]
    fn put(&mut self, inner: &mut Inner) -> Result<Target> {
        let template = template(self.request, self.generation);
        let handle = inner.events.add(template).ok_or(ENOSPC)?;
        self.handle = Some(handle);
        Ok(Target {
            queue: self.queue.clone(),
            handle,
        })
    }
}
