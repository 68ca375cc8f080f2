// SPDX-License-Identifier: GPL-2.0

//! Ties to files, for the sources that watch them.
//!
//! A [`Kind`] says what a wake-up and the poll method of a file mean in the bits of its source. The
//! poll method is called when a request begins or changes, and when a level is looked at again; it
//! may sleep. A wake-up only looks at its key, and at what `Kind` may read without a lock.
//!
//! A tie is one allocation, with the watch that is told of the last close and the first wait-queue
//! entry in it. It is used again by the next registration in its place. What few ties have is apart: the entries of a file with several wait queues, those
//! for a later or EXCLUSIVE request, what a queue in a queue needs. An entry never changes while it is
//! on a queue.
//!
//! # Closing
//!
//! Nothing here holds the file. Its last close ends the registration:
//!
//! ```text
//!   REMOVE, close of the queue           last close of the file
//!   lock control                         take the watch off the file's list
//!   take the registration out            closed(): lock control
//!   end(): entries off the wait queues   registration is tied by this: take it out, end()
//!          watch off the list            unlock control, drop the watch
//!   unlock control
//! ```
//!
//! Who comes second to `control` finds that the registration is gone, or another one, with a tie of
//! its own. The file stays whole until `closed()` returns, so no wait queue goes before its entry; and
//! the watch stays until then, because the list owns a reference to it.

use super::{
    Target,
    Tie,
    TieOf, //
};
use crate::{
    fs::{
        poll::{
            Others,
            PollWatch, //
        },
        watch::{
            CloseFn,
            FileWatch, //
        },
        LocalFile, //
    },
    kevent::{
        array::accounted,
        event::{
            Event,
            Fired,
            REQ_EXCLUSIVE,
            REQ_LAST_CHECK,
            REQ_ONESHOT,
            RET_BROKEN,
            RET_DONE,
            RET_RECHECK, //
        },
        file::OPERATIONS,
        queue::{
            Inner,
            New,
            Posted,
            Queue, //
        },
        registration::Nature,
        ring::Repeat,
        trace, //
    },
    prelude::*,
    sync::{
        lock::spinlock::SpinLockGuard,
        new_spinlock,
        wait::{
            WakeFn,
            Wakeup,
            Woken, //
        },
        Arc,
        SetOnce,
        SpinLock, //
    }, //
};

mod exclusive;
mod nesting;

use exclusive::Member;
use nesting::Nested;

/// What is different between types of files.
pub(crate) trait Kind: Copy + Unpin + Send + Sync + 'static {
    /// Bits that are reported without being asked for.
    const ALWAYS: u32;

    /// Of these, that nothing more will come.
    const HUNG_UP: u32;

    /// What the poll method is asked for, if nobody knows better.
    const POLLED: u32;

    /// Checks whether `file` can be watched, and keeps what wake-ups need of it.
    ///
    /// # Safety
    ///
    /// The result must not be used after the file is released.
    unsafe fn new(file: &LocalFile) -> Result<Self>;

    /// The poll bits that `mask` stands for.
    fn poll_bits(mask: u32) -> u32;

    /// Bits of a key that say whom it concerns. Without any of them, it concerns all.
    const KEYS: u32;

    /// Those that concern who wants `mask`.
    fn keys(mask: u32) -> u32;

    /// Whether anything has a datum.
    const HAS_DATUM: bool;

    /// Whether it takes a call to know what a wake-up says.
    const CALLS: bool;

    /// The bits and the datum of a wake-up, by those of its key that concern somebody, if that is all
    /// it says. The lock of the wait queue is held, in any context.
    fn simple(&self, key: u32) -> Option<(u32, u64)>;

    /// What any other wake-up says, of which `wanted` matters; nothing if that concerns nobody. The
    /// lock of the wait queue is held, in any context.
    fn woken(&self, key: u32, wanted: u32) -> Option<Fired>;

    /// What is true if the poll method says `ready`.
    fn found(&self, ready: u32) -> Fired;

    /// The datum that belongs to `mask` now. Takes no lock.
    fn measure(&self, _mask: u32) -> u64 {
        0
    }
}

/// Prepares what all ties share.
///
/// # Safety
///
/// Called once, before there is a queue.
pub(super) unsafe fn init() {
    // SAFETY: By the contract of this function.
    unsafe { exclusive::init() };
    // SAFETY: As above.
    unsafe { nesting::init() };
}

/// Registers a file: [`Source::add()`](super::Source::add).
pub(super) fn add<K: Kind>(new: &mut New<'_>, request: &Event) -> Result
where
    Watch<K>: TieOf,
{
    with_file(request, |file| {
        // SAFETY: The list of the file, on which the tie comes next, ends its use.
        let kind = match unsafe { K::new(file) } {
            Ok(kind) => kind,
            Err(error) => {
                // A ghost ends even so.
                new.make_way()?;
                return Err(error);
            }
        };
        let nested = match OPERATIONS.data(file) {
            Some(inner) => {
                // Two registrations of one key would be one edge.
                new.make_way()?;
                let outer = new.queue().number;
                Some(Nested::new(outer, inner.number, request.id)?)
            }
            None => None,
        };
        let wanted = request.mask | K::ALWAYS;
        let later = nested.is_some();
        let renew = |tie: Pin<&mut Watch<K>>| {
            let usual = tie.rare.as_ref().is_none();
            let told = tie.told_mut();
            told.kind = kind;
            told.wanted = wanted;
            told.keys = K::keys(wanted);
            told.later = later;
            told.repeat = Repeat::new();
            usual
        };
        let tie = new.insert_tied(Nature::State, renew, |target| {
            let told = Told {
                kind,
                wanted,
                keys: K::keys(wanted),
                target,
                later,
                member: None,
                repeat: Repeat::new(),
            };
            let tie = FileTie {
                rare: SetOnce::new(),
            };
            FileWatch::new(told, tie)
        })?;
        // SAFETY: It is on no list, and `control` is held.
        let tie = unsafe { FileWatch::add(tie, file) }?;
        if nested.is_some() {
            tie.rare()?.lock().nested = nested;
        }
        let ready = if request.flags & REQ_EXCLUSIVE != 0 {
            tie.replace(file, request)?
        } else {
            let (mask, mut others) = (K::poll_bits(wanted), None);
            // SAFETY: The entry is new, `control` is held, and `closed()` removes it if nobody does
            // before.
            let entered = unsafe { tie.enter(file, mask, &mut others, accounted()) };
            let ready = entered?;
            if let Some(others) = others {
                tie.rare()?.lock().others = Some(others);
            }
            ready
        };
        let fired = kind.found(ready);
        if fired.mask & wanted != 0 {
            let queue = new.queue();
            queue.found_at(queue.lock(), tie.told().target.handle, &fired, K::ALWAYS);
        }
        Ok(())
    })
}

/// Checks what holds for all types of files.
pub(super) fn check(request: &Event, bits: u32) -> Result {
    // The only event of a ONESHOT must not be found stale, and cannot be passed on.
    let once = request.flags & REQ_ONESHOT != 0;
    if request.param != [0; 2]
        || request.mask & !bits != 0
        || once && request.flags & (REQ_LAST_CHECK | REQ_EXCLUSIVE) != 0
    {
        return Err(EINVAL);
    }
    Ok(())
}

/// Hands the file that a request names to `work`.
fn with_file<R>(request: &Event, work: impl FnOnce(&LocalFile) -> Result<R>) -> Result<R> {
    let fd = u32::try_from(request.id).map_err(|_| EBADF)?;
    // SAFETY: Nothing here closes descriptors.
    unsafe { LocalFile::fdget(fd, work) }?
}

/// What ties a registration to a file.
pub(super) type Watch<K> = FileWatch<FileTie<K>>;

/// What that has beside the entry and the watch of the last close.
pub(crate) struct FileTie<K: Kind> {
    /// What few ties have. Allocated when one has it first, with the queue's `control` held.
    rare: SetOnce<Pin<KBox<SpinLock<Rare<K>>>>>,
}

/// What changes is changed with the queue's `control` held.
struct Rare<K: Kind> {
    /// Entries for further wait queues.
    others: Others<Told<K>>,
    /// Entries for a later request, or an EXCLUSIVE one. Then those above, and the one in the tie,
    /// are on no queue.
    entries: Option<Pin<KBox<PollWatch<Told<K>>>>>,
    /// The member that this was, for what it has not taken.
    left: Option<Arc<Member>>,
    /// If the file is a queue.
    nested: Option<Nested>,
}

impl<K: Kind> Watch<K> {
    fn rare(&self) -> Result<&SpinLock<Rare<K>>> {
        if self.rare.as_ref().is_none() {
            let rare = Rare {
                others: None,
                entries: None,
                left: None,
                nested: None,
            };
            self.rare
                .populate(KBox::pin_init(new_spinlock!(rare), accounted())?);
        }
        Ok(self.rare.as_ref().ok_or(ENOMEM)?)
    }

    /// Puts entries on the wait queues of the file, in place of those that are there. Returns what
    /// its poll method says now. On error, all is as before.
    fn replace(&self, file: &LocalFile, request: &Event) -> Result<u32> {
        // What must not fail later.
        self.rare()?;
        let exclusive = request.flags & REQ_EXCLUSIVE != 0;
        let target = &self.told().target;
        let member = exclusive
            .then(|| Member::new(file, target.clone()))
            .transpose()?;
        let wanted = request.mask | K::ALWAYS;
        let told = Told {
            wanted,
            keys: K::keys(wanted),
            member,
            ..self.told().clone()
        };
        let member = told.member.clone();
        let mask = K::poll_bits(wanted);
        // SAFETY: `closed()` drops it if nobody does before.
        match unsafe { PollWatch::new(file, mask, exclusive, told, accounted()) } {
            Ok((entries, ready)) => {
                self.leave_all(Some(entries));
                Ok(ready)
            }
            Err(error) => {
                if let Some(member) = member {
                    member.leave();
                }
                Err(error)
            }
        }
    }

    /// Takes all entries off their queues, after `entries` are on theirs. No wake-up of the old ones
    /// is under way afterwards. Returns the member that this was.
    fn leave_all(&self, mut entries: Option<Pin<KBox<PollWatch<Told<K>>>>>) -> Option<Arc<Member>> {
        // SAFETY: `control` is held.
        unsafe { self.leave() };
        let mut others = None;
        {
            let mut rare = self.rare.as_ref()?.lock();
            core::mem::swap(&mut rare.others, &mut others);
            core::mem::swap(&mut rare.entries, &mut entries);
        }
        let member = entries.as_ref().and_then(|old| old.data().member.clone());
        drop((others, entries));
        if let Some(member) = &member {
            member.leave();
        }
        member
    }

    /// Whether the entries that are there are those of `request`.
    fn is_same(&self, request: &Event) -> bool {
        let is_same = |told: &Told<K>| {
            told.wanted == request.mask | K::ALWAYS
                && told.member.is_some() == (request.flags & REQ_EXCLUSIVE != 0)
        };
        let rare = self.rare.as_ref().map(|rare| rare.lock());
        match rare.as_ref().and_then(|rare| rare.entries.as_ref()) {
            Some(entries) => is_same(entries.data()),
            None => is_same(self.told()),
        }
    }
}

impl<K: Kind> Tie for Watch<K> {
    fn prepare(&self, request: &Event) -> Result {
        with_file(request, |file| {
            if !self.watches(file) {
                return Err(ENOENT);
            }
            if !self.is_same(request) {
                self.replace(file, request)?;
            }
            Ok(())
        })
    }

    fn start(&self, request: &Event) -> Option<Fired> {
        // What the poll method said to `prepare()` went with the old event.
        self.look(true)
            .filter(|fired| fired.mask & (request.mask | K::ALWAYS) != 0)
    }

    fn end(&self) {
        let member = self.leave_all(None);
        // SAFETY: `control` is held.
        let lives = unsafe { self.del() };
        if let Some(rare) = self.rare.as_ref() {
            let mut rare = rare.lock();
            if lives {
                // Others may want what this one has not taken.
                rare.left = member;
            }
            let nested = rare.nested.take();
            drop(rare);
            drop(nested);
        }
    }

    fn look(&self, _finished: bool) -> Option<Fired> {
        let file = self.file()?;
        let fired = self.told().kind.found(file.poll(K::POLLED));
        (fired.mask != 0).then_some(fired)
    }

    fn measure(&self, mask: u32) -> Option<u64> {
        Some(self.told().kind.measure(mask))
    }

    fn is_of(&self, request: &Event) -> Result<bool> {
        with_file(request, |file| Ok(self.watches(file)))
    }

    fn pass_on(&self, untaken: &Fired) {
        let member = self.rare.as_ref().and_then(|rare| {
            let rare = rare.lock();
            let entries = rare.entries.as_ref();
            entries
                .and_then(|entries| entries.data().member.clone())
                .or_else(|| rare.left.clone())
        });
        if let Some(member) = member {
            member.tell(untaken, K::ALWAYS);
        }
    }

    fn always(&self) -> u32 {
        K::ALWAYS
    }
}

impl<K: Kind> CloseFn for FileTie<K> {
    type Told = Told<K>;

    fn closed(watch: Arc<Watch<K>>) {
        let Target { queue, handle, .. } = watch.told().target.clone();
        queue.control.lock().forget(&queue, handle, &watch);
        // Before the queue, to which it has a reference.
        drop(watch);
    }
}

/// Who is told of wake-ups.
pub(crate) struct Told<K: Kind> {
    kind: K,
    /// Bits that concern anybody. Does not change while an entry is on a queue: those for another request
    /// are new ones.
    wanted: u32,
    /// Bits of keys that do.
    keys: u32,
    target: Target,
    /// The file is a queue: its wake-ups must not reach who watches this one.
    later: bool,
    member: Option<Arc<Member>>,
    /// What may be said again without the lock of the queue. The lock of the wait queue, which is
    /// held in wake-ups, protects it.
    repeat: Repeat,
}

impl<K: Kind> Clone for Told<K> {
    fn clone(&self) -> Self {
        Told {
            kind: self.kind,
            wanted: self.wanted,
            keys: self.keys,
            target: self.target.clone(),
            later: self.later,
            member: self.member.clone(),
            repeat: Repeat::new(),
        }
    }
}

impl<K: Kind> Told<K> {
    /// Whether the queue has an untaken event that says `mask`.
    #[inline(always)]
    fn again(&self, mask: u32) -> bool {
        let memory = &self.target.queue.memory;
        self.repeat.covers(mask)
            && memory
                .as_ref()
                .is_some_and(|memory| self.repeat.touch(&**memory))
    }

    /// What a wake-up says that is simple.
    #[inline(never)]
    fn post(&self, mask: u32, data: u64, wakeup: &Wakeup) -> Woken {
        let fired = Self::simple(mask, data);
        let (None, Some(irq)) = (&self.member, wakeup.interrupts_off()) else {
            return self.report_simple(mask, data);
        };
        let inner = self.target.queue.lock_with(irq);
        match Queue::post(&self.target, inner, &fired, K::ALWAYS) {
            Posted::Done => Woken::Yes,
            Posted::Unheard(inner, special) => self.posted(inner, special, mask),
            Posted::Not(inner) => self.report_otherwise(inner, mask, data),
        }
    }

    #[inline(always)]
    fn simple(mask: u32, data: u64) -> Fired {
        Fired {
            mask,
            result: RET_DONE,
            data: if K::HAS_DATUM { data } else { 0 },
            error: 0,
        }
    }

    /// A wake-up that concerns somebody, by these bits of its key.
    #[inline(always)]
    fn concern(&self, key: u32, concerns: u32, wakeup: &Wakeup) -> Woken {
        let Some((mask, data)) = self.kind.simple(concerns) else {
            return self.wake_slowly(key);
        };
        // If the kind does not know it from the key.
        if K::CALLS && mask & self.wanted == 0 {
            return Woken::No;
        }
        if trace::is_fire_traced() {
            return self.report_simple(if K::CALLS { mask } else { key }, data);
        }
        // Who takes turns never learns what to say again.
        if self.again(mask) {
            return Woken::Yes;
        }
        // A key of others' bits and one that says nothing must not look alike.
        self.post(if K::CALLS { mask } else { key }, data, wakeup)
    }

    // These are calls with which others end, that so need not save what they have in registers.

    #[inline(never)]
    fn concern_apart(&self, key: u32, concerns: u32, wakeup: &Wakeup) -> Woken {
        self.concern(key, concerns, wakeup)
    }

    #[inline(never)]
    fn posted(&self, mut inner: SpinLockGuard<'_, Inner>, special: bool, mask: u32) -> Woken {
        if !special && inner.owe() {
            return Woken::Yes;
        }
        self.announce(inner, special, mask)
    }

    #[inline(never)]
    fn announce(&self, inner: SpinLockGuard<'_, Inner>, special: bool, mask: u32) -> Woken {
        Queue::posted(&self.target, inner, special, mask, self.later);
        Woken::Yes
    }

    #[inline(never)]
    fn report_otherwise(&self, inner: SpinLockGuard<'_, Inner>, mask: u32, data: u64) -> Woken {
        let (mut fired, repeat) = (Self::simple(mask, data), Some(&self.repeat));
        if mask & K::KEYS == 0 {
            // A key that says nothing but what pollers are told.
            fired.result |= RET_RECHECK;
        }
        let told =
            Queue::report_otherwise(&self.target, inner, &fired, K::ALWAYS, self.later, repeat);
        told.is_some().into()
    }

    /// The same for who takes turns, or traces, or has interrupts on.
    #[cold]
    #[inline(never)]
    fn report_simple(&self, mask: u32, data: u64) -> Woken {
        self.report(&Self::simple(mask, data))
    }

    /// A wake-up that is not simple.
    #[inline(never)]
    fn wake_slowly(&self, key: u32) -> Woken {
        let Some(fired) = self.kind.woken(key, self.wanted) else {
            return Woken::No;
        };
        let simple = fired.result == RET_DONE && fired.error == 0;
        if simple && !trace::is_fire_traced() && self.again(fired.mask & self.wanted) {
            return Woken::Yes;
        }
        self.report(&fired)
    }

    /// Tells whose turn it is, or the queue.
    fn report(&self, fired: &Fired) -> Woken {
        match &self.member {
            Some(member) => member.tell(fired, K::ALWAYS).into(),
            None => self.report_alone(fired),
        }
    }

    fn report_alone(&self, fired: &Fired) -> Woken {
        let (inner, repeat) = (self.target.queue.lock(), Some(&self.repeat));
        let told = Queue::report(&self.target, inner, fired, K::ALWAYS, self.later, repeat);
        told.is_some().into()
    }
}

impl<K: Kind> WakeFn for Told<K> {
    #[inline(always)]
    fn wake(&self, key: u32, wakeup: &Wakeup) -> Woken {
        // The queue's lock is not for what another bit's waiters are woken by.
        let concerns = key & self.keys;
        if concerns == 0 {
            return match key & K::KEYS {
                0 => self.wake_slowly(key),
                _ => Woken::No,
            };
        }
        match K::CALLS {
            true => self.concern_apart(key, concerns, wakeup),
            false => self.concern(key, concerns, wakeup),
        }
    }

    fn gone(&self) {
        self.report_alone(&Fired {
            mask: K::HUNG_UP,
            result: RET_DONE | RET_BROKEN,
            ..Fired::default()
        });
    }
}
