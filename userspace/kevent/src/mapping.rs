// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The mapped memory of a ring. With `call.rs`, all that is unsafe about it.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::event::Event;
use crate::protocol::consumer;

/// The header, `struct kevent_ring`.
#[repr(C)]
struct Header {
    position: AtomicU64,
    slots: AtomicU32,
    pending: AtomicU32,
    reserved: [AtomicU64; 6],
    /// For programs; this crate does not use it.
    shared: [AtomicU64; 8],
}

const _: () = {
    use kevent_sys::kevent_ring;
    use std::mem::offset_of;
    assert!(size_of::<Header>() == offset_of!(kevent_ring, event));
    assert!(offset_of!(Header, slots) == offset_of!(kevent_ring, ring_slots));
    assert!(offset_of!(Header, pending) == offset_of!(kevent_ring, ring_pending));
    assert!(offset_of!(Header, shared) == offset_of!(kevent_ring, shared));
};

/// A ring in memory. Everything in it is read and written as atomics, so that nobody who shares it
/// can do worse than confuse.
#[derive(Debug)]
pub(crate) struct Mapping {
    header: NonNull<Header>,
    /// Of a power of two of slots.
    shift: u32,
    bytes: usize,
}

// SAFETY: It refers to memory of its own, all of which is atomics.
unsafe impl Send for Mapping {}
// SAFETY: See above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the ring of a queue, which has a power of two of `slots`.
    pub(crate) fn new(queue: BorrowedFd<'_>, slots: u32) -> io::Result<Mapping> {
        if !slots.is_power_of_two() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Mapping::map(slots, libc::MAP_SHARED, queue.as_raw_fd())
    }

    fn map(slots: u32, flags: c_int, queue: RawFd) -> io::Result<Mapping> {
        // SAFETY: It asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let events = slots as usize * size_of::<Event>();
        let bytes = (size_of::<Header>() + events).next_multiple_of(page);
        const ACCESS: c_int = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: The kernel chooses an address where nothing is.
        let address = unsafe { libc::mmap(null_mut(), bytes, ACCESS, flags, queue, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let header = NonNull::new(address.cast()).expect("the kernel maps nothing at 0 unasked");
        Ok(Mapping {
            header,
            shift: slots.trailing_zeros(),
            bytes,
        })
    }

    /// Memory of a ring that no kernel fills.
    #[cfg(test)]
    pub(crate) fn private(slots: u32) -> io::Result<Mapping> {
        assert!(slots.is_power_of_two());
        Mapping::map(slots, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    fn header(&self) -> &Header {
        // SAFETY: It is mapped as long as `self` lives, aligned to a page, and atomics.
        unsafe { self.header.as_ref() }
    }

    /// The slot of a position.
    pub(crate) fn event(&self, position: u64) -> &Event {
        let slot = position & ((1 << self.shift) - 1);
        // SAFETY: As many slots as `shift` says stand after the header, all mapped and atomics.
        unsafe {
            let first = self.header.add(1).cast::<Event>();
            first.add(slot as usize).as_ref()
        }
    }
}

impl consumer::Mapping for Mapping {
    type Payload = ();

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
        &self.event(position).word
    }

    fn data(&self, position: u64) -> &AtomicU64 {
        &self.event(position).data
    }

    // Read in place, see `Event`.
    unsafe fn payload(&self, _: u64) {}
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: It was mapped with this length, and nobody has a reference any more.
        unsafe { libc::munmap(self.header.as_ptr().cast(), self.bytes) };
    }
}
