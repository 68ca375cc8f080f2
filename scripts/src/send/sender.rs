//! The person who sends the series.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::{command, stdout};
use crate::git;

/// A sign-off is a statement of somebody who can be asked, so the address must be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    pub name: String,
    pub address: String,
}

/// Ends of domains that no mail reaches from elsewhere (RFC 2606, RFC 6761, RFC 8375), and what
/// machines call themselves.
const NOWHERE: [&str; 13] = [
    "arpa",
    "corp",
    "example",
    "example.com",
    "example.net",
    "example.org",
    "home",
    "internal",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "test",
];

/// Names that programs make up.
const NOBODY: [&str; 5] = [git::NAME, "root", "user", "unknown", "your name"];

impl Sender {
    /// Who is given, else who git says it is.
    pub fn find(given: Option<&str>, git: impl Fn(&str) -> Option<String>) -> Result<Sender> {
        let (text, place) = match given {
            Some(text) => (text.to_owned(), "--from"),
            None => match (git("user.name"), git("user.email")) {
                (Some(name), Some(address)) => (format!("{name} <{address}>"), "git's user"),
                _ => bail!(
                    "no sender: give --from 'Name <address>', or set user.name and user.email of git"
                ),
            },
        };
        let sender = Sender::parse(&text);
        sender.with_context(|| format!("{place} `{text}` cannot sign off the series"))
    }

    fn parse(text: &str) -> Result<Sender> {
        let parts = text.trim().strip_suffix('>');
        let (name, address) = parts
            .and_then(|parts| parts.split_once('<'))
            .context("it is not of the form `Name <address>`")?;
        let (name, address) = (name.trim().trim_matches('"'), address.trim());
        let is_special = |c: char| c.is_control() || "<>\"@,;:\\".contains(c);
        ensure!(name.chars().any(char::is_alphabetic), "it has no name");
        ensure!(!name.contains(is_special), "its name is none");
        let nobody = |nobody: &&str| name.eq_ignore_ascii_case(nobody);
        ensure!(!NOBODY.iter().any(nobody), "that is nobody");
        check_address(address)?;
        Ok(Sender {
            name: name.to_owned(),
            address: address.to_owned(),
        })
    }

    pub fn is(&self, address: &str) -> bool {
        self.address.eq_ignore_ascii_case(address)
    }
}

fn check_address(address: &str) -> Result<()> {
    let (local, domain) = address.split_once('@').context("its address has no @")?;
    let plain = |c: char| c.is_ascii_graphic() && !"<>()[]\\,;:\"@".contains(c);
    ensure!(
        !local.is_empty()
            && address.chars().filter(|c| *c != '@').all(plain)
            && !domain.contains('@'),
        "its address is none"
    );
    let domain = domain.to_ascii_lowercase();
    let labels: Vec<&str> = domain.split('.').collect();
    ensure!(
        labels.len() > 1 && labels.iter().all(|label| !label.is_empty()) && domain != "localhost",
        "no mail from elsewhere reaches {domain}"
    );
    let ends = |end: &&str| {
        domain
            .strip_suffix(end)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    ensure!(
        !NOWHERE.iter().any(ends) && labels.last() != Some(&"localhost"),
        "no mail reaches {domain}"
    );
    let silent = |part: &str| ["noreply", "no-reply", "donotreply"].contains(&part);
    ensure!(
        !silent(&local.to_ascii_lowercase()) && !labels.iter().any(|label| silent(label)),
        "nobody reads replies to it"
    );
    Ok(())
}

impl Display for Sender {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} <{}>", self.name, self.address)
    }
}

/// A setting of git as the user has it, in this repository or everywhere.
pub fn of_git(repo: &Path, key: &str) -> Option<String> {
    let mut git = command("git");
    git.arg("-C").arg(repo).args(["config", "--get", key]);
    stdout(&mut git).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_a_sender() {
        for text in [
            "Ada Person <ada@person.dev>",
            "\"J. Person\" <j.p+lkml@mail.person.co.uk>",
            "Björn <bjorn@kernel.org>",
        ] {
            let sender = Sender::find(Some(text), |_| None).unwrap();
            assert_eq!(sender.to_string(), text.replace('"', ""));
        }
        let git = |key: &str| match key {
            "user.name" => Some("Ada Person".to_owned()),
            _ => Some("ada@person.dev".to_owned()),
        };
        let sender = Sender::find(None, git).unwrap();
        assert_eq!(sender.to_string(), "Ada Person <ada@person.dev>");
        assert!(sender.is("Ada@Person.dev") && !sender.is("eve@person.dev"));
    }

    #[test]
    fn nobody_is_no_sender() {
        for text in [
            "The kevent project <kevent@localhost>",
            "Ada Person <kevent@localhost>",
            "The kevent project <ada@person.dev>",
            "Ada Person <ada@machine.localdomain>",
            "Ada Person <ada@person.example>",
            "Ada Person <you@example.com>",
            "Ada Person <ada@users.noreply.person.dev>",
            "Ada Person <noreply@person.dev>",
            "Ada Person <ada@localhost.localhost>",
            "Ada Person <ada@>",
            "Ada Person <@person.dev>",
            "Ada Person <ada@a@person.dev>",
            "Ada Person <ada person@person.dev>",
            "Ada Person ada@person.dev",
            "Ada\nPerson <ada@person.dev>",
            "Ada, Person <ada@person.dev>",
            "root <root@person.dev>",
            "<ada@person.dev>",
            "ada@person.dev",
            "",
        ] {
            let error = Sender::find(Some(text), |_| None).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains("cannot sign off"), "{text}: {error}");
        }
        let name = |key: &str| (key == "user.name").then(|| "Ada Person".to_owned());
        let error = Sender::find(None, name).unwrap_err().to_string();
        assert!(error.starts_with("no sender: give --from"), "{error}");
    }

    #[test]
    fn the_repositorys_user_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (git, _) = crate::git::tests::repository(folder.path(), &[("f", "x\n")]);
        git.run(&["config", "user.email", "ada@person.dev"])
            .unwrap();
        let found = of_git(folder.path(), "user.email");
        assert_eq!(found.as_deref(), Some("ada@person.dev"));
        assert_eq!(of_git(folder.path(), "kevent.none"), None);
    }
}
