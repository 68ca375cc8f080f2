// SPDX-License-Identifier: GPL-2.0

//! Each transition of the protocol and of the state machine, by itself.

#![cfg(not(loom))]

pub use kevent_model::sync;

mod host;
mod unit {
    mod again;
    mod commit;
    mod hostile;
    mod keys;
    mod layout;
    mod registration;
    mod ring;
    mod state;
}
