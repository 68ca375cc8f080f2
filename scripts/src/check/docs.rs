//! Sphinx, on the folders of the pages that a patch touches.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use super::format::blobs;
use super::kept::MadeOf;
use super::states::State;
use super::warnings::{self, Warning};
use super::{Check, Work};
use crate::command::{command, last_lines, show, stdout, stream};
use crate::progress::Step;
use crate::tools::in_path;
use crate::tree;

pub struct Docs;

impl Check for Docs {
    fn name(&self) -> String {
        "docs".to_owned()
    }

    fn lacks(&self, _: &Work) -> Option<String> {
        let found = in_path("sphinx-build");
        found.is_none().then(|| {
            "for docs: sphinx-build (apt-get install python3-sphinx, or pip install sphinx in a \
             virtual environment)"
                .to_owned()
        })
    }

    fn made_of(&self, work: &Work, state: &State) -> Result<Option<MadeOf>> {
        let pages = pages(work, state)?;
        if pages.is_empty() {
            return Ok(None);
        }
        let paths = state.paths.iter().map(String::as_str);
        let mut sources = blobs(work, &state.commit, paths)?;
        sources.extend(blobs(work, &state.commit, folders(&pages).into_iter())?);
        // The short form asks without them, for the sources alone.
        let version = |program| stdout(command(program).arg("--version")).unwrap_or_default();
        let tools = vec![version("sphinx-build"), version("python3")];
        Ok(Some(MadeOf { sources, tools }))
    }

    fn look(&self, work: &Work, state: &State, log: &Path) -> Result<Vec<String>> {
        let pages = pages(work, state)?;
        let linux = work.home.join("linux");
        tree::checkout(work.base, &linux, &state.commit)?;
        let under = |folder: &str| {
            let name = folder.strip_prefix("Documentation/").unwrap_or(".");
            name.to_owned()
        };
        let folders: Vec<String> = folders(&pages).into_iter().map(under).collect();
        let mut make = command("make");
        make.arg("-C")
            .arg(&linux)
            .arg(format!("O={}", work.home.join("docs").display()))
            .arg("htmldocs")
            .arg(format!("SPHINXDIRS={}", folders.join(" ")));
        let step = Step::start(format!("{} htmldocs", state.number));
        // What it has read before, it does not warn of again.
        let output = work.home.join("docs");
        if output.exists() {
            std::fs::remove_dir_all(&output)?;
        }
        std::fs::create_dir_all(&output)?;
        let mut text = String::new();
        let status = stream(&mut make, log, |line| {
            step.update(line);
            text.push_str(line);
            text.push('\n');
        })?;
        if !status.success() {
            bail!("`{}`: {status}\n{}", show(&make), last_lines(&text, 20));
        }
        let about = |line: &&str| {
            let line = line.to_ascii_lowercase();
            let tells = ["warning:", "error:", "critical:"];
            let ours = pages.iter().chain(&state.paths);
            tells.iter().any(|word| line.contains(word))
                && ours
                    .into_iter()
                    .any(|path| line.contains(&path.to_ascii_lowercase()))
        };
        let found = text.lines().filter(about).map(str::to_owned);
        let found = found.map(|text| Warning { text }).collect();
        Ok(warnings::new(found, &BTreeSet::new()))
    }
}

/// The pages that a patch touches, or that are made from a file that it touches.
fn pages(work: &Work, state: &State) -> Result<Vec<String>> {
    let is_page = |path: &&String| path.starts_with("Documentation/") && path.ends_with(".rst");
    let (pages, others): (Vec<&String>, Vec<&String>) = state.paths.iter().partition(is_page);
    let mut found: BTreeSet<String> = pages.into_iter().cloned().collect();
    let sources = others.iter().filter(|path| !path.starts_with("tools/"));
    let patterns = sources.map(|source| format!("^\\.\\. .*:: *{source}$"));
    let patterns: Vec<String> = patterns.collect();
    if !patterns.is_empty() {
        let mut grep = vec!["grep", "--name-only"];
        grep.extend(patterns.iter().flat_map(|pattern| ["-e", pattern]));
        grep.extend([&state.commit, "--", "Documentation"]);
        // It fails when nothing matches.
        let pages = work.base.git.read(&grep);
        let pages = pages.unwrap_or_default();
        let names = pages.lines().filter_map(|line| line.split_once(':'));
        found.extend(names.map(|(_, name)| name.to_owned()));
    }
    Ok(found.into_iter().collect())
}

fn folders(pages: &[String]) -> BTreeSet<&str> {
    let folders = pages.iter().filter_map(|page| page.rsplit_once('/'));
    folders.map(|(folder, _)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_once() {
        let pages = ["Documentation/a/b.rst", "Documentation/a/c.rst"].map(str::to_owned);
        assert_eq!(Vec::from_iter(folders(&pages)), ["Documentation/a"]);
    }
}
