//! The guest with the userland, and what is said there.

use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use super::userland::Userland;
use crate::cache::write_atomic;
use crate::command::check;
use crate::context::Context;
use crate::guest::boot::{Boot, COUNTED, Mode, SMP};
use crate::guest::exec;
use crate::guest::initramfs::Initramfs;
use crate::guest::selftests::{self, Kernel};
use crate::guest::session::{Limits, RawPort};
use crate::lines::Lines;
use crate::run;
use crate::suites;
use crate::userspace::guest::Target;

/// The files are in the guest's memory, twice while they are unpacked.
const MEMORY: &str = "3G";
/// On a machine that has other things to do.
const LIMITS: Limits = Limits {
    silence: Duration::from_secs(7200),
    total: Duration::from_secs(4 * 3600),
};

/// What the guest has in place of a machine's own `/etc`.
const ETC: [(&str, &str); 5] = [
    (
        "passwd",
        "root:x:0:0:root:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    ("group", "root:x:0:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("services", "http 80/tcp\n"),
    (
        "nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
    ),
];

/// What is run in one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Servers, with two processors
    Smp,
    /// Their instructions, with one
    Counted,
    /// Tests of packages
    Suites,
}

impl Part {
    /// What the driver calls it, as the command line does.
    fn word(self) -> String {
        let value = self.to_possible_value().expect("no part is left out");
        value.get_name().to_owned()
    }

    fn boot(self) -> Boot {
        let boot = if self == Part::Counted { COUNTED } else { SMP };
        Boot {
            memory: MEMORY,
            ..boot
        }
    }
}

/// Boots, and hands each line of the driver to `seen`. Says whether it ended well.
pub fn run(
    ctx: &Context,
    kernel: &Kernel,
    userland: &Userland,
    part: Part,
    only: &str,
    mut seen: impl FnMut(&str) -> Result<()>,
) -> Result<bool> {
    let archive = {
        let _lock = ctx.lock()?;
        pack(ctx, kernel, userland, &[&part.word(), only])?
    };
    let guest = selftests::guest(ctx, kernel, &part.boot(), &archive, Mode::Exec)?;
    let (repo, (sender, lines)) = (&ctx.repo, mpsc::channel());
    let ports = vec![port("stdout", sender.clone()), port("stderr", sender)];
    std::thread::scope(|scope| {
        let boot = scope.spawn(move || exec::follow_at(repo, guest, ports, LIMITS));
        for line in lines {
            seen(&line)?;
        }
        let code = boot.join().ok().context("the guest's thread panicked")??;
        Ok(code == 0)
    })
}

fn port(name: &'static str, sender: Sender<String>) -> RawPort {
    let to: Box<dyn Write + Send> = Box::new(Lines::to(sender));
    RawPort { name, to }
}

fn pack(ctx: &Context, kernel: &Kernel, userland: &Userland, words: &[&str]) -> Result<PathBuf> {
    let target = match Target::find(ctx)? {
        Ok(target) if target.is_native() => target,
        Ok(_) => bail!("the guest must have the architecture of this machine"),
        Err(reason) => bail!(reason),
    };
    let mut driver = target.cargo(ctx, "build")?;
    check(driver.args(["--bin", "drive"]))?;
    let mut library = target.preloaded(ctx, "build")?;
    check(library.arg("--release"))?;
    let [epoll, kevent] = suites::on_tokio(ctx, "serve")?;
    let mut initramfs = run::initramfs(ctx, kernel, false)?;
    add_own(ctx, &mut initramfs)?;
    initramfs.program("/exec/drive", &target.built("drive"));
    initramfs.program("/exec/libepoll_kevent.so", &target.library("release"));
    initramfs.program("/exec/serve-epoll", &epoll);
    initramfs.program("/exec/serve-kevent", &kevent);
    userland.add(&mut initramfs)?;
    let words = std::iter::once("/exec/drive").chain(words.iter().copied());
    exec::argv(&mut initramfs, words);
    let archive = selftests::folder(ctx)?.join("programs.cpio");
    write_atomic(&archive, initramfs.pack()?)?;
    Ok(archive)
}

fn add_own(ctx: &Context, initramfs: &mut Initramfs) -> Result<()> {
    for (name, text) in ETC {
        initramfs.bytes(&format!("/etc/{name}"), text);
    }
    let files = ctx.repo.join("userspace/drive/files/*");
    for path in glob::glob(&files.to_string_lossy())? {
        let path = path?;
        let name = path.file_name().context("a file has a name")?;
        initramfs.program(&format!("/exec/files/{}", name.to_string_lossy()), &path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_knows_each_part_by_its_name() {
        let words: Vec<String> = Part::value_variants()
            .iter()
            .map(|part| part.word())
            .collect();
        assert_eq!(words, ["smp", "counted", "suites"]);
    }
}
