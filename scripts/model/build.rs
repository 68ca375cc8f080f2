// SPDX-License-Identifier: GPL-2.0

//! Makes copies of the source for tests: one per entry of `mutations.rs`, broken as it says, and one
//! that is whole, and has child modules through which a test reads what is private.

#[path = "close/build.rs"]
mod close;
#[path = "close/mutations.rs"]
mod close_mutations;
#[allow(dead_code, reason = "what the tables show")]
mod handshakes;
mod mutations;

use close_mutations::CLOSE;
use handshakes::Handshake;
use mutations::{
    Mutation,
    MUTATIONS,
    SHARED, //
};
use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fmt::Write,
    fs,
    path::{
        Path,
        PathBuf, //
    }, //
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Sources = BTreeMap<&'static str, PathBuf>;

const KERNEL: &[&str] = &["event", "keys", "registration", "ring", "state", "word"];
/// Files that get a child module for tests of what is private in them.
const OPENED: &[(&str, &str)] = &[("keys", "probes"), ("ring", "chains"), ("state", "links")];
const HOST: &[&str] = &["array", "memory"];
/// The user's side, which is a file of the crate.
const CONSUMER: &str = "../../userspace/kevent/src/protocol/consumer.rs";

fn main() -> Result<()> {
    let model = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let loom = env::var_os("CARGO_CFG_LOOM").is_some();
    let kernel = model.join("../../rust-kevent/kevent");

    let mut sources = Sources::new();
    for name in KERNEL {
        sources.insert(name, kernel.join(name).with_extension("rs"));
    }
    for name in HOST {
        let path = model.join("src/kevent").join(name);
        sources.insert(name, path.with_extension("rs"));
    }
    sources.insert("consumer", model.join(CONSUMER));
    let worlds = ["litmus", "scenario"].map(|name| {
        let path = model.join("src/kevent").join(name);
        (name, path.with_extension("rs"))
    });
    let mut checked = sources.clone();
    checked.extend(worlds.clone());
    checked.insert("wait", kernel.join("wait.rs"));

    for file in ["close/mutations.rs", "handshakes.rs", "mutations.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    for path in checked.values() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    for (file, text) in SHARED {
        once(&checked, file, text)?;
    }

    let mut tree = String::new();
    for mutation in MUTATIONS {
        let source = once(&checked, mutation.file, mutation.from)?;
        if loom {
            let broken = source.replace(mutation.from, mutation.to);
            let mut sources = sources.clone();
            sources.extend(worlds.clone());
            let path = write(&out, mutation.name, mutation.file, &broken)?;
            sources.insert(mutation.file, path);
            module(&mut tree, mutation.name, &sources)?;
            test(&mut tree, mutation)?;
        }
    }
    if loom {
        litmus(&mut tree, handshakes::RING)?;
    }
    fs::write(out.join("mutants.rs"), tree)?;

    for (file, child) in OPENED {
        let source = fs::read_to_string(&sources[file])?;
        let path = model.join("tests/opened").join(child);
        let path = path.with_extension("rs");
        let opened = format!("{source}\n#[path = {path:?}]\npub mod {child};\n");
        sources.insert(file, write(&out, "opened", file, &opened)?);
    }
    let mut tree = String::new();
    module(&mut tree, "opened", &sources)?;
    fs::write(out.join("opened.rs"), tree)?;
    build_close(&model, &out, loom)
}

/// The model of the close boundary, whole and broken.
fn build_close(model: &Path, out: &Path, loom: bool) -> Result<()> {
    println!("cargo::rerun-if-changed=close/build.rs");
    let texts = close::read(model)?;
    let (mut whole, mut broken) = (String::new(), String::new());
    let add = |tree: &mut String, name: &str, texts: &close::Texts| -> Result<()> {
        let root = close::tree(texts, &out.join("close").join(name))?;
        writeln!(
            tree,
            "#[allow(warnings, clippy::all)]\n#[path = {root:?}]\npub mod {name};"
        )?;
        Ok(())
    };
    add(&mut whole, "whole", &texts)?;
    for mutation in CLOSE {
        let text = texts.get(mutation.file).ok_or("no such file")?;
        match text.matches(mutation.from).count() {
            1 => {}
            n => {
                return Err(format!("{}: found {n} times: {}", mutation.file, mutation.from).into())
            }
        }
        if loom {
            let mut texts = texts.clone();
            let text = text.replace(mutation.from, mutation.to);
            texts.insert(mutation.file.to_owned(), text);
            add(&mut broken, mutation.name, &texts)?;
            test(&mut broken, mutation)?;
        }
    }
    if loom {
        litmus(&mut broken, handshakes::CLOSE)?;
    }
    fs::write(out.join("close.rs"), whole)?;
    fs::write(out.join("close_mutants.rs"), broken)?;
    Ok(())
}

/// The text of a file in which `text` stands exactly once.
fn once(sources: &Sources, file: &str, text: &str) -> Result<String> {
    let path = sources.get(file).ok_or("no such file")?;
    let source = fs::read_to_string(path)?;
    match source.matches(text).count() {
        1 => Ok(source),
        n => Err(format!("{}: found {n} times: {text}", path.display()).into()),
    }
}

fn write(out: &Path, tree: &str, file: &str, source: &str) -> Result<PathBuf> {
    let dir = out.join(tree);
    fs::create_dir_all(&dir)?;
    let path = dir.join(file).with_extension("rs");
    fs::write(&path, source)?;
    Ok(path)
}

fn module(tree: &mut String, name: &str, sources: &Sources) -> Result<()> {
    writeln!(tree, "#[allow(warnings, clippy::all)]\npub mod {name} {{")?;
    for (file, path) in sources {
        writeln!(tree, "    #[path = {path:?}]\n    pub mod {file};")?;
    }
    writeln!(tree, "}}")?;
    Ok(())
}

fn test(tree: &mut String, mutation: &Mutation) -> Result<()> {
    let Mutation {
        name,
        scenario,
        class,
        ..
    } = mutation;
    let scenario = match scenario.contains("::") {
        true => (*scenario).to_owned(),
        false => format!("scenario::{scenario}"),
    };
    writeln!(
        tree,
        "#[test]\nfn finds_{name}() {{\n    super::finds({class:?}, {name}::{scenario});\n}}"
    )?;
    Ok(())
}

/// Each side without its order.
fn litmus(tree: &mut String, handshakes: &[Handshake]) -> Result<()> {
    for (nth, handshake) in handshakes.iter().enumerate() {
        let litmus = handshake.litmus;
        for (side, site) in ["from", "to"].iter().zip(&handshake.sites) {
            let name = site.weaker;
            writeln!(
                tree,
                "#[test]\nfn litmus_{nth}_{side}() {{\n    super::finds(\"\", {name}::{litmus});\n}}"
            )?;
        }
    }
    Ok(())
}
