// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Counts what another process does.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::FromRawFd;

/// `perf_event_attr` as it was at first.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    period: u64,
    sample_kind: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    address: u64,
}

const TRACEPOINT: u32 = 2;
const ENTER: &str = "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id";

/// Counts the system calls of one thread.
pub struct Calls(File);

impl Calls {
    /// Begins to count.
    pub fn of(thread: u32) -> io::Result<Calls> {
        let attributes = Attributes {
            kind: TRACEPOINT,
            size: size_of::<Attributes>() as u32,
            config: fs::read_to_string(ENTER)?
                .trim()
                .parse()
                .map_err(io::Error::other)?,
            ..Attributes::default()
        };
        let (any, none, flags) = (-1, -1, 0u64);
        // SAFETY: The kernel reads as much as `size` says.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &attributes,
                thread,
                any,
                none,
                flags,
            )
        };
        match fd {
            ..0 => Err(io::Error::last_os_error()),
            // SAFETY: The call gave a new descriptor.
            fd => Ok(Calls(unsafe { File::from_raw_fd(fd as i32) })),
        }
    }

    /// How many there were.
    pub fn get(&mut self) -> io::Result<u64> {
        let mut count = [0; 8];
        self.0.read_exact(&mut count)?;
        Ok(u64::from_ne_bytes(count))
    }
}

/// For how many nanoseconds a process has run; where instructions are counted, as many of them.
pub fn time_of(process: u32) -> io::Result<u64> {
    let mut clock = 0;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: Both write to what is ours.
    let answer = unsafe {
        match libc::clock_getcpuclockid(process as libc::pid_t, &mut clock) {
            0 => libc::clock_gettime(clock, &mut time),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    };
    match answer {
        0 => Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64),
        _ => Err(io::Error::last_os_error()),
    }
}
