//! `scripts/series/manifest.toml`: which patch brings what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use glob::{MatchOptions, Pattern};
use serde::Deserialize;

use crate::edits;

/// Our folders, and where each lands in Linux.
const FOLDERS: [(&str, &str); 4] = [
    ("rust-kevent", "rust/kernel"),
    ("linux", ""),
    ("selftests", "tools/testing/selftests/kevent"),
    ("Documentation", "Documentation"),
];

/// The folder of the manifest, with the texts of the series.
pub const SERIES: &str = "scripts/series";

/// Edits of existing files, not files.
pub const EDITS: &str = "linux/edits";

/// The one file of Linux that is edited by a fragment.
pub const MAINTAINERS: &str = "MAINTAINERS";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The author of the commits: "Name <address>".
    pub author: String,
    /// The date of the first patch, in seconds since 1970. Each other is a second later.
    pub date: u64,
    /// Files that list things and grow by whole lines per patch.
    #[serde(default)]
    pub growing: Vec<String>,
    /// Files of our folders that are for this repository alone.
    #[serde(default)]
    pub apart: Vec<String>,
    pub patch: Vec<Patch>,
    /// Why what is C is not Rust.
    #[serde(default)]
    pub c: Vec<Reason>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The file in Linux, or a pattern of some.
    pub file: String,
    pub why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// The short name that edits refer to.
    pub id: String,
    /// What it and those after it are about: the cover letter lists them under this line.
    pub part: Option<String>,
    /// The file of the commit message, beside the manifest.
    pub message: String,
    /// The files that it brings, or patterns of them. A file named in full belongs to that patch
    /// even where a pattern of another patch fits.
    #[serde(default)]
    pub files: Vec<String>,
    /// The existing files of Linux that it changes.
    #[serde(default)]
    pub edits: Vec<String>,
    /// What it adds to growing files.
    #[serde(default)]
    pub grow: Vec<Grow>,
}

/// What of a growing file first appears in this patch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grow {
    pub file: String,
    /// One block, or each line by itself.
    #[serde(default)]
    pub lines: Vec<String>,
    /// The first line of a longer block, of which an empty line before it is a part.
    pub from: Option<String>,
    /// The last line of that: the first that is like this.
    pub to: Option<String>,
    /// What stands in the place of the block before this patch.
    #[serde(default)]
    pub instead: Vec<String>,
}

/// A file of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub content: Vec<u8>,
    pub executable: bool,
}

/// Our files by their path in this repository.
pub type Sources = BTreeMap<String, Source>;

impl Manifest {
    pub fn read(series: &Path) -> Result<Manifest> {
        let path = series.join("manifest.toml");
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Manifest =
            toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        let ids: BTreeSet<&str> = manifest
            .patch
            .iter()
            .map(|patch| patch.id.as_str())
            .collect();
        ensure!(
            ids.len() == manifest.patch.len(),
            "{}: an id is there twice",
            path.display()
        );
        Ok(manifest)
    }

    /// The files of each patch, in the order of the patches. Every source is in exactly one.
    pub fn claims(&self, sources: &Sources) -> Result<Vec<Vec<String>>> {
        let mut owner: BTreeMap<&str, &str> = BTreeMap::new();
        for patch in &self.patch {
            for name in patch.files.iter().filter(|name| !is_pattern(name)) {
                let Some((name, _)) = sources.get_key_value(name) else {
                    bail!("patch {}: there is no file {name}", patch.id);
                };
                if let Some(other) = owner.insert(name, &patch.id) {
                    bail!("{name} is in the patches {other} and {}", patch.id);
                }
            }
        }
        let named: BTreeSet<&str> = owner.keys().copied().collect();
        let options = MatchOptions {
            require_literal_separator: true,
            ..MatchOptions::new()
        };
        for patch in &self.patch {
            for name in patch.files.iter().filter(|name| is_pattern(name)) {
                let pattern = Pattern::new(name)
                    .with_context(|| format!("patch {}: pattern {name}", patch.id))?;
                let fits = |file: &&String| pattern.matches_with(file, options);
                let mut count = 0;
                for file in sources.keys().filter(fits) {
                    count += 1;
                    if named.contains(file.as_str()) {
                        continue;
                    }
                    match owner.insert(file, &patch.id) {
                        Some(other) if other != patch.id => {
                            bail!("{file} is in the patches {other} and {}", patch.id);
                        }
                        _ => {}
                    }
                }
                ensure!(count > 0, "patch {}: no file fits {name}", patch.id);
            }
        }
        let rest: Vec<&str> = sources
            .keys()
            .map(String::as_str)
            .filter(|file| !owner.contains_key(file))
            .filter(|file| !self.apart.iter().any(|apart| apart == file))
            .collect();
        for apart in &self.apart {
            ensure!(
                sources.contains_key(apart),
                "{apart} is not there to be apart"
            );
            ensure!(
                !owner.contains_key(apart.as_str()),
                "{apart} is in a patch too"
            );
        }
        ensure!(
            rest.is_empty(),
            "in no patch of the manifest: {}",
            rest.join(", ")
        );
        let claim = |patch: &Patch| {
            let own = owner.iter().filter(|(_, id)| **id == patch.id);
            own.map(|(file, _)| (*file).to_owned()).collect()
        };
        Ok(self.patch.iter().map(claim).collect())
    }

    /// A growing file as it is after the patch with index `upto`: without what later ones add.
    pub fn grown(&self, file: &str, full: &str, upto: usize) -> Result<String> {
        let all: Vec<&str> = full.split_inclusive('\n').collect();
        // By how many patches that are yet to come.
        let mut brought = vec![0; all.len()];
        let mut instead = BTreeMap::new();
        for (index, patch) in self.patch.iter().enumerate() {
            for grow in patch.grow.iter().filter(|grow| grow.file == file) {
                let found = grow.find(&all);
                let found = found.with_context(|| format!("patch {}, {file}", patch.id))?;
                if index <= upto {
                    continue;
                }
                if !grow.instead.is_empty() {
                    let other = instead.insert(found[0], &grow.instead);
                    ensure!(
                        other.is_none(),
                        "patch {}, {file}: two put other lines in the place of `{}`",
                        patch.id,
                        all[found[0]].trim_end()
                    );
                }
                for at in found {
                    brought[at] += 1;
                }
            }
        }
        let mut text = String::new();
        for (at, (line, brought)) in all.iter().zip(brought).enumerate() {
            // What is a part of another block is not there before that.
            let instead = instead.get(&at).filter(|_| brought == 1);
            for line in instead.into_iter().copied().flatten() {
                text.push_str(line);
                text.push('\n');
            }
            if brought == 0 {
                text.push_str(line);
            }
        }
        Ok(text)
    }

    /// How many lines a patch adds to a growing file that was there before.
    pub fn gained(&self, file: &str, full: &str, index: usize) -> Result<usize> {
        let before = index
            .checked_sub(1)
            .context("the first patch grows nothing")?;
        let (before, after) = (
            self.grown(file, full, before)?,
            self.grown(file, full, index)?,
        );
        Ok(edits::added(&before, &after))
    }
}

impl Grow {
    /// Where its lines are among `all`.
    fn find(&self, all: &[&str]) -> Result<Vec<usize>> {
        match (&self.from, &self.to) {
            (None, None) => find_lines(all, &self.lines),
            (Some(from), Some(to)) if self.lines.is_empty() => find_block(all, from, to),
            _ => bail!("`lines`, or `from` and `to`"),
        }
    }
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Where `wanted` is among `all`: once as a block, else each of its lines once.
fn find_lines(all: &[&str], wanted: &[String]) -> Result<Vec<usize>> {
    let bare: Vec<&str> = all.iter().map(|line| line.trim_end_matches('\n')).collect();
    ensure!(!wanted.is_empty(), "no lines are given");
    let blocks: Vec<usize> = (0..bare.len())
        .filter(|at| {
            bare[*at..].len() >= wanted.len() && bare[*at..*at + wanted.len()] == wanted[..]
        })
        .collect();
    if let [at] = blocks[..] {
        return Ok((at..at + wanted.len()).collect());
    }
    let find = |line: &String| {
        let mut hits = (0..bare.len()).filter(|at| bare[*at] == line);
        match (hits.next(), hits.next()) {
            (Some(at), None) => Ok(at),
            (None, _) => bail!("there is no line `{line}`"),
            _ => bail!("the line `{line}` is there more than once"),
        }
    };
    wanted.iter().map(find).collect()
}

/// The lines from `from` to the next that is `to`, with what opens a comment before them, and an
/// empty line before that.
fn find_block(all: &[&str], from: &str, to: &str) -> Result<Vec<usize>> {
    let mut at = find_lines(all, &[from.to_owned()])?[0];
    let last = all[at..].iter().position(|line| line.trim_end() == to);
    let last = last.with_context(|| format!("no line `{to}` follows `{from}`"))?;
    let end = at + last;
    for opening in ["/*", ""] {
        at -= usize::from(at > 0 && all[at - 1].trim_end() == opening);
    }
    Ok((at..=end).collect())
}

/// Where a file of ours lands in Linux.
pub fn kernel_path(source: &str) -> Result<String> {
    for (folder, place) in FOLDERS {
        let rest = source
            .strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix('/'));
        if let Some(rest) = rest {
            return Ok(if place.is_empty() {
                rest.to_owned()
            } else {
                format!("{place}/{rest}")
            });
        }
    }
    bail!("{source} is in no folder of sources");
}

/// Reads every file of ours that goes to Linux.
pub fn sources(repo: &Path) -> Result<Sources> {
    let mut found = Sources::new();
    for (folder, _) in FOLDERS {
        if repo.join(folder).is_dir() {
            walk(repo, folder, &mut found)?;
        }
    }
    Ok(found)
}

fn walk(repo: &Path, folder: &str, found: &mut Sources) -> Result<()> {
    let path = repo.join(folder);
    let entries = fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().context("a file name is no UTF-8")?;
        let inner = format!("{folder}/{name}");
        let of_editor = name.ends_with('~') || name.ends_with(".swp") || name.starts_with(".#");
        if inner == EDITS || of_editor {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(repo, &inner, found)?;
            continue;
        }
        ensure!(kind.is_file(), "{inner} is no ordinary file");
        let content = fs::read(entry.path()).with_context(|| format!("cannot read {inner}"))?;
        ensure!(
            content.ends_with(b"\n"),
            "{inner} does not end with a newline"
        );
        let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
        found.insert(
            inner,
            Source {
                content,
                executable,
            },
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(patches: &str) -> Manifest {
        toml::from_str(&format!("author = 'A <a@b>'\ndate = 1\n{patches}")).unwrap()
    }

    fn files(names: &[&str]) -> Sources {
        let source = Source {
            content: b"x\n".to_vec(),
            executable: false,
        };
        names
            .iter()
            .map(|name| ((*name).to_owned(), source.clone()))
            .collect()
    }

    const TWO: &str = "
        [[patch]]
        id = 'one'
        message = 'm'
        files = ['selftests/*.c']
        [[patch]]
        id = 'two'
        message = 'm'
        files = ['selftests/b.c', 'linux/fs/k.c']
    ";

    #[test]
    fn a_name_wins_over_a_pattern() {
        let sources = files(&["linux/fs/k.c", "selftests/a.c", "selftests/b.c"]);
        let claims = manifest(TWO).claims(&sources).unwrap();
        assert_eq!(
            claims,
            [vec!["selftests/a.c"], vec!["linux/fs/k.c", "selftests/b.c"]]
        );
    }

    #[test]
    fn what_is_apart_is_in_no_patch() {
        let manifest = manifest(&format!("apart = ['Documentation/a.md']\n{TWO}"));
        let names = ["linux/fs/k.c", "selftests/a.c", "selftests/b.c"];
        let with = [&names[..], &["Documentation/a.md"]].concat();
        let claims = manifest.claims(&files(&with)).unwrap();
        assert_eq!(claims.concat().len(), names.len());
        assert!(manifest.claims(&files(&names)).is_err());
    }

    #[test]
    fn claims_that_fail() {
        let fail = |patches: &str, names: &[&str]| {
            format!("{:#}", manifest(patches).claims(&files(names)).unwrap_err())
        };
        let all = ["linux/fs/k.c", "selftests/a.c", "selftests/b.c"];
        let more = [&all[..], &["rust-kevent/new.rs", "selftests/sub/a.c"]].concat();
        let text = fail(TWO, &more);
        assert_eq!(
            text,
            "in no patch of the manifest: rust-kevent/new.rs, selftests/sub/a.c"
        );
        assert_eq!(
            fail(TWO, &all[1..]),
            "patch two: there is no file linux/fs/k.c"
        );
        assert_eq!(
            fail(&TWO.replace("*.c", "*.h"), &all),
            "patch one: no file fits selftests/*.h"
        );
        let twice = TWO.replace("linux/fs/k.c", "selftests/[ab].c");
        assert_eq!(
            fail(&twice, &all[1..]),
            "selftests/a.c is in the patches one and two"
        );
        let named_twice = TWO.replace("selftests/*.c", "linux/fs/k.c");
        assert_eq!(
            fail(&named_twice, &all),
            "linux/fs/k.c is in the patches one and two"
        );
    }

    const GROWING: &str = "
        growing = ['rust-kevent/kevent.rs']
        [[patch]]
        id = 'one'
        message = 'm'
        [[patch]]
        id = 'two'
        message = 'm'
        grow = [{ file = 'rust-kevent/kevent.rs', lines = ['pub mod ring;'] }]
        [[patch]]
        id = 'three'
        message = 'm'
        grow = [
            { file = 'rust-kevent/kevent.rs', lines = ['', '// Last.', 'mod last;'] },
            { file = 'rust-kevent/kevent.rs', lines = ['mod apart;', 'mod start;'] },
        ]
    ";

    #[test]
    fn a_file_grows_by_its_lines() {
        let full =
            "mod start;\npub mod base;\n\npub mod ring;\nmod apart;\n\n// Last.\nmod last;\n";
        let manifest = manifest(GROWING);
        let grown = |upto| manifest.grown("rust-kevent/kevent.rs", full, upto).unwrap();
        assert_eq!(grown(0), "pub mod base;\n\n");
        assert_eq!(grown(1), "pub mod base;\n\npub mod ring;\n");
        assert_eq!(grown(2), full);
    }

    #[test]
    fn a_file_grows_by_blocks_and_their_lines_replace_others() {
        let manifest = manifest(
            "
            growing = ['linux/a.c']
            [[patch]]
            id = 'one'
            message = 'm'
            [[patch]]
            id = 'two'
            message = 'm'
            grow = [{ file = 'linux/a.c', from = ' * B.', to = '}' }]
            [[patch]]
            id = 'three'
            message = 'm'
            grow = [
                { file = 'linux/a.c', lines = ['\tb();'], instead = ['\tc();'] },
                { file = 'linux/a.c', lines = ['\tt();', '\tr();'], instead = ['\tq();', '\tr();'] },
            ]
            ",
        );
        let full =
            "int a(void)\n{\n\tt();\n\tr();\n}\n\n/*\n * B.\n */\nint b(void)\n{\n\tb();\n}\n";
        let grown = |upto| manifest.grown("linux/a.c", full, upto).unwrap();
        assert_eq!(grown(0), "int a(void)\n{\n\tq();\n\tr();\n}\n");
        assert_eq!(
            grown(1),
            "int a(void)\n{\n\tq();\n\tr();\n}\n\n/*\n * B.\n */\nint b(void)\n{\n\tc();\n}\n"
        );
        assert_eq!(grown(2), full);
        let gained = |index| manifest.gained("linux/a.c", full, index).unwrap();
        assert_eq!((gained(1), gained(2)), (8, 2));
        let fail = |full| format!("{:#}", manifest.grown("linux/a.c", full, 0).unwrap_err());
        assert!(fail("int b(void)\n").contains("there is no line ` * B.`"));
        assert!(fail("/*\n * B.\n").contains("no line `}` follows ` * B.`"));
    }

    #[test]
    fn one_alone_puts_lines_in_a_place() {
        let patch = |id: &str, instead: &str| {
            let grow = format!("{{ file = 'f', lines = ['a'], instead = [{instead}] }}");
            format!("[[patch]]\nid = '{id}'\nmessage = 'm'\ngrow = [{grow}]\n")
        };
        let grown = |second: &str| {
            let first = "growing = ['f']\n[[patch]]\nid = 'one'\nmessage = 'm'\n";
            let patches = patch("two", second) + &patch("three", "'z'");
            manifest(&(first.to_owned() + &patches)).grown("f", "a\n", 0)
        };
        assert!(grown("").is_ok());
        let error = format!("{:#}", grown("'y'").unwrap_err());
        assert!(
            error.contains("patch three, f: two put other lines"),
            "{error}"
        );
    }

    #[test]
    fn lines_must_be_there_once() {
        let manifest = manifest(GROWING);
        let fail = |full: &str| {
            format!(
                "{:#}",
                manifest
                    .grown("rust-kevent/kevent.rs", full, 0)
                    .unwrap_err()
            )
        };
        assert!(fail("a\n").contains("there is no line `pub mod ring;`"));
        assert!(fail("pub mod ring;\npub mod ring;\n").contains("more than once"));
    }

    #[test]
    fn places_in_linux() {
        let place = |source| kernel_path(source).unwrap();
        assert_eq!(
            place("rust-kevent/kevent/ring.rs"),
            "rust/kernel/kevent/ring.rs"
        );
        assert_eq!(place("linux/fs/kevent.c"), "fs/kevent.c");
        assert_eq!(
            place("selftests/Makefile"),
            "tools/testing/selftests/kevent/Makefile"
        );
        assert_eq!(place("Documentation/a/b.rst"), "Documentation/a/b.rst");
        assert!(kernel_path("linuxes/f").is_err());
    }

    #[test]
    fn sources_are_read_without_edits_and_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("linux/edits/x.toml", "x\n");
        write("linux/fs/k.c", "k\n");
        write("linux/fs/k.c~", "old\n");
        write("selftests/.gitignore", "k\n");
        let found = sources(folder.path()).unwrap();
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["linux/fs/k.c", "selftests/.gitignore"]);
        write("linux/bad", "no newline");
        assert!(sources(folder.path()).is_err());
    }
}
