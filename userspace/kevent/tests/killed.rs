// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A process that is killed with an event in hand.

mod common;

use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use common::{ring, taken};
use kevent::{Owner, Ring, User};

const CHILD: &str = "KEVENT_CHILD";
const OWNER: Owner = Owner::new(77).unwrap();

/// In the child: takes one event, says so and waits to be killed.
fn hold() {
    let queue = io::stdin().as_fd().try_clone_to_owned().unwrap();
    let ring = Ring::from_fd(queue).unwrap();
    let mut consumer = ring.consumer_as(OWNER).unwrap();
    let event = consumer.events().next().unwrap();
    eprintln!("holds {}", event.token());
    loop {
        std::thread::park();
    }
}

#[test]
fn its_event_is_inherited() {
    if std::env::var_os(CHILD).is_some() {
        return hold();
    }
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let jobs = ring.add_all((0..2).map(|job| (job, User::new()))).unwrap();
    jobs.iter().for_each(|job| job.sender().send(1).unwrap());

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "its_event_is_inherited", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::from(ring.as_fd().try_clone_to_owned().unwrap()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    assert!(lines.any(|line| line == "holds 0"));
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(taken(&mut consumer), [(1, 1)]);
    let left: Vec<_> = consumer
        .inherit_from(OWNER)
        .map(|event| event.token())
        .collect();
    assert_eq!(left, [0]);
    assert!(consumer.inherit_from(OWNER).next().is_none());
}
