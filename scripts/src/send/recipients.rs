//! Whom a patch concerns, by scripts/get_maintainer.pl of the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::sender::Sender;
use crate::command::{command, stdout};
use crate::git;

/// "Name <address>", or an address.
pub type Recipients = Vec<String>;

/// MAINTAINERS as the tree has it, with the sender in place of the project; written to `folder`.
pub fn maintainers(tree: &Path, sender: &Sender, folder: &Path) -> Result<PathBuf> {
    let path = tree.join("MAINTAINERS");
    let text = fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let project = format!("{} <{}>", git::NAME, git::EMAIL);
    let path = folder.join("MAINTAINERS");
    fs::write(&path, text.replace(&project, &sender.to_string()))?;
    Ok(path)
}

/// Those that MAINTAINERS, as in `list`, names for a patch, but the sender. History is not asked.
pub fn of(tree: &Path, list: &Path, sender: &Sender, patch: &Path) -> Result<Recipients> {
    let mut perl = command("perl");
    perl.current_dir(tree).arg("scripts/get_maintainer.pl");
    // Its configuration files would be read from there.
    perl.env("HOME", list.parent().context("a file has a folder")?);
    perl.args(["--nogit", "--nogit-fallback", "--nofixes", "--norolestats"]);
    perl.arg("--mpath").arg(list).arg(patch);
    let output = stdout(&mut perl)?;
    let lines = output.lines().map(str::trim);
    let others = lines.filter(|line| !line.is_empty() && !sender.is(address(line)));
    Ok(others.map(str::to_owned).collect())
}

/// All, each once.
pub fn union(all: &[Recipients]) -> Recipients {
    let mut seen = BTreeSet::new();
    let all = all.iter().flatten();
    let new = all.filter(|recipient| seen.insert(address(recipient).to_ascii_lowercase()));
    new.cloned().collect()
}

/// The address in "Name <address>".
fn address(recipient: &str) -> &str {
    let inner = recipient.rsplit_once('<').map(|(_, inner)| inner);
    inner.map_or(recipient, |inner| inner.trim_end_matches('>'))
}

/// Adds the header Cc to a mail.
pub fn write(mail: &Path, recipients: &[String]) -> Result<()> {
    let text = fs::read_to_string(mail);
    let text = text.with_context(|| format!("cannot read {}", mail.display()))?;
    let (header, body) = text.split_once("\n\n").context("a mail has a header")?;
    if recipients.is_empty() {
        return Ok(());
    }
    let text = format!("{header}\nCc: {}\n\n{body}", recipients.join(",\n\t"));
    fs::write(mail, text).with_context(|| format!("cannot write {}", mail.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_there_once() {
        let one = ["A <a@x.dev>", "list@x.dev"].map(str::to_owned);
        let two = ["\"B, b\" <b@x.dev>", "A. <A@x.dev>"].map(str::to_owned);
        let all = union(&[one.to_vec(), two.to_vec()]);
        assert_eq!(all, ["A <a@x.dev>", "list@x.dev", "\"B, b\" <b@x.dev>"]);
    }

    #[test]
    fn a_mail_gets_its_recipients() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail");
        fs::write(&path, "From: a\nSubject: one\n two\n\nText\n\nmore\n").unwrap();
        write(&path, &[]).unwrap();
        write(&path, &["A <a@x.dev>".into(), "b@x.dev".into()]).unwrap();
        let text = "From: a\nSubject: one\n two\nCc: A <a@x.dev>,\n\tb@x.dev\n\nText\n\nmore\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
