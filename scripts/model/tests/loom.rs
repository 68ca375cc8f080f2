// SPDX-License-Identifier: GPL-2.0

//! Every interleaving of the kernel's side and its consumers, and of what meets the last close of a
//! file; see the crate's documentation.

#![cfg(loom)]

pub use kevent_model::{
    explore,
    sync, //
};

/// Scenarios that must hold, and explore what `explored.txt` says.
macro_rules! holds {
    ($module:ident, $from:path: $($scenario:ident)*) => {
        mod $module {
            use kevent_model::explore::recorded;
            use $from as scenario;
            $(
                #[test]
                fn $scenario() {
                    let name = module_path!().trim_start_matches("loom::");
                    recorded(&format!("{name}::{}", stringify!($scenario)), scenario::$scenario);
                }
            )*
        }
    };
}

holds! { litmus, kevent_model::kevent::litmus:
    position merge slot
}

holds! { scenario, kevent_model::kevent::scenario:
    aab aba aa full counts death sleepers sleepers_and_death four_threads told vacancy touched
    touch_of_an_old_entry held
        freed_behind_the_search younger pending_order cursor get_events remove commit look_and_commit recover adopt
}

mod breaks {
    include!(concat!(env!("OUT_DIR"), "/mutants.rs"));
}

/// The last close of a file.
mod close {
    mod trees {
        include!(concat!(env!("OUT_DIR"), "/close.rs"));
    }

    holds! { litmus, super::trees::whole::litmus:
        aside pollfree
    }

    holds! { scenario, super::trees::whole::scenario:
        remove_and_close release_and_close modify_and_close modified_and_close pollfree_and_remove pollfree_and_close two_watches
        add_and_remove remove_and_add look_and_close look_and_remove epoll_beside epoll_path_check
        epoll_del_and_close epoll_upwards
    }

    mod breaks {
        include!(concat!(env!("OUT_DIR"), "/close_mutants.rs"));
    }

    use super::finds;
}

/// Expects that `scenario` fails, with a message that has the words of `class`.
fn finds(class: &str, scenario: fn()) {
    let failure = std::panic::catch_unwind(scenario).expect_err("the break was not found");
    let message = failure
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| failure.downcast_ref::<&str>().copied())
        .expect("a message");
    assert!(message.contains(class), "found otherwise: {message}");
}
