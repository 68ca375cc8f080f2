//! The programs that mail patches. They are asked what they would send.

mod b4;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::recipients::Recipients;
use super::sender::Sender;
use crate::command::{command, show, stdout};
use crate::series::COVER;
use crate::tools::in_path;
use crate::tree::{self, Base};

/// What is to be mailed.
pub struct Mail<'a> {
    pub sender: &'a Sender,
    pub to: &'a [String],
    pub cc: &'a [String],
    /// The patches and the cover letter, with their own Cc.
    pub folder: &'a Path,
    /// Whom any of them concerns.
    pub everybody: Recipients,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Mailer {
    GitSendEmail,
    B4(PathBuf),
}

impl Mailer {
    pub fn find() -> Result<Mailer> {
        let folder = stdout(command("git").arg("--exec-path"))?;
        let git = Path::new(&folder).join("git-send-email").is_file();
        Mailer::of(git || in_path("git-send-email").is_some(), in_path("b4"))
    }

    fn of(git: bool, b4: Option<PathBuf>) -> Result<Mailer> {
        match (git, b4) {
            (true, _) => Ok(Mailer::GitSendEmail),
            (false, Some(b4)) => Ok(Mailer::B4(b4)),
            (false, None) => bail!(
                "neither `git send-email` nor b4 is installed, and one of them is needed to show the \
                 mails: on Debian `apt-get install git-email` or `apt-get install b4`, elsewhere the \
                 package git-email, or `pip install b4`"
            ),
        }
    }

    /// The headers of the mails that it would send, in the order in which it would.
    pub fn dry_run(&self, mail: &Mail, base: &Base, cache: &Path) -> Result<String> {
        let (text, mark) = match self {
            Mailer::GitSendEmail => {
                let mut git = send_email(mail, &["--dry-run", "--confirm=never", "--no-annotate"]);
                git.arg(mail.folder.join(COVER));
                (stdout(git.args(tree::patches(mail.folder)?))?, "Dry-OK.")
            }
            Mailer::B4(b4) => (b4::dry_run(b4, mail, base, cache)?, "message follows"),
        };
        let (count, headers) = headers(&text, mark);
        Ok(format!("{headers}{count} mails"))
    }

    /// How a person sends them.
    pub fn command(&self, mail: &Mail) -> String {
        let folder = mail.folder.display();
        match self {
            Mailer::GitSendEmail => {
                let command = show(&send_email(mail, &[]));
                format!("To mail it:\n  {command} {folder}/*.patch")
            }
            Mailer::B4(_) => b4::instructions(mail),
        }
    }
}

/// git as its user has set it up, as the mails are theirs.
fn send_email(mail: &Mail, options: &[&str]) -> Command {
    let mut git = command("git");
    git.arg("send-email").args(options);
    git.arg(format!("--from={}", mail.sender));
    git.args(mail.to.iter().map(|to| format!("--to={to}")));
    git.args(mail.cc.iter().map(|cc| format!("--cc={cc}")));
    git.args(["--thread", "--no-chain-reply-to", "--suppress-cc=self"]);
    git.arg("--8bit-encoding=UTF-8");
    git
}

/// How many mails a dry run shows, and what of their headers a person looks at. A header follows
/// a line with `mark`, begins with From, and ends with an empty line; b4 puts a bar before each line.
fn headers(text: &str, mark: &str) -> (usize, String) {
    let (mut count, mut shown) = (0, String::new());
    let mut lines = text.lines().map(bare);
    while lines.any(|line| line.contains(mark)) {
        count += 1;
        let header = lines
            .by_ref()
            .skip_while(|line| !line.starts_with("From: "));
        let mut wanted = false;
        for line in header.take_while(|line| !line.is_empty()) {
            if !line.starts_with([' ', '\t']) {
                let names = ["From: ", "To: ", "Cc: ", "Subject: "];
                wanted = names.iter().any(|name| line.starts_with(name));
            }
            if wanted {
                shown.push_str(line);
                shown.push('\n');
            }
        }
        shown.push('\n');
    }
    (count, shown)
}

fn bare(line: &str) -> &str {
    match line.trim_start().strip_prefix('|') {
        Some(rest) => rest.strip_prefix(' ').unwrap_or(rest),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_is_named() {
        let b4 = || Some(PathBuf::from("/bin/b4"));
        assert_eq!(Mailer::of(true, b4()).unwrap(), Mailer::GitSendEmail);
        assert_eq!(
            Mailer::of(false, b4()).unwrap(),
            Mailer::B4("/bin/b4".into())
        );
        let error = Mailer::of(false, None).unwrap_err().to_string();
        assert!(
            error.contains("git-email") && error.contains("pip install b4"),
            "{error}"
        );
    }

    #[test]
    fn headers_of_a_dry_run() {
        let git = "a\n\nDry-OK. Log says:\nRCPT TO:<x>\nFrom: A\nCc: b,\n\tc\nDate: d\n e\n\n\
                   Result: OK\nDry-OK. Log says:\nFrom: A\nSubject: s\n\nFrom: body\n";
        let shown = "From: A\nCc: b,\n\tc\n\nFrom: A\nSubject: s\n\n";
        assert_eq!(headers(git, "Dry-OK."), (2, shown.to_owned()));
        let b4 = "  --- DRYRUN: message follows ---\n  | From: A\n  | Subject: s\n  | \n  | text\n";
        let shown = "From: A\nSubject: s\n\n".to_owned();
        assert_eq!(headers(b4, "message follows"), (1, shown));
    }
}
