// SPDX-License-Identifier: GPL-2.0

//! A queue without a ring, whose registrations are all tied to files. What the comments say is from
//! elsewhere, the build puts in their place.

use super::source::{
    trace,
    IntoTied,
    Limit,
    Tie,
    TieOf,
    Tied, //
};
use crate::{
    bindings,
    prelude::*,
    sync::{
        Arc,
        UniqueArc, //
    }, //
};
use kevent_model::{
    close::lock::{
        Guard,
        Lock, //
    },
    kevent::{
        array::{
            Array,
            Spot, //
        },
        event::{
            Event,
            Fired, //
        },
        keys::{
            Hash,
            Secret,
            Vacant, //
        },
        memory::Shared,
        registration::{
            Handle,
            Nature,
            Registration,
            Table, //
        },
        ring::Repeat,
        state::{
            Asked,
            Look,
            Removed,
            State,
            Wake, //
        }, //
    }, //
};

pub(crate) type Events = State<std::sync::Arc<Shared>, Tied>;

#[derive(Default)]
// From kevent/queue.rs: pub(crate) struct Control {

pub(crate) struct Inner {
    pub(crate) events: Events,
}

pub(crate) type Locked<'a> = Guard<'a, Inner>;

pub(crate) struct Queue {
    pub(crate) control: Lock<Control>,
    inner: Lock<Inner>,
    secret: Secret,
    pub(crate) limit: Limit,
    pub(crate) number: u64,
    /// How many events there were, for the model.
    pub(crate) fired: std::sync::atomic::AtomicUsize,
}

// From kevent/queue.rs: pub(crate) struct Target<N = ()> {

// From kevent/queue.rs: impl<N> Target<N> {

// From kevent/queue.rs: impl<N: Clone> Clone for Target<N> {

fn accounted() {}

impl Queue {
    pub(crate) fn new() -> Arc<Self> {
        let secret = Secret::new([1, 2]);
        let queue = Queue {
            control: Lock::new(Control::default()),
            inner: Lock::new(Inner {
                events: State::new(None, secret),
            }),
            secret,
            limit: Limit::default(),
            number: 0,
            fired: Default::default(),
        };
        Arc::new(queue, ()).unwrap()
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        self.inner.lock()
    }

    pub(crate) fn lock_anywhere(&self) -> Locked<'_> {
        self.inner.lock()
    }

    fn announce(this: &Arc<Self>, inner: Locked<'_>, wake: Wake, _mask: u32, _later: bool) {
        this.wake(inner, wake, 1);
    }

    pub(crate) fn wake(&self, inner: Locked<'_>, _wake: Wake, _events: u32) {
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        self.fired.fetch_add(1, relaxed);
        drop(inner);
    }

    // From kevent/queue.rs: pub(crate) fn report<N>(

    fn reported(
        queue: &Arc<Self>,
        handle: Handle,
        inner: Locked<'_>,
        wake: Option<Wake>,
        mask: u32,
        later: bool,
        _repeat: Option<&Repeat>,
    ) -> Option<bool> {
        let wake = wake?;
        if wake == Wake::None {
            return Some(false);
        }
        Self::announce(queue, inner, wake, mask, later);
        Some(true)
    }

    // From kevent/queue.rs: pub(crate) fn found(&self, asked: &Asked<Tied>, fired: &Fired) {

    // From kevent/queue.rs: pub(crate) fn found_at(

    fn found_again(&self, asked: &Asked<Tied>, fired: &Fired) -> bool {
        self.found(asked, fired);
        true
    }

    // From kevent/queue.rs: pub(crate) fn look_again(&self, left: &mut u32) -> u32 {

    // From kevent/queue.rs: pub(crate) fn release(&self) {

    // From kevent/queue.rs: pub(crate) fn hash(&self, request: &Event) -> Hash {

    // From kevent/queue.rs: pub(crate) fn lock_at(

    // From kevent/queue.rs: fn is_held(&self, handle: Handle) -> bool {

    // From kevent/queue.rs: fn lock_with_room(&self) -> Result<Locked<'_>> {

    // From kevent/queue.rs: fn grow(&self, len: usize) -> Result<Locked<'_>> {
}

// From kevent/queue.rs: impl Control {

// From kevent/queue.rs: pub(crate) struct New<'a> {

// From kevent/queue.rs: impl<'a> New<'a> {
