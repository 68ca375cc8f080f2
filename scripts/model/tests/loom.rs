// SPDX-License-Identifier: GPL-2.0

//! Every interleaving of the kernel's side and its consumers; see the crate's documentation.

#![cfg(loom)]

pub use kevent_model::sync;

use kevent_model::kevent::scenario;

macro_rules! holds {
    ($($scenario:ident)*) => {
        mod holds {
            $(
                #[test]
                fn $scenario() {
                    super::scenario::$scenario();
                }
            )*
        }
    };
}

holds! {
    aab aba aa full counts death sleepers sleepers_and_death four_threads told held
    freed_behind_the_search cursor get_events remove commit look_and_commit recover adopt
}
