//! Which tests of cargo's failed, by what they and cargo wrote.

use crate::guest::results;

/// Lines that are kept of what a test or a program said.
const LAST_SAID: usize = 20;

/// The tests that failed, each with what it said.
pub fn failures(text: &str, success: bool) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut failures = Vec::new();
    // One program after the other, as two may have tests of one name.
    for program in lines.split_inclusive(|line| line.contains("test result: ")) {
        let said = |name| results::failure(name, &said(program, name));
        failures.extend(names(program).into_iter().map(said));
    }
    if !success {
        failures.extend(died(&lines, failures.is_empty()));
    }
    failures
}

/// What a program calls its tests that failed: in lines "test NAME ... FAILED", which is two lines if
/// the test wrote between, and in the list before its counts.
fn names<'a>(program: &[&'a str]) -> Vec<&'a str> {
    let failed = |line: &&'a str| line.strip_prefix("test ")?.strip_suffix(" ... FAILED");
    let mut names: Vec<&str> = program.iter().filter_map(failed).map(bare).collect();
    let list = program.iter().rposition(|line| *line == "failures:");
    let list = list.map_or(&[][..], |place| &program[place + 1..]);
    for name in list.iter().map_while(|line| line.strip_prefix("    ")) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The name of a test without what is expected of it.
fn bare(name: &str) -> &str {
    let expected = [" - should panic", " - compile fail", " - compile"];
    let bare = expected.iter().find_map(|what| name.strip_suffix(what));
    bare.unwrap_or(name)
}

/// What a test said: what was kept of it, or the panic of its thread, or what stands between its name
/// and its result where tests run one by one.
fn said<'a>(program: &[&'a str], name: &str) -> Vec<&'a str> {
    let head = format!("---- {name} stdout ----");
    if let Some(place) = program.iter().position(|line| *line == head) {
        let is_next = |line: &&&str| {
            let is_head = line.starts_with("---- ") && line.ends_with(" stdout ----");
            is_head || **line == "failures:"
        };
        let rest = program[place + 1..].iter();
        let kept: Vec<&str> = rest.take_while(|line| !is_next(line)).copied().collect();
        let panic = kept.iter().position(|line| line.contains(PANICKED));
        // What it wrote before is less than why it failed.
        let begin = panic.filter(|_| kept.len() > LAST_SAID).unwrap_or(0);
        return reason(&kept[begin..])
            .filter(|line| !line.is_empty())
            .collect();
    }
    let thread = format!("thread '{name}' ");
    let panicked = |line: &&str| line.contains(PANICKED) && line.contains(&thread);
    if let Some(place) = program.iter().position(panicked) {
        let panic = reason(&program[place..]);
        return panic
            .take_while(|line| !line.is_empty() && *line != "FAILED")
            .collect();
    }
    let begins = format!("test {name} ");
    let Some(place) = program.iter().position(|line| line.starts_with(&begins)) else {
        return Vec::new();
    };
    let on_the_line = program[place].split_once(" ... ").map(|(_, said)| said);
    let on_the_line = on_the_line.filter(|said| *said != "FAILED");
    let ends = |line: &&str| *line == "FAILED" || line.starts_with("test ");
    let below = reason(&program[place + 1..]).take_while(|line| !ends(line));
    let below = below.filter(|_| on_the_line.is_some());
    let all = on_the_line.into_iter().chain(below);
    all.filter(|line| !line.is_empty()).collect()
}

const PANICKED: &str = " panicked at ";

/// Without what Rust says of backtraces.
fn reason<'a>(lines: &[&'a str]) -> impl Iterator<Item = &'a str> {
    let ends = |line: &&&str| {
        let note = line.starts_with("note: ") && line.contains("BACKTRACE");
        note || **line == "stack backtrace:"
    };
    lines.iter().take_while(move |line| !ends(line)).copied()
}

/// What is said of a program that a signal ended; if `only` this can have failed, of what did not
/// compile too, or else the last lines.
fn died(lines: &[&str], only: bool) -> Option<String> {
    let signal = |line: &&str| line.contains("signal: ") && line.contains("SIG");
    let before = |end: usize| end.saturating_sub(LAST_SAID)..end;
    let (what, range) = match lines.iter().position(signal) {
        Some(place) => ("a program died", before(place + 1)),
        None if !only => return None,
        None => match lines.iter().position(|line| line.starts_with("error")) {
            Some(place) => ("cargo failed", place..lines.len().min(place + LAST_SAID)),
            None => ("a program failed", before(lines.len())),
        },
    };
    let said = lines[range].iter().filter(|line| !line.is_empty());
    Some(results::failure(what, &said.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_named() {
        let text = "test a::b ... ok\ntest a::c ... FAILED\ntest result: FAILED. 1 passed\n";
        assert_eq!(failures(text, false), ["a::c"]);
        assert!(failures("test a ... ok\n", true).is_empty());
    }

    /// What cargo writes of a library's tests, a program that dies, and a doctest.
    const KEPT: &str = r#"     Running unittests src/lib.rs (t/debug/deps/sample-e6daf73c296d6df0)

running 4 tests
test tests::error ... FAILED
test tests::good ... ok
test tests::panics - should panic ... FAILED
test tests::equal ... FAILED

failures:

---- tests::error stdout ----
Error: "why"

---- tests::panics stdout ----
note: test did not panic as expected at src/lib.rs:10:32
---- tests::equal stdout ----
before

thread 'tests::equal' (4805) panicked at src/lib.rs:8:46:
assertion `left == right` failed: not

even
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    tests::equal
    tests::error
    tests::panics

test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.46s

error: test failed, to rerun pass `--lib`
     Running tests/dies.rs (t/debug/deps/dies-ba5e3dcfdef1d3d7)

running 2 tests
test tests::equal ... FAILED
error: test failed, to rerun pass `--test dies`

Caused by:
  process didn't exit successfully: `t/debug/deps/dies-ba5e` (signal: 6, SIGABRT: process abort signal)
   Doc-tests sample

running 1 test
test src/lib.rs - one (line 1) ... FAILED

failures:

---- src/lib.rs - one (line 1) stdout ----
Test executable failed (exit status: 101).

stderr:

thread 'main' (4836) panicked at /tmp/rustdoctestdGnanf/doctest_bundle_2024.rs:6:1:
assertion `left == right` failed
  left: 1
 right: 2
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/59807616e1fa/library/std/src/panicking.rs:689:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.



failures:
    src/lib.rs - one (line 1)

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.07s

error: doctest failed, to rerun pass `--doc`
"#;

    #[test]
    fn each_failure_is_told_with_what_it_said() {
        let failures = failures(KEPT, false);
        assert_eq!(
            failures[..5],
            [
                "tests::error\n  Error: \"why\"",
                "tests::panics\n  note: test did not panic as expected at src/lib.rs:10:32",
                "tests::equal\n  before\n  thread 'tests::equal' (4805) panicked at \
                 src/lib.rs:8:46:\n  assertion `left == right` failed: not\n  even\n    left: 1\n   \
                 right: 2",
                // It died before it said why.
                "tests::equal",
                "src/lib.rs - one (line 1)\n  Test executable failed (exit status: 101).\n  stderr:\n  \
                 thread 'main' (4836) panicked at /tmp/rustdoctestdGnanf/doctest_bundle_2024.rs:6:1:\n  \
                 assertion `left == right` failed\n    left: 1\n   right: 2",
            ]
        );
        let [.., died] = &failures[..] else {
            panic!("nothing failed");
        };
        assert!(died.starts_with("a program died\n"), "{died}");
        assert!(
            died.ends_with("(signal: 6, SIGABRT: process abort signal)"),
            "{died}"
        );
        assert_eq!(failures.len(), 6);
    }

    #[test]
    fn a_panic_is_kept_from_what_a_test_wrote_before() {
        let wrote = "wrote\n".repeat(50);
        let text = format!(
            "test a ... FAILED\n\nfailures:\n\n---- a stdout ----\n{wrote}\n\
             thread 'a' (7) panicked at a.rs:1:2:\nwhy\n\nfailures:\n    a\n\ntest result: FAILED.\n"
        );
        let told = failures(&text, false);
        assert_eq!(told, ["a\n  thread 'a' (7) panicked at a.rs:1:2:\n  why"]);
    }

    /// The same with --nocapture, in several threads and in one.
    const SHOWN: &str = r#"     Running /exec/deps/sample-e6daf73c296d6df0

running 4 tests
before

thread 'tests::equal' (4843) panicked at src/lib.rs:8:46:
assertion `left == right` failed
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
test tests::error ... ok

thread 'tests::other' (4844) panicked at src/lib.rs:9:1:
other

test tests::panics - should panic ... FAILED
test tests::other ... FAILED
test tests::equal ... FAILED

failures:

---- tests::panics stdout ----
note: test did not panic as expected at src/lib.rs:10:32

failures:
    tests::equal
    tests::other
    tests::panics

test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.07s

/exec/deps/sample-e6daf73c296d6df0: exit status: 101
     Running /exec/deps/one-e6daf73c296d6df0

running 3 tests
test tests::equal ... before

thread 'tests::equal' (4854) panicked at src/lib.rs:8:46:
one thread
FAILED
test tests::error ... Error: "why"
FAILED
test tests::good ... ok

failures:

failures:
    tests::equal
    tests::error

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.11s

/exec/deps/one-e6daf73c296d6df0: exit status: 101
"#;

    #[test]
    fn what_is_shown_at_once_is_found_too() {
        assert_eq!(
            failures(SHOWN, false),
            [
                "tests::panics\n  note: test did not panic as expected at src/lib.rs:10:32",
                "tests::other\n  thread 'tests::other' (4844) panicked at src/lib.rs:9:1:\n  other",
                "tests::equal\n  thread 'tests::equal' (4843) panicked at src/lib.rs:8:46:\n  \
                 assertion `left == right` failed\n    left: 1\n   right: 2",
                "tests::equal\n  thread 'tests::equal' (4854) panicked at src/lib.rs:8:46:\n  \
                 one thread",
                "tests::error\n  Error: \"why\"",
            ]
        );
    }

    #[test]
    fn what_has_no_test_is_told_too() {
        let text =
            "   Compiling x\nerror[E0425]: no `y`\n --> x.rs:1:1\n\nerror: could not compile `x`\n";
        assert_eq!(
            failures(text, false),
            [
                "cargo failed\n  error[E0425]: no `y`\n   --> x.rs:1:1\n  error: could not compile `x`"
            ]
        );
        let text = "     Running /exec/a\nlast\n/exec/a: signal: 11 (SIGSEGV)\nmore\n";
        assert_eq!(
            failures(text, false)[0].lines().last(),
            Some("  /exec/a: signal: 11 (SIGSEGV)")
        );
        assert_eq!(
            failures("one\ntwo\n", false),
            ["a program failed\n  one\n  two"]
        );
        assert!(failures("one\nsignal: 6 (SIGABRT)\n", true).is_empty());
    }
}
