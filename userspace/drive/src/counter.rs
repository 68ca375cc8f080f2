// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How often the kernel is called by processes, and how long they run.

use std::fs;
use std::io::{Error, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::processes::threads;

/// Where the kernel says which number its trace point of system calls has.
const POINT: &str = "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id";
const PERF_TYPE_TRACEPOINT: u32 = 2;
/// What threads that are made later do counts, too.
const INHERIT: u64 = 1 << 1;
const PERF_EVENT_IOC_SET_FILTER: libc::c_ulong = 0x4008_2406;

/// `struct perf_event_attr`, in its second size.
#[repr(C)]
#[derive(Default)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    period: u64,
    sample: u64,
    read: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    config1: u64,
    config2: u64,
}

/// System calls of processes.
pub struct Calls {
    all: Vec<OwnedFd>,
    events: Vec<OwnedFd>,
}

impl Calls {
    /// Counts from now on.
    pub fn of(processes: &[u32]) -> Result<Calls, String> {
        let point = fs::read_to_string(POINT).map_err(|error| format!("{POINT}: {error}"))?;
        let point = point
            .trim()
            .parse()
            .map_err(|error| format!("{POINT}: {error}"))?;
        let filter = filter();
        let mut calls = Calls {
            all: Vec::new(),
            events: Vec::new(),
        };
        for thread in processes.iter().flat_map(|pid| threads(*pid)) {
            calls.all.push(open(point, thread, None)?);
            calls.events.push(open(point, thread, Some(&filter))?);
        }
        Ok(calls)
    }

    /// All calls, and those for events.
    pub fn read(&self) -> Result<(u64, u64), String> {
        Ok((sum(&self.all)?, sum(&self.events)?))
    }
}

/// The calls for events, of both kinds, and what the library has beside them.
fn filter() -> String {
    let calls = [
        libc::SYS_epoll_ctl,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_epoll_wait,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        kevent_sys::SYS_KEVENT_CTL,
        kevent_sys::SYS_KEVENT_GET_EVENTS,
        kevent_sys::SYS_KEVENT_WAIT,
        kevent_sys::SYS_KEVENT_COMMIT,
        libc::SYS_ppoll,
    ];
    calls.map(|call| format!("id=={call}")).join("||")
}

fn open(point: u64, thread: u32, filter: Option<&str>) -> Result<OwnedFd, String> {
    let attr = Attr {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<Attr>() as u32,
        config: point,
        flags: INHERIT,
        ..Attr::default()
    };
    // SAFETY: It is as large as it says.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, &attr, thread, -1, -1, 8) };
    if fd < 0 {
        return Err(format!("perf_event_open: {}", Error::last_os_error()));
    }
    // SAFETY: It is new.
    let counter = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    if let Some(filter) = filter {
        let text = format!("{filter}\0");
        let fd = counter.as_raw_fd();
        // SAFETY: The text ends with a zero.
        if unsafe { libc::ioctl(fd, PERF_EVENT_IOC_SET_FILTER as _, text.as_ptr()) } != 0 {
            return Err(format!("the filter of perf: {}", Error::last_os_error()));
        }
    }
    Ok(counter)
}

fn sum(counters: &[OwnedFd]) -> Result<u64, String> {
    let mut sum = 0;
    for counter in counters {
        let mut bytes = [0; 8];
        let mut file = fs::File::from(counter.try_clone().map_err(|error| error.to_string())?);
        file.read_exact(&mut bytes)
            .map_err(|error| format!("a counter of perf: {error}"))?;
        sum += u64::from_ne_bytes(bytes);
    }
    Ok(sum)
}

/// How long processes have run, in nanoseconds.
pub fn time(processes: &[u32]) -> u64 {
    let time = |pid: &u32| {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut clock = 0;
        // SAFETY: Both are ours.
        let known = unsafe {
            libc::clock_getcpuclockid(*pid as i32, &mut clock) == 0
                && libc::clock_gettime(clock, &mut now) == 0
        };
        match known {
            true => now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64,
            false => 0,
        }
    };
    processes.iter().map(time).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_has_the_size_that_the_kernel_knows() {
        assert_eq!(size_of::<Attr>(), 72);
    }

    #[test]
    fn time_goes_on() {
        let here = [std::process::id()];
        let before = time(&here);
        assert!(before > 0);
        while time(&here) == before {}
        assert_eq!(time(&[]), 0);
    }

    #[test]
    fn both_kinds_are_counted() {
        let filter = filter();
        assert!(
            filter.contains("id==475||")
                && filter.contains(&format!("id=={}", libc::SYS_epoll_ctl))
        );
    }
}
