// SPDX-License-Identifier: GPL-2.0

//! Puts the model of the close boundary together: the kernel's text with what stands in for the
//! rest.

use crate::Result;
use std::{
    collections::BTreeMap,
    fs,
    path::{
        Path,
        PathBuf, //
    }, //
};

/// The files of the kernel, below `rust-kevent/`.
const KERNEL: &[&str] = &[
    "fs/poll",
    "fs/watch",
    "kevent/ctl",
    "kevent/queue",
    "kevent/source/file",
    "sync/wait",
];

/// What stands in for the rest, in this folder, and where it goes.
const MODEL: &[(&str, &str)] = &[
    ("tree", "mod"),
    ("eventpoll", "c/eventpoll"),
    ("file", "c/file"),
    ("wait", "c/wait"),
    ("local", "fs/local"),
    ("queue", "kevent/queue"),
    ("source", "kevent/source"),
    ("litmus", "litmus"),
    ("scenario", "scenario"),
];

/// Files of the kernel that go there as a whole.
const WHOLE: &[&str] = &["fs/poll", "fs/watch", "sync/wait"];

/// What a host's compiler reads otherwise, in all files that go there as a whole.
const OTHERWISE: &[(&str, &str)] = &[
    // A failed assertion unwinds.
    ("extern \"C\" fn", "extern \"C-unwind\" fn"),
    // Without the procedural macros.
    ("#[pin_data(PinnedDrop)]\n", ""),
    ("#[pin_data]\n", ""),
    ("    #[pin]\n", ""),
    (
        "first <- WaitEntry::new(data),",
        "first: WaitEntry::new(data).make(),",
    ),
    (
        "let this = watch.as_mut().project();",
        "let this = unsafe { watch.as_mut().get_unchecked_mut() };",
    ),
    (
        "(this.first.as_ref(), this.others)",
        "(unsafe { Pin::new_unchecked(&this.first) }, &mut this.others)",
    ),
    (
        "self.project().told",
        "unsafe { &mut self.get_unchecked_mut().told }",
    ),
    // The field is an atomic here.
    (
        "(&raw const (*self.watch.get()).file).read_volatile()",
        "(*self.watch.get()).file.load(crate::sync::atomic::Relaxed)",
    ),
];

/// The begin of a line that stands for text from elsewhere.
const FROM: &str = "// From ";

/// The text of all files by their names: those of the kernel, and "close/" those of the model.
pub type Texts = BTreeMap<String, String>;

/// Reads all files.
pub fn read(model: &Path) -> Result<Texts> {
    let mut texts = Texts::new();
    let kernel = KERNEL.iter().map(|name| {
        let path = model.join("../../rust-kevent").join(name);
        ((*name).to_owned(), path)
    });
    let stands = MODEL.iter().map(|(name, _)| {
        let name = format!("close/{name}");
        let path = model.join(&name);
        (name, path)
    });
    for (name, path) in kernel.chain(stands) {
        let path = path.with_extension("rs");
        println!("cargo::rerun-if-changed={}", path.display());
        texts.insert(name, fs::read_to_string(path)?);
    }
    Ok(texts)
}

/// Writes the files of one tree. Returns that of its root.
pub fn tree(texts: &Texts, out: &Path) -> Result<PathBuf> {
    for (name, place) in MODEL {
        let text = fill(texts, &texts[&format!("close/{name}")])?;
        write(out, place, &text)?;
    }
    for name in WHOLE {
        let mut text = texts[*name].clone();
        for (from, to) in OTHERWISE {
            text = text.replace(from, to);
        }
        write(out, name, &drops(&text))?;
    }
    Ok(out.join("mod.rs"))
}

fn write(out: &Path, place: &str, text: &str) -> Result<()> {
    let path = out.join(place).with_extension("rs");
    let root = "super::".repeat(1 + place.matches('/').count());
    fs::create_dir_all(path.parent().ok_or("no folder")?)?;
    fs::write(path, text.replace("crate::", &root))?;
    Ok(())
}

/// Puts the text from elsewhere in its places.
fn fill(texts: &Texts, text: &str) -> Result<String> {
    let mut filled = String::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix(FROM) {
            Some(from) => {
                let (file, begin) = from.split_once(".rs: ").ok_or("no file in a place")?;
                let text = texts.get(file).ok_or("no such file")?;
                filled += &item(text, begin).ok_or_else(|| format!("no {begin} in {file}"))?;
            }
            None => {
                filled += line;
                filled.push('\n');
            }
        }
    }
    Ok(filled)
}

/// The item whose text begins so, up to the brace that closes it.
fn item(text: &str, begin: &str) -> Option<String> {
    let mut lines = text.lines();
    let first = lines.find(|line| line.trim_start().starts_with(begin))?;
    let indent = &first[..first.len() - first.trim_start().len()];
    let end = format!("{indent}}}");
    let mut item = format!("{first}\n");
    for line in lines {
        item += line;
        item.push('\n');
        if line == end {
            return Some(item);
        }
    }
    None
}

/// Lets the destructors that are macros in the kernel be called.
fn drops(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        if let Some((head, rest)) = line.split_once(" PinnedDrop for ") {
            lines += &format!(
                "{head} Drop for {rest}
    fn drop(&mut self) {{
        if !std::thread::panicking() {{
            unsafe {{ PinnedDrop::drop(Pin::new_unchecked(self)) }}
        }}
    }}
}}\n"
            );
        }
        if line != "#[pinned_drop]" {
            lines += line;
            lines.push('\n');
        }
    }
    lines
}
