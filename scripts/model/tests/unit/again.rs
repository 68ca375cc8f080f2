// SPDX-License-Identifier: GPL-2.0

//! What is looked at again, once its event was published.

use crate::host::*;

/// A registration with something to look at.
fn tied(host: &mut Host, id: u64, flags: u32, nature: Nature) -> Handle {
    host.add_tied(id, flags, nature, Some(()))
}

/// Goes through the list once. Returns who is asked, and whether their slots are finished.
fn looks(host: &mut Host) -> Vec<(Handle, bool)> {
    let mut left = host.state.to_look_at();
    let mut asked = Vec::new();
    loop {
        match host.state.next_look(&mut left) {
            Look::At(found, finished) => {
                assert!(host.state.is_valid(&found));
                asked.push((found.handle, finished));
            }
            Look::More => {}
            Look::Nothing => return asked,
        }
    }
}

#[test]
fn a_level_is_asked_when_its_slot_is_finished() {
    let mut host = Host::new(2);
    let a = tied(&mut host, 0, 0, Nature::State);
    assert_eq!(looks(&mut host), []);
    host.report(a, &bits(1));
    assert_eq!(looks(&mut host), [], "untaken");
    let mut consumer = host.consumer(1);
    let taken = consumer.take().expect("an event");
    assert_eq!(looks(&mut host), [], "taken");
    consumer.finish(taken);
    assert_eq!(looks(&mut host), [(a, true)]);
    assert_eq!(looks(&mut host), [], "it was not true");
    host.report(a, &bits(1));
    assert!(host.get().is_some());
    assert_eq!(looks(&mut host), [(a, true)]);
}

#[test]
fn without_a_ring_a_copied_event_is_finished() {
    let mut host = Host::without_ring();
    let a = tied(&mut host, 0, 0, Nature::State);
    host.report(a, &bits(1));
    assert_eq!(looks(&mut host), [], "pending");
    assert!(host.get().is_some());
    assert_eq!(looks(&mut host), [(a, true)]);
}

#[test]
fn a_count_is_asked_while_its_event_is_untaken() {
    let mut host = Host::new(1);
    let a = tied(&mut host, 0, 0, Nature::Count);
    host.report(a, &counts(1, 1));
    assert_eq!(looks(&mut host), [(a, false)]);
    assert_eq!(looks(&mut host), [(a, false)], "it stays on the list");
    assert!(host.get().is_some());
    assert_eq!(looks(&mut host), [(a, true)]);
    assert_eq!(looks(&mut host), []);
}

#[test]
fn only_levels_and_counts_are_asked() {
    for (flags, nature, asked) in [
        (0, Nature::Plain, false),
        (REQ_ET, Nature::State, false),
        (REQ_ONESHOT, Nature::State, false),
        (REQ_DISPATCH, Nature::State, false),
        (REQ_LAST_CHECK, Nature::State, true),
        (REQ_EXCLUSIVE, Nature::State, true),
        (REQ_ET, Nature::Count, true),
        (REQ_ONESHOT, Nature::Count, false),
        (REQ_DISPATCH, Nature::Count, false),
    ] {
        let mut host = Host::without_ring();
        let a = tied(&mut host, 0, flags, nature);
        host.report(a, &bits(1));
        assert!(host.get().is_some());
        assert_eq!(
            looks(&mut host).len(),
            usize::from(asked),
            "{flags:x} {nature:?}"
        );
    }
}

#[test]
fn each_is_asked_once_in_a_round_though_it_fires() {
    let mut host = Host::without_ring();
    let handles: Vec<_> = (0..100)
        .map(|id| tied(&mut host, id, 0, Nature::State))
        .collect();
    for &handle in &handles {
        host.report(handle, &bits(1));
    }
    for _ in &handles {
        assert!(host.get().is_some());
    }
    let mut left = host.state.to_look_at();
    let mut asked = Vec::new();
    loop {
        match host.state.next_look(&mut left) {
            Look::At(found, _) => {
                asked.push(found.handle);
                host.report(found.handle, &bits(1));
                assert!(host.get().is_some());
            }
            Look::More => {}
            Look::Nothing => break,
        }
    }
    assert_eq!(asked, handles);
}

#[test]
fn a_level_that_is_pending_again_is_on_one_list() {
    let mut host = Host::new(0);
    let (a, b) = (tied(&mut host, 0, 0, Nature::State), host.add(1, 0));
    let mut consumer = host.consumer(1);
    host.report(a, &bits(1));
    let taken = consumer.take().expect("an event");
    host.report(b, &bits(1));
    host.report(a, &bits(2));
    assert_eq!((host.state.pending(), host.state.to_look_at()), (2, 0));
    consumer.finish(taken);
    host.state.flush(2);
    assert_eq!((host.state.pending(), host.state.to_look_at()), (1, 0));
    assert!(host.get().is_some() && host.get().is_some());
    assert_eq!(looks(&mut host), [(a, true)]);
}

#[test]
fn a_level_that_became_oneshot_leaves_the_list_when_it_is_over() {
    let mut host = Host::new(2);
    let (a, b) = (
        tied(&mut host, 0, 0, Nature::State),
        tied(&mut host, 1, 0, Nature::State),
    );
    for handle in [a, b] {
        host.report(handle, &bits(1));
        assert!(host.get().is_some());
    }
    host.state.modify(a, &template(0, REQ_ONESHOT), 0).unwrap();
    host.report(a, &bits(1));
    assert!(host.get().is_some());
    assert_eq!(host.state.dead(), Some(a));
    assert_eq!(looks(&mut host), [(b, true)]);
    host.state.remove(a);
    assert!(host.state.dead().is_none());
}

#[test]
fn what_is_removed_is_not_asked() {
    let mut host = Host::without_ring();
    let handles = [0, 1, 2].map(|id| tied(&mut host, id, 0, Nature::State));
    for handle in handles {
        host.report(handle, &bits(1));
        assert!(host.get().is_some());
    }
    assert!(host.state.remove(handles[1]).tie.is_some());
    assert_eq!(looks(&mut host), [(handles[0], true), (handles[2], true)]);
}

#[test]
fn an_answer_to_an_older_request_is_void() {
    let mut host = Host::without_ring();
    let a = tied(&mut host, 0, 0, Nature::State);
    let asked = host.state.ask(a).expect("it is tied");
    assert!(host.state.is_valid(&asked));
    host.state.modify(a, &template(0, 0), 1).unwrap();
    assert!(!host.state.is_valid(&asked));
    let asked = host.state.ask(a).expect("it is tied");
    host.state.remove(a);
    assert!(!host.state.is_valid(&asked));
}

#[test]
fn a_report_is_cut_to_what_is_wanted() {
    let mut host = Host::without_ring();
    let a = host.add(0, 0);
    let changed = Event {
        mask: 0x3,
        ..template(0, 0)
    };
    host.state.modify(a, &changed, 0).unwrap();
    assert_eq!(host.state.report(a, &bits(0x4), 0x10), None);
    assert_eq!(host.state.report(a, &bits(0x15), 0x10), Some(Wake::One));
    assert_eq!(host.get().map(|event| event.word), Some(0x11));
    let unsure = Fired {
        result: RET_RECHECK,
        ..bits(0)
    };
    assert_eq!(host.state.report(a, &unsure, 0x10), Some(Wake::One));
    let word = host.get().map(|event| Word(event.word));
    assert_eq!(
        word.map(|w| (w.outcome() as u32, w.result())),
        Some((0x3, RET_RECHECK))
    );
}

#[test]
fn levels_of_a_batch_are_looked_at_once_they_were_copied() {
    let mut host = Host::without_ring();
    for id in 0..3 {
        let handle = tied(&mut host, id, 0, Nature::State);
        host.report(handle, &bits(1));
    }
    assert_eq!(host.gather(3, 2).len(), 2);
    assert_eq!((host.state.to_look_at(), host.state.pending()), (2, 1));
    assert_eq!(host.gather(3, 3).len(), 1);
    assert_eq!((host.state.to_look_at(), host.state.pending()), (3, 0));
}

#[test]
fn a_batch_ends_before_what_its_source_has_to_agree_to() {
    let mut host = Host::without_ring();
    for (id, flags) in [(0, REQ_ET), (1, REQ_ET | REQ_LAST_CHECK), (2, REQ_ET)] {
        let handle = tied(&mut host, id, flags, Nature::State);
        host.report(handle, &bits(1));
    }
    assert_eq!(host.gather(3, 3).len(), 1);
    assert_eq!(host.gather(3, 3).len(), 0);
    assert_eq!(host.state.pending(), 2);
}

#[test]
fn whom_to_ask_before_delivery() {
    let checked = |flags: u32, nature: Nature, result: u32| {
        let mut host = Host::new(1);
        let a = tied(&mut host, 0, flags, nature);
        host.report(a, &Fired { result, ..bits(1) });
        let (_, registration) = host.state.peek().expect("an event");
        registration.is_to_check()
    };
    assert!(checked(REQ_LAST_CHECK, Nature::State, 0));
    assert!(checked(0, Nature::State, RET_RECHECK));
    assert!(checked(REQ_LAST_CHECK | REQ_DISPATCH, Nature::State, 0));
    assert!(!checked(0, Nature::State, 0));
    assert!(!checked(REQ_LAST_CHECK, Nature::Count, 0));
    assert!(!checked(REQ_ONESHOT, Nature::State, RET_RECHECK));
    assert!(!checked(REQ_LAST_CHECK, Nature::State, RET_INJECTED));
    assert!(!checked(
        REQ_LAST_CHECK,
        Nature::State,
        RET_BROKEN | RET_DONE
    ));
}

#[test]
fn what_was_taken_back_is_said() {
    let mut host = Host::new(0);
    let (a, b) = (host.add(0, 0), host.add(1, 0));
    host.report(a, &bits(1));
    host.report(a, &bits(4));
    host.report(b, &bits(2));
    let mut untaken = |handle| host.state.remove(handle).untaken.map(|fired| fired.mask);
    assert_eq!(untaken(a), Some(5), "in the ring");
    assert_eq!(untaken(b), Some(2), "pending");
    let c = host.add(2, 0);
    host.report(c, &bits(1));
    assert!(host.get().is_some());
    assert!(host.state.remove(c).untaken.is_none(), "taken");
}

#[test]
fn a_dispatch_that_was_delivered_to_nobody_is_armed_again() {
    let mut host = Host::without_ring();
    let a = tied(&mut host, 0, REQ_DISPATCH, Nature::State);
    host.report(a, &bits(1));
    assert!(host.get().is_some());
    assert_eq!(host.state.report(a, &bits(1), 0), None);
    host.state.rearm(a);
    assert_eq!(host.state.report(a, &bits(1), 0), Some(Wake::One));
}

#[test]
fn a_level_that_became_an_edge_is_on_one_list() {
    let mut host = Host::without_ring();
    let handles = [0, 1, 2].map(|id| tied(&mut host, id, 0, Nature::State));
    for handle in handles {
        host.report(handle, &bits(1));
        host.get().expect("an event");
    }
    assert_eq!(host.state.to_look_at(), 3);
    assert_eq!(
        host.outstanding(handles[1], template(1, REQ_ET)),
        Some(false)
    );
    assert_eq!(host.state.to_look_at(), 2);
    host.report(handles[1], &bits(1));
    assert_eq!(host.get().map(|event| event.id), Some(1));
    assert!(host.get().is_none() && host.state.pending() == 0);
    let mut left = host.state.to_look_at();
    for handle in [handles[0], handles[2]] {
        match host.state.next_look(&mut left) {
            Look::At(asked, true) => assert_eq!(asked.handle, handle),
            look => panic!("{look:?}"),
        }
    }
    assert!(matches!(host.state.next_look(&mut left), Look::Nothing));
}
