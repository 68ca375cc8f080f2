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
//! All methods are called under the lock of the queue. None allocates or sleeps, and the work of one
//! `fire()` has a bound that user space cannot move.

use super::{
    event::{
        Event,
        Fired,
        REQ_DISPATCH,
        REQ_ONESHOT,
        REQ_WAKEUP_ALL, //
    },
    registration::{
        Handle,
        List,
        Phase,
        Table, //
    },
    ring::{
        CommitError,
        Memory,
        Ring,
        NO_SLOT, //
    }, //
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
        match (self, other) {
            (Wake::All, _) | (_, Wake::All) => Wake::All,
            (Wake::None, wake) | (wake, Wake::None) => wake,
            _ => Wake::One,
        }
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

/// The registrations of a queue, and what has fired.
pub struct State<M: Memory> {
    table: Table,
    ring: Option<Ring<M>>,
    pending: List,
    /// Registrations that are over; process context frees them.
    dead: List,
}

impl<M: Memory> State<M> {
    /// A queue with or without a ring.
    pub fn new(ring: Option<Ring<M>>) -> Self {
        State {
            table: Table::new(),
            ring,
            pending: List::new(),
            dead: List::new(),
        }
    }

    /// The table, to grow it.
    pub fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    /// The ring.
    pub fn ring(&self) -> Option<&Ring<M>> {
        self.ring.as_ref()
    }

    /// How many events wait for room.
    pub fn pending(&self) -> u32 {
        self.pending.len()
    }

    /// The template of a registration, unless it is over.
    pub fn template(&self, handle: Handle) -> Option<&Event> {
        self.table
            .get(handle)
            .filter(|r| matches!(r.phase, Phase::Armed | Phase::Disabled))
            .map(|r| &r.template)
    }

    /// Arms a new registration. The table must have room.
    pub fn add(&mut self, template: Event) -> Option<Handle> {
        self.table.insert(template)
    }

    /// Ends a registration, and takes an untaken event of it back unless ONESHOT has ended it
    /// already. Returns whether a consumer still holds an event of it.
    pub fn remove(&mut self, handle: Handle) -> bool {
        let outstanding = match self.table.get(handle).map(|r| r.phase) {
            None | Some(Phase::Free) => return false,
            // What it published last is still on its way.
            Some(Phase::Dead) => {
                self.dead.unlink(&mut self.table, handle);
                false
            }
            Some(Phase::Armed | Phase::Disabled) => self.retract(handle),
        };
        if let Some(ring) = &mut self.ring {
            ring.forget(&mut self.table, handle);
        }
        self.table.remove(handle);
        outstanding
    }

    /// The source of a registration is gone: takes an untaken event back, and leaves the rest to
    /// process context.
    pub fn end(&mut self, handle: Handle) {
        if self.template(handle).is_none() {
            return;
        }
        self.retract(handle);
        if let Some(registration) = self.table.get_mut(handle) {
            registration.phase = Phase::Dead;
            self.dead.push(&mut self.table, handle);
        }
    }

    /// Takes an untaken event back and arms the registration anew. Returns whether a consumer
    /// still holds an event of it.
    pub fn modify(&mut self, handle: Handle, template: Event) -> bool {
        let outstanding = self.retract(handle);
        if let Some(registration) = self.table.get_mut(handle) {
            registration.template = template;
            registration.phase = Phase::Armed;
        }
        outstanding
    }

    fn retract(&mut self, handle: Handle) -> bool {
        self.unpend(handle);
        match &mut self.ring {
            Some(ring) => ring.retract_all(&mut self.table, handle),
            None => false,
        }
    }

    /// The next registration that is over and still in the table, with its template.
    pub fn dead(&self) -> Option<(Handle, Event)> {
        let handle = self.dead.first()?;
        Some((handle, self.table.get(handle)?.template))
    }

    /// A source has something to report.
    pub fn fire(&mut self, handle: Handle, fired: &Fired) -> Wake {
        if !self.pending.is_empty() {
            self.flush(FLUSH);
        }
        let Some(registration) = self.table.get_mut(handle) else {
            return Wake::None;
        };
        if registration.phase != Phase::Armed {
            return Wake::None;
        }
        let wake = if registration.template.flags & REQ_WAKEUP_ALL != 0 {
            Wake::All
        } else {
            Wake::One
        };
        if let Some(pending) = &mut registration.pending {
            pending.merge(fired);
            return Wake::None;
        }
        let newest = registration.newest;
        if let Some(ring) = &mut self.ring {
            if newest != NO_SLOT && ring.merge(newest, fired) {
                return Wake::None;
            }
            if self.pending.is_empty() && self.publish(handle, fired) {
                return wake;
            }
        }
        self.pend(handle, fired);
        wake
    }

    /// Puts an event into the ring. Returns the registration's request flags, or nothing when the
    /// ring is full.
    fn append(&mut self, handle: Handle, fired: &Fired) -> Option<u32> {
        self.ring.as_mut()?.append(&mut self.table, handle, fired)
    }

    fn publish(&mut self, handle: Handle, fired: &Fired) -> bool {
        let Some(flags) = self.append(handle, fired) else {
            return false;
        };
        self.published(handle, flags);
        true
    }

    fn published(&mut self, handle: Handle, flags: u32) {
        if flags & (REQ_ONESHOT | REQ_DISPATCH) == 0 {
            return;
        }
        let Some(registration) = self.table.get_mut(handle) else {
            return;
        };
        if flags & REQ_ONESHOT != 0 {
            registration.phase = Phase::Dead;
            self.dead.push(&mut self.table, handle);
        } else {
            registration.phase = Phase::Disabled;
        }
    }

    fn pend(&mut self, handle: Handle, fired: &Fired) {
        let first = self.pending.is_empty();
        if let Some(registration) = self.table.get_mut(handle) {
            registration.pending = Some(*fired);
            self.pending.push(&mut self.table, handle);
        }
        if let Some(ring) = self.ring.as_ref().filter(|_| first) {
            ring.memory().pending().store(1, Relaxed);
            // ORDERING: pairs with the barrier of a consumer between finishing and reading
            // `pending`.
            smp_mb(Full);
            self.flush(1);
        }
    }

    /// Takes a registration off the pending list.
    fn unpend(&mut self, handle: Handle) {
        let Some(registration) = self.table.get_mut(handle) else {
            return;
        };
        if registration.pending.take().is_none() {
            return;
        }
        self.pending.unlink(&mut self.table, handle);
        if let Some(ring) = self.ring.as_ref().filter(|_| self.pending.is_empty()) {
            ring.memory().pending().store(0, Relaxed);
        }
    }

    /// Moves at most `limit` pending events into the ring, oldest first.
    pub fn flush(&mut self, limit: u32) -> u32 {
        if let Some(ring) = &mut self.ring {
            ring.renew();
        }
        let mut moved = 0u32;
        while moved < limit {
            let Some(handle) = self.pending.first() else {
                break;
            };
            let Some(fired) = self.table.get(handle).and_then(|r| r.pending) else {
                break;
            };
            let Some(flags) = self.append(handle, &fired) else {
                break;
            };
            // Off this list first: a registration is on one list at most.
            self.unpend(handle);
            self.published(handle, flags);
            moved = moved.wrapping_add(1);
        }
        moved
    }

    /// Whether an event waits for a consumer.
    pub fn has_events(&mut self) -> bool {
        !self.pending.is_empty() || self.ring.as_mut().is_some_and(|r| r.oldest().is_some())
    }

    /// How many events wait for a consumer, up to `limit`.
    pub fn available(&mut self, limit: u64) -> u64 {
        let pending = u64::from(self.pending.len());
        let ring = match &mut self.ring {
            Some(ring) => ring.count_untaken(limit),
            None => 0,
        };
        ring.saturating_add(pending).min(limit)
    }

    /// The oldest event, for `kevent_get_events()`.
    pub fn peek(&mut self) -> Option<(Next, Event)> {
        if let Some(ring) = &mut self.ring {
            if let Some(position) = ring.oldest() {
                return Some((Next::Ring(position), ring.event(position)?));
            }
        }
        let handle = self.pending.first()?;
        let event = self.table.get(handle)?.pending_event()?;
        Some((Next::Pending(handle), event))
    }

    /// Takes what [`State::peek()`] returned under the same lock. Returns false when a consumer of
    /// the ring was faster.
    pub fn take(&mut self, next: Next) -> bool {
        match next {
            Next::Ring(position) => self.ring.as_mut().is_some_and(|ring| ring.take(position)),
            Next::Pending(handle) => {
                let pending = self.table.get(handle).filter(|r| r.pending.is_some());
                let Some(flags) = pending.map(|r| r.template.flags) else {
                    return false;
                };
                self.unpend(handle);
                self.published(handle, flags);
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
