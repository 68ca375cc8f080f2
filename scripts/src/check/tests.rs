use std::cell::Cell as Counter;

use super::*;

/// Finds what it is told to, and counts how often it is asked.
struct Fake<'a> {
    quick: bool,
    lacks: bool,
    findings: Vec<String>,
    looked: &'a Counter<usize>,
}

impl Check for Fake<'_> {
    fn name(&self) -> String {
        if self.quick { "quick" } else { "slow off" }.to_owned()
    }

    fn is_quick(&self) -> bool {
        self.quick
    }

    fn lacks(&self, _: &Work) -> Option<String> {
        self.lacks.then(|| "a tool (get it)".to_owned())
    }

    fn made_of(&self, _: &Work, state: &State) -> Result<Option<MadeOf>> {
        ensure!(state.code != UNKNOWN, "unknown");
        Ok(state.counts.then(|| MadeOf {
            sources: vec![state.code.clone()],
            tools: Vec::new(),
        }))
    }

    fn look(&self, _: &Work, _: &State, _: &Path) -> Result<Vec<String>> {
        self.looked.set(self.looked.get() + 1);
        ensure!(
            !self.findings.contains(&"broken".to_owned()),
            "it is broken"
        );
        Ok(self.findings.clone())
    }

    fn judge(&self, mut findings: Vec<String>) -> Vec<String> {
        findings.retain(|finding| finding.starts_with("bad"));
        findings
    }

    fn end(&self) -> Vec<String> {
        match self.quick {
            true => vec!["an entry matches nothing".to_owned()],
            false => Vec::new(),
        }
    }
}

/// The code of a state of which no check can say what it follows from.
const UNKNOWN: &str = "unknown";

struct Place {
    folder: tempfile::TempDir,
    ctx: Context,
    base: Base,
    states: Vec<State>,
}

/// Two patches, the second of which changes documents.
fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let (base, states) = states::tests::series(folder.path());
    let mut ctx = Context::new(Arch::X86_64, None).unwrap();
    ctx.repo = folder.path().join("repo");
    ctx.cache = folder.path().join("cache");
    Place {
        folder,
        ctx,
        base,
        states,
    }
}

impl Place {
    fn run(&self, fake: Fake, args: &Args) -> Outcome {
        self.try_run(fake, args).unwrap()
    }

    fn try_run(&self, fake: Fake, args: &Args) -> Result<Outcome> {
        let home = self.folder.path().join("home");
        let work = Work {
            ctx: &self.ctx,
            base: &self.base,
            tree: &home,
            home: &home,
        };
        all(&work, &[vec![Box::new(fake)]], &self.states, args)
    }
}

fn fake<'a>(quick: bool, findings: &[&str], looked: &'a Counter<usize>) -> Fake<'a> {
    Fake {
        quick,
        lacks: false,
        findings: findings.iter().map(|text| (*text).to_owned()).collect(),
        looked,
    }
}

fn words(outcome: &Outcome) -> Vec<Verdict> {
    let cells = outcome.cells.iter().flatten();
    cells.map(|cell| cell.verdict.clone()).collect()
}

const SHORT: Args = Args {
    only: Vec::new(),
    patch: Vec::new(),
    short: true,
};

#[test]
fn what_passed_is_not_run_again() {
    let (place, looked) = (place(), Counter::new(0));
    let args = Args::default();
    for _ in 0..2 {
        let outcome = place.run(fake(false, &[], &looked), &args);
        assert_eq!(words(&outcome), [Verdict::Passed, Verdict::Nothing]);
        assert_eq!(looked.get(), 1);
    }
}

#[test]
fn a_slow_check_that_failed_is_run_again() {
    let (place, looked) = (place(), Counter::new(0));
    let args = Args::default();
    for times in 1..3 {
        let outcome = place.run(fake(false, &["bad"], &looked), &args);
        assert!(matches!(words(&outcome)[0], Verdict::Failed { .. }));
        assert_eq!(looked.get(), times);
        assert_eq!(table::tally(&outcome).failed, 1);
    }
    assert!(!place.ctx.repo.join(kept::RECORD).exists());
}

#[test]
fn the_record_has_what_passed_before_a_run_was_stopped() {
    let (mut place, looked) = (place(), Counter::new(0));
    // What the second one follows from cannot be told.
    place.states[1].counts = true;
    place.states[1].code = UNKNOWN.to_owned();
    let stopped = place.try_run(fake(false, &[], &looked), &Args::default());
    assert!(stopped.is_err());
    let outcome = place.run(
        fake(false, &[], &looked),
        &Args {
            patch: vec![1],
            ..SHORT
        },
    );
    assert_eq!(words(&outcome), [Verdict::Recorded]);
}

#[test]
fn the_short_form_believes_the_record_and_runs_nothing_slow() {
    let (place, looked) = (place(), Counter::new(0));
    let outcome = place.run(fake(false, &[], &looked), &SHORT);
    assert_eq!(words(&outcome), [Verdict::NotRun, Verdict::Nothing]);
    assert_eq!(table::tally(&outcome).skipped, 1);
    place.run(fake(false, &[], &looked), &Args::default());
    // A tool that only the slow check needs is not asked for.
    let mut lacking = fake(false, &["bad"], &looked);
    lacking.lacks = true;
    let outcome = place.run(lacking, &SHORT);
    assert_eq!(words(&outcome), [Verdict::Recorded, Verdict::Nothing]);
    assert_eq!(looked.get(), 1);
}

#[test]
fn findings_of_quick_checks_are_kept_and_shown() {
    let (place, looked) = (place(), Counter::new(0));
    for _ in 0..2 {
        let outcome = place.run(fake(true, &["bad\nline"], &looked), &SHORT);
        let states: Vec<&State> = place.states.iter().collect();
        let text = table::report(&states, &outcome);
        assert!(text.contains("FAIL 0001 quick\n  bad\n  line\n"), "{text}");
        assert!(text.contains("log/check/0001-quick"), "{text}");
        assert!(text.contains("FAIL an entry matches nothing"), "{text}");
        assert_eq!(looked.get(), 1);
        assert_eq!(table::tally(&outcome).failed, 2);
    }
}

#[test]
fn a_check_that_does_not_run_fails() {
    let (place, looked) = (place(), Counter::new(0));
    for quick in [true, false] {
        let outcome = place.run(fake(quick, &["allowed"], &looked), &Args::default());
        assert_eq!(words(&outcome)[0], Verdict::Passed);
    }
    let place = self::place();
    for times in 3..5 {
        let outcome = place.run(fake(true, &["broken"], &looked), &SHORT);
        let failed = &words(&outcome)[0];
        assert!(
            matches!(failed, Verdict::Failed { findings, .. } if *findings == ["it is broken"]),
            "{failed:?}"
        );
        assert_eq!(looked.get(), times);
    }
}

#[test]
fn what_lacks_a_tool_fails() {
    let (place, looked) = (place(), Counter::new(0));
    let mut lacking = fake(true, &[], &looked);
    lacking.lacks = true;
    let outcome = place.run(lacking, &SHORT);
    assert_eq!(words(&outcome)[0], Verdict::Missing);
    assert_eq!(looked.get(), 0);
    let tally = table::tally(&outcome);
    assert!(tally.failed > 0 && tally.passed == 0);
    let states: Vec<&State> = place.states.iter().collect();
    assert!(table::report(&states, &outcome).contains("MISSING a tool (get it)"));
}

#[test]
fn one_patch_alone_judges_no_list() {
    let (place, looked) = (place(), Counter::new(0));
    let args = Args {
        patch: vec![1],
        ..Args::default()
    };
    let outcome = place.run(fake(true, &[], &looked), &args);
    assert_eq!(words(&outcome), [Verdict::Passed]);
    assert!(outcome.wrong.is_empty());
}

#[test]
fn checks_are_named_by_their_beginning() {
    assert!(named("x86_64 boot on", "x86_64") && named("x86_64 off", "x86_64 off"));
    assert!(!named("x86_64 off", "x86"));
}

#[test]
fn a_step_counts_what_it_ran() {
    let cell = |verdict: &Verdict| Cell {
        check: "a".to_owned(),
        verdict: verdict.clone(),
        time: None,
    };
    let row = |verdicts: &[Verdict]| verdicts.iter().map(cell).collect();
    let failed = Verdict::Failed {
        findings: vec!["bad\nline".to_owned()],
        log: "/log".into(),
    };
    let mut outcome = Outcome {
        cells: vec![
            row(&[Verdict::Passed, Verdict::Recorded, Verdict::NotRun]),
            row(&[Verdict::Nothing, Verdict::NotRun, Verdict::NotRun]),
        ],
        ..Outcome::default()
    };
    let counts = |outcome: &Outcome| table::of_a_step(outcome).to_string();
    assert_eq!(counts(&outcome), "1 passed, 0 failed, 1 skipped");
    assert!(
        table::recorded(&outcome)
            .unwrap()
            .starts_with("1 cells passed")
    );
    let place = place();
    let states: Vec<&State> = place.states.iter().collect();
    let text = table::report(&states, &outcome);
    assert!(
        text.contains("\n3 cells were not run with these sources"),
        "{text}"
    );
    assert!(table::failures(&states, &outcome).is_empty());

    outcome.cells = vec![
        row(&[Verdict::Passed, failed]),
        row(&[Verdict::Missing, Verdict::Nothing]),
    ];
    outcome.missing.insert("for a: a tool (get it)".to_owned());
    outcome.wrong.push("an entry matches nothing".to_owned());
    assert_eq!(counts(&outcome), "1 passed, 3 failed, 0 skipped");
    assert_eq!(table::recorded(&outcome), None);
    assert_eq!(
        table::failures(&states, &outcome),
        [
            "0001 a\n  bad\n  line\n  all of it: /log",
            "missing for a: a tool (get it)",
            "an entry matches nothing",
        ]
    );
}
