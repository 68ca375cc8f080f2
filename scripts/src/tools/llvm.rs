//! clang, lld and the other LLVM tools.

use std::path::{Path, PathBuf};

use super::{Version, search, version_of};

/// The least clang of Linux 7.3.
const LEAST: Version = Version(17, 0, 1);

/// What `make LLVM=` takes from one folder.
const PROGRAMS: [&str; 9] = [
    "clang",
    "ld.lld",
    "llvm-ar",
    "llvm-link",
    "llvm-nm",
    "llvm-objcopy",
    "llvm-objdump",
    "llvm-readelf",
    "llvm-strip",
];

/// One LLVM, complete, with libclang.
#[derive(Clone, Debug)]
pub struct Llvm {
    /// Folder of the programs, by their plain names.
    pub bin: PathBuf,
    /// Folder of libclang.
    pub lib: PathBuf,
    pub version: Version,
}

/// Every usable LLVM, the newest first.
pub fn find_all() -> Vec<Llvm> {
    let mut folders: Vec<PathBuf> = glob::glob("/usr/lib/llvm-*/bin")
        .expect("a fixed pattern")
        .flatten()
        .collect();
    for clang in search("clang") {
        folders.extend(clang.parent().map(Path::to_owned));
        let target = clang.canonicalize();
        folders.extend(
            target
                .ok()
                .and_then(|path| path.parent().map(Path::to_owned)),
        );
    }
    let mut found: Vec<Llvm> = folders.iter().filter_map(|bin| look(bin)).collect();
    found.sort_by_key(|llvm| std::cmp::Reverse(llvm.version));
    found
}

fn look(bin: &Path) -> Option<Llvm> {
    if !PROGRAMS.iter().all(|program| bin.join(program).is_file()) {
        return None;
    }
    let lib = [bin.join("../lib"), bin.join("../lib64")]
        .into_iter()
        .filter_map(|folder| folder.canonicalize().ok())
        .find(|folder| has_libclang(folder))?;
    let version = version_of(&bin.join("clang"), "--version")?;
    let bin = bin.to_owned();
    (version >= LEAST).then_some(Llvm { bin, lib, version })
}

fn has_libclang(folder: &Path) -> bool {
    let folder = glob::Pattern::escape(&folder.to_string_lossy());
    ["libclang.so*", "libclang-[0-9]*.so*"].iter().any(|name| {
        let files = glob::glob(&format!("{folder}/{name}"));
        files.is_ok_and(|mut files| files.any(|file| file.is_ok()))
    })
}
