// SPDX-License-Identifier: GPL-2.0

//! Small worlds for loom: the kernel's side under its lock, and consumers beside it.
//!
//! What a scenario finds has a class, the first word of its message; a broken access to a payload is
//! loom's own "Causality violation".
//!
//! | class    | meaning                                                              |
//! |----------|----------------------------------------------------------------------|
//! | lost     | a bit fired that nobody saw                                          |
//! | count    | the counts that were taken are not what was fired                    |
//! | stale    | the last taker of a registration did not see what fired last         |
//! | doubled  | two consumers had one entry                                          |
//! | order    | a consumer saw a younger event before an older one                   |
//! | delayed  | an event waits beside room, and no consumer was told                 |
//! | slept    | every consumer sleeps, an event waits, and nobody is woken           |
//! | receipt  | REMOVE said something untrue about who holds an event                |

use super::{
    array::{
        Array,
        Circle, //
    },
    consumer::{
        Consumer,
        Mapping,
        Taken, //
    },
    event::{
        Event,
        Fired,
        RET_COUNTED,
        RET_DONE, //
    },
    keys::Secret,
    memory::Shared,
    registration::{
        Handle,
        Nature,
        Registration, //
    },
    ring::{
        Repeat,
        Ring,
        Slot, //
    },
    state::{
        Next,
        State,
        Wake, //
    },
    word::Word, //
};
use crate::{
    explore::{
        explore,
        thread, //
    },
    sync::primitive::{
        AtomicU64,
        Cell,
        Ordering::{
            Acquire,
            Relaxed, //
        }, //
    }, //
};
use loom::sync::Mutex;
use std::sync::{
    atomic::AtomicUsize,
    Arc, //
};

const REGISTRATIONS: usize = 4;

/// The owner number of who adopts.
const HEIR: usize = 9;

struct Kernel {
    state: State<Arc<Shared>>,
    handles: Vec<Handle>,
    /// How often each registration fired, and how often any.
    fires: [u64; REGISTRATIONS],
    sequence: u32,
    sleepers: u32,
    woken: u32,
}

/// One entry in somebody's hands.
struct Seen {
    consumer: usize,
    position: Option<u64>,
    id: usize,
    mask: u32,
    count: u64,
    source: u64,
    sequence: u32,
}

struct World {
    kernel: Mutex<Kernel>,
    shared: Arc<Shared>,
    /// What a source knows: how often it fired.
    sources: [AtomicU64; REGISTRATIONS],
    repeats: [Repeat; REGISTRATIONS],
    /// Firings that needed no lock.
    touched: [AtomicUsize; REGISTRATIONS],
    /// What `user` of registration 0 points to.
    target: Cell<u64>,
    counted: bool,
    seen: std::sync::Mutex<Vec<Seen>>,
    asleep: AtomicUsize,
    told: AtomicUsize,
}

// SAFETY: The target is what the receipt of REMOVE is about; loom checks the accesses.
unsafe impl Sync for World {}
// SAFETY: See above.
unsafe impl Send for World {}

impl World {
    fn new(shift: u32, counted: bool) -> Arc<Self> {
        Self::starting_at(shift, counted, 0)
    }

    fn starting_at(shift: u32, counted: bool, head: u64) -> Arc<Self> {
        let shared = Arc::new(Shared::new(shift));
        let Ok(slots) = Circle::new(1 << shift, Slot::FRESH);
        let ring = Ring::starting_at(shared.clone(), slots, head);
        let secret = Secret::new([1, 2]);
        let mut state = State::new(Some(ring), secret);
        let size = state.table().wants().expect("an empty table wants a chunk");
        let Ok(chunk) = Array::new(size, Registration::FREE);
        assert!(state.table().grow(chunk).is_ok());
        let handles = (0..REGISTRATIONS as u64)
            .map(|id| {
                let template = Event {
                    id,
                    mask: u32::MAX,
                    ..Event::default()
                };
                let hash = secret.hash(template.kind, id);
                let vacant = state.vacant(hash, template.kind, template.id).unwrap();
                let added = state.add(vacant, &template, 0, Nature::Plain, |_| None);
                added.expect("the table has room")
            })
            .collect();
        Arc::new(World {
            kernel: Mutex::new(Kernel {
                state,
                handles,
                fires: [0; REGISTRATIONS],
                sequence: 0,
                sleepers: 0,
                woken: 0,
            }),
            shared,
            sources: std::array::from_fn(|_| AtomicU64::new(0)),
            repeats: std::array::from_fn(|_| Repeat::new(0)),
            touched: std::array::from_fn(|_| AtomicUsize::new(0)),
            target: Cell::new(0),
            counted,
            seen: std::sync::Mutex::new(Vec::new()),
            asleep: AtomicUsize::new(0),
            told: AtomicUsize::new(0),
        })
    }

    fn consumer(&self, owner: usize) -> Consumer<Arc<Shared>> {
        Consumer::new(self.shared.clone(), owner as u32)
    }

    /// Registration `id` fires for the `nth` time. Always the same bit, unless it counts.
    fn fire(&self, id: usize, nth: u64) {
        self.sources[id].store(nth, Relaxed);
        let mut kernel = self.kernel.lock().unwrap();
        let kernel = &mut *kernel;
        kernel.fires[id] += 1;
        kernel.sequence += 1;
        let fired = Fired {
            mask: if self.counted { 1 << nth } else { 1 },
            result: if self.counted { RET_COUNTED } else { RET_DONE },
            data: u64::from(self.counted),
            error: kernel.sequence,
        };
        let wake = kernel.state.report(kernel.handles[id], &fired, u32::MAX);
        if wake == Some(Wake::None) {
            kernel.state.repeat(kernel.handles[id], &self.repeats[id]);
        }
        kernel.wake(wake.unwrap_or_default());
    }

    /// The same, without the lock if it says nothing new.
    fn fire_again(&self, id: usize, nth: u64) {
        self.sources[id].store(nth, Relaxed);
        let repeat = &self.repeats[id];
        if repeat.covers(1) && repeat.touch(&*self.shared) {
            self.touched[id].fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        } else {
            self.fire(id, nth);
        }
    }

    fn fire_all(&self, ids: &[usize], times: &mut [u64; REGISTRATIONS]) {
        for &id in ids {
            times[id] += 1;
            self.fire(id, times[id]);
        }
    }

    fn handle(&self, consumer: &Consumer<Arc<Shared>>, who: usize, taken: &Taken) {
        let payload = consumer.payload(taken);
        let id = payload.id as usize;
        let seen = Seen {
            consumer: who,
            // An heir knows the slot alone.
            position: (who != HEIR).then(|| taken.position()),
            id,
            mask: taken.word().0 as u32,
            count: consumer.data(taken),
            source: self.sources[id].load(Relaxed),
            sequence: payload.error,
        };
        // Not held while loom may switch threads.
        self.seen.lock().unwrap().push(seen);
    }

    /// `kevent_get_events()` for one event.
    fn get(&self, who: usize) -> bool {
        let mut kernel = self.kernel.lock().unwrap();
        while let Some((next, registration)) = kernel.state.peek() {
            let event = registration.newest();
            if kernel.state.take(next) {
                kernel.state.flush(1);
                let id = event.id as usize;
                let seen = Seen {
                    consumer: who,
                    position: match next {
                        Next::Ring(position) => Some(position),
                        Next::Pending(_) => None,
                    },
                    id,
                    mask: event.word as u32,
                    count: event.data,
                    source: self.sources[id].load(Relaxed),
                    sequence: event.error,
                };
                self.seen.lock().unwrap().push(seen);
                return true;
            }
        }
        false
    }

    /// `kevent_wait()`. Returns whether it sleeps.
    fn wait(&self, old: u32) -> bool {
        let mut kernel = self.kernel.lock().unwrap();
        let state = &mut kernel.state;
        state.flush(1);
        let past = |state: &State<_>, old| state.ring().map_or(0, |ring| ring.past(old));
        let request = Request { old };
        if past(state, request.old) != 0 || state.pending() != 0 {
            return false;
        }
        kernel.sleepers += 1;
        self.asleep
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        true
    }

    /// At the end, with every thread joined: takes what is left, and compares.
    fn check(&self) {
        const REST: usize = usize::MAX;
        while self.get(REST) {}
        let seen = self.seen.lock().unwrap();
        let mut fires = self.kernel.lock().unwrap().fires;
        for (fires, touched) in fires.iter_mut().zip(&self.touched) {
            *fires += touched.load(std::sync::atomic::Ordering::Relaxed) as u64;
        }
        for (id, &fires) in fires.iter().enumerate() {
            let of = || seen.iter().filter(move |seen| seen.id == id);
            let bits = of().fold(0, |bits, seen| bits | seen.mask);
            if self.counted {
                let expected = (1..=fires).fold(0, |bits, nth| bits | 1 << nth);
                assert_eq!(bits, expected, "lost: bits of {id}");
                let count: u64 = of().map(|seen| seen.count).sum();
                assert_eq!(count, fires, "count: {id}");
            } else {
                assert_eq!(bits, u32::from(fires != 0), "lost: bits of {id}");
            }
            let source = of().map(|seen| seen.source).max().unwrap_or(0);
            assert_eq!(source, fires, "stale: {id}");
        }
        for one in seen.iter().filter(|one| one.consumer != REST) {
            let next = seen
                .iter()
                .filter(|other| other.consumer == one.consumer)
                .map(|other| other.sequence)
                .skip_while(|&sequence| sequence != one.sequence)
                .nth(1);
            assert!(
                next.is_none_or(|next| next > one.sequence),
                "order: {next:?} after {}",
                one.sequence
            );
        }
        let mut positions: Vec<_> = seen.iter().filter_map(|seen| seen.position).collect();
        positions.sort_unstable();
        assert!(
            positions.windows(2).all(|pair| pair[0] != pair[1]),
            "doubled: takers at {positions:?}"
        );
    }
}

struct Request {
    old: u32,
}

impl Kernel {
    fn wake(&mut self, wake: Wake) {
        match wake {
            Wake::None => {}
            Wake::One => self.woken = self.sleepers.min(self.woken + 1),
            Wake::All => self.woken = self.sleepers,
        }
    }
}

/// Where a consumer's thread ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// After its rounds.
    Lives,
    /// With its first entry taken; that is recovered when it is joined.
    Holds,
    /// Having finished its first entry, before it asks whether anything is pending.
    Finished,
}

#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) preemptions: usize,
    pub(super) shift: u32,
    pub(super) counted: bool,
    /// What fired before the threads begin, and what fires beside them.
    pub(super) before: &'static [usize],
    pub(super) fires: &'static [usize],
    /// A second thread that fires.
    pub(super) others: &'static [usize],
    /// How often each consumer looks.
    pub(super) rounds: &'static [usize],
    pub(super) fate: Fate,
    /// Consumers that find nothing sleep.
    pub(super) sleep: bool,
}

pub(super) const PLAN: Plan = Plan {
    name: "",
    preemptions: 2,
    shift: 1,
    counted: false,
    before: &[],
    fires: &[],
    others: &[],
    rounds: &[2, 1],
    fate: Fate::Lives,
    sleep: false,
};

fn consume(world: &World, who: usize, plan: &Plan) -> Consumer<Arc<Shared>> {
    let mut consumer = world.consumer(who);
    for _ in 0..plan.rounds[who - 1] {
        let Some(taken) = consumer.take() else {
            if plan.sleep && world.wait(consumer.next() as u32) {
                return consumer;
            }
            continue;
        };
        if who == 1 && plan.fate == Fate::Holds {
            return consumer;
        }
        world.handle(&consumer, who, &taken);
        assert!(consumer.finish(taken), "doubled: finished by another");
        if who == 1 && plan.fate == Fate::Finished {
            return consumer;
        }
    }
    consumer
}

pub(super) fn run(plan: Plan) {
    explore(plan.name, plan.preemptions, move || {
        let world = World::new(plan.shift, plan.counted);
        let mut times = [0; REGISTRATIONS];
        world.fire_all(plan.before, &mut times);
        let consumers: Vec<_> = (1..=plan.rounds.len())
            .map(|who| {
                let world = world.clone();
                thread::spawn(move || consume(&world, who, &plan))
            })
            .collect();
        let other = (!plan.others.is_empty()).then(|| {
            let world = world.clone();
            thread::spawn(move || world.fire_all(plan.others, &mut [0; REGISTRATIONS]))
        });
        world.fire_all(plan.fires, &mut times);
        let threads = consumers.len();
        for consumer in consumers {
            consumer.join().unwrap();
        }
        if let Some(other) = other {
            other.join().unwrap();
        }

        let mut heir = world.consumer(HEIR);
        if plan.fate == Fate::Holds {
            while let Some(taken) = heir.adopt(1) {
                world.handle(&heir, HEIR, &taken);
                assert!(heir.finish(taken), "doubled: finished by another");
            }
        }
        if plan.sleep {
            let mut kernel = world.kernel.lock().unwrap();
            let asleep = world.asleep.load(std::sync::atomic::Ordering::Relaxed);
            let gone = usize::from(plan.fate != Fate::Lives);
            let all = asleep != 0 && asleep >= threads - gone && kernel.woken == 0;
            assert!(
                !(all && kernel.state.has_events()),
                "slept: all of {asleep}"
            );
        }
        world.check();
    });
}

/// A, A, B: a merge, a refire of what is taken, a foreign entry.
pub fn aab() {
    run(Plan {
        name: "aab, 2 slots",
        fires: &[0, 0, 1],
        ..PLAN
    });
    run(Plan {
        name: "aab, 1 slot",
        shift: 0,
        fires: &[0, 0, 1],
        ..PLAN
    });
    run(Plan {
        name: "aab, 4 slots",
        shift: 2,
        fires: &[0, 0, 1],
        ..PLAN
    });
}

/// A, B, A: the slot of a held entry comes round again.
pub fn aba() {
    run(Plan {
        name: "aba, 2 slots",
        fires: &[0, 1, 0],
        ..PLAN
    });
    run(Plan {
        name: "aba, 1 slot",
        shift: 0,
        fires: &[0, 1, 0],
        ..PLAN
    });
    run(Plan {
        name: "aba, 4 slots",
        shift: 2,
        fires: &[0, 1, 0],
        ..PLAN
    });
}

/// A, A: the merge alone, with one preemption more.
pub fn aa() {
    let aa = Plan {
        preemptions: 3,
        fires: &[0, 0],
        rounds: &[1, 1],
        ..PLAN
    };
    run(Plan {
        name: "aa, 2 slots",
        ..aa
    });
    run(Plan {
        name: "aa, 1 slot",
        shift: 0,
        ..aa
    });
}

/// A ring that is full when the consumers begin.
pub fn full() {
    run(Plan {
        name: "full, 2 slots",
        before: &[0, 1],
        fires: &[2, 0],
        ..PLAN
    });
}

/// A consumer that comes late to a slot of an older lap.
pub fn younger() {
    run(Plan {
        name: "younger, 2 slots",
        before: &[0, 1],
        fires: &[2, 3],
        rounds: &[2, 1],
        ..PLAN
    });
}

/// What finds no room comes before what fires later and would find some.
pub fn pending_order() {
    explore("pending order, 1 slot", 3, || {
        let world = World::new(0, false);
        world.fire(0, 1);
        let thread = {
            let world = world.clone();
            thread::spawn(move || consume(&world, 1, &PLAN))
        };
        world.fire(1, 1);
        world.fire(2, 1);
        let mut consumer = thread.join().unwrap();
        loop {
            world.kernel.lock().unwrap().state.flush(1);
            let Some(taken) = consumer.take() else {
                break;
            };
            world.handle(&consumer, 1, &taken);
            assert!(consumer.finish(taken), "doubled: finished by another");
        }
        world.check();
    });
}

/// Counts that merge, with takers that live.
pub fn counts() {
    let counts = Plan {
        counted: true,
        ..PLAN
    };
    run(Plan {
        name: "counts, aaa",
        fires: &[0, 0, 0],
        ..counts
    });
    run(Plan {
        name: "counts, aaa, 1 slot",
        shift: 0,
        fires: &[0, 0, 0],
        ..counts
    });
    run(Plan {
        name: "counts, aba",
        fires: &[0, 1, 0],
        ..counts
    });
}

/// Counts whose taker dies with them.
pub fn death() {
    let death = Plan {
        counted: true,
        fate: Fate::Holds,
        ..PLAN
    };
    run(Plan {
        name: "death, aaa",
        fires: &[0, 0, 0],
        ..death
    });
    run(Plan {
        name: "death, aba",
        fires: &[0, 1, 0],
        ..death
    });
    run(Plan {
        name: "death, aa, 1 slot",
        shift: 0,
        preemptions: 3,
        fires: &[0, 0],
        ..death
    });
}

/// Consumers that sleep when they find nothing.
pub fn sleepers() {
    let sleep = Plan {
        sleep: true,
        rounds: &[3, 2],
        ..PLAN
    };
    run(Plan {
        name: "sleepers, aba",
        fires: &[0, 1, 0],
        ..sleep
    });
    run(Plan {
        name: "sleepers, ab, 1 slot",
        shift: 0,
        fires: &[0, 1],
        ..sleep
    });
    run(Plan {
        name: "one sleeper, new bits",
        preemptions: 3,
        counted: true,
        fires: &[0, 0],
        rounds: &[3],
        ..sleep
    });
}

/// One of two frees the slot that an event waits for, and dies before it can say so.
pub fn sleepers_and_death() {
    run(Plan {
        name: "a finisher dies, 1 slot",
        shift: 0,
        before: &[0],
        fires: &[1],
        rounds: &[1, 3],
        fate: Fate::Finished,
        sleep: true,
        ..PLAN
    });
}

/// Four threads: two fire, two consume.
pub fn four_threads() {
    run(Plan {
        name: "four threads, 2 slots",
        fires: &[0, 2],
        others: &[1],
        rounds: &[1, 1],
        ..PLAN
    });
    run(Plan {
        name: "four threads, 1 slot",
        shift: 0,
        fires: &[0, 2],
        others: &[1],
        rounds: &[1, 1],
        ..PLAN
    });
}

/// A finish and an event that finds no room: one of both sides learns of the other.
pub fn told() {
    explore("told, 1 slot", 3, || {
        let world = World::new(0, false);
        world.fire(0, 1);
        let thread = {
            let world = world.clone();
            thread::spawn(move || {
                let mut consumer = world.consumer(1);
                while let Some(taken) = consumer.take() {
                    world.handle(&consumer, 1, &taken);
                    assert!(consumer.finish(taken));
                }
                if consumer.pending() {
                    world
                        .told
                        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            })
        };
        world.fire(1, 1);
        thread.join().unwrap();
        let waits = world.kernel.lock().unwrap().state.flush(1) != 0;
        let told = world.told.load(std::sync::atomic::Ordering::Relaxed) != 0;
        assert!(told || !waits, "delayed: room, and nobody was told");
        world.check();
    });
}

/// A slot that a consumer frees is the next to be filled, for a registration whose newest event
/// another consumer has finished.
pub fn vacancy() {
    explore("vacancy, 2 slots", 3, || {
        let world = World::new(1, false);
        world.fire(0, 1);
        world.fire(1, 1);
        let mut consumers = [world.consumer(1), world.consumer(2)];
        let [first, second] = consumers
            .each_mut()
            .map(|consumer| consumer.take().unwrap());
        world.handle(&consumers[1], 2, &second);
        assert!(consumers[1].finish(second));
        let thread = {
            let world = world.clone();
            thread::spawn(move || {
                let [mut consumer, _] = consumers;
                world.handle(&consumer, 1, &first);
                assert!(consumer.finish(first));
            })
        };
        world.fire(1, 2);
        thread.join().unwrap();
        world.check();
    });
}

/// What fires again and says nothing new, beside a consumer.
pub fn touched() {
    for fires in [&[0, 0, 0][..], &[0, 0, 0, 0]] {
        explore("touched, 2 slots", 3, move || {
            let world = World::new(1, false);
            world.fire(0, 1);
            world.fire(0, 2);
            let thread = {
                let world = world.clone();
                thread::spawn(move || drop(consume(&world, 1, &PLAN)))
            };
            for nth in 3..=fires.len() as u64 {
                world.fire_again(0, nth);
            }
            thread.join().unwrap();
            world.check();
        });
    }
}

/// The slot of an entry that is gone is filled 256 laps later, with the same word.
pub fn touch_of_an_old_entry() {
    explore("touch of an old entry, 1 slot", 3, || {
        let world = World::starting_at(0, false, 256);
        let mut old = Registration::<()>::FREE;
        old.position = 0;
        old.event.word = Word::untaken(1, RET_DONE, Word::lap_of(0, 0)).0;
        old.merged.mask = 1;
        old.merged.result = RET_DONE as u8;
        world.repeats[1].set(&old);
        assert!(world.repeats[1].covers(1));
        let thread = {
            let world = world.clone();
            thread::spawn(move || {
                let touched = world.repeats[1].touch(&*world.shared);
                assert!(!touched, "lost: told an entry of another");
            })
        };
        world.fire(0, 1);
        thread.join().unwrap();
        world.check();
    });
}

/// A held slot is stepped over, also while another consumer frees what the search went past.
pub fn held() {
    explore("held, 4 slots", 2, || {
        let world = World::new(2, false);
        for id in [0, 1, 2] {
            world.fire(id, 1);
        }
        let mut holder = world.consumer(1);
        let held = holder.take().unwrap();
        world.handle(&holder, 1, &held);
        let thread = {
            let world = world.clone();
            thread::spawn(move || {
                let mut consumer = world.consumer(2);
                let taken = consumer.take().unwrap();
                world.handle(&consumer, 2, &taken);
                assert!(consumer.finish(taken));
            })
        };
        world.fire(3, 1);
        world.fire(0, 2);
        thread.join().unwrap();
        // Registration 1's slot is free at the latest now.
        world.kernel.lock().unwrap().state.flush(1);
        let pending = world.kernel.lock().unwrap().state.pending();
        assert_eq!(pending, 0, "delayed: beside room");
        assert!(holder.finish(held));
        world.check();
    });
}

/// What a search stepped over is looked at again when the search ends at an untaken slot.
pub fn freed_behind_the_search() {
    explore("freed behind the search, 2 slots", 2, || {
        let world = World::new(1, false);
        world.fire(0, 1);
        world.fire(1, 1);
        let thread = {
            let world = world.clone();
            thread::spawn(move || {
                let mut consumer = world.consumer(1);
                let taken = consumer.take().unwrap();
                world.handle(&consumer, 1, &taken);
                assert!(consumer.finish(taken));
            })
        };
        world.fire(2, 1);
        thread.join().unwrap();
        world.kernel.lock().unwrap().state.flush(1);
        let pending = world.kernel.lock().unwrap().state.pending();
        assert_eq!(pending, 0, "delayed: beside room");
        world.check();
    });
}

/// A consumer alone must find everything that another, which died, never came to.
pub fn cursor() {
    explore("cursor, 4 slots", 3, || {
        let world = World::new(2, false);
        for id in [0, 1, 2, 3] {
            world.fire(id, 1);
        }
        let thread = {
            let world = world.clone();
            thread::spawn(move || {
                let mut consumer = world.consumer(1);
                let taken = consumer.take().unwrap();
                world.handle(&consumer, 1, &taken);
                (consumer, taken)
            })
        };
        let brief = {
            let world = world.clone();
            thread::spawn(move || {
                let mut consumer = world.consumer(2);
                let taken = consumer.take().unwrap();
                world.handle(&consumer, 2, &taken);
                assert!(consumer.finish(taken));
            })
        };
        world.fire(0, 2);
        brief.join().unwrap();
        let (mut consumer, taken) = thread.join().unwrap();
        while let Some(taken) = consumer.take() {
            world.handle(&consumer, 1, &taken);
            assert!(consumer.finish(taken));
        }
        let mut kernel = world.kernel.lock().unwrap();
        let rest = kernel.state.peek().map(|(next, _)| next);
        drop(kernel);
        assert!(
            !matches!(rest, Some(Next::Ring(_))),
            "lost: the cursor went past {rest:?}"
        );
        assert!(consumer.finish(taken));
        world.check();
    });
}

/// `kevent_get_events()` beside a consumer of the ring.
pub fn get_events() {
    for (name, shift) in [("get, 2 slots", 1), ("get, 1 slot", 0)] {
        explore(name, 2, move || {
            let world = World::new(shift, true);
            world.fire(0, 1);
            let threads: Vec<_> = [1, 2]
                .into_iter()
                .map(|who| {
                    let world = world.clone();
                    thread::spawn(move || match who {
                        1 => drop(consume(&world, 1, &PLAN)),
                        _ => drop(world.get(who)),
                    })
                })
                .collect();
            world.fire(1, 1);
            world.fire(0, 2);
            for thread in threads {
                thread.join().unwrap();
            }
            world.check();
        });
    }
}

/// REMOVE against a taker: the receipt says when what `user` points to is free.
pub fn remove() {
    for (name, again) in [("remove", false), ("remove after a refire", true)] {
        explore(name, 3, move || {
            let world = World::new(1, false);
            world.fire(0, 1);
            let thread = {
                let world = world.clone();
                thread::spawn(move || {
                    let mut consumer = world.consumer(1);
                    let mut taken = 0;
                    while let Some(entry) = consumer.take() {
                        taken += 1;
                        // SAFETY: The entry is held, so REMOVE says that it is outstanding.
                        world.target.with(|target| unsafe { *target });
                        assert!(consumer.finish(entry));
                    }
                    taken
                })
            };
            if again {
                world.fire(0, 2);
            }
            let outstanding = {
                let mut kernel = world.kernel.lock().unwrap();
                let handle = kernel.handles[0];
                let outstanding = kernel.state.remove(handle).outstanding;
                let rest = kernel.state.peek().map(|(next, _)| next);
                assert!(rest.is_none(), "receipt: left {rest:?}");
                outstanding
            };
            if !outstanding {
                // SAFETY: No consumer holds an event, and none will.
                world.target.with_mut(|target| unsafe { *target = 1 });
            }
            let taken = thread.join().unwrap();
            assert!(!outstanding || taken != 0, "receipt: nobody held it");
        });
    }
}

/// A commit of everything, beside a consumer that takes.
pub fn commit() {
    explore("commit beside a taker", 3, || {
        let world = World::new(1, false);
        world.fire(0, 1);
        world.fire(1, 1);
        let thread = {
            let world = world.clone();
            thread::spawn(move || drop(consume(&world, 1, &PLAN)))
        };
        let freed = {
            let mut kernel = world.kernel.lock().unwrap();
            kernel.state.commit(2, 0, 64).unwrap().freed
        };
        world.fire(2, 1);
        thread.join().unwrap();
        while world.get(2) {}
        let seen = world.seen.lock().unwrap().len();
        assert_eq!(freed as usize + seen, 3, "doubled: freed and taken");
    });
}

/// The only consumer, which reads entries without taking them, and commits them.
pub fn look_and_commit() {
    explore("look and commit", 3, || {
        let world = World::new(1, false);
        let thread = {
            let world = world.clone();
            thread::spawn(move || {
                let mut next = 0;
                let mut last = [0; REGISTRATIONS];
                for _ in 0..2 {
                    let head = Mapping::position(&*world.shared).load(Acquire);
                    look(&world, &mut next, head, &mut last);
                    let mut kernel = world.kernel.lock().unwrap();
                    kernel
                        .state
                        .commit(head as u32, (head >> 32) as u32, 64)
                        .unwrap();
                }
                (next, last)
            })
        };
        world.fire_all(&[0, 0, 1], &mut [0; REGISTRATIONS]);
        let (mut next, mut last) = thread.join().unwrap();
        let head = world.kernel.lock().unwrap().state.ring().unwrap().head();
        look(&world, &mut next, head, &mut last);
        let kernel = world.kernel.lock().unwrap();
        assert_eq!(kernel.state.pending(), 0, "delayed: beside a commit");
        assert_eq!(kernel.fires, last, "stale: looked at too early");
    });
}

fn look(world: &World, next: &mut u64, head: u64, last: &mut [u64; REGISTRATIONS]) {
    while *next < head {
        let position = *next;
        *next += 1;
        let word = Word(Mapping::word(&*world.shared, position).load(Acquire));
        if word.lap() == Word::lap_of(position, 1) && word.is_untaken() {
            // SAFETY: There is no other consumer, and this one has not committed the entry yet.
            let id = unsafe { world.shared.payload(position) }.id as usize;
            last[id] = world.sources[id].load(Relaxed).max(last[id]);
        }
    }
}

/// A living consumer takes over from one that died, while the kernel goes on.
pub fn recover() {
    explore("recover", 3, || {
        let world = World::new(1, true);
        world.fire(0, 1);
        let heir = {
            let world = world.clone();
            thread::spawn(move || {
                let mortal = {
                    let world = world.clone();
                    thread::spawn(move || drop(world.consumer(1).take()))
                };
                mortal.join().unwrap();
                let mut heir = world.consumer(HEIR);
                while let Some(taken) = heir.adopt(1) {
                    world.handle(&heir, HEIR, &taken);
                    assert!(heir.finish(taken));
                }
            })
        };
        world.fire(0, 2);
        world.fire(1, 1);
        heir.join().unwrap();
        world.check();
    });
}

/// An heir that learns of an entry from its word alone.
pub fn adopt() {
    explore("adopt", 3, || {
        let world = World::new(1, false);
        let threads: Vec<_> = [1, HEIR]
            .into_iter()
            .map(|who| {
                let world = world.clone();
                thread::spawn(move || {
                    let mut consumer = world.consumer(who);
                    if who == 1 {
                        drop(consumer.take());
                    } else if let Some(taken) = consumer.adopt(1) {
                        world.handle(&consumer, who, &taken);
                        assert!(consumer.finish(taken));
                    }
                })
            })
            .collect();
        world.fire(0, 1);
        for thread in threads {
            thread.join().unwrap();
        }
        let mut heir = world.consumer(HEIR);
        while let Some(taken) = heir.adopt(1) {
            world.handle(&heir, HEIR, &taken);
            assert!(heir.finish(taken));
        }
        world.check();
    });
}
