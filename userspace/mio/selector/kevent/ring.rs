// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The memory of a ring, `struct kevent_ring`. All of it is read and written as atomics.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::call::Record;
use super::consumer::Mapping;

#[repr(C)]
struct Header {
    position: AtomicU64,
    slots: AtomicU32,
    pending: AtomicU32,
    reserved: [AtomicU64; 14],
}

/// `struct ukevent` of an event.
#[repr(C, align(64))]
struct Slot {
    id: AtomicU64,
    kind: AtomicU32,
    asked: AtomicU32,
    flags: AtomicU32,
    error: AtomicU32,
    data: AtomicU64,
    user: AtomicU64,
    param: [AtomicU64; 2],
    word: AtomicU64,
}

const _: () = assert!(size_of::<Header>() == 128 && size_of::<Slot>() == 64);
const _: () = assert!(size_of::<Record>() == size_of::<Slot>());

/// What of an event is used.
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) kind: u32,
    pub(super) asked: u32,
    pub(super) user: u64,
}

#[derive(Debug)]
pub(super) struct Ring {
    header: NonNull<Header>,
    shift: u32,
    bytes: usize,
}

// SAFETY: It refers to memory of its own, all of which is atomics.
unsafe impl Send for Ring {}
// SAFETY: See above.
unsafe impl Sync for Ring {}

impl Ring {
    /// Maps the ring of a queue, which has a power of two of `slots`.
    pub(super) fn map(queue: BorrowedFd<'_>, slots: u32) -> io::Result<Ring> {
        assert!(slots.is_power_of_two());
        let page = syscall!(sysconf(libc::_SC_PAGESIZE))? as usize;
        let bytes = size_of::<Header>() + slots as usize * size_of::<Slot>();
        let bytes = (bytes + page - 1) & !(page - 1);
        // SAFETY: The kernel chooses an address where nothing is.
        let address = unsafe {
            libc::mmap(
                null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                queue.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Ring {
            header: NonNull::new(address.cast()).expect("the kernel maps nothing at 0 unasked"),
            shift: slots.trailing_zeros(),
            bytes,
        })
    }

    fn header(&self) -> &Header {
        // SAFETY: It is mapped as long as `self` lives, aligned to a page, and atomics.
        unsafe { self.header.as_ref() }
    }

    fn slot(&self, position: u64) -> &Slot {
        let index = position & ((1 << self.shift) - 1);
        // SAFETY: As many slots as `shift` says stand after the header, all mapped and atomics.
        unsafe { &*self.header.as_ptr().add(1).cast::<Slot>().add(index as usize) }
    }
}

impl Mapping for Ring {
    type Payload = Entry;

    fn shift(&self) -> u32 {
        self.shift
    }

    fn position(&self) -> &AtomicU64 {
        &self.header().position
    }

    fn pending(&self) -> &AtomicU32 {
        &self.header().pending
    }

    fn word(&self, position: u64) -> &AtomicU64 {
        &self.slot(position).word
    }

    fn data(&self, position: u64) -> &AtomicU64 {
        &self.slot(position).data
    }

    unsafe fn payload(&self, position: u64) -> Entry {
        let slot = self.slot(position);
        Entry {
            id: slot.id.load(Relaxed),
            kind: slot.kind.load(Relaxed),
            asked: slot.asked.load(Relaxed),
            user: slot.user.load(Relaxed),
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: It was mapped with this length, and nobody has a reference any more.
        unsafe { libc::munmap(self.header.as_ptr().cast(), self.bytes) };
    }
}
