// SPDX-License-Identifier: GPL-2.0

//! The constants are those of the UAPI header.

use crate::host::*;
use std::mem::{
    offset_of,
    size_of, //
};

const HEADER: &str = include_str!("../../../../linux/include/uapi/linux/kevent.h");

/// The value that the header defines for `name`.
fn defined(name: &str) -> u64 {
    let value = HEADER
        .lines()
        .filter_map(|line| line.strip_prefix("#define "))
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find_map(|(defined, rest)| (defined == name).then(|| rest.trim()))
        .unwrap_or_else(|| panic!("{name} is not defined"));
    let value = value.split("/*").next().expect("a value").trim();
    evaluate(value)
}

fn evaluate(value: &str) -> u64 {
    let value = value.trim_start_matches('(').trim_end_matches(')');
    if let Some((left, right)) = value.split_once("<<") {
        return evaluate(left.trim()) << evaluate(right.trim());
    }
    let value = value.trim_end_matches(['U', 'L']);
    if value.starts_with("KEVENT_") {
        return defined(value);
    }
    match value.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => value.parse(),
    }
    .unwrap_or_else(|_| panic!("not a number: {value}"))
}

#[test]
fn word_is_the_pair_of_the_header() {
    let high = |name| defined(name) << 32;
    let word = Word::untaken(0xdead_beef, 0x7f, 0xff);
    assert_eq!(word.0 & 0xffff_ffff, 0xdead_beef);
    assert_eq!(
        word.0 & high("KEVENT_RET_LAP_MASK"),
        high("KEVENT_RET_LAP_MASK")
    );
    assert_eq!(word.0 >> 32 & !defined("KEVENT_RET_LAP_MASK"), 0x7f);

    let taken = Word(0).taken(defined("KEVENT_OWNER_MAX") as u32);
    let owner = defined("KEVENT_RET_OWNER_MASK") << 32;
    assert_eq!(taken.0, owner | high("KEVENT_RET_TAKEN"));
    assert_eq!(u64::from(taken.owner()), defined("KEVENT_OWNER_MAX"));
    assert_eq!(Word(0).finished().0, high("KEVENT_RET_FINISHED"));
    assert_eq!(Word::FRESH.0, high("KEVENT_RET_FINISHED"));

    let lap = Word::untaken(0, 0, 1).0 >> 32;
    assert_eq!(lap, 1 << defined("KEVENT_RET_LAP_SHIFT"));
}

#[test]
fn flags_are_those_of_the_header() {
    let expected = [
        ("KEVENT_RET_BROKEN", RET_BROKEN),
        ("KEVENT_RET_DONE", RET_DONE),
        ("KEVENT_RET_OUTSTANDING", RET_OUTSTANDING),
        ("KEVENT_RET_COUNTED", RET_COUNTED),
        ("KEVENT_REQ_ONESHOT", REQ_ONESHOT),
        ("KEVENT_REQ_WAKEUP_ALL", REQ_WAKEUP_ALL),
        ("KEVENT_REQ_ET", REQ_ET),
        ("KEVENT_REQ_LAST_CHECK", REQ_LAST_CHECK),
        ("KEVENT_REQ_ALWAYS_QUEUE", REQ_ALWAYS_QUEUE),
        ("KEVENT_REQ_DISPATCH", REQ_DISPATCH),
        ("KEVENT_REQ_EXCLUSIVE", REQ_EXCLUSIVE),
    ];
    for (name, value) in expected {
        assert_eq!(defined(name), u64::from(value), "{name}");
    }
    assert_eq!(defined("KEVENT_DATA_CLOSED"), DATA_CLOSED);
    assert_eq!(opened::consumer::DATA_CLOSED, DATA_CLOSED);
    assert_eq!(opened::consumer::COUNTED, u64::from(RET_COUNTED) << 32);
}

#[test]
fn an_event_is_one_cache_line_in_the_order_of_the_header() {
    assert_eq!(size_of::<Event>(), 64);
    assert_eq!(align_of::<Event>(), 64);
    let ours = [
        ("id", offset_of!(Event, id)),
        ("type", offset_of!(Event, kind)),
        ("event", offset_of!(Event, mask)),
        ("req_flags", offset_of!(Event, flags)),
        ("error", offset_of!(Event, error)),
        ("data", offset_of!(Event, data)),
        ("user", offset_of!(Event, user)),
        ("param[2]", offset_of!(Event, param)),
        ("word", offset_of!(Event, word)),
    ];
    let body = HEADER.split("struct ukevent {").nth(1).expect("the struct");
    let mut offset = 0;
    let mut fields = body.lines().filter_map(|line| {
        let line = line.trim();
        let line = ["__u", "__aligned_u"]
            .iter()
            .find_map(|name| line.strip_prefix(name))?;
        let (bits, rest) = line.split_once(char::is_whitespace)?;
        Some((
            bits.parse::<usize>().ok()? / 8,
            rest.split(';').next()?.trim(),
        ))
    });
    for (name, ours) in ours {
        let (size, field) = fields.next().expect("a field");
        assert_eq!(field, name);
        assert_eq!(ours, offset, "{name}");
        offset += if name.ends_with(']') { 2 * size } else { size };
    }
    assert_eq!(offset, 64);
}

#[test]
fn laps_are_eight_bits_and_begin_with_one() {
    for shift in [0, 1, 4, 16] {
        let slots = 1u64 << shift;
        assert_eq!(Word::lap_of(0, shift), 1);
        assert_eq!(Word::lap_of(slots - 1, shift), 1);
        assert_eq!(Word::lap_of(slots, shift), 2);
        assert_eq!(Word::lap_of(255 * slots, shift), 0);
        assert_eq!(Word::lap_of(256 * slots, shift), 1);
        assert_eq!(Word::lap_of(u64::MAX, shift), 0);
    }
}

#[test]
fn states_exclude_each_other() {
    let untaken = Word::untaken(5, 0, 9);
    let taken = untaken.taken(3);
    let finished = taken.finished();
    let states = |word: Word| [word.is_untaken(), word.is_taken(), word.is_finished()];
    assert_eq!(states(untaken), [true, false, false]);
    assert_eq!(states(taken), [false, true, false]);
    assert_eq!(states(finished), [false, false, true]);
    assert_eq!([untaken.lap(), taken.lap(), finished.lap()], [9; 3]);
    assert_eq!((taken.owner(), finished.owner()), (3, 3));
    assert_eq!(untaken.merged(2, 0x40).outcome(), 0x40_0000_0007);
}
