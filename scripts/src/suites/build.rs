//! Builds the test programs of a package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::list::{By, Suite};
use crate::cache::{TEMPORARY, stamped, write_atomic};
use crate::command::{check, stdout};
use crate::context::Context;
use crate::crates;
use crate::mio;
use crate::test::cargo::cargo;

/// A test program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// `lib`, the name of its file in `tests/`, or `doc-1` and so on.
    pub name: String,
    pub path: PathBuf,
    /// Whether it has the harness of Rust; else it is one test.
    pub libtest: bool,
}

/// A package that is patched in, where it is, and its version.
struct Patch {
    name: String,
    path: PathBuf,
    version: String,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    test: Vec<TestTarget>,
}

#[derive(Deserialize)]
struct TestTarget {
    name: String,
    #[serde(default = "yes")]
    harness: bool,
}

fn yes() -> bool {
    true
}

/// A line of what cargo says.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// The folder of a package that can be built by itself.
fn prepare(ctx: &Context, suite: &Suite) -> Result<PathBuf> {
    let package = &suite.package;
    let folder = crates::folder(ctx).join(format!("suite-{}", package.folder_name()));
    let mut patches = Vec::new();
    if suite.folder.is_none() {
        // What it has for its tests may need it.
        patches.push(Patch {
            name: package.name.clone(),
            path: folder.clone(),
            version: package.version.clone(),
        });
    }
    if suite.by == By::Mio {
        let path = mio::ensure(ctx)?;
        let mio = mio::package(&ctx.repo)?;
        if package.name == mio.name {
            return Ok(path);
        }
        patches.push(Patch {
            name: mio.name,
            path,
            version: mio.version,
        });
    }
    let mut manifest = manifest(&patches);
    let (from, state) = match &suite.folder {
        Some(own) => (ctx.repo.join(own), crates::state(&ctx.repo, own)?),
        None => {
            manifest.insert_str(0, "\n[workspace]\n");
            (package.fetch(ctx)?, package.checksum.clone())
        }
    };
    let stamp = folder.with_extension("stamp");
    let content = format!("{state}\n{manifest}");
    if folder.is_dir() && stamped(&stamp, &content) {
        return Ok(folder);
    }
    let new = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempdir_in(&ctx.cache)?;
    let new = new.path().join("package");
    crates::copy(&from, &new)?;
    let path = new.join("Cargo.toml");
    fs::write(&path, fs::read_to_string(&path)? + &manifest)?;
    let _ = fs::remove_dir_all(&folder);
    fs::rename(&new, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for patch in &patches {
        update(ctx, &folder, patch)?;
    }
    write_atomic(&stamp, content)?;
    Ok(folder)
}

/// What is added to a manifest.
fn manifest(patches: &[Patch]) -> String {
    let mut text = "\n[patch.crates-io]\n".to_owned();
    for Patch { name, path, .. } in patches {
        text.push_str(&format!("{name} = {{ path = \"{}\" }}\n", path.display()));
    }
    text
}

/// Has the lock of a package name the version that is patched in.
fn update(ctx: &Context, folder: &Path, patch: &Patch) -> Result<()> {
    let lock: toml::Table = toml::from_str(&fs::read_to_string(folder.join("Cargo.lock"))?)?;
    let packages = lock["package"].as_array().context("a lock has packages")?;
    for package in packages {
        let text = |key: &str| package.get(key).and_then(|value| value.as_str());
        let version = text("version").unwrap_or_default();
        if text("name") == Some(&patch.name) && version != patch.version {
            let mut cargo = cargo(ctx)?;
            cargo.current_dir(folder).arg("update");
            cargo
                .arg("--package")
                .arg(format!("{}@{version}", patch.name));
            check(cargo.arg("--precise").arg(&patch.version))?;
        }
    }
    Ok(())
}

/// Builds a program of a package, to be fast.
pub fn program(ctx: &Context, suite: &Suite, name: &str) -> Result<PathBuf> {
    let folder = prepare(ctx, suite)?;
    let target = ctx.cache.join("target-suites");
    let mut cargo = cargo(ctx)?;
    cargo.current_dir(folder).env("CARGO_TARGET_DIR", &target);
    cargo.env("CARGO_PROFILE_RELEASE_STRIP", "true");
    check(cargo.args(["build", "--release", "--bin", name]))?;
    Ok(target.join("release").join(name))
}

/// The same with what it needs as cargo's registry has it.
pub fn stock_program(ctx: &Context, folder: &Path, name: &str) -> Result<PathBuf> {
    let target = ctx.cache.join("target-stock");
    let mut cargo = cargo(ctx)?;
    cargo.current_dir(folder).env("CARGO_TARGET_DIR", &target);
    cargo.env("CARGO_PROFILE_RELEASE_STRIP", "true");
    check(cargo.args(["build", "--release", "--locked", "--bin", name]))?;
    Ok(target.join("release").join(name))
}

/// Builds the programs of a suite, and gives them with the folder that they run in.
pub fn programs(ctx: &Context, suite: &Suite) -> Result<(PathBuf, Vec<Program>)> {
    let folder = prepare(ctx, suite)?;
    let text = fs::read_to_string(folder.join("Cargo.toml"))?;
    let manifest: Manifest = toml::from_str(&text)?;
    let mut tests = Vec::new();
    for test in manifest.test {
        if suite.has(&test.name)? {
            tests.push(test);
        }
    }
    let mut programs = Vec::new();
    if suite.lib || !tests.is_empty() {
        let mut cargo = test(ctx, suite, &folder)?;
        cargo.args(["--no-run", "--message-format", "json-render-diagnostics"]);
        if suite.lib {
            cargo.arg("--lib");
        }
        for test in &tests {
            cargo.args(["--test", &test.name]);
        }
        programs = found(&stdout(&mut cargo)?, &tests)?;
    }
    if suite.doc {
        programs.extend(examples(ctx, suite, &folder)?);
    }
    if programs.is_empty() {
        bail!("{} has no tests", suite.package.name);
    }
    Ok((folder, programs))
}

fn test(ctx: &Context, suite: &Suite, folder: &Path) -> Result<Command> {
    let mut cargo = cargo(ctx)?;
    cargo.current_dir(folder).arg("test");
    cargo.arg("--features").arg(suite.features.join(","));
    cargo.env("CARGO_TARGET_DIR", ctx.cache.join("target-suites"));
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo.env("CARGO_PROFILE_DEV_STRIP", "true");
    if suite.by == By::Preload {
        // Or else rustix makes system calls by itself, which no library can be in front of.
        cargo.env("RUSTFLAGS", "--cfg rustix_use_libc");
    }
    Ok(cargo)
}

/// The examples of the documentation, in the order of their names.
fn examples(ctx: &Context, suite: &Suite, folder: &Path) -> Result<Vec<Program>> {
    let to = ctx
        .cache
        .join("target-suites/doc")
        .join(&suite.package.name);
    let _ = fs::remove_dir_all(&to);
    fs::create_dir_all(&to)?;
    let copy = ["cp", "--backup=numbered", "-t"].map(str::to_owned);
    let copy = [&copy[..], &[to.display().to_string()]].concat();
    let mut cargo = test(ctx, suite, folder)?;
    cargo.arg("--doc").arg("--config");
    cargo.arg(format!("target.'cfg(unix)'.runner={copy:?}"));
    check(cargo.args(["--", "--test-threads=1"]))?;
    let paths = glob::glob(&to.join("*").to_string_lossy())?;
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    paths.sort_by_key(|path| number(path));
    let numbered = (1..).zip(paths).map(|(number, path)| Program {
        name: format!("doc-{number}"),
        path,
        libtest: false,
    });
    Ok(numbered.collect())
}

/// Of a backup `name.~7~`; the newest has none, and is the last.
fn number(path: &Path) -> u32 {
    let name = path.to_string_lossy();
    let number = name
        .strip_suffix('~')
        .and_then(|name| name.rsplit_once(".~"));
    number
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or(u32::MAX)
}

/// The test programs that cargo says it has built.
fn found(messages: &str, tests: &[TestTarget]) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line)?;
        let (Some(target), Some(path)) = (message.target, message.executable) else {
            continue;
        };
        // Tests may have programs of their own built.
        let is_tested = message.profile.is_some_and(|profile| profile.test);
        if message.reason != "compiler-artifact" || !is_tested {
            continue;
        }
        let test = tests.iter().find(|test| test.name == target.name);
        let is_test = target.kind.iter().any(|kind| kind == "test");
        programs.push(Program {
            name: match is_test {
                true => target.name,
                false => "lib".to_owned(),
            },
            path,
            libtest: !is_test || test.is_none_or(|test| test.harness),
        });
    }
    programs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_what_it_built() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"mio","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"signals","kind":["test"]},"profile":{"test":true},"executable":"/t/signals-1"}
{"reason":"compiler-artifact","target":{"name":"calloop","kind":["lib"]},"profile":{"test":true},"executable":"/t/calloop-2"}
{"reason":"compiler-artifact","target":{"name":"tool","kind":["bin"]},"profile":{"test":false},"executable":"/t/tool"}
{"reason":"build-finished","success":true}"#;
        let tests: Manifest =
            toml::from_str("[[test]]\nname = \"signals\"\nharness = false\n").unwrap();
        let programs = found(messages, &tests.test).unwrap();
        let program = |name: &str, path: &str, libtest| Program {
            name: name.to_owned(),
            path: path.into(),
            libtest,
        };
        let expected = [
            program("lib", "/t/calloop-2", true),
            program("signals", "/t/signals-1", false),
        ];
        assert_eq!(programs, expected);
    }

    #[test]
    fn a_manifest_names_what_is_patched() {
        let patch = Patch {
            name: "mio".to_owned(),
            path: "/c/mio".into(),
            version: "1.2.5".to_owned(),
        };
        let text = manifest(&[patch]);
        let table: toml::Table = toml::from_str(&text).unwrap();
        let path = table["patch"]["crates-io"]["mio"]["path"].as_str();
        assert_eq!(path, Some("/c/mio"));
    }

    #[test]
    fn backups_are_in_the_order_in_which_they_were_made() {
        let mut paths = ["a", "a.~10~", "a.~9~"].map(PathBuf::from);
        paths.sort_by_key(|path| number(path));
        assert_eq!(paths, ["a.~9~", "a.~10~", "a"].map(PathBuf::from));
    }
}
