// SPDX-License-Identifier: GPL-2.0

//! What a queue does, without words, laps and chains.

use crate::host::{
    REQ_DISPATCH,
    REQ_ONESHOT, //
};
use std::collections::{
    BTreeMap,
    VecDeque, //
};

/// Id, mask and count of an event.
pub type Seen = (u64, u32, u64);

#[derive(Clone, Copy, Default)]
struct Fired {
    mask: u32,
    count: u64,
}

impl Fired {
    fn add(&mut self, mask: u32, count: u64) {
        self.mask |= mask;
        self.count += count;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Armed,
    Disabled,
    Over,
}

struct Registration {
    id: u64,
    flags: u32,
    phase: Phase,
    pending: Option<Fired>,
}

struct Entry {
    registration: u64,
    id: u64,
    fired: Fired,
    merged: Option<Fired>,
    taken: bool,
}

/// A queue.
pub struct Model {
    slots: Option<u64>,
    head: u64,
    /// What is not finished, by position.
    entries: BTreeMap<u64, Entry>,
    registrations: BTreeMap<u64, Registration>,
    names: BTreeMap<u64, u64>,
    added: u64,
    waiting: VecDeque<u64>,
}

impl Model {
    pub fn new(slots: Option<u64>) -> Self {
        Model {
            slots,
            head: 0,
            entries: BTreeMap::new(),
            registrations: BTreeMap::new(),
            names: BTreeMap::new(),
            added: 0,
            waiting: VecDeque::new(),
        }
    }

    pub fn add(&mut self, id: u64, flags: u32) {
        self.added += 1;
        let registration = Registration {
            id,
            flags,
            phase: Phase::Armed,
            pending: None,
        };
        self.registrations.insert(self.added, registration);
        self.names.insert(id, self.added);
    }

    fn retract(&mut self, registration: u64) -> bool {
        self.waiting.retain(|&waiting| waiting != registration);
        if let Some(registration) = self.registrations.get_mut(&registration) {
            registration.pending = None;
        }
        let of = |entry: &Entry| entry.registration == registration;
        self.entries.retain(|_, entry| entry.taken || !of(entry));
        self.entries.values().any(of)
    }

    pub fn remove(&mut self, id: u64) -> bool {
        let registration = self.names.remove(&id).expect("a name");
        let held = self.retract(registration);
        self.registrations.remove(&registration);
        held
    }

    pub fn modify(&mut self, id: u64, flags: u32) -> bool {
        let registration = self.names[&id];
        let held = self.retract(registration);
        let registration = self.registrations.get_mut(&registration).expect("it");
        registration.flags = flags;
        registration.phase = Phase::Armed;
        held
    }

    pub fn is_over(&self, id: u64) -> bool {
        self.registrations[&self.names[&id]].phase == Phase::Over
    }

    /// The name is free; what was published stays.
    pub fn forget(&mut self, id: u64) {
        let registration = self.names.remove(&id).expect("a name");
        self.registrations.remove(&registration);
    }

    fn room(&self) -> Option<u64> {
        let slots = self.slots?;
        let by_slot = |position: u64| {
            let same = |(&other, entry)| (other % slots == position % slots).then_some(entry);
            self.entries.iter().find_map(same)
        };
        for position in self.head..self.head + slots {
            match by_slot(position) {
                None => return Some(position),
                Some(Entry { taken: true, .. }) => {}
                Some(_) => return None,
            }
        }
        None
    }

    fn publish(&mut self, registration: u64, fired: Fired) -> bool {
        let Some(position) = self.room() else {
            return false;
        };
        let entry = Entry {
            registration,
            id: self.registrations[&registration].id,
            fired,
            merged: None,
            taken: false,
        };
        self.entries.insert(position, entry);
        self.head = position + 1;
        self.published(registration);
        true
    }

    fn published(&mut self, registration: u64) {
        let registration = self.registrations.get_mut(&registration).expect("it");
        if registration.flags & REQ_ONESHOT != 0 {
            registration.phase = Phase::Over;
        } else if registration.flags & REQ_DISPATCH != 0 {
            registration.phase = Phase::Disabled;
        }
    }

    pub fn flush(&mut self, limit: u32) -> u32 {
        for moved in 0..limit {
            let Some(&registration) = self.waiting.front() else {
                return moved;
            };
            let fired = self.registrations[&registration].pending.expect("it waits");
            if !self.publish(registration, fired) {
                return moved;
            }
            self.waiting.pop_front();
            let registration = self.registrations.get_mut(&registration).expect("it");
            registration.pending = None;
        }
        limit
    }

    pub fn fire(&mut self, id: u64, mask: u32, count: u64) {
        self.fire_one(self.names[&id], Fired { mask, count });
    }

    fn fire_one(&mut self, name: u64, fired: Fired) {
        self.flush(16);
        let Some(registration) = self.registrations.get_mut(&name) else {
            return;
        };
        if registration.phase != Phase::Armed {
            return;
        }
        if let Some(pending) = &mut registration.pending {
            pending.add(fired.mask, fired.count);
            return;
        }
        let untaken = |entry: &&mut Entry| entry.registration == name && !entry.taken;
        if let Some(entry) = self.entries.values_mut().find(untaken) {
            entry.fired.add(fired.mask, fired.count);
            let merged = entry.merged.get_or_insert_default();
            merged.add(fired.mask, fired.count);
            return;
        }
        if self.waiting.is_empty() && self.publish(name, fired) {
            return;
        }
        let registration = self.registrations.get_mut(&name).expect("it");
        registration.pending = Some(fired);
        self.waiting.push_back(name);
    }

    /// The oldest untaken entry, now taken.
    pub fn take(&mut self) -> Option<(u64, Seen)> {
        let (&position, entry) = self.entries.iter_mut().find(|(_, entry)| !entry.taken)?;
        entry.taken = true;
        Some((position, (entry.id, entry.fired.mask, entry.fired.count)))
    }

    pub fn finish(&mut self, position: u64) {
        self.entries.remove(&position).expect("a taken entry");
    }

    pub fn get(&mut self) -> Option<Seen> {
        if let Some((position, seen)) = self.take() {
            self.finish(position);
            return Some(seen);
        }
        let name = self.waiting.pop_front()?;
        let registration = self.registrations.get_mut(&name).expect("it");
        let fired = registration.pending.take().expect("it waits");
        let seen = (registration.id, fired.mask, fired.count);
        self.published(name);
        Some(seen)
    }

    /// Frees what stands more than `back` before the head, up to what is held.
    pub fn commit(&mut self, back: u64) -> u32 {
        let end = self.head.saturating_sub(back);
        let oldest = self.head.saturating_sub(self.slots.unwrap_or(0));
        let mut freed = 0;
        let positions: Vec<_> = self
            .entries
            .range(oldest..end.max(oldest))
            .map(|e| *e.0)
            .collect();
        for position in positions {
            if self.entries[&position].taken {
                break;
            }
            let entry = self.entries.remove(&position).expect("an entry");
            freed += 1;
            if let Some(merged) = entry.merged {
                self.fire_one(entry.registration, merged);
            }
        }
        self.flush(u32::MAX);
        freed
    }

    pub fn pending(&self) -> usize {
        self.waiting.len()
    }

    /// How many events nobody has taken.
    pub fn available(&self) -> usize {
        self.waiting.len() + self.entries.values().filter(|entry| !entry.taken).count()
    }
}
