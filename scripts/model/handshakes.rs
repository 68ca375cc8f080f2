// SPDX-License-Identifier: GPL-2.0

//! Where one side hands something to another without a lock: which two accesses order it, and the
//! litmus test that fails when either does not.

/// One of the two.
pub struct Site {
    /// The function that has it.
    pub function: &'static str,
    /// What it does, with which order.
    pub access: &'static str,
    /// The mutation that takes the order away.
    pub weaker: &'static str,
}

pub struct Handshake {
    /// What is handed over.
    pub what: &'static str,
    /// Who hands it over, and who gets it.
    pub sites: [Site; 2],
    /// The test, in the tree of the mutations.
    pub litmus: &'static str,
    /// The rows of "Memory orders" in the document that it stands for.
    pub rows: &'static [&'static str],
}

/// Rows of that table that order nothing.
pub const UNORDERED: &[&str] = &["consumer: close a count"];

const fn site(function: &'static str, access: &'static str, weaker: &'static str) -> Site {
    Site {
        function,
        access,
        weaker,
    }
}

const fn handshake(
    what: &'static str,
    from: Site,
    to: Site,
    litmus: &'static str,
    rows: &'static [&'static str],
) -> Handshake {
    Handshake {
        what,
        sites: [from, to],
        litmus,
        rows,
    }
}

/// Of the ring.
pub const RING: &[Handshake] = &[
    handshake(
        "position: the words before it",
        site("Ring::fill", "store, release", "position_published_relaxed"),
        site("Consumer::more", "load, acquire", "position_read_relaxed"),
        "litmus::position",
        &[
            "consumer: load ``ring_position``",
            "kernel: publish the position",
        ],
    ),
    handshake(
        "new word: the payload",
        site("Ring::fill", "store, release", "word_stored_relaxed"),
        site("Consumer::adopt", "exchange, acquire", "adopt_relaxed"),
        "scenario::adopt",
        &["kernel: write the word"],
    ),
    handshake(
        "merged word: what made the source fire",
        site("Ring::merge", "exchange, release", "merge_relaxed"),
        site("Consumer::take_at", "exchange, acquire", "take_relaxed"),
        "litmus::merge",
        &["kernel: merge", "consumer: take"],
    ),
    handshake(
        "word that stays: what made the source fire again",
        site("Repeat::touch", "exchange, full", "touch_relaxed"),
        site("Consumer::take_at", "exchange, acquire", "take_relaxed"),
        "scenario::touched",
        &["kernel: merge", "consumer: take"],
    ),
    handshake(
        "finished slot: to the search",
        site("Taken::finish", "exchange, release", "finish_relaxed"),
        site("Ring::free_slot", "load, acquire", "search_looks_relaxed"),
        "litmus::slot",
        &["consumer: finish, recover", "kernel: look for a free slot"],
    ),
    handshake(
        "finished slot: at the head",
        site("Taken::finish", "exchange, release", "finish_relaxed"),
        site("Ring::publish", "load, acquire", "vacancy_looks_relaxed"),
        "scenario::vacancy",
        &["consumer: finish, recover", "kernel: look for a free slot"],
    ),
    handshake(
        "finished entry: to what fires again, and then REMOVE",
        site("Taken::finish", "exchange, release", "finish_relaxed"),
        site("Ring::publish", "load, acquire", "newest_looks_relaxed"),
        "scenario::remove",
        &["kernel: take back (REMOVE, MODIFY)"],
    ),
    handshake(
        "finished slot: to who takes back",
        site("Taken::finish", "exchange, release", "finish_relaxed"),
        site("Ring::is_finished", "load, acquire", "receipt_relaxed"),
        "scenario::remove",
        &[
            "consumer: finish, recover",
            "kernel: take back (REMOVE, MODIFY)",
        ],
    ),
    handshake(
        "pending events, and room for them",
        site(
            "State::pend",
            "full barrier",
            "no_barrier_before_the_last_look",
        ),
        site("Consumer::pending", "full fence", "no_fence_before_pending"),
        "scenario::told",
        &["consumer: before ``ring_pending``"],
    ),
];

/// Of the close boundary.
pub const CLOSE: &[Handshake] = &[
    handshake(
        "POLLFREE: the entry, at the first look",
        site(
            "RawWaitEntry::leave",
            "store, release",
            "pollfree_stores_relaxed",
        ),
        site(
            "RawWaitEntry::remove",
            "load, acquire",
            "first_look_for_pollfree_relaxed",
        ),
        "litmus::pollfree",
        &[],
    ),
    handshake(
        "POLLFREE: the entry, in the RCU section",
        site(
            "RawWaitEntry::leave",
            "store, release",
            "pollfree_stores_relaxed",
        ),
        site(
            "RawWaitEntry::remove",
            "load, acquire",
            "second_look_for_pollfree_relaxed",
        ),
        "litmus::pollfree",
        &[],
    ),
    handshake(
        "POLLFREE: the wait queue",
        site(
            "RawWaitEntry::remove",
            "RCU section",
            "entry_taken_off_outside_of_rcu",
        ),
        site(
            "free_wait_queue",
            "grace period",
            "queue_freed_without_a_grace_period",
        ),
        "scenario::pollfree_and_remove",
        &[],
    ),
    handshake(
        "what an owner sets aside",
        site(
            "RawWaitEntry::set_aside",
            "store, release",
            "set_aside_relaxed",
        ),
        site(
            "RawWaitEntry::aside",
            "load, acquire",
            "aside_looks_relaxed",
        ),
        "litmus::aside",
        &[],
    ),
    handshake(
        "the watched file, which may be another one",
        site(
            "file_watch_del",
            "store before the reference goes",
            "watch_removed_with_its_file",
        ),
        site(
            "get_file_active",
            "load after a full barrier",
            "active_file_not_looked_at_again",
        ),
        "scenario::look_and_remove",
        &[],
    ),
];
