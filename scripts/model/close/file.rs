// SPDX-License-Identifier: GPL-2.0

//! Files: include/linux/file_ref.h, fs/file_table.c, fs/file.c.

use super::{
    eventpoll::{
        ep_eventpoll_release,
        eventpoll,
        eventpoll_release, //
    },
    wait::wait_queue_head, //
};
use kevent_model::close::{
    heap::{
        self,
        Life, //
    },
    kernel::atomic::{
        Acquire,
        Atomic,
        Relaxed, //
    },
    lock::Lock,
    rcu, //
};
use loom::sync::atomic::{
    fence,
    AtomicUsize,
    Ordering, //
};
use std::{
    cell::{
        Cell,
        RefCell, //
    },
    ptr::null_mut,
    rc::Rc, //
};

/// What stands behind a file.
#[derive(Clone, Copy)]
pub enum Behind {
    /// What is the file's alone.
    Queue(*mut wait_queue_head),
    /// What lives on, or goes by itself.
    Lent(*mut wait_queue_head),
    /// An eventpoll.
    Epoll(*mut eventpoll),
}

/// `struct file`, of a cache that is `SLAB_TYPESAFE_BY_RCU`: its memory stays that of a file while
/// an RCU section lasts.
pub struct file {
    /// Of what the memory is now.
    life: Life,
    f_ref: AtomicUsize,
    pub f_lock: Lock,
    /// NULL, a watch with its marks, or a head.
    pub f_ep: Atomic<usize>,
    pub f_op: *const file_operations,
    behind: Cell<Behind>,
}

const FILE_REF_ONEREF: usize = 0;
const FILE_REF_DEAD: usize = 0xe000_0000_0000_0000;
const FILE_REF_NOREF: usize = usize::MAX;

/// `file_ref_get()`.
unsafe fn file_ref_get(f_ref: &AtomicUsize) -> bool {
    heap::touch(f_ref);
    let new = f_ref.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
    heap::touch(f_ref);
    new.cast_signed() >= 0
}

/// `file_ref_put()`.
unsafe fn file_ref_put(f_ref: &AtomicUsize) -> bool {
    heap::touch(f_ref);
    let new = f_ref.fetch_sub(1, Ordering::SeqCst).wrapping_sub(1);
    heap::look(f_ref);
    if new.cast_signed() >= 0 {
        return false;
    }
    // __file_ref_put()
    assert_eq!(
        new, FILE_REF_NOREF,
        "freed: imbalanced put on file reference count"
    );
    let (release, relaxed) = (Ordering::Release, Ordering::Relaxed);
    if f_ref
        .compare_exchange(FILE_REF_NOREF, FILE_REF_DEAD, release, relaxed)
        .is_err()
    {
        return false;
    }
    // smp_acquire__after_ctrl_dep()
    fence(Ordering::Acquire);
    true
}

impl file {
    /// One that is not free.
    pub unsafe fn of<'a>(this: *const Self) -> &'a Self {
        heap::touch(this);
        (*this).life.touch();
        &*this
    }

    /// It has been used, with an access that orders; see `Life::look()`.
    pub fn look(&self) {
        self.life.look();
    }

    pub fn get(&self) -> bool {
        let got = unsafe { file_ref_get(&self.f_ref) };
        self.life.touch();
        got
    }

    pub fn behind(&self) -> Behind {
        self.life.touch();
        self.behind.get()
    }
}

/// What is done once for an execution.
#[derive(Default)]
struct Files {
    /// Freed files, which the next ones are made of, and their lock; none if the memory goes.
    slab: Vec<*mut file>,
    lock: Option<Rc<Lock>>,
    /// What `__fput()` is left to do when a thread returns to user space.
    task_work: Vec<(loom::thread::ThreadId, *mut file)>,
}

thread_local! {
    static FILES: RefCell<Files> = RefCell::default();
}

/// Begins an execution. With `reuses`, a freed file is the next file, else its memory goes.
pub fn begin(reuses: bool) {
    FILES.set(Files {
        lock: reuses.then(Rc::default),
        ..Files::default()
    });
}

/// `alloc_empty_file()`, with what opens it.
pub unsafe fn open(behind: Behind) -> *mut file {
    let lock = FILES.with_borrow(|files| files.lock.clone());
    let guard = lock.as_ref().map(|lock| lock.lock());
    let reused = FILES.with_borrow_mut(|files| files.slab.pop());
    drop(guard);
    let Some(reused) = reused else {
        return heap::alloc(
            "the file",
            file {
                life: Life::new("the file"),
                f_ref: AtomicUsize::new(FILE_REF_ONEREF),
                f_lock: Lock::new(()),
                f_ep: Atomic::new(0),
                f_op: &file_operations { poll: Some(()) },
                behind: Cell::new(behind),
            },
        );
    };
    // init_file(): the reference count last. What was done to the old file comes before that, as
    // stores before an unlock do before those after the next lock; here, by a release. It is an
    // exchange, as loom would let others change what they read before a plain store.
    (*reused).life.renew();
    (*reused).behind.set(behind);
    (*reused).f_ep.store(0, Relaxed);
    (*reused).f_ref.swap(FILE_REF_ONEREF, Ordering::Release);
    reused
}

/// `file_free()`.
unsafe fn file_free(file: *mut file) {
    (*file).life.end();
    match FILES.with_borrow(|files| files.lock.clone()) {
        Some(lock) => {
            let _guard = lock.lock();
            FILES.with_borrow_mut(|files| files.slab.push(file));
        }
        None => heap::free_rcu(file),
    }
}

/// `__fput()`.
unsafe fn __fput(file: *mut file) {
    eventpoll_release(file);
    // Who found nothing of a watch comes after who took that away: by control dependencies, and by
    // locks that are dropped before others are taken.
    fence(Ordering::Acquire);
    // f_op->release()
    match file::of(file).behind() {
        Behind::Queue(head) => heap::free(head),
        Behind::Lent(_) => {}
        Behind::Epoll(ep) => ep_eventpoll_release(ep),
    }
    file_free(file);
}

/// `fput()`: the work is left for when the thread holds no lock.
pub unsafe fn fput(file: *mut file) {
    if file_ref_put(&(*file).f_ref) {
        let thread = loom::thread::current().id();
        FILES.with_borrow_mut(|files| files.task_work.push((thread, file)));
    }
}

/// `task_work_run()`.
pub unsafe fn task_work_run() {
    let thread = loom::thread::current().id();
    loop {
        let next = FILES.with_borrow_mut(|files| {
            let mut work = files.task_work.iter();
            let mine = work.position(|(of, _)| *of == thread)?;
            Some(files.task_work.remove(mine).1)
        });
        match next {
            Some(file) => __fput(file),
            None => return,
        }
    }
}

/// Nobody is killed.
pub unsafe fn kevent_is_dying() -> bool {
    false
}

/// Ends an execution.
pub fn finish() {
    for file in FILES.with_borrow_mut(|files| std::mem::take(&mut files.slab)) {
        heap::free(file);
    }
}

/// A system call.
pub fn syscall<R>(call: impl FnOnce() -> R) -> R {
    let result = call();
    unsafe { task_work_run() };
    result
}

/// `close()`: `fput_close_sync()`, of which this is the slow half.
pub unsafe fn close(file: *mut file) {
    syscall(|| unsafe { fput(file) });
}

/// `get_file_active()`.
pub unsafe fn get_file_active(place: *mut Atomic<*mut file>) -> *mut file {
    let _guard = rcu::read_lock();
    // __get_file_rcu()
    let file = (*place).load(Acquire);
    if file.is_null() {
        return null_mut();
    }
    if !file_ref_get(&(*file).f_ref) {
        return null_mut();
    }
    // The reference was taken with a full barrier.
    fence(Ordering::SeqCst);
    if (*place).load(Relaxed) == file {
        return file;
    }
    fput(file);
    null_mut()
}

/// `struct poll_table_struct`.
pub struct poll_table {
    pub _qproc:
        Option<unsafe extern "C-unwind" fn(*mut file, *mut wait_queue_head, *mut poll_table)>,
    pub _key: u32,
}

/// Whether there is a poll method.
pub struct file_operations {
    pub poll: Option<()>,
}

/// Asks [`vfs_poll()`] which wait queue the file has.
pub const WHOSE: u32 = 1 << 30;

/// `vfs_poll()`, of a file that is ready for nothing.
pub unsafe fn vfs_poll(file: *mut file, table: *mut poll_table) -> u32 {
    match file::of(file).behind() {
        Behind::Queue(head) if (*table)._key == WHOSE => return head.addr() as u32,
        Behind::Queue(head) | Behind::Lent(head) => {
            if let Some(qproc) = (*table)._qproc {
                qproc(file, head, table);
            }
        }
        Behind::Epoll(_) => unreachable!(),
    }
    0
}

pub const FDPUT_FPUT: u64 = 1;
pub const FDPUT_POS_UNLOCK: u64 = 2;

/// `struct fd`.
pub struct fd {
    pub word: usize,
}

/// No descriptors here.
pub unsafe fn fdget(_: u32) -> fd {
    fd { word: 0 }
}
