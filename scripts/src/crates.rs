//! Packages of cargo's registry, which cargo fetches and checks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::cache::{sha256, write_atomic};
use crate::command::stdout;
use crate::context::Context;
use crate::test::cargo::cargo;

/// A package, with the SHA-256 of its file; of one that is ours, none.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub name: String,
    pub version: String,
    #[serde(default)]
    pub checksum: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    name: String,
    version: String,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Lockfile {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Where the packages that are made here lie.
pub fn folder(ctx: &Context) -> PathBuf {
    ctx.cache.join("crates")
}

impl Package {
    pub fn folder_name(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// Where cargo keeps its files, which nobody may change.
    pub fn fetch(&self, ctx: &Context) -> Result<PathBuf> {
        let folder = folder(ctx)
            .join("fetch")
            .join(format!("for-{}", self.folder_name()));
        write_atomic(&folder.join("Cargo.toml"), self.wanting())?;
        write_atomic(&folder.join("lib.rs"), "")?;
        let mut metadata = cargo(ctx)?;
        metadata.current_dir(&folder);
        metadata.args(["metadata", "--format-version", "1", "--filter-platform"]);
        metadata.arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH));
        let metadata: Metadata = serde_json::from_str(&stdout(&mut metadata)?)?;
        self.check(&fs::read_to_string(folder.join("Cargo.lock"))?)?;
        let found = metadata.packages.into_iter();
        let mut found = found.filter(|found| self.is(&found.name, &found.version));
        let found = found.next().context("cargo fetched another package")?;
        let folder = found.manifest_path.parent();
        Ok(folder.context("a file has a folder")?.to_owned())
    }

    /// The manifest of a package that needs nothing but this one.
    fn wanting(&self) -> String {
        let Package { name, version, .. } = self;
        format!(
            "[package]\nname = \"for-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [lib]\npath = \"lib.rs\"\n\n[workspace]\n\n\
             [dependencies]\n{name} = {{ version = \"={version}\", default-features = false }}\n"
        )
    }

    fn is(&self, name: &str, version: &str) -> bool {
        self.name == name && self.version == version
    }

    /// Whether cargo, which compares the file with its lock, means the same file.
    fn check(&self, lockfile: &str) -> Result<()> {
        let lockfile: Lockfile = toml::from_str(lockfile)?;
        let mut locked = lockfile.package.iter();
        let locked = locked.find(|locked| self.is(&locked.name, &locked.version));
        let checksum = locked.and_then(|locked| locked.checksum.as_deref());
        ensure!(
            checksum == Some(&self.checksum),
            "{} has checksum {}, and not {}",
            self.folder_name(),
            checksum.unwrap_or("none"),
            self.checksum
        );
        Ok(())
    }
}

/// The version of a package in the lock of a folder here.
pub fn locked_version(repo: &Path, folder: &str, name: &str) -> Result<String> {
    let path = repo.join(folder).join("Cargo.lock");
    let text = fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let lockfile: Lockfile = toml::from_str(&text)?;
    let mut locked = lockfile.package.into_iter();
    let found = locked.find(|locked| locked.name == name);
    Ok(found
        .with_context(|| format!("{folder} has no {name}"))?
        .version)
}

/// Copies the files of a package, without what cargo keeps there.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if name.to_string_lossy().starts_with(".cargo") {
            continue;
        }
        match path.is_dir() {
            true => copy(&path, &to.join(name))?,
            // Not its mode, which may be to read only.
            false => fs::write(to.join(name), fs::read(&path)?)?,
        }
    }
    Ok(())
}

/// The files of a folder of this repository, with their checksums.
pub fn state(repo: &Path, folder: &str) -> Result<String> {
    let mut text = String::new();
    for path in glob::glob(&repo.join(folder).join("**/*").to_string_lossy())? {
        let path = path?;
        if path.is_file() {
            let name = path.strip_prefix(repo)?.display();
            text.push_str(&format!("{} {name}\n", sha256(&path)?));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        Package {
            name: "mio".to_owned(),
            version: "1.2.5".to_owned(),
            checksum: "aa".to_owned(),
        }
    }

    #[test]
    fn a_checksum_is_compared() {
        let lock = |checksum: &str| {
            format!(
                "version = 4\n[[package]]\nname = \"mio\"\nversion = \"1.2.4\"\nchecksum = \"aa\"\n\
                 [[package]]\nname = \"mio\"\nversion = \"1.2.5\"\n{checksum}"
            )
        };
        package().check(&lock("checksum = \"aa\"\n")).unwrap();
        let error = package().check(&lock("checksum = \"bb\"\n")).unwrap_err();
        assert_eq!(error.to_string(), "mio-1.2.5 has checksum bb, and not aa");
        assert!(package().check(&lock("")).is_err());
    }

    #[test]
    fn exactly_one_version_is_wanted() {
        let manifest: toml::Table = toml::from_str(&package().wanting()).unwrap();
        let version = manifest["dependencies"]["mio"]["version"].as_str();
        assert_eq!(version, Some("=1.2.5"));
    }

    #[test]
    fn a_package_is_copied_without_marks() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("src")).unwrap();
        for file in [".cargo-ok", "Cargo.toml", "src/lib.rs"] {
            fs::write(from.join(file), file).unwrap();
        }
        let to = folder.path().join("to");
        copy(&from, &to).unwrap();
        assert_eq!(
            fs::read_to_string(to.join("src/lib.rs")).unwrap(),
            "src/lib.rs"
        );
        assert!(to.join("Cargo.toml").is_file() && !to.join(".cargo-ok").exists());
    }
}
