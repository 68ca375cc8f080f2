// SPDX-License-Identifier: GPL-2.0

//! Tracepoints. A queue shows as a number that counts queues from boot.

// Arguments of what `declare_trace!` makes are plain variables.
#![allow(clippy::macro_metavars_in_unsafe)]

use super::{
    event::Event,
    queue::Queue, //
};
#[cfg(CONFIG_TRACEPOINTS)]
use crate::{
    bindings,
    jump_label::static_branch_unlikely, //
};
use crate::{
    prelude::*,
    tracepoint::declare_trace, //
};

declare_trace! {
    /// # Safety
    ///
    /// None: all arguments are numbers.
    unsafe fn kevent_add(queue: u64, kind: u32, id: u64, mask: u32, flags: u32);
    /// # Safety
    ///
    /// None: all arguments are numbers.
    unsafe fn kevent_remove(queue: u64, kind: u32, id: u64, outstanding: bool);
    /// # Safety
    ///
    /// None: all arguments are numbers.
    unsafe fn kevent_fire(queue: u64, mask: u32, posted: bool);
    /// # Safety
    ///
    /// None: all arguments are numbers.
    unsafe fn kevent_get(queue: u64, min_nr: u32, max_nr: u32, ret: c_long);
    /// # Safety
    ///
    /// None: all arguments are numbers.
    unsafe fn kevent_wait(queue: u64, num: u32, old_uidx: u32, ret: c_long);
    /// # Safety
    ///
    /// None: all arguments are numbers.
    unsafe fn kevent_commit(queue: u64, index: u32, over: u32, ret: c_long);
}

/// A registration begins, or is changed.
pub(crate) fn add(queue: &Queue, request: &Event) {
    // SAFETY: All arguments are numbers.
    unsafe {
        kevent_add(
            queue.number,
            request.kind,
            request.id,
            request.mask,
            request.flags,
        )
    };
}

/// A registration ends.
pub(crate) fn remove(queue: &Queue, request: &Event, outstanding: bool) {
    // SAFETY: All arguments are numbers.
    unsafe { kevent_remove(queue.number, request.kind, request.id, outstanding) };
}

/// A source reports; `posted` unless it went into what is there already.
pub(crate) fn fire(queue: &Queue, mask: u32, posted: bool) {
    // SAFETY: All arguments are numbers.
    unsafe { kevent_fire(queue.number, mask, posted) };
}

/// Whether somebody traces what sources report.
#[cfg_attr(
    not(CONFIG_KEVENT_FILE),
    expect(dead_code, reason = "only files fire one by one")
)]
#[inline(always)]
pub(crate) fn is_fire_traced() -> bool {
    #[cfg(CONFIG_TRACEPOINTS)]
    // SAFETY: It is always okay to query the static key of a tracepoint.
    let traced = unsafe {
        static_branch_unlikely!(
            bindings::__tracepoint_kevent_fire,
            bindings::tracepoint,
            key
        )
    };
    #[cfg(not(CONFIG_TRACEPOINTS))]
    let traced = false;
    traced
}

/// `kevent_get_events()` returns.
pub(crate) fn get(queue: &Queue, min_nr: u32, max_nr: u32, ret: c_long) {
    // SAFETY: All arguments are numbers.
    unsafe { kevent_get(queue.number, min_nr, max_nr, ret) };
}

/// `kevent_wait()` returns.
pub(crate) fn wait(queue: &Queue, num: u32, old_uidx: u32, ret: c_long) {
    // SAFETY: All arguments are numbers.
    unsafe { kevent_wait(queue.number, num, old_uidx, ret) };
}

/// `kevent_commit()` returns.
pub(crate) fn commit(queue: &Queue, index: u32, over: u32, ret: c_long) {
    // SAFETY: All arguments are numbers.
    unsafe { kevent_commit(queue.number, index, over, ret) };
}
