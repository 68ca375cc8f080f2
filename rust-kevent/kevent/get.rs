// SPDX-License-Identifier: GPL-2.0

//! `kevent_get_events()`: one more consumer.
//!
//! An event is copied before it is taken, both under the lock, so that a bad address, a signal or
//! a faster consumer of the ring costs nothing. The copy must not fault there; a page that is not
//! present is faulted in with the lock dropped, and the copy is tried again.
//!
//! An event to which its source has to agree is taken first, so that what fires while the source is
//! asked is an event of its own. It is dropped if nothing is true any more, and comes back if it
//! cannot be copied.
//!
//! Who was woken for what another took looks again before it sleeps on: a level may still be true.
//! Who takes a checked level wakes the next one to look. So all that sleep have it as long as it is
//! true, as with epoll.
//!
//! Most calls find what they want pending in a queue without a ring, and copy it from where it is:
//! [`take_pending()`]. All others, and what that leaves, are for [`Call`].

use super::{
    deadline::{
        Deadline,
        Timeout, //
    },
    event::{
        Event,
        REQ_DISPATCH,
        REQ_ET,
        REQ_LAST_CHECK,
        RET_RECHECK, //
    },
    queue::{
        Events,
        Locked,
        Queue,
        Wait,
        Woken,
        FEW, //
    },
    record::{
        Batch,
        Buffer,
        BATCH, //
    },
    resume::PutOff,
    source::Tied,
    state::{
        Asked,
        Delivered,
        Next, //
    },
    word::Word, //
};
use crate::{
    bindings,
    prelude::*, //
};

/// Events copied in one round of the lock.
const ROUND: u32 = BATCH;

/// What a caller wants.
struct Request<'a> {
    /// How many events it waits for.
    min: u32,
    /// How many it has room for.
    max: u32,
    /// How long it waits.
    timeout: Timeout<'a>,
}

enum Round {
    /// Nothing more, or no more room.
    Over,
    /// Others may want the lock.
    Full,
    /// The next place is not present.
    Fault,
    /// The next event is one to which its source has to agree.
    Special(Next),
}

/// A call, and how far it came.
struct Call<'a> {
    queue: &'a Queue,
    min: u32,
    max: u32,
    buffer: Buffer,
    copied: u32,
    /// How many registrations it may still look at again: as many as there were when it began. So a
    /// level that it delivers itself is not delivered twice.
    looks: Option<u32>,
    looked: bool,
    /// It has delivered a checked level.
    is_shared: bool,
    /// What it does before it sleeps.
    put_off: PutOff<'a>,
    /// See [`Wait`].
    seen: u32,
}

fn measure(tie: &Tied, mask: u32) -> Option<u64> {
    tie.with(|tie| tie.measure(mask))
}

impl<'a> Call<'a> {
    /// Locks the state, when what is to be looked at again was: a few of them in any case; with
    /// less than `need` events there, until there are as many as it has room for.
    #[inline(always)]
    fn lock(&mut self, need: impl FnOnce(&Self) -> u32) -> Locked<'a> {
        let inner = self.queue.lock_near();
        self.seen = inner.handed;
        let left = *self.looks.get_or_insert(inner.events.to_look_at());
        if left == 0 {
            return inner;
        }
        let need = need(self);
        self.look(inner, need)
    }

    #[inline(never)]
    fn look(&mut self, mut inner: Locked<'a>, need: u32) -> Locked<'a> {
        let first = !core::mem::replace(&mut self.looked, true);
        let enough = inner.events.available(u64::from(need)) >= u64::from(need);
        if enough && !first {
            return inner;
        }
        drop(inner);
        let mut room = self.max.saturating_sub(self.copied);
        let mut left = self.looks.unwrap_or(0);
        while left != 0 && room != 0 {
            let few = left.min(FEW).min(room);
            left = left.saturating_sub(few);
            let found = self.queue.look_again(&mut { few });
            room = if enough {
                0
            } else {
                room.saturating_sub(found)
            };
        }
        self.looks = Some(left);
        self.queue.lock_near()
    }

    fn copy_round(&mut self, events: &mut Events) -> Round {
        let mut left = ROUND;
        if events.ring().is_none() {
            let room = self.max.wrapping_sub(self.copied);
            let copied = copy_pending(events, room, &mut self.buffer);
            self.copied = self.copied.saturating_add(copied);
            left = left.saturating_sub(copied);
        }
        while left != 0 && self.copied != self.max {
            if !events.catch_up() {
                return Round::Full;
            }
            let buffer = &self.buffer;
            match events.deliver(measure, |event| buffer.offer(event)) {
                Ok(Delivered::Yes) => self.keep(),
                Ok(Delivered::No) => {}
                Ok(Delivered::Nothing) => break,
                Ok(Delivered::Special(next)) => return Round::Special(next),
                Err(_) => return Round::Fault,
            }
            left = left.saturating_sub(1);
        }
        if events.ring().is_some() {
            // What was taken from it left room for what is pending.
            events.flush(ROUND);
        }
        if self.copied == self.max || events.catch_up() && !events.has_events() {
            Round::Over
        } else {
            Round::Full
        }
    }

    /// Takes the next event, and delivers it if its source agrees.
    #[inline(never)]
    fn ask(&mut self, mut inner: Locked<'_>, next: Next) -> Result {
        let owner = inner.events.owner(next);
        let asked = owner.and_then(|handle| inner.events.ask(handle));
        let Some((_, registration)) = inner.events.peek() else {
            return Ok(());
        };
        let event = registration.newest();
        // What fires from here on is an event of its own.
        let taken = inner.events.take(next);
        drop(inner);
        match asked.filter(|_| taken) {
            Some(asked) => self.check(&asked, event),
            None => Ok(()),
        }
    }

    /// What was offered was taken.
    fn keep(&mut self) {
        self.buffer.advance();
        self.copied = self.copied.saturating_add(1);
    }

    fn copy(&mut self) -> Result {
        loop {
            // What a dying thread takes, nobody sees. A page that comes and goes must not hold it.
            //
            // SAFETY: Looks at `current`.
            if unsafe { bindings::kevent_is_dying() } {
                return Err(EINTR);
            }
            let mut inner = self.lock(|call| u32::from(call.copied < call.min.max(1)));
            match self.copy_round(&mut inner.events) {
                Round::Over => {
                    if self.is_shared {
                        self.queue.pass_look(&mut inner);
                    }
                    return Ok(());
                }
                Round::Full => {}
                Round::Fault => {
                    drop(inner);
                    self.buffer.fault_in()?;
                }
                Round::Special(next) => self.ask(inner, next)?,
            }
        }
    }

    /// Delivers an event that was taken, if it is still true.
    fn check(&mut self, asked: &Asked<Tied>, mut event: Event) -> Result {
        let word = Word(event.word);
        let wanted = event.mask | asked.tie.with(|tie| tie.always());
        let found = asked.tie.with(|tie| tie.look(true)).unwrap_or_default();
        // A look may sleep.
        //
        // SAFETY: Looks at `current`.
        if unsafe { bindings::kevent_is_dying() } {
            self.undeliver(asked);
            return Err(EINTR);
        }
        let mask = found.mask & wanted;
        if mask != 0 {
            event.data = found.data;
            event.error = found.error;
            event.word = Word::untaken(mask, word.result() & !RET_RECHECK, 0).0;
            if !self.hand_out(asked, &event)? {
                return Ok(());
            }
            let mode = event.flags & (REQ_LAST_CHECK | REQ_ET | REQ_DISPATCH);
            self.is_shared |= mode == REQ_LAST_CHECK;
        } else if event.flags & REQ_DISPATCH != 0 {
            self.undeliver(asked);
        }
        Ok(())
    }

    /// Copies an event that was taken and is still true. Not if its registration has ended
    /// meanwhile, or is another: who ended it was told that nobody has the event. Returns whether
    /// it did.
    fn hand_out(&mut self, asked: &Asked<Tied>, event: &Event) -> Result<bool> {
        loop {
            {
                let inner = self.queue.lock();
                if !inner.events.is_valid(asked) {
                    return Ok(false);
                }
                if self.buffer.offer(event).is_ok() {
                    self.keep();
                    return Ok(true);
                }
            }
            // SAFETY: Looks at `current`.
            let present = match unsafe { bindings::kevent_is_dying() } {
                true => Err(EINTR),
                false => self.buffer.fault_in(),
            };
            if let Err(error) = present {
                self.undeliver(asked);
                return Err(error);
            }
        }
    }

    /// An event was taken, and delivered to nobody: its registration reports what is true now.
    fn undeliver(&self, asked: &Asked<Tied>) {
        {
            let mut inner = self.queue.lock();
            if inner.events.is_valid(asked) {
                inner.events.rearm(asked.handle);
            }
        }
        if let Some(fired) = asked.tie.with(|tie| tie.look(true)) {
            self.queue.found(asked, &fired);
        }
    }

    fn wait(&mut self, events: u32, deadline: Deadline) -> Woken {
        loop {
            if self.copied == 0 {
                // Others may have taken what it waited for before.
                self.looks = None;
            }
            let mut inner = self.lock(|_| events);
            let wait = Wait {
                wants: events,
                takes: self.max.saturating_sub(self.copied),
                deadline,
                seen: self.seen,
            };
            let woken = self
                .queue
                .sleep(&mut inner, &wait, &mut self.put_off, |state| {
                    events.saturating_sub(state.available(u64::from(events)) as u32)
                });
            if woken != Woken::InVain {
                return woken;
            }
        }
    }
}

/// Copies and takes pending events, up to `max` and the first to which its source has to agree, but
/// no more than [`ROUND`].
#[inline(always)]
fn copy_pending(events: &mut Events, max: u32, buffer: &mut Buffer) -> u32 {
    let mut batch = Batch::new();
    let gathered = events.gather(max.min(ROUND), measure, |n, event| batch.put(n, event));
    // SAFETY: These were put there. `events` stays borrowed, so none was moved or written since.
    let copied = unsafe { buffer.fill(&batch, gathered.len) };
    events.settle(gathered, copied);
    copied
}

/// Takes what is pending in a queue without a ring, if that is as much as is waited for, and
/// nothing is to be looked at before. Returns how many were copied, and whether that is all.
#[inline(always)]
fn take_pending(queue: &Queue, min: u32, max: u32, buffer: &mut Buffer) -> (u32, bool) {
    let mut inner = queue.lock();
    if inner.events.to_look_at() != 0 || inner.events.pending() < min {
        return (0, false);
    }
    let copied = copy_pending(&mut inner.events, max, buffer);
    (copied, copied == max || inner.events.pending() == 0)
}

/// Waits for `min` events, and copies `max` at most. Returns how many.
#[inline(always)]
pub(crate) fn get_events(
    queue: &Queue,
    min: u32,
    max: u32,
    timeout: Timeout<'_>,
    mut buffer: Buffer,
) -> Result<u32> {
    if max < min.max(1) {
        return Err(EINVAL);
    }
    let mut copied = 0;
    if queue.memory.is_none() && !timeout.is_of_batch() {
        let done;
        (copied, done) = take_pending(queue, min, max, &mut buffer);
        if done {
            return Ok(copied);
        }
    }
    get_slowly(queue, Request { min, max, timeout }, buffer, copied)
}

#[inline(never)]
fn get_slowly<'a>(
    queue: &'a Queue,
    request: Request<'a>,
    buffer: Buffer,
    copied: u32,
) -> Result<u32> {
    let (min, max) = (request.min, request.max);
    // SAFETY: A system call by way of this file, and there is no other.
    let put_off = unsafe { PutOff::new(request.timeout.file()) };
    let (deadline, batch) = request.timeout.start();
    let mut call = Call {
        queue,
        min,
        max,
        buffer,
        copied,
        // What was copied had nothing to look at before it.
        looks: (copied != 0).then_some(0),
        looked: false,
        is_shared: false,
        put_off,
        seen: 0,
    };
    let mut woken = Woken::Done;
    if let Some(batch) = batch {
        if min != 0 {
            woken = call.wait(max, batch);
        }
    }
    loop {
        if matches!(woken, Woken::Done | Woken::Timeout) && call.copied < min {
            let missing = min.saturating_sub(call.copied);
            woken = call.wait(missing, deadline);
        }
        if let Err(error) = call.copy() {
            // It may have been woken for what it leaves.
            queue.pass_on();
            if call.copied == 0 {
                return Err(error);
            }
            break;
        }
        if call.copied >= min || woken != Woken::Done {
            break;
        }
    }
    if call.copied == 0 && woken == Woken::Signal {
        return Err(EINTR);
    }
    Ok(call.copied)
}
