// SPDX-License-Identifier: GPL-2.0

//! Files in Rust: rust/kernel/fs/file.rs and rust-kevent/fs/poll.rs.

use crate::{
    bindings,
    prelude::*,
    sync::wait::RawWaitEntry, //
};
use std::{
    ops::Deref,
    ptr::NonNull, //
};

/// A file.
#[repr(transparent)]
pub struct LocalFile(bindings::file);

/// A reference to one.
pub struct ARef<T>(NonNull<T>);

impl LocalFile {
    pub unsafe fn from_raw_file<'a>(file: *const bindings::file) -> &'a Self {
        &*file.cast()
    }

    pub fn as_ptr(&self) -> *mut bindings::file {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// `vfs_poll()` with a table that registers nobody.
    pub fn poll(&self, _mask: u32) -> u32 {
        unsafe { bindings::file::of(self.as_ptr()) };
        1
    }

    /// The same of a file with one wait queue, which is not ready.
    pub unsafe fn poll_wait<F>(
        &self,
        _mask: u32,
        exclusive: bool,
        first: Pin<&RawWaitEntry>,
        _more: F,
    ) -> Result<u32>
    where
        F: FnMut(*mut bindings::wait_queue_head) -> Result,
    {
        let file = unsafe { bindings::file::of(self.as_ptr()) };
        match file.behind() {
            bindings::Behind::Queue(head) | bindings::Behind::Lent(head) => {
                unsafe { first.add(head, exclusive) };
            }
            bindings::Behind::Epoll(_) => unreachable!(),
        }
        Ok(0)
    }
}

impl ARef<LocalFile> {
    pub unsafe fn from_raw(file: NonNull<LocalFile>) -> Self {
        ARef(file)
    }
}

impl Deref for ARef<LocalFile> {
    type Target = LocalFile;

    fn deref(&self) -> &LocalFile {
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for ARef<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            unsafe { bindings::fput(self.0.as_ptr().cast()) };
        }
    }
}
