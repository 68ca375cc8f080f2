// SPDX-License-Identifier: GPL-2.0

//! A queue of the opened source, in one thread.

#![allow(dead_code, unused_imports)]

include!(concat!(env!("OUT_DIR"), "/opened.rs"));

use crate::sync::atomic::Relaxed;
pub use opened::{
    array::{
        Array,
        Circle, //
    },
    consumer::{
        Consumer,
        Taken, //
    },
    event::*,
    keys::Secret,
    memory::Shared,
    registration::{
        Handle,
        Nature,
        Registration,
        Table, //
    },
    ring::{
        CommitError,
        Memory,
        Ring,
        Slot, //
    },
    state::{
        Asked,
        Committed,
        Delivered,
        Look,
        Next,
        NotModified,
        State,
        Wake, //
    },
    word::Word,
};
use std::sync::Arc;

/// A secret of a table of keys.
pub const SECRET: Secret = Secret::new([0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03]);

/// Adds a registration, for which a state has room.
pub fn add<M: Memory>(
    state: &mut State<M>,
    template: &Event,
    nature: Nature,
    tie: Option<()>,
) -> Handle {
    let hash = SECRET.hash(template.kind, template.id);
    let vacant = state.vacant(hash, template.kind, template.id);
    let vacant = vacant.expect("a new key");
    let added = state.add(vacant, template, template.param[0], nature, |_| tie);
    added.expect("room")
}

/// A state and the memory of its ring.
pub struct Host {
    pub state: State<Arc<Shared>>,
    pub shared: Arc<Shared>,
    pub shift: u32,
}

/// A template.
pub fn template(id: u64, flags: u32) -> Event {
    Event {
        id,
        kind: 9,
        mask: u32::MAX,
        flags,
        user: !id,
        ..Event::default()
    }
}

/// Bits without a count.
pub fn bits(mask: u32) -> Fired {
    Fired {
        mask,
        ..Fired::default()
    }
}

/// A bit with a count.
pub fn counts(mask: u32, data: u64) -> Fired {
    Fired {
        mask,
        result: RET_COUNTED,
        data,
        error: 0,
    }
}

impl Host {
    /// Whether a registration has the key of this id.
    pub fn has(&self, id: u64) -> bool {
        let kind = template(id, 0).kind;
        let found = self.state.find(SECRET.hash(kind, id), kind, id);
        found.is_some()
    }

    /// A queue with a ring of `1 << shift` slots.
    pub fn new(shift: u32) -> Self {
        Self::starting_at(shift, 0)
    }

    /// The same, after `head` positions.
    pub fn starting_at(shift: u32, head: u64) -> Self {
        let shared = Arc::new(Shared::new(shift));
        let Ok(slots) = Circle::new(1 << shift, Slot::FRESH);
        let ring = Ring::starting_at(shared.clone(), slots, head);
        Host {
            state: State::new(Some(ring), SECRET),
            shared,
            shift,
        }
    }

    /// A queue without a ring.
    pub fn without_ring() -> Self {
        Host {
            state: State::new(None, SECRET),
            shared: Arc::new(Shared::new(0)),
            shift: 0,
        }
    }

    pub fn add(&mut self, id: u64, flags: u32) -> Handle {
        self.add_tied(id, flags, Nature::Plain, None)
    }

    pub fn add_tied(&mut self, id: u64, flags: u32, nature: Nature, tie: Option<()>) -> Handle {
        if let Some(size) = self.state.table().wants() {
            let Ok(chunk) = Array::new(size, Registration::FREE);
            assert!(self.state.table().grow(chunk).is_ok());
        }
        add(&mut self.state, &template(id, flags), nature, tie)
    }

    /// A source reports, as a wake-up does.
    pub fn report(&mut self, handle: Handle, fired: &Fired) -> Wake {
        let wake = self.state.report(handle, fired, u32::MAX);
        wake.unwrap_or_default()
    }

    /// MODIFY: whether a consumer still holds an event.
    pub fn outstanding(&mut self, handle: Handle, template: Event) -> Option<bool> {
        self.state
            .modify(handle, &template, 0)
            .ok()
            .map(|(held, _)| held)
    }

    pub fn consumer(&self, owner: u32) -> Consumer<Arc<Shared>> {
        Consumer::new(self.shared.clone(), owner)
    }

    pub fn head(&self) -> u64 {
        self.state.ring().expect("a ring").head()
    }

    pub fn word(&self, position: u64) -> Word {
        Word(self.shared.word(position).load(Relaxed))
    }

    pub fn scribble(&self, position: u64, word: u64) {
        self.shared.word(position).store(word, Relaxed);
    }

    /// What the header says of pending events.
    pub fn pending(&self) -> u32 {
        Memory::pending(&*self.shared).load(Relaxed)
    }

    pub fn published(&self) -> u64 {
        Memory::position(&*self.shared).load(Relaxed)
    }

    pub fn commit(&mut self, end: u64) -> Result<Committed, CommitError> {
        self.state.commit(end as u32, (end >> 32) as u32, 1 << 20)
    }

    /// `kevent_get_events()` for one.
    pub fn get(&mut self) -> Option<Event> {
        let mut got = None;
        let copy = |event: &Event| {
            got = Some(*event);
            Ok::<(), ()>(())
        };
        if self.state.ring().is_none() {
            let got = self.gather(1, 1).pop();
            if got.is_some() {
                return got;
            }
        }
        match self.state.deliver(|(), _| None, copy) {
            Ok(Delivered::Yes) => got,
            Ok(Delivered::Special(next)) => {
                let (_, event) = self.peek()?;
                self.state.take(next).then_some(event)
            }
            _ => None,
        }
    }

    /// The same for up to `max` in one go, of a queue without a ring, of which `copied` can be copied.
    pub fn gather(&mut self, max: u32, copied: u32) -> Vec<Event> {
        let mut events = Vec::new();
        let gathered = self
            .state
            .gather(max, |(), _| None, |_, event| events.push(*event));
        events.truncate(copied as usize);
        self.state.settle(gathered, events.len() as u32);
        events
    }

    /// What that is next.
    pub fn peek(&mut self) -> Option<(Next, Event)> {
        let (next, registration) = self.state.peek()?;
        Some((next, registration.newest()))
    }

    /// What a consumer takes next: id, mask, datum. It is finished.
    pub fn eat(&self, consumer: &mut Consumer<Arc<Shared>>) -> Option<(u64, u32, u64)> {
        let taken = consumer.take()?;
        let seen = (
            consumer.payload(&taken).id,
            taken.word().0 as u32,
            consumer.data(&taken),
        );
        assert!(consumer.finish(taken));
        Some(seen)
    }
}
