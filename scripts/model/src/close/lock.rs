// SPDX-License-Identifier: GPL-2.0

//! Locks that notice when their memory is freed.

use super::heap;
use loom::sync::{
    Mutex,
    MutexGuard, //
};
use std::{
    mem::ManuallyDrop,
    ops::{
        Deref,
        DerefMut, //
    }, //
};

/// A lock of any kind.
#[derive(Default)]
pub struct Lock<T = ()>(Mutex<T>);

/// A lock that is held.
pub struct Guard<'a, T = ()> {
    lock: &'a Lock<T>,
    guard: ManuallyDrop<MutexGuard<'a, T>>,
}

impl<T> Lock<T> {
    /// A lock.
    pub fn new(value: T) -> Self {
        Lock(Mutex::new(value))
    }

    /// As `spin_lock()` or `mutex_lock()`.
    pub fn lock(&self) -> Guard<'_, T> {
        heap::touch(self);
        let guard = ManuallyDrop::new(self.0.lock().unwrap());
        heap::touch(self);
        Guard { lock: self, guard }
    }
}

impl<T> Drop for Guard<'_, T> {
    /// As `spin_unlock()`: the last access to the lock.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        heap::touch(self.lock);
        // SAFETY: It is not used any more.
        unsafe { ManuallyDrop::drop(&mut self.guard) };
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}
