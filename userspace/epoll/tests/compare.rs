// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The same program with the library and without: what it tells must be the same, but for what the
//! manual page lists. It and the library lie where cargo puts them, beside the folder of this test.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

const PAGE: &str = include_str!("../../../Documentation/man/libepoll-kevent.7");

/// What is different: the line, what epoll says, and what is said on kevent.
const DIFFERENT: &[(&str, &str, &str)] = &[
    (
        "order.it comes last",
        r#"Ok([(0, "IN"), (2, "IN"), (3, "IN"), (4, "IN"), (1, "IN")])"#,
        r#"Ok([(1, "IN"), (0, "IN"), (2, "IN"), (3, "IN"), (4, "IN")])"#,
    ),
    ("exclusive.how many have it, if nobody waits", "2", "1"),
    ("nested_edge.is an edge", "Ok([])", r#"Ok(["IN"])"#),
    (
        "reuse.old and new",
        r#"Ok([(1, "IN"), (2, "IN")])"#,
        r#"Ok([(2, "IN")])"#,
    ),
];

fn folder() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    here.parent().unwrap().to_owned()
}

/// Runs the program.
fn run(argument: Option<&str>, preload: bool, off: bool) -> Vec<String> {
    let mut command = Command::new(folder().parent().unwrap().join("epoll-probe"));
    command.args(argument);
    command.env_remove("EPOLL_KEVENT");
    if preload {
        command.env("LD_PRELOAD", folder().join("libepoll_kevent.so"));
    }
    if off {
        command.env("EPOLL_KEVENT", "off");
    }
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", output.status);
    // The dynamic linker only warns if there is no library.
    assert!(!errors.contains("LD_PRELOAD"), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Whether the kernel has kevent. It must, if `KEVENT_REQUIRED` is set, as it is in the guest.
fn supported() -> bool {
    let query = kevent_sys::KEVENT_INIT_QUERY;
    // SAFETY: A query touches no memory.
    let has = unsafe { kevent_sys::kevent_init(std::ptr::null_mut(), 0, query) } >= 0;
    assert!(has || std::env::var_os("KEVENT_REQUIRED").is_none());
    has
}

fn split(line: &str) -> (&str, &str) {
    line.split_once(": ").unwrap_or((line, ""))
}

#[test]
fn the_librarys_is_a_queue() {
    let epoll = ["anon_inode:[eventpoll]"];
    assert_eq!(run(Some("--kind"), false, false), epoll);
    assert_eq!(run(Some("--kind"), true, true), epoll);
    let kevent = ["anon_inode:[kevent]"];
    let expected = if supported() { kevent } else { epoll };
    assert_eq!(run(Some("--kind"), true, false), expected);
}

#[test]
fn what_succeeds_is_one_of_kevent_alone() {
    let refused = "Err(\"EPERM\")";
    let all = |add, wait, modify, delete| {
        [
            format!("ADD: {add}"),
            format!("wait: {wait}"),
            format!("MOD: {modify}"),
            format!("DEL: {delete}"),
            format!("DEL again: {refused}"),
            format!("ADD of nothing: {refused}"),
        ]
    };
    let epoll = all(refused, "Ok(0)", refused, refused);
    assert_eq!(run(Some("--alone"), false, false), epoll);
    let kevent = all("Ok(0)", "Ok(1)", "Ok(0)", "Ok(0)");
    let expected = if supported() { kevent } else { epoll };
    assert_eq!(run(Some("--alone"), true, false), expected);
}

#[test]
fn turned_off_it_is_epoll() {
    assert_eq!(run(None, false, false), run(None, true, true));
}

#[test]
fn it_is_as_epoll() {
    let (epoll, kevent) = (run(None, false, false), run(None, true, false));
    let on = if supported() {
        "kevent"
    } else {
        "epoll, as this kernel has no kevent"
    };
    let mut expected = DIFFERENT.to_vec();
    let mut wrong = Vec::new();
    for (real, ours) in epoll
        .iter()
        .zip(&kevent)
        .filter(|(real, ours)| real != ours)
    {
        let ((name, real), (same, ours)) = (split(real), split(ours));
        let known = expected
            .iter()
            .position(|known| *known == (name, real, ours));
        match known {
            Some(at) if name == same => drop(expected.remove(at)),
            _ => wrong.push(format!("{name}: {real}\n{same}: {ours}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(epoll.len(), kevent.len());
    if supported() {
        assert!(expected.is_empty(), "not different: {expected:?}");
    } else {
        expected.clear();
        assert_eq!(epoll, kevent);
    }
    let all = epoll.len();
    let unequal = if supported() { DIFFERENT.len() } else { 0 };
    // Not by what a test that passes does not show.
    let equal = all - unequal;
    writeln!(
        std::io::stdout(),
        "{equal} of {all} comparisons equal, on {on}"
    )
    .unwrap();
}

#[test]
fn the_page_lists_what_is_different() {
    for (name, ..) in DIFFERENT {
        let case = name.split('.').next().unwrap();
        assert!(
            PAGE.contains(&format!(".\\\" PROBE {name}\n")),
            "{case}: {name}"
        );
    }
    assert_eq!(PAGE.matches(".\\\" PROBE ").count(), DIFFERENT.len());
}
