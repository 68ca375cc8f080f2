// SPDX-License-Identifier: GPL-2.0

//! The kernel, as the included sources see it from `crate::`.

pub use kevent_model::{
    close::kernel::{
        alloc,
        interrupt,
        prelude, //
    },
    container_of, //
};

pub mod bindings {
    pub use super::c::{
        eventpoll::*,
        file::*,
        wait::*, //
    };
}

/// What is C.
pub mod c {
    pub mod eventpoll;
    pub mod file;
    pub mod wait;
}

pub mod error {
    pub use kevent_model::close::kernel::to_result;
}

pub mod types {
    pub use kevent_model::close::kernel::{
        ForeignOwnable,
        Opaque, //
    };
}

pub mod sync {
    pub mod wait;

    pub mod poll {
        pub use super::super::bindings::POLLFREE;
    }

    pub use kevent_model::close::{
        kernel::{
            atomic,
            Arc,
            UniqueArc, //
        },
        lock::Lock as SpinLock,
        rcu, //
    };
}

pub mod fs {
    pub mod local;
    pub mod poll;
    pub mod watch;

    pub use local::LocalFile;
}

pub mod kevent {
    pub mod queue;
    pub mod source;
}

pub mod litmus;
pub mod scenario;
