// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What `/proc` says of a server: its processes, and what they have open for events.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A process and all that descend from it.
pub fn tree(root: u32) -> Vec<u32> {
    let mut parents: BTreeMap<u32, u32> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(parent) = parent(&stat) {
            parents.insert(pid, parent);
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| **of == parent)
                .map(|(pid, _)| *pid),
        );
        at += 1;
    }
    found
}

/// The second field behind the name, which may hold anything.
fn parent(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// Its threads.
pub fn threads(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"));
    let names = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

/// Descriptors for events, as `/proc/PID/fdinfo` shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    pub epoll: usize,
    pub kevent: usize,
    /// What is watched by them.
    pub watched: usize,
}

impl Queues {
    /// Of one process.
    pub fn of(pid: u32) -> Queues {
        let mut queues = Queues::default();
        let folder = Path::new("/proc").join(pid.to_string());
        for entry in fs::read_dir(folder.join("fdinfo"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let link = fs::read_link(folder.join("fd").join(entry.file_name()));
            let link = link.unwrap_or_default().to_string_lossy().into_owned();
            let info = fs::read_to_string(entry.path()).unwrap_or_default();
            queues.add(&link, &info);
        }
        queues
    }

    fn add(&mut self, link: &str, info: &str) {
        let lines = |start: &str| info.lines().filter(|line| line.starts_with(start)).count();
        let (epoll, kevent) = (lines("tfd:"), lines("kevent "));
        if epoll > 0 || link == "anon_inode:[eventpoll]" {
            self.epoll += 1;
            self.watched += epoll;
        } else if kevent > 0 || link == "anon_inode:[kevent]" {
            self.kevent += 1;
            self.watched += lines("type:");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_be_odd() {
        assert_eq!(parent("12 (a ) b) S 7 12 12 0"), Some(7));
        assert_eq!(parent(""), None);
    }

    #[test]
    fn this_process_is_in_its_tree() {
        let here = std::process::id();
        assert!(tree(here).contains(&here));
        assert!(tree(1).contains(&1));
        assert!(!threads(here).is_empty());
    }

    #[test]
    fn descriptors_are_told_apart() {
        let mut queues = Queues::default();
        queues.add(
            "anon_inode:[eventpoll]",
            "pos:\t0\ntfd: 5 events: 19\ntfd: 6 events: 19\n",
        );
        queues.add("anon_inode:[eventpoll]", "pos:\t0\n");
        queues.add(
            "anon_inode:[kevent]",
            "pos:\t0\nkevent slots:0 head:0\ntype:3 id:5\n",
        );
        queues.add("socket:[5]", "pos:\t0\n");
        let expected = Queues {
            epoll: 2,
            kevent: 1,
            watched: 3,
        };
        assert_eq!(queues, expected);
    }

    #[test]
    fn an_epoll_is_seen() {
        // SAFETY: It takes a number.
        let fd = unsafe { libc::epoll_create1(0) };
        assert!(Queues::of(std::process::id()).epoll >= 1);
        // SAFETY: It is ours.
        unsafe { libc::close(fd) };
    }
}
