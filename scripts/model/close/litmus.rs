// SPDX-License-Identifier: GPL-2.0

//! One handshake each, by itself: what the two sites are is in `handshakes.rs`.

use super::scenario::{
    open_lent,
    run,
    spawn,
    Ptr, //
};
use crate::{
    bindings,
    prelude::*,
    sync::wait::{
        RawWaitEntry,
        WaitEntry,
        WakeFn,
        Wakeup,
        Woken, //
    }, //
};
use kevent_model::close::heap;
use loom::cell::UnsafeCell as Cell;
use std::ptr::NonNull;

/// What is told in vain.
struct Deaf;

impl WakeFn for Deaf {
    fn wake(&self, _: u32, _: &Wakeup) -> Woken {
        heap::touch(self);
        Woken::No
    }

    fn gone(&self) {
        heap::touch(self);
    }
}

/// A wait queue that goes away, and who frees an entry of it.
pub fn pollfree() {
    run("POLLFREE, an entry is freed", 3, || {
        let head = Ptr(unsafe { bindings::new_wait_queue() });
        let entry = heap::alloc("the entry", WaitEntry::new(Deaf).make());
        unsafe { Pin::new_unchecked(&*entry).entry().add(head.get(), false) };
        let thread = spawn(move || head.free());
        unsafe { std::ptr::drop_in_place(entry) };
        heap::free(entry);
        thread.join().unwrap();
    });
}

/// What is set aside, and who finds it.
pub fn aside() {
    run("set aside, found", 3, || {
        let entry = Ptr(heap::alloc("the entry", RawWaitEntry::new(None)));
        let owned = Ptr(heap::alloc("what is aside", Cell::new(0)));
        let thread = spawn(move || unsafe {
            (*owned.get()).with_mut(|owned| *owned = 1);
            let owned = NonNull::new(owned.get()).unwrap().cast();
            (*entry.get()).set_aside(owned);
        });
        unsafe {
            if let Some(found) = (*entry.get()).aside() {
                assert_eq!(found.as_ptr().cast(), owned.get());
                (*owned.get()).with(|owned| assert_eq!(*owned, 1));
            }
        }
        thread.join().unwrap();
        heap::free(owned.get());
        heap::free(entry.get());
    });
}
