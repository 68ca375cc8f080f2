//! What passed on the kernels that find bugs, and with which sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::cache::{sha256, sha256_of, write_atomic};
use crate::flavour::Flavour;

const RECORD: &str = "scripts/detectors.toml";
const HEAD: &str = "\
# On which kernels all selftests and the stress passed, and the checksum of the sources that they
# passed with. Written by `cargo xtask detectors`.
";

/// What the kernels and the tests on them are made of.
const COVERED: &[&str] = &[
    "rust-kevent/**/*",
    "linux/**/*",
    "selftests/**/*",
    "qemu/init.c",
    "qemu/kernel.config",
    SPLATS,
    "qemu/x86_64.config",
    "scripts/series/base.toml",
];

/// What the kernel reports, and what of it is let through.
const SPLATS: &str = "qemu/splats.txt";

/// The program of the stress, with which the selftests have nothing to do.
const STRESS: &str = "selftests/stress.c";

/// What runs on a kernel, each with a record of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Selftests,
    Stress,
}

pub const PARTS: [Part; 2] = [Part::Selftests, Part::Stress];

impl Part {
    /// Whether it is made of this file, if the kernels and tests are.
    fn has(self, name: &str) -> bool {
        let is_program = name.starts_with("selftests/") && name.ends_with(".c");
        !is_program || (name == STRESS) == (self == Part::Stress)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passed {
    /// How many tests, or how long.
    passed: String,
    sources: String,
}

type Record = BTreeMap<String, BTreeMap<Part, Passed>>;

/// Records that `passed` did, on a kernel with the sources as they are.
pub fn remember(repo: &Path, kernel: Flavour, part: Part, passed: String) -> Result<()> {
    let mut record = read(repo)?;
    let sources = fingerprint(repo, kernel, part)?;
    let parts = record.entry(kernel.title().to_owned()).or_default();
    parts.insert(part, Passed { passed, sources });
    let text = HEAD.to_owned() + &toml::to_string(&record)?;
    write_atomic(&repo.join(RECORD), text)
}

/// What passed on a kernel, if it did with the sources as they are.
pub fn current(repo: &Path, kernel: Flavour, part: Part) -> Result<Option<String>> {
    let now = fingerprint(repo, kernel, part)?;
    let parts = read(repo)?.remove(kernel.title());
    let passed = parts.and_then(|mut parts| parts.remove(&part));
    let passed = passed.filter(|passed| passed.sources == now);
    Ok(passed.map(|passed| passed.passed))
}

fn read(repo: &Path) -> Result<Record> {
    let path = repo.join(RECORD);
    if !path.exists() {
        return Ok(Record::new());
    }
    let text = fs::read_to_string(&path).context(RECORD)?;
    toml::from_str(&text).context(RECORD)
}

/// A checksum of what `kernel` and the tests on it are made of.
pub fn fingerprint(repo: &Path, kernel: Flavour, part: Part) -> Result<String> {
    let fragment = kernel.name().map(|name| format!("qemu/{name}.config"));
    let mut files = Vec::new();
    for pattern in COVERED.iter().copied().chain(fragment.as_deref()) {
        let pattern = repo.join(pattern);
        for path in glob::glob(pattern.to_str().context("the path is no UTF-8")?)? {
            let path = path?;
            let name = path.strip_prefix(repo)?.display().to_string();
            if !path.is_file() || !part.has(&name) {
                continue;
            }
            let sum = match name == SPLATS {
                true => sha256_of(patterns(&fs::read_to_string(&path)?, kernel)),
                false => sha256(&path)?,
            };
            files.push(format!("{sum} {name}\n"));
        }
    }
    files.sort();
    Ok(sha256_of(files.concat()))
}

/// The patterns that matter on a kernel: those of races on one that looks for them.
fn patterns(text: &str, kernel: Flavour) -> String {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter(|line| kernel == Flavour::Kcsan || !line.contains("KCSAN: data-race"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detectors::KERNELS;

    fn repo(files: &[(&str, &str)]) -> tempfile::TempDir {
        let repo = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = repo.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        repo
    }

    /// A file, and what is stale when it changes: the selftests, the stress.
    const FILES: &[(&str, (bool, bool))] = &[
        ("rust-kevent/kevent/ring.rs", (true, true)),
        ("qemu/rt.config", (true, true)),
        ("qemu/debug.config", (false, false)),
        ("README.md", (false, false)),
        ("selftests/ring.c", (true, false)),
        ("selftests/stress.c", (false, true)),
        ("selftests/load.h", (true, true)),
    ];

    fn of(changed: &str) -> (String, String) {
        let text = |name| if name == changed { "changed" } else { name };
        let files: Vec<_> = FILES.iter().map(|(name, _)| (*name, text(*name))).collect();
        let repo = repo(&files);
        let of = |part| fingerprint(repo.path(), Flavour::Rt, part).unwrap();
        (of(Part::Selftests), of(Part::Stress))
    }

    #[test]
    fn each_part_is_stale_when_what_it_is_made_of_changed() {
        let before = of("nothing");
        assert_eq!(of("nothing"), before);
        assert_ne!(before.0, before.1);
        for (name, stale) in FILES {
            let now = of(name);
            assert_eq!((now.0 != before.0, now.1 != before.1), *stale, "{name}");
        }
    }

    #[test]
    fn patterns_of_races_matter_where_races_are_looked_for() {
        let before = "# one\nmatch\tBUG\n";
        let race = "# one\nmatch\tBUG\n# known\nallow\tKCSAN: data-race in a / b\n";
        let other = "match\tBUG\nallow\tBUG: x\n";
        for (kernel, stale) in [(Flavour::Rt, false), (Flavour::Kcsan, true)] {
            assert_eq!(patterns(before, kernel) != patterns(race, kernel), stale);
            assert_ne!(patterns(before, kernel), patterns(other, kernel));
        }
    }

    #[test]
    fn what_passed_is_remembered_for_its_kernel_and_part() {
        let repo = repo(&[("selftests/stress.c", "")]);
        let current = |kernel, part| current(repo.path(), kernel, part).unwrap();
        assert_eq!(current(Flavour::Rt, Part::Stress), None);
        remember(
            repo.path(),
            Flavour::Rt,
            Part::Stress,
            "a minute".to_owned(),
        )
        .unwrap();
        remember(repo.path(), Flavour::Debug, Part::Selftests, "7".to_owned()).unwrap();
        assert_eq!(current(Flavour::Rt, Part::Stress).unwrap(), "a minute");
        assert_eq!(current(Flavour::Rt, Part::Selftests), None);
        assert_eq!(current(Flavour::Kcsan, Part::Stress), None);
        fs::write(repo.path().join(STRESS), "changed").unwrap();
        assert_eq!(current(Flavour::Rt, Part::Stress), None);
        assert_eq!(current(Flavour::Debug, Part::Selftests).unwrap(), "7");
    }

    #[test]
    fn the_record_can_be_read() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let record = read(&repo).unwrap();
        let known = |name: &String| KERNELS.iter().any(|kernel| kernel.title() == name);
        assert!(record.keys().all(known));
    }
}
