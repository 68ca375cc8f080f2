// SPDX-License-Identifier: GPL-2.0

//! A queue: its state, and who sleeps on it.

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
    limit::Limit,
    memory::{
        RingAccess,
        RingMemory, //
    },
    registration::{
        Handle,
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
        State,
        Wake, //
    },
    trace, //
};
use crate::{
    bindings,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    rbtree::RBTree,
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
        CondVarTurn,
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

/// What names a registration in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The type of the source.
    pub(crate) kind: u32,
    /// What the source calls it.
    pub(crate) id: u64,
}

impl Key {
    /// The key of a request.
    pub(crate) fn of(request: &Event) -> Self {
        Key {
            kind: request.kind,
            id: request.id,
        }
    }
}

/// Registrations and events of a queue.
pub(crate) type Events = State<RingAccess, Arc<dyn Tie>>;

/// Registrations looked at again by a call that may find enough without them.
pub(crate) const FEW: u32 = 64;

/// How `EPOLL_URING_WAKE` marks a wake-up that io_uring must not answer from its own.
const URING_WAKE: u32 = 1 << 27;

/// What is changed by `kevent_ctl()` alone.
pub(crate) struct Control {
    /// All registrations.
    pub(crate) items: RBTree<Key, Handle>,
    /// How many there are.
    pub(crate) count: u32,
    /// The generation of the newest.
    pub(crate) generation: u64,
    /// Keys that READY named last, by their low bits.
    recent: [Option<(Key, Handle)>; RECENT],
}

const RECENT: usize = 64;

/// What wake-ups change.
pub(crate) struct Inner {
    /// Registrations and events.
    pub(crate) events: Events,
    /// Threads in [`Queue::sleep()`].
    sleepers: u32,
    /// How many of them READY lets go.
    kicks: u32,
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
        let pollers = PollCondVarBox::new(c"kevent_pollers", crate::static_lock_class!())?;
        Arc::pin_init(
            try_pin_init!(Queue {
                control <- new_mutex!(Control {
                    items: RBTree::new(),
                    count: 0,
                    generation: 0,
                    recent: [None; RECENT],
                }, "kevent_control"),
                inner <- new_spinlock_irq!(Inner {
                    events: State::new(ring),
                    sleepers: 0,
                    kicks: 0,
                }, "kevent_inner"),
                sleepers <- new_condvar!("kevent_sleepers"),
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
    pub(crate) fn lock_with<'a>(&'a self, irq: &'a LocalInterruptDisabled) -> SpinLockGuard<'a, Inner> {
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
        if inner.sleepers != 0 {
            queue.wake_sleepers(&inner, wake, 1);
        }
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
        let mut inner = self.lock();
        if !inner.events.is_valid(asked) {
            return;
        }
        let always = asked.tie.always();
        if let Some(wake) = inner.events.report(asked.handle, fired, always) {
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
        let items = core::mem::take(&mut control.items);
        for handle in items.values() {
            control.end(self, *handle);
        }
        drop(control);
    }

    #[inline(never)]
    fn wake_sleepers(&self, inner: &Inner, wake: Wake, events: u32) {
        match wake {
            Wake::None => {}
            Wake::One => {
                for _ in 0..events.min(inner.sleepers) {
                    self.sleepers.notify_one();
                }
            }
            Wake::All if inner.sleepers != 0 => self.sleepers.notify_all(),
            Wake::All => {}
        }
    }

    /// Wakes after `events` of them. Pollers have locks of their own, so theirs is the last turn.
    pub(crate) fn wake(&self, inner: SpinLockIrqGuard<'_, Inner>, wake: Wake, events: u32) {
        self.wake_sleepers(&inner, wake, events);
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
        if inner.sleepers != 0 {
            self.sleepers.notify_one();
        }
    }

    /// Waits until `done`. A thread that one event satisfies takes its turn; others are woken by
    /// each event beside it, so that they keep nobody from his.
    ///
    /// Whoever leaves for another reason, or may die before it looks at the events, passes on a
    /// notification that it may have got.
    pub(crate) fn sleep(
        &self,
        inner: &mut SpinLockIrqGuard<'_, Inner>,
        turn: CondVarTurn,
        deadline: Deadline,
        mut done: impl FnMut(&mut Events) -> bool,
    ) -> Woken {
        let mut wait = if crate::current!().signal_pending() {
            CondVarWait::Signal
        } else {
            CondVarWait::Woken
        };
        loop {
            let reason = if done(&mut inner.events) {
                Some(Woken::Done)
            } else if inner.kicks != 0 {
                inner.kicks = inner.kicks.wrapping_sub(1);
                Some(Woken::Kicked)
            } else {
                match wait {
                    _ if deadline.is_now() => Some(Woken::Timeout),
                    CondVarWait::Signal => Some(Woken::Signal),
                    CondVarWait::Timeout => Some(Woken::Timeout),
                    CondVarWait::Woken => None,
                }
            };
            if let Some(reason) = reason {
                let leaves = reason != Woken::Done || crate::current!().signal_pending();
                if leaves && inner.sleepers != 0 && (inner.kicks != 0 || inner.events.has_events())
                {
                    self.sleepers.notify_one();
                }
                return reason;
            }
            inner.sleepers = inner.sleepers.saturating_add(1);
            wait = self
                .sleepers
                .wait_interruptible_until(inner, turn, deadline.condvar());
            inner.sleepers = inner.sleepers.saturating_sub(1);
        }
    }

    /// Makes room for one more registration.
    pub(crate) fn reserve(&self) -> Result {
        let wants = self.lock().events.table().wants();
        let Some(len) = wants else {
            return Ok(());
        };
        if len == 0 {
            return Err(ENOSPC);
        }
        let chunk = Array::new(len, Registration::FREE)?;
        let refused = self.lock().events.table().grow(chunk);
        // A refused chunk is dropped here, outside the lock.
        refused.map_err(|_| ENOSPC)
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

impl Control {
    /// Ends the registrations that are over in the state.
    pub(crate) fn reap(&mut self, queue: &Queue) {
        loop {
            let dead = queue.lock().events.dead();
            let Some((handle, template)) = dead else {
                return;
            };
            self.take(&Key::of(&template));
            self.end(queue, handle);
        }
    }

    fn recent(&mut self, key: &Key) -> Option<&mut Option<(Key, Handle)>> {
        self.recent.get_mut(key.id as usize % RECENT)
    }

    /// The handle of a key.
    pub(crate) fn find(&mut self, key: &Key) -> Option<Handle> {
        match self.recent(key) {
            Some(Some((found, handle))) if found == key => return Some(*handle),
            _ => {}
        }
        let handle = *self.items.get(key)?;
        *self.recent(key)? = Some((*key, handle));
        Some(handle)
    }

    /// Takes a registration out, to end it.
    pub(crate) fn take(&mut self, key: &Key) -> Option<Handle> {
        let handle = self.items.remove(key)?;
        if let Some(recent) = self.recent(key) {
            *recent = None;
        }
        Some(handle)
    }

    /// Ends a registration that is no longer in `items`. Returns whether a consumer still holds an
    /// event of it.
    pub(crate) fn end(&mut self, queue: &Queue, handle: Handle) -> bool {
        let tie = queue.lock().events.tied(handle).cloned();
        // The source must not fire into a handle that is somebody else's.
        if let Some(tie) = &tie {
            tie.end();
        }
        let removed = queue.lock().events.remove(handle);
        if let Some((tie, untaken)) = tie.zip(removed.untaken) {
            tie.pass_on(&untaken);
        }
        self.count = self.count.saturating_sub(1);
        queue.limit.uncharge();
        removed.outstanding
    }

    /// What a registration watches is gone.
    pub(crate) fn forget(&mut self, queue: &Queue, handle: Handle) {
        let request = queue.lock().events.request(handle).copied();
        if let Some(request) = request {
            self.take(&Key::of(&request));
            let outstanding = self.end(queue, handle);
            trace::remove(queue, &request, outstanding);
        }
    }
}
