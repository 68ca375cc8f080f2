//! The descriptions for syzkaller: their constants are those of the header, and their programs call
//! what they describe. syzkaller itself is not needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use nix::libc;
use regex::Regex;

const TEXT: &str = include_str!("../../syzkaller/kevent.txt");
const CONSTANTS: &str = include_str!("../../syzkaller/kevent.txt.const");

/// What `kevent_record` is made of.
const PARAMETERS: [&str; 5] = ["ID", "TYPE", "EVENT", "FLAGS", "PARAM"];

/// Architecture, its golden file, and its system call table.
const ARCHES: [(&str, &str, &str); 3] = [
    (
        "386",
        include_str!("../abi/x86_64.golden"),
        "arch/x86/entry/syscalls/syscall_32.tbl",
    ),
    (
        "amd64",
        include_str!("../abi/x86_64.golden"),
        "arch/x86/entry/syscalls/syscall_64.tbl",
    ),
    (
        "arm64",
        include_str!("../abi/arm64.golden"),
        "scripts/syscall.tbl",
    ),
];

/// The constants that an architecture has, of lines like `NAME = 1, 386:amd64:2, arm64:???`.
fn constants(arch: &str) -> BTreeMap<&'static str, u64> {
    let mut all = BTreeMap::new();
    for line in CONSTANTS.lines().filter(|line| !line.starts_with('#')) {
        let (name, values) = line.split_once(" = ").unwrap();
        if name == "arches" {
            assert_eq!(values, ARCHES.map(|(arch, ..)| arch).join(", "));
            continue;
        }
        let mut found = "???";
        for part in values.split(", ") {
            let (arches, value) = part.rsplit_once(':').unwrap_or(("", part));
            if arches.is_empty() || arches.split(':').any(|other| other == arch) {
                found = value;
            }
        }
        if found != "???" {
            assert!(all.insert(name, found.parse().unwrap()).is_none(), "{name}");
        }
    }
    all
}

fn golden(text: &str) -> BTreeMap<&str, u64> {
    let constant = |line: &'_ str| -> Option<(usize, u64)> {
        let (name, value) = line.strip_prefix("const ")?.split_once(" 0x")?;
        Some((name.len(), u64::from_str_radix(value, 16).unwrap()))
    };
    text.lines()
        .filter_map(|line| constant(line).map(|(len, value)| (&line[6..6 + len], value)))
        .collect()
}

/// The description without comments.
fn code() -> String {
    let lines = TEXT.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn constants_are_those_of_the_header() {
    for (arch, text, _) in ARCHES {
        let (constants, golden) = (constants(arch), golden(text));
        assert!(!golden.is_empty());
        for (name, value) in &golden {
            assert_eq!(constants.get(name), Some(value), "{arch}: {name}");
        }
        let own = constants.keys().filter(|name| name.starts_with("KEVENT_"));
        assert_eq!(own.count(), golden.len(), "{arch}");
    }
}

#[test]
fn numbers_are_those_of_the_tables() {
    for (arch, text, table) in ARCHES {
        let call = Regex::new(&format!(r"(?m)^call {table} (\d+) \w+ (\w+) ")).unwrap();
        let constants = constants(arch);
        let mut calls = 0;
        for call in call.captures_iter(text) {
            let name = format!("__NR_{}", &call[2]);
            let number = call[1].parse().unwrap();
            assert_eq!(constants.get(&*name), Some(&number), "{arch}: {name}");
            calls += 1;
        }
        assert_eq!(calls, 5);
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn others_are_those_of_this_machine() {
    let constants = constants("amd64");
    for (name, value) in [
        ("AT_FDCWD", i64::from(libc::AT_FDCWD)),
        ("CLOCK_BOOTTIME", libc::CLOCK_BOOTTIME.into()),
        ("CLOCK_MONOTONIC", libc::CLOCK_MONOTONIC.into()),
        ("CLOCK_REALTIME", libc::CLOCK_REALTIME.into()),
        ("CLOCK_TAI", libc::CLOCK_TAI.into()),
        ("POLLERR", libc::POLLERR.into()),
        ("POLLHUP", libc::POLLHUP.into()),
        ("POLLIN", libc::POLLIN.into()),
        // There is no POLLMSG, but epoll has the same bits.
        ("POLLMSG", libc::EPOLLMSG.into()),
        ("POLLOUT", libc::POLLOUT.into()),
        ("POLLPRI", libc::POLLPRI.into()),
        ("POLLRDBAND", libc::POLLRDBAND.into()),
        ("POLLRDHUP", libc::POLLRDHUP.into()),
        ("POLLRDNORM", libc::POLLRDNORM.into()),
        ("POLLWRBAND", libc::POLLWRBAND.into()),
        ("POLLWRNORM", libc::POLLWRNORM.into()),
        ("__NR_mmap", libc::SYS_mmap),
        ("__NR_openat", libc::SYS_openat),
    ] {
        assert_eq!(constants[name], value as u64, "{name}");
    }
}

#[test]
fn constants_are_the_ones_used() {
    let mut used = BTreeSet::new();
    let word = Regex::new(r"(\$?)\b([A-Z_][A-Z0-9_]{2,}|__NR_\w+)\b").unwrap();
    let code = code();
    for word in word.captures_iter(&code) {
        // What follows a dollar is the variant of a call.
        if word[1].is_empty() && !PARAMETERS.contains(&&word[2]) {
            used.insert(word[2].to_owned());
        }
    }
    for call in calls().into_keys() {
        let call = call.split('$').next().unwrap().to_owned();
        if !call.starts_with("syz_") {
            used.insert(format!("__NR_{call}"));
        }
    }
    let mut all: BTreeSet<String> = BTreeSet::new();
    for (arch, ..) in ARCHES {
        all.extend(constants(arch).into_keys().map(str::to_owned));
    }
    assert_eq!(used, all);
}

/// The described calls, with the number of their arguments.
fn calls() -> BTreeMap<String, usize> {
    let call = Regex::new(r"(?m)^(\w+(?:\$\w+)?)\((.*)\)(?: \w+)?$").unwrap();
    call.captures_iter(&code())
        .map(|call| (call[1].to_owned(), split(&call[2]).len()))
        .collect()
}

/// The parts of a list, at its commas outside of any bracket.
fn split(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, character) in list.char_indices() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    assert_eq!(depth, 0, "{list}");
    if !list[start..].trim().is_empty() {
        parts.push(list[start..].trim());
    }
    parts
}

/// The lines of a structure or of a union: name and type.
fn members(head: &str) -> Vec<(String, String)> {
    let code = code();
    let (_, body) = code.split_once(&format!("\n{head}\n")).expect(head);
    body.lines()
        .take_while(|line| line.starts_with('\t'))
        .map(|line| {
            let (name, kind) = line.trim().split_once('\t').unwrap();
            (name.to_owned(), kind.trim().to_owned())
        })
        .collect()
}

/// The size of a field of an event.
fn size(name: &str, kind: &str) -> u64 {
    match kind {
        "ID" | "PARAM" => 8,
        "TYPE" | "EVENT" | "FLAGS" => 4,
        _ if kind.starts_with("ptr64[") => 8,
        _ if kind.ends_with("int64], 2]") => 16,
        _ if kind.contains("int64") => 8,
        _ if kind.contains("int32") => 4,
        _ => panic!("{name}: {kind}"),
    }
}

#[test]
fn structures_are_laid_out_as_in_the_header() {
    let (_, golden, _) = ARCHES[1];
    for (head, structure) in [
        (
            "type kevent_record[ID, TYPE, EVENT, FLAGS, PARAM] {",
            "ukevent",
        ),
        ("kevent_event {", "ukevent"),
        ("kevent_wait_arg {", "kevent_wait_arg"),
    ] {
        let mut offset = 0;
        for (name, kind) in members(head) {
            let field = match &*name {
                "param0" => "param",
                "param1" => "",
                name => name,
            };
            let fact = format!("\noffset {structure}.{field} {offset} ");
            assert!(field.is_empty() || golden.contains(&fact), "{head}{fact}");
            offset += size(&name, &kind);
        }
        assert!(golden.contains(&format!("\nsize {structure} {offset}\n")));
    }
}

#[test]
fn programs_call_what_is_described() {
    let calls = calls();
    let fields = members("kevent_event {").len();
    let options: BTreeSet<String> = members("kevent_request [")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let line = Regex::new(r"^(?:(r\d) = )?([\w$]+)\((.*)\)(?: # (E[A-Z]+))?$").unwrap();
    let record = Regex::new(r"@(\w+)=\{").unwrap();
    let mut called = BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../syzkaller/test");
    let value = Regex::new(r"<?\br\d\b").unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let mut known = BTreeSet::new();
        for text in text.lines() {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let place = format!("{}: {text}", path.display());
            let call = line.captures(text).expect(&place);
            let args = split(&call[3]);
            for used in value.find_iter(&call[3]) {
                let new = used.as_str().strip_prefix('<');
                match new {
                    Some(new) => assert!(known.insert(new.to_owned()), "{place}"),
                    None => assert!(known.contains(used.as_str()), "{place}"),
                }
            }
            if let Some(result) = call.get(1) {
                assert!(known.insert(result.as_str().to_owned()), "{place}");
            }
            for found in record.captures_iter(&call[3]) {
                assert!(options.contains(&found[1]), "{place}");
                let body = &call[3][found.get(0).unwrap().end()..];
                assert_eq!(split(inside(body)).len(), fields, "{place}");
            }
            if call[2].contains("kevent") || call[2].contains("KEVENT") {
                assert_eq!(calls.get(&call[2]), Some(&args.len()), "{place}");
                called.insert(call[2].to_owned());
            }
        }
    }
    let left: Vec<_> = calls
        .keys()
        .filter(|call| !called.contains(*call))
        .collect();
    assert!(left.is_empty(), "in no program: {left:?}");
}

/// What stands before the bracket that closes the one before `text`.
fn inside(text: &str) -> &str {
    let mut depth = 1;
    let end = text.find(|character| {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    &text[..end.unwrap()]
}
