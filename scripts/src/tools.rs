//! Finds the programs that build, boot and check the kernel. Installs nothing.

mod llvm;
pub mod python;
mod rust;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::arch::{Arch, GuestCompiler};
use crate::command::{command, stdout};

pub use llvm::Llvm;
pub use rust::Rust;

/// The least bindgen, and the one that is installed when there is none.
pub const BINDGEN_LEAST: Version = Version(0, 71, 1);
pub const BINDGEN_WANTED: Version = Version(0, 72, 1);

/// What was found on this machine; `None` is what lacks.
pub struct Tools {
    pub arch: Arch,
    pub llvm: Option<Llvm>,
    pub rust: Option<Rust>,
    pub bindgen: Option<PathBuf>,
    pub qemu: Option<PathBuf>,
    /// The C compiler of this machine.
    pub gcc: Option<PathBuf>,
    /// The C compilers for static programs of the guest.
    pub guest_gcc: Option<PathBuf>,
    pub compat_gcc: Option<PathBuf>,
    /// A Python with [`python::MODULES`].
    pub python: Option<PathBuf>,
    /// One row for each thing that is needed, found or not.
    pub rows: Vec<Row>,
}

/// One thing that is needed.
pub struct Row {
    pub what: &'static str,
    /// What was found, to be shown.
    pub found: Option<String>,
    /// Why what is there does not do.
    pub note: Option<String>,
    pub source: Source,
}

/// Where something that lacks comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This Debian package.
    Package(&'static str),
    /// The packages of a clang that suits rustc; chosen at installation.
    Llvm,
    /// The packages of a rustc with its library's source.
    Rust,
    /// `cargo install` into the cache.
    Cargo,
}

/// Programs looked for in PATH, and their Debian packages.
const PROGRAMS: [(&str, &str); 12] = [
    ("make", "make"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("cpio", "cpio"),
    ("depmod", "kmod"),
    ("git", "git"),
    ("xz", "xz-utils"),
    ("tar", "tar"),
    ("python3", "python3"),
    ("perl", "perl"),
    ("sparse", "sparse"),
];

/// Headers of the host, and their Debian packages.
const HEADERS: [(&str, &str); 2] = [
    ("gelf.h", "libelf-dev"),
    ("openssl/opensslv.h", "libssl-dev"),
];

impl Tools {
    pub fn find(arch: Arch, cache: &Path) -> Tools {
        let llvms = llvm::find_all();
        let rusts = rust::find_all();
        let (rust, llvm) = choose(&rusts, &llvms);
        let mut tools = Tools {
            arch,
            llvm,
            rust,
            bindgen: None,
            qemu: arch.qemu().and_then(|qemu| in_path(qemu.program)),
            gcc: in_path("gcc"),
            guest_gcc: in_path(arch.compiler().program),
            compat_gcc: arch.compat().and_then(|compat| in_path(compat.program)),
            python: python::find(&search("python3")),
            rows: Vec::new(),
        };
        tools.row_rust();
        tools.row_llvm();
        tools.row_bindgen(cache);
        if let Some(qemu) = arch.qemu() {
            tools.row_program("QEMU", tools.qemu.clone(), qemu.package);
        }
        let gcc = tools.gcc.clone();
        tools.row_program("gcc", gcc, "gcc");
        for (program, package) in PROGRAMS {
            tools.row_program(program, in_path(program), package);
        }
        for (module, package) in python::MODULES {
            tools.row_module(module, package);
        }
        tools.row_guest(arch.compiler(), tools.guest_gcc.clone());
        if let Some(compat) = arch.compat() {
            tools.row_guest(compat, tools.compat_gcc.clone());
        }
        for (header, package) in HEADERS {
            tools.row_header(header, package);
        }
        tools
    }

    /// The rows of what lacks.
    pub fn missing(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.found.is_none())
    }

    /// Whether rustc may inline the C helpers: both compilers must share one LLVM.
    pub fn inline_helpers(&self) -> bool {
        match (&self.rust, &self.llvm) {
            (Some(rust), Some(llvm)) => rust.llvm == llvm.version.0,
            _ => false,
        }
    }

    pub fn llvm(&self) -> Result<&Llvm> {
        self.llvm.as_ref().context(lacks("clang and lld"))
    }

    pub fn rust(&self) -> Result<&Rust> {
        self.rust
            .as_ref()
            .context(lacks("rustc with library source"))
    }

    pub fn bindgen(&self) -> Result<&Path> {
        self.bindgen.as_deref().context(lacks("bindgen"))
    }

    pub fn qemu(&self) -> Result<&Path> {
        let name = self.arch.qemu().map_or("QEMU", |qemu| qemu.program);
        self.qemu.as_deref().context(lacks(name))
    }

    pub fn gcc(&self) -> Result<&Path> {
        self.gcc.as_deref().context(lacks("gcc"))
    }

    pub fn guest_gcc(&self) -> Result<&Path> {
        let name = self.arch.compiler().program;
        self.guest_gcc.as_deref().context(lacks(name))
    }

    pub fn compat_gcc(&self) -> Result<&Path> {
        let name = self.arch.compat().map_or("gcc", |compat| compat.program);
        self.compat_gcc.as_deref().context(lacks(name))
    }

    /// `make` for the kernel in `tree`, building in `out`, with every tool named.
    /// Nothing of the user's environment changes the result.
    pub fn make(&self, tree: &Path, out: &Path) -> Result<Command> {
        let (llvm, rust, bindgen) = (self.llvm()?, self.rust()?, self.bindgen()?);
        let mut make = command("make");
        for name in KERNEL_ENVIRONMENT {
            make.env_remove(name);
        }
        make.env("LIBCLANG_PATH", &llvm.lib);
        make.arg("-C").arg(tree).arg(pair("O", out));
        make.arg(format!("ARCH={}", self.arch.kernel()));
        if self.arch == Arch::Um {
            make.arg("SUBARCH=x86");
        }
        make.arg(format!("LLVM={}/", llvm.bin.display()));
        make.arg(pair("RUSTC", &rust.rustc));
        make.arg(pair("HOSTRUSTC", &rust.rustc));
        make.arg(pair("RUSTDOC", &rust.rustdoc));
        make.arg(pair("RUST_LIB_SRC", &rust.library));
        if let Some(rustfmt) = &rust.rustfmt {
            make.arg(pair("RUSTFMT", rustfmt));
        }
        if let Some(clippy) = &rust.clippy {
            make.arg(pair("CLIPPY_DRIVER", clippy));
        }
        make.arg(pair("BINDGEN", bindgen));
        make.args([
            "KBUILD_BUILD_TIMESTAMP=@0",
            "KBUILD_BUILD_USER=kevent",
            "KBUILD_BUILD_HOST=kevent",
        ]);
        Ok(make)
    }

    fn row_program(&mut self, what: &'static str, found: Option<PathBuf>, package: &'static str) {
        self.rows.push(Row {
            what,
            found: found.map(|path| path.display().to_string()),
            note: None,
            source: Source::Package(package),
        });
    }

    fn row_rust(&mut self) {
        let found = self.rust.as_ref().map(|rust| {
            let (path, library) = (rust.rustc.display(), rust.library.display());
            format!(
                "{path} {} (LLVM {}), source {library}",
                rust.version, rust.llvm
            )
        });
        self.rows.push(Row {
            what: "rustc",
            found,
            note: None,
            source: Source::Rust,
        });
        for (what, path) in [
            (
                "rustfmt",
                self.rust.as_ref().map(|rust| rust.rustfmt.clone()),
            ),
            (
                "clippy-driver",
                self.rust.as_ref().map(|rust| rust.clippy.clone()),
            ),
        ] {
            self.rows.push(Row {
                what,
                found: path.flatten().map(|path| path.display().to_string()),
                note: None,
                source: Source::Rust,
            });
        }
    }

    fn row_llvm(&mut self) {
        let suits = self.rust.is_none() || self.llvm.is_none() || self.inline_helpers();
        let note = (!suits).then(|| {
            "its LLVM is not rustc's: C helpers will not be inlined, which costs speed".to_owned()
        });
        self.rows.push(Row {
            what: "clang, lld",
            found: self
                .llvm
                .as_ref()
                .map(|llvm| format!("{} {}", llvm.bin.display(), llvm.version)),
            note,
            source: Source::Llvm,
        });
    }

    fn row_bindgen(&mut self, cache: &Path) {
        let own = bindgen_folder(cache).join("bin/bindgen");
        let mut note = None;
        for path in in_path("bindgen").into_iter().chain([own]) {
            let Some(version) = version_of(&path, "--version") else {
                continue;
            };
            if version >= BINDGEN_LEAST {
                note = None;
                self.bindgen = Some(path);
                break;
            }
            let path = path.display();
            note = Some(format!(
                "{path} is {version}, at least {BINDGEN_LEAST} is needed"
            ));
        }
        self.rows.push(Row {
            what: "bindgen",
            found: self.bindgen.as_ref().map(|path| path.display().to_string()),
            note,
            source: Source::Cargo,
        });
    }

    /// A compiler of the guest's programs, and its static libc.
    fn row_guest(&mut self, compiler: &'static GuestCompiler, gcc: Option<PathBuf>) {
        let [package, libc] = compiler.packages;
        let found = gcc.as_ref().and_then(|gcc| {
            let archive = stdout(command(gcc).arg("-print-file-name=libc.a")).ok()?;
            Path::new(&archive).is_absolute().then_some(archive)
        });
        if compiler.program != "gcc" {
            self.row_program(compiler.program, gcc, package);
        }
        self.rows.push(Row {
            what: libc,
            found,
            note: None,
            source: Source::Package(libc),
        });
    }

    /// A module that one Python must have with all others: else a package brings it to Debian's.
    fn row_module(&mut self, module: &str, package: &'static str) {
        let found = self.python.clone();
        let found = found.or_else(|| python::debian_has(module));
        self.row_program(package, found, package);
    }

    fn row_header(&mut self, header: &'static str, package: &'static str) {
        let compiler = match (&self.llvm, &self.gcc) {
            (Some(llvm), _) => Some(llvm.bin.join("clang")),
            (None, gcc) => gcc.clone(),
        };
        let found = compiler.is_some_and(|compiler| {
            let probe = ["-fsyntax-only", "-include", header, "-x", "c", "/dev/null"];
            stdout(command(compiler).args(probe)).is_ok()
        });
        self.rows.push(Row {
            what: header,
            found: found.then(|| "found".to_owned()),
            note: None,
            source: Source::Package(package),
        });
    }
}

/// Variables that the kernel's makefiles would take from the environment.
const KERNEL_ENVIRONMENT: [&str; 17] = [
    "ARCH",
    "CROSS_COMPILE",
    "KBUILD_OUTPUT",
    "KCONFIG_CONFIG",
    "KCONFIG_ALLCONFIG",
    "KCFLAGS",
    "KCPPFLAGS",
    "KAFLAGS",
    "KRUSTFLAGS",
    "HOSTCFLAGS",
    "HOSTLDFLAGS",
    "LOCALVERSION",
    "MAKEFLAGS",
    "MFLAGS",
    "RUSTFLAGS",
    "V",
    "W",
];

/// Where `cargo install` puts bindgen.
pub fn bindgen_folder(cache: &Path) -> PathBuf {
    cache.join("tools")
}

/// The first `program` in PATH, or in the folders for administrators, which a user's PATH may lack.
pub fn in_path(program: &str) -> Option<PathBuf> {
    search(program).into_iter().next()
}

/// Every `program` in PATH and in the folders for administrators.
fn search(program: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = Vec::new();
    let extra = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    for folder in std::env::split_paths(&path).chain(extra) {
        let file = folder.join(program);
        let executable = nix::unistd::access(&file, nix::unistd::AccessFlags::X_OK).is_ok();
        if folder.is_absolute() && executable && file.is_file() && !found.contains(&file) {
            found.push(file);
        }
    }
    found
}

/// The pair with one LLVM if there is one, else the newest of each.
fn choose(rusts: &[Rust], llvms: &[Llvm]) -> (Option<Rust>, Option<Llvm>) {
    for rust in rusts {
        if let Some(llvm) = llvms.iter().find(|llvm| llvm.version.0 == rust.llvm) {
            return (Some(rust.clone()), Some(llvm.clone()));
        }
    }
    (rusts.first().cloned(), llvms.first().cloned())
}

fn lacks(what: &str) -> String {
    format!("{what} not found: `cargo xtask setup` installs it, or says how")
}

fn pair(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// A version of three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Version {
    /// The first word of `text` that is a version: "Debian clang version 22.1.8 (1~deb)".
    pub fn find(text: &str) -> Option<Version> {
        text.split(|c: char| c.is_whitespace() || c == '-' || c == '+' || c == '(')
            .find_map(|word| {
                let mut numbers = word.trim_start_matches('v').split('.');
                let first = numbers.next()?.parse().ok()?;
                let second = numbers.next()?.parse().ok()?;
                let third = numbers.next().map_or(Some(0), |text| text.parse().ok())?;
                Some(Version(first, second, third))
            })
    }
}

/// The version that `program` tells, if it runs at all.
pub fn version_of(program: &Path, flag: &str) -> Option<Version> {
    if !program.is_file() {
        return None;
    }
    Version::find(&stdout(command(program).arg(flag)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_texts() {
        let find = |text| Version::find(text);
        assert_eq!(find("bindgen 0.72.1"), Some(Version(0, 72, 1)));
        assert_eq!(
            find("Debian clang version 22.1.8 (1~deb12u1)\nTarget: x"),
            Some(Version(22, 1, 8))
        );
        assert_eq!(find("rustc 1.96.0-nightly (abc)"), Some(Version(1, 96, 0)));
        assert_eq!(find("QEMU emulator version 7.2"), Some(Version(7, 2, 0)));
        assert_eq!(find("no number"), None);
        assert!(Version(0, 71, 1) < Version(0, 72, 0));
    }

    fn rust(version: Version, llvm: u32) -> Rust {
        Rust {
            rustc: "/r".into(),
            rustdoc: "/d".into(),
            rustfmt: None,
            clippy: None,
            library: "/l".into(),
            version,
            llvm,
        }
    }

    fn clang(major: u32) -> Llvm {
        Llvm {
            bin: format!("/llvm-{major}/bin").into(),
            lib: format!("/llvm-{major}/lib").into(),
            version: Version(major, 0, 0),
        }
    }

    #[test]
    fn a_pair_with_one_llvm_wins() {
        let rusts = [rust(Version(1, 99, 0), 23), rust(Version(1, 96, 0), 22)];
        let (rust, llvm) = choose(&rusts, &[clang(24), clang(22), clang(19)]);
        assert_eq!(rust.unwrap().llvm, 22);
        assert_eq!(llvm.unwrap().version.0, 22);
    }

    #[test]
    fn without_a_pair_the_newest_is_taken() {
        let (rust, llvm) = choose(&[rust(Version(1, 85, 0), 19)], &[clang(24), clang(22)]);
        assert_eq!(rust.unwrap().llvm, 19);
        assert_eq!(llvm.unwrap().version.0, 24);
        assert!(choose(&[], &[]).0.is_none());
    }
}
