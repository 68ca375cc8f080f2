// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tells what epoll does, a line for each thing: whoever runs it with and without the library compares
//! the two. Each case runs in a process of its own, so that one that dies or hangs is a line as well.
//! With `--kind`, what an epoll is to the kernel; with `--cost`, what calls cost; with `--alone`, what goes
//! without `epoll_ctl()` of the kernel.

mod alone;
mod cases;
mod cost;
mod epoll;

use std::io::Write;

/// How long one may take.
const SECONDS: u32 = 240;

fn main() {
    let wanted = std::env::args().nth(1);
    if wanted.as_deref() == Some("--kind") {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", epoll::create()));
        println!("{}", link.expect("it is open").display());
        return;
    }
    if wanted.as_deref() == Some("--cost") {
        return cost::tell();
    }
    if wanted.as_deref() == Some("--alone") {
        return alone::tell();
    }
    for (name, case) in cases::ALL {
        if wanted.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        std::io::stdout().flush().expect("somebody reads");
        // SAFETY: There is one thread.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: It takes a number.
                unsafe { libc::alarm(SECONDS) };
                case(&epoll::Say(name));
                std::io::stdout().flush().expect("somebody reads");
                // SAFETY: As above.
                unsafe { libc::_exit(0) };
            }
            child => {
                let mut status = 0;
                // SAFETY: The status is ours.
                unsafe { libc::waitpid(child, &mut status, 0) };
                if status != 0 {
                    println!("{name}: ended with status {status:#x}");
                }
            }
        }
    }
}
