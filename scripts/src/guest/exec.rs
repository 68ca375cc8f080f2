//! Brings a program of the user's, and the libraries that it needs, into the guest.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Message;
use super::boot::Guest;
use super::initramfs::Initramfs;
use super::selftests;
use super::session::{self, Event, Limits, Next, RawPort};
use crate::command::command;
use crate::context::Context;
use crate::tools;

/// Where the guest's init finds the words of the command.
const ARGV: &str = "/exec/argv";
/// Where the guest has its own.
const HIDDEN: [&str; 4] = ["/dev", "/proc", "/sys", "/tmp"];
/// The most words that init takes.
const WORDS: usize = 255;

pub fn add(initramfs: &mut Initramfs, words: &[String]) -> Result<()> {
    let (program, arguments) = words.split_first().context("no program is named")?;
    if words.len() > WORDS {
        bail!("more than {WORDS} words");
    }
    let host = find(program)?;
    let name = host
        .file_name()
        .context("it has no name")?
        .to_string_lossy();
    let guest = format!("/exec/{name}");
    with_libraries(initramfs, &guest, &host)?;
    let words = std::iter::once(guest.as_str());
    argv(initramfs, words.chain(arguments.iter().map(String::as_str)));
    Ok(())
}

/// Tells init the words of the command.
pub fn argv<'a>(initramfs: &mut Initramfs, words: impl IntoIterator<Item = &'a str>) {
    let terminated = |word: &str| [word.as_bytes(), &[0]].concat();
    let words: Vec<u8> = words.into_iter().flat_map(terminated).collect();
    initramfs.bytes(ARGV, words);
}

/// Runs the guest, and gives the exit code of the command. A report of the kernel is an error.
pub fn follow(ctx: &Context, guest: Guest, ports: Vec<RawPort>, limits: Limits) -> Result<u8> {
    follow_at(&ctx.repo, guest, ports, limits)
}

/// The same on any thread.
pub fn follow_at(repo: &Path, guest: Guest, ports: Vec<RawPort>, limits: Limits) -> Result<u8> {
    let patterns = selftests::patterns(repo)?;
    let mut reports = patterns.console();
    let (mut code, mut splat, mut console) = (None, false, Vec::new());
    let end = session::follow(guest, ports, limits, |event| {
        match event {
            Event::Console(line) => {
                splat |= reports.line(&line).is_some();
                console.push(line);
            }
            Event::Report(line) => match Message::parse(&line) {
                Some(Message::Ended { how, .. }) => code = Some(how.code()),
                Some(Message::End) => return Next::Farewell,
                _ => {}
            },
            Event::Qemu(line) => eprintln!("QEMU: {line}"),
        }
        Next::Go
    })?;
    if splat || code.is_none() {
        eprintln!("{}", console.join("\n"));
    }
    if splat {
        bail!("the kernel reports trouble on its console");
    }
    code.with_context(|| format!("the guest ended before the program did: {end:?}"))
}

/// Puts a program of the host at `guest`, and its libraries where it looks for them.
pub fn with_libraries(initramfs: &mut Initramfs, guest: &str, host: &Path) -> Result<()> {
    initramfs.program(guest, host);
    for library in libraries(host)? {
        initramfs.program(&library, Path::new(&library));
    }
    Ok(())
}

/// Puts a file or a folder of the host where it is there, and the libraries of the programs in it.
pub fn with(initramfs: &mut Initramfs, path: &Path) -> Result<()> {
    let path = std::path::absolute(path)?;
    if !path.exists() {
        bail!("no file {}", path.display());
    }
    if HIDDEN.iter().any(|folder| path.starts_with(folder)) {
        bail!("{} is elsewhere in the guest", path.display());
    }
    bring(initramfs, path)
}

fn bring(initramfs: &mut Initramfs, path: PathBuf) -> Result<()> {
    let mut left = vec![path];
    while let Some(path) = left.pop() {
        let Some(name) = path.to_str() else {
            continue;
        };
        if path.is_dir() {
            // A link to a folder may lead back.
            if !path.is_symlink() {
                let entries = fs::read_dir(&path)?.map(|entry| Ok(entry?.path()));
                left.extend(entries.collect::<Result<Vec<_>>>()?);
            }
        } else if path.is_file() {
            match is_program(&path)? {
                true => with_libraries(initramfs, name, &path)?,
                false => initramfs.program(name, &path),
            }
        }
    }
    Ok(())
}

/// Whether a file is a program or a library.
fn is_program(path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut start)?;
    Ok(start == b"\x7fELF")
}

fn find(program: &str) -> Result<PathBuf> {
    let found = match program.contains('/') {
        true => Some(PathBuf::from(program)).filter(|path| path.is_file()),
        false => tools::in_path(program),
    };
    found.with_context(|| format!("no program `{program}` on this machine"))
}

/// The dynamic linker and the libraries of `program`; none for a static one.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let output = command("ldd")
        .arg(program)
        .output()
        .context("cannot start ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).with_context(|| format!("{} cannot run", program.display()))
}

fn parse(ldd: &str) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for line in ldd.lines() {
        let line = line.trim();
        if line.ends_with("not found") {
            bail!("{line}");
        }
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        if path.starts_with('/') {
            let path = path.rsplit_once(" (").map_or(path, |(path, _)| path);
            paths.push(path.to_owned());
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_a_dynamic_program() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                   \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1a)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f1b)\n";
        let paths = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(parse(ldd).unwrap(), paths);
    }

    #[test]
    fn a_static_program_needs_none() {
        assert!(parse("\tstatically linked\n").unwrap().is_empty());
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = parse("\tlibx.so.1 => not found\n").unwrap_err();
        assert!(error.to_string().contains("libx.so.1"));
    }

    #[test]
    fn what_is_in_a_folder_comes_along() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("file"), "content").unwrap();
        std::os::unix::fs::symlink(folder.path(), inner.join("back")).unwrap();
        let mut initramfs = Initramfs::default();
        bring(&mut initramfs, folder.path().to_owned()).unwrap();
        let archive = initramfs.pack().unwrap();
        let has = |text: &str| archive.windows(text.len()).any(|at| at == text.as_bytes());
        assert!(has("inner/file\0") && has("content") && !has("inner/back"));
        for path in ["/nonexistent/file", "/proc/self/exe"] {
            assert!(with(&mut initramfs, Path::new(path)).is_err());
        }
    }

    #[test]
    fn a_missing_program_is_named() {
        assert!(
            find("/nonexistent/program")
                .unwrap_err()
                .to_string()
                .contains("/nonexistent")
        );
        assert!(find("sh").unwrap().is_absolute());
    }
}
