use std::fs;
use std::path::Path;

use super::*;
use crate::git::Git;
use crate::git::tests::repository;

const MAKEFILE: &str = "VERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 0\nEXTRAVERSION =\n";

/// A file with a line for each letter, far enough apart.
fn lines(letters: &str) -> String {
    letters
        .chars()
        .map(|letter| format!("{letter}\n.\n.\n.\n"))
        .collect()
}

/// A small Linux, and a series of four patches on it.
struct Fixture {
    folder: tempfile::TempDir,
    git: Git,
    commit: String,
    patches: Vec<PathBuf>,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let linux = folder.path().join("linux");
        let old = lines("abcdef");
        let (git, commit) = repository(
            &linux,
            &[("Makefile", MAKEFILE), ("one", &old), ("two", &old)],
        );
        let steps = [
            ("one", lines("aBcdef")),
            ("two", lines("abcdeF")),
            ("one", lines("aBCdef")),
            ("new", "n\n".to_owned()),
        ];
        for (file, text) in steps {
            fs::write(linux.join(file), text).unwrap();
            git.run(&["add", "--all"]).unwrap();
            git.run(&["commit", "--quiet", "--message", file]).unwrap();
        }
        let out = folder.path().join("patches");
        let format = ["format-patch", "--quiet", "--full-index", "-o"];
        let range = [out.to_str().unwrap(), &format!("{commit}..HEAD")];
        git.run(&[&format[..], &range].concat()).unwrap();
        git.run(&["reset", "--quiet", "--hard", &commit]).unwrap();
        let patches = tree::patches(&out).unwrap();
        Fixture {
            folder,
            git,
            commit,
            patches,
        }
    }

    /// Changes files of Linux in a commit with a tag.
    fn change(&self, tag: &str, files: &[(&str, &str)]) {
        for (file, text) in files {
            fs::write(self.git.folder().join(file), text).unwrap();
        }
        self.git.run(&["add", "--all"]).unwrap();
        let commit = ["commit", "--quiet", "--allow-empty", "--message", tag];
        self.git.run(&commit).unwrap();
        self.git.run(&["tag", tag]).unwrap();
        let back = ["reset", "--quiet", "--hard", &self.commit];
        self.git.run(&back).unwrap();
    }

    fn try_on(&self, onto: &str) -> Vec<Fate> {
        let cache = self.folder.path();
        let made = Scratch::new(&self.git, cache, Keep::Nothing, &self.commit).unwrap();
        let tip = made.am(&self.patches).unwrap();
        let touched = ["one", "two", "new"].map(str::to_owned);
        let onto = Onto::find(onto, None, &self.git, &touched).unwrap();
        assert!(onto.name.starts_with("Linux 7.2.0"), "{}", onto.name);
        let scratch = Scratch::new(&onto.git, cache, Keep::Nothing, &onto.commit).unwrap();
        let scratch = scratch.beside(&self.git).unwrap();
        let scratch = scratch.beside(&made.git).unwrap();
        let trial = Trial::new(scratch, &tip, &self.commit).unwrap();
        trial.run(&self.patches, |_| {}).unwrap()
    }
}

fn conflict(files: &[&str]) -> Fate {
    Fate::Conflict(files.iter().map(|file| (*file).to_owned()).collect())
}

#[test]
fn each_patch_is_tried() {
    let fixture = Fixture::new();
    let git = &fixture.git;
    assert_eq!(fixture.try_on("HEAD"), vec![Fate::Clean; 4]);
    // Moved lines, a context that changed, a line that both change, and a file that is there.
    let moved = format!("\n\n\n\n\n{}", lines("abcdef"));
    let context = moved.replace("b\n.\n.\n.\nc\n", "b\n.\nx\n.\nc\n");
    fixture.change("v7.2", &[("one", &moved), ("two", &lines("abcdeX"))]);
    fixture.change("v7.1", &[("one", &context), ("new", "m\n")]);
    let before = git.read(&["count-objects", "--verbose"]).unwrap();
    let [clean, both] = [Fate::Clean, conflict(&["two"])];
    let expected = [clean.clone(), both, clean.clone(), clean.clone()];
    assert_eq!(fixture.try_on("7.2"), expected);
    let expected = [
        Fate::ThreeWay,
        clean.clone(),
        Fate::ThreeWay,
        conflict(&["new"]),
    ];
    assert_eq!(fixture.try_on("v7.1"), expected);

    let rows = table(&fixture.patches, &expected).unwrap().to_string();
    assert!(rows.contains("0001-one") && rows.contains("new"), "{rows}");
    let (text, conflicts) = summary(&expected);
    assert_eq!(text, "1 clean, 2 with 3-way, 1 in conflict");
    assert_eq!(conflicts, 1);
    // Nothing of it stays.
    assert_eq!(git.read(&["count-objects", "--verbose"]).unwrap(), before);
    assert_eq!(git.read(&["status", "--porcelain"]).unwrap(), "");
    assert_eq!(git.commit("HEAD").unwrap(), fixture.commit);
}

#[test]
fn a_file_that_is_gone_is_a_conflict_and_no_more() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.git.folder().join("one")).unwrap();
    fixture.change("gone", &[]);
    let gone = conflict(&["one"]);
    // The second change of it finds what the first one left.
    let expected = [gone, Fate::Clean, Fate::Clean, Fate::Clean];
    assert_eq!(fixture.try_on("gone"), expected);
}

#[test]
fn an_unpacked_tree_needs_no_git() {
    let fixture = Fixture::new();
    let unpacked = fixture.folder.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let put = |name: &str, text: &str| fs::write(unpacked.join(name), text).unwrap();
    let name = unpacked.to_str().unwrap();
    let find = |onto: &str, revision| Onto::find(onto, revision, &fixture.git, &[]).map(|_| ());
    assert!(find(name, None).is_err());
    put("Makefile", MAKEFILE);
    put("one", &lines("abcdef"));
    put("two", &lines("abcdeX"));
    put(".gitignore", "one\n");
    let clean = Fate::Clean;
    let expected = [clean.clone(), conflict(&["two"]), clean.clone(), clean];
    assert_eq!(fixture.try_on(name), expected);
    assert_eq!(fs::read_dir(&unpacked).unwrap().count(), 4);
    assert!(find(name, Some("HEAD")).is_err());
    assert!(find("nothing", None).is_err());
    assert!(find("HEAD", Some("HEAD")).is_err());
    assert!(find(fixture.git.folder().to_str().unwrap(), Some("HEAD")).is_ok());
    assert!(Path::new(name).exists());
}
