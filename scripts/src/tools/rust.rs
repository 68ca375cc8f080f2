//! rustc and the source of its library, from which the kernel builds `core`.

use std::path::{Path, PathBuf};

use super::{Version, search};
use crate::command::{command, stdout};

/// The least rustc of Linux 7.3.
const LEAST: Version = Version(1, 85, 0);

/// One toolchain with the source of its library.
#[derive(Clone, Debug)]
pub struct Rust {
    pub rustc: PathBuf,
    pub rustdoc: PathBuf,
    pub rustfmt: Option<PathBuf>,
    pub clippy: Option<PathBuf>,
    /// The folder with `core`, `alloc` and so on.
    pub library: PathBuf,
    pub version: Version,
    /// Major version of its LLVM.
    pub llvm: u32,
}

/// Every usable toolchain: the complete ones first, then the newest.
pub fn find_all() -> Vec<Rust> {
    let mut found: Vec<Rust> = Vec::new();
    let system = PathBuf::from("/usr/bin/rustc");
    for rustc in search("rustc").into_iter().chain([system]) {
        if let Some(rust) = look(&rustc) {
            if !found.iter().any(|other| other.rustc == rust.rustc) {
                found.push(rust);
            }
        }
    }
    found.sort_by_key(|rust| {
        let complete = rust.rustfmt.is_some() && rust.clippy.is_some();
        std::cmp::Reverse((complete, rust.version))
    });
    found
}

fn look(rustc: &Path) -> Option<Rust> {
    let sysroot = PathBuf::from(stdout(command(rustc).args(["--print", "sysroot"])).ok()?);
    let about = About::parse(&stdout(command(rustc).arg("-vV")).ok()?)?;
    // rustup's programs in PATH choose a toolchain by folder and environment; these do not.
    let real = |name: &str| Some(sysroot.join("bin").join(name)).filter(|path| path.is_file());
    let library = [
        sysroot.join("lib/rustlib/src/rust/library"),
        PathBuf::from(format!("/usr/src/rustc-{}/library", about.version)),
    ];
    let library = library
        .into_iter()
        .find(|path| path.join("core/src/lib.rs").is_file())?;
    (about.version >= LEAST).then_some(())?;
    Some(Rust {
        rustc: real("rustc")?,
        rustdoc: real("rustdoc")?,
        rustfmt: real("rustfmt"),
        clippy: real("clippy-driver"),
        library,
        version: about.version,
        llvm: about.llvm,
    })
}

struct About {
    version: Version,
    llvm: u32,
}

impl About {
    fn parse(text: &str) -> Option<About> {
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
        Some(About {
            version: Version::find(field("release: ")?)?,
            llvm: Version::find(field("LLVM version: ")?)?.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_a_rustc() {
        let text =
            "rustc 1.96.0 (abc 2026-05-01)\nbinary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.2\n";
        let about = About::parse(text).unwrap();
        assert_eq!(about.version, Version(1, 96, 0));
        assert_eq!(about.llvm, 22);
        assert!(About::parse("rustc 1.96.0\n").is_none());
    }
}
