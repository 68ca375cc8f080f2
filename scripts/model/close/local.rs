// SPDX-License-Identifier: GPL-2.0

//! Files in Rust: rust/kernel/fs/file.rs.

use crate::bindings;
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
