// SPDX-License-Identifier: GPL-2.0

//! Files with a poll method. For now these are queues.
//!
//! The registration holds the state of the queue that it watches, not its file: when that is closed
//! for the last time, the registration ends.

use super::{
    injected,
    Source,
    Tie,
    Watch, //
};
use crate::{
    bindings,
    fs::LocalFile,
    kevent::{
        array::accounted,
        event::{
            Event,
            Fired,
            REQ_DISPATCH,
            REQ_ET,
            REQ_EXCLUSIVE,
            REQ_LAST_CHECK,
            REQ_ONESHOT,
            RET_DONE,
            RET_INJECTED, //
        },
        file::{
            is_refused,
            OPERATIONS, //
        },
        nesting::Nested,
        queue::{
            Owner,
            Queue, //
        },
        registration::Handle, //
    },
    prelude::*,
    sync::{
        wait::{
            WaitEntry,
            WakeFn, //
        },
        Arc, //
    }, //
};

/// The source of files.
pub(crate) struct Poll;

const READABLE: u32 = bindings::POLLIN | bindings::POLLRDNORM;

impl Source for Poll {
    fn check(&self, request: &Event) -> Result {
        if request.param != [0; 2] || request.flags & REQ_EXCLUSIVE != 0 {
            return Err(EINVAL);
        }
        // A level would have to be looked at again.
        let edge = REQ_ET | REQ_ONESHOT | REQ_DISPATCH;
        if request.flags & edge == 0 || request.flags & REQ_LAST_CHECK != 0 {
            return Err(EOPNOTSUPP);
        }
        Ok(())
    }

    fn watch(&self, queue: &Arc<Queue>, handle: Handle, request: &Event) -> Result<Option<Watch>> {
        let fd = u32::try_from(request.id).map_err(|_| EBADF)?;
        let file = LocalFile::fget(fd)?;
        let Some(inner) = OPERATIONS.data(&file) else {
            return Err(if is_refused(&file) {
                EINVAL
            } else {
                EOPNOTSUPP
            });
        };
        let inner: Arc<Queue> = inner.into();
        let nested = Nested::new(queue.number, inner.number, request.id)?;
        let above = Above {
            outer: queue.owner(),
            handle,
        };
        let entry = KBox::pin_init(WaitEntry::new(inner, above), accounted())?;
        Ok(Some(Watch::Queue(QueueWatch {
            entry,
            _nested: nested,
        })))
    }

    fn ready(&self, registration: &Event, request: &Event) -> Result<Fired> {
        Ok(Fired {
            mask: injected(registration, request),
            result: RET_DONE | RET_INJECTED,
            ..Fired::default()
        })
    }
}

/// The end of an edge of the graph that is told.
pub(crate) struct Above {
    outer: Owner,
    handle: Handle,
}

/// What ties a registration to a queue.
pub(crate) struct QueueWatch {
    // Dropped first: then nothing fires, and the graph may forget the edge.
    entry: Pin<KBox<WaitEntry<Arc<Queue>, Above>>>,
    _nested: Nested,
}

impl Tie for QueueWatch {
    fn look(&self) {
        if self.entry.head().lock().events.has_events() {
            self.entry.data().wake(READABLE);
        }
    }
}

impl WakeFn for Above {
    fn wake(&self, mask: u32) {
        if mask & bindings::POLLHUP != 0 {
            self.outer.get().end(self.handle);
        } else {
            self.outer.get().report(self.handle, mask, RET_DONE);
        }
    }
}
