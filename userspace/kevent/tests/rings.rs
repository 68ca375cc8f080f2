// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Consumers of a ring.

mod common;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use common::{ring, supported, taken, waited, LONG};
use kevent::{Event, Owner, Queue, Ring, User, Wait};

#[test]
fn bad_sizes_are_refused() {
    if !supported() {
        return;
    }
    for slots in [0, 3, 1 << 17] {
        let error = Ring::new(slots).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn nothing_is_lost_when_the_ring_is_full() {
    let Some((ring, mut consumer)) = ring(2) else {
        return;
    };
    let jobs = ring.add_all((0..10).map(|job| (job, User::new()))).unwrap();
    for job in &jobs {
        job.sender().send(job.token()).unwrap();
    }
    assert!(consumer.is_crowded());
    let mut seen = Vec::new();
    while seen.len() < 10 {
        seen.extend(waited(&mut consumer));
    }
    assert!(!consumer.is_crowded());
    let expected: Vec<_> = (0..10).map(|job| (job, job)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn several_events_are_held_at_once() {
    let Some((ring, mut consumer)) = ring(4) else {
        return;
    };
    let jobs = ring.add_all((0..4).map(|job| (job, User::new()))).unwrap();
    jobs.iter().for_each(|job| job.sender().send(1).unwrap());
    let held: Vec<_> = consumer.events().collect();
    let tokens: Vec<u64> = held.iter().map(|event| event.token()).collect();
    assert_eq!(tokens, [0, 1, 2, 3]);
    // What fires meanwhile is another event.
    jobs[0].sender().send(1).unwrap();
    drop(held);
    assert_eq!(waited(&mut consumer), [(0, 1)]);
}

#[test]
fn each_event_goes_to_one_consumer() {
    const JOBS: u64 = 2000;
    let Some((ring, _)) = ring(64) else { return };
    let jobs = ring
        .add_all((0..JOBS).map(|job| (job, User::new().once())))
        .unwrap();
    let done = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut consumer = ring.consumer().unwrap();
                while done.lock().unwrap().len() < JOBS as usize {
                    for event in consumer.events() {
                        assert!(done.lock().unwrap().insert(event.token()));
                    }
                    consumer.wait(Duration::from_millis(20)).unwrap();
                }
            });
        }
        for job in &jobs {
            job.sender().send(1).unwrap();
        }
    });
}

#[test]
fn what_is_removed_is_taken_back() {
    let Some((ring, mut consumer)) = ring(4) else {
        return;
    };
    let job = ring.add(1, User::new()).unwrap();
    job.sender().send(1).unwrap();
    assert!(!job.remove().unwrap().outstanding);
    assert_eq!(taken(&mut consumer), []);

    let job = ring.add(1, User::new()).unwrap();
    job.sender().send(1).unwrap();
    let event = consumer.events().next().unwrap();
    assert!(job.owns(&event));
    assert!(job.remove().unwrap().outstanding);
    let job = ring.add(1, User::new()).unwrap();
    assert!(!job.owns(&event));
}

#[test]
fn a_copy_outlives_the_slot() {
    let Some((ring, mut consumer)) = ring(1) else {
        return;
    };
    let job = ring.add(1, User::new()).unwrap();
    job.sender().send(5).unwrap();
    let copy = Event::clone(&consumer.events().next().unwrap());
    job.sender().send(6).unwrap();
    assert_eq!(taken(&mut consumer), [(1, 6)]);
    assert_eq!((copy.token(), copy.data()), (1, 5));
    assert!(format!("{copy:?}").contains("data: 5"));
}

#[test]
fn a_panic_leaves_its_events_to_others() {
    let Some((ring, mut heir)) = ring(8) else {
        return;
    };
    let jobs = ring.add_all((0..3).map(|job| (job, User::new()))).unwrap();
    jobs.iter()
        .for_each(|job| job.sender().send(job.token()).unwrap());
    let mut consumer = ring.consumer().unwrap();
    let owner = consumer.owner();
    let panicked = thread::spawn(move || {
        let mut events = consumer.events();
        drop(events.next());
        let _held = events.next();
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());

    // Nobody gets its number before it is buried.
    assert_ne!(ring.consumer().unwrap().owner(), owner);
    assert_eq!(taken(&mut heir), [(2, 2)]);
    let left: Vec<_> = heir.inherit().map(|event| event.token()).collect();
    assert_eq!(left, [1]);
    assert!(heir.inherit().next().is_none());
    assert_eq!(ring.consumer().unwrap().owner(), owner);
}

#[test]
fn what_was_forgotten_is_inherited() {
    let Some((ring, mut heir)) = ring(8) else {
        return;
    };
    let job = ring.add(1, User::new()).unwrap();
    job.sender().send(3).unwrap();
    let mut consumer = ring.consumer().unwrap();
    std::mem::forget(consumer.events().next());
    assert!(heir.inherit().next().is_none());
    drop(consumer);
    assert_eq!(heir.inherit().next().unwrap().data(), 3);
}

#[test]
fn waits_end() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    assert_eq!(consumer.wait(Wait::NOT).unwrap(), 0);
    let moment = Duration::from_millis(10);
    for wait in [
        Wait::from(moment),
        Wait::until(Instant::now() + 2 * moment),
        Wait::from(moment).for_more(4, moment),
        Wait::from(Some(moment)),
    ] {
        let start = Instant::now();
        assert_eq!(consumer.wait(wait).unwrap(), 0);
        assert!(start.elapsed() >= moment / 2);
    }
    ring.wake().unwrap();
    assert_eq!(consumer.wait(Wait::FOREVER).unwrap(), 0);

    thread::scope(|scope| {
        let sleeper = scope.spawn(|| consumer.wait(Wait::FOREVER).unwrap());
        let job = ring.add(1, User::new()).unwrap();
        job.sender().send(1).unwrap();
        assert_eq!(sleeper.join().unwrap(), 1);
    });
}

#[test]
fn more_is_waited_for() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let jobs = ring.add_all((0..2).map(|job| (job, User::new()))).unwrap();
    jobs[0].sender().send(1).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(10));
            jobs[1].sender().send(1).unwrap();
        });
        let batch = Wait::FOREVER.for_more(2, LONG);
        assert_eq!(consumer.wait(batch).unwrap(), 2);
    });
}

#[test]
fn numbers_are_agreed_upon() {
    let Some((ring, first)) = ring(8) else { return };
    let error = ring.consumer_as(first.owner()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    let ninth = Owner::new(9).unwrap();
    let consumer = ring.consumer_as(ninth).unwrap();
    assert_eq!(consumer.owner().get(), 9);
    drop(consumer);
    ring.consumer_as(ninth).unwrap();
}

#[test]
fn a_ring_is_mapped_again() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let same = Ring::from_fd(ring.as_fd().try_clone_to_owned().unwrap()).unwrap();
    let job = same.add(4, User::new()).unwrap();
    job.sender().send(1).unwrap();
    assert_eq!(taken(&mut consumer), [(4, 1)]);

    let queue = Queue::new().unwrap();
    let fd = queue.as_fd().try_clone_to_owned().unwrap();
    let error = Ring::from_fd(fd).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_ring_outlives_its_name() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let job = ring.add(1, User::new()).unwrap();
    drop(ring);
    job.sender().send(1).unwrap();
    assert_eq!(taken(&mut consumer), [(1, 1)]);
}
