// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Random sequences of calls on the kernel's queue, against a model of three lines: what was sent and
//! not taken back comes, once, in order, with its sum.

mod common;

use std::collections::BTreeMap;

use kevent::{Consumer, Registration, Ring, User, Wait};
use proptest::prelude::*;

const JOBS: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    Remove(usize),
    Rearm(usize),
    Send(usize, u64),
    Take(usize),
    Get,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..JOBS).prop_map(Step::Add),
        1 => (0..JOBS).prop_map(Step::Remove),
        1 => (0..JOBS).prop_map(Step::Rearm),
        4 => (0..JOBS, 1..100u64).prop_map(|(job, count)| Step::Send(job, count)),
        2 => (0..2usize).prop_map(Step::Take),
        1 => Just(Step::Get),
        1 => Just(Step::Wait),
    ]
}

#[derive(Default)]
struct World {
    jobs: BTreeMap<usize, Registration<User>>,
    /// What must come, oldest first, as far as nobody has seen it.
    sent: Vec<(u64, u64)>,
}

impl World {
    fn saw(&mut self, token: u64, data: u64) {
        let place = self.sent.iter().position(|sent| *sent == (token, data));
        self.sent
            .remove(place.unwrap_or_else(|| panic!("{token} {data}: {:?}", self.sent)));
    }

    fn apply(&mut self, ring: &Ring, consumers: &mut [Consumer; 2], step: &Step) {
        match *step {
            Step::Add(job) => {
                let ring = || ring.add(job as u64, User::new()).unwrap();
                self.jobs.entry(job).or_insert_with(ring);
            }
            Step::Remove(job) => {
                if let Some(there) = self.jobs.remove(&job) {
                    assert!(!there.remove().unwrap().outstanding);
                }
                self.sent.retain(|(token, _)| *token != job as u64);
            }
            Step::Rearm(job) => {
                if let Some(there) = self.jobs.get_mut(&job) {
                    there.rearm().unwrap();
                    self.sent.retain(|(token, _)| *token != job as u64);
                }
            }
            Step::Send(job, count) => {
                let Some(there) = self.jobs.get(&job) else {
                    return;
                };
                there.sender().send(count).unwrap();
                let mut sent = self.sent.iter_mut();
                match sent.find(|(token, _)| *token == job as u64) {
                    Some((_, sum)) => *sum += count,
                    None => self.sent.push((job as u64, count)),
                }
            }
            Step::Take(which) => {
                let event = consumers[which].events().next();
                if let Some(event) = event {
                    self.saw(event.token(), event.data());
                }
            }
            Step::Get => {
                let mut events = Vec::with_capacity(2);
                ring.get(&mut events, 0, Wait::NOT).unwrap();
                events
                    .iter()
                    .for_each(|event| self.saw(event.token(), event.data()));
            }
            Step::Wait => {
                consumers[0].wait(Wait::NOT).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
    #[test]
    fn what_is_sent_comes_once(
        shift in 0..4u32,
        steps in prop::collection::vec(step(), 0..100),
    ) {
        let Some((ring, first)) = common::ring(1 << shift) else { return Ok(()) };
        let mut consumers = [first, ring.consumer().unwrap()];
        let mut world = World::default();
        for step in &steps {
            world.apply(&ring, &mut consumers, step);
        }
        for _ in 0..JOBS {
            consumers[0].wait(Wait::NOT).unwrap();
            for event in consumers[0].events() {
                world.saw(event.token(), event.data());
            }
        }
        prop_assert_eq!(world.sent, []);
    }
}
