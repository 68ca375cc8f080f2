// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a queue does with what fires.
//!
//! # The way of an event
//!
//! ```text
//!            +--> merged into the untaken entry, or into what is pending
//!   fire() --+--> published in the ring --------------------------+--> a consumer of the ring
//!            +--> pending ---+--> published when there is room ---+
//!                            +------------------------------------+--> kevent_get_events()
//! ```
//!
//! * A registration has at most one untaken entry in the ring, or is pending, never both.
//! * What is pending is younger than every entry of the ring. So whoever finds older events pending
//!   goes behind them, and delivery follows the order of firing.
//! * An event is *published* when it is in the ring or handed to a caller. Then ONESHOT ends the
//!   registration, and DISPATCH disables it.
//!
//! # What is looked at again
//!
//! A level is reported as long as it is true, and a timer counts while its event is untaken. Such a
//! registration goes on a list when its event is published. Calls that enter the kernel go through
//! the list, and ask the tie of each: of a level when the slot of its event is finished, of a count
//! at any time. Who is asked is off the list, unless its event is untaken; it comes back when it is
//! published again. What fires meanwhile does so by itself.
//!
//! # Room
//!
//! `pending` in the mapping tells consumers that something waits for room:
//!
//! ```text
//!   kernel                          consumer
//!   pending = 1                     finish a slot
//!   full barrier                    full barrier
//!   look for room                   if pending: enter the kernel
//! ```
//!
//! One of the two sees the other. A consumer that leaves its half out loses nothing: no call that
//! sleeps does so while something is pending.
//!
//! All methods are called under the lock of the queue. None allocates or sleeps, and the work of
//! one `fire()` has a bound that user space cannot move.

use super::{
    event::{
        Event,
        Fired,
        REQ_WAKEUP_ALL,
        RET_RECHECK, //
    },
    keys::{
        Hash,
        Keys,
        Secret,
        Vacant, //
    },
    registration::{
        Handle,
        List,
        Locate,
        Nature,
        Phase,
        Registration,
        Run,
        Sequel,
        Table,
        NOWHERE, //
    },
    ring::{
        CommitError,
        Memory,
        Repeat,
        Ring,
        NO_SLOT, //
    },
    word::Word, //
};
use crate::sync::{
    atomic::Relaxed,
    barrier::{
        smp_mb,
        Full, //
    }, //
};

/// How many pending events one firing moves into the ring.
const FLUSH: u32 = 16;

/// Whom to tell of what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// Nobody.
    #[default]
    None,
    /// One sleeper.
    One,
    /// Every sleeper.
    All,
}

impl Wake {
    /// The wider of two.
    pub fn or(self, other: Wake) -> Wake {
        self.max(other)
    }
}

/// Where the next event for `kevent_get_events()` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// In the ring, at this position.
    Ring(u64),
    /// On the pending list.
    Pending(Handle),
}

/// What became of an attempt to deliver the oldest event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is the caller's.
    Yes,
    /// A consumer of the ring was faster.
    No,
    /// There is none.
    Nothing,
    /// Its source has to agree.
    Special(Next),
}

/// Pending events on their way to a caller: as many as lie before where the walk stands.
pub struct Gathered {
    run: Run,
    /// How many.
    pub len: u32,
    /// Something happens to some of them once they are taken.
    sequels: bool,
}

/// What became of a registration that was removed.
#[derive(Debug)]
pub struct Removed<T> {
    /// Which one it was.
    pub handle: Handle,
    /// It had ended before, as ONESHOT does.
    pub over: bool,
    /// A consumer still holds an event of it.
    pub outstanding: bool,
    /// Or that takes longer to find out: [`State::is_held()`] tells.
    pub unsure: bool,
    /// What an event said that no consumer will see.
    pub untaken: Option<Fired>,
    /// To be ended, and dropped, outside the lock.
    pub tie: Option<T>,
}

/// Why a registration was not modified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotModified {
    /// It is over.
    Over,
    /// It takes longer to find out what consumers hold of it. To be tried again.
    Unsure,
}

/// A registration whose source is to be asked, without the lock.
#[derive(Clone, Debug)]
pub struct Asked<T> {
    /// Which one it is.
    pub handle: Handle,
    /// Which request of it. The answer is void if that has changed.
    pub generation: u64,
    /// Whom to ask.
    pub tie: T,
}

/// What to look at again.
#[derive(Debug)]
pub enum Look<T> {
    /// A registration, and whether no event of it is under way.
    At(Asked<T>, bool),
    /// Ask again; the lock should be free for a moment.
    More,
    /// Nothing.
    Nothing,
}

/// Steps through the list of those to look at again in one go.
const LOOKS: u32 = 32;

/// The registrations of a queue, and what has fired.
pub struct State<M: Memory, T = ()> {
    table: Table<T>,
    keys: Keys,
    ring: Option<Ring<M>>,
    pending: List,
    /// Registrations of which there may be more to say.
    again: List,
    /// Registrations that are over; process context frees them.
    dead: List,
}

impl<M: Memory, T> State<M, T> {
    /// A queue with or without a ring.
    pub fn new(ring: Option<Ring<M>>, secret: Secret) -> Self {
        State {
            table: Table::new(),
            keys: Keys::new(secret),
            ring,
            pending: List::new(),
            again: List::new(),
            dead: List::new(),
        }
    }

    /// The table, to grow it.
    pub fn table(&mut self) -> &mut Table<T> {
        &mut self.table
    }

    /// The ring.
    pub fn ring(&self) -> Option<&Ring<M>> {
        self.ring.as_ref()
    }

    /// [`Ring::advance_tail()`], if there is a ring.
    pub fn advance_tail(&mut self) -> Option<bool> {
        Some(self.ring.as_mut()?.advance_tail())
    }

    /// How many events wait for room.
    pub fn pending(&self) -> u32 {
        self.pending.len()
    }

    /// The template of a registration, unless it is over.
    pub fn template(&self, handle: Handle) -> Option<&Event> {
        self.table
            .get(handle)
            .filter(|r| r.is_armed() || r.phase == Phase::Disabled)
            .map(|r| &r.event)
    }

    /// How many registrations there are that are not over.
    pub fn alive(&self) -> u32 {
        self.keys.len().saturating_sub(self.dead.len())
    }

    /// The registration with a key, even if it is over.
    #[inline]
    pub fn find(&self, hash: Hash, kind: u32, id: u64) -> Option<Handle> {
        self.keys.find(&self.table, hash, kind, id).ok()
    }

    /// Where a key would be, if it is not there.
    #[inline(always)]
    pub fn vacant(&self, hash: Hash, kind: u32, id: u64) -> Option<Vacant> {
        self.keys.find(&self.table, hash, kind, id).err()
    }

    /// Arms a new registration, with a key that is not there; since that was found, none was added
    /// or removed. The table must have room. `tie` makes what ties it to its source, if that is
    /// anything.
    #[inline(always)]
    pub fn add(
        &mut self,
        vacant: Vacant,
        request: &Event,
        generation: u64,
        nature: Nature,
        tie: impl FnOnce(Handle) -> Option<T>,
    ) -> Option<Handle> {
        let (handle, registration) = self.table.insert(request, generation, nature)?;
        registration.after = vacant.after;
        registration.set_tie(tie(handle));
        self.keys.insert(&mut self.table, vacant, handle);
        Some(handle)
    }

    /// The same with the tie that the place of the last one has kept, as
    /// [`Table::insert_again()`] says.
    #[inline(always)]
    pub fn add_again<R, E>(
        &mut self,
        vacant: Vacant,
        request: &Event,
        generation: u64,
        nature: Nature,
        renew: impl FnOnce(T) -> Result<(T, R), E>,
    ) -> Result<(Handle, R), Option<E>> {
        let table = &mut self.table;
        let added = table.insert_again(request, generation, nature, vacant.after, renew)?;
        self.keys.insert(table, vacant, added.0);
        Ok(added)
    }

    /// What ties a registration to its source.
    pub fn tied(&self, handle: Handle) -> Option<&T> {
        self.table.get(handle)?.tie()
    }

    /// A registration, to ask its source.
    pub fn ask(&self, handle: Handle) -> Option<Asked<T>>
    where
        T: Clone,
    {
        let registration = self.table.get(handle)?;
        Some(Asked {
            handle,
            generation: registration.generation(),
            tie: registration.tie().cloned()?,
        })
    }

    /// Whether an answer is for the request that there is now.
    pub fn is_valid(&self, asked: &Asked<T>) -> bool {
        self.table.get(asked.handle).is_some_and(|registration| {
            registration.phase != Phase::Free && registration.generation() == asked.generation
        })
    }

    /// What a registration with a key began as, even if it is over.
    pub fn request(&self, handle: Handle) -> Option<&Event> {
        self.table
            .get(handle)
            .filter(|r| !matches!(r.phase, Phase::Free | Phase::Ghost))
            .map(|r| &r.event)
    }

    /// Ends the registration with a key, as [`State::remove()`] does.
    #[inline]
    pub fn take_out(&mut self, hash: Hash, kind: u32, id: u64) -> Option<Removed<T>> {
        let handle = self.keys.take(&mut self.table, hash, kind, id)?;
        Some(self.end(handle))
    }

    /// Ends a registration, and takes an untaken event of it back unless ONESHOT has ended it
    /// already.
    pub fn remove(&mut self, handle: Handle) -> Removed<T> {
        if let Some(Event { kind, id, .. }) = self.request(handle) {
            let hash = self.keys.hash(*kind, *id);
            self.keys.remove(&mut self.table, hash, handle);
        }
        self.end(handle)
    }

    /// Ends a registration without a key.
    #[inline]
    fn end(&mut self, handle: Handle) -> Removed<T> {
        let ring = &mut self.ring;
        // What happens most: it is on no list, and has no entries that a consumer may hold but one.
        let removed = self.table.remove_if(handle, |registration| {
            if !registration.is_quiet() {
                return None;
            }
            let (outstanding, bits) = match ring {
                Some(ring) => ring.leave(registration),
                None => (false, 0),
            };
            Some(Removed {
                handle,
                over: false,
                outstanding,
                unsure: false,
                untaken: Self::untaken(bits),
                tie: registration.take_tie(),
            })
        });
        match removed {
            Some(removed) => removed,
            None => self.end_slowly(handle),
        }
    }

    #[inline(never)]
    fn end_slowly(&mut self, handle: Handle) -> Removed<T> {
        let mut removed = Removed {
            handle,
            over: false,
            outstanding: false,
            unsure: false,
            untaken: None,
            tie: None,
        };
        match self.table.get(handle).map(|r| r.phase) {
            None | Some(Phase::Free | Phase::Ghost) => return removed,
            // What it published last is still on its way.
            Some(Phase::Dead) => {
                removed.over = true;
                self.dead.unlink(&mut self.table, handle);
                let ring = self.ring.as_mut();
                if let Some((ring, registration)) = ring.zip(self.table.get_mut(handle)) {
                    ring.bind(registration);
                }
            }
            Some(Phase::Armed | Phase::Waiting | Phase::Disabled) => {
                self.forget_look(handle);
                removed.untaken = self.retract(handle);
                let held = self.is_held(handle);
                (removed.outstanding, removed.unsure) = (held == Some(true), held.is_none());
            }
        }
        if let Some(registration) = self.table.get_mut(handle) {
            removed.tie = registration.take_tie();
            match registration.chain {
                NO_SLOT => self.table.remove(handle),
                _ => registration.phase = Phase::Ghost,
            }
        }
        removed
    }

    /// What was taken back, of which these are the mask and result bits.
    #[inline]
    fn untaken(bits: u64) -> Option<Fired> {
        (bits != 0).then(|| Fired {
            mask: bits as u32,
            result: Word(bits).result(),
            ..Fired::default()
        })
    }

    /// Takes an untaken event back and arms the registration anew. Returns whether a consumer still
    /// holds an event of it, and what was taken back.
    #[inline]
    pub fn modify(
        &mut self,
        handle: Handle,
        request: &Event,
        generation: u64,
    ) -> Result<(bool, Option<Fired>), NotModified> {
        let registration = self.table.get_mut(handle).ok_or(NotModified::Over)?;
        let ring = self.ring.as_ref();
        // What happens most: it is on no list, and no event of it is under way.
        if !registration.is_quiet() || ring.is_some_and(|ring| !ring.is_done(registration)) {
            return self.modify_slowly(handle, request, generation);
        }
        registration.position = NOWHERE;
        registration.renew(request, generation);
        Ok((false, None))
    }

    #[inline(never)]
    fn modify_slowly(
        &mut self,
        handle: Handle,
        request: &Event,
        generation: u64,
    ) -> Result<(bool, Option<Fired>), NotModified> {
        self.template(handle).ok_or(NotModified::Over)?;
        let held = self.is_held(handle).ok_or(NotModified::Unsure)?;
        // What is to be looked at is up to the new request.
        self.forget_look(handle);
        let untaken = self.retract(handle);
        // What was just put into the chain, if anything, comes first.
        let held = self.is_held(handle).unwrap_or(held);
        let registration = self.table.get_mut(handle).ok_or(NotModified::Over)?;
        registration.renew(request, generation);
        Ok((held, untaken))
    }

    /// Arms a registration that DISPATCH has disabled, though its event was not delivered.
    pub fn rearm(&mut self, handle: Handle) {
        if let Some(registration) = self.table.get_mut(handle) {
            if registration.phase == Phase::Disabled {
                registration.phase = Phase::Armed;
            }
        }
    }

    /// Returns what was taken back. What a consumer has is in the chain then.
    fn retract(&mut self, handle: Handle) -> Option<Fired> {
        let pending = self.table.get(handle).filter(|r| r.is_pending());
        let pending = pending.map(|registration| registration.fired());
        self.unpend(handle);
        let ring = self.ring.as_mut();
        let bits = ring.map_or(0, |ring| ring.retract(&mut self.table, handle));
        Self::untaken(bits).or(pending)
    }

    /// Whether a consumer holds an event of a registration that it took before the newest one, or
    /// of one that is gone, if its place is nobody else's yet. Nothing if that takes longer to find
    /// out: then to be asked again.
    pub fn is_held(&mut self, handle: Handle) -> Option<bool> {
        match &mut self.ring {
            Some(ring) => ring.is_held(&mut self.table, handle),
            None => Some(false),
        }
    }

    /// The next registration that is over and still in the table.
    pub fn dead(&self) -> Option<Handle> {
        self.dead.first()
    }

    /// A source says that the bits of `fired` are true, of which those count that are wanted or in
    /// `always`. Returns nothing if that concerns nobody.
    #[inline(always)]
    pub fn report(&mut self, handle: Handle, fired: &Fired, always: u32) -> Option<Wake> {
        let registration = self.table.get_mut(handle)?;
        let (ring, pending) = (&mut self.ring, &mut self.pending);
        let Some(before) = Self::make(registration, &handle, ring, pending, fired, always) else {
            return self.report_otherwise(handle, fired, always);
        };
        let wake = Self::wake(registration);
        // Only a plain one was put on the pending list here, and for that nothing follows.
        let follows = Self::follow(registration, handle, &mut self.again, &mut self.dead);
        self.link(before.or(follows), handle);
        Some(wake)
    }

    /// Whether the newest event of a registration is one that nobody is through with.
    pub fn is_busy(&self, handle: Handle) -> bool {
        self.table.get(handle).is_some_and(|registration| {
            let ring = self.ring.as_ref();
            registration.is_pending() || ring.is_some_and(|ring| !ring.is_done(registration))
        })
    }

    /// What [`State::report()`] does if [`State::post()`] has done nothing.
    #[inline]
    pub fn report_otherwise(&mut self, handle: Handle, fired: &Fired, always: u32) -> Option<Wake> {
        let registration = self.table.get(handle)?;
        let mask = Self::mask_of(registration, fired, always);
        if mask == 0 {
            return None;
        }
        if self.ring.is_none()
            && registration.phase == Phase::Waiting
            && registration.says(mask, fired)
        {
            return Some(Wake::None);
        }
        self.fire_slowly(handle, Fired { mask, ..*fired })
    }

    #[inline(always)]
    fn mask_of(registration: &Registration<T>, fired: &Fired, always: u32) -> u32 {
        let wanted = registration.event.mask;
        match fired.result & RET_RECHECK {
            0 => fired.mask & (wanted | always),
            _ => wanted,
        }
    }

    /// The most common case of [`State::report()`]: the registration at `place`, which is that of
    /// `handle`, is armed, its newest event is done with, nothing waits for room, and the next slot
    /// is free; or there is no ring. Returns nothing, and has done nothing, if it is not so. Else
    /// whether the registration is a special one, for [`State::posted()`]; if not, one sleeper is
    /// to be woken.
    #[inline(always)]
    pub fn post(
        &mut self,
        place: &impl Locate<T>,
        handle: &Handle,
        fired: &Fired,
        always: u32,
    ) -> Option<bool> {
        let registration = place.locate(&mut self.table)?;
        let special = !registration.is_plain();
        let (ring, pending) = (&mut self.ring, &mut self.pending);
        let before = Self::make(registration, handle, ring, pending, fired, always)?;
        self.link(before, *handle);
        Some(special)
    }

    /// The same for who has the registration at hand. Returns the one before it on the list that it
    /// went on, for [`State::link()`].
    #[inline(always)]
    fn make(
        registration: &mut Registration<T>,
        handle: &Handle,
        ring: &mut Option<Ring<M>>,
        pending: &mut List,
        fired: &Fired,
        always: u32,
    ) -> Option<Option<Handle>> {
        let mask = Self::mask_of(registration, fired, always);
        if mask == 0 || registration.phase != Phase::Armed {
            return None;
        }
        let fired = Fired { mask, ..*fired };
        match ring {
            Some(_) if !pending.is_empty() => None,
            Some(ring) => ring.publish(registration, handle, &fired).then_some(None),
            None if registration.is_plain() => {
                registration.keep(&fired);
                registration.phase = Phase::Waiting;
                Some(pending.append(registration, *handle))
            }
            None => None,
        }
    }

    /// An event was published of a special registration. Returns whom to wake.
    #[inline]
    pub fn posted(&mut self, handle: Handle) -> Wake {
        let Some(registration) = self.table.get_mut(handle) else {
            return Wake::One;
        };
        let wake = Self::wake(registration);
        let before = Self::follow(registration, handle, &mut self.again, &mut self.dead);
        self.link(before, handle);
        wake
    }

    /// A source has something to report.
    pub fn fire(&mut self, handle: Handle, fired: &Fired) -> Wake {
        self.fire_slowly(handle, *fired).unwrap_or_default()
    }

    fn wake(registration: &Registration<T>) -> Wake {
        if registration.event.flags & REQ_WAKEUP_ALL != 0 {
            Wake::All
        } else {
            Wake::One
        }
    }

    /// Returns nothing if there is no such registration, or it is not armed.
    #[inline(never)]
    fn fire_slowly(&mut self, handle: Handle, fired: Fired) -> Option<Wake> {
        let fired = &fired;
        if self.ring.is_some() && !self.pending.is_empty() {
            self.flush(FLUSH);
        }
        let registration = self.table.get_mut(handle)?;
        match registration.phase {
            Phase::Armed => {}
            Phase::Waiting => {
                let mut all = registration.fired();
                all.merge(fired);
                registration.keep(&all);
                return Some(Wake::None);
            }
            Phase::Free | Phase::Disabled | Phase::Dead | Phase::Ghost => return None,
        }
        let wake = Self::wake(registration);
        if let Some(ring) = &mut self.ring {
            if ring.merge(registration, fired) {
                return Some(Wake::None);
            }
            ring.hold(&mut self.table, handle);
            let appended = match self.pending.is_empty() {
                true => ring.append(&mut self.table, handle, fired),
                false => false,
            };
            if appended {
                self.published(handle);
                return Some(wake);
            }
        }
        self.pend(handle, fired);
        Some(wake)
    }

    /// Lets a source say again what its untaken event says already, without a lock.
    pub fn repeat(&self, handle: Handle, repeat: &Repeat) {
        if self.ring.is_none() {
            return;
        }
        if let Some(registration) = self.table.get(handle) {
            repeat.set(registration);
        }
    }

    fn published(&mut self, handle: Handle) {
        if let Some(registration) = self.table.get_mut(handle) {
            let before = Self::follow(registration, handle, &mut self.again, &mut self.dead);
            self.link(before, handle);
        }
    }

    /// What follows for a registration when an event of it is published. Returns the one before it
    /// on the list that it went on, for [`State::link()`].
    #[inline(always)]
    fn follow(
        registration: &mut Registration<T>,
        handle: Handle,
        again: &mut List,
        dead: &mut List,
    ) -> Option<Handle> {
        match registration.sequel {
            Sequel::Nothing => None,
            Sequel::Again if registration.is_again() => None,
            Sequel::Again => {
                registration.set_again(true);
                again.append(registration, handle)
            }
            Sequel::Disabled => {
                registration.phase = Phase::Disabled;
                None
            }
            // What is over is on no other list: only what is to be looked at again is on that one,
            // and MODIFY takes it off.
            Sequel::Over => {
                registration.phase = Phase::Dead;
                dead.append(registration, handle)
            }
        }
    }

    /// Links a registration that was appended to a list to the one before it, if there is one.
    #[inline(always)]
    fn link(&mut self, before: Option<Handle>, appended: Handle) {
        if let Some(before) = before {
            self.table.link(before, appended);
        }
    }

    fn remember_look(&mut self, handle: Handle) {
        if let Some(registration) = self.table.get_mut(handle) {
            if !registration.is_again() {
                registration.set_again(true);
                self.again.push(&mut self.table, handle);
            }
        }
    }

    fn forget_look(&mut self, handle: Handle) {
        if let Some(registration) = self.table.get_mut(handle) {
            if registration.is_again() {
                registration.set_again(false);
                self.again.unlink(&mut self.table, handle);
            }
        }
    }

    /// How many registrations there are to look at again.
    pub fn to_look_at(&self) -> u32 {
        self.again.len()
    }

    /// The next registration to look at again. `left` counts down how many may still be passed, so
    /// that none is looked at twice.
    pub fn next_look(&mut self, left: &mut u32) -> Look<T>
    where
        T: Clone,
    {
        for _ in 0..LOOKS {
            let Some(handle) = self.again.first().filter(|_| *left != 0) else {
                return Look::Nothing;
            };
            *left = left.wrapping_sub(1);
            self.forget_look(handle);
            let Some(registration) = self.table.get(handle) else {
                continue;
            };
            let nature = registration.nature;
            if registration.phase != Phase::Armed || registration.sequel != Sequel::Again {
                continue;
            }
            let asked = self.ask(handle);
            let ring = self.ring.as_ref();
            let finished = ring.is_none_or(|ring| ring.is_done(registration));
            if !finished {
                self.remember_look(handle);
            }
            match asked {
                Some(asked) if finished || nature == Nature::Count => {
                    return Look::At(asked, finished);
                }
                _ => {}
            }
        }
        Look::More
    }

    fn pend(&mut self, handle: Handle, fired: &Fired) {
        let first = self.pending.is_empty();
        let Some(registration) = self.table.get_mut(handle) else {
            return;
        };
        registration.keep(fired);
        registration.phase = Phase::Waiting;
        if registration.is_again() {
            // It is on one list at most.
            self.forget_look(handle);
        }
        self.pending.push(&mut self.table, handle);
        if let Some(ring) = self.ring.as_ref().filter(|_| first) {
            ring.memory().pending().store(1, Relaxed);
            // ORDERING: pairs with the barrier of a consumer between finishing and reading
            // `pending`.
            smp_mb(Full);
            self.flush(1);
        }
    }

    /// Takes a registration off the pending list, if it is on it.
    fn unpend(&mut self, handle: Handle) -> bool {
        let Some(registration) = self.table.get_mut(handle).filter(|r| r.is_pending()) else {
            return false;
        };
        registration.phase = Phase::Armed;
        self.pending.unlink(&mut self.table, handle);
        if let Some(ring) = self.ring.as_ref().filter(|_| self.pending.is_empty()) {
            ring.memory().pending().store(0, Relaxed);
        }
        true
    }

    /// Moves at most `limit` pending events into the ring, oldest first.
    #[inline(never)]
    pub fn flush(&mut self, limit: u32) -> u32 {
        if let Some(ring) = &mut self.ring {
            ring.renew();
        }
        let mut moved = 0u32;
        while moved < limit {
            let Some(handle) = self.pending.first() else {
                break;
            };
            let Some(registration) = self.table.get(handle) else {
                break;
            };
            let fired = registration.fired();
            let Some(ring) = &mut self.ring else {
                break;
            };
            if !ring.append(&mut self.table, handle, &fired) {
                break;
            }
            // Off this list first: a registration is on one list at most.
            self.unpend(handle);
            self.published(handle);
            moved = moved.wrapping_add(1);
        }
        moved
    }

    /// Whether an event waits for a consumer.
    pub fn has_events(&mut self) -> bool {
        !self.pending.is_empty()
            || self
                .ring
                .as_mut()
                .is_some_and(|ring| ring.oldest(&self.table).is_some())
    }

    /// [`Ring::catch_up()`], if there is a ring.
    #[inline]
    pub fn catch_up(&mut self) -> bool {
        match &mut self.ring {
            Some(ring) => ring.catch_up(&self.table),
            None => true,
        }
    }

    /// How many events wait for a consumer, up to `limit`: as [`Ring::count_untaken()`] has it.
    pub fn available(&mut self, limit: u64) -> u64 {
        let pending = u64::from(self.pending.len());
        let ring = match &mut self.ring {
            Some(ring) => ring.count_untaken(&self.table, limit),
            None => 0,
        };
        ring.saturating_add(pending).min(limit)
    }

    /// The oldest event, for `kevent_get_events()`: the newest of the registration.
    pub fn peek(&mut self) -> Option<(Next, &Registration<T>)> {
        if let Some(ring) = &mut self.ring {
            if let Some(position) = ring.oldest(&self.table) {
                let registration = self.table.get(ring.owner(position))?;
                return Some((Next::Ring(position), registration));
            }
        }
        let handle = self.pending.first()?;
        Some((Next::Pending(handle), self.table.get(handle)?))
    }

    /// Hands the oldest event to `copy`, and takes it if that succeeds. `measure` is asked for the
    /// datum, if that may have changed.
    pub fn deliver<E>(
        &mut self,
        measure: impl FnOnce(&T, u32) -> Option<u64>,
        copy: impl FnOnce(&Event) -> Result<(), E>,
    ) -> Result<Delivered, E> {
        let Some((next, _)) = self.peek() else {
            return Ok(Delivered::Nothing);
        };
        let registration = self
            .owner(next)
            .and_then(|handle| self.table.get_mut(handle));
        let Some(offered) = registration.and_then(|r| r.offer(measure, copy)) else {
            return Ok(Delivered::Special(next));
        };
        offered?;
        Ok(match self.take(next) {
            true => Delivered::Yes,
            false => Delivered::No,
        })
    }

    /// Hands the pending events to `gather`, with their number, up to `max` and the first to which
    /// its source has to agree. They stay where they are until [`State::settle()`], under the same
    /// lock, takes those that were copied. Of a queue without a ring.
    #[inline(always)]
    pub fn gather(
        &mut self,
        max: u32,
        measure: impl Fn(&T, u32) -> Option<u64>,
        mut gather: impl FnMut(u32, &Event),
    ) -> Gathered {
        let mut len = 0u32;
        let mut sequels = false;
        let mut run = self.pending.run();
        while len < max {
            let Some(registration) = run.next(&mut self.table) else {
                break;
            };
            if !registration.is_prompt() {
                if registration.is_to_check() {
                    break;
                }
                sequels |= registration.sequel != Sequel::Nothing;
            }
            gather(len, registration.measured(&measure));
            registration.phase = Phase::Armed;
            len = len.wrapping_add(1);
            if !run.step(&self.pending, registration) {
                break;
            }
        }
        Gathered { run, len, sequels }
    }

    /// Takes the first `copied` of the events that were gathered.
    #[inline(always)]
    pub fn settle(&mut self, gathered: Gathered, copied: u32) {
        if copied == gathered.len && !gathered.sequels {
            self.pending.cut(gathered.run, copied);
        } else {
            self.settle_each(gathered.run, gathered.len, copied);
        }
    }

    #[inline(never)]
    fn settle_each(&mut self, mut rest: Run, len: u32, copied: u32) {
        let mut run = self.pending.run();
        for passed in 0..len {
            if passed == copied {
                rest = run;
            }
            let handle = run.handle();
            let Some(registration) = run.next(&mut self.table) else {
                break;
            };
            // Before it is put on another list.
            run.step(&self.pending, registration);
            if passed >= copied {
                registration.phase = Phase::Waiting;
                continue;
            }
            let before = Self::follow(registration, handle, &mut self.again, &mut self.dead);
            self.link(before, handle);
        }
        self.pending.cut(rest, copied);
    }

    /// The oldest pending event, if its source has to agree, and whom to ask. With a ring none, as
    /// its consumers see events unchecked.
    pub fn unchecked(&mut self) -> Option<(Next, Event, Asked<T>)>
    where
        T: Clone,
    {
        if self.ring.is_some() {
            return None;
        }
        let (next, registration) = self.peek()?;
        let event = registration.is_to_check().then(|| registration.newest())?;
        let asked = self.ask(self.owner(next)?)?;
        Some((next, event, asked))
    }

    /// Whose event [`State::peek()`] returned under the same lock.
    pub fn owner(&self, next: Next) -> Option<Handle> {
        match next {
            Next::Ring(position) => Some(self.ring.as_ref()?.owner(position)),
            Next::Pending(handle) => Some(handle),
        }
    }

    /// Takes what [`State::peek()`] returned under the same lock. Returns false when a consumer of
    /// the ring was faster.
    pub fn take(&mut self, next: Next) -> bool {
        match next {
            Next::Ring(position) => self
                .ring
                .as_mut()
                .is_some_and(|ring| ring.take(&self.table, position)),
            Next::Pending(handle) => {
                if !self.unpend(handle) {
                    return false;
                }
                self.published(handle);
                true
            }
        }
    }

    /// Frees slots up to, not including, position (`over`, `index`), but not more than `limit`
    /// positions in one go.
    pub fn commit(&mut self, index: u32, over: u32, limit: u32) -> Result<Committed, CommitError> {
        let mut committed = Committed::default();
        let Some(ring) = &mut self.ring else {
            return Ok(committed);
        };
        let (mut position, end) = ring.commit_range(index, over)?;
        let stop = end.min(position.saturating_add(u64::from(limit)));
        committed.more = stop != end;
        while position != stop {
            let Some(ring) = &mut self.ring else {
                break;
            };
            let Some((done, again)) = ring.commit_one(&mut self.table, position) else {
                committed.more = false;
                break;
            };
            committed.freed = committed.freed.wrapping_add(u32::from(done));
            if let Some((handle, fired)) = again {
                let wake = self.fire(handle, &fired);
                committed.wake = committed.wake.or(wake);
                committed.events = committed.events.wrapping_add(u32::from(wake != Wake::None));
            }
            position = position.wrapping_add(1);
        }
        let moved = self.flush(limit);
        if moved > 0 {
            committed.wake = committed.wake.or(Wake::One);
            committed.events = committed.events.wrapping_add(moved);
        }
        Ok(committed)
    }
}

/// What one round of a commit did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Committed {
    /// Slots that became free.
    pub freed: u32,
    /// Whom to wake.
    pub wake: Wake,
    /// For how many events.
    pub events: u32,
    /// The range is not yet through.
    pub more: bool,
}
