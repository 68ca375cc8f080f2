// SPDX-License-Identifier: GPL-2.0

//! What the kernel crate offers, as far as the included sources use it.

use super::heap;
use loom::sync::atomic::{
    fence,
    AtomicUsize,
    Ordering, //
};
use std::{
    cell::UnsafeCell,
    convert::Infallible,
    mem::{
        offset_of,
        MaybeUninit, //
    },
    ops::{
        Deref,
        DerefMut, //
    },
    pin::Pin,
    ptr::NonNull, //
};

/// What sources have by `crate::prelude::*`.
pub mod prelude {
    /// As the kernel has it.
    #[allow(non_camel_case_types)]
    pub type c_ulong = usize;

    pub use super::{
        code::*,
        Error,
        KBox,
        KVec,
        Now,
        PinInit,
        PinnedDrop,
        Result, //
    };
    pub use crate::pin_init;
    pub use std::{
        ffi::{
            c_int,
            c_uint,
            c_void, //
        },
        pin::Pin, //
    };
}

/// An errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(pub i32);

/// A result.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Errnos.
#[allow(missing_docs)]
pub mod code {
    use super::Error;

    pub const EPERM: Error = Error(-1);
    pub const ENOENT: Error = Error(-2);
    pub const EBADF: Error = Error(-9);
    pub const ENOMEM: Error = Error(-12);
    pub const EBUSY: Error = Error(-16);
    pub const EEXIST: Error = Error(-17);
    pub const EINVAL: Error = Error(-22);
    pub const ENOSPC: Error = Error(-28);
    pub const EOPNOTSUPP: Error = Error(-95);
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The result of a C function.
pub fn to_result(result: i32) -> Result {
    match result {
        0 => Ok(()),
        error => Err(Error(error)),
    }
}

/// As the kernel's.
#[macro_export]
macro_rules! container_of {
    ($pointer:expr, $container:ty, $field:ident) => {
        $pointer
            .byte_sub(::core::mem::offset_of!($container, $field))
            .cast::<$container>()
    };
}

/// What is made in place there is made and moved here: nothing has been told its address.
#[macro_export]
macro_rules! pin_init {
    ($made:expr) => {
        $crate::close::kernel::Now($made)
    };
}

/// An initializer.
pub trait PinInit<T, E = Infallible> {
    /// What it makes.
    fn make(self) -> T;
}

/// As the kernel's, of what has no destructor to be told of.
#[macro_export]
macro_rules! new_spinlock {
    ($made:expr) => {
        $crate::close::kernel::Now($crate::close::lock::Lock::new($made))
    };
}

/// One that has done its work.
pub struct Now<T>(pub T);

impl<T> PinInit<T> for Now<T> {
    fn make(self) -> T {
        self.0
    }
}

/// A destructor.
pub trait PinnedDrop {
    /// Called once.
    fn drop(self: Pin<&mut Self>);
}

/// A C object.
#[repr(transparent)]
pub struct Opaque<T>(UnsafeCell<T>);

impl<T> Opaque<T> {
    /// An object.
    pub fn new(value: T) -> Self {
        Opaque(UnsafeCell::new(value))
    }

    /// Where it is.
    pub fn get(&self) -> *mut T {
        heap::touch(self);
        self.0.get()
    }

    /// Where it is, by a pointer to all of it.
    pub fn cast_into(this: *const Self) -> *mut T {
        heap::touch(this);
        UnsafeCell::raw_get(this.cast())
    }

    /// The opposite.
    pub fn cast_from(this: *const T) -> *const Self {
        this.cast()
    }
}

/// A counted object.
pub struct Arc<T>(NonNull<Counted<T>>);

#[repr(C)]
struct Counted<T> {
    count: AtomicUsize,
    data: T,
}

// SAFETY: As std's.
unsafe impl<T: Send + Sync> Send for Arc<T> {}
// SAFETY: As std's.
unsafe impl<T: Send + Sync> Sync for Arc<T> {}

impl<T> Arc<T> {
    /// An object.
    pub fn new(data: T, _flags: ()) -> Result<Self> {
        Self::named(heap::name::<T>(), data)
    }

    fn named(name: &'static str, data: T) -> Result<Self> {
        let count = AtomicUsize::new(1);
        let counted = heap::alloc(name, Counted { count, data });
        Ok(Arc(NonNull::new(counted).ok_or(code::ENOMEM)?))
    }

    fn counted(&self) -> &Counted<T> {
        heap::touch(self.0.as_ptr());
        // SAFETY: The memory stays until the end of the execution.
        unsafe { self.0.as_ref() }
    }

    /// A pointer to it.
    pub fn as_ptr(this: &Self) -> *const T {
        // SAFETY: It is in one allocation.
        unsafe { &raw const (*this.0.as_ptr()).data }
    }

    /// Its reference.
    pub fn into_raw(this: Self) -> *const T {
        let data = Self::as_ptr(&this);
        std::mem::forget(this);
        data
    }

    /// The opposite.
    ///
    /// # Safety
    ///
    /// It was made so.
    pub unsafe fn from_raw(data: *const T) -> Self {
        // SAFETY: By the safety requirement.
        let counted = unsafe { data.byte_sub(offset_of!(Counted<T>, data)) };
        Arc(NonNull::new(counted.cast_mut().cast()).expect("no null"))
    }

    /// Whether they are one.
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        this.0 == other.0
    }

    /// Takes one reference away: whether it was the last.
    fn put(&self) -> bool {
        let before = self.counted().count.fetch_sub(1, Ordering::Release);
        assert!(before != 0, "freed: more references dropped than taken");
        if before == 1 {
            // What the kernel has by a control dependency.
            fence(Ordering::Acquire);
        }
        before == 1
    }

    /// The only reference, or none.
    pub fn into_unique_or_drop(this: Self) -> Option<Pin<UniqueArc<T>>> {
        let last = this.put();
        if last {
            this.counted().count.store(1, Ordering::Relaxed);
        }
        let this = std::mem::ManuallyDrop::new(this);
        // SAFETY: It does not move.
        last.then(|| unsafe { Pin::new_unchecked(UniqueArc(Arc(this.0))) })
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        let before = self.counted().count.fetch_add(1, Ordering::Relaxed);
        assert!(before != 0, "freed: a reference taken of what has none");
        Arc(self.0)
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.counted().data
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() && self.put() {
            let counted = self.0.as_ptr();
            // SAFETY: Nobody has it.
            unsafe { std::ptr::drop_in_place(&raw mut (*counted).data) };
            heap::free(counted);
        }
    }
}

impl<T> From<Pin<UniqueArc<T>>> for Arc<T> {
    fn from(unique: Pin<UniqueArc<T>>) -> Self {
        // SAFETY: It does not move.
        unsafe { Pin::into_inner_unchecked(unique) }.0
    }
}

/// The only reference.
pub struct UniqueArc<T>(Arc<T>);

impl<T> UniqueArc<T> {
    /// Room for one.
    pub fn new_uninit(_flags: ()) -> Result<UniqueArc<MaybeUninit<T>>> {
        let place = MaybeUninit::uninit();
        Ok(UniqueArc(Arc::named(heap::name::<T>(), place)?))
    }
}

impl<T> UniqueArc<MaybeUninit<T>> {
    /// Makes it.
    pub fn pin_init_with(
        self,
        init: impl PinInit<T>,
    ) -> std::result::Result<Pin<UniqueArc<T>>, Infallible> {
        let counted = self.0 .0.cast::<Counted<T>>();
        std::mem::forget(self);
        // SAFETY: There is room for it.
        unsafe { (&raw mut (*counted.as_ptr()).data).write(init.make()) };
        // SAFETY: It does not move.
        Ok(unsafe { Pin::new_unchecked(UniqueArc(Arc(counted))) })
    }
}

impl<T> Deref for UniqueArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for UniqueArc<T> {
    fn deref_mut(&mut self) -> &mut T {
        let _ = &*self.0;
        // SAFETY: There is no other reference.
        unsafe { &mut (*self.0 .0.as_ptr()).data }
    }
}

/// A box.
pub struct KBox<T>(NonNull<T>);

// SAFETY: As std's.
unsafe impl<T: Send> Send for KBox<T> {}
// SAFETY: As std's.
unsafe impl<T: Sync> Sync for KBox<T> {}

impl<T> KBox<T> {
    /// A box.
    pub fn pin_init(init: impl PinInit<T>, _flags: ()) -> Result<Pin<Self>> {
        let place = heap::alloc(heap::name::<T>(), init.make());
        // SAFETY: It does not move.
        Ok(unsafe { Pin::new_unchecked(KBox(NonNull::new(place).ok_or(code::ENOMEM)?)) })
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        heap::touch(self.0.as_ptr());
        // SAFETY: It is ours, and its memory stays.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        heap::touch(self.0.as_ptr());
        // SAFETY: As above.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for KBox<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: It is ours.
            unsafe { std::ptr::drop_in_place(self.0.as_ptr()) };
            heap::free(self.0.as_ptr());
        }
    }
}

/// A vector.
pub struct KVec<T>(Vec<T>);

impl<T> KVec<T> {
    /// An empty one.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        KVec(Vec::new())
    }

    /// One element more.
    pub fn push(&mut self, element: T, _flags: ()) -> Result {
        self.0.push(element);
        Ok(())
    }

    /// The last element.
    pub fn last(&self) -> Option<&T> {
        self.0.last()
    }
}

/// Allocation.
pub mod alloc {
    /// How.
    pub type Flags = ();
}

/// What boxes can.
pub trait ForeignOwnable: Sized {
    /// What its pointers are a multiple of.
    const FOREIGN_ALIGN: usize;

    /// To C.
    fn into_foreign(self) -> *mut std::ffi::c_void;

    /// The opposite.
    ///
    /// # Safety
    ///
    /// It was made so.
    unsafe fn from_foreign(pointer: *mut std::ffi::c_void) -> Self;

    /// What it would be.
    type Borrowed<'a>
    where
        Self: 'a;

    /// A look at it.
    ///
    /// # Safety
    ///
    /// It was made so.
    unsafe fn borrow<'a>(pointer: *mut std::ffi::c_void) -> Self::Borrowed<'a>
    where
        Self: 'a;
}

impl<T> ForeignOwnable for Pin<KBox<T>> {
    const FOREIGN_ALIGN: usize = align_of::<T>();

    fn into_foreign(self) -> *mut std::ffi::c_void {
        // SAFETY: It does not move.
        let this = std::mem::ManuallyDrop::new(unsafe { Pin::into_inner_unchecked(self) });
        this.0.as_ptr().cast()
    }

    unsafe fn from_foreign(pointer: *mut std::ffi::c_void) -> Self {
        // SAFETY: By the safety requirement.
        unsafe { Pin::new_unchecked(KBox(NonNull::new_unchecked(pointer.cast()))) }
    }

    type Borrowed<'a>
        = Pin<&'a T>
    where
        T: 'a;

    unsafe fn borrow<'a>(pointer: *mut std::ffi::c_void) -> Pin<&'a T>
    where
        T: 'a,
    {
        heap::touch(pointer);
        // SAFETY: By the safety requirement.
        unsafe { Pin::new_unchecked(&*pointer.cast()) }
    }
}

/// Interrupts.
pub mod interrupt {
    /// That they are off.
    pub struct LocalInterruptDisabled(());

    impl LocalInterruptDisabled {
        /// The same, believed.
        ///
        /// # Safety
        ///
        /// None.
        pub unsafe fn assume_disabled<'a>() -> &'a Self {
            &LocalInterruptDisabled(())
        }
    }
}

pub mod atomic {
    //! Atomics that notice when their memory is freed.

    use crate::close::heap;
    pub use crate::sync::atomic::{
        Acquire,
        AcquireOrRelaxed,
        Full,
        Relaxed,
        Release,
        ReleaseOrRelaxed, //
    };
    use crate::sync::{
        atomic::Ordering,
        primitive::AtomicUsize, //
    };
    use std::marker::PhantomData;

    /// An atomic word: a pointer, a number.
    #[repr(transparent)]
    pub struct Atomic<T>(AtomicUsize, PhantomData<T>);

    /// What can be in one.
    pub trait Word: Copy {
        /// As a number.
        fn to(self) -> usize;
        /// The opposite.
        fn from(word: usize) -> Self;
    }

    impl Word for usize {
        fn to(self) -> usize {
            self
        }

        fn from(word: usize) -> Self {
            word
        }
    }

    impl<T> Word for *mut T {
        fn to(self) -> usize {
            self.expose_provenance()
        }

        fn from(word: usize) -> Self {
            std::ptr::with_exposed_provenance_mut(word)
        }
    }

    impl<T: Word> Atomic<T> {
        /// An atomic.
        pub fn new(value: T) -> Self {
            Atomic(AtomicUsize::new(value.to()), PhantomData)
        }

        /// The one that is there.
        ///
        /// # Safety
        ///
        /// It is valid.
        pub unsafe fn from_ptr<'a>(place: *mut Self) -> &'a Self {
            heap::touch(place);
            // SAFETY: By the safety requirement.
            unsafe { &*place }
        }

        /// Reads.
        pub fn load<O: AcquireOrRelaxed>(&self, _: O) -> T {
            heap::touch(self);
            let value = self.0.load(O::STD);
            heap::touch(self);
            T::from(value)
        }

        /// Writes.
        pub fn store<O: ReleaseOrRelaxed>(&self, value: T, _: O) {
            heap::touch(self);
            self.0.store(value.to(), O::STD);
            heap::look(self);
        }

        /// As `try_cmpxchg()`. A failure has no order.
        pub fn try_cmpxchg<O: Ordering>(&self, old: T, new: T, _: O) -> bool {
            let relaxed = crate::sync::primitive::Ordering::Relaxed;
            heap::touch(self);
            let result = self.0.compare_exchange(old.to(), new.to(), O::STD, relaxed);
            heap::look(self);
            result.is_ok()
        }
    }

    impl<T> Default for Atomic<*mut T> {
        fn default() -> Self {
            Self::new(std::ptr::null_mut())
        }
    }

    /// Writes what is there.
    ///
    /// # Safety
    ///
    /// It is valid.
    pub unsafe fn atomic_store<T: Word, O: ReleaseOrRelaxed>(
        place: *mut Atomic<T>,
        value: T,
        order: O,
    ) {
        // SAFETY: By the safety requirement.
        unsafe { (*place).store(value, order) };
    }
}
