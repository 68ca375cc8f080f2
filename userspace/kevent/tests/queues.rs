// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Queues without a ring, and beside one.

mod common;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use common::{queue, ring, taken, LONG};
use kevent::{Fd, PollEvents, Queue, User, Wait};

#[test]
fn events_fill_the_spare_capacity() {
    let Some(queue) = queue() else { return };
    let jobs = queue
        .add_all((0..20).map(|job| (job, User::new())))
        .unwrap();
    jobs.iter().for_each(|job| job.sender().send(1).unwrap());
    let mut events = Vec::with_capacity(4);
    let room = events.capacity();
    assert_eq!(queue.get(&mut events, 0, Wait::NOT).unwrap(), room);
    assert_eq!(queue.get(&mut events, 1, LONG).unwrap(), 16);
    assert_eq!(queue.get(&mut events, 0, Wait::NOT).unwrap(), 0);
    let tokens: Vec<u64> = events.iter().map(|event| event.token()).collect();
    assert_eq!(tokens, (0..20).collect::<Vec<u64>>());
}

#[test]
fn too_many_cannot_be_waited_for() {
    let Some(queue) = queue() else { return };
    let error = queue
        .get(&mut Vec::with_capacity(2), 100, Wait::NOT)
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn get_is_a_consumer_of_a_ring() {
    let Some((ring, mut consumer)) = ring(2) else {
        return;
    };
    let jobs = ring.add_all((0..4).map(|job| (job, User::new()))).unwrap();
    jobs.iter().for_each(|job| job.sender().send(1).unwrap());
    let mut events = Vec::with_capacity(3);
    ring.get(&mut events, 1, Wait::NOT).unwrap();
    let mut tokens: Vec<u64> = events.iter().map(|event| event.token()).collect();
    consumer.wait(Wait::NOT).unwrap();
    tokens.extend(taken(&mut consumer).iter().map(|(token, _)| token));
    tokens.sort();
    assert_eq!(tokens, [0, 1, 2, 3]);
}

#[test]
fn all_or_none_are_added() {
    let Some(queue) = queue() else { return };
    let (reader, _writer) = io::pipe().unwrap();
    let twice = [(1, &reader), (2, &reader)];
    let sources = twice.map(|(token, file)| (token, Fd::new(file, PollEvents::IN)));
    let error = queue.add_all(sources).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    let _free = queue.add(1, Fd::new(&reader, PollEvents::IN)).unwrap();
}

#[test]
fn more_than_a_batch_is_added() {
    let Some(queue) = queue() else { return };
    let jobs = queue
        .add_all((0..10_000).map(|job| (job, User::new())))
        .unwrap();
    jobs[9_999].sender().send(7).unwrap();
    let mut events = Vec::new();
    assert_eq!(queue.get(&mut events, 1, LONG).unwrap(), 1);
    assert_eq!((events[0].token(), events[0].data()), (9_999, 7));
}

#[test]
fn a_queue_watches_a_queue() {
    let Some((outer, mut consumer)) = ring(4) else {
        return;
    };
    let inner = Queue::new().unwrap();
    let job = inner.add(1, User::new()).unwrap();
    let _inner = outer.add(2, Fd::new(&inner, PollEvents::IN)).unwrap();
    job.sender().send(1).unwrap();
    assert_eq!(taken(&mut consumer), [(2, 0)]);
}

#[test]
fn what_is_no_queue_fails() {
    if queue().is_none() {
        return;
    }
    let (reader, _writer) = io::pipe().unwrap();
    let queue = Queue::from(OwnedFd::from(reader));
    assert_eq!(
        queue.wake().unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
    assert!(queue.as_fd().try_clone_to_owned().is_ok());
}
