// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The binary interface of kevent: its system calls, structures and constants.
//!
//! The bindings are made from `linux/kevent.h` by bindgen, for each architecture apart, and checked
//! in. The crate [`kevent`](https://docs.rs/kevent) is what programs want.
//!
//! ```
//! use core::ptr::null_mut;
//!
//! // SAFETY: a query touches no memory.
//! match unsafe { kevent_sys::kevent_init(null_mut(), 0, kevent_sys::KEVENT_INIT_QUERY) } {
//!     -1 => println!("this kernel has no kevent"),
//!     answer => println!("kevent with interface {}", answer & 0xffff),
//! }
//! ```

#![no_std]
#![cfg(target_os = "linux")]

use core::ffi::{c_int, c_long, c_uint, c_void};

#[allow(
    non_camel_case_types,
    missing_docs,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
mod bindings {
    #[cfg(target_arch = "aarch64")]
    include!("bindings/aarch64.rs");
    #[cfg(target_arch = "x86")]
    include!("bindings/x86.rs");
    #[cfg(target_arch = "x86_64")]
    include!("bindings/x86_64.rs");
}

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86", target_arch = "x86_64")))]
compile_error!("kevent-sys has bindings for x86_64, aarch64 and x86");

pub use bindings::*;

/// The number of [`kevent_init`], the same on every architecture, as are those that follow.
pub const SYS_KEVENT_INIT: c_long = 473;
/// The number of [`kevent_ctl`].
pub const SYS_KEVENT_CTL: c_long = 474;
/// The number of [`kevent_get_events`].
pub const SYS_KEVENT_GET_EVENTS: c_long = 475;
/// The number of [`kevent_wait`].
pub const SYS_KEVENT_WAIT: c_long = 476;
/// The number of [`kevent_commit`].
pub const SYS_KEVENT_COMMIT: c_long = 477;

/// A timeout, `struct __kernel_timespec`: 64 bits each on every architecture.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct kernel_timespec {
    /// Seconds.
    pub tv_sec: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub tv_nsec: i64,
}

/// The bit of a source in what a query answers, see `KEVENT_INIT_QUERY`.
pub const fn query_source(kind: c_uint) -> c_uint {
    1 << (16 + kind)
}

/// Opens a queue.
///
/// # Safety
///
/// `ring` must be null, or the address of a page from which on nothing is mapped that anybody uses,
/// for the length of the ring.
pub unsafe fn kevent_init(ring: *mut c_void, ring_size: c_uint, flags: c_uint) -> c_int {
    // SAFETY: See above.
    unsafe { libc::syscall(SYS_KEVENT_INIT, ring, ring_size, flags) as c_int }
}

/// Carries out `cmd` for each of `num` records.
///
/// # Safety
///
/// `arg` must point to `num` records that are the caller's alone.
pub unsafe fn kevent_ctl(fd: c_int, cmd: c_uint, num: c_uint, arg: *mut ukevent) -> c_int {
    // SAFETY: See above.
    unsafe { libc::syscall(SYS_KEVENT_CTL, fd, cmd, num, arg) as c_int }
}

/// Waits for `min_nr` events and copies up to `max_nr`.
///
/// # Safety
///
/// `buf` must have room for `max_nr` records. `timeout` must be null or point to a
/// [`kernel_timespec`], with `KEVENT_FLAGS_EXT_ARG` to a `kevent_wait_arg` whose addresses are valid.
pub unsafe fn kevent_get_events(
    fd: c_int,
    min_nr: c_uint,
    max_nr: c_uint,
    timeout: *const c_void,
    buf: *mut ukevent,
    flags: c_uint,
) -> c_int {
    // SAFETY: See above.
    unsafe {
        libc::syscall(
            SYS_KEVENT_GET_EVENTS,
            fd,
            min_nr,
            max_nr,
            timeout,
            buf,
            flags,
        ) as c_int
    }
}

/// Waits until the head of the ring has moved from `old_uidx`.
///
/// # Safety
///
/// `timeout` is as for [`kevent_get_events`].
pub unsafe fn kevent_wait(
    fd: c_int,
    num: c_uint,
    old_uidx: c_uint,
    timeout: *const c_void,
    flags: c_uint,
) -> c_int {
    // SAFETY: See above.
    unsafe { libc::syscall(SYS_KEVENT_WAIT, fd, num, old_uidx, timeout, flags) as c_int }
}

/// Frees the slots before the position `over << 32 | new_idx`.
///
/// # Safety
///
/// Nobody may use an entry of owner 0 that is freed.
pub unsafe fn kevent_commit(fd: c_int, new_idx: c_uint, over: c_uint) -> c_int {
    // SAFETY: See above.
    unsafe { libc::syscall(SYS_KEVENT_COMMIT, fd, new_idx, over) as c_int }
}
