// SPDX-License-Identifier: GPL-2.0

//! Files with a poll method.
//!
//! # What a wake-up says
//!
//! | key of the wake-up | reported                                                        |
//! |--------------------|-----------------------------------------------------------------|
//! | poll bits          | those that are wanted, errors and hang-ups                      |
//! | none               | what is wanted, with RECHECK: the file cannot be asked from here |
//! | `POLLFREE`         | a hang-up, with BROKEN: nothing more will come                  |
//!
//! # Closing
//!
//! Nothing here holds the file. Its last close ends the registration:
//!
//! ```text
//!   REMOVE, close of the queue           last close of the file
//!   lock control                         take the watch off the file's list
//!   end(): entries off the wait queues   closed(): lock control
//!          watch off the list            live: end(), take the registration out
//!   unlock control                       unlock control, drop the watch
//! ```
//!
//! Who comes second to `control` finds that the tie is no longer live. The file stays whole until
//! `closed()` returns, so no wait queue goes before its entry; and the watch stays until then,
//! because the list owns a reference to it.

use super::{
    Source,
    Target,
    Tie, //
};
use crate::{
    bindings,
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
            RET_DONE,
            RET_RECHECK, //
        },
        file::OPERATIONS,
        queue::Queue,
        registration::Nature, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        new_spinlock,
        wait::{
            WakeFn,
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

/// The source of files.
pub(crate) struct Poll;

/// Reported without being asked for.
const ALWAYS: u32 = bindings::POLLERR | bindings::POLLHUP;

/// What can be asked for.
const BITS: u32 = ALWAYS
    | bindings::POLLIN
    | bindings::POLLPRI
    | bindings::POLLOUT
    | bindings::POLLRDNORM
    | bindings::POLLRDBAND
    | bindings::POLLWRNORM
    | bindings::POLLWRBAND
    | bindings::POLLMSG
    | bindings::POLLRDHUP;

impl Source for Poll {
    unsafe fn init(&self) {
        // SAFETY: By the contract of this function.
        unsafe { exclusive::init() };
        // SAFETY: As above.
        unsafe { nesting::init() };
    }

    fn flags(&self) -> u32 {
        REQ_EXCLUSIVE
    }

    fn check(&self, request: &Event) -> Result {
        // The only event of a ONESHOT must not be found stale, and cannot be passed on.
        let once = request.flags & REQ_ONESHOT != 0;
        if request.param != [0; 2]
            || request.mask & !BITS != 0
            || once && request.flags & (REQ_LAST_CHECK | REQ_EXCLUSIVE) != 0
        {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn nature(&self) -> Nature {
        Nature::State
    }

    fn tie(&self, target: Target) -> Result<Option<Arc<dyn Tie>>> {
        let tie = try_pin_init!(FileTie {
            target,
            parts <- new_spinlock!(Parts::default()),
        }? Error);
        Ok(Some(Arc::pin_init(FileWatch::new(tie), accounted())?))
    }
}

fn lookup(request: &Event) -> Result<ARef<LocalFile>> {
    let fd = u32::try_from(request.id).map_err(|_| EBADF)?;
    Ok(LocalFile::fget(fd)?)
}

/// Whether a file is one that no queue may ever watch: an epoll or an io_uring.
fn is_refused(file: &LocalFile) -> bool {
    // SAFETY: The file is valid.
    unsafe { bindings::kevent_is_refused(file.as_ptr()) }
}

fn ready(mask: u32) -> Option<Fired> {
    (mask != 0).then_some(Fired {
        mask,
        result: RET_DONE,
        ..Fired::default()
    })
}

/// What ties a registration to a file. What changes is changed with the queue's `control` held.
#[pin_data]
struct FileTie {
    target: Target,
    #[pin]
    parts: SpinLock<Parts>,
}

#[derive(Default)]
struct Parts {
    /// The file's list has it.
    live: bool,
    entries: Option<Pin<KBox<PollWatch<Told>>>>,
    member: Option<Arc<Member>>,
    /// The member that this was, for what it has not taken.
    left: Option<Arc<Member>>,
    /// What was true when the entries came on the queues.
    ready: Option<u32>,
    /// If the file is a queue.
    nested: Option<Nested>,
}

impl FileWatch<FileTie> {
    /// Puts entries on the wait queues of the file, in place of those that are there. Returns what is
    /// true now.
    fn enter(&self, file: &LocalFile, request: &Event) -> Result<u32> {
        let exclusive = request.flags & REQ_EXCLUSIVE != 0;
        let member = exclusive
            .then(|| Member::new(file, self.target.clone()))
            .transpose()?;
        let told = Told {
            target: self.target.clone(),
            later: self.parts.lock().nested.is_some(),
            member: member.clone(),
        };
        let mask = request.mask | ALWAYS;
        // SAFETY: `closed()` drops it if nobody does before.
        let watch = unsafe { PollWatch::new(file, mask, exclusive, told, accounted()) };
        match watch {
            Ok((entries, ready)) => {
                self.replace(Some(entries), member);
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

    /// Replaces the entries. No wake-up of the old ones is under way afterwards. Returns the member
    /// that this was.
    fn replace(
        &self,
        mut entries: Option<Pin<KBox<PollWatch<Told>>>>,
        mut member: Option<Arc<Member>>,
    ) -> Option<Arc<Member>> {
        {
            let mut parts = self.parts.lock();
            core::mem::swap(&mut parts.entries, &mut entries);
            core::mem::swap(&mut parts.member, &mut member);
        }
        drop(entries);
        if let Some(member) = &member {
            member.leave();
        }
        member
    }
}

impl Tie for FileWatch<FileTie> {
    fn prepare(self: Arc<Self>, request: &Event) -> Result {
        let file = lookup(request)?;
        if !self.parts.lock().live {
            if is_refused(&file) {
                return Err(EINVAL);
            }
            if !file.can_poll() {
                return Err(EPERM);
            }
            if let Some(inner) = OPERATIONS.data(&file) {
                let outer = self.target.queue.number;
                let nested = Nested::new(outer, inner.number, request.id)?;
                self.parts.lock().nested = Some(nested);
            }
            // SAFETY: It is not live, and `control` is held.
            unsafe { FileWatch::add(self.clone(), &file) }?;
            self.parts.lock().live = true;
            let ready = self.enter(&file, request)?;
            self.parts.lock().ready = Some(ready);
            return Ok(());
        }
        if !self.watches(&file) {
            return Err(ENOENT);
        }
        let exclusive = request.flags & REQ_EXCLUSIVE != 0;
        if self.parts.lock().member.is_some() != exclusive {
            self.enter(&file, request)?;
        }
        Ok(())
    }

    fn start(&self, _request: &Event) -> Option<Fired> {
        let first = self.parts.lock().ready.take();
        match first {
            Some(mask) => ready(mask),
            None => self.look(true),
        }
    }

    fn end(&self) {
        let member = self.replace(None, None);
        let (live, nested) = {
            let mut parts = self.parts.lock();
            (core::mem::take(&mut parts.live), parts.nested.take())
        };
        // SAFETY: `control` is held.
        if live && unsafe { self.del() } {
            // The file lives on, and others may want what this one has not taken.
            self.parts.lock().left = member;
        }
        drop(nested);
    }

    fn look(&self, _finished: bool) -> Option<Fired> {
        ready(self.file()?.poll())
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
            member.tell(untaken, ALWAYS);
        }
    }

    fn always(&self) -> u32 {
        ALWAYS
    }
}

impl CloseFn for FileTie {
    fn closed(watch: Arc<FileWatch<Self>>) {
        let Target { queue, handle } = watch.target.clone();
        let mut control = queue.control.lock();
        if watch.parts.lock().live {
            control.forget(&queue, handle);
        }
        drop(control);
        // Before the queue, to which it has a reference.
        drop(watch);
    }
}

/// Who is told of wake-ups.
#[derive(Clone)]
struct Told {
    target: Target,
    /// The file is a queue: its wake-ups must not reach who watches this one.
    later: bool,
    member: Option<Arc<Member>>,
}

impl WakeFn for Told {
    fn wake(&self, mask: u32) -> bool {
        let (mask, result) = if mask & POLLFREE != 0 {
            (bindings::POLLHUP, RET_DONE | RET_BROKEN)
        } else if mask & BITS == 0 {
            (mask, RET_DONE | RET_RECHECK)
        } else {
            (mask, RET_DONE)
        };
        let fired = Fired {
            mask,
            result,
            ..Fired::default()
        };
        match &self.member {
            Some(member) if result & RET_BROKEN == 0 => member.tell(&fired, ALWAYS),
            _ => {
                let Target { queue, handle } = &self.target;
                Queue::report(queue, *handle, &fired, ALWAYS, self.later).is_some()
            }
        }
    }
}
