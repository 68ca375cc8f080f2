// SPDX-License-Identifier: GPL-2.0

//! Ties to files, for the sources that watch them.
//!
//! A [`Kind`] says what a wake-up and the poll method of a file mean in the bits of its source. The
//! poll method is called when a request begins or changes, and when a level is looked at again; it
//! may sleep. A wake-up only looks at its key, and at what `Kind` may read without a lock. Who
//! wants edges asks with [`EDGE`], as epoll does: a pipe then wakes for each write.
//!
//! A tie is one allocation, with the watch that is told of the last close and one wait-queue entry
//! in it. It is used again by the next registration in its place. What few ties have is apart, and
//! the entry then on no queue: entries for a file with several wait queues, for a later or
//! EXCLUSIVE request, for a queue in a queue. An entry never changes while it is on a queue.
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
//! its own. The file stays whole until `closed()` returns, so no wait queue goes before its entry;
//! and the watch stays until then, because the list owns a reference to it.

use super::{
    Tie,
    TieOf, //
};
use crate::{
    fs::{
        poll::PollWatch,
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
            REQ_ET,
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
            Queue,
            Target, //
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

    /// What a request wants of a file, with what there is to know of that beside `Self`. Takes 4
    /// bytes.
    type Want: Copy + Unpin + Send + Sync;

    /// Checks whether `file` can be watched, and keeps what wake-ups need of it.
    ///
    /// # Safety
    ///
    /// The result must not be used after the file is released.
    unsafe fn new(file: &LocalFile, wanted: u32) -> Result<(Self, Self::Want)>;

    /// The same of a request that wants other bits.
    fn change(want: Self::Want, wanted: u32) -> Self::Want;

    /// The bits that are wanted.
    fn wanted(want: Self::Want) -> u32;

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

    /// The bits and the datum of a wake-up, by those of its key that concern somebody, if that is
    /// all it says. The lock of the wait queue is held, in any context.
    fn simple(&self, want: Self::Want, key: u32) -> Option<(u32, u64)>;

    /// What any other wake-up says, of which `wanted` matters, with its datum; nothing if that
    /// concerns nobody. The lock of the wait queue is held, in any context.
    fn woken(&self, key: u32, wanted: u32) -> Option<Fired>;

    /// What is true if the poll method says `ready`, with the datum of what `wanted` has of it. The
    /// file is held.
    fn found(&self, ready: u32, wanted: u32) -> Fired;

    /// The datum that belongs to `mask` now. Takes no lock.
    fn measure(&self, _mask: u32) -> u64 {
        0
    }
}

/// How `EPOLLET` says to a poll method that each change counts.
const EDGE: u32 = 1 << 31;

/// What the poll method is asked for besides.
fn edge(request: &Event) -> u32 {
    match request.flags & REQ_ET {
        0 => 0,
        _ => EDGE,
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
        let wanted = request.mask | K::ALWAYS;
        // SAFETY: The list of the file, on which the tie comes next, ends its use.
        let (kind, want) = match unsafe { K::new(file, wanted) } {
            Ok(known) => known,
            Err(error) => {
                // A ghost ends even so.
                new.make_way()?;
                return Err(error);
            }
        };
        let renew = move |tie: Pin<&mut Watch<K>>| {
            let Some(told) = tie.told_mut() else {
                return false;
            };
            told.kind = kind;
            told.target.note = want;
            told.repeat = Repeat::new(K::keys(wanted));
            true
        };
        let tie = new.insert_tied(Nature::State, renew, move |target| {
            FileWatch::new(Told {
                kind,
                target: target.with(want),
                repeat: Repeat::new(K::keys(wanted)),
            })
        })?;
        // SAFETY: It is on no list, and `control` is held.
        let tie = unsafe { FileWatch::add(tie, file) }?;
        let special = request.flags & REQ_EXCLUSIVE != 0 || OPERATIONS.data(file).is_some();
        let entered = match special {
            // SAFETY: The entry is new, `control` is held, and `closed()` removes it if nobody does
            // before.
            false => unsafe { tie.enter(file, K::poll_bits(wanted) | edge(request)) },
            true => None,
        };
        let ready = match entered {
            Some(ready) => ready,
            None => tie.begin_specially(file, request)?,
        };
        if kind.found(ready, wanted).mask & wanted != 0 {
            tie.report_found(ready, wanted);
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
pub(super) type Watch<K> = FileWatch<Told<K>>;

/// What few ties have. What changes is changed with the queue's `control` held.
pub(crate) struct Rare<K: Kind> {
    /// Nothing once the tie has ended.
    entries: Option<Entries<K>>,
    /// The member that this was before it ended or changed, for what it has not taken.
    left: Option<Arc<Member>>,
    /// If the file is a queue.
    nested: Option<Nested>,
}

/// Entries on all wait queues of the file.
enum Entries<K: Kind> {
    Usual(Pin<KBox<PollWatch<Told<K>>>>),
    Special(Pin<KBox<PollWatch<Special<K>>>>),
}

impl<K: Kind> Entries<K> {
    fn told(&self) -> &Told<K> {
        match self {
            Entries::Usual(watch) => watch.data(),
            Entries::Special(watch) => &watch.data().told,
        }
    }

    fn member(&self) -> Option<&Arc<Member>> {
        match self {
            Entries::Usual(_) => None,
            Entries::Special(watch) => watch.data().member.as_ref(),
        }
    }
}

/// Takes the old entries off their queues, after `entries` are on theirs. No wake-up of the old
/// ones is under way afterwards. Returns the member that this was.
fn exchange<K: Kind>(
    rare: &SpinLock<Rare<K>>,
    mut entries: Option<Entries<K>>,
) -> Option<Arc<Member>> {
    core::mem::swap(&mut rare.lock().entries, &mut entries);
    let member = entries.as_ref().and_then(|old| old.member().cloned());
    drop(entries);
    if let Some(member) = &member {
        member.leave();
    }
    member
}

impl<K: Kind> Watch<K> {
    /// Puts entries on the wait queues of the file, in place of those that are there. Returns what
    /// its poll method says now. On error, all is as before.
    fn replace(&self, file: &LocalFile, request: &Event) -> Result<u32> {
        let Some(rare) = self.instead() else {
            return self.replace_first(file, request, None);
        };
        let is_nested = rare.lock().nested.is_some();
        let (entries, ready) = self.enter_anew(file, request, is_nested)?;
        let left = exchange(&rare, Some(entries));
        let left = core::mem::replace(&mut rare.lock().left, left);
        // Outside the lock.
        drop(left);
        Ok(ready)
    }

    /// The same in place of the entry of the tie.
    fn replace_first(
        &self,
        file: &LocalFile,
        request: &Event,
        nested: Option<Nested>,
    ) -> Result<u32> {
        let is_nested = nested.is_some();
        let rare = Rare {
            entries: None,
            left: None,
            nested,
        };
        // What must not fail later.
        let rare = KBox::pin_init(new_spinlock!(rare), accounted())?;
        let (entries, ready) = self.enter_anew(file, request, is_nested)?;
        rare.lock().entries = Some(entries);
        // SAFETY: `control` is held.
        unsafe { self.leave() };
        // SAFETY: As above. It has left its queue, and there is nothing instead.
        unsafe { self.set_instead(rare) };
        Ok(ready)
    }

    /// What few need, for a registration that is new.
    #[cold]
    fn begin_specially(&self, file: &LocalFile, request: &Event) -> Result<u32> {
        let outer = self.told().target.queue().number;
        let nested = match OPERATIONS.data(file) {
            Some(inner) => Some(Nested::new(outer, inner.number)?),
            None => None,
        };
        self.replace_first(file, request, nested)
    }

    /// Reports what the poll method says of a registration that is new.
    #[inline(never)]
    fn report_found(&self, ready: u32, wanted: u32) {
        let Told { kind, target, .. } = self.told();
        let (queue, found) = (target.queue(), kind.found(ready, wanted));
        queue.found_at(queue.lock(), target.handle(), &found, K::ALWAYS);
    }

    fn enter_anew(
        &self,
        file: &LocalFile,
        request: &Event,
        is_nested: bool,
    ) -> Result<(Entries<K>, u32)> {
        let wanted = request.mask | K::ALWAYS;
        let old = self.told();
        let told = Told {
            kind: old.kind,
            target: old.target.clone().with(K::change(old.target.note, wanted)),
            repeat: Repeat::new(K::keys(wanted)),
        };
        let mask = K::poll_bits(wanted) | edge(request);
        let exclusive = request.flags & REQ_EXCLUSIVE != 0;
        if !exclusive && !is_nested {
            // SAFETY: `closed()` drops it if nobody does before.
            let (watch, ready) = unsafe { PollWatch::new(file, mask, false, told, accounted()) }?;
            return Ok((Entries::Usual(watch), ready));
        }
        let member = exclusive
            .then(|| Member::new(file, old.target.clone().with(())))
            .transpose()?;
        let special = Special {
            told,
            member: member.clone(),
        };
        // SAFETY: As above.
        match unsafe { PollWatch::new(file, mask, exclusive, special, accounted()) } {
            Ok((watch, ready)) => Ok((Entries::Special(watch), ready)),
            Err(error) => {
                if let Some(member) = member {
                    member.leave();
                }
                Err(error)
            }
        }
    }

    /// Ends a tie that has what few have.
    #[inline(never)]
    fn end_rare(&self, rare: Pin<&SpinLock<Rare<K>>>) {
        let member = exchange(&rare, None);
        // SAFETY: `control` is held.
        let lives = unsafe { self.del() };
        let mut rare = rare.lock();
        if lives {
            // Others may want what this one has not taken.
            rare.left = member;
        }
        let nested = rare.nested.take();
        drop(rare);
        drop(nested);
    }

    /// What is true now, if the poll method is asked for what is `wanted`, and for `more`.
    fn ask(&self, wanted: u32, more: u32) -> Option<Fired> {
        let kind = self.told().kind;
        let fired = self.poll(K::poll_bits(wanted) | more, |ready| {
            kind.found(ready, wanted)
        })?;
        (fired.mask != 0).then_some(fired)
    }

    /// The bits for which there are entries; nothing once the tie has ended.
    fn wanted(&self) -> Option<u32> {
        match self.instead() {
            None => Some(self.told().wanted()),
            Some(rare) => Some(rare.lock().entries.as_ref()?.told().wanted()),
        }
    }

    /// Whether the entries that are there are those of `request`.
    fn is_same(&self, request: &Event) -> bool {
        let is_same = |told: &Told<K>, exclusive: bool| {
            told.wanted() == request.mask | K::ALWAYS
                && exclusive == (request.flags & REQ_EXCLUSIVE != 0)
        };
        match self.instead() {
            None => is_same(self.told(), false),
            Some(rare) => match &rare.lock().entries {
                Some(entries) => is_same(entries.told(), entries.member().is_some()),
                None => false,
            },
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
            } else if let Some(rare) = self.instead() {
                let left = rare.lock().left.take();
                drop(left);
            }
            Ok(())
        })
    }

    fn start(&self, request: &Event) -> Option<Fired> {
        // What the poll method said to `prepare()` went with the old event.
        let wanted = request.mask | K::ALWAYS;
        self.ask(wanted, edge(request))
            .filter(|fired| fired.mask & wanted != 0)
    }

    fn end(&self) {
        match self.instead() {
            Some(rare) => self.end_rare(rare),
            None => {
                // SAFETY: `control` is held.
                unsafe { self.leave() };
                // SAFETY: As above. Whether the file lives matters to who takes turns.
                unsafe { self.del() };
            }
        }
    }

    fn look(&self, _finished: bool) -> Option<Fired> {
        self.ask(self.wanted()?, 0)
    }

    fn measure(&self, mask: u32) -> Option<u64> {
        Some(self.told().kind.measure(mask))
    }

    fn is_of(&self, request: &Event) -> Result<bool> {
        with_file(request, |file| Ok(self.watches(file)))
    }

    fn pass_on(&self, untaken: &Fired) {
        let member = self.instead().and_then(|rare| {
            let rare = rare.lock();
            let member = rare.entries.as_ref().and_then(|entries| entries.member());
            member.or(rare.left.as_ref()).cloned()
        });
        if let Some(member) = member {
            member.pass_on(untaken, K::ALWAYS);
        }
    }

    fn always(&self) -> u32 {
        K::ALWAYS
    }
}

impl<K: Kind> CloseFn for Told<K> {
    type Instead = SpinLock<Rare<K>>;

    fn closed(watch: Arc<Watch<K>>) {
        let target = &watch.told().target;
        let (queue, handle) = (target.queue().clone(), target.handle());
        queue.control.lock().forget(&queue, handle, &watch);
        // Before the queue, to which it has a reference.
        drop(watch);
    }
}

/// Who is told of wake-ups.
pub(crate) struct Told<K: Kind> {
    kind: K,
    /// The registration, and which bits concern it. Does not change while an entry is on a queue:
    /// those for another request are new ones.
    target: Target<K::Want>,
    /// What may be said again without the lock of the queue. The lock of the wait queue, which is
    /// held in wake-ups, protects it. Its note has the bits of keys that concern anybody.
    repeat: Repeat,
}

impl<K: Kind> Clone for Told<K> {
    fn clone(&self) -> Self {
        Told {
            kind: self.kind,
            target: self.target.clone(),
            repeat: Repeat::new(self.repeat.note),
        }
    }
}

impl<K: Kind> Told<K> {
    /// Bits that concern anybody.
    #[inline(always)]
    fn wanted(&self) -> u32 {
        K::wanted(self.target.note)
    }

    /// Whether the queue has an untaken event that says `mask`.
    #[inline(always)]
    fn again(&self, mask: u32) -> bool {
        let memory = &self.target.queue().memory;
        self.repeat.covers(mask)
            && memory
                .as_ref()
                .is_some_and(|memory| self.repeat.touch(&**memory))
    }

    /// What a wake-up says that is simple.
    #[inline(never)]
    fn post(&self, mask: u32, data: u64, wakeup: &Wakeup) -> Woken {
        let fired = Self::simple(mask, data);
        let Some(irq) = wakeup.interrupts_off() else {
            return self.report_simple(mask, data);
        };
        match Queue::post(&self.target, irq, &fired, K::ALWAYS) {
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
        let Some((mask, data)) = self.kind.simple(self.target.note, concerns) else {
            return self.wake_slowly(key);
        };
        // If the kind does not know it from the key.
        if K::CALLS && mask & self.wanted() == 0 {
            return Woken::No;
        }
        if trace::is_fire_traced() {
            return self.report_simple(if K::CALLS { mask } else { key }, data);
        }
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
        Queue::posted(&self.target, inner, special, mask);
        Woken::Yes
    }

    #[inline(never)]
    fn report_otherwise(&self, inner: SpinLockGuard<'_, Inner>, mask: u32, data: u64) -> Woken {
        let fired = Self::checked(mask, data);
        let told = Queue::report_otherwise(&self.target, inner, &fired, K::ALWAYS, &self.repeat);
        told.is_some().into()
    }

    /// What a simple key says; with nothing but what pollers are told, as much as none.
    fn checked(mask: u32, data: u64) -> Fired {
        let mut fired = Self::simple(mask, data);
        if mask & K::KEYS == 0 {
            fired.result |= RET_RECHECK;
        }
        fired
    }

    /// The same for who traces, or has interrupts on.
    #[cold]
    #[inline(never)]
    fn report_simple(&self, mask: u32, data: u64) -> Woken {
        self.report(&Self::checked(mask, data))
    }

    /// A wake-up that is not simple.
    #[inline(never)]
    fn wake_slowly(&self, key: u32) -> Woken {
        let Some(fired) = self.kind.woken(key, self.wanted()) else {
            return Woken::No;
        };
        let simple = fired.result == RET_DONE && fired.error == 0;
        if simple && !trace::is_fire_traced() && self.again(fired.mask & self.wanted()) {
            return Woken::Yes;
        }
        self.report(&fired)
    }

    fn report(&self, fired: &Fired) -> Woken {
        let told = Queue::report(&self.target, fired, K::ALWAYS, false, Some(&self.repeat));
        told.is_some().into()
    }

    /// What a wake-up says, if it concerns anybody.
    fn said(&self, key: u32) -> Option<Fired> {
        let concerns = key & self.repeat.note;
        if concerns == 0 {
            return match key & K::KEYS {
                0 => self.kind.woken(key, self.wanted()),
                _ => None,
            };
        }
        match self.kind.simple(self.target.note, concerns) {
            Some((mask, data)) => Some(Self::checked(if K::CALLS { mask } else { key }, data)),
            None => self.kind.woken(key, self.wanted()),
        }
    }

    /// What it means that the wait queue goes away.
    fn broken() -> Fired {
        Fired {
            mask: K::HUNG_UP,
            result: RET_DONE | RET_BROKEN,
            ..Fired::default()
        }
    }
}

impl<K: Kind> WakeFn for Told<K> {
    #[inline(always)]
    fn wake(&self, key: u32, wakeup: &Wakeup) -> Woken {
        // The queue's lock is not for what another bit's waiters are woken by.
        let concerns = key & self.repeat.note;
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
        self.report(&Self::broken());
    }
}

/// Who is told of wake-ups of a queue, or for who takes turns: pollers of the own queue are told
/// later.
pub(crate) struct Special<K: Kind> {
    told: Told<K>,
    /// Who takes turns.
    member: Option<Arc<Member>>,
}

impl<K: Kind> Clone for Special<K> {
    fn clone(&self) -> Self {
        Special {
            told: self.told.clone(),
            member: self.member.clone(),
        }
    }
}

impl<K: Kind> Special<K> {
    fn report_alone(&self, fired: &Fired) -> Woken {
        let told = Queue::report(&self.told.target, fired, K::ALWAYS, true, None);
        told.is_some().into()
    }
}

impl<K: Kind> WakeFn for Special<K> {
    fn wake(&self, key: u32, _wakeup: &Wakeup) -> Woken {
        let Some(fired) = self.told.said(key) else {
            return Woken::No;
        };
        match &self.member {
            Some(member) => member.tell(&fired, K::ALWAYS).into(),
            None => self.report_alone(&fired),
        }
    }

    fn gone(&self) {
        self.report_alone(&Told::<K>::broken());
    }
}
