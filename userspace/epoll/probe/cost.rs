// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What calls cost: in nanoseconds, or where the clock of the guest counts them, in instructions.

use std::time::Instant;

use crate::epoll::*;

const TIMES: u32 = 2000;

/// One of many calls, when the caches are warm.
fn each(what: &str, mut call: impl FnMut()) {
    for _ in 0..TIMES / 10 {
        call();
    }
    let begin = Instant::now();
    for _ in 0..TIMES {
        call();
    }
    let each = begin.elapsed().as_nanos() as f64 / f64::from(TIMES);
    println!("{what}: {each:.0}");
}

fn wait_one(epfd: i32, timeout: i32) -> i32 {
    let mut events = room::<16>();
    // SAFETY: It is ours.
    unsafe { libc::epoll_wait(epfd, events.as_mut_ptr(), 16, timeout) }
}

pub fn tell() {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN);
    each("wait, nothing is there", || {
        assert_eq!(wait_one(epfd, 0), 0)
    });
    write(file);
    each("wait, a level that stays", || {
        assert_eq!(wait_one(epfd, -1), 1)
    });
    read(file);
    each("write, wait, read: level", || {
        write(file);
        assert_eq!(wait_one(epfd, -1), 1);
        read(file);
    });
    ctl(epfd, MOD, file, IN | ET).expect("it is there");
    each("write, wait, read: edge", || {
        write(file);
        assert_eq!(wait_one(epfd, -1), 1);
        read(file);
    });
    each("write, read", || {
        write(file);
        read(file);
    });
    each("EPOLL_CTL_MOD", || {
        ctl(epfd, MOD, file, IN | ONESHOT).expect("it is there");
    });
    each("write, wait, read, MOD: once", || {
        write(file);
        assert_eq!(wait_one(epfd, -1), 1);
        read(file);
        ctl(epfd, MOD, file, IN | ONESHOT).expect("it is there");
    });
    let other = eventfd(0);
    each("EPOLL_CTL_ADD, EPOLL_CTL_DEL", || {
        add(epfd, other, IN);
        ctl(epfd, DEL, other, 0).expect("it is there");
    });
}
