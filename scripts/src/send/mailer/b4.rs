//! b4 sends a branch with a cover letter of its own, so it gets one for a while.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Mail;
use crate::command::{check, command, lines, show};
use crate::git::{Keep, Scratch};
use crate::series::COVER;
use crate::tree::{self, Base};

pub fn dry_run(b4: &Path, mail: &Mail, base: &Base, cache: &Path) -> Result<String> {
    let scratch = Scratch::new(&base.git, cache, Keep::Nothing, &base.commit)?;
    let tip = scratch.am(&tree::patches(mail.folder)?)?;
    let git = &scratch.git;
    git.run(&["branch", "base", &base.commit])?;
    git.run(&["branch", "kevent", &tip])?;
    git.run(&["symbolic-ref", "HEAD", "refs/heads/kevent"])?;
    git.run(&["config", "user.name", &mail.sender.name])?;
    git.run(&["config", "user.email", &mail.sender.address])?;
    git.run(&["config", "b4.prep-cover-strategy", "branch-description"])?;
    let home = tempfile::tempdir()?;
    let cover = home.path().join("cover");
    fs::write(&cover, text(&fs::read_to_string(mail.folder.join(COVER))?)?)?;
    let b4 = |args: &[&str]| {
        let mut b4 = offline(b4, &scratch, home.path());
        b4.env("EDITOR", format!("cp {}", cover.display()));
        b4.args(args);
        b4
    };
    check(&mut b4(&["prep", "--enroll", "base"]))?;
    check(&mut b4(&["prep", "--edit-cover"]))?;
    let mut send = b4(&["send", "--dry-run", "--no-sign"]);
    add_recipients(&mut send, mail);
    let mut shown = String::new();
    lines(&mut send, |line| shown.push_str(&format!("{line}\n")))?;
    Ok(shown)
}

pub fn instructions(mail: &Mail) -> String {
    let folder = mail.folder.display();
    let mut send = Command::new("b4");
    send.arg("send");
    add_recipients(&mut send, mail);
    format!(
        "To mail it, in a git tree of Linux on a branch at the base, with the text of {folder}/{COVER}:\n  \
         git am {folder}/000[1-9]-*.patch {folder}/00[1-9]?-*.patch\n  \
         b4 prep --enroll BASE && b4 prep --edit-cover\n  {}",
        show(&send)
    )
}

fn add_recipients(b4: &mut Command, mail: &Mail) {
    b4.arg("--to").args(mail.to);
    b4.arg("--cc").args(mail.cc).args(&mail.everybody);
}

/// b4 in the scratch repository, with neither network nor files of its own.
fn offline(b4: &Path, scratch: &Scratch, home: &Path) -> Command {
    let mut b4 = command(b4);
    b4.current_dir(scratch.git.folder()).arg("--offline-mode");
    let git = scratch.git.command();
    for (name, value) in git.get_envs() {
        // The person is in the repository's configuration.
        let is_person = ["GIT_AUTHOR_", "GIT_COMMITTER_"];
        let is_person = is_person
            .iter()
            .any(|person| name.to_string_lossy().starts_with(person));
        match value {
            Some(value) if !is_person => b4.env(name, value),
            _ => b4.env_remove(name),
        };
    }
    for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        b4.env(name, home);
    }
    b4
}

/// The cover letter as b4 has it: the subject, an empty line, the text.
fn text(mail: &str) -> Result<String> {
    let (header, body) = mail.split_once("\n\n").context("a mail has a header")?;
    let subject = header
        .lines()
        .find_map(|line| line.strip_prefix("Subject: "));
    let subject = subject.context("a mail has a subject")?;
    let (_, subject) = subject.split_once("] ").context("a patch is marked")?;
    Ok(format!("{subject}\n\n{body}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_cover_letter_without_its_header() {
        let mail = "From: a\nSubject: [PATCH 0/2] all\nCc: b\n\nText.\n\nmore\n";
        assert_eq!(super::text(mail).unwrap(), "all\n\nText.\n\nmore\n");
    }
}
