//! The cover letter: its program compiles, and its numbers are those that were measured.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const LETTER: &str = include_str!("../series/cover.txt");
const RESULTS: &str = include_str!("../../bench/results/x86_64.json");

/// What the letter may be off; more is news.
const TOLERANCE: f64 = 0.02;

#[test]
fn the_program_compiles() {
    let lines = LETTER.lines();
    let block = lines
        .skip_while(|line| !line.starts_with('\t'))
        .take_while(|line| line.starts_with('\t') || line.is_empty());
    let block: Vec<&str> = block.collect();
    assert!(block.len() <= 20, "{} lines", block.len());
    let program = format!(
        "#include \"kevent.h\"\n\
         void handle(__u64 user, __u32 fired, uint64_t data);\n\
         int serve(int listener);\n\
         int serve(int listener)\n{{\n{}\n}}\n",
        block.join("\n")
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cover.c");
    fs::write(&path, program).unwrap();
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]);
    for folder in ["selftests", "linux/include/uapi"] {
        cc.arg("-I").arg(top.join(folder));
    }
    let output = cc.arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// What a workload costs with the cheapest of these peers, above the same without being told.
fn cost(workload: &str, peers: &[&str], whole: bool) -> f64 {
    let results: Value = serde_json::from_str(RESULTS).unwrap();
    let all = results["workloads"].as_array().unwrap();
    let costs = all.iter().find(|one| one["name"] == workload).unwrap();
    let costs = costs["costs"].as_array().unwrap();
    let of = |peer: &str| {
        let row = costs.iter().find(|row| row["peer"] == peer)?;
        row["cost"].as_f64()
    };
    let none = if whole { None } else { of("none") };
    let cost = peers.iter().filter_map(|peer| of(peer)).reduce(f64::min);
    cost.unwrap() - none.unwrap_or(0.0)
}

/// The line of the letter, its workloads and what kevent is called there, whether all of it counts.
type Row = (&'static str, &'static [(&'static str, &'static str)], bool);

const ROWS: [Row; 9] = [
    ("one eventfd: ", &[("eventfd-one", "kevent")], false),
    ("64 in one go", &[("eventfd-batch", "kevent")], false),
    (
        "fires 64 times; without ring ",
        &[("eventfd-storm", "kevent"), ("eventfd-storm", "kevent-get")],
        false,
    ),
    ("a byte there", &[("echo-tcp", "kevent")], false),
    (
        "register, remove",
        &[("ctl-add", "kevent"), ("ctl-del", "kevent")],
        false,
    ),
    (
        "timers: ",
        &[("timer-arm", "kevent"), ("timer-expire", "kevent")],
        false,
    ),
    (
        "memory of a timer, of a file",
        &[("memory-timer", "kevent"), ("memory-fd", "kevent")],
        false,
    ),
    ("asleep ", &[("asleep", "kevent")], false),
    (
        "HTTP request; without ring ",
        &[("http", "kevent"), ("http", "kevent-get")],
        true,
    ),
];

#[test]
fn numbers_are_those_that_were_measured() {
    for (name, workloads, whole) in ROWS {
        let line = LETTER
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no line {name}"));
        let told = line
            .split([' ', ',', ';'])
            .filter_map(|word| match word.contains('.') {
                true => word.parse::<f64>().ok(),
                false => None,
            });
        let told: Vec<f64> = told.collect();
        let mut measured = Vec::new();
        for peers in [
            ["epoll-et", "epoll-lt", "timerfd+epoll"],
            ["io_uring", "io_uring-defer", ""],
        ] {
            let ratio = |(workload, kevent): &(&str, &str)| {
                cost(workload, &[kevent], whole) / cost(workload, &peers, whole)
            };
            measured.extend(workloads.iter().map(ratio));
        }
        assert_eq!(told.len(), measured.len(), "{line}");
        for (told, measured) in told.iter().zip(&measured) {
            let tolerance = if whole { TOLERANCE / 10.0 } else { TOLERANCE };
            assert!(
                (told - measured).abs() <= tolerance,
                "{line}: {measured:.3}"
            );
        }
        let loses = measured.iter().filter(|ratio| **ratio > 1.0005 + TOLERANCE);
        assert!(line.matches("(loses)").count() >= loses.count(), "{line}");
    }
}
