//! Gets a package of a newer Debian release through apt, with lists and a cache of its own:
//! the system's package sources are read, never changed.

mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::base::is_release_of;
use crate::cache::{sha256, write_atomic};
use crate::command::{check, command, show, stdout};
use crate::progress::Step;

use sources::Mirror;

/// Debian's releases in their order.
const RELEASES: [&str; 5] = ["bullseye", "bookworm", "trixie", "forky", "duke"];

/// A package that a suite offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub version: String,
    pub sha256: String,
    size: u64,
}

/// An apt of our own: one mirror, one suite.
struct Apt {
    folder: PathBuf,
}

/// The first suite's offer of a release in `package`'s series, preferring the version `pinned`,
/// downloaded below `folder`.
pub fn fetch(package: &str, pinned: &str, folder: &Path) -> Result<(Offer, PathBuf)> {
    let advice = "name a git tree of Linux 7.3 with --linux DIR instead";
    let mirror =
        Mirror::find().with_context(|| format!("no Debian mirror is known here; {advice}"))?;
    let suites = suites(&mirror.codename);
    let mut reasons = String::new();
    for suite in &suites {
        let apt = Apt::new(&mirror, suite, &folder.join(suite))?;
        match apt.offer(package, pinned) {
            Ok(Some(offer)) => {
                let file = apt.download(package, &offer)?;
                return Ok((offer, file));
            }
            Ok(None) => reasons.push_str(&format!("\n  {suite}: has no release in {package}")),
            Err(error) => reasons.push_str(&format!("\n  {suite}: {error:#}")),
        }
    }
    bail!("{} offers no {package}; {advice}{reasons}", mirror.uri);
}

/// Where a newer kernel may be, for a machine that runs `codename`.
fn suites(codename: &str) -> Vec<String> {
    let mut suites = Vec::new();
    if let Some(at) = RELEASES.iter().position(|name| *name == codename) {
        suites.extend(
            RELEASES[at..]
                .iter()
                .take(2)
                .map(|name| format!("{name}-backports")),
        );
    }
    suites.extend(["unstable", "experimental"].map(str::to_owned));
    suites
}

impl Apt {
    fn new(mirror: &Mirror, suite: &str, folder: &Path) -> Result<Apt> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let key = mirror.signed_by.as_ref();
        let option = key.map_or(String::new(), |key| format!("[signed-by={key}] "));
        let line = format!("deb {option}{} {suite} main\n", mirror.uri);
        write_atomic(&folder.join("sources.list"), line)?;
        Ok(Apt {
            folder: folder.to_owned(),
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut apt = command(program);
        let at = |name: &str| self.folder.join(name).display().to_string();
        for (name, value) in [
            ("Dir::Etc::sourcelist", at("sources.list")),
            ("Dir::Etc::sourceparts", "-".to_owned()),
            ("Dir::Etc::preferences", "/dev/null".to_owned()),
            ("Dir::Etc::preferencesparts", "-".to_owned()),
            ("Dir::State::lists", at("lists")),
            ("Dir::State::status", "/var/lib/dpkg/status".to_owned()),
            ("Dir::Cache", at("cache")),
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
        ] {
            apt.arg("-o").arg(format!("{name}={value}"));
        }
        apt
    }

    /// What the suite offers, `pinned` if it can.
    fn offer(&self, package: &str, pinned: &str) -> Result<Option<Offer>> {
        let suite = self
            .folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let step = Step::start(format!("Reading the package list of {suite}"));
        check(
            self.command("apt-get")
                .args(["-o", "APT::Update::Error-Mode=any", "update"]),
        )?;
        step.done();
        let mut show = self.command("apt-cache");
        let known = stdout(show.args(["search", "--names-only", &format!("^{package}$")]))?;
        if known.is_empty() {
            return Ok(None);
        }
        let text = stdout(self.command("apt-cache").args(["show", package]))?;
        Ok(choose(parse_offers(&text), package, pinned))
    }

    /// Downloads the package and compares its hash.
    fn download(&self, package: &str, offer: &Offer) -> Result<PathBuf> {
        // A folder made anew: what an interrupted download left is not trusted.
        let folder = self.folder.join("download");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let version = &offer.version;
        let step = Step::start(format!("Downloading {package} {version}"));
        let mut apt = self.command("apt-get");
        apt.arg("download").arg(format!("{package}={version}"));
        apt.current_dir(&folder);
        watch(&mut apt, &step, &[&folder], offer.size)?;
        let mut files = fs::read_dir(&folder)?;
        let file = files.next().context("apt-get downloaded nothing")??.path();
        let hash = sha256(&file)?;
        if hash != offer.sha256 {
            bail!(
                "{}: SHA-256 is {hash}, the index says {}",
                file.display(),
                offer.sha256
            );
        }
        step.done();
        Ok(file)
    }
}

/// Runs an apt-get that downloads, and shows how much of `size` bytes is in `folders`.
pub fn watch(apt: &mut Command, step: &Step, folders: &[&Path], size: u64) -> Result<()> {
    apt.stdin(Stdio::null()).stdout(Stdio::null());
    let child = apt.stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot start `{}`", show(apt)))?;
    while child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(100));
        let done: u64 = folders.iter().map(|folder| size_in(folder)).sum();
        step.update(&format!("{} of {} MiB", done >> 20, size >> 20));
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("`{}`: {}\n{text}", show(apt), output.status);
    }
    Ok(())
}

fn size_in(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter_map(|file| Some(file.metadata().ok()?.len()))
        .sum()
}

/// The stanzas of `apt-cache show`.
fn parse_offers(text: &str) -> Vec<Offer> {
    let offers = text.split("\n\n").filter_map(|stanza| {
        let field = |name| stanza.lines().find_map(|line| line.strip_prefix(name));
        Some(Offer {
            version: field("Version: ")?.to_owned(),
            sha256: field("SHA256: ")?.to_owned(),
            size: field("Size: ")?.parse().ok()?,
        })
    });
    offers.collect()
}

/// The pinned version, else the newest release.
fn choose(offers: Vec<Offer>, package: &str, pinned: &str) -> Option<Offer> {
    let releases = offers
        .into_iter()
        .filter(|offer| is_release_of(&offer.version, package));
    releases.reduce(|best, offer| {
        let newer = best.version != pinned && newer(&offer.version, &best.version);
        if offer.version == pinned || newer {
            offer
        } else {
            best
        }
    })
}

fn newer(a: &str, b: &str) -> bool {
    check(command("dpkg").args(["--compare-versions", a, "gt", b])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_follow_the_release_of_the_machine() {
        let bookworm = [
            "bookworm-backports",
            "trixie-backports",
            "unstable",
            "experimental",
        ];
        assert_eq!(suites("bookworm"), bookworm);
        assert_eq!(suites("sid"), ["unstable", "experimental"]);
    }

    #[test]
    fn a_download_that_fails_says_why() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "content").unwrap();
        assert_eq!(size_in(folder.path()), 7);
        assert_eq!(size_in(&folder.path().join("nowhere")), 0);
        let run = |script: &str| {
            let mut apt = command("sh");
            apt.args(["-c", script]);
            watch(&mut apt, &Step::start("Testing"), &[folder.path()], 7)
        };
        run("true").unwrap();
        let error = run("echo why >&2; exit 100").unwrap_err().to_string();
        assert!(error.contains("100") && error.ends_with("why\n"), "{error}");
    }

    fn stanza(version: &str) -> String {
        format!("Package: linux-source-7.3\nVersion: {version}\nSize: 5\nSHA256: {version}-hash\n")
    }

    #[test]
    fn the_pinned_version_is_preferred_then_the_newest() {
        let pinned = "7.3.4-1~bpo13+1";
        let versions = ["7.3~rc7-1", "7.3.9-1~bpo13+1", pinned, "7.3.10-1~bpo13+1"];
        let text: Vec<String> = versions.iter().map(|version| stanza(version)).collect();
        let offers = parse_offers(&text.join("\n"));
        assert_eq!(offers.len(), 4);
        let package = "linux-source-7.3";
        let best = choose(offers.clone(), package, pinned).unwrap();
        assert_eq!(
            (best.version.as_str(), best.sha256.as_str()),
            (pinned, "7.3.4-1~bpo13+1-hash")
        );
        let best = choose(offers, package, "7.3.5-1").unwrap();
        assert_eq!(best.version, "7.3.10-1~bpo13+1");
        assert_eq!(
            choose(parse_offers(&stanza("7.3~rc7-1")), package, pinned),
            None
        );
    }
}
