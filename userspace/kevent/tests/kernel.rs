// SPDX-License-Identifier: GPL-2.0 OR MIT

//! With a kernel that has no kevent, too.

mod common;

use std::io;

use kevent::{Kind, Queue, Ring};

#[test]
fn a_lack_is_told_by_everything_that_opens() {
    if common::supported() {
        let features = kevent::features().unwrap();
        for kind in [Kind::Fd, Kind::Socket, Kind::Timer, Kind::User] {
            assert!(features.has(kind), "{kind:?}");
        }
        assert!(!features.has(Kind::Other(1)));
        return;
    }
    for error in [Ring::new(8).unwrap_err(), Queue::new().unwrap_err()] {
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("kevent"), "{error}");
    }
}

#[test]
fn what_is_shared_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Ring>();
    shared::<Queue>();
    shared::<kevent::Consumer>();
    shared::<kevent::Taken<'_>>();
    shared::<kevent::Event>();
    shared::<kevent::Sender>();
    shared::<kevent::Registration<kevent::Timer>>();
}
