//! The machine's own Debian mirror, as apt is set up for.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::command::{command, stdout};

#[derive(Debug, PartialEq, Eq)]
pub struct Mirror {
    pub uri: String,
    /// The release that the machine runs.
    pub codename: String,
    /// The keyring or keys that the mirror's entry names.
    pub signed_by: Option<String>,
}

impl Mirror {
    pub fn find() -> Result<Mirror> {
        let os = std::fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
        let codename = codename(&os).context("/etc/os-release names no release")?;
        let mut targets = command("apt-get");
        targets.args(["indextargets", "Created-By: Packages"]);
        let known = stdout(&mut targets)?;
        // Before the first `apt-get update` nothing is known of a mirror but its entry.
        let configured = stdout(targets.arg("--no-release-info"))?;
        let target =
            choose(&known, &codename, true).or_else(|| choose(&configured, &codename, false));
        let target = target.context("apt has no entry for this release of Debian")?;
        let signed_by = signed_by(&target.entry)?;
        let uri = target.uri;
        Ok(Mirror {
            uri,
            codename,
            signed_by,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Target {
    uri: String,
    /// "file:number" of the entry.
    entry: String,
}

fn codename(os_release: &str) -> Option<String> {
    let field = |name| os_release.lines().find_map(|line| line.strip_prefix(name));
    let name = field("VERSION_CODENAME=")?.trim_matches('"');
    (!name.is_empty()).then(|| name.to_owned())
}

/// The main component of the release itself, not of its updates.
fn choose(targets: &str, codename: &str, known: bool) -> Option<Target> {
    targets.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            let mut lines = stanza.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let fits = if known {
            field("Origin") == Some("Debian") && field("Codename") == Some(codename)
        } else {
            field("Release") == Some(codename)
        };
        let entry = field("Sourcesentry")?.to_owned();
        let uri = field("Repo-URI")?.to_owned();
        (fits && field("Component") == Some("main")).then_some(Target { uri, entry })
    })
}

/// What the entry "file:number" says of keys.
fn signed_by(entry: &str) -> Result<Option<String>> {
    let Some((file, number)) = entry.rsplit_once(':') else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let number: usize = number.parse().with_context(|| format!("entry {entry}"))?;
    let deb822 = Path::new(file)
        .extension()
        .is_some_and(|ending| ending == "sources");
    Ok(if deb822 {
        signed_by_stanza(&text, number)
    } else {
        signed_by_line(&text, number)
    })
}

/// `Signed-By:` of the stanza with this number. Keys that the entry itself holds are not taken.
fn signed_by_stanza(text: &str, number: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut stanzas = lines
        .split(|line| line.trim().is_empty())
        .filter(|stanza| !stanza.is_empty());
    let stanza = stanzas.nth(number.checked_sub(1)?)?;
    stanza.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        (name.eq_ignore_ascii_case("signed-by") && !value.is_empty()).then(|| value.to_owned())
    })
}

/// `signed-by=` among the options of the line with this number.
fn signed_by_line(text: &str, number: usize) -> Option<String> {
    let line = text.lines().nth(number.checked_sub(1)?)?;
    let (options, _) = line.split_once('[')?.1.split_once(']')?;
    options.split_whitespace().find_map(|option| {
        let (name, value) = option.split_once('=')?;
        name.eq_ignore_ascii_case("signed-by")
            .then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "\
Codename: nodistro
Origin: node
Component: main
Release: nodistro
Repo-URI: http://other/
Sourcesentry: /e/a.list:1

Codename: bookworm-updates
Origin: Debian
Component: main
Release: bookworm-updates
Repo-URI: http://updates/
Sourcesentry: /e/b.sources:1

Codename: bookworm
Origin: Debian
Component: main
Release: oldstable
Repo-URI: http://mirror/debian/
Sourcesentry: /e/b.sources:2
";

    #[test]
    fn the_release_itself_is_chosen() {
        let target = choose(TARGETS, "bookworm", true).unwrap();
        assert_eq!(target.uri, "http://mirror/debian/");
        assert_eq!(target.entry, "/e/b.sources:2");
        assert_eq!(choose(TARGETS, "trixie", true), None);
    }

    #[test]
    fn without_lists_the_entry_decides() {
        let entry = "Component: main\nRelease: trixie\nRepo-URI: http://m/\nSourcesentry: /e/s:1\n";
        assert_eq!(choose(entry, "trixie", true), None);
        assert_eq!(choose(entry, "trixie", false).unwrap().uri, "http://m/");
    }

    #[test]
    fn keys_of_a_deb822_entry() {
        let text = "# c\nTypes: deb\n# in between\nURIs: http://a\nSigned-By: /k/a.gpg\n\n\n\
                    Types: deb\nURIs: http://b\n\nsigned-by: /k/c.gpg\n\n\
                    Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(signed_by_stanza(text, 1).unwrap(), "/k/a.gpg");
        assert_eq!(signed_by_stanza(text, 2), None);
        assert_eq!(signed_by_stanza(text, 3).unwrap(), "/k/c.gpg");
        assert_eq!(signed_by_stanza(text, 4), None);
        assert_eq!(signed_by_stanza(text, 5), None);
    }

    #[test]
    fn keys_of_a_line() {
        let text = "# c\ndeb [arch=amd64 signed-by=/k/a.gpg] http://a bookworm main\n\
                    deb http://b bookworm main\n";
        assert_eq!(signed_by_line(text, 2).unwrap(), "/k/a.gpg");
        assert_eq!(signed_by_line(text, 3), None);
    }

    #[test]
    fn codename_of_a_system() {
        assert_eq!(
            codename("ID=debian\nVERSION_CODENAME=bookworm\n").unwrap(),
            "bookworm"
        );
        assert_eq!(codename("VERSION_CODENAME=\"trixie\"\n").unwrap(), "trixie");
        assert_eq!(codename("ID=x\n"), None);
    }
}
