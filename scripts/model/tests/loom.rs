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
    aab aba aa full counts death sleepers sleepers_and_death four_threads told vacancy touched
    touch_of_an_old_entry held
        freed_behind_the_search younger pending_order cursor get_events remove commit look_and_commit recover adopt
}

mod breaks {
    include!(concat!(env!("OUT_DIR"), "/mutants.rs"));
}

/// Expects that `scenario` fails, with a message that begins with `class`.
fn finds(class: &str, scenario: fn()) {
    let failure = std::panic::catch_unwind(scenario).expect_err("the break was not found");
    let message = failure
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| failure.downcast_ref::<&str>().copied())
        .expect("a message");
    assert!(message.contains(class), "found otherwise: {message}");
}
