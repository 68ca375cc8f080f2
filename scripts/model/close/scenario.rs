// SPDX-License-Identifier: GPL-2.0

//! Small worlds around the last close of a file.
//!
//! | class    | meaning                                                              |
//! |----------|----------------------------------------------------------------------|
//! | freed    | memory was used after it was freed, or freed twice                   |
//! | list     | a list was changed by two at a time                                  |
//! | leaked   | memory was left at the end                                           |
//! | wrong    | a registration or a file was taken for another                       |
//! | lost     | a wake-up of a registration that is there was not told               |
//!
//! "Causality violation" is loom's own: something is used and freed, or changed, by two whom
//! nothing orders, though in this execution the one came before the other.

use crate::{
    bindings::{
        self,
        file,
        wait_queue_head,
        Behind, //
    },
    kevent::{
        queue::Queue,
        source::{
            ctl_add,
            ctl_modify,
            ctl_remove,
            Tied, //
        }, //
    },
    sync::Arc, //
};
use kevent_model::{
    close::{
        heap,
        rcu, //
    },
    explore::{
        explore,
        thread, //
    },
    kevent::{
        registration::Table,
        state::Asked, //
    }, //
};
use std::sync::atomic::Ordering::Relaxed;

/// A pointer that goes from thread to thread.
pub struct Ptr<T>(pub *mut T);

impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ptr<T> {}

impl<T> Ptr<T> {
    pub fn get(self) -> *mut T {
        self.0
    }
}

unsafe impl<T> Send for Ptr<T> {}
unsafe impl<T> Sync for Ptr<T> {}

/// Runs a scenario, of which nothing may be left.
pub fn run(name: &str, preemptions: usize, world: impl Fn() + Send + Sync + 'static) {
    run_with(name, preemptions, false, world);
}

fn run_with(
    name: &str,
    preemptions: usize,
    reuses: bool,
    world: impl Fn() + Send + Sync + 'static,
) {
    explore(name, preemptions, move || {
        heap::begin();
        rcu::begin();
        bindings::begin(reuses);
        world();
        bindings::finish();
        heap::finish();
    });
}

pub fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    thread::spawn(move || bindings::syscall(work))
}

/// A file with a wait queue that goes with it.
fn open() -> (Ptr<file>, Ptr<wait_queue_head>) {
    let head = unsafe { bindings::new_wait_queue() };
    let file = unsafe { bindings::open(Behind::Queue(head)) };
    (Ptr(file), Ptr(head))
}

/// A file whose wait queue goes by itself.
pub fn open_lent() -> (Ptr<file>, Ptr<wait_queue_head>) {
    let head = unsafe { bindings::new_wait_queue() };
    let file = unsafe { bindings::open(Behind::Lent(head)) };
    (Ptr(file), Ptr(head))
}

impl Ptr<file> {
    /// One more who holds it.
    fn hold(self) -> Self {
        assert!(unsafe { file::of(self.0) }.get());
        self
    }

    fn close(self) {
        unsafe { bindings::close(self.0) };
    }
}

impl Ptr<wait_queue_head> {
    fn wake(self) {
        unsafe { bindings::wake_up(self.0, 1) };
    }

    pub fn free(self) {
        unsafe { bindings::free_wait_queue(self.0) };
    }
}

/// A queue that watches a file.
fn watch(file: Ptr<file>) -> Arc<Queue> {
    let queue = Queue::new();
    ctl_add(&queue, file.get()).unwrap();
    queue
}

/// The last descriptor of a queue is closed.
fn release(queue: Arc<Queue>) {
    queue.release();
    assert_eq!(queue.limit.charged(), 0, "wrong: charged for nothing");
}

/// It watches nothing any more.
fn ended(queue: &Arc<Queue>) {
    assert!(
        queue.lock().events.alive() == 0,
        "wrong: a registration is left"
    );
}

fn remove_against(name: &str, preemptions: usize, end: fn(Arc<Queue>, Ptr<file>)) {
    run(name, preemptions, move || {
        let (file, head) = open();
        let queue = watch(file);
        let user = file.hold();
        let threads = [
            spawn(move || {
                head.wake();
                unsafe { bindings::fput(user.get()) };
            }),
            spawn(move || file.close()),
        ];
        end(queue, file);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// A wake-up by who then has the last reference to the file, REMOVE, and a close.
pub fn remove_and_close() {
    remove_against("REMOVE, wake-up, last close", 3, |queue, file| {
        bindings::syscall(|| ctl_remove(&queue, file.get()));
        ended(&queue);
        release(queue);
    });
}

/// The same with the close of the queue.
pub fn release_and_close() {
    remove_against("close of the queue, wake-up, last close", 3, |queue, _| {
        bindings::syscall(|| release(queue));
    });
}

/// A registration changes by who then has the last reference to the file, beside a wake-up.
pub fn modify_and_close() {
    run("MODIFY, wake-up, last close", 3, || {
        let (file, head) = open();
        let queue = watch(file);
        let [user, modifier] = [file.hold(), file.hold()];
        let threads = [
            spawn(move || {
                head.wake();
                unsafe { bindings::fput(user.get()) };
            }),
            spawn(move || file.close()),
        ];
        bindings::syscall(|| {
            ctl_modify(&queue, file.get()).unwrap();
            unsafe { bindings::fput(modifier.get()) };
        });
        for thread in threads {
            thread.join().unwrap();
        }
        ended(&queue);
        release(queue);
    });
}

/// What has changed is removed while the file goes, and its wait queue, with it or by itself.
pub fn modified_and_close() {
    run("REMOVE after MODIFY, last close", 3, || {
        let (file, _) = open();
        let queue = watch(file);
        ctl_modify(&queue, file.get()).unwrap();
        let thread = spawn(move || file.close());
        bindings::syscall(|| ctl_remove(&queue, file.get()));
        release(queue);
        thread.join().unwrap();
    });
    run("POLLFREE, REMOVE after MODIFY, last close", 2, || {
        let (file, head) = open_lent();
        let queue = watch(file);
        ctl_modify(&queue, file.get()).unwrap();
        let threads = [spawn(move || head.free()), spawn(move || file.close())];
        bindings::syscall(|| ctl_remove(&queue, file.get()));
        release(queue);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// The wait queue goes away beside REMOVE and a wake-up.
pub fn pollfree_and_remove() {
    run("POLLFREE, REMOVE", 3, || {
        let (file, head) = open_lent();
        let queue = watch(file);
        let thread = spawn(move || head.free());
        bindings::syscall(|| ctl_remove(&queue, file.get()));
        ended(&queue);
        release(queue);
        thread.join().unwrap();
        file.close();
    });
}

/// The wait queue goes away beside the last close and the close of the queue.
pub fn pollfree_and_close() {
    run("POLLFREE, last close, close of the queue", 3, || {
        let (file, head) = open_lent();
        let queue = watch(file);
        let threads = [spawn(move || head.free()), spawn(move || file.close())];
        bindings::syscall(|| release(queue));
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// Two queues watch the file, and both cease to.
pub fn two_watches() {
    run("two watches, two REMOVEs, last close", 3, || {
        let (file, _) = open();
        let queues = [watch(file), watch(file)];
        let thread = spawn(move || file.close());
        let [first, second] = queues;
        let other = spawn(move || {
            ctl_remove(&second, file.get());
            release(second);
        });
        bindings::syscall(|| ctl_remove(&first, file.get()));
        ended(&first);
        release(first);
        other.join().unwrap();
        thread.join().unwrap();
    });
}

/// A second queue begins to watch while the first ceases to.
pub fn add_and_remove() {
    run("ADD of a second watch, REMOVE, last close", 3, || {
        let (file, _) = open();
        let first = watch(file);
        let adder = file.hold();
        let thread = spawn(move || {
            let second = watch(adder);
            unsafe { bindings::fput(adder.get()) };
            second
        });
        let closer = spawn(move || file.close());
        bindings::syscall(|| ctl_remove(&first, file.get()));
        release(first);
        let second = thread.join().unwrap();
        closer.join().unwrap();
        ended(&second);
        release(second);
    });
}

/// What was removed while the file closes makes room for another, in the same place.
pub fn remove_and_add() {
    run(
        "REMOVE, ADD in its place, last close of the old file",
        3,
        || {
            let (file, _) = open();
            let (next, head) = open();
            let queue = watch(file);
            let thread = spawn(move || file.close());
            bindings::syscall(|| ctl_remove(&queue, file.get()));
            bindings::syscall(|| ctl_add(&queue, next.get())).unwrap();
            thread.join().unwrap();
            let before = queue.fired.load(Relaxed);
            head.wake();
            assert_ne!(queue.fired.load(Relaxed), before, "lost: not told");
            next.close();
            ended(&queue);
            release(queue);
        },
    );
}

/// Asks the file with this wait queue what is true, and uses what the file has to find out.
fn look(asked: Asked<Tied>, head: Ptr<wait_queue_head>) {
    asked.tie.0.poll(bindings::WHOSE, |whose| {
        assert_eq!(whose, head.get().addr() as u32, "wrong: another file");
        heap::touch(head.get());
    });
}

/// A registration is looked at while its file closes, and the memory becomes another file.
pub fn look_and_close() {
    for (name, reuses) in [
        ("look, last close", false),
        ("look, last close, another file in its place", true),
    ] {
        run_with(name, 3, reuses, || {
            let (file, head) = open();
            let queue = watch(file);
            let asked = queue.lock().events.ask(Table::<()>::nth(0)).unwrap();
            let thread = spawn(move || {
                file.close();
                open().0
            });
            bindings::syscall(|| look(asked, head));
            thread.join().unwrap().close();
            ended(&queue);
            release(queue);
        });
    }
}

/// A registration is looked at while it is removed, its file closes, and the memory becomes
/// another file.
pub fn look_and_remove() {
    run_with("look, REMOVE, another file in its place", 3, true, || {
        let (file, head) = open();
        let queue = watch(file);
        let asked = queue.lock().events.ask(Table::<()>::nth(0)).unwrap();
        let thread = {
            let queue = queue.clone();
            spawn(move || {
                ctl_remove(&queue, file.get());
                file.close();
                open().0
            })
        };
        bindings::syscall(|| look(asked, head));
        thread.join().unwrap().close();
        release(queue);
    });
}

/// An eventpoll and a queue watch the file, and both cease to.
pub fn epoll_beside() {
    run(
        "item and watch, EPOLL_CTL_DEL, REMOVE, last close",
        3,
        || {
            let (file, _) = open();
            let epoll = Ptr(unsafe { bindings::epoll_create() });
            unsafe { bindings::epoll_add(epoll.get(), file.get(), false) };
            let queue = watch(file);
            let threads = [
                spawn(move || unsafe { bindings::epoll_del(epoll.get()) }),
                spawn(move || file.close()),
            ];
            bindings::syscall(|| ctl_remove(&queue, file.get()));
            release(queue);
            for thread in threads {
                thread.join().unwrap();
            }
            epoll.close();
        },
    );
}

/// An eventpoll begins to watch, and walks its paths, while that and the watch go.
pub fn epoll_path_check() {
    run(
        "EPOLL_CTL_ADD with a check of paths, DEL and REMOVE, last close",
        3,
        || {
            let (file, _) = open();
            let epoll = Ptr(unsafe { bindings::epoll_create() });
            let queue = watch(file);
            let adder = file.hold();
            let threads = [
                spawn(move || unsafe {
                    bindings::epoll_add(epoll.get(), adder.get(), true);
                    bindings::fput(adder.get());
                }),
                spawn(move || file.close()),
            ];
            bindings::syscall(|| unsafe { bindings::epoll_del(epoll.get()) });
            bindings::syscall(|| ctl_remove(&queue, file.get()));
            release(queue);
            for thread in threads {
                thread.join().unwrap();
            }
            epoll.close();
        },
    );
}

/// epoll by itself: an item goes while its file closes, which may be an eventpoll too.
pub fn epoll_del_and_close() {
    for (name, nested) in [
        ("EPOLL_CTL_DEL, last close of an eventpoll", true),
        ("EPOLL_CTL_DEL, last close", false),
    ] {
        run(name, 3, move || {
            let epoll = Ptr(unsafe { bindings::epoll_create() });
            let file = match nested {
                true => Ptr(unsafe { bindings::epoll_create() }),
                false => open().0,
            };
            unsafe { bindings::epoll_add(epoll.get(), file.get(), false) };
            let thread = spawn(move || file.close());
            bindings::syscall(|| unsafe { bindings::epoll_del(epoll.get()) });
            thread.join().unwrap();
            epoll.close();
        });
    }
}

/// epoll by itself: a walk up from an eventpoll while the one above goes.
pub fn epoll_upwards() {
    run(
        "walk up from an eventpoll, close of the one above",
        3,
        || {
            let above = Ptr(unsafe { bindings::epoll_create() });
            let below = Ptr(unsafe { bindings::epoll_create() });
            unsafe { bindings::epoll_add(above.get(), below.get(), false) };
            let thread = spawn(move || above.close());
            let depth = unsafe { bindings::ep_loop_check_upwards(below.get()) };
            assert!(depth < 2);
            thread.join().unwrap();
            below.close();
        },
    );
}
