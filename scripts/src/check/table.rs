//! The patches and the checks, and below them why a cell failed.

use comfy_table::{Table, presets};

use super::kept::RECORD;
use super::states::State;
use super::{Cell, Outcome, Verdict};
use crate::guest::results::Tally;
use crate::progress::seconds;

/// How many findings of a cell are shown, and how many lines of each.
const FINDINGS: usize = 5;
const LINES: usize = 8;

/// The table, and below it what is to be known of cells that failed.
pub fn report(states: &[&State], outcome: &Outcome) -> String {
    let mut text = table(states, outcome).to_string();
    text.push('\n');
    for failure in failed(states, outcome) {
        text.push_str(&format!("\nFAIL {failure}\n"));
    }
    for what in &outcome.missing {
        text.push_str(&format!("\nMISSING {what}\n"));
    }
    for what in &outcome.wrong {
        text.push_str(&format!("\nFAIL {what}\n"));
    }
    match count(outcome, &Verdict::NotRun) {
        0 => {}
        cells => text.push_str(&format!(
            "\n{cells} cells were not run with these sources: cargo xtask check\n"
        )),
    }
    text
}

/// All that failed, each with the first lines of why.
pub fn failures(states: &[&State], outcome: &Outcome) -> Vec<String> {
    let mut failures = failed(states, outcome);
    failures.extend(outcome.missing.iter().map(|what| format!("missing {what}")));
    failures.extend(outcome.wrong.iter().cloned());
    failures
}

/// The cells that failed, each with the first lines of why.
fn failed(states: &[&State], outcome: &Outcome) -> Vec<String> {
    let mut failed = Vec::new();
    for (state, cells) in states.iter().zip(&outcome.cells) {
        for cell in cells {
            if let Verdict::Failed { findings, log } = &cell.verdict {
                let mut text = format!("{} {}", state.number, cell.check);
                findings.iter().take(FINDINGS).for_each(|finding| {
                    let lines = finding.lines().take(LINES);
                    lines.for_each(|line| text.push_str(&format!("\n  {line}")));
                });
                if findings.len() > FINDINGS {
                    let more = findings.len() - FINDINGS;
                    text.push_str(&format!("\n  and {more} more"));
                }
                text.push_str(&format!("\n  all of it: {}", log.display()));
                failed.push(text);
            }
        }
    }
    failed
}

fn count(outcome: &Outcome, verdict: &Verdict) -> usize {
    let cells = outcome.cells.iter().flatten();
    cells.filter(|cell| cell.verdict == *verdict).count()
}

fn table(states: &[&State], outcome: &Outcome) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let checks = outcome.cells.first().into_iter().flatten();
    // A name of several words is as many lines.
    let checks = checks.map(|cell| cell.check.replace(' ', "\n"));
    table.set_header(["patch".to_owned()].into_iter().chain(checks));
    for (state, cells) in states.iter().zip(&outcome.cells) {
        let subject: String = state.subject.chars().take(40).collect();
        let name = format!("{} {subject}", state.number);
        table.add_row([name].into_iter().chain(cells.iter().map(word)));
    }
    table
}

fn word(cell: &Cell) -> String {
    let word = match &cell.verdict {
        Verdict::Passed => "ok",
        Verdict::Recorded => "recorded",
        Verdict::Nothing => "-",
        Verdict::NotRun => "not run",
        Verdict::Missing => "missing",
        Verdict::Failed { findings, .. } => &format!("FAIL {}", findings.len()),
    };
    // Of what took long, how long.
    match cell.time.filter(|time| time.as_secs() >= 5) {
        Some(time) => format!("{word} {}", seconds(time)),
        None => word.to_owned(),
    }
}

/// What was run or recorded counts as passed, what lacks a tool as failed.
pub fn tally(outcome: &Outcome) -> Tally {
    let mut tally = Tally {
        failed: outcome.wrong.len(),
        ..Tally::default()
    };
    for cell in outcome.cells.iter().flatten() {
        match cell.verdict {
            Verdict::Passed | Verdict::Recorded => tally.passed += 1,
            Verdict::Failed { .. } | Verdict::Missing => tally.failed += 1,
            Verdict::NotRun => tally.skipped += 1,
            Verdict::Nothing => {}
        }
    }
    tally
}

/// The same for one step among others. What is recorded did not run there, and what is not is one thing
/// that was left out, however many cells it has.
pub fn of_a_step(outcome: &Outcome) -> Tally {
    let all = tally(outcome);
    Tally {
        passed: count(outcome, &Verdict::Passed),
        skipped: all.skipped.min(1),
        ..all
    }
}

/// What is only recorded, in a line.
pub fn recorded(outcome: &Outcome) -> Option<String> {
    let cells = count(outcome, &Verdict::Recorded);
    (cells > 0).then(|| format!("{cells} cells passed with these sources, as {RECORD} says"))
}
