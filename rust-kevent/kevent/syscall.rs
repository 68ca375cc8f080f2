// SPDX-License-Identifier: GPL-2.0

//! What the system calls in `fs/kevent.c` call.

use super::{
    commit,
    ctl,
    deadline::Timeout,
    file::{
        self,
        OPERATIONS, //
    },
    get,
    queue::Queue,
    record::Buffer,
    source,
    trace,
    wait, //
};
use crate::{
    bindings,
    fs::File,
    macros::export,
    prelude::*,
    sync::ArcBorrow,
    uaccess::UserPtr, //
};

/// The result of a system call.
fn returned<T: Into<i64>>(result: Result<T>) -> c_long {
    match result {
        Ok(value) => value.into() as c_long,
        Err(error) => error.to_errno() as c_long,
    }
}

/// Runs `call` on the queue of a file.
///
/// # Safety
///
/// `file` must be an open file that the caller holds.
unsafe fn with_queue<T: Into<i64>>(
    file: *mut bindings::file,
    call: impl FnOnce(ArcBorrow<'_, Queue>, &File) -> Result<T>,
) -> c_long {
    // SAFETY: By the safety requirement; system calls here do not use `fdget_pos()`.
    let file = unsafe { File::from_raw_file(file) };
    returned(match OPERATIONS.data(file) {
        Some(queue) => call(queue, file),
        None => Err(EINVAL),
    })
}

/// Prepares everything. Returns the operations of a queue's file, for the device node.
///
/// # Safety
///
/// Must be called once, before there is a queue.
#[export]
unsafe extern "C" fn kevent_setup() -> *const bindings::file_operations {
    // SAFETY: By the safety requirement.
    unsafe { source::init() };
    OPERATIONS.as_ptr()
}

/// `kevent_init()`.
#[export]
extern "C" fn kevent_do_init(ring: usize, ring_size: c_uint, flags: c_uint) -> c_long {
    returned(file::init(ring, ring_size, flags))
}

/// `kevent_ctl()`.
///
/// # Safety
///
/// `file` must be an open file that the caller holds.
#[export]
unsafe extern "C" fn kevent_do_ctl(
    file: *mut bindings::file,
    cmd: c_uint,
    num: c_uint,
    arg: *mut c_void,
) -> c_long {
    // SAFETY: By the safety requirement.
    unsafe {
        with_queue(file, |queue, _| {
            let done = ctl::ctl(&queue.into(), cmd, num, UserPtr::from_ptr(arg))?;
            Ok(done as i64)
        })
    }
}

/// `kevent_get_events()`.
///
/// # Safety
///
/// `file` must be an open file that the caller holds, and `timeout` valid or null, and nobody
/// else's.
#[export]
unsafe extern "C" fn kevent_do_get_events(
    file: *mut bindings::file,
    min_nr: c_uint,
    max_nr: c_uint,
    timeout: *mut bindings::kevent_timeout,
    buf: *mut c_void,
) -> c_long {
    // SAFETY: By the safety requirement.
    let timeout = unsafe { timeout.as_mut() };
    // SAFETY: By the safety requirement.
    unsafe {
        with_queue(file, |queue, file| {
            let timeout = Timeout::new(file, timeout);
            let buffer = Buffer::new(UserPtr::from_ptr(buf));
            let got = get::get_events(&queue, min_nr, max_nr, timeout, buffer);
            trace::get(&queue, min_nr, max_nr, returned(got));
            got
        })
    }
}

/// `kevent_wait()`.
///
/// # Safety
///
/// `file` must be an open file that the caller holds, and `timeout` valid or null, and nobody
/// else's.
#[export]
unsafe extern "C" fn kevent_do_wait(
    file: *mut bindings::file,
    num: c_uint,
    old_uidx: c_uint,
    timeout: *mut bindings::kevent_timeout,
) -> c_long {
    // SAFETY: By the safety requirement.
    let timeout = unsafe { timeout.as_mut() };
    // SAFETY: By the safety requirement.
    unsafe {
        with_queue(file, |queue, file| {
            let (deadline, batch) = Timeout::new(file, timeout).start();
            let request = wait::Request {
                num,
                old: old_uidx,
                deadline,
                batch,
            };
            let past = wait::wait(&queue, file, &request);
            trace::wait(&queue, num, old_uidx, returned(past));
            past
        })
    }
}

/// `kevent_commit()`.
///
/// # Safety
///
/// `file` must be an open file that the caller holds.
#[export]
unsafe extern "C" fn kevent_do_commit(
    file: *mut bindings::file,
    new_idx: c_uint,
    over: c_uint,
) -> c_long {
    // SAFETY: By the safety requirement.
    unsafe {
        with_queue(file, |queue, _| {
            let freed = commit::commit(&queue, new_idx, over);
            trace::commit(&queue, new_idx, over, returned(freed));
            freed
        })
    }
}
