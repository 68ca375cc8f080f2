//! A Python that has what scripts of Linux import.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Row;
use crate::command::{check, command, stdout};

/// The modules that scripts/spdxcheck.py imports, and their Debian packages.
pub const MODULES: [(&str, &str); 2] = [("git", "python3-git"), ("ply", "python3-ply")];

/// The one for which Debian has packages.
const DEBIAN: &str = "/usr/bin/python3";

/// The first of `candidates` with all modules: the program that it is, and not a shim that looks for
/// it in PATH.
pub fn find(candidates: &[PathBuf]) -> Option<PathBuf> {
    let modules = MODULES.map(|(module, _)| module).join(", ");
    let all = candidates.iter();
    let mut known = all.filter_map(|python| program(python, &modules));
    known.next()
}

/// Whether a row is that of a module. Nothing is built with them.
pub fn is_module(row: &Row) -> bool {
    MODULES.iter().any(|(_, package)| *package == row.what)
}

/// Whether the Python that packages are for has a module.
pub fn debian_has(module: &str) -> Option<PathBuf> {
    program(Path::new(DEBIAN), module)
}

/// Its path as itself sees it, if it can import `modules`.
fn program(python: &Path, modules: &str) -> Option<PathBuf> {
    let script = format!("import sys, {modules}; print(sys.executable)");
    let path = stdout(command(python).args(["-c", &script])).ok()?;
    Some(PathBuf::from(path)).filter(|path| path.is_absolute())
}

/// A PATH in which `python` is the first python3, and all else is found as before. `folder`, which
/// is put before it, gets that one program.
pub fn first_in_path(python: &Path, folder: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let python = python.to_str().context("Python's path is no UTF-8")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // No link, by which it would not find the modules of a virtual environment.
    let quoted = python.replace('\'', r"'\''");
    write_script(&folder.join("python3"), &format!("exec '{quoted}' \"$@\""))?;
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}

/// Makes a program of one line. Another process writes it, as nobody can run what is open for
/// writing, be it in a thread that is about to run something else.
fn write_script(path: &Path, line: &str) -> Result<()> {
    const WRITE: &str =
        r#"printf '#!/bin/sh\n%s\n' "$2" > "$1.$$" && chmod 755 "$1.$$" && mv "$1.$$" "$1""#;
    check(command("sh").args(["-c", WRITE, "sh"]).arg(path).arg(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A python3 that cannot import, or that calls itself `name`.
    fn fake(folder: &Path, name: Option<&str>) -> PathBuf {
        let line = match name {
            Some(name) => format!("echo '{name}'"),
            None => "echo 'No module named ply' >&2; exit 1".to_owned(),
        };
        let path = folder.join("python3");
        fs::create_dir_all(folder).unwrap();
        write_script(&path, &line).unwrap();
        path
    }

    #[test]
    fn the_first_with_the_modules_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let candidates = [
            at("not there/python3"),
            fake(&at("shim"), None),
            fake(&at("a"), Some("/versions/a/python3")),
            fake(&at("b"), Some("/versions/b/python3")),
        ];
        let found = find(&candidates);
        assert_eq!(found.as_deref(), Some(Path::new("/versions/a/python3")));
        assert_eq!(find(&candidates[..2]), None);
        // What has no name cannot be started.
        assert_eq!(find(&[fake(&at("c"), Some(""))]), None);
    }

    #[test]
    fn scripts_run_with_that_one_and_all_else_is_found_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("it's odd");
        let python = fake(&odd, Some("mine"));
        let home = folder.path().join("home");
        for _ in 0..2 {
            let path = first_in_path(&python, &home).unwrap();
            let text = stdout(command("/usr/bin/env").arg("python3").env("PATH", &path));
            assert_eq!(text.unwrap(), "mine");
            let which = || {
                let mut which = command("/bin/sh");
                which.args(["-c", "command -v perl"]);
                which
            };
            let before = stdout(&mut which()).unwrap();
            assert_eq!(stdout(which().env("PATH", &path)).unwrap(), before);
        }
        assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
    }

    #[test]
    fn a_virtual_environment_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let venv = folder.path().join("venv");
        let mut make = command("python3");
        make.args(["-m", "venv", "--without-pip"]).arg(&venv);
        if stdout(&mut make).is_err() {
            return;
        }
        let python = program(&venv.join("bin/python3"), "os").unwrap();
        let path = first_in_path(&python, &folder.path().join("home")).unwrap();
        let mut script = command("/usr/bin/env");
        script.args(["python3", "-c", "import sys; print(sys.prefix)"]);
        let prefix = stdout(script.env("PATH", path)).unwrap();
        assert_eq!(Path::new(&prefix), venv);
    }
}
