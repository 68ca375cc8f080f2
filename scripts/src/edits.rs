//! Edits of existing files of Linux: `linux/edits/*.toml` and `MAINTAINERS.fragment`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use similar::{ChangeTag, TextDiff};

/// Every edit of one file of Linux.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edits {
    /// The file.
    pub file: String,
    pub edit: Vec<Edit>,
}

/// One edit. Exactly one of `after`, `before` and `replace` names whole lines that must be
/// there once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The id of the patch that makes it; none in a mutant.
    #[serde(default)]
    pub patch: String,
    after: Option<String>,
    before: Option<String>,
    replace: Option<String>,
    /// A line that is there once; what is searched is its first place below this line.
    within: Option<String>,
    /// The lines to put there.
    lines: String,
}

impl Edit {
    /// The text with this edit made.
    pub fn apply(&self, file: &str, text: &str) -> Result<String> {
        let (anchor, before, after) = match (&self.after, &self.before, &self.replace) {
            (Some(anchor), None, None) => (anchor, true, false),
            (None, Some(anchor), None) => (anchor, false, true),
            (None, None, Some(anchor)) => (anchor, false, false),
            _ => bail!(
                "{file}, patch {}: give one of after, before and replace",
                self.patch
            ),
        };
        ensure!(
            self.lines.is_empty() || self.lines.ends_with('\n'),
            "{file}, patch {}: lines must end with a newline",
            self.patch
        );
        let all: Vec<&str> = text.split_inclusive('\n').collect();
        let at = self
            .find(anchor, &all)
            .with_context(|| format!("{file}, patch {}", self.patch))?;
        let end = at + anchor.trim_end_matches('\n').split('\n').count();
        let mut new: String = all[..at].concat();
        if before {
            new.push_str(&all[at..end].concat());
        }
        new.push_str(&self.lines);
        if after {
            new.push_str(&all[at..end].concat());
        }
        new.push_str(&all[end..].concat());
        Ok(new)
    }

    /// How many lines it adds, as a diff counts.
    pub fn added(&self) -> usize {
        let old = match &self.replace {
            Some(replace) => format!("{}\n", replace.trim_end_matches('\n')),
            None => String::new(),
        };
        added(&old, &self.lines)
    }

    fn find(&self, anchor: &str, all: &[&str]) -> Result<usize> {
        match &self.within {
            None => once(&places(anchor, all), anchor),
            Some(within) => {
                let start = once(&places(within, all), within)? + 1;
                let places = places(anchor, &all[start..]);
                let first = places
                    .first()
                    .with_context(|| format!("there is no line `{anchor}` below `{within}`"))?;
                Ok(start + first)
            }
        }
    }
}

/// Where the whole lines `block` are.
fn places(block: &str, all: &[&str]) -> Vec<usize> {
    let block: Vec<&str> = block.trim_end_matches('\n').split('\n').collect();
    let bare: Vec<&str> = all.iter().map(|line| line.trim_end_matches('\n')).collect();
    (0..bare.len())
        .filter(|at| bare[*at..].starts_with(&block))
        .collect()
}

fn once(places: &[usize], anchor: &str) -> Result<usize> {
    match places {
        [at] => Ok(*at),
        [] => bail!("there is no line `{anchor}`"),
        _ => bail!("the line `{anchor}` is there {} times", places.len()),
    }
}

/// Reads the edits below `folder`.
pub fn read(folder: &Path) -> Result<Vec<Edits>> {
    let mut paths = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    let mut files = BTreeSet::new();
    let mut found = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path)?;
        let edits: Edits =
            toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        ensure!(
            files.insert(edits.file.clone()),
            "{}: {} is edited in another file too",
            path.display(),
            edits.file
        );
        found.push(edits);
    }
    Ok(found)
}

/// MAINTAINERS with each entry of `fragment` at its place in the alphabet.
pub fn maintainers(text: &str, fragment: &str) -> Result<String> {
    let mut text = text.to_owned();
    for entry in fragment
        .split("\n\n")
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        text = insert_entry(&text, entry)?;
    }
    Ok(text)
}

fn insert_entry(text: &str, entry: &str) -> Result<String> {
    let title = entry.lines().next().unwrap_or_default();
    ensure!(
        is_entry(entry),
        "MAINTAINERS.fragment: `{title}` heads no entry"
    );
    let list = text
        .find("\nMaintainers List\n")
        .context("MAINTAINERS has no list")?;
    // Each entry's place and title.
    let mut places: Vec<(usize, &str)> = Vec::new();
    let mut at = list;
    for paragraph in text[list..].split_inclusive("\n\n") {
        if is_entry(paragraph.trim()) {
            let inner = paragraph.len() - paragraph.trim_start().len();
            places.push((
                at + inner,
                paragraph.trim().lines().next().unwrap_or_default(),
            ));
        }
        at += paragraph.len();
    }
    ensure!(
        places.iter().all(|(_, other)| *other != title),
        "MAINTAINERS has `{title}` already"
    );
    // The list is not sorted everywhere: of all fitting gaps take the one among the most alike.
    let alike = |other: &str| {
        let same = title.bytes().zip(other.bytes()).take_while(|(a, b)| a == b);
        same.count()
    };
    let gaps = places
        .windows(2)
        .filter(|pair| pair[0].1 < title && title < pair[1].1);
    let best = gaps.max_by_key(|pair| (alike(pair[0].1).max(alike(pair[1].1)), pair[0].0));
    let place = best.context("MAINTAINERS has no place for the entry")?[1].0;
    Ok(format!("{}{entry}\n\n{}", &text[..place], &text[place..]))
}

/// A title and then lines such as "M:\tSomebody".
fn is_entry(paragraph: &str) -> bool {
    paragraph.lines().nth(1).is_some_and(|line| {
        let line = line.as_bytes();
        line.len() > 2 && line[0].is_ascii_uppercase() && line[1..].starts_with(b":\t")
    })
}

/// How many lines `new` has more than `old`, as a diff counts.
pub fn added(old: &str, new: &str) -> usize {
    let diff = TextDiff::from_lines(old, new);
    let changes = diff.iter_all_changes();
    changes
        .filter(|change| change.tag() == ChangeTag::Insert)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(toml: &str) -> Edit {
        toml::from_str(&format!("patch = 'core'\n{toml}")).unwrap()
    }

    const TEXT: &str = "a\nb\nc\nb\nd\n";

    #[test]
    fn lines_go_to_their_places() {
        let apply = |toml: &str| edit(toml).apply("f", TEXT).unwrap();
        assert_eq!(apply("after = 'a'\nlines = \"x\\n\""), "a\nx\nb\nc\nb\nd\n");
        assert_eq!(
            apply("before = 'a'\nlines = \"x\\n\""),
            "x\na\nb\nc\nb\nd\n"
        );
        assert_eq!(
            apply("replace = \"a\\nb\"\nlines = \"x\\n\""),
            "x\nc\nb\nd\n"
        );
        assert_eq!(apply("replace = 'c'\nlines = ''"), "a\nb\nb\nd\n");
        assert_eq!(
            apply("after = \"c\\nb\"\nlines = \"x\\n\""),
            "a\nb\nc\nb\nx\nd\n"
        );
        let within = "within = 'c'\nafter = 'b'\nlines = \"x\\n\"";
        assert_eq!(apply(within), "a\nb\nc\nb\nx\nd\n");
    }

    #[test]
    fn anchors_that_fail_are_named() {
        let fail = |toml: &str| format!("{:#}", edit(toml).apply("fs/f", TEXT).unwrap_err());
        let lines = "lines = \"x\\n\"";
        let text = fail(&format!("after = 'none'\n{lines}"));
        assert_eq!(text, "fs/f, patch core: there is no line `none`");
        let text = fail(&format!("after = 'b'\n{lines}"));
        assert_eq!(text, "fs/f, patch core: the line `b` is there 2 times");
        let text = fail(&format!("after = 'a'\nwithin = 'd'\n{lines}"));
        assert_eq!(text, "fs/f, patch core: there is no line `a` below `d`");
        assert!(fail(&format!("after = 'a'\nbefore = 'a'\n{lines}")).contains("give one of"));
        assert!(fail("after = 'a'\nlines = 'x'").contains("must end with a newline"));
        assert!(fail(&format!("after = ' a'\n{lines}")).contains("no line"));
    }

    const LIST: &str = "List of maintainers\n\nM: text\n\nMaintainers List\n----\n\n\
        .. note:: text\n\n3C59X\nM:\tA\n\nZEBRA\nM:\tB\n\nKERNEL X\nM:\tC\nL:\tl\n\n\
        KEYS\nM:\tD\n\nTHE REST\nM:\tE\n";

    #[test]
    fn an_entry_goes_where_the_alphabet_has_it() {
        let text = maintainers(LIST, "KEVENT\nM:\tK\nF:\tfs/kevent.c\n").unwrap();
        let at = |name: &str| text.find(name).unwrap();
        assert!(
            text.contains("KERNEL X\nM:\tC\nL:\tl\n\nKEVENT\nM:\tK\nF:\tfs/kevent.c\n\nKEYS\n")
        );
        assert!(at("ZEBRA") < at("KERNEL X"));
        assert_eq!(
            text.len(),
            LIST.len() + "KEVENT\nM:\tK\nF:\tfs/kevent.c\n\n".len()
        );
        assert!(maintainers(LIST, "KEYS\nM:\tK\n").is_err());
        assert!(maintainers(LIST, "KEVENT\ntext\n").is_err());
        assert!(maintainers("nothing\n", "KEVENT\nM:\tK\n").is_err());
    }

    #[test]
    fn one_file_of_edits_for_each_file() {
        let folder = tempfile::tempdir().unwrap();
        let text = "file = 'f'\n[[edit]]\npatch = 'p'\nafter = 'a'\nlines = \"x\\n\"\n";
        fs::write(folder.path().join("a.toml"), text).unwrap();
        assert_eq!(read(folder.path()).unwrap().len(), 1);
        fs::write(folder.path().join("b.toml"), text).unwrap();
        assert!(read(folder.path()).is_err());
    }
}
