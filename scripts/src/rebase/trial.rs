//! Applies patches one by one, and goes on after those that fail.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::command::check;
use crate::git::Scratch;

/// What became of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it is; lines may have moved.
    Clean,
    /// With a three-way merge.
    ThreeWay,
    /// Neither; these files.
    Conflict(Vec<String>),
}

impl Fate {
    pub fn name(&self) -> &'static str {
        match self {
            Fate::Clean => "clean",
            Fate::ThreeWay => "with 3-way",
            Fate::Conflict(_) => "conflict",
        }
    }
}

pub struct Trial {
    /// At the other Linux, with the objects of the series.
    scratch: Scratch,
    /// The commits of the series on its own base.
    series: Vec<String>,
}

impl Trial {
    /// The series is what `tip` has above `base`.
    pub fn new(scratch: Scratch, tip: &str, base: &str) -> Result<Trial> {
        let range = format!("{base}..{tip}");
        let series = scratch.git.read(&["rev-list", "--reverse", &range])?;
        let series = series.lines().map(str::to_owned).collect();
        Ok(Trial { scratch, series })
    }

    pub fn run(&self, patches: &[PathBuf], mut says: impl FnMut(&str)) -> Result<Vec<Fate>> {
        ensure!(
            patches.len() == self.series.len(),
            "{} patches gave {} commits",
            patches.len(),
            self.series.len()
        );
        self.scratch.checkout(patches)?;
        let mut fates = Vec::new();
        for (patch, commit) in patches.iter().zip(&self.series) {
            let name = patch.file_name().context("a patch has a name")?;
            says(&name.to_string_lossy());
            fates.push(self.apply(patch, commit)?);
        }
        Ok(fates)
    }

    fn apply(&self, patch: &Path, commit: &str) -> Result<Fate> {
        if self.am("--no-3way", patch)? {
            return Ok(Fate::Clean);
        }
        self.give_up()?;
        if self.am("--3way", patch)? {
            return Ok(Fate::ThreeWay);
        }
        let files = self.unmerged()?;
        self.give_up()?;
        let forced = self.force(commit)?;
        let files: BTreeSet<String> = files.into_iter().chain(forced).collect();
        Ok(Fate::Conflict(files.into_iter().collect()))
    }

    /// Whether the patch applies in this way.
    fn am(&self, way: &str, patch: &Path) -> Result<bool> {
        let mut am = self.scratch.git.command();
        am.args(["am", "--quiet", "--no-gpg-sign", "--no-scissors", way, "--"]);
        Ok(check(am.arg(patch)).is_ok())
    }

    fn give_up(&self) -> Result<()> {
        let git = &self.scratch.git;
        git.run(&["am", "--quit"])?;
        git.run(&["reset", "--quiet", "--hard"])?;
        git.run(&["clean", "--quiet", "-ffdx"])
    }

    fn unmerged(&self) -> Result<BTreeSet<String>> {
        let git = &self.scratch.git;
        let names = git.read(&["diff", "--name-only", "--diff-filter=U", "-z"])?;
        let names = names.split('\0').filter(|name| !name.is_empty());
        Ok(names.map(str::to_owned).collect())
    }

    /// Does to each file what the commit does, as far as that merges; those that do not are left as
    /// the series has them, and given back.
    fn force(&self, commit: &str) -> Result<BTreeSet<String>> {
        let git = &self.scratch.git;
        // It fails where there is a conflict, which is what is looked for.
        let _ = git.run(&["cherry-pick", "--no-commit", commit]);
        let files = self.unmerged()?;
        for file in &files {
            let entry = git.read(&["ls-tree", commit, "--", file])?;
            let entry = entry.split_once('\t').map(|(entry, _)| entry);
            let fields: Vec<&str> = entry.unwrap_or_default().split(' ').collect();
            match fields[..] {
                [mode, _, blob] => {
                    let entry = format!("{mode},{blob},{file}");
                    git.run(&["update-index", "--add", "--cacheinfo", &entry])?;
                }
                _ => git.run(&["update-index", "--force-remove", "--", file])?,
            }
        }
        let message = ["commit", "--quiet", "--no-verify", "--allow-empty", "-m"];
        git.run(&[&message[..], &["forced"]].concat())?;
        git.run(&["reset", "--quiet", "--hard"])?;
        git.run(&["clean", "--quiet", "-ffdx"])?;
        Ok(files)
    }
}
