//! A Debian userland for the guest: packages that apt chooses from the package sources that the machine
//! is set up for, with lists and a cache of its own, unpacked into a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt::watch;
use crate::cache::{TEMPORARY, write_atomic};
use crate::command::{check, command, show, stdout};
use crate::context::Context;
use crate::guest::initramfs::Initramfs;
use crate::progress::Step;

/// What is asked for by name; what these need comes with them.
const WANTED: [&str; 10] = [
    "coreutils",
    "dash",
    "haproxy",
    "libc-bin",
    "nginx",
    "nodejs",
    "python3",
    "redis-server",
    "redis-tools",
    "wrk",
];
/// Of this one the name depends on the release: the tests of the Python that the release has.
const PYTHON: &str = "python3";

/// What nobody reads in the guest, where all files are in memory.
const UNREAD: [&str; 11] = [
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/share/bash-completion",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl",
    "usr/share/zoneinfo",
];

/// The files of the userland, and what is in it.
pub struct Userland {
    root: PathBuf,
    packages: Vec<Package>,
}

/// A package as apt names its file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Package {
    file: String,
    size: u64,
    /// As apt writes it, with the name of the algorithm.
    hash: String,
}

impl Package {
    fn name(&self) -> &str {
        self.file.split('_').next().unwrap_or_default()
    }

    fn version(&self) -> String {
        let version = self.file.split('_').nth(1).unwrap_or_default();
        version.replace("%3a", ":")
    }
}

impl Userland {
    /// Makes it as far as needed. It stays as it is until its folder is deleted, or other packages are
    /// wanted.
    pub fn ensure(ctx: &Context) -> Result<Userland> {
        let apt = Apt {
            folder: ctx.cache.join("userland"),
        };
        let (root, stamp) = (apt.folder.join("root"), apt.folder.join("packages"));
        let wanted = format!("{}\n", WANTED.join(" "));
        if let Ok(text) = fs::read_to_string(&stamp) {
            if let Some(files) = text.strip_prefix(&wanted).filter(|_| root.is_dir()) {
                let packages = parse_plan(files);
                return Ok(Userland { root, packages });
            }
        }
        apt.prepare()?;
        let packages = match apt.plan().and_then(|plan| apt.download(plan)) {
            Ok(packages) => packages,
            // There are no lists yet, or they name what has been replaced since.
            Err(_) => {
                apt.update()?;
                apt.download(apt.plan()?)?
            }
        };
        apt.unpack(ctx, &packages, &root)?;
        let lines: String = packages.iter().map(line).collect();
        write_atomic(&stamp, wanted + &lines)?;
        Ok(Userland { root, packages })
    }

    /// The version of a package.
    pub fn version(&self, package: &str) -> Option<String> {
        let mut found = self.packages.iter();
        Some(found.find(|found| found.name() == package)?.version())
    }

    /// The files of the userland below a folder, by their paths there.
    pub fn add(&self, initramfs: &mut Initramfs) -> Result<()> {
        let mut left = vec![self.root.clone()];
        while let Some(folder) = left.pop() {
            let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
                .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
                .with_context(|| format!("cannot read {}", folder.display()))?;
            paths.sort();
            for path in paths {
                let inner = path.strip_prefix(&self.root)?;
                let Some(name) = inner.to_str() else {
                    continue;
                };
                let guest = format!("/{name}");
                let kind = path.symlink_metadata()?.file_type();
                if kind.is_symlink() {
                    let target = fs::read_link(&path)?;
                    initramfs.link(&guest, &target.to_string_lossy());
                } else if kind.is_dir() {
                    if !UNREAD.contains(&name) {
                        left.push(path);
                    }
                } else if kind.is_file() {
                    initramfs.program(&guest, &path);
                }
            }
        }
        Ok(())
    }
}

/// As apt-get prints it, but for the address.
fn line(package: &Package) -> String {
    let Package { file, size, hash } = package;
    format!("'' {file} {size} {hash}\n")
}

/// What `apt-get --print-uris` says: address in quotes, file, size, hash.
fn parse_plan(text: &str) -> Vec<Package> {
    let packages = text.lines().filter_map(|line| {
        let (_, rest) = line.strip_prefix('\'')?.split_once("' ")?;
        let mut words = rest.split(' ');
        Some(Package {
            file: words
                .next()
                .filter(|file| file.ends_with(".deb"))?
                .to_owned(),
            size: words.next()?.parse().ok()?,
            hash: words.next().unwrap_or_default().to_owned(),
        })
    });
    packages.collect()
}

/// The package with the tests of the Python that `apt-cache depends python3` names.
fn testsuite(depends: &str) -> Option<String> {
    let names = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    let mut names = names.filter(|name| {
        let version = name.strip_prefix("python3.");
        version.is_some_and(|minor| minor.parse::<u32>().is_ok())
    });
    Some(format!("lib{}-testsuite", names.next()?))
}

/// apt for a machine on which nothing is installed, below a folder.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn prepare(&self) -> Result<()> {
        for part in ["state/lists/partial", "cache/archives/partial"] {
            let path = self.folder.join(part);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        write_atomic(&self.folder.join("state/status"), "")
    }

    fn command(&self, program: &str) -> Command {
        let mut apt = command(program);
        let at = |name: &str| self.folder.join(name).display().to_string();
        for (name, value) in [
            ("Dir::State", at("state")),
            ("Dir::State::status", at("state/status")),
            ("Dir::Cache", at("cache")),
            ("APT::Sandbox::User", "root".to_owned()),
            ("APT::Install-Recommends", "false".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
            ("Debug::NoLocking", "true".to_owned()),
        ] {
            apt.arg("-o").arg(format!("{name}={value}"));
        }
        apt
    }

    fn update(&self) -> Result<()> {
        let step = Step::start("Reading the package lists");
        check(self.command("apt-get").arg("update"))?;
        step.done();
        Ok(())
    }

    fn install(&self) -> Result<Command> {
        let depends = stdout(self.command("apt-cache").args(["depends", PYTHON]))?;
        let tests = testsuite(&depends).context("apt knows no python3")?;
        let mut apt = self.command("apt-get");
        apt.args(["install", "--yes"]).args(WANTED).arg(tests);
        Ok(apt)
    }

    fn plan(&self) -> Result<Vec<Package>> {
        // Also what is downloaded already.
        let nowhere = self.folder.join("nowhere");
        let nowhere = format!("Dir::Cache::archives={}", nowhere.display());
        let mut apt = self.install()?;
        let plan = parse_plan(&stdout(apt.args(["--print-uris", "-o", &nowhere]))?);
        if plan.is_empty() {
            bail!("`{}` names no package", show(&apt));
        }
        Ok(plan)
    }

    /// apt goes on with what it has in part, and compares the hashes.
    fn download(&self, plan: Vec<Package>) -> Result<Vec<Package>> {
        let archives = self.folder.join("cache/archives");
        let step = Step::start(format!("Downloading {} packages", plan.len()));
        let mut apt = self.install()?;
        apt.arg("--download-only");
        let size = plan.iter().map(|package| package.size).sum();
        let partial = archives.join("partial");
        watch(&mut apt, &step, &[&archives, &partial], size)?;
        step.done_with(&format!("{} MiB", size >> 20));
        Ok(plan)
    }

    fn unpack(&self, ctx: &Context, packages: &[Package], root: &Path) -> Result<()> {
        let step = Step::start("Unpacking the userland");
        // What was unpacked in part has another name, and goes with the next run.
        let part = ctx.cache.join(format!("{TEMPORARY}userland"));
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
        fs::create_dir_all(&part)?;
        for (done, package) in packages.iter().enumerate() {
            step.update(&format!("{done} of {}: {}", packages.len(), package.name()));
            let file = self.folder.join("cache/archives").join(&package.file);
            check(command("dpkg-deb").arg("--extract").arg(&file).arg(&part))?;
        }
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        fs::rename(&part, root).with_context(|| format!("cannot make {}", root.display()))?;
        step.done_with(&format!("{} packages", packages.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_what_apt_prints() {
        let text = "Reading package lists...\n\
                    'http://m/pool/r/redis-tools_7.0.15-1%7edeb12u10_amd64.deb' \
                    redis-tools_5%3a7.0.15-1~deb12u10_amd64.deb 988000 SHA256:ab\n\
                    'http://m/dists/x/Release' Release 5 SHA256:cd\n";
        let plan = parse_plan(text);
        assert_eq!(plan.len(), 1);
        assert_eq!(plan[0].name(), "redis-tools");
        assert_eq!(plan[0].version(), "5:7.0.15-1~deb12u10");
        assert_eq!(
            (plan[0].size, plan[0].hash.as_str()),
            (988_000, "SHA256:ab")
        );
        assert_eq!(parse_plan(&line(&plan[0])), plan);
    }

    #[test]
    fn the_tests_are_those_of_the_releases_python() {
        let depends = "python3\n  PreDepends: python3-minimal\n  Depends: python3.11\n  \
                       Depends: libpython3-stdlib\n  Suggests: python3.12\n";
        assert_eq!(testsuite(depends).unwrap(), "libpython3.11-testsuite");
        assert_eq!(testsuite("python3\n  Depends: python3-minimal\n"), None);
    }

    #[test]
    fn a_userland_is_packed_without_what_nobody_reads() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        for name in ["usr/share/doc", "usr/lib"] {
            fs::create_dir_all(root.join(name)).unwrap();
            fs::write(root.join(name).join("file"), "content").unwrap();
        }
        std::os::unix::fs::symlink("file", root.join("usr/lib/link")).unwrap();
        let packages = Vec::new();
        let mut initramfs = Initramfs::default();
        Userland { root, packages }.add(&mut initramfs).unwrap();
        let archive = initramfs.pack().unwrap();
        let has = |text: &str| archive.windows(text.len()).any(|at| at == text.as_bytes());
        assert!(has("usr/lib/file\0") && has("usr/lib/link\0") && !has("usr/share/doc"));
    }
}
