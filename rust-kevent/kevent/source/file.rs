// SPDX-License-Identifier: GPL-2.0

//! Ties to files, for the sources that watch them.
//!
//! A [`Kind`] says what a wake-up and the poll method of a file mean in the bits of its source. The
//! poll method is called when a request begins or changes, and when a level is looked at again; it
//! may sleep. A wake-up only looks at its key, and at what `Kind` may read without a lock.
//!
//! # Closing
//!
//! Nothing here holds the file. Its last close ends the registration:
//!
//! ```text
//!   REMOVE, close of the queue           last close of the file
//!   lock control                         take the watch off the file's list
//!   end(): entries off the wait queues   closed(): lock control
//!          watch off the list            not ended: end(), take the registration out
//!   unlock control                       unlock control, drop the watch
//! ```
//!
//! Who comes second to `control` finds that the tie has ended. The file stays whole until
//! `closed()` returns, so no wait queue goes before its entry; and the watch stays until then,
//! because the list owns a reference to it.

use super::{
    Target,
    Tie, //
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
            REQ_EXCLUSIVE,
            REQ_LAST_CHECK,
            REQ_ONESHOT,
            RET_BROKEN,
            RET_DONE, //
        },
        file::OPERATIONS,
        queue::{
            Inner,
            Queue, //
        },
        ring::Repeat,
        trace,
        word::Word, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        lock::{
            Backend,
            Guard, //
        },
        new_spinlock,
        wait::{
            WakeFn,
            Wakeup,
            POLLFREE, //
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
pub(super) trait Kind: Copy + Unpin + Send + Sync + 'static {
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

    /// Whether that needs no more than the key.
    const COMPUTES: bool;

    /// What a wake-up with `key` says, of which `wanted` matters; nothing if that concerns nobody. The
    /// lock of the wait queue is held, in any context.
    fn woken(&self, key: u32, wanted: u32) -> Option<Fired>;

    /// What is true if the poll method says `ready`.
    fn found(&self, ready: u32) -> Fired;

    /// The datum that belongs to `mask` now.
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

/// A tie of a registration to the file that its request names.
pub(super) fn tie<K: Kind>(target: Target) -> Result<Option<Arc<dyn Tie>>> {
    let tie = try_pin_init!(FileTie::<K> {
        target,
        parts <- new_spinlock!(Parts::default()),
    }? Error);
    Ok(Some(Arc::pin_init(FileWatch::new(tie), accounted())?))
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

fn lookup(request: &Event) -> Result<ARef<LocalFile>> {
    let fd = u32::try_from(request.id).map_err(|_| EBADF)?;
    Ok(LocalFile::fget(fd)?)
}

/// What ties a registration to a file. What changes is changed with the queue's `control` held.
#[pin_data]
struct FileTie<K: Kind> {
    target: Target,
    #[pin]
    parts: SpinLock<Parts<K>>,
}

type Entries<K> = Option<Pin<KBox<PollWatch<Told<K>>>>>;

struct Parts<K: Kind> {
    /// What is known of the file while its list has this tie.
    kind: Option<K>,
    /// What the entries are for.
    mask: u32,
    entries: Entries<K>,
    member: Option<Arc<Member>>,
    /// The member that this was, for what it has not taken.
    left: Option<Arc<Member>>,
    /// What was true when the entries came on the queues.
    ready: Option<u32>,
    /// If the file is a queue.
    nested: Option<Nested>,
}

impl<K: Kind> Default for Parts<K> {
    fn default() -> Self {
        Parts {
            kind: None,
            mask: 0,
            entries: None,
            member: None,
            left: None,
            ready: None,
            nested: None,
        }
    }
}

impl<K: Kind> FileWatch<FileTie<K>> {
    /// Puts entries on the wait queues of the file, in place of those that are there, and keeps what
    /// its poll method says now. `later` if the file is a queue.
    fn enter(&self, file: &LocalFile, kind: K, later: bool, request: &Event) -> Result {
        let exclusive = request.flags & REQ_EXCLUSIVE != 0;
        let member = exclusive
            .then(|| Member::new(file, self.target.clone()))
            .transpose()?;
        let told = Told {
            kind,
            wanted: request.mask | K::ALWAYS,
            target: self.target.clone(),
            later,
            member: member.clone(),
            repeat: Repeat::new(),
        };
        let mask = K::poll_bits(request.mask | K::ALWAYS);
        // SAFETY: `closed()` drops it if nobody does before.
        let watch = unsafe { PollWatch::new(file, mask, exclusive, told, accounted()) };
        match watch {
            Ok((entries, ready)) => {
                self.replace(Some(entries), member, |parts| {
                    parts.mask = request.mask;
                    parts.ready = Some(ready);
                });
                Ok(())
            }
            Err(error) => {
                if let Some(member) = member {
                    member.leave();
                }
                Err(error)
            }
        }
    }

    /// Begins to watch `file`.
    fn begin(self: Arc<Self>, file: &LocalFile, request: &Event) -> Result {
        // SAFETY: The list of the file, on which this comes next, ends its use.
        let kind = unsafe { K::new(file) }?;
        let nested = match OPERATIONS.data(file) {
            Some(inner) => {
                let outer = self.target.queue.number;
                Some(Nested::new(outer, inner.number, request.id)?)
            }
            None => None,
        };
        let later = nested.is_some();
        // SAFETY: It is on no list, and `control` is held.
        unsafe { FileWatch::add(self.clone(), file) }?;
        {
            let mut parts = self.parts.lock();
            parts.kind = Some(kind);
            parts.nested = nested;
        }
        self.enter(file, kind, later, request)
    }

    /// Replaces the entries, and changes with them what `also` does. No wake-up of the old ones is
    /// under way afterwards. Returns the member that this was.
    fn replace(
        &self,
        mut entries: Entries<K>,
        mut member: Option<Arc<Member>>,
        also: impl FnOnce(&mut Parts<K>),
    ) -> Option<Arc<Member>> {
        {
            let mut parts = self.parts.lock();
            core::mem::swap(&mut parts.entries, &mut entries);
            core::mem::swap(&mut parts.member, &mut member);
            also(&mut parts);
        }
        drop(entries);
        if let Some(member) = &member {
            member.leave();
        }
        member
    }
}

impl<K: Kind> Tie for FileWatch<FileTie<K>> {
    fn prepare(self: Arc<Self>, request: &Event) -> Result {
        let file = lookup(request)?;
        let exclusive = request.flags & REQ_EXCLUSIVE != 0;
        let (kind, same, later) = {
            let parts = self.parts.lock();
            let same = parts.member.is_some() == exclusive && parts.mask == request.mask;
            (parts.kind, same, parts.nested.is_some())
        };
        match kind {
            Some(_) if !self.watches(&file) => Err(ENOENT),
            Some(_) if same => Ok(()),
            Some(kind) => {
                self.enter(&file, kind, later, request)?;
                // What is reported until the old event is taken back goes with it. So the file is
                // asked again, after that.
                self.parts.lock().ready = None;
                Ok(())
            }
            None => self.begin(&file, request),
        }
    }

    fn start(&self, request: &Event) -> Option<Fired> {
        let (kind, first) = {
            let mut parts = self.parts.lock();
            (parts.kind, parts.ready.take())
        };
        let fired = match first {
            Some(ready) => found(kind?, ready),
            None => self.look(true),
        };
        fired.filter(|fired| fired.mask & (request.mask | K::ALWAYS) != 0)
    }

    fn end(&self) {
        let (mut kind, mut nested) = (None, None);
        let member = self.replace(None, None, |parts| {
            kind = parts.kind.take();
            nested = parts.nested.take();
        });
        // SAFETY: `control` is held.
        if kind.is_some() && unsafe { self.del() } {
            // The file lives on, and others may want what this one has not taken.
            self.parts.lock().left = member;
        }
        drop(nested);
    }

    fn look(&self, _finished: bool) -> Option<Fired> {
        let file = self.file()?;
        let kind = self.parts.lock().kind?;
        found(kind, file.poll(K::POLLED))
    }

    fn measure(&self, mask: u32) -> Option<u64> {
        // It keeps what `kind` knows of.
        let _file = self.file()?;
        let kind = self.parts.lock().kind?;
        Some(kind.measure(mask))
    }

    fn is_of(&self, request: &Event) -> Result<bool> {
        Ok(self.watches(&*lookup(request)?))
    }

    fn pass_on(&self, untaken: &Fired) {
        let member = {
            let parts = self.parts.lock();
            parts.member.clone().or_else(|| parts.left.clone())
        };
        if let Some(member) = member {
            member.tell(untaken, K::ALWAYS);
        }
    }

    fn always(&self) -> u32 {
        K::ALWAYS
    }
}

impl<K: Kind> CloseFn for FileTie<K> {
    fn closed(watch: Arc<FileWatch<Self>>) {
        let Target { queue, handle } = watch.target.clone();
        let mut control = queue.control.lock();
        if watch.parts.lock().kind.is_some() {
            control.forget(&queue, handle);
        }
        drop(control);
        // Before the queue, to which it has a reference.
        drop(watch);
    }
}

fn found<K: Kind>(kind: K, ready: u32) -> Option<Fired> {
    Some(kind.found(ready)).filter(|fired| fired.mask != 0)
}

/// Who is told of wake-ups.
struct Told<K: Kind> {
    kind: K,
    /// Bits that concern anybody. Entries for another request are new ones, so this never changes.
    wanted: u32,
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
            target: self.target.clone(),
            later: self.later,
            member: self.member.clone(),
            repeat: Repeat::new(),
        }
    }
}

impl<K: Kind> Told<K> {
    /// Whether the queue has an untaken event that says all that `fired` does.
    #[inline(always)]
    fn again(&self, fired: &Fired) -> bool {
        let Some(memory) = &self.target.queue.memory else {
            return false;
        };
        let outcome = Word::untaken(fired.mask & self.wanted, fired.result, 0);
        fired.error == 0 && self.repeat.touch(&**memory, outcome)
    }

    #[inline(always)]
    fn report_in<B: Backend>(&self, inner: Guard<'_, Inner, B>, fired: &Fired) -> bool {
        let repeat = Some(&self.repeat);
        Queue::report(&self.target, inner, fired, K::ALWAYS, || self.later, repeat).is_some()
    }

    #[inline(always)]
    fn report(&self, fired: &Fired, wakeup: &Wakeup) -> bool {
        match wakeup.interrupts_off() {
            Some(irq) => self.report_in(self.target.queue.lock_with(irq), fired),
            None => self.report_slowly(*fired),
        }
    }

    #[cold]
    fn report_slowly(&self, fired: Fired) -> bool {
        self.report_in(self.target.queue.lock(), &fired)
    }

    /// By who has computed what fired, and would not do so again.
    #[inline(never)]
    fn report_fired(&self, fired: Fired, wakeup: &Wakeup) -> bool {
        match &self.member {
            Some(member) => member.tell(&fired, K::ALWAYS),
            None => self.report(&fired, wakeup),
        }
    }

    /// By who finds what fired in the key.
    #[inline(never)]
    fn report_key(&self, key: u32, wakeup: &Wakeup) -> bool {
        let Some(fired) = self.kind.woken(key, self.wanted) else {
            return false;
        };
        if self.member.is_some() {
            return self.tell(fired);
        }
        self.report(&fired, wakeup)
    }

    #[cold]
    fn tell(&self, fired: Fired) -> bool {
        let member = self.member.as_ref();
        member.is_some_and(|member| member.tell(&fired, K::ALWAYS))
    }

    /// The wait queue goes away.
    #[cold]
    fn gone(&self) -> bool {
        self.report_slowly(Fired {
            mask: K::HUNG_UP,
            result: RET_DONE | RET_BROKEN,
            ..Fired::default()
        })
    }
}

impl<K: Kind> WakeFn for Told<K> {
    #[inline(always)]
    fn wake(&self, key: u32, wakeup: &Wakeup) -> bool {
        if key & POLLFREE != 0 {
            return self.gone();
        }
        // The queue's lock is not for what another bit's waiters are woken by.
        let Some(fired) = self.kind.woken(key, self.wanted) else {
            return false;
        };
        // Who takes turns never learns what to say again.
        if self.again(&fired) {
            trace::fire(&self.target.queue, fired.mask, false);
            return true;
        }
        if K::COMPUTES {
            self.report_key(key, wakeup)
        } else {
            self.report_fired(fired, wakeup)
        }
    }
}
