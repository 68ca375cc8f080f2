use super::*;
use crate::git::tests::{base_of, repository};

const MANIFEST: &str = r#"
author = "The project <p@localhost>"
date = 1767225600
growing = ["rust-kevent/kevent.rs"]

[[patch]]
part = "The core:"
id = "core"
message = "messages/core.txt"
files = ["rust-kevent/kevent.rs", "linux/fs/kevent.c"]
edits = ["fs/Makefile", "MAINTAINERS"]

[[patch]]
id = "ring"
message = "messages/ring.txt"
files = ["rust-kevent/kevent/*.rs", "selftests/run.sh"]
edits = ["fs/Makefile"]
grow = [{ file = "rust-kevent/kevent.rs", lines = ["pub mod ring;"] }]
"#;

const EDITS: &str = r#"
file = "fs/Makefile"
[[edit]]
patch = "core"
after = "obj-y += a.o"
lines = """
obj-y += kevent.o
"""
[[edit]]
patch = "ring"
after = "obj-y += kevent.o"
lines = """
obj-y += ring.o
"""
"#;

/// A small repository of ours, a small Linux and a cache.
struct Fixture {
    folder: tempfile::TempDir,
    base: Base,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let (git, commit) = repository(
            &folder.path().join("linux"),
            &[
                ("fs/Makefile", "obj-y += a.o\nobj-y += z.o\n"),
                (
                    "MAINTAINERS",
                    "\nMaintainers List\n---\n\nA\nM:\ta\n\nTHE REST\nM:\tz\n",
                ),
                (".gitattributes", "*.rs diff=rust\n"),
            ],
        );
        let mut base = base_of(git, commit);
        base.name = "linux-source 1".into();
        let fixture = Fixture { folder, base };
        for (name, text) in [
            ("scripts/series/manifest.toml", MANIFEST),
            ("scripts/series/cover.txt", "Add kevent\n\nWhy.\n"),
            (
                "scripts/series/messages/core.txt",
                "fs: add kevent\n\nText.\n",
            ),
            ("scripts/series/messages/ring.txt", "kevent: add the ring\n"),
            ("linux/edits/makefile.toml", EDITS),
            ("linux/fs/kevent.c", "int k;\n"),
            ("rust-kevent/kevent.rs", "pub mod core;\npub mod ring;\n"),
            ("rust-kevent/kevent/ring.rs", "// ring\n"),
            ("selftests/run.sh", "#!/bin/sh\n"),
            ("MAINTAINERS.fragment", "KEVENT\nM:\tk\n"),
        ] {
            fixture.put(name, text);
        }
        let script = fixture.repo().join("selftests/run.sh");
        fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        fs::create_dir(fixture.cache()).unwrap();
        fixture
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.repo().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn make(&self) -> Result<Made> {
        make(&self.repo(), &self.cache(), &self.base, None)
    }

    fn write(&self) -> usize {
        write(&self.repo().join("patches"), &self.make().unwrap().patches).unwrap()
    }

    fn check(&self) -> Result<()> {
        compare(
            &self.make()?,
            &self.repo().join("patches"),
            &self.cache(),
            &self.base,
        )
    }

    fn fails(&self) -> String {
        format!("{:#}", self.check().unwrap_err())
    }
}

#[test]
fn the_series_is_made_and_checked() {
    let fixture = Fixture::new();
    assert_eq!(fixture.write(), 3);
    assert_eq!(fixture.write(), 0);
    fixture.check().unwrap();
    let there = read(&fixture.repo().join("patches")).unwrap();
    let names: Vec<&str> = there.keys().map(String::as_str).collect();
    let ring = "0002-kevent-add-the-ring.patch";
    assert_eq!(
        names,
        ["0000-cover-letter.patch", "0001-fs-add-kevent.patch", ring]
    );
    let text = |name: &str| String::from_utf8(there[name].clone()).unwrap();
    let core = text("0001-fs-add-kevent.patch");
    assert!(
        core.contains("From: The project <p@localhost>\nDate: Thu, 1 Jan 2026 00:00:00 +0000\n")
    );
    assert!(
        core.contains("Subject: [PATCH 1/2] fs: add kevent\n\nText.\n---\n"),
        "{core}"
    );
    assert!(
        core.contains("+pub mod core;\n") && !core.contains("pub mod ring"),
        "{core}"
    );
    assert!(core.contains("+++ b/MAINTAINERS\n"), "{core}");
    let ring = text(ring);
    assert!(ring.contains(" pub mod core;\n+pub mod ring;\n"), "{ring}");
    assert!(
        ring.contains(" create mode 100755 tools/testing/selftests/kevent/run.sh\n"),
        "{ring}"
    );
    let cover = text("0000-cover-letter.patch");
    assert!(
        cover.contains("Subject: [PATCH 0/2] Add kevent\n\nWhy.\n"),
        "{cover}"
    );
    assert!(
        cover.contains("\nThe core:\n 1 fs: add kevent\n 2 kevent: add the ring\n"),
        "{cover}"
    );
    let stat = " fs                                2 files     +3     -0\n";
    assert!(cover.contains(stat), "{cover}");
    assert!(cover.contains("\n 6 files changed, "), "{cover}");
    let base = "\nbase: linux-source 1 (a distribution's source: mainline has no such commit)\n";
    assert!(cover.ends_with(base), "{cover}");
    assert!(!cover.contains(&*fixture.folder.path().to_string_lossy()));
}

#[test]
fn two_places_give_the_same_bytes() {
    let (one, two) = (Fixture::new(), Fixture::new());
    assert_eq!(one.make().unwrap().patches, two.make().unwrap().patches);
}

#[test]
fn nothing_of_the_base_changes() {
    let fixture = Fixture::new();
    let git = &fixture.base.git;
    let objects = || git.read(&["count-objects", "--verbose"]).unwrap();
    let before = (objects(), git.read(&["for-each-ref"]).unwrap());
    fixture.write();
    fixture.check().unwrap();
    assert_eq!((objects(), git.read(&["for-each-ref"]).unwrap()), before);
    assert_eq!(git.read(&["status", "--porcelain"]).unwrap(), "");
    assert_eq!(fs::read_dir(fixture.cache()).unwrap().count(), 0);
}

#[test]
fn a_changed_source_fails_the_check() {
    let fixture = Fixture::new();
    fixture.write();
    fixture.put("linux/fs/kevent.c", "int changed;\n");
    let text = fixture.fails();
    assert!(text.contains("0001-fs-add-kevent.patch differs"), "{text}");
}

#[test]
fn a_changed_patch_fails_the_check() {
    let fixture = Fixture::new();
    fixture.write();
    let path = fixture
        .repo()
        .join("patches/0002-kevent-add-the-ring.patch");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("+// ring", "+// rang")).unwrap();
    assert!(
        fixture.fails().contains(": `+// rang`, not `+// ring`"),
        "{}",
        fixture.fails()
    );
    fs::remove_file(&path).unwrap();
    assert!(
        fixture
            .fails()
            .contains("0002-kevent-add-the-ring.patch is missing")
    );
    fixture.write();
    fixture.put("patches/0003-more.patch", "text\n");
    assert!(
        fixture
            .fails()
            .contains("0003-more.patch is no part of the series")
    );
}

#[test]
fn other_files_from_am_fail_the_check() {
    let fixture = Fixture::new();
    fixture.write();
    let mut made = fixture.make().unwrap();
    made.tree = fixture
        .base
        .git
        .read(&["rev-parse", "HEAD^{tree}"])
        .unwrap();
    let folder = fixture.repo().join("patches");
    let error = compare(&made, &folder, &fixture.cache(), &fixture.base).unwrap_err();
    assert!(
        format!("{error:#}").contains("gives other files than the sources"),
        "{error:#}"
    );
}

#[test]
fn another_base_is_compared_by_content() {
    let mut fixture = Fixture::new();
    fixture.write();
    let git = &fixture.base.git;
    let text = "# newer\nobj-y += a.o\nobj-y += z.o\n";
    fs::write(git.folder().join("fs/Makefile"), text).unwrap();
    git.run(&["commit", "--quiet", "--all", "--message=newer"])
        .unwrap();
    let patches = fixture.repo().join("patches");
    fixture.base.commit = fixture.base.git.commit("HEAD").unwrap();
    assert!(fixture.fails().contains("0001-fs-add-kevent.patch differs"));
    fixture.base.pinned = false;
    // The new line is context of the patch, so its bytes differ: it is made to differ elsewhere.
    assert!(fixture.fails().contains("# newer"), "{}", fixture.fails());
    let far = format!("# newer\n{}obj-y += a.o\nobj-y += z.o\n", "\n".repeat(9));
    let git = &fixture.base.git;
    git.run(&["reset", "--quiet", "--hard", "HEAD~1"]).unwrap();
    fs::write(
        git.folder().join("fs/Makefile"),
        format!("{}obj-y += a.o\nobj-y += z.o\n", "\n".repeat(9)),
    )
    .unwrap();
    git.run(&["commit", "--quiet", "--all", "--message=far"])
        .unwrap();
    fixture.base.commit = git.commit("HEAD").unwrap();
    write(&patches, &fixture.make().unwrap().patches).unwrap();
    let git = &fixture.base.git;
    fs::write(git.folder().join("fs/Makefile"), far).unwrap();
    git.run(&["commit", "--quiet", "--all", "--message=farther"])
        .unwrap();
    fixture.base.commit = git.commit("HEAD").unwrap();
    fixture.check().unwrap();
}

#[test]
fn the_manifest_and_the_edits_must_agree() {
    let fixture = Fixture::new();
    let fails = |name: &str, text: &str| {
        let fixture = Fixture::new();
        fixture.put(name, text);
        match fixture.make() {
            Ok(_) => panic!("{name} was accepted"),
            Err(error) => format!("{error:#}"),
        }
    };
    fixture.make().unwrap();
    let manifest = "scripts/series/manifest.toml";
    let text = fails(
        manifest,
        &MANIFEST.replace("\"fs/Makefile\", \"MAINT", "\"MAINT"),
    );
    assert_eq!(
        text,
        "linux/edits has an edit of fs/Makefile that patch core does not list"
    );
    let text = fails(
        manifest,
        &MANIFEST.replace("[\"fs/Makefile\"]", "[\"fs/Makefile\", \"x\"]"),
    );
    assert_eq!(
        text,
        "patch ring lists an edit of x that linux/edits has not"
    );
    let text = fails(manifest, &MANIFEST.replace(", \"MAINTAINERS\"", ""));
    assert_eq!(text, "0 patches edit MAINTAINERS, 1 must");
    let text = fails(
        manifest,
        &MANIFEST.replace("growing = [\"rust-kevent/kevent.rs\"]", ""),
    );
    assert_eq!(
        text,
        "patch ring: rust-kevent/kevent.rs is not listed as growing"
    );
    let text = fails(
        "linux/edits/makefile.toml",
        &EDITS.replace("\"ring\"", "\"rang\""),
    );
    assert_eq!(text, "an edit of fs/Makefile is for the unknown patch rang");
    let text = fails(
        "linux/edits/makefile.toml",
        &EDITS.replace("a.o\"", "b.o\""),
    );
    assert_eq!(
        text,
        "fs/Makefile, patch core: there is no line `obj-y += b.o`"
    );
    let text = fails("linux/MAINTAINERS", "x\n");
    assert!(
        text.contains("in no patch of the manifest: linux/MAINTAINERS"),
        "{text}"
    );
}

#[test]
fn a_signed_series_names_its_sender() {
    let fixture = Fixture::new();
    let sender = Some("A Person <a@person>");
    fixture.put(
        "MAINTAINERS.fragment",
        "KEVENT\nM:\tThe project <p@localhost>\n",
    );
    let made = make(&fixture.repo(), &fixture.cache(), &fixture.base, sender).unwrap();
    let text = String::from_utf8(made.patches["0001-fs-add-kevent.patch"].clone()).unwrap();
    assert!(text.contains("From: A Person <a@person>\n"), "{text}");
    assert!(
        text.contains("Text.\n\nSigned-off-by: A Person <a@person>\n---\n"),
        "{text}"
    );
    assert!(text.contains("+M:\tA Person <a@person>\n"), "{text}");
}

#[test]
fn only_mainline_is_a_base_commit() {
    let mut fixture = Fixture::new();
    let cover = |fixture: &Fixture| {
        let cover = &fixture.make().unwrap().patches[COVER];
        String::from_utf8(cover.clone()).unwrap()
    };
    assert!(!cover(&fixture).contains("base-commit"));
    fixture.write();
    fixture.base.mainline = true;
    fixture.base.pinned = false;
    let line = format!("\nbase-commit: {}\n", fixture.base.commit);
    assert!(cover(&fixture).ends_with(&line));
    fixture.check().unwrap();
}

#[test]
fn a_long_cover_letter_is_refused() {
    let fixture = Fixture::new();
    fixture.put("scripts/series/cover.txt", &"line\n".repeat(190));
    let error = format!("{:#}", fixture.make().err().unwrap());
    assert!(error.contains("at most 200"), "{error}");
}

#[test]
fn numbers_of_patches_follow_from_the_manifest() {
    let fixture = Fixture::new();
    fixture.put(
        "scripts/series/cover.txt",
        "Add kevent\n\nSee {patch:ring}; large: {patches-above:5}.\n",
    );
    let message = "scripts/series/messages/ring.txt";
    fixture.put(message, "kevent: add the ring\n\nAfter {patch:core}.\n");
    let made = fixture.make().unwrap();
    let text = |name: &str| String::from_utf8(made.patches[name].clone()).unwrap();
    assert!(text(COVER).contains("\n\nSee 2; large: 1.\n"));
    assert!(text("0002-kevent-add-the-ring.patch").contains("\n\nAfter 1.\n"));
    fixture.put(message, "kevent: add the ring\n\nAfter {patch:care}.\n");
    let error = format!("{:#}", fixture.make().err().unwrap());
    assert!(
        error.ends_with("messages/ring.txt: {patch:care}: there is no such patch"),
        "{error}"
    );
}

#[test]
fn a_large_patch_without_a_reason_is_refused() {
    let fixture = Fixture::new();
    fixture.put("rust-kevent/kevent/ring.rs", &"// ring\n".repeat(600));
    let error = format!("{:#}", fixture.make().err().unwrap());
    assert!(
        error.starts_with("messages/ring.txt: the patch adds 603 lines"),
        "{error}"
    );
}

#[test]
fn a_mail_that_is_too_long_is_refused() {
    let fixture = Fixture::new();
    let sized = |bytes| {
        let text = format!("// {}\n", "x".repeat(bytes));
        fixture.put("rust-kevent/kevent/ring.rs", &text);
        fixture.make()
    };
    let made = sized(1).unwrap();
    let ring = "0002-kevent-add-the-ring.patch";
    let rest = made.patches[ring].len() - 1;
    assert!(sized(mail::LARGEST - rest).is_ok());
    let error = format!("{:#}", sized(mail::LARGEST - rest + 1).err().unwrap());
    assert_eq!(
        error,
        format!("{ring} has 300001 bytes, and at most 300000 are mailed: the patch must be split")
    );
}

#[test]
fn the_texts_have_their_form() {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = Manifest::read(&repo.join(SERIES)).unwrap();
    let counts = counts::counts(repo, &manifest).unwrap();
    let texts = Texts::new(repo.join(SERIES), &counts);
    texts.read(TEXT).unwrap();
    for (patch, count) in manifest.patch.iter().zip(&counts) {
        let message = texts.read(&patch.message).unwrap();
        let fine = compose::check_message(&message, count.total());
        fine.unwrap_or_else(|error| panic!("{}: {error}", patch.message));
    }
}
