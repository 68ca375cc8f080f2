// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What goes when the kernel refuses its own `epoll_ctl()`.

use std::ptr::null;

use libc::sock_filter;

use crate::epoll::*;

/// Has one system call fail with `EPERM` from now on.
fn refuse(call: libc::c_long) {
    const fn step(code: u32, jump: u8, k: u32) -> sock_filter {
        sock_filter {
            code: code as u16,
            jt: 0,
            jf: jump,
            k,
        }
    }
    let mut filter = [
        // The number of the call is the first word.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, call as u32),
        step(
            libc::BPF_RET,
            0,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        ),
        step(libc::BPF_RET, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: The filter is ours, and the kernel copies it.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) == 0
    };
    assert!(done, "seccomp");
}

pub fn tell() {
    let (epfd, file) = (create(), eventfd(1));
    refuse(libc::SYS_epoll_ctl);
    println!("ADD: {:?}", ctl(epfd, ADD, file, IN));
    println!("wait: {:?}", wait(epfd, 0).map(|events| events.len()));
    println!("MOD: {:?}", ctl(epfd, MOD, file, OUT | ET));
    println!("DEL: {:?}", ctl(epfd, DEL, file, 0));
    println!("DEL again: {:?}", ctl(epfd, DEL, file, 0));
    // SAFETY: The kernel checks the address.
    let nowhere =
        unsafe { libc::epoll_ctl(epfd, ADD, file, null::<libc::epoll_event>().cast_mut()) };
    println!("ADD of nothing: {:?}", answer(nowhere));
}
