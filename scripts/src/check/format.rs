//! rustfmt, on the files that a patch touches.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::kept::MadeOf;
use super::states::State;
use super::{Check, Work};
use crate::cache::{sha256, write_atomic};
use crate::command::{command, show, stdout};

/// The kernel's settings.
const SETTINGS: &str = ".rustfmt.toml";

pub struct Format;

impl Check for Format {
    fn name(&self) -> String {
        "rustfmt".to_owned()
    }

    fn is_quick(&self) -> bool {
        true
    }

    fn lacks(&self, work: &Work) -> Option<String> {
        let tools = work.ctx.tools();
        let found = tools.rust.as_ref().and_then(|rust| rust.rustfmt.as_ref());
        found.is_none().then(|| {
            "for rustfmt: rustfmt of the same toolchain as rustc (cargo xtask setup)".to_owned()
        })
    }

    fn made_of(&self, work: &Work, state: &State) -> Result<Option<MadeOf>> {
        let sources = blobs(work, &state.commit, files(state))?;
        if sources.is_empty() {
            return Ok(None);
        }
        let tools = work.ctx.tools();
        let rustfmt = tools.rust()?.rustfmt.as_ref().context("no rustfmt")?;
        let tools = vec![
            stdout(command(rustfmt).arg("--version"))?,
            sha256(&work.tree.join(SETTINGS))?,
        ];
        Ok(Some(MadeOf { sources, tools }))
    }

    fn look(&self, work: &Work, state: &State, log: &Path) -> Result<Vec<String>> {
        let tools = work.ctx.tools();
        let rustfmt = tools.rust()?.rustfmt.as_ref().context("no rustfmt")?;
        let mut findings = Vec::new();
        for file in files(state) {
            let text = work.base.git.file(&state.commit, file)?;
            let text = text.with_context(|| format!("no {file}"))?;
            // From a pipe, so that it does not look for the modules that the file names.
            let mut rustfmt = command(rustfmt);
            rustfmt
                .args(["--check", "--edition", "2021", "--color", "never"])
                .arg("--config-path")
                .arg(work.tree.join(SETTINGS))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            let child = rustfmt.spawn();
            let mut child = child.with_context(|| format!("cannot start `{}`", show(&rustfmt)))?;
            let mut stdin = child.stdin.take().context("stdin is piped")?;
            let output = std::thread::scope(|scope| {
                scope.spawn(move || stdin.write_all(text.as_bytes()));
                child.wait_with_output()
            })?;
            if !output.status.success() {
                let out = String::from_utf8_lossy(&output.stdout);
                let err = String::from_utf8_lossy(&output.stderr);
                findings.push(format!("{file}:\n{out}{err}").trim_end().to_owned());
            }
        }
        write_atomic(log, findings.join("\n"))?;
        Ok(findings)
    }
}

fn files(state: &State) -> impl Iterator<Item = &str> {
    let paths = state.paths.iter().map(String::as_str);
    paths.filter(|path| path.ends_with(".rs"))
}

/// The contents of a commit's files, as git names them; none for those that are not there.
pub fn blobs<'a>(
    work: &Work,
    commit: &str,
    files: impl Iterator<Item = &'a str>,
) -> Result<Vec<String>> {
    let files: Vec<&str> = files.collect();
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let list = [&["ls-tree", "-r", commit, "--"][..], &files].concat();
    let list = work.base.git.read(&list)?;
    Ok(list.lines().map(str::to_owned).collect())
}
