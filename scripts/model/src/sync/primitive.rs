// SPDX-License-Identifier: GPL-2.0

//! The atomics below everything here, from loom.
//!
//! Loom reorders two accesses when the later one depends on the last access to the same atomic, of
//! which it keeps one. So it overlooks that a thread's write could come before another's load when
//! the writer has loaded in between: load by A, load by B, compare-exchange by B. That is how every
//! take begins. Here each access is preceded by one to a companion which all depend on, and which
//! orders nothing: a relaxed read-modify-write.

pub use loom::{
    cell::UnsafeCell as Cell,
    sync::atomic::{
        fence,
        Ordering, //
    }, //
};

macro_rules! atomics {
    ($($name:ident $int:ident,)*) => {$(
        /// An atomic integer.
        #[derive(Debug)]
        pub struct $name {
            value: loom::sync::atomic::$name,
            companion: loom::sync::atomic::AtomicU32,
        }

        impl $name {
            /// An atomic.
            pub fn new(value: $int) -> Self {
                $name {
                    value: loom::sync::atomic::$name::new(value),
                    companion: loom::sync::atomic::AtomicU32::new(0),
                }
            }

            fn access(&self) -> &loom::sync::atomic::$name {
                self.companion.fetch_add(1, Ordering::Relaxed);
                &self.value
            }

            /// Reads.
            pub fn load(&self, order: Ordering) -> $int {
                self.access().load(order)
            }

            /// Writes.
            pub fn store(&self, value: $int, order: Ordering) {
                self.access().store(value, order);
            }

            /// Exchanges.
            pub fn swap(&self, value: $int, order: Ordering) -> $int {
                self.access().swap(value, order)
            }

            /// Sets bits.
            pub fn fetch_or(&self, bits: $int, order: Ordering) -> $int {
                self.access().fetch_or(bits, order)
            }

            /// Writes `new` over `old`.
            pub fn compare_exchange(
                &self,
                old: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$int, $int> {
                self.access().compare_exchange(old, new, success, failure)
            }
        }
    )*};
}

atomics! {
    AtomicU32 u32,
    AtomicU64 u64,
    AtomicUsize usize,
}
