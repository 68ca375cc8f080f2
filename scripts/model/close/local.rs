// SPDX-License-Identifier: GPL-2.0

//! Files in Rust: rust/kernel/fs/file.rs.

use crate::bindings;

/// A file.
#[repr(transparent)]
pub struct LocalFile(bindings::file);

impl LocalFile {
    pub unsafe fn from_raw_file<'a>(file: *const bindings::file) -> &'a Self {
        &*file.cast()
    }

    pub fn as_ptr(&self) -> *mut bindings::file {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}
