//! The numbers of the system calls, from the edits of the tables.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use glob::glob;
use serde::Deserialize;

use crate::context::Context;

/// What of `linux/edits/*.toml` is read here.
#[derive(Deserialize)]
struct Edits {
    file: String,
    edit: Vec<Edit>,
}

#[derive(Deserialize)]
struct Edit {
    lines: String,
}

pub fn facts(ctx: &Context) -> Result<Vec<String>> {
    let pattern = ctx.repo.join("linux/edits/*.toml");
    let mut facts = Vec::new();
    for path in glob(&pattern.to_string_lossy())? {
        let path = path?;
        let text = fs::read_to_string(&path)?;
        facts.extend(of_edits(&text).with_context(|| format!("in {}", path.display()))?);
    }
    let own = ctx.arch.syscalls_table();
    ensure!(
        facts
            .iter()
            .any(|fact| fact.starts_with(&format!("call {own} "))),
        "no edit adds calls to {own}"
    );
    Ok(facts)
}

fn of_edits(text: &str) -> Result<Vec<String>> {
    let edits: Edits = toml::from_str(text)?;
    if !edits.file.ends_with(".tbl") {
        return Ok(Vec::new());
    }
    let lines = edits.edit.iter().flat_map(|edit| edit.lines.lines());
    let rows = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows = rows.filter(|words| words.first().is_some_and(|word| !word.starts_with('#')));
    rows.map(|words| {
        ensure!(
            words.len() >= 4,
            "`{}` is no row of a table",
            words.join(" ")
        );
        Ok(format!("call {} {}", edits.file, words.join(" ")))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDITS: &str = "file = \"scripts/syscall.tbl\"\n[[edit]]\npatch = \"x\"\nafter = \"y\"\n\
                         lines = '''\n# ours\n473\tcommon\tkevent_init\t\tsys_kevent_init\n'''\n";

    #[test]
    fn each_number_is_a_fact() {
        let fact = "call scripts/syscall.tbl 473 common kevent_init sys_kevent_init";
        assert_eq!(of_edits(EDITS).unwrap(), [fact]);
    }

    #[test]
    fn a_changed_number_is_noticed() {
        let changed = EDITS.replace("473", "474");
        assert_ne!(of_edits(&changed).unwrap(), of_edits(EDITS).unwrap());
    }

    #[test]
    fn other_files_have_no_calls() {
        let other = EDITS.replace("scripts/syscall.tbl", "init/Kconfig");
        assert!(of_edits(&other).unwrap().is_empty());
    }

    #[test]
    fn a_broken_row_is_refused() {
        assert!(of_edits(&EDITS.replace("\tsys_kevent_init", "")).is_err());
    }
}
