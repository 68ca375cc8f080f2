//! Composes the commits of the series from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::counts::{Count, LARGE};
use super::texts::Texts;
use crate::edits::{self, Edits};
use crate::git::Git;
use crate::manifest::{
    self, EDITS, MAINTAINERS, Manifest, Patch, SERIES, Source, Sources, kernel_path,
};

const BRANCH: &str = "refs/heads/series";

/// How a message begins to say why its patch has more than [`LARGE`] lines.
const REASON: &str = "The patch is large";

/// One commit of the series.
pub struct Commit {
    /// The heading of the part of the series that it begins.
    pub part: Option<String>,
    message: String,
    author: String,
    date: u64,
    /// Whole files by their path in Linux.
    files: BTreeMap<String, Source>,
}

/// Every commit, in order.
pub fn compose(
    repo: &Path,
    git: &Git,
    base: &str,
    manifest: &Manifest,
    counts: &[Count],
    signoff: Option<&str>,
) -> Result<Vec<Commit>> {
    let texts = Texts::new(repo.join(SERIES), counts);
    let sources = manifest::sources(repo)?;
    let mut composer = Composer {
        git,
        base,
        claims: manifest.claims(&sources)?,
        edits: edits::read(&repo.join(EDITS))?,
        fragment: fragment(repo, &manifest.author, signoff),
        manifest,
        sources: &sources,
        edited: BTreeMap::new(),
    };
    composer.check()?;
    let mut commits = Vec::new();
    for (index, (patch, count)) in manifest.patch.iter().zip(counts).enumerate() {
        let message = texts.read(&patch.message)?;
        check_message(&message, count.total()).with_context(|| patch.message.clone())?;
        commits.push(Commit {
            part: patch.part.clone(),
            message: match signoff {
                Some(name) => sign(&message, name),
                None => message,
            },
            author: signoff.unwrap_or(&manifest.author).to_owned(),
            date: manifest.date + index as u64,
            files: composer.files(index, patch)?,
        });
    }
    Ok(commits)
}

struct Composer<'a> {
    git: &'a Git,
    base: &'a str,
    manifest: &'a Manifest,
    sources: &'a Sources,
    claims: Vec<Vec<String>>,
    edits: Vec<Edits>,
    fragment: Option<String>,
    /// Files of Linux as the patches so far left them.
    edited: BTreeMap<String, String>,
}

impl Composer<'_> {
    /// What the manifest and the edits say of each other.
    fn check(&self) -> Result<()> {
        let ids: BTreeSet<&str> = self.manifest.patch.iter().map(|p| p.id.as_str()).collect();
        let mut made = BTreeSet::new();
        for edits in &self.edits {
            for edit in &edits.edit {
                let (file, patch) = (edits.file.as_str(), edit.patch.as_str());
                ensure!(
                    ids.contains(patch),
                    "an edit of {file} is for the unknown patch {patch}"
                );
                made.insert((patch, file));
            }
        }
        let mut listed = BTreeSet::new();
        for patch in &self.manifest.patch {
            for file in &patch.edits {
                listed.insert((patch.id.as_str(), file.as_str()));
            }
            for grow in &patch.grow {
                let known = self.manifest.growing.contains(&grow.file);
                ensure!(
                    known,
                    "patch {}: {} is not listed as growing",
                    patch.id,
                    grow.file
                );
            }
        }
        for file in &self.manifest.growing {
            ensure!(
                self.sources.contains_key(file),
                "growing: there is no file {file}"
            );
        }
        let maintainers: Vec<_> = listed
            .iter()
            .filter(|(_, file)| *file == MAINTAINERS)
            .collect();
        let wanted = usize::from(self.fragment.is_some());
        if maintainers.len() != wanted {
            bail!(
                "{} patches edit MAINTAINERS, {wanted} must",
                maintainers.len()
            );
        }
        listed.retain(|(_, file)| *file != MAINTAINERS);
        if let Some((patch, file)) = made.difference(&listed).next() {
            bail!("{EDITS} has an edit of {file} that patch {patch} does not list");
        }
        if let Some((patch, file)) = listed.difference(&made).next() {
            bail!("patch {patch} lists an edit of {file} that {EDITS} has not");
        }
        Ok(())
    }

    /// The files that this patch leaves new or changed.
    fn files(&mut self, index: usize, patch: &Patch) -> Result<BTreeMap<String, Source>> {
        let mut files = BTreeMap::new();
        for name in &self.claims[index] {
            let path = kernel_path(name)?;
            let there = self.git.read(&["ls-tree", self.base, "--", &path])?;
            ensure!(
                there.is_empty(),
                "{name}: Linux has {path} already; edit it in {EDITS}"
            );
            files.insert(path, self.source(name, index)?);
        }
        let grown: BTreeSet<&String> = patch.grow.iter().map(|grow| &grow.file).collect();
        for name in grown {
            let before = self.claims[..index]
                .iter()
                .flatten()
                .any(|file| file == name);
            ensure!(
                before,
                "patch {}: {name} grows before it is there",
                patch.id
            );
            files.insert(kernel_path(name)?, self.source(name, index)?);
        }
        for file in &patch.edits {
            let text = match self.edited.get(file) {
                Some(text) => text.clone(),
                None => {
                    let text = self.git.file(self.base, file)?;
                    text.with_context(|| format!("patch {}: Linux has no {file}", patch.id))?
                }
            };
            let text = self.edit(file, patch, text)?;
            self.edited.insert(file.clone(), text.clone());
            let executable = self.is_executable(file)?;
            files.insert(
                file.clone(),
                Source {
                    content: text.into_bytes(),
                    executable,
                },
            );
        }
        ensure!(!files.is_empty(), "patch {} changes nothing", patch.id);
        Ok(files)
    }

    /// A file of ours as it is after the patch with this index.
    fn source(&self, name: &str, index: usize) -> Result<Source> {
        let mut source = self.sources[name].clone();
        if self.manifest.growing.iter().any(|file| file == name) {
            let full = String::from_utf8(source.content).with_context(|| name.to_owned())?;
            source.content = self.manifest.grown(name, &full, index)?.into_bytes();
        }
        Ok(source)
    }

    fn edit(&self, file: &str, patch: &Patch, mut text: String) -> Result<String> {
        if file == MAINTAINERS {
            let fragment = self
                .fragment
                .as_deref()
                .context("no MAINTAINERS.fragment")?;
            return edits::maintainers(&text, fragment);
        }
        let edits = self.edits.iter().filter(|edits| edits.file == file);
        for edit in edits.flat_map(|edits| &edits.edit) {
            if edit.patch == patch.id {
                text = edit.apply(file, &text)?;
            }
        }
        Ok(text)
    }

    fn is_executable(&self, file: &str) -> Result<bool> {
        let entry = self.git.read(&["ls-tree", self.base, "--", file])?;
        Ok(entry.starts_with("100755"))
    }
}

/// The entry of MAINTAINERS. Who sends the series stands in for the project.
fn fragment(repo: &Path, project: &str, sender: Option<&str>) -> Option<String> {
    let text = fs::read_to_string(repo.join("MAINTAINERS.fragment")).ok()?;
    Some(text.replace(project, sender.unwrap_or(project)))
}

/// Fails unless the message of a patch that adds this many lines has its form.
pub fn check_message(message: &str, added: usize) -> Result<()> {
    let mut lines = message.lines();
    let subject = lines.next().unwrap_or_default();
    ensure!(!subject.trim().is_empty(), "the first line is the subject");
    ensure!(
        lines.next().is_none_or(str::is_empty),
        "the second line must be empty"
    );
    ensure!(message.ends_with('\n'), "it does not end with a newline");
    // A sign-off is a person's statement; `--signoff` makes it.
    ensure!(!message.contains("Signed-off-by:"), "it has a sign-off");
    let words: Vec<&str> = message.split_whitespace().collect();
    ensure!(
        added <= LARGE || words.join(" ").contains(REASON),
        "the patch adds {added} lines: a sentence has to begin with \"{REASON}\", and say why"
    );
    Ok(())
}

fn sign(message: &str, name: &str) -> String {
    let message = message.trim_end();
    let gap = if ends_with_trailers(message) {
        "\n"
    } else {
        "\n\n"
    };
    format!("{message}{gap}Signed-off-by: {name}\n")
}

/// Whether the last paragraph is a block of trailers, as git has it. The subject is none.
fn ends_with_trailers(message: &str) -> bool {
    let is_trailer = |line: &str| {
        let token = line.split_once(": ").map_or("", |(token, _)| token);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let follows = line.starts_with([' ', '\t']);
        follows || !token.is_empty() && token.chars().all(plain)
    };
    let last = message.rsplit_once("\n\n").map(|(_, last)| last);
    last.is_some_and(|last| !last.starts_with([' ', '\t']) && last.lines().all(is_trailer))
}

/// Makes the commits on `base` and gives their ids.
pub fn import(git: &Git, base: &str, series: &[Commit]) -> Result<Vec<String>> {
    let mut stream = Vec::new();
    for (index, commit) in series.iter().enumerate() {
        let person = format!("{} {} +0000", commit.author, commit.date);
        let head = format!("commit {BRANCH}\nauthor {person}\ncommitter {person}\n");
        stream.extend(head.into_bytes());
        data(&mut stream, commit.message.as_bytes());
        if index == 0 {
            stream.extend(format!("from {base}\n").into_bytes());
        }
        for (path, source) in &commit.files {
            let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
            ensure!(
                path.chars().all(plain),
                "the name of {path} has an unusual character"
            );
            let mode = if source.executable {
                "100755"
            } else {
                "100644"
            };
            stream.extend(format!("M {mode} inline {path}\n").into_bytes());
            data(&mut stream, &source.content);
        }
    }
    stream.extend(b"done\n");
    git.feed(&["fast-import", "--quiet", "--done"], &stream)?;
    let range = format!("{base}..{BRANCH}");
    let ids = git.read(&["rev-list", "--reverse", &range])?;
    Ok(ids.lines().map(str::to_owned).collect())
}

fn data(stream: &mut Vec<u8>, bytes: &[u8]) {
    stream.extend(format!("data {}\n", bytes.len()).into_bytes());
    stream.extend(bytes);
    stream.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_a_form() {
        assert!(check_message("fs: add it\n\nText.\n", 1).is_ok());
        assert!(check_message("fs: add it\n", 1).is_ok());
        assert!(check_message("fs: add it\ntext\n", 1).is_err());
        assert!(check_message("\ntext\n", 1).is_err());
        assert!(check_message("fs: add it", 1).is_err());
        assert!(check_message("fs: add it\n\nSigned-off-by: A <a@b>\n", 1).is_err());
    }

    #[test]
    fn large_patches_say_why() {
        let why = "fs: add it\n\nThe patch\nis large, as ring and state are one.\n";
        assert!(check_message(why, LARGE + 1).is_ok());
        assert!(check_message("fs: add it\n", LARGE).is_ok());
        let error = check_message("fs: add it\n", LARGE + 1).unwrap_err();
        assert!(error.to_string().contains("601 lines"), "{error}");
    }

    #[test]
    fn a_signature_ends_the_message() {
        assert_eq!(
            sign("s\n\nt\n", "A <a@b>"),
            "s\n\nt\n\nSigned-off-by: A <a@b>\n"
        );
        assert_eq!(
            sign("a: b\n", "A <a@b>"),
            "a: b\n\nSigned-off-by: A <a@b>\n"
        );
    }

    #[test]
    fn a_signature_joins_the_trailers() {
        for last in [
            "Link: x",
            "Fixes: 12ab (\"fs: b\")\nCc: A <a@b>",
            "Link: x\n y",
        ] {
            let signed = format!("s\n\nt\n\n{last}\nSigned-off-by: A <a@b>\n");
            assert_eq!(sign(&format!("s\n\nt\n\n{last}\n"), "A <a@b>"), signed);
        }
        for last in ["Note this: x", "Link: x\ntext", " x: y", "two words: x"] {
            let signed = format!("s\n\n{last}\n\nSigned-off-by: A <a@b>\n");
            assert_eq!(sign(&format!("s\n\n{last}\n"), "A <a@b>"), signed);
        }
    }
}
