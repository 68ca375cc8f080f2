// SPDX-License-Identifier: GPL-2.0

//! Files on anonymous inodes, with file operations in Rust.
//!
//! C headers: [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h)

use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::{
        File,
        LocalFile, //
    },
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    str::CStr,
    sync::{
        aref::ARef,
        poll::PollTable, //
    },
    types::ForeignOwnable, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// What a kind of file does.
///
/// The data of a file is made before the file, or by [`FileOperations::open`] for a device node,
/// and dropped when the last reference to the file goes.
///
/// # Examples
///
/// A file that can always be read, of data that anybody finds who has the file:
///
/// ```
/// use kernel::{
///     bindings,
///     fs::{
///         anon_inode::{
///             FileOperations,
///             Operations, //
///         },
///         File, //
///     },
///     mm::virt::VmaNew,
///     prelude::*,
///     seq_file::SeqFile,
///     seq_print,
///     sync::poll::PollTable, //
/// };
///
/// struct Answer;
///
/// impl FileOperations for Answer {
///     const OWNER: Option<&'static ThisModule> = None;
///
///     type Data = KBox<u32>;
///
///     fn open() -> Result<KBox<u32>> {
///         Err(ENODEV)
///     }
///
///     fn poll(_: &u32, _: &File, _: &PollTable<'_>) -> u32 {
///         bindings::POLLIN
///     }
///
///     fn mmap(_: &u32, _: &VmaNew) -> Result {
///         Err(ENODEV)
///     }
///
///     fn show_fdinfo(answer: &u32, m: &SeqFile) {
///         seq_print!(m, "answer:\t{answer}\n");
///     }
/// }
///
/// // SAFETY: It is the value of a static.
/// static ANSWERS: Operations<Answer> = unsafe { Operations::new() };
///
/// let file = ANSWERS.new_file(c"[answer]", KBox::new(42, GFP_KERNEL)?, 0)?;
/// assert_eq!(ANSWERS.data(&file), Some(&42));
/// # Ok::<(), Error>(())
/// ```
pub trait FileOperations: Sized + 'static {
    /// The module that has the operations; nothing if that is the kernel.
    const OWNER: Option<&'static ThisModule>;

    /// The data of one file.
    type Data: ForeignOwnable + Send + Sync;

    /// Makes the data of a file that is opened through a device node.
    fn open() -> Result<Self::Data>;

    /// Returns the `POLL*` bits that are true, after registering with `table`.
    fn poll(
        data: <Self::Data as ForeignOwnable>::Borrowed<'_>,
        file: &File,
        table: &PollTable<'_>,
    ) -> u32;

    /// Sets up a new mapping of the file.
    fn mmap(data: <Self::Data as ForeignOwnable>::Borrowed<'_>, vma: &VmaNew) -> Result;

    /// The last reference to the file is gone; the data is dropped next.
    fn release(_data: <Self::Data as ForeignOwnable>::Borrowed<'_>) {}

    /// Writes what `/proc/PID/fdinfo/FD` shows.
    fn show_fdinfo(data: <Self::Data as ForeignOwnable>::Borrowed<'_>, m: &SeqFile);
}

/// The `struct file_operations` of one kind of file.
///
/// Its address is what tells files of this kind from others.
///
/// # Invariants
///
/// Every file with these operations has a `T::Data` in its private data, from the end of
/// `open()` or `new_file()` until `release()`.
#[repr(transparent)]
pub struct Operations<T: FileOperations> {
    table: bindings::file_operations,
    _data: PhantomData<fn() -> T>,
}

// SAFETY: The table is never written.
unsafe impl<T: FileOperations> Sync for Operations<T> {}

impl<T: FileOperations> Operations<T> {
    /// The operations of `T`.
    ///
    /// # Safety
    ///
    /// The result must be the value of a `static`: a constant has no address of its own.
    pub const unsafe fn new() -> Self {
        Operations {
            table: bindings::file_operations {
                owner: match T::OWNER {
                    Some(module) => module.as_ptr(),
                    None => core::ptr::null_mut(),
                },
                open: Some(Self::open),
                release: Some(Self::release),
                poll: Some(Self::poll),
                mmap: Some(Self::mmap),
                show_fdinfo: Some(Self::show_fdinfo),
                llseek: Some(bindings::noop_llseek),
                ..pin_init::zeroed()
            },
            _data: PhantomData,
        }
    }

    /// The table, for a device node.
    pub fn as_ptr(&'static self) -> *const bindings::file_operations {
        &raw const self.table
    }

    /// Makes a file of this kind, with an inode and so a security label of its own.
    ///
    /// `flags` are `O_*`.
    pub fn new_file(&'static self, name: &CStr, data: T::Data, flags: u32) -> Result<ARef<File>> {
        let private = data.into_foreign();
        // SAFETY: The name is a C string, the table is static, and the inode is nobody's.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_create_getfile(
                name.as_char_ptr(),
                self.as_ptr(),
                private,
                flags as c_int,
                core::ptr::null(),
            )
        })
        .inspect_err(|_| {
            // SAFETY: There is no file, so the data is still ours.
            drop(unsafe { T::Data::from_foreign(private) });
        })?;
        // INVARIANT: The private data was set above.
        //
        // SAFETY: The file is ours with one reference, and not yet in any table of descriptors.
        Ok(unsafe { ARef::from_raw(NonNull::new(file.cast()).ok_or(ENOMEM)?) })
    }

    /// The data of `file`, if it is of this kind.
    pub fn data<'a>(
        &'static self,
        file: &'a LocalFile,
    ) -> Option<<T::Data as ForeignOwnable>::Borrowed<'a>> {
        let raw = file.as_ptr();
        // SAFETY: The operations and the private data of an open file do not change.
        let (operations, private) = unsafe { ((*raw).f_op, (*raw).private_data) };
        if operations != self.as_ptr() {
            return None;
        }
        // SAFETY: By the type invariant, and `file` is not released during `'a`.
        Some(unsafe { T::Data::borrow(private) })
    }

    /// # Safety
    ///
    /// The file must be undergoing initialization.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        let open = || {
            // SAFETY: The pointers are valid and for a file being opened.
            to_result(unsafe { bindings::generic_file_open(inode, file) })?;
            let data = T::open()?;
            // INVARIANT: Establishes it.
            //
            // SAFETY: Opening may set the private data.
            unsafe { (*file).private_data = data.into_foreign() };
            Ok(())
        };
        match open() {
            Ok(()) => 0,
            Err(err) => Error::to_errno(err),
        }
    }

    /// # Safety
    ///
    /// The file must be one of this kind that is being released.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: A file that is being released is still valid.
        let private = unsafe { (*file).private_data };
        // SAFETY: By the type invariant.
        T::release(unsafe { T::Data::borrow(private) });
        // SAFETY: By the type invariant; nobody uses the private data any more.
        drop(unsafe { T::Data::from_foreign(private) });
        0
    }

    /// # Safety
    ///
    /// The file must be one of this kind, and `table` null or valid.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table,
    ) -> bindings::__poll_t {
        // SAFETY: The caller passes a valid file, which it holds.
        let (data, table, file) = unsafe {
            (
                T::Data::borrow((*file).private_data),
                PollTable::from_raw(table),
                File::from_raw_file(file),
            )
        };
        T::poll(data, file, &table)
    }

    /// # Safety
    ///
    /// The file must be one of this kind, and `vma` a mapping of it that is being set up.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the type invariant, and the caller passes a vma that is being set up.
        let (data, vma) = unsafe {
            (
                T::Data::borrow((*file).private_data),
                VmaNew::from_raw(vma), //
            )
        };
        match T::mmap(data, vma) {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// The file must be one of this kind, and `m` valid.
    unsafe extern "C" fn show_fdinfo(m: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: By the type invariant, and the caller passes a valid and exclusive `seq_file`.
        let (data, m) = unsafe {
            (
                T::Data::borrow((*file).private_data),
                SeqFile::from_raw(m), //
            )
        };
        T::show_fdinfo(data, m);
    }
}
