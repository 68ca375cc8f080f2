// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the programs here share.

pub mod count;

use std::path::Path;
use std::{fs, io};

/// The queues that a process has, by its descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Of kevent.
    pub kevent: usize,
    /// Of epoll.
    pub eventpoll: usize,
}

/// Looks at the descriptors of a process: `self`, or a number.
pub fn queues_of(process: &str) -> io::Result<Queues> {
    let mut queues = Queues::default();
    for entry in fs::read_dir(format!("/proc/{process}/fd"))? {
        // The folder that is read has one, too, which is closed meanwhile.
        if let Ok(link) = fs::read_link(entry?.path()) {
            queues.kevent += usize::from(link == Path::new("anon_inode:[kevent]"));
            queues.eventpoll += usize::from(link == Path::new("anon_inode:[eventpoll]"));
        }
    }
    Ok(queues)
}

/// Whether a process on mio is to have kevent.
pub fn is_on_kevent() -> bool {
    // SAFETY: It takes numbers and a null address only, and opens nothing.
    let answer = unsafe { libc::syscall(473, 0usize, 0u32, 4u32) };
    answer >= 0 && std::env::var_os("MIO_KEVENT").is_none_or(|value| value != "off")
}
