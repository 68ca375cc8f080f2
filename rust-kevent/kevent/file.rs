// SPDX-License-Identifier: GPL-2.0

//! The file of a queue.

use super::{
    event::Event,
    memory::RingMemory,
    queue::Queue,
    registration::Table, //
};
use crate::{
    bindings,
    fs::{
        anon_inode::{
            FileOperations,
            Operations, //
        },
        file::FileDescriptorReservation,
        File, //
    },
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        poll::PollTable,
        Arc,
        ArcBorrow, //
    }, //
};

/// What tells the files of queues from others.
// SAFETY: It is a `static`.
pub(crate) static OPERATIONS: Operations<Queue> = unsafe { Operations::new() };

impl FileOperations for Queue {
    const OWNER: Option<&'static ThisModule> = None;

    type Data = Arc<Queue>;

    fn open() -> Result<Arc<Queue>> {
        Queue::new(0)
    }

    fn poll(queue: ArcBorrow<'_, Queue>, file: &File, table: &PollTable<'_>) -> u32 {
        table.register_wait(file, queue.pollers());
        // Under the lock of those who wake: they see the entry above, or this sees their event.
        if queue.is_readable() {
            bindings::POLLIN | bindings::POLLRDNORM
        } else {
            0
        }
    }

    fn mmap(queue: ArcBorrow<'_, Queue>, vma: &VmaNew) -> Result {
        queue.memory.as_ref().ok_or(EINVAL)?.map(vma)
    }

    fn release(queue: ArcBorrow<'_, Queue>) {
        queue.release();
    }

    fn show_fdinfo(queue: ArcBorrow<'_, Queue>, m: &SeqFile) {
        let _control = queue.control.lock();
        let (slots, head, pending, registrations, places) = {
            let mut inner = queue.lock();
            let places = inner.events.table().used();
            let ring = inner.events.ring();
            (
                ring.map_or(0, |ring| ring.size()),
                ring.map_or(0, |ring| ring.head()),
                inner.events.pending(),
                inner.events.alive(),
                places,
            )
        };
        seq_print!(
            m,
            "kevent slots:{} head:{} pending:{} registrations:{}\n",
            slots,
            head,
            pending,
            registrations
        );
        for place in 0..places {
            if m.has_overflowed() {
                // It is read again, with more room.
                break;
            }
            let Some(Event {
                kind,
                id,
                mask,
                flags,
                ..
            }) = queue
                .lock()
                .events
                .template(Table::<()>::nth(place))
                .copied()
            else {
                continue;
            };
            seq_print!(m, "type:{kind} id:{id:x} event:{mask:x} flags:{flags:x}\n");
        }
    }
}

/// `kevent_init()`: makes a queue, and a descriptor of it. The ring, if there is one, appears at
/// `address` unless that is 0.
pub(crate) fn init(address: usize, slots: u32, flags: u32) -> Result<u32> {
    let known = bindings::KEVENT_INIT_CLOEXEC
        | bindings::KEVENT_INIT_NONBLOCK
        | bindings::KEVENT_INIT_QUERY;
    if flags & !known != 0 {
        return Err(EINVAL);
    }
    if flags & bindings::KEVENT_INIT_QUERY != 0 {
        if flags != bindings::KEVENT_INIT_QUERY || address != 0 || slots != 0 {
            return Err(EINVAL);
        }
        return Ok(bindings::KEVENT_ABI | super::source::available().wrapping_shl(16));
    }
    if address % crate::page::PAGE_SIZE != 0 || (address != 0 && slots == 0) {
        return Err(EINVAL);
    }

    let mut file_flags = bindings::O_RDWR;
    let mut fd_flags = 0;
    if flags & bindings::KEVENT_INIT_NONBLOCK != 0 {
        file_flags |= bindings::O_NONBLOCK;
    }
    if flags & bindings::KEVENT_INIT_CLOEXEC != 0 {
        fd_flags |= bindings::O_CLOEXEC;
    }
    let queue = Queue::new(slots)?;
    let fd = FileDescriptorReservation::get_unused_fd_flags(fd_flags)?;
    let file = OPERATIONS.new_file(c"[kevent]", queue, file_flags)?;
    if address != 0 {
        // Last of what can fail: the mapping cannot be taken back.
        RingMemory::map_at(&file, address, slots)?;
    }
    let number = fd.reserved_fd();
    fd.fd_install(file);
    Ok(number)
}
