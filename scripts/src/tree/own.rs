//! Linux from the distribution's source package: download, unpack, one commit.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::{Base, about_distribution};
use crate::apt;
use crate::base::Pin;
use crate::cache::{sha256, write_atomic};
use crate::command::{check, command, lines};
use crate::git::Git;
use crate::progress::Step;

/// Which source the cache holds, written when it is complete.
#[derive(Deserialize, Serialize)]
struct Source {
    /// The pinned version at that time.
    pinned: String,
    version: String,
    sha256: String,
    commit: String,
}

/// The base in the cache, made if it is not there or not whole.
pub fn base(cache: &Path, pin: &Pin) -> Result<Base> {
    let stamp = cache.join("base.toml");
    let source = match read(&stamp, pin).filter(|source| is_whole(cache, source)) {
        Some(source) => source,
        None => {
            let source = make(cache, pin)?;
            write_atomic(&stamp, toml::to_string(&source)?)?;
            source
        }
    };
    let pinned = source.version == pin.version;
    if !pinned {
        eprintln!(
            "WARNING: the package sources offer {} {}, not the pinned {}: going on with it",
            pin.package, source.version, pin.version
        );
    }
    Ok(Base {
        git: Git::at(folder(cache, &source.version)),
        about: about_distribution(pin, &source.version),
        name: format!("{} {}", pin.package, source.version),
        commit: source.commit,
        pinned,
        distribution: true,
        mainline: false,
    })
}

fn folder(cache: &Path, version: &str) -> PathBuf {
    cache.join(format!("linux-{version}"))
}

fn read(stamp: &Path, pin: &Pin) -> Option<Source> {
    let source: Source = toml::from_str(&fs::read_to_string(stamp).ok()?).ok()?;
    (source.pinned == pin.version).then_some(source)
}

/// Whether the repository is still there. Its files are looked at when the series is applied.
fn is_whole(cache: &Path, source: &Source) -> bool {
    let folder = folder(cache, &source.version);
    // Without its own .git, git would look for one in the folders above.
    folder.join(".git").is_dir() && Git::at(folder).commit(&source.commit).is_ok()
}

fn make(cache: &Path, pin: &Pin) -> Result<Source> {
    let (version, hash, package) = package(cache, pin)?;
    let folder = folder(cache, &version);
    let part = cache.join("linux.part");
    for old in [&part, &folder] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    unpack(&package, &part)?;
    let commit = commit(&part, pin, &version)?;
    fs::rename(&part, &folder)?;
    Ok(Source {
        pinned: pin.version.clone(),
        version,
        sha256: hash,
        commit,
    })
}

/// The package's version, hash and file: the pinned one that was downloaded before, or a new one.
fn package(cache: &Path, pin: &Pin) -> Result<(String, String, PathBuf)> {
    let kept = cache.join("source.deb");
    if kept.exists() && sha256(&kept)? == pin.sha256 {
        return Ok((pin.version.clone(), pin.sha256.clone(), kept));
    }
    let (offer, file) = apt::fetch(&pin.package, &pin.version, &cache.join("apt"))?;
    if offer.version == pin.version && offer.sha256 != pin.sha256 {
        bail!(
            "{} {} has SHA-256 {}, the pin in scripts/series/base.toml says {}",
            pin.package,
            pin.version,
            offer.sha256,
            pin.sha256
        );
    }
    fs::rename(file, &kept)?;
    Ok((offer.version, offer.sha256, kept))
}

/// Unpacks the tar file inside the package to the new folder `target`.
fn unpack(package: &Path, target: &Path) -> Result<()> {
    let step = Step::start("Unpacking Linux");
    let outer = target.join("package");
    fs::create_dir_all(&outer)?;
    check(command("dpkg-deb").arg("-x").arg(package).arg(&outer))?;
    let pattern = format!(
        "{}/usr/src/*.tar.*",
        glob::Pattern::escape(&outer.to_string_lossy())
    );
    let inner = glob::glob(&pattern)?
        .next()
        .context("the package has no tar file")??;
    let mut tar = command("tar");
    tar.args(["--strip-components=1", "--no-same-owner", "-xvf"])
        .arg(&inner)
        .arg("-C")
        .arg(target);
    let mut count = 0;
    lines(&mut tar, |line| {
        count += 1;
        step.update(&format!("{count} {line}"));
    })?;
    fs::remove_dir_all(&outer)?;
    step.done_with(&format!("{count} files"));
    Ok(())
}

/// One commit that is the same wherever it is made.
fn commit(folder: &Path, pin: &Pin, version: &str) -> Result<String> {
    let step = Step::start("Recording Linux in git");
    let git = Git::at(folder);
    git.run(&["init", "--quiet", "--template=", "--initial-branch=base"])?;
    // Each file above this size goes straight into one pack: no 90,000 small files.
    let pack = ["-c", "core.bigFileThreshold=1"];
    check(git.command().args(pack).args(["add", "--all", "--force"]))?;
    let message = format!("{} {version}", pin.package);
    git.run(&["commit", "--quiet", "--no-verify", "--message", &message])?;
    step.done();
    git.commit("HEAD")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(sha256: &str) -> Pin {
        Pin {
            distribution: "Debian".into(),
            package: "linux-source-7.3".into(),
            version: "7.3.4-1".into(),
            sha256: sha256.into(),
            how: String::new(),
            distribution_changes: Vec::new(),
        }
    }

    /// A package as `dpkg-deb -x` takes it, with a small tar file.
    fn fake_package(folder: &Path) -> PathBuf {
        let source = folder.join("linux-source-7.3");
        fs::create_dir_all(source.join("fs")).unwrap();
        fs::write(source.join("Makefile"), "VERSION = 7\n").unwrap();
        fs::write(source.join(".gitignore"), "*.o\n").unwrap();
        fs::write(source.join("fs/kept.o"), "o\n").unwrap();
        let package = folder.join("package");
        fs::create_dir_all(package.join("DEBIAN")).unwrap();
        fs::create_dir_all(package.join("usr/src")).unwrap();
        let control = "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: n\nDescription: d\n";
        fs::write(package.join("DEBIAN/control"), control).unwrap();
        let tar = package.join("usr/src/linux-source-7.3.tar.xz");
        let mut pack = command("tar");
        pack.arg("-C")
            .arg(folder)
            .arg("-cJf")
            .arg(tar)
            .arg("linux-source-7.3");
        check(&mut pack).unwrap();
        let file = folder.join("fake.deb");
        check(command("dpkg-deb").arg("-b").arg(&package).arg(&file)).unwrap();
        file
    }

    #[test]
    fn a_package_becomes_one_commit_and_damage_is_repaired() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        fs::create_dir(&cache).unwrap();
        fs::rename(fake_package(folder.path()), cache.join("source.deb")).unwrap();
        let pin = pin(&sha256(&cache.join("source.deb")).unwrap());
        // What an interrupted run leaves.
        fs::create_dir_all(cache.join("linux.part/package/usr")).unwrap();
        let first = base(&cache, &pin).unwrap();
        assert!(first.pinned);
        assert_eq!(first.name, "linux-source-7.3 7.3.4-1");
        let read = |path| first.git.file(&first.commit, path).unwrap();
        assert_eq!(read("Makefile").unwrap(), "VERSION = 7\n");
        assert_eq!(read("fs/kept.o").unwrap(), "o\n");
        assert_eq!(read("package"), None);

        fs::remove_dir_all(first.git.folder().join(".git")).unwrap();
        let second = base(&cache, &pin).unwrap();
        assert_eq!(first.commit, second.commit);
    }
}
