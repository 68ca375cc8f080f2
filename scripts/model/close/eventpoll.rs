// SPDX-License-Identifier: GPL-2.0

//! fs/eventpoll.c, as far as it keeps `file->f_ep`: epoll's side with items, and that of the
//! series with watches. epoll's own wait-queue entries and ready lists are left out.

use super::{
    file::{
        file,
        fput,
        open,
        Behind, //
    },
    wait::{
        wait_queue_entry,
        POLLFREE,
        POLLNVAL, //
    }, //
};
use kevent_model::close::{
    heap,
    kernel::atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed,
        Release, //
    },
    lock::{
        Guard,
        Lock, //
    },
    rcu, //
};
use loom::{
    cell::UnsafeCell as Cell,
    sync::atomic::{
        fence,
        AtomicUsize,
        Ordering, //
    }, //
};
use std::{
    ffi::c_int,
    mem::offset_of,
    ptr::null_mut, //
};

/// A list as of include/linux/list.h and rculist.h: the links that RCU readers follow are atomic,
/// and those of lists that have no such readers only touched by who excludes others.
pub struct hlist_head {
    first: Link,
}

#[derive(Default)]
pub struct hlist_node {
    next: Link,
    pprev: Cell<usize>,
}

/// A link, and what tells a race of it where there are no readers.
#[derive(Default)]
struct Link {
    to: Atomic<*mut hlist_node>,
    plain: Cell<()>,
}

impl Link {
    fn get(&self) -> *mut hlist_node {
        heap::touch(self);
        self.plain.with(|_| ());
        self.to.load(Relaxed)
    }

    fn set(&self, to: *mut hlist_node) {
        heap::touch(self);
        self.plain.with_mut(|_| ());
        self.to.store(to, Relaxed);
    }

    /// `rcu_assign_pointer()`, and a store of `__hlist_del()`, which is `WRITE_ONCE()`: its order
    /// is that of the pointer that it hands on.
    fn assign(&self, to: *mut hlist_node) {
        heap::touch(self);
        self.plain.with_mut(|_| ());
        self.to.store(to, Release);
    }

    /// `rcu_dereference()`: what is behind the pointer depends on it.
    fn follow(&self) -> *mut hlist_node {
        self.to.load(Acquire)
    }
}

impl hlist_head {
    fn new() -> Self {
        hlist_head {
            first: Link::default(),
        }
    }

    fn is_empty(&self) -> bool {
        self.first.get().is_null()
    }
}

unsafe fn set_pprev(node: *mut hlist_node, link: *const Link) {
    heap::touch(node);
    (*node)
        .pprev
        .with_mut(|pprev| *pprev = link.expose_provenance());
}

unsafe fn pprev(node: *mut hlist_node) -> *const Link {
    heap::touch(node);
    std::ptr::with_exposed_provenance((*node).pprev.with(|pprev| *pprev))
}

/// `hlist_add_head_rcu()`, and `hlist_add_head()`.
unsafe fn hlist_add_head(node: *mut hlist_node, head: *const hlist_head) {
    let first = (*head).first.get();
    (*node).next.set(first);
    set_pprev(node, &raw const (*head).first);
    (*head).first.assign(node);
    if !first.is_null() {
        set_pprev(first, &raw const (*node).next);
    }
}

/// `hlist_del_rcu()`.
unsafe fn hlist_del_rcu(node: *mut hlist_node) {
    let (next, link) = ((*node).next.get(), pprev(node));
    assert!(!link.is_null(), "list: deleted twice");
    assert!((*link).get() == node, "list: corrupted");
    (*link).assign(next);
    if !next.is_null() {
        set_pprev(next, link);
    }
    // A poison.
    set_pprev(node, std::ptr::null());
}

/// `hlist_del_init()`.
unsafe fn hlist_del_init(node: *mut hlist_node) {
    hlist_del_rcu(node);
    (*node).next.set(null_mut());
}

/// `hlist_is_singular_node()`.
unsafe fn hlist_is_singular_node(node: *mut hlist_node, head: *const hlist_head) -> bool {
    (*node).next.get().is_null() && pprev(node) == &raw const (*head).first
}

/// `struct file_watch`.
#[derive(Default)]
pub struct file_watch {
    pub node: hlist_node,
    pub file: Atomic<*mut file>,
    pub wait: wait_queue_entry,
}

const FILE_WATCH_CLOSED: u32 = POLLFREE | POLLNVAL;

/// `struct epitems_head`.
#[repr(C)]
pub struct epitems_head {
    epitems: hlist_head,
    watches: hlist_head,
    next: Atomic<*mut epitems_head>,
    file: Cell<*mut file>,
}

/// `struct eventpoll`.
pub struct eventpoll {
    mtx: Lock<Vec<*mut epitem>>,
    refcount: AtomicUsize,
    refs: hlist_head,
    loop_check_depth: Atomic<usize>,
}

/// `struct epitem`.
pub struct epitem {
    ffd: *mut file,
    ep: *mut eventpoll,
    fllink: hlist_node,
}

/// `EP_UNACTIVE_PTR`.
const UNACTIVE: usize = usize::MAX;

unsafe fn new_ephead() -> *mut epitems_head {
    let head = epitems_head {
        epitems: hlist_head::new(),
        watches: hlist_head::new(),
        next: Atomic::new(null_mut()),
        file: Cell::new(null_mut()),
    };
    heap::alloc("the head", head)
}

unsafe fn free_ephead(head: *mut epitems_head) {
    if !head.is_null() {
        heap::free(head);
    }
}

unsafe fn ephead_is_watched(head: *const epitems_head) -> bool {
    !(*head).watches.is_empty()
}

const F_EP_WATCH: usize = 1;
const F_EP_BUSY: usize = 2;

unsafe fn f_ep(file: *mut file) -> usize {
    let file = file::of(file);
    let f_ep = file.f_ep.load(Relaxed);
    file.look();
    f_ep
}

/// `READ_ONCE(file->f_ep)`, with `f_lock` held: NULL or a list.
unsafe fn f_ep_list(file: *mut file) -> *const hlist_head {
    std::ptr::with_exposed_provenance(f_ep(file))
}

/// The `container_of()` that one, of a file that is no eventpoll.
unsafe fn f_ep_head(file: *mut file) -> *mut epitems_head {
    let head = f_ep_list(file).cast_mut().cast();
    heap::touch(head);
    head
}

unsafe fn f_ep_watch(file: *mut file) -> *mut file_watch {
    let f_ep = f_ep(file);
    if f_ep & F_EP_WATCH == 0 {
        return null_mut();
    }
    std::ptr::with_exposed_provenance_mut(f_ep & !(F_EP_WATCH | F_EP_BUSY))
}

unsafe fn f_ep_is_head(file: *mut file) -> bool {
    let f_ep = f_ep(file);
    f_ep != 0 && f_ep & F_EP_WATCH == 0
}

unsafe fn f_ep_change(file: *mut file, watch: *mut file_watch, from: usize, to: usize) -> bool {
    let watch = watch.expose_provenance();
    let [old, new] = [from, to].map(|mark| if mark == 0 { 0 } else { watch + mark });
    let file = file::of(file);
    let changed = file.f_ep.try_cmpxchg(old, new, Full);
    file.look();
    changed
}

unsafe fn set_f_ep(file: *mut file, list: *const hlist_head) {
    let file = file::of(file);
    file.f_ep.store(list.expose_provenance(), Relaxed);
    file.look();
}

unsafe fn f_ep_set_head(file: *mut file, list: *const hlist_head) {
    while !file::of(file)
        .f_ep
        .try_cmpxchg(0, list.expose_provenance(), Full)
    {
        let watch = f_ep_watch(file);
        if !watch.is_null() && f_ep_change(file, watch, F_EP_WATCH, F_EP_WATCH | F_EP_BUSY) {
            let head = list.cast::<epitems_head>();
            hlist_add_head(&raw mut (*watch).node, &raw const (*head).watches);
            set_f_ep(file, list);
            return;
        }
    }
}

/// What an `EPOLL_CTL_ADD` keeps while it checks paths.
pub struct ep_ctl_ctx {
    tfile_check_list: *mut epitems_head,
}

unsafe fn list_file(file: *mut file, ctx: &mut ep_ctl_ctx) {
    let head = f_ep_head(file);
    if (*head).next.load(Relaxed).is_null() {
        if !file::of(file).get() {
            return;
        }
        (*head).file.with_mut(|place| *place = file);
        (*head).next.store(ctx.tfile_check_list, Relaxed);
        ctx.tfile_check_list = head;
    }
}

unsafe fn unlist_file(head: *mut epitems_head) {
    let mut to_free = head;
    heap::touch(head);
    let file = (*head).file.with(|file| *file);
    let guard = file::of(file).f_lock.lock();
    if !(*head).epitems.is_empty() || ephead_is_watched(head) {
        to_free = null_mut();
    }
    (*head).next.store(null_mut(), Relaxed);
    (*head).file.with_mut(|file| *file = null_mut());
    drop(guard);
    free_ephead(to_free);
    fput(file);
}

/// An eventpoll and its file.
pub unsafe fn epoll_create() -> *mut file {
    let ep = eventpoll {
        mtx: Lock::new(Vec::new()),
        refcount: AtomicUsize::new(1),
        refs: hlist_head::new(),
        loop_check_depth: Atomic::new(0),
    };
    open(Behind::Epoll(heap::alloc("the eventpoll", ep)))
}

unsafe fn ep_of(file: *mut file) -> *mut eventpoll {
    match file::of(file).behind() {
        Behind::Epoll(ep) => ep,
        _ => null_mut(),
    }
}

/// `epoll_ctl(EPOLL_CTL_ADD)` up to where items can be told; with a check of the paths if one asks.
pub unsafe fn epoll_add(epoll: *mut file, file: *mut file, full_check: bool) -> *mut epitem {
    let ep = ep_of(epoll);
    let mut ctx = ep_ctl_ctx {
        tfile_check_list: std::ptr::without_provenance_mut(UNACTIVE),
    };
    let mut items = (*ep).mtx.lock();
    let epi = epitem {
        ffd: file,
        ep,
        fllink: hlist_node::default(),
    };
    let epi = heap::alloc("the item", epi);
    ep_attach_file(file, epi);
    if full_check && ep_of(file).is_null() {
        list_file(file, &mut ctx);
    }
    items.push(epi);
    (*ep).refcount.fetch_add(1, Ordering::Relaxed);
    if full_check {
        reverse_path_check(&ctx);
    }
    drop(items);
    clear_tfile_check_list(&mut ctx);
    epi
}

unsafe fn ep_attach_file(file: *mut file, epi: *mut epitem) {
    let mut to_free: *mut epitems_head = null_mut();
    let mut list: *const hlist_head = null_mut();
    let ep = ep_of(file);
    if !ep.is_null() {
        list = &raw const (*ep).refs;
    } else if !f_ep_is_head(file) {
        to_free = new_ephead();
        list = to_free.cast();
    }
    let guard = loop {
        let guard = file::of(file).f_lock.lock();
        if f_ep_is_head(file) {
            break guard;
        }
        if list.is_null() {
            drop(guard);
            to_free = new_ephead();
            list = to_free.cast();
            continue;
        }
        f_ep_set_head(file, list);
        to_free = null_mut();
        break guard;
    };
    hlist_add_head(&raw mut (*epi).fllink, f_ep_list(file));
    drop(guard);
    free_ephead(to_free);
}

unsafe fn item_of(node: *mut hlist_node) -> *mut epitem {
    node.byte_sub(offset_of!(epitem, fllink)).cast()
}

/// `hlist_for_each_entry_rcu()`.
unsafe fn for_each_item(head: *const hlist_head, mut work: impl FnMut(*mut epitem)) {
    let mut node = (*head).first.follow();
    while !node.is_null() {
        let epi = item_of(node);
        heap::touch(epi);
        work(epi);
        node = (*node).next.follow();
    }
}

unsafe fn reverse_path_check(ctx: &ep_ctl_ctx) {
    let mut head = ctx.tfile_check_list;
    while head.addr() != UNACTIVE {
        let guard = rcu::read_lock();
        for_each_item(&raw const (*head).epitems, |epi| {
            heap::touch((*epi).ep);
            (*(*epi).ep).refs.first.follow();
        });
        drop(guard);
        head = (*head).next.load(Relaxed);
    }
}

unsafe fn clear_tfile_check_list(ctx: &mut ep_ctl_ctx) {
    let _guard = rcu::read_lock();
    while ctx.tfile_check_list.addr() != UNACTIVE {
        let head = ctx.tfile_check_list;
        ctx.tfile_check_list = (*head).next.load(Relaxed);
        unlist_file(head);
    }
}

/// What `ep_loop_check()` does for the eventpoll that is added to: a walk up.
pub unsafe fn ep_loop_check_upwards(epoll: *mut file) -> usize {
    let _guard = rcu::read_lock();
    ep_get_upwards_depth_proc(ep_of(epoll))
}

unsafe fn ep_get_upwards_depth_proc(ep: *mut eventpoll) -> usize {
    heap::touch(ep);
    let mut result = 0;
    for_each_item(&raw const (*ep).refs, |epi| {
        result = result.max(ep_get_upwards_depth_proc((*epi).ep) + 1);
    });
    (*ep).loop_check_depth.store(result, Relaxed);
    result
}

/// Whether it was the last reference.
unsafe fn ep_put(ep: *mut eventpoll) -> bool {
    let last = (*ep).refcount.fetch_sub(1, Ordering::Release) == 1;
    if last {
        fence(Ordering::Acquire);
    }
    last
}

unsafe fn ep_free(ep: *mut eventpoll) {
    heap::free_rcu(ep);
}

unsafe fn epi_fget(epi: *mut epitem) -> Option<*mut file> {
    let file = (*epi).ffd;
    file::of(file).get().then_some(file)
}

unsafe fn ep_remove_file(epi: *mut epitem, file: *mut file) {
    let mut to_free: *mut epitems_head = null_mut();
    let guard = file::of(file).f_lock.lock();
    let list = f_ep_list(file);
    let node = &raw mut (*epi).fllink;
    let is_file_epoll = !ep_of(file).is_null();
    let head = list.cast_mut().cast::<epitems_head>();
    if hlist_is_singular_node(node, list) && (is_file_epoll || !ephead_is_watched(head)) {
        set_f_ep(file, null_mut());
        if !is_file_epoll && (*head).next.load(Acquire).is_null() {
            to_free = head;
        }
    }
    hlist_del_rcu(node);
    file::of(file);
    drop(guard);
    free_ephead(to_free);
}

unsafe fn ep_remove_epi(items: &mut Vec<*mut epitem>, epi: *mut epitem) {
    items.retain(|item| *item != epi);
    heap::free_rcu(epi);
}

unsafe fn ep_remove(ep: *mut eventpoll, items: &mut Vec<*mut epitem>, epi: *mut epitem) {
    let Some(file) = epi_fget(epi) else {
        return;
    };
    ep_remove_file(epi, file);
    ep_remove_epi(items, epi);
    let last = ep_put(ep);
    assert!(!last);
    fput(file);
}

/// `epoll_ctl(EPOLL_CTL_DEL)` of the only item, if it is there.
pub unsafe fn epoll_del(epoll: *mut file) {
    let ep = ep_of(epoll);
    let mut items = (*ep).mtx.lock();
    if let Some(&epi) = items.first() {
        ep_remove(ep, &mut items, epi);
    }
}

/// `ep_eventpoll_release()`: `ep_clear_and_put()`.
pub unsafe fn ep_eventpoll_release(ep: *mut eventpoll) {
    let mut items = (*ep).mtx.lock();
    for epi in items.clone() {
        ep_remove(ep, &mut items, epi);
    }
    drop(items);
    if ep_put(ep) {
        ep_free(ep);
    }
}

unsafe fn file_watch_add_slow(file: *mut file, watch: *mut file_watch) {
    let mut new: *mut epitems_head = null_mut();
    let guard = loop {
        let guard = file::of(file).f_lock.lock();
        if f_ep_is_head(file) {
            break guard;
        }
        if new.is_null() {
            drop(guard);
            new = new_ephead();
            continue;
        }
        f_ep_set_head(file, new.cast());
        new = null_mut();
        break guard;
    };
    let head = f_ep_head(file);
    hlist_add_head(&raw mut (*watch).node, &raw const (*head).watches);
    drop(guard);
    free_ephead(new);
}

pub unsafe fn file_watch_add(file: *mut file, watch: *mut file_watch) -> c_int {
    (*watch).file.store(file, Relaxed);
    if !f_ep_change(file, watch, 0, F_EP_WATCH) {
        file_watch_add_slow(file, watch);
    }
    0
}

unsafe fn file_watch_unlink(file: *mut file, watch: *mut file_watch) -> *mut epitems_head {
    let head = f_ep_head(file);
    hlist_del_init(&raw mut (*watch).node);
    if ephead_is_watched(head) || !(*head).epitems.is_empty() {
        return null_mut();
    }
    set_f_ep(file, null_mut());
    if (*head).next.load(Acquire).is_null() {
        head
    } else {
        null_mut()
    }
}

unsafe fn file_watch_del_slow(file: *mut file, watch: *mut file_watch) -> bool {
    if !file::of(file).get() {
        return false;
    }
    let guard = file::of(file).f_lock.lock();
    let to_free = file_watch_unlink(file, watch);
    drop(guard);
    free_ephead(to_free);
    fput(file);
    true
}

pub unsafe fn file_watch_del(watch: *mut file_watch) -> bool {
    let file = (*watch).file.load(Relaxed);
    if file.is_null() {
        return false;
    }
    (*watch).file.store(null_mut(), Relaxed);
    if f_ep_change(file, watch, F_EP_WATCH, 0) {
        return true;
    }
    file_watch_del_slow(file, watch)
}

unsafe fn file_watch_pop(file: *mut file) -> *mut file_watch {
    let mut watch = f_ep_watch(file);
    if !watch.is_null() {
        if !f_ep_change(file, watch, F_EP_WATCH, 0) {
            return null_mut();
        }
    } else {
        let mut to_free = null_mut();
        let guard = file::of(file).f_lock.lock();
        if f_ep(file) != 0 {
            let first = (*f_ep_head(file)).watches.first.get();
            if !first.is_null() {
                watch = first.byte_sub(offset_of!(file_watch, node)).cast();
                to_free = file_watch_unlink(file, watch);
            }
        }
        drop(guard);
        free_ephead(to_free);
    }
    if !watch.is_null() {
        (*watch).file.store(null_mut(), Relaxed);
    }
    watch
}

unsafe fn file_watches_release(file: *mut file) {
    loop {
        let watch = file_watch_pop(file);
        if watch.is_null() {
            return;
        }
        let func = (*watch).wait.func.expect("a function");
        let key = std::ptr::without_provenance_mut(FILE_WATCH_CLOSED as usize);
        func(&raw mut (*watch).wait, 0, 0, key);
    }
}

/// `eventpoll_release()`.
pub unsafe fn eventpoll_release(file: *mut file) {
    if f_ep(file) != 0 {
        eventpoll_release_file(file);
    }
}

unsafe fn eventpoll_release_file(file: *mut file) {
    if ep_of(file).is_null() {
        file_watches_release(file);
    }
    loop {
        let guard = file::of(file).f_lock.lock();
        let list = f_ep_list(file);
        if list.is_null() || (*list).is_empty() {
            return;
        }
        let epi = item_of((*list).first.get());
        drop(guard);
        heap::touch(epi);
        let ep = (*epi).ep;
        let mut items = (*ep).mtx.lock();
        ep_remove_file(epi, file);
        ep_remove_epi(&mut items, epi);
        drop(items);
        if ep_put(ep) {
            ep_free(ep);
        }
    }
}
