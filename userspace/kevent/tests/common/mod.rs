// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the tests share.

#![allow(dead_code)]

use std::time::Duration;

use kevent::{Consumer, Queue, Ring, Taken};

/// Longer than anything takes that works.
pub const LONG: Duration = Duration::from_secs(30);

/// Whether the kernel has kevent. It must, if `KEVENT_REQUIRED` is set, as it is in the guest.
pub fn supported() -> bool {
    let features = kevent::features();
    if let Err(error) = &features {
        assert!(std::env::var_os("KEVENT_REQUIRED").is_none(), "{error}");
        eprintln!("skipped: {error}");
    }
    features.is_ok()
}

/// A ring and one consumer.
pub fn ring(slots: u32) -> Option<(Ring, Consumer)> {
    supported().then(|| {
        let ring = Ring::new(slots).unwrap();
        let consumer = ring.consumer().unwrap();
        (ring, consumer)
    })
}

pub fn queue() -> Option<Queue> {
    supported().then(|| Queue::new().unwrap())
}

/// The token and datum of each event that is there.
pub fn taken(consumer: &mut Consumer) -> Vec<(u64, u64)> {
    let events = consumer.events();
    events.map(|event| (event.token(), event.data())).collect()
}

/// The same, after a wait for the first.
pub fn waited(consumer: &mut Consumer) -> Vec<(u64, u64)> {
    let there = taken(consumer);
    if !there.is_empty() {
        return there;
    }
    consumer.wait(LONG).unwrap();
    taken(consumer)
}

/// The first event, after a wait for it.
pub fn first(consumer: &mut Consumer) -> Taken<'_> {
    consumer.wait(LONG).unwrap();
    consumer.events().next().unwrap()
}
