// SPDX-License-Identifier: GPL-2.0

//! Wait queues: include/linux/list.h, include/linux/wait.h, kernel/sched/wait.c.

use kevent_model::close::{
    heap,
    kernel::atomic::Atomic,
    lock::{
        Guard,
        Lock, //
    },
    rcu, //
};
use loom::cell::UnsafeCell as Cell;
use std::{
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    ptr::null_mut, //
};

pub const POLLNVAL: u32 = 0x20;
pub const POLLFREE: u32 = 0x4000;

/// `struct list_head`.
pub struct list_head {
    next: Cell<*mut list_head>,
    prev: Cell<*mut list_head>,
}

impl Default for list_head {
    fn default() -> Self {
        list_head {
            next: Cell::new(null_mut()),
            prev: Cell::new(null_mut()),
        }
    }
}

unsafe fn next(node: *mut list_head) -> *mut list_head {
    heap::touch(node);
    (*node).next.with(|next| *next)
}

unsafe fn prev(node: *mut list_head) -> *mut list_head {
    heap::touch(node);
    (*node).prev.with(|prev| *prev)
}

unsafe fn set_next(node: *mut list_head, to: *mut list_head) {
    heap::touch(node);
    (*node).next.with_mut(|next| *next = to);
}

unsafe fn set_prev(node: *mut list_head, to: *mut list_head) {
    heap::touch(node);
    (*node).prev.with_mut(|prev| *prev = to);
}

/// `INIT_LIST_HEAD()`.
unsafe fn init_list_head(list: *mut list_head) {
    set_next(list, list);
    set_prev(list, list);
}

/// `list_add()`.
unsafe fn list_add(new: *mut list_head, head: *mut list_head) {
    let first = next(head);
    set_prev(first, new);
    set_next(new, first);
    set_prev(new, head);
    set_next(head, new);
}

/// `__list_del_entry()`, with the checks of `CONFIG_DEBUG_LIST`.
unsafe fn __list_del_entry(entry: *mut list_head) {
    let (next_, prev_) = (next(entry), prev(entry));
    assert!(!next_.is_null() && !prev_.is_null(), "list: deleted twice");
    assert!(
        next(prev_) == entry && prev(next_) == entry,
        "list: corrupted"
    );
    set_prev(next_, prev_);
    set_next(prev_, next_);
}

/// `list_del()`; null is the poison.
unsafe fn list_del(entry: *mut list_head) {
    __list_del_entry(entry);
    set_next(entry, null_mut());
    set_prev(entry, null_mut());
}

/// `list_del_init()`.
pub unsafe fn list_del_init(entry: *mut list_head) {
    __list_del_entry(entry);
    init_list_head(entry);
}

pub type wait_queue_func_t =
    Option<unsafe extern "C-unwind" fn(*mut wait_queue_entry, c_uint, c_int, *mut c_void) -> c_int>;

/// `struct wait_queue_entry`.
#[derive(Default)]
pub struct wait_queue_entry {
    pub flags: c_uint,
    pub private: Atomic<*mut c_void>,
    pub func: wait_queue_func_t,
    pub entry: list_head,
}

/// `struct wait_queue_head`, in what its owner allocates.
pub struct wait_queue_head {
    lock: Lock,
    head: list_head,
}

impl wait_queue_head {
    unsafe fn lock<'a>(this: *mut Self) -> Guard<'a> {
        heap::touch(this);
        (*this).lock.lock()
    }
}

/// A wait queue by itself.
pub unsafe fn new_wait_queue() -> *mut wait_queue_head {
    let head = wait_queue_head {
        lock: Lock::new(()),
        head: list_head::default(),
    };
    let head = heap::alloc("the wait queue", head);
    init_list_head(&raw mut (*head).head);
    head
}

/// `add_wait_queue()`.
pub unsafe fn add_wait_queue(head: *mut wait_queue_head, entry: *mut wait_queue_entry) {
    let _guard = wait_queue_head::lock(head);
    list_add(&raw mut (*entry).entry, &raw mut (*head).head);
}

/// `add_wait_queue_exclusive()`.
pub unsafe fn add_wait_queue_exclusive(_: *mut wait_queue_head, _: *mut wait_queue_entry) {
    unreachable!();
}

/// `remove_wait_queue()`.
pub unsafe fn remove_wait_queue(head: *mut wait_queue_head, entry: *mut wait_queue_entry) {
    let _guard = wait_queue_head::lock(head);
    list_del(&raw mut (*entry).entry);
}

/// `__wake_up_common_lock()`, for all.
pub unsafe fn wake_up(head: *mut wait_queue_head, key: u32) {
    let _guard = wait_queue_head::lock(head);
    let list = &raw mut (*head).head;
    // list_for_each_entry_safe()
    let mut at = next(list);
    while at != list {
        let entry = at
            .byte_sub(std::mem::offset_of!(wait_queue_entry, entry))
            .cast::<wait_queue_entry>();
        at = next(at);
        let func = (*entry).func.expect("a function");
        func(entry, 0, 0, std::ptr::without_provenance_mut(key as usize));
    }
}

/// The owner of a wait queue gives it up: `wake_up_pollfree()` and then `kfree_rcu()`, as binder
/// does; signalfd's queue is of RCU type.
pub unsafe fn free_wait_queue(head: *mut wait_queue_head) {
    wake_up(head, POLLFREE);
    heap::free_rcu(head);
}

/// `irqs_disabled()`.
pub unsafe fn irqs_disabled() -> bool {
    true
}
