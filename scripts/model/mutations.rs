// SPDX-License-Identifier: GPL-2.0

//! One-line breaks of the protocol, and which scenario finds each.
//!
//! The build fails when a line to be broken is not found exactly once.

pub struct Mutation {
    pub name: &'static str,
    pub file: &'static str,
    pub from: &'static str,
    pub to: &'static str,
    /// The scenario that must fail, in the module `scenario` if it names none, and words of its
    /// message.
    pub scenario: &'static str,
    pub class: &'static str,
}

pub const RACE: &str = "Causality violation";

pub const fn mutation(
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    scenario: &'static str,
    class: &'static str,
) -> Mutation {
    Mutation {
        name,
        file,
        from,
        to,
        scenario,
        class,
    }
}

/// What no scenario may stand on: the text that the model of `kevent_wait()` shares with the kernel.
pub const SHARED: &[(&str, &str)] = &[
    (
        "wait",
        "past(state, request.old) != 0 || state.pending() != 0",
    ),
    (
        "scenario",
        "past(state, request.old) != 0 || state.pending() != 0",
    ),
];

pub const MUTATIONS: &[Mutation] = &[
    // Orders of the kernel.
    mutation(
        "search_looks_relaxed",
        "ring",
        "let word = Word(self.memory.word(position).load(Acquire));",
        "let word = Word(self.memory.word(position).load(Relaxed));",
        "full",
        RACE,
    ),
    mutation(
        "vacancy_looks_relaxed",
        "ring",
        "let vacant = Word(memory.word(position).load(Acquire)).is_finished();",
        "let vacant = Word(memory.word(position).load(Relaxed)).is_finished();",
        "vacancy",
        RACE,
    ),
    mutation(
        "newest_looks_relaxed",
        "ring",
        "if !Word(memory.word(newest).load(Acquire)).is_finished() {",
        "if !Word(memory.word(newest).load(Relaxed)).is_finished() {",
        "remove",
        RACE,
    ),
    mutation(
        "untaken_slot_is_a_vacancy",
        "ring",
        "let vacant = Word(memory.word(position).load(Acquire)).is_finished();",
        "let vacant = true;",
        "full",
        RACE,
    ),
    mutation(
        "touch_relaxed",
        "ring",
        ".cmpxchg(word, word, Full)",
        ".cmpxchg(word, word, Relaxed)",
        "touched",
        "stale",
    ),
    mutation(
        "touch_without_a_look_at_the_head",
        "ring",
        "ahead <= memory.size()",
        "ahead != u64::MAX",
        "touch_of_an_old_entry",
        "lost",
    ),
    mutation(
        "word_stored_relaxed",
        "ring",
        "memory.word(position).store(word.0, Release);",
        "memory.word(position).store(word.0, Relaxed);",
        "adopt",
        RACE,
    ),
    mutation(
        "position_published_relaxed",
        "ring",
        "memory.position().store(head, Release);",
        "memory.position().store(head, Relaxed);",
        "sleepers",
        "slept",
    ),
    mutation(
        "merge_relaxed",
        "ring",
        ".cmpxchg(old.0, new.0, Release)",
        ".cmpxchg(old.0, new.0, Relaxed)",
        "aa",
        "stale",
    ),
    mutation(
        "receipt_relaxed",
        "ring",
        "Word(self.memory.word(position).load(Acquire)).is_finished()",
        "Word(self.memory.word(position).load(Relaxed)).is_finished()",
        "remove",
        RACE,
    ),
    mutation(
        "no_barrier_before_the_last_look",
        "state",
        "smp_mb(Full);",
        "",
        "told",
        "delayed",
    ),
    // Orders of the consumer.
    mutation(
        "position_read_relaxed",
        "consumer",
        "let head = self.mapping.position().load(Acquire);",
        "let head = self.mapping.position().load(Relaxed);",
        "sleepers",
        "slept",
    ),
    mutation(
        "take_relaxed",
        "consumer",
        "match word.compare_exchange(old.0, new.0, Acquire, Relaxed) {",
        "match word.compare_exchange(old.0, new.0, Relaxed, Relaxed) {",
        "aa",
        "stale",
    ),
    mutation(
        "finish_relaxed",
        "consumer",
        ".compare_exchange(word.0, word.finished().0, Release, Relaxed)",
        ".compare_exchange(word.0, word.finished().0, Relaxed, Relaxed)",
        "full",
        RACE,
    ),
    mutation(
        "adopt_relaxed",
        "consumer",
        "word.compare_exchange(old.0, new.0, Acquire, Relaxed).ok()?;",
        "word.compare_exchange(old.0, new.0, Relaxed, Relaxed).ok()?;",
        "adopt",
        RACE,
    ),
    mutation(
        "no_fence_before_pending",
        "consumer",
        "fence(SeqCst);",
        "",
        "told",
        "delayed",
    ),
    // Rules of the kernel.
    mutation(
        "merge_skipped_when_no_bit_is_new",
        "ring",
        "let new = old.merged(fired.mask, fired.result);",
        "let new = old.merged(fired.mask, fired.result);
        if new == old && self.memory.word(position).load(Relaxed) == old.0 {
            return true;
        }",
        "aa",
        "stale",
    ),
    mutation(
        "position_published_before_the_word",
        "ring",
        "memory.word(position).store(word.0, Release);",
        "memory.position().store(head, Release);
        memory.word(position).store(word.0, Release);",
        "sleepers",
        "slept",
    ),
    mutation(
        "taken_slots_not_stepped_over",
        "ring",
        "if !word.is_taken() {\n                break;",
        "if true {\n                break;",
        "held",
        "delayed",
    ),
    mutation(
        "untaken_slots_filled",
        "ring",
        "if word.is_finished() {\n                return Some(position);",
        "if !word.is_taken() {\n                return Some(position);",
        "full",
        "lost",
    ),
    mutation(
        "search_goes_on_behind_freed_slots",
        "ring",
        "self.searched = self.head;\n        None",
        "None",
        "freed_behind_the_search",
        "delayed",
    ),
    mutation(
        "no_laps",
        "word",
        "position.wrapping_shr(shift).wrapping_add(1) & LAP_MASK",
        "(position ^ position).wrapping_shr(shift)",
        "younger",
        "doubled",
    ),
    mutation(
        "closed_count_merged",
        "ring",
        ".is_err()
            {
                return false;
            }
            registration.event.data = sum;",
        ".is_err()
            {
                return true;
            }
            registration.event.data = sum;",
        "counts",
        "count",
    ),
    mutation(
        "younger_before_pending",
        "state",
        "let appended = match self.pending.is_empty() {",
        "let appended = match true {",
        "pending_order",
        "order",
    ),
    mutation(
        "wait_sleeps_beside_pending",
        "scenario",
        "if past(state, request.old) != 0 || state.pending() != 0 {",
        "if past(state, request.old) != 0 {",
        "sleepers_and_death",
        "slept",
    ),
    mutation(
        "commit_frees_what_others_hold",
        "ring",
        "if word.is_taken() && word.owner() != OWNER_COMMIT {",
        "if false {",
        "commit",
        "doubled",
    ),
    mutation(
        "commit_forgets_what_merged",
        "ring",
        "return Some((true, again.map(|fired| (handle, fired))));",
        "return Some((true, None));",
        "look_and_commit",
        "stale",
    ),
    // Rules of the consumer.
    mutation(
        "take_gives_up_after_a_merge",
        "consumer",
        "Err(found) => old = Word(found),",
        "Err(_) => return None,",
        "sleepers",
        "slept",
    ),
    mutation(
        "count_left_open",
        "consumer",
        ".fetch_or(DATA_CLOSED, Relaxed);",
        ".load(Relaxed);",
        "counts",
        "count",
    ),
    mutation(
        "cursor_set_by_the_head_after_the_take",
        "consumer",
        "if let Some(taken) = self.take_at(position) {",
        "if let Some(taken) = self.take_at(position) {
                let oldest = self
                    .mapping
                    .position()
                    .load(Acquire)
                    .saturating_sub(self.slots());
                let ahead = position.wrapping_sub(oldest) & (self.slots() - 1);
                self.next = oldest + ahead + 1;",
        "cursor",
        "lost",
    ),
];
