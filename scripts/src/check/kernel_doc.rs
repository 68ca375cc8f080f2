//! kernel-doc, on the C files and headers that a patch touches.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::format::blobs;
use super::kept::MadeOf;
use super::states::State;
use super::warnings::{self, Warning};
use super::{Check, Work};
use crate::cache::{TEMPORARY, sha256, write_atomic};
use crate::command::{command, show, stdout};

use crate::tools::in_path;

const SCRIPT: &str = "scripts/kernel-doc";

pub struct KernelDoc;

impl Check for KernelDoc {
    fn name(&self) -> String {
        "kernel-doc".to_owned()
    }

    fn is_quick(&self) -> bool {
        true
    }

    fn lacks(&self, _: &Work) -> Option<String> {
        let found = in_path("python3");
        found
            .is_none()
            .then(|| "for kernel-doc: python3 (apt-get install python3)".to_owned())
    }

    fn made_of(&self, work: &Work, state: &State) -> Result<Option<MadeOf>> {
        let mut sources = blobs(work, &state.commit, files(state))?;
        if sources.is_empty() {
            return Ok(None);
        }
        sources.extend(blobs(work, &state.before, files(state))?);
        let mut tools = vec![stdout(command("python3").arg("--version"))?];
        let pattern = work.tree.join("tools/lib/python/kdoc/*.py");
        for path in glob::glob(pattern.to_str().context("the path is no UTF-8")?)? {
            tools.push(sha256(&path?)?);
        }
        Ok(Some(MadeOf { sources, tools }))
    }

    fn look(&self, work: &Work, state: &State, log: &Path) -> Result<Vec<String>> {
        let before = complaints(work, &state.before, state)?;
        let after = complaints(work, &state.commit, state)?;
        write_atomic(log, &after)?;
        let before: BTreeSet<String> = find(&before).iter().map(Warning::key).collect();
        Ok(warnings::new(find(&after), &before))
    }
}

/// Each line that it writes is one complaint.
fn find(text: &str) -> Vec<Warning> {
    let told =
        |line: &&str| line.to_ascii_lowercase().contains("warning:") || line.contains("rror:");
    let lines = text.lines().filter(told).map(str::to_owned);
    lines.map(|text| Warning { text }).collect()
}

/// What it says of a commit's files.
fn complaints(work: &Work, commit: &str, state: &State) -> Result<String> {
    let folder = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempdir_in(work.home)?;
    let mut there = Vec::new();
    for file in files(state) {
        if let Some(text) = work.base.git.file(commit, file)? {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            fs::write(path, text)?;
            there.push(file);
        }
    }
    if there.is_empty() {
        return Ok(String::new());
    }
    let mut script = command("python3");
    script.current_dir(folder.path());
    script.env("PYTHONDONTWRITEBYTECODE", "1");
    script.arg(work.tree.join(SCRIPT)).args(["-none", "-Wall"]);
    let output = script.args(there).output();
    let output = output.with_context(|| format!("cannot start `{}`", show(&script)))?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn files(state: &State) -> impl Iterator<Item = &str> {
    let paths = state.paths.iter().map(String::as_str);
    paths.filter(|path| {
        let is_code = path.ends_with(".c") || path.ends_with(".h");
        is_code && !path.starts_with("tools/")
    })
}
