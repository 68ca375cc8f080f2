//! What scripts/checkpatch.pl of the tree says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::command::{command, show};
use crate::tools::python;

/// How bad a report is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Error,
    Warning,
    Check,
}

impl Kind {
    const NAMES: [(&str, Kind); 3] = [
        ("ERROR", Kind::Error),
        ("WARNING", Kind::Warning),
        ("CHECK", Kind::Check),
    ];
}

pub struct Report {
    kind: Kind,
    /// Such as LONG_LINE.
    pub name: String,
    /// All of it: `FILE:LINE: KIND:TYPE: MESSAGE`.
    pub line: String,
}

impl Report {
    /// The file that it is about; that of the patch where it is about the message.
    pub fn file(&self) -> &str {
        self.line.split_once(':').map_or("", |(file, _)| file)
    }
}

/// What was found in one patch.
pub struct Found(pub Vec<Report>);

impl Found {
    pub fn count(&self, kind: Kind) -> usize {
        self.0.iter().filter(|report| report.kind == kind).count()
    }
}

/// scripts/checkpatch.pl of a tree.
pub struct Script<'a> {
    tree: &'a Path,
    /// With a python3 that can say something of licences, if there is one.
    path: OsString,
}

impl Script<'_> {
    /// `python` is one that has the modules, and `cache` where it is put to be the first.
    pub fn new<'a>(tree: &'a Path, python: Option<&Path>, cache: &Path) -> Result<Script<'a>> {
        let path = match python {
            Some(python) => python::first_in_path(python, &cache.join("tools/python"))?,
            None => std::env::var_os("PATH").unwrap_or_default(),
        };
        Ok(Script { tree, path })
    }

    /// Looks at a patch with `--strict` and more options.
    pub fn run(&self, patch: &Path, options: &[&str]) -> Result<Found> {
        let mut perl = command("perl");
        perl.current_dir(self.tree).env("PATH", &self.path);
        perl.arg("scripts/checkpatch.pl").args([
            "--strict",
            "--terse",
            "--show-types",
            "--color=never",
        ]);
        // It fails when it has something to say.
        let output = perl
            .args(options)
            .arg("--")
            .arg(patch)
            .output()
            .with_context(|| format!("cannot start `{}`", show(&perl)))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success() || text.lines().any(|line| line.starts_with("total: ")),
            "`{}`: {}\n{}",
            show(&perl),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(parse(&text))
    }
}

/// The lines `FILE:LINE: KIND:TYPE: MESSAGE`.
pub fn parse(text: &str) -> Found {
    let report = |line: &str| {
        let (found, _message) = line.split_once(": ")?.1.split_once(": ")?;
        let (kind, name) = found.split_once(':')?;
        let (_, kind) = Kind::NAMES.iter().find(|(known, _)| *known == kind)?;
        Some(Report {
            kind: *kind,
            name: name.to_owned(),
            line: line.to_owned(),
        })
    };
    Found(text.lines().filter_map(report).collect())
}

/// How often each type was found, errors first.
pub fn summary(found: &[Found]) -> String {
    let mut types: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
    for report in found.iter().flat_map(|found| &found.0) {
        *types.entry((report.kind, &report.name)).or_default() += 1;
    }
    let rows = types
        .iter()
        .map(|((kind, name), count)| format!("\n  {kind:?} {name}: {count}"));
    match types.is_empty() {
        true => "checkpatch.pl --strict found nothing".to_owned(),
        false => format!("checkpatch.pl --strict found{}", rows.collect::<String>()),
    }
}

/// All lines.
pub fn log(found: &[Found]) -> String {
    let reports = found.iter().flat_map(|found| &found.0);
    reports.map(|report| format!("{}\n", report.line)).collect()
}

/// Fails when a sign-off lacks or is not the author's.
pub fn fail_for_sign_offs(found: &[Found]) -> Result<()> {
    let reports = found.iter().flat_map(|found| &found.0);
    let wrong = reports.filter(|report| report.name.contains("SIGN_OFF"));
    let wrong: Vec<&str> = wrong.map(|report| report.line.as_str()).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
/a/1.patch:7: WARNING:LONG_LINE: line length of 103 exceeds 100 columns
/a/1.patch:9: WARNING:LONG_LINE: line length of 101 exceeds 100 columns
/a/1.patch:8: ERROR:SPACING: spaces required around that '<' (ctx:BxV)
total: 1 errors, 2 warnings, 0 checks, 9 lines checked
";

    #[test]
    fn reports_are_counted_by_type() {
        let found = parse(TEXT);
        let counts = [Kind::Error, Kind::Warning, Kind::Check].map(|kind| found.count(kind));
        assert_eq!(counts, [1, 2, 0]);
        fail_for_sign_offs(&[found]).unwrap();
        assert_eq!(
            summary(&[parse(TEXT), parse(TEXT)]),
            "checkpatch.pl --strict found\n  Error SPACING: 2\n  Warning LONG_LINE: 4"
        );
        assert_eq!(log(&[parse(TEXT)]).lines().count(), 3);
        assert!(summary(&[parse("")]).ends_with("found nothing"));
    }

    #[test]
    fn a_wrong_sign_off_is_an_error() {
        let line =
            "1.patch:1: WARNING:NO_AUTHOR_SIGN_OFF: Missing Signed-off-by: line by nominal\n";
        let error = fail_for_sign_offs(&[parse(line)]).unwrap_err();
        assert!(error.to_string().contains("Missing Signed-off-by"));
    }
}
