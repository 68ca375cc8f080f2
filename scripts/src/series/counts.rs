//! What each patch adds, counted from the sources: no Linux is needed for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::edits;
use crate::git::Git;
use crate::manifest::{self, EDITS, MAINTAINERS, Manifest, kernel_path};

/// A patch that adds more lines says in its message why it is large.
pub const LARGE: usize = 600;

pub struct Count {
    /// The id of the patch.
    pub id: String,
    /// The lines that it adds to each file, by their path in Linux.
    pub added: BTreeMap<String, usize>,
}

impl Count {
    pub fn total(&self) -> usize {
        self.added.values().sum()
    }
}

/// Every patch, in order.
pub fn counts(repo: &Path, manifest: &Manifest) -> Result<Vec<Count>> {
    let sources = manifest::sources(repo)?;
    let claims = manifest.claims(&sources)?;
    let edits = edits::read(&repo.join(EDITS))?;
    let fragment = fs::read_to_string(repo.join("MAINTAINERS.fragment")).unwrap_or_default();
    let mut counts = Vec::new();
    for (index, (patch, claim)) in manifest.patch.iter().zip(claims).enumerate() {
        let mut added = BTreeMap::new();
        for name in claim {
            let mut text = String::from_utf8_lossy(&sources[&name].content).into_owned();
            if manifest.growing.contains(&name) {
                text = manifest.grown(&name, &text, index)?;
            }
            added.insert(kernel_path(&name)?, text.lines().count());
        }
        let grown: BTreeSet<&String> = patch.grow.iter().map(|grow| &grow.file).collect();
        for name in grown {
            let full = String::from_utf8_lossy(&sources[name].content);
            let gained = manifest.gained(name, &full, index)?;
            added.insert(kernel_path(name)?, gained);
        }
        for file in &patch.edits {
            let own = edits.iter().filter(|edits| edits.file == *file);
            let own = own.flat_map(|edits| &edits.edit);
            let own = own.filter(|edit| edit.patch == patch.id);
            let lines = match file.as_str() {
                // An empty line follows the last entry, too.
                MAINTAINERS => fragment.lines().count() + 1,
                _ => own.map(|edit| edit.added()).sum(),
            };
            added.insert(file.clone(), lines);
        }
        added.retain(|_, lines| *lines > 0);
        let id = patch.id.clone();
        counts.push(Count { id, added });
    }
    Ok(counts)
}

/// Fails unless git counts the same in the commits on `base`.
pub fn compare(git: &Git, base: &str, commits: &[String], counts: &[Count]) -> Result<()> {
    let mut before = base;
    for (commit, count) in commits.iter().zip(counts) {
        let diff = ["diff-tree", "-r", "--no-renames", "--numstat"];
        let numstat = git.read(&[&diff[..], &[before, commit]].concat())?;
        let mut added = BTreeMap::new();
        for line in numstat.lines() {
            let mut fields = line.splitn(3, '\t');
            let lines = fields.next().unwrap_or_default();
            let lines: usize = lines.parse().with_context(|| line.to_owned())?;
            let path = fields.nth(1).unwrap_or_default();
            added.insert(path.to_owned(), lines);
        }
        added.retain(|_, lines| *lines > 0);
        ensure!(
            added == count.added,
            "patch {} adds {:?}, as git counts, and not {:?}",
            count.id,
            added,
            count.added
        );
        before = commit;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::repository;

    #[test]
    fn files_growth_and_edits_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("rust-kevent/k.rs", "a\nb\nc\n");
        put("linux/fs/k.c", "a\nb\n");
        put("MAINTAINERS.fragment", "K\nM:\tk\n");
        put(
            "linux/edits/m.toml",
            "file = 'fs/m'\n\
             [[edit]]\npatch = 'one'\nafter = 'x'\nlines = \"y\\n\"\n\
             [[edit]]\npatch = 'two'\nreplace = \"y\\nz\"\nlines = \"y\\nq\\nr\\n\"\n\
             [[edit]]\npatch = 'two'\nreplace = 'x'\nlines = ''\n",
        );
        let manifest = toml::from_str(
            "author = 'A <a@b>'\ndate = 1\ngrowing = ['rust-kevent/k.rs']\n\
             [[patch]]\nid = 'one'\nmessage = 'm'\nfiles = ['rust-kevent/k.rs', 'linux/fs/k.c']\n\
             edits = ['fs/m', 'MAINTAINERS']\n\
             [[patch]]\nid = 'two'\nmessage = 'm'\nedits = ['fs/m']\n\
             grow = [{ file = 'rust-kevent/k.rs', lines = ['b'] }]\n",
        );
        let counts = counts(folder.path(), &manifest.unwrap()).unwrap();
        let added = |at: usize| {
            let added = counts[at].added.iter();
            let added = added.map(|(path, lines)| (path.as_str(), *lines));
            added.collect::<Vec<_>>()
        };
        let one = [
            ("MAINTAINERS", 3),
            ("fs/k.c", 2),
            ("fs/m", 1),
            ("rust/kernel/k.rs", 2),
        ];
        assert_eq!(added(0), one);
        assert_eq!(added(1), [("fs/m", 2), ("rust/kernel/k.rs", 1)]);
        assert_eq!(counts[0].total(), 8);
    }

    #[test]
    fn git_must_count_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (git, base) = repository(folder.path(), &[("d/f", "x\n")]);
        fs::write(folder.path().join("d/f"), "x\ny\nz\n").unwrap();
        git.run(&["commit", "--quiet", "--all", "--message=m"])
            .unwrap();
        let commit = git.commit("HEAD").unwrap();
        let compare = |lines| {
            let count = Count {
                id: "one".to_owned(),
                added: [("d/f".to_owned(), lines)].into(),
            };
            compare(&git, &base, std::slice::from_ref(&commit), &[count])
        };
        compare(2).unwrap();
        let error = compare(3).unwrap_err().to_string();
        assert!(error.starts_with("patch one adds {\"d/f\": 2}"), "{error}");
    }
}
