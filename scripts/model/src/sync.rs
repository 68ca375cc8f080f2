// SPDX-License-Identifier: GPL-2.0

//! What the kernel's `sync` module offers, on the atomics of std or of loom.

pub use std::sync::Arc;

/// The atomics below everything here.
#[cfg(not(loom))]
pub mod primitive {
    pub use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};

    /// A cell, with the methods of loom's.
    #[derive(Debug, Default)]
    pub struct Cell<T>(std::cell::UnsafeCell<T>);

    impl<T> Cell<T> {
        /// A cell.
        pub const fn new(value: T) -> Self {
            Cell(std::cell::UnsafeCell::new(value))
        }

        /// Reads.
        pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        /// Writes.
        pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}

#[cfg(loom)]
pub mod primitive;

pub mod atomic {
    //! Atomics whose orders are types.

    use super::primitive::{AtomicU32, AtomicU64, Ordering as Std};

    /// The order of one access.
    pub trait Ordering {
        /// As a load, or a compare-exchange, takes it.
        const STD: Std;
    }

    /// An order of loads.
    pub trait AcquireOrRelaxed: Ordering {}

    /// An order of stores.
    pub trait ReleaseOrRelaxed: Ordering {}

    macro_rules! orders {
        ($($order:ident $std:ident,)*) => {$(
            #[doc = concat!(stringify!($std), ".")]
            pub struct $order;

            impl Ordering for $order {
                const STD: Std = Std::$std;
            }
        )*};
    }

    orders! {
        Relaxed Relaxed,
        Acquire Acquire,
        Release Release,
        Full SeqCst,
    }

    impl AcquireOrRelaxed for Acquire {}
    impl AcquireOrRelaxed for Relaxed {}
    impl ReleaseOrRelaxed for Release {}
    impl ReleaseOrRelaxed for Relaxed {}

    /// What can be atomic.
    pub trait Primitive: Sized {
        /// The atomic of std or loom.
        type Repr;
    }

    impl Primitive for u32 {
        type Repr = AtomicU32;
    }

    impl Primitive for u64 {
        type Repr = AtomicU64;
    }

    /// An atomic integer.
    pub struct Atomic<T: Primitive>(T::Repr);

    macro_rules! atomics {
        ($($int:ident $repr:ident,)*) => {$(
            impl Atomic<$int> {
                /// An atomic.
                pub fn new(value: $int) -> Self {
                    Atomic($repr::new(value))
                }

                /// The atomic as user space sees it.
                pub fn shared(&self) -> &$repr {
                    &self.0
                }

                /// Reads.
                pub fn load<O: AcquireOrRelaxed>(&self, _: O) -> $int {
                    self.0.load(O::STD)
                }

                /// Writes.
                pub fn store<O: ReleaseOrRelaxed>(&self, value: $int, _: O) {
                    self.0.store(value, O::STD);
                }

                /// Writes `new` over `old`. As in the kernel, a failure has no order.
                pub fn cmpxchg<O: Ordering>(
                    &self,
                    old: $int,
                    new: $int,
                    _: O,
                ) -> Result<$int, $int> {
                    self.0.compare_exchange(old, new, O::STD, Std::Relaxed)
                }
            }
        )*};
    }

    atomics! {
        u32 AtomicU32,
        u64 AtomicU64,
    }
}

pub mod barrier {
    //! Barriers.

    pub use super::atomic::Full;

    /// A full barrier.
    pub fn smp_mb(_: Full) {
        super::primitive::fence(super::primitive::Ordering::SeqCst);
    }
}
