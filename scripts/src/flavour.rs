//! Kernels beside the ordinary one, made by more fragments in qemu/.

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::arch::Arch;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// The one that is measured.
    #[default]
    Ordinary,
    /// With what finds bugs and costs time.
    Debug,
    /// With PREEMPT_RT.
    Rt,
    /// With what finds data races.
    Kcsan,
    /// The debug kernel, whose code of kevent says where it is.
    Fuzz,
}

/// Which kernel, on the command line.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
#[group(skip)]
pub struct Args {
    /// The kernel that finds bugs: KASAN, UBSAN, lockdep, kmemleak and others
    #[arg(long, group = "kernel")]
    debug: bool,

    /// The kernel with PREEMPT_RT, and with lockdep
    #[arg(long, group = "kernel")]
    rt: bool,

    /// The kernel that finds data races
    #[arg(long, group = "kernel")]
    kcsan: bool,

    /// The kernel of `fuzz`: that of --debug, which writes down where it is
    #[arg(long, group = "kernel")]
    fuzz: bool,
}

impl Args {
    pub fn flavour(self) -> Flavour {
        match self {
            Args { debug: true, .. } => Flavour::Debug,
            Args { rt: true, .. } => Flavour::Rt,
            Args { kcsan: true, .. } => Flavour::Kcsan,
            Args { fuzz: true, .. } => Flavour::Fuzz,
            _ => Flavour::Ordinary,
        }
    }
}

impl Flavour {
    /// The name in that of the build folder.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Flavour::Ordinary => None,
            Flavour::Debug => Some("debug"),
            Flavour::Rt => Some("rt"),
            Flavour::Kcsan => Some("kcsan"),
            Flavour::Fuzz => Some("fuzz"),
        }
    }

    /// The fragments `qemu/<name>.config`, a later one wins.
    pub fn fragments(self) -> &'static [&'static str] {
        match self {
            Flavour::Ordinary => &[],
            Flavour::Debug => &["debug"],
            Flavour::Rt => &["rt"],
            Flavour::Kcsan => &["kcsan"],
            Flavour::Fuzz => &["debug", "fuzz"],
        }
    }

    /// What make is told: which objects say where they are. `kernel` is Rust's crate of that name.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Flavour::Fuzz => &[
                "KCOV_INSTRUMENT_kernel.o=y",
                "KCOV_INSTRUMENT_kevent.o=y",
                "KCOV_INSTRUMENT_kevent_socket.o=y",
                "KCOV_INSTRUMENT_eventpoll.o=y",
            ],
            _ => &[],
        }
    }

    /// The name for people.
    pub fn title(self) -> &'static str {
        self.name().unwrap_or("ordinary")
    }

    /// Fails where the architecture has no such kernel.
    pub fn check(self, arch: Arch) -> Result<()> {
        match (arch, self.name()) {
            (Arch::Um, Some(name)) | (Arch::Arm64, Some(name @ ("kcsan" | "fuzz"))) => {
                bail!("{} has no {name} kernel", arch.name())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        flavour: Args,
    }

    fn parse(words: &[&str]) -> Option<Flavour> {
        let words = std::iter::once("xtask").chain(words.iter().copied());
        Cli::try_parse_from(words)
            .ok()
            .map(|cli| cli.flavour.flavour())
    }

    #[test]
    fn one_flavour_at_a_time() {
        assert_eq!(parse(&[]), Some(Flavour::Ordinary));
        assert_eq!(parse(&["--debug"]), Some(Flavour::Debug));
        assert_eq!(parse(&["--rt"]), Some(Flavour::Rt));
        assert_eq!(parse(&["--kcsan"]), Some(Flavour::Kcsan));
        assert_eq!(parse(&["--fuzz"]), Some(Flavour::Fuzz));
        assert_eq!(parse(&["--debug", "--rt"]), None);
        assert_eq!(parse(&["--kcsan", "--rt"]), None);
    }

    #[test]
    fn each_has_its_fragment() {
        let qemu = Path::new(env!("CARGO_MANIFEST_DIR")).join("../qemu");
        for flavour in [Flavour::Debug, Flavour::Rt, Flavour::Kcsan, Flavour::Fuzz] {
            let name = flavour.name().unwrap();
            assert_eq!(flavour.fragments().last(), Some(&name));
            for name in flavour.fragments() {
                assert!(qemu.join(format!("{name}.config")).is_file(), "{name}");
            }
        }
        assert_eq!(Flavour::Ordinary.name(), None);
    }

    #[test]
    fn user_mode_linux_has_only_the_ordinary_one() {
        assert!(Flavour::Ordinary.check(Arch::Um).is_ok());
        assert!(Flavour::Debug.check(Arch::Um).is_err());
        assert!(Flavour::Rt.check(Arch::Arm64).is_ok());
    }

    #[test]
    fn only_rustc_for_x86_64_is_told_to_look_for_races() {
        assert!(Flavour::Kcsan.check(Arch::X86_64).is_ok());
        assert!(Flavour::Kcsan.check(Arch::Arm64).is_err());
    }
}
