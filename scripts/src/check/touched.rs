//! What a patch touches, and what is built for it.

use std::collections::BTreeSet;

/// Whether a patch that touches `path` can change what is built.
pub fn counts(path: &str) -> bool {
    !path.starts_with("Documentation/") && !path.starts_with("tools/") && path != "MAINTAINERS"
}

/// The object of a C file that make builds on its own: `rust/` is built as a whole.
pub fn object(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".c")?;
    let other = ["rust/", "scripts/", "samples/"];
    let alone = counts(path) && !other.iter().any(|folder| path.starts_with(folder));
    alone.then(|| format!("{stem}.o"))
}

/// Whether one of the paths is a source of a Rust crate that is not `kernel`.
pub fn other_crates(paths: &[String]) -> bool {
    let is_other = |path: &String| {
        let rust = path.starts_with("rust/") && path.ends_with(".rs");
        rust && !path.starts_with("rust/kernel/")
    };
    paths.iter().any(is_other)
}

/// The symbols that a diff of Kconfig files brings.
pub fn symbols(diff: &str) -> BTreeSet<String> {
    let added = diff.lines().filter_map(|line| line.strip_prefix('+'));
    let names = added.filter_map(|line| {
        let name = line
            .strip_prefix("config ")
            .or_else(|| line.strip_prefix("menuconfig "));
        name.map(|name| format!("CONFIG_{}", name.trim()))
    });
    names.collect()
}

/// Whether the configuration builds `object`, by the makefile of its folder. Only lines
/// `obj-$(CONFIG_X) += object` can say that it does not.
pub fn is_built(object: &str, makefile: &str, config: &str) -> bool {
    let makefile = makefile.replace("\\\n", " ");
    let mut listed = makefile.lines().filter_map(|line| {
        let (symbol, rest) = line.strip_prefix("obj-$(")?.split_once(')')?;
        let names = rest.trim_start().trim_start_matches([':', '+', '=']);
        let listed = names.split_whitespace().any(|name| name == object);
        listed.then_some(symbol)
    });
    let is_set = |symbol: &str| {
        let mut lines = config.lines();
        lines.any(|line| line == format!("{symbol}=y") || line == format!("{symbol}=m"))
    };
    match listed.next() {
        None => true,
        Some(first) => is_set(first) || listed.any(is_set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_told_by_their_folder() {
        let touched = |path: &str| other_crates(&[path.to_owned()]);
        assert!(touched("rust/macros/lib.rs") && touched("rust/ffi.rs"));
        assert!(!touched("rust/kernel/kevent/ring.rs") && !touched("rust/helpers/wait.c"));
        assert!(!touched("scripts/generate_rust_target.rs"));
    }

    #[test]
    fn documents_and_tools_are_not_built() {
        for path in [
            "Documentation/userspace-api/kevent.rst",
            "tools/testing/selftests/kevent/ring.c",
            "MAINTAINERS",
        ] {
            assert!(!counts(path), "{path}");
            assert_eq!(object(path), None);
        }
        for path in [
            "init/Kconfig",
            "include/linux/kevent.h",
            "rust/kernel/fs.rs",
        ] {
            assert!(counts(path), "{path}");
        }
    }

    #[test]
    fn c_files_give_objects() {
        assert_eq!(object("fs/kevent.c").as_deref(), Some("fs/kevent.o"));
        assert_eq!(
            object("kernel/ucount.c").as_deref(),
            Some("kernel/ucount.o")
        );
        for path in [
            "rust/helpers/wait.c",
            "fs/Makefile",
            "include/linux/kevent.h",
        ] {
            assert_eq!(object(path), None, "{path}");
        }
    }

    #[test]
    fn symbols_are_those_that_are_added() {
        let diff = "--- a/init/Kconfig\n+++ b/init/Kconfig\n config EPOLL\n+config KEVENT\n\
                    +\tbool\n-config OLD\n+menuconfig MENU\n+\tdepends on config\n";
        let found: Vec<String> = symbols(diff).into_iter().collect();
        assert_eq!(found, ["CONFIG_KEVENT", "CONFIG_MENU"]);
    }

    #[test]
    fn makefiles_say_what_is_not_built() {
        let makefile = "obj-y := open.o\nobj-$(CONFIG_A)\t\t+= one.o \\\n\ttwo.o\n\
                        obj-$(CONFIG_B) += one.o\n";
        let built = |object: &str, config: &str| is_built(object, makefile, config);
        assert!(built("open.o", "") && built("part.o", ""));
        assert!(!built("one.o", "# CONFIG_A is not set\n") && !built("two.o", "CONFIG_B=y\n"));
        assert!(built("one.o", "CONFIG_B=y\n") && built("two.o", "CONFIG_A=m\n"));
    }
}
