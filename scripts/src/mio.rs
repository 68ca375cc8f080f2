//! `cargo xtask mio`: mio with a selector on kevent, for programs on tokio.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::cache::{TEMPORARY, sha256, stamped, write_atomic};
use crate::command;
use crate::context::Context;
use crate::crates::{self, Package};
use crate::edits;
use crate::test::cargo::cargo;
use crate::userspace::guest::has_library;

/// Makes a mio that has kevent, to build any program on tokio with.
///
/// Gets mio, as userspace/mio/package.toml names it, by cargo and from where cargo has its packages,
/// and puts a copy with the selector into the cache. Prints what a program's Cargo.toml has to say to
/// be built with it. Nothing is done when nothing has changed.
#[derive(clap::Args)]
pub struct Args {
    /// Also compile it with each set of features that changes it, for the architecture of --arch
    #[arg(long)]
    check: bool,
}

/// What comes from elsewhere, and where it goes: the consumer of a ring, which the models check.
const SHARED: [(&str, &str); 3] = [
    (
        "userspace/kevent/src/protocol/consumer.rs",
        "src/sys/unix/selector/kevent/consumer.rs",
    ),
    (
        "rust-kevent/kevent/word.rs",
        "src/sys/unix/selector/kevent/word.rs",
    ),
    ("userspace/kevent/src/sync.rs", "src/sync.rs"),
];

/// The folder here whose files go to mio's folder of selectors.
const SELECTOR: &str = "userspace/mio/selector";

/// Sets of features with which the selector is another.
const FEATURES: [&str; 3] = ["os-poll", "os-poll,os-ext", "os-poll,os-ext,net"];

pub fn run(ctx: &Context, args: Args) -> Result<()> {
    let folder = ensure(ctx)?;
    if args.check {
        match check(ctx)? {
            Ok(done) => println!("{done} sets of features compile for {}", ctx.arch.name()),
            Err(lacks) => bail!(lacks),
        }
    }
    let version = package(&ctx.repo)?.version;
    println!("{}\n", folder.display());
    println!("[patch.crates-io]");
    println!("mio = {{ path = \"{}\" }}", folder.display());
    println!(
        "\nIn a program whose Cargo.lock has another mio: cargo update -p mio --precise {version}"
    );
    Ok(())
}

pub fn package(repo: &Path) -> Result<Package> {
    let path = repo.join("userspace/mio/package.toml");
    let text = fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("in {}", path.display()))
}

/// The folder of mio with kevent, made if it is not that of these sources.
pub fn ensure(ctx: &Context) -> Result<PathBuf> {
    let package = package(&ctx.repo)?;
    let _lock = ctx.lock()?;
    let folder = crates::folder(ctx).join(package.folder_name());
    let stamp = folder.with_extension("stamp");
    let content = state(&ctx.repo)?;
    if folder.is_dir() && stamped(&stamp, &content) {
        return Ok(folder);
    }
    let from = package.fetch(ctx)?;
    let new = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempdir_in(&ctx.cache)?;
    let new = new.path().join("mio");
    crates::copy(&from, &new)?;
    add_selector(&ctx.repo, &new)?;
    let _ = fs::remove_dir_all(&folder);
    fs::rename(&new, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
    write_atomic(&stamp, content)?;
    Ok(folder)
}

/// Whether it applies and compiles for the context's architecture. Says how often, or what this machine
/// lacks for that.
pub fn check(ctx: &Context) -> Result<std::result::Result<usize, String>> {
    let triple = match ctx.arch {
        Arch::X86_64 => "x86_64-unknown-linux-gnu",
        Arch::Arm64 => "aarch64-unknown-linux-gnu",
        Arch::Um => return Ok(Err("programs are not brought to User-Mode Linux".to_owned())),
    };
    if let Err(lacks) = has_library(triple)? {
        return Ok(Err(lacks));
    }
    let folder = ensure(ctx)?;
    for features in FEATURES {
        let mut cargo = cargo(ctx)?;
        cargo.current_dir(&folder).args(["check", "--locked"]);
        cargo.args(["--target", triple, "--features", features]);
        cargo.env("CARGO_TARGET_DIR", ctx.cache.join("target-mio"));
        command::check(&mut cargo)?;
    }
    Ok(Ok(FEATURES.len()))
}

/// Puts the selector into a mio.
fn add_selector(repo: &Path, mio: &Path) -> Result<()> {
    for edits in edits::read(&repo.join("userspace/mio/edits"))? {
        let path = mio.join(&edits.file);
        let text = fs::read_to_string(&path);
        let mut text = text.with_context(|| format!("cannot read {}", path.display()))?;
        for edit in &edits.edit {
            text = edit.apply(&edits.file, &text)?;
        }
        fs::write(&path, text)?;
    }
    crates::copy(&repo.join(SELECTOR), &mio.join("src/sys/unix/selector"))?;
    for (from, to) in SHARED {
        fs::write(mio.join(to), fs::read(repo.join(from))?)?;
    }
    Ok(())
}

/// What the result follows from.
fn state(repo: &Path) -> Result<String> {
    let mut text = crates::state(repo, "userspace/mio")?;
    for (path, _) in SHARED {
        text.push_str(&format!("{} {path}\n", sha256(&repo.join(path))?));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn the_selector_is_put_where_mio_selects_it() {
        let folder = tempfile::tempdir().unwrap();
        let mio = folder.path();
        let unix = "any(\n            target_os = \"android\",\n            target_os = \"linux\",\n            \
                    target_os = \"redox\",\n        )\n    mod selector;\n";
        fs::create_dir_all(mio.join("src/sys/unix/selector")).unwrap();
        fs::write(mio.join("src/sys/unix/mod.rs"), unix).unwrap();
        fs::write(mio.join("src/lib.rs"), "mod interest;\nmod poll;\n").unwrap();
        add_selector(repo(), mio).unwrap();
        let text = |file: &str| fs::read_to_string(mio.join(file)).unwrap();
        let unix = text("src/sys/unix/mod.rs");
        let (epoll, kevent) = unix.split_once("#[cfg_attr").unwrap();
        assert!(
            !epoll.contains("linux") && kevent.contains("linux"),
            "{unix}"
        );
        assert!(
            kevent.contains("selector/kevent.rs\")]\n    mod selector;"),
            "{unix}"
        );
        assert!(text("src/lib.rs").ends_with("mod sync;\n"));
        for file in [
            "kevent.rs",
            "kevent/queue.rs",
            "kevent/consumer.rs",
            "kevent/word.rs",
        ] {
            assert!(text(&format!("src/sys/unix/selector/{file}")).contains("SPDX"));
        }
        // A mio that has changed there is not taken.
        assert!(add_selector(repo(), mio).is_err());
    }

    #[test]
    fn constants_are_those_of_the_header() {
        let bindings = repo().join("userspace/kevent-sys/src/bindings/x86_64.rs");
        let bindings = fs::read_to_string(bindings).unwrap();
        let calls = repo().join("userspace/kevent-sys/src/lib.rs");
        let calls = fs::read_to_string(calls).unwrap();
        let all = values(&format!("{bindings}\n{calls}"));
        let own = repo().join(SELECTOR).join("kevent/call.rs");
        let own = values(&fs::read_to_string(own).unwrap());
        assert!(own.len() > 20, "{own:?}");
        for constant in &own {
            assert!(all.contains(constant), "{constant:?}");
        }
    }

    /// The constants in a source, with their values.
    fn values(source: &str) -> Vec<(String, u64)> {
        let pattern = r"const ((?:SYS_)?KEVENT_\w+): [\w:]+ = (?:0x([0-9a-f]+)|(\d+));";
        let pattern = regex::Regex::new(pattern).unwrap();
        let found = pattern.captures_iter(source).map(|found| {
            let value = match (found.get(2), found.get(3)) {
                (Some(hex), _) => u64::from_str_radix(hex.as_str(), 16),
                (_, number) => number.unwrap().as_str().parse(),
            };
            (found[1].to_owned(), value.unwrap())
        });
        found.collect()
    }

    #[test]
    fn what_changes_the_result_is_in_its_stamp() {
        let state = state(repo()).unwrap();
        for file in ["package.toml", "selector/kevent/queue.rs", "edits/lib.toml"] {
            assert!(
                state.contains(&format!("userspace/mio/{file}\n")),
                "{state}"
            );
        }
        assert!(state.contains("protocol/consumer.rs"), "{state}");
    }
}
