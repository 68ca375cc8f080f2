// SPDX-License-Identifier: GPL-2.0

//! One handshake of the ring each, by itself: what the two sites are is in `handshakes.rs`. Some
//! are scenarios already.

use super::scenario::{
    run,
    Plan,
    PLAN, //
};

/// Who sees the position sees the word, and does not go to sleep beside it.
pub fn position() {
    run(Plan {
        name: "position, 1 slot",
        preemptions: 3,
        shift: 0,
        fires: &[0],
        rounds: &[1],
        sleep: true,
        ..PLAN
    });
}

/// Who takes a merged word sees what made the source fire.
pub fn merge() {
    run(Plan {
        name: "merge, 1 slot",
        preemptions: 3,
        shift: 0,
        before: &[0],
        fires: &[0],
        rounds: &[1],
        ..PLAN
    });
}

/// The payload is written after who finished the slot has read it.
pub fn slot() {
    run(Plan {
        name: "free slot, 1 slot",
        preemptions: 3,
        shift: 0,
        before: &[0],
        fires: &[1],
        rounds: &[1],
        ..PLAN
    });
}
