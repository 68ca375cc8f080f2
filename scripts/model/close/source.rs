// SPDX-License-Identifier: GPL-2.0

//! Ties to files, one wait queue each. What the comments say is from elsewhere, the build puts in
//! their place.

use super::queue::{
    Control,
    New,
    Queue,
    Target, //
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
    prelude::*,
    sync::{
        wait::{
            WakeFn,
            Wakeup,
            Woken, //
        },
        Arc,
        SpinLock, //
    }, //
};
use kevent_model::{
    close::heap,
    kevent::{
        event::{
            Event,
            Fired,
            REQ_ET,
            REQ_EXCLUSIVE,
            RET_BROKEN,
            RET_DONE,
            RET_OUTSTANDING, //
        },
        registration::Nature,
        ring::Repeat,
        state::{
            NotModified,
            Removed, //
        },
    },
    new_spinlock, //
};

/// Nobody traces.
pub(crate) mod trace {
    use super::{
        Arc,
        Event,
        Queue, //
    };

    pub(crate) fn fire(_: &Queue, _: u32, _: bool) {}

    pub(crate) fn add(_: &Queue, _: &Event) {}

    pub(crate) fn remove(_: &Queue, _: &Event, _: bool) {}
}

/// How many registrations are charged for.
#[derive(Default)]
pub(crate) struct Limit(std::sync::atomic::AtomicU32);

impl Limit {
    pub(crate) fn charge(&self, num: u32) -> Result {
        self.0.fetch_add(num, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn uncharge(&self, num: u32) {
        self.0.fetch_sub(num, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn charged(&self) -> u32 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Of the kernel's, what this model calls.
pub(crate) trait Tie: Send + Sync {
    fn prepare(&self, request: &Event) -> Result;

    fn start(&self, request: &Event) -> Option<Fired>;

    fn end(&self);

    fn look(&self, finished: bool) -> Option<Fired>;

    fn is_of(&self, request: &Event) -> Result<bool>;

    fn pass_on(&self, _untaken: &Fired) {}

    fn always(&self) -> u32 {
        0
    }
}

/// As the kernel's, which calls it with an `Arc` as `self`.
pub(crate) trait TieOf: Tie + Sized {
    fn tied(this: Arc<Self>) -> Tied;

    fn untied(tied: Tied) -> Result<Arc<Self>, Tied>;
}

pub(crate) trait IntoTied {
    fn tied(self) -> Tied;
}

impl<T: TieOf> IntoTied for Arc<T> {
    fn tied(self) -> Tied {
        T::tied(self)
    }
}

#[derive(Clone)]
pub(crate) struct Tied(pub(crate) Arc<Watch<Plain>>);

impl Tied {
    pub(crate) fn with<R>(&self, work: impl FnOnce(&dyn Tie) -> R) -> R {
        work(&*self.0)
    }
}

impl TieOf for Watch<Plain> {
    fn tied(this: Arc<Self>) -> Tied {
        Tied(this)
    }

    fn untied(tied: Tied) -> Result<Arc<Self>, Tied> {
        Ok(tied.0)
    }
}

/// Of the kernel's, what this model calls.
pub(crate) trait Kind: Copy + Unpin + Send + Sync + 'static {
    const ALWAYS: u32;
    type Want: Copy + Unpin + Send + Sync;

    unsafe fn new(file: &LocalFile, wanted: u32) -> Result<(Self, Self::Want)>;
    fn change(want: Self::Want, wanted: u32) -> Self::Want;
    fn wanted(want: Self::Want) -> u32;
    fn poll_bits(mask: u32) -> u32;
    fn keys(mask: u32) -> u32;
    fn found(&self, ready: u32, wanted: u32) -> Fired;
}

#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Kind for Plain {
    const ALWAYS: u32 = 0x18;
    type Want = u32;

    unsafe fn new(_: &LocalFile, wanted: u32) -> Result<(Self, u32)> {
        Ok((Plain, wanted))
    }

    fn change(_: u32, wanted: u32) -> u32 {
        wanted
    }

    fn wanted(want: u32) -> u32 {
        want
    }

    fn poll_bits(mask: u32) -> u32 {
        mask
    }

    fn keys(mask: u32) -> u32 {
        mask
    }

    fn found(&self, ready: u32, _wanted: u32) -> Fired {
        Fired {
            mask: ready,
            result: RET_DONE,
            ..Fired::default()
        }
    }
}

/// No file is a queue.
struct Operations;

static OPERATIONS: Operations = Operations;

impl Operations {
    fn data(&self, _: &LocalFile) -> Option<&'static Queue> {
        None
    }
}

struct Nested;

impl Nested {
    fn new(_: u64, _: u64) -> Result<Self> {
        unreachable!()
    }
}

/// Nor does anybody take turns.
pub(crate) struct Member;

impl Member {
    fn new(_: &LocalFile, _: Target) -> Result<Arc<Self>> {
        unreachable!()
    }

    fn leave(&self) {
        unreachable!()
    }

    fn pass_on(&self, _: &Fired, _: u32) {
        unreachable!()
    }
}

fn accounted() {}

const EDGE: u32 = 1 << 31;

// From kevent/source/file.rs: fn edge(request: &Event) -> u32 {

pub(crate) type Watch<K> = FileWatch<Told<K>>;

// From kevent/source/file.rs: pub(crate) struct Rare<K: Kind> {

// From kevent/source/file.rs: enum Entries<K: Kind> {

// From kevent/source/file.rs: impl<K: Kind> Entries<K> {

// From kevent/source/file.rs: fn exchange<K: Kind>(

// From kevent/source/file.rs: impl<K: Kind> Watch<K> {

// From kevent/source/file.rs: pub(crate) struct Special<K: Kind> {

// From kevent/source/file.rs: impl<K: Kind> Clone for Special<K> {

impl<K: Kind> WakeFn for Special<K> {
    fn wake(&self, _: u32, _: &Wakeup) -> Woken {
        unreachable!()
    }

    fn gone(&self) {
        unreachable!()
    }
}

/// The file of a request: its identifier, for want of a table.
fn with_file<R>(request: &Event, work: impl FnOnce(&LocalFile) -> Result<R>) -> Result<R> {
    let file = std::ptr::with_exposed_provenance(request.id as usize);
    work(unsafe { LocalFile::from_raw_file(file) })
}

// From kevent/source/file.rs: pub(super) fn add<K: Kind>(

impl<K: Kind> Tie for Watch<K> {
    // From kevent/source/file.rs: fn prepare(&self, request: &Event) -> Result {

    // From kevent/source/file.rs: fn start(&self, request: &Event) -> Option<Fired> {

    // From kevent/source/file.rs: fn end(&self) {

    // From kevent/source/file.rs: fn look(&self, _finished: bool) -> Option<Fired> {

    // From kevent/source/file.rs: fn is_of(&self, request: &Event) -> Result<bool> {

    // From kevent/source/file.rs: fn pass_on(&self, untaken: &Fired) {

    // From kevent/source/file.rs: fn always(&self) -> u32 {
}

impl<K: Kind> CloseFn for Told<K> {
    type Instead = SpinLock<Rare<K>>;

    // From kevent/source/file.rs: fn closed(watch: Arc<Watch<K>>) {
}

// From kevent/source/file.rs: pub(crate) struct Told<K: Kind> {

// From kevent/source/file.rs: impl<K: Kind> Clone for Told<K> {

impl<K: Kind> WakeFn for Told<K> {
    fn wake(&self, key: u32, _: &Wakeup) -> Woken {
        heap::touch(self);
        self.report(&Plain.found(key, key)).into()
    }

    fn gone(&self) {
        heap::touch(self);
        let mut broken = Plain.found(Plain::ALWAYS, Plain::ALWAYS);
        broken.result |= RET_BROKEN;
        self.report(&broken);
    }
}

impl<K: Kind> Told<K> {
    // From kevent/source/file.rs: fn wanted(&self) -> u32 {

    fn report(&self, fired: &Fired) -> bool {
        let told = Queue::report(&self.target, fired, K::ALWAYS, false, Some(&self.repeat));
        heap::touch(self);
        told.is_some()
    }
}

/// Of kevent/source.rs, for one type.
mod source {
    pub(super) struct Known;

    impl Known {
        pub(super) fn check(&self, _: &super::Event) -> super::Result {
            Ok(())
        }
    }

    pub(super) fn lookup(_: u32) -> super::Result<Known> {
        Ok(Known)
    }
}

fn answer(record: &mut Event, result: u32, _error: u32) {
    record.word = u64::from(result) << 32;
}

fn refuse(_: &mut Event, _: Error) {}

// From kevent/ctl.rs: fn remove<const N: usize>(

// From kevent/ctl.rs: fn modify(

fn request(file: *mut bindings::file) -> Event {
    Event {
        id: file.expose_provenance() as u64,
        mask: 1,
        ..Event::default()
    }
}

/// `kevent_ctl(KEVENT_CTL_ADD)` of one record.
pub(crate) fn ctl_add(queue: &Arc<Queue>, file: *mut bindings::file) -> Result {
    let request = request(file);
    let mut control = queue.control.lock();
    control.reap(queue);
    control.advance(queue, 1);
    let generation = control.next_generation();
    let mut new = New::begin(queue, &mut control, &request, generation);
    let added = add::<Plain>(&mut new, &request);
    if added.is_err() {
        new.cancel();
    }
    control.settle(queue);
    added
}

/// `kevent_ctl(KEVENT_CTL_REMOVE)` of one record: whether it was there.
pub(crate) fn ctl_remove(queue: &Arc<Queue>, file: *mut bindings::file) -> bool {
    let mut control = queue.control.lock();
    control.reap(queue);
    let (done, _) = remove::<1>(queue, &mut control, &mut [request(file)]);
    control.settle(queue);
    done != 0
}

/// `kevent_ctl(KEVENT_CTL_MODIFY)` of one record, for other bits, by who holds the file.
pub(crate) fn ctl_modify(queue: &Arc<Queue>, file: *mut bindings::file) -> Result<u32> {
    let mut request = Event {
        mask: 3,
        ..request(file)
    };
    let mut control = queue.control.lock();
    control.reap(queue);
    let modified = modify(queue, &mut control, &mut request);
    control.settle(queue);
    modified
}
