// SPDX-License-Identifier: GPL-2.0

//! Calls, with any bytes written to the mapping in between.

use super::{
    call,
    Call,
    IDS, //
};
use crate::{
    host::*,
    sync::atomic::Relaxed, //
};
use proptest::prelude::*;

/// A call, or a write by somebody who shares the ring.
#[derive(Clone, Copy, Debug)]
enum Step {
    Call(Call),
    Word { slot: u64, value: u64 },
    Mask { slot: u64, bits: u64 },
    Data { slot: u64, value: u64 },
    Header { position: u64, pending: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let bits = prop_oneof![
        Just(1u64 << 40),
        Just(1u64 << 41),
        Just(3u64 << 40),
        (0..64u32).prop_map(|bit| 1u64 << bit),
        any::<u64>(),
    ];
    prop_oneof![
        8 => call().prop_map(Step::Call),
        1 => (0..16u64, any::<u64>()).prop_map(|(slot, value)| Step::Word { slot, value }),
        2 => (0..16u64, bits).prop_map(|(slot, bits)| Step::Mask { slot, bits }),
        1 => (0..16u64, any::<u64>()).prop_map(|(slot, value)| Step::Data { slot, value }),
        1 => (any::<u64>(), any::<u32>())
            .prop_map(|(position, pending)| Step::Header { position, pending }),
    ]
}

fn run(host: &mut Host, handles: &mut [Option<Handle>; IDS], over: &mut Vec<Handle>, call: Call) {
    match call {
        Call::Add { id, flags } => {
            if handles[id].is_none() {
                if host.has(id as u64) {
                    // It is over, and has to make way.
                    run(host, handles, over, Call::Reap);
                }
                handles[id] = Some(host.add(id as u64, flags));
            }
        }
        Call::Remove { id } => {
            handles[id].take().map(|handle| host.state.remove(handle));
        }
        Call::Modify { id, flags } => {
            handles[id].map(|handle| host.state.modify(handle, &template(id as u64, flags), 0));
        }
        Call::Fire { id, bit, count } => {
            handles[id].map(|handle| host.report(handle, &counts(1 << bit, count)));
        }
        Call::Take { who } => drop(host.consumer(who as u32).take()),
        Call::Finish { who, .. } | Call::Die { who } => {
            host.consumer(9).recover(who as u32);
        }
        Call::Get => drop(host.get()),
        Call::Commit { back } => {
            let end = host.head().saturating_sub(back);
            // As the system call does: rounds until there is nothing more.
            for round in 0.. {
                assert!(round < 100, "a commit without end");
                match host.state.commit(end as u32, (end >> 32) as u32, 1) {
                    Ok(committed) if committed.more => {}
                    _ => break,
                }
            }
        }
        Call::Flush { limit } => drop(host.state.flush(limit)),
        Call::Reap => {
            while let Some(dead) = host.state.dead() {
                host.state.remove(dead);
                over.retain(|&handle| handle != dead);
            }
        }
    }
    for handle in handles {
        if handle.is_some_and(|handle| host.state.template(handle).is_none()) {
            over.extend(handle.take());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 3000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_hurt_only_the_sharers(
        shift in 0..=4u32,
        start in prop_oneof![Just(0), Just((1u64 << 32) - 9), Just(256 * 16 - 9)],
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut host = Host::starting_at(shift, start);
        let mut handles = [const { None }; IDS];
        let mut over = Vec::new();
        for id in 0..IDS {
            handles[id] = Some(host.add(id as u64, 0));
        }
        for step in steps {
            let shared = host.shared.clone();
            match step {
                Step::Call(call) => run(&mut host, &mut handles, &mut over, call),
                Step::Word { slot, value } => shared.word(slot).store(value, Relaxed),
                Step::Mask { slot, bits } => {
                    let word = shared.word(slot);
                    word.store(word.load(Relaxed) ^ bits, Relaxed);
                }
                Step::Data { slot, value } => shared.data(slot).store(value, Relaxed),
                Step::Header { position, pending } => {
                    Memory::position(&*shared).store(position, Relaxed);
                    Memory::pending(&*shared).store(pending, Relaxed);
                }
            }
            let all: Vec<_> = handles.iter().flatten().chain(&over).copied().collect();
            host.state.check_chains(&all);
        }

        // The kernel's own books are still in order: with honest words again, all is as new.
        for handle in handles.iter().flatten().chain(&over) {
            host.state.remove(*handle);
        }
        prop_assert_eq!(host.state.pending(), 0);
        while host.get().is_some() {}
        for slot in 0..1 << shift {
            host.scribble(slot, Word::FRESH.0);
        }
        let handle = host.add(0, 0);
        let head = host.head();
        for nth in 0..40 {
            host.state.fire(handle, &counts(1, nth));
            prop_assert_eq!(host.head(), head + nth + 1);
            prop_assert_eq!(host.get().map(|event| event.data), Some(nth));
        }
    }
}
