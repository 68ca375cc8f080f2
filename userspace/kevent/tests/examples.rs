// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The examples, run as programs. They lie where cargo puts them, beside the folder of this test.

mod common;

use std::process::Command;

fn run(name: &str, arguments: &[&str]) -> String {
    let here = std::env::current_exe().unwrap();
    let folder = here.parent().unwrap().parent().unwrap().join("examples");
    let output = Command::new(folder.join(name)).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if !common::supported() {
        assert!(errors.contains("this kernel has no kevent"), "{errors}");
        return String::new();
    }
    print!("{text}");
    assert!(
        output.status.success(),
        "{name}: {}\n{errors}",
        output.status
    );
    text
}

fn runs(name: &str, arguments: &[&str], says: &str) {
    let text = run(name, arguments);
    assert!(text.is_empty() || text.contains(says), "{text}");
}

#[test]
fn chat() {
    runs("chat", &[], "the talker heard 10 lines");
}

#[test]
fn echo() {
    runs("echo", &["--self-test"], "8 clients had 1 MiB each echoed");
}

#[test]
fn http() {
    runs(
        "http",
        &["--self-test", "8000"],
        "1280 requests beside 8000 idle",
    );
}

/// A million, the default of the program, take minutes where each instruction is emulated.
#[test]
fn timers() {
    runs("timers", &["100000"], "1000 given back, 99000 ended");
}

#[test]
fn workers() {
    runs("workers", &["2000"], "2000 jobs: ");
}

#[test]
fn readme() {
    let example = include_str!("../examples/readme.rs");
    let page = include_str!("../../../README.md");
    assert!(page.contains(&format!("```rust\n{example}```\n")));
    runs("readme", &[], " ticks");
}

#[test]
fn each_is_short() {
    let sources = [
        include_str!("../examples/chat.rs"),
        include_str!("../examples/echo.rs"),
        include_str!("../examples/http.rs"),
        include_str!("../examples/timers.rs"),
        include_str!("../examples/workers.rs"),
    ];
    assert!(sources.iter().all(|source| source.lines().count() < 150));
}
