use super::*;
use crate::git::tests::{base_of, repository};

/// A perl that finds a missing sign-off.
const CHECKPATCH: &str = r#"
open my $patch, '<', $ARGV[-1] or die;
local $/;
print "$ARGV[-1]:1: ERROR:MISSING_SIGN_OFF: Missing Signed-off-by: line(s)\n"
    unless <$patch> =~ /^Signed-off-by: /m;
print "total: 0 errors, 0 warnings, 0 checks, 1 lines checked\n";
exit 1;
"#;

/// A perl that says who is in its list, and a list.
const GET_MAINTAINER: &str = r#"
open my $list, '<', $ARGV[-2] or die;
while (<$list>) { print "$1\n" if /^M:\t(.*)/; }
print "linux-kernel\@vger.kernel.org\n";
"#;

const MAINTAINERS: &str =
    "X\nM:\tThe kevent project <kevent@localhost>\nM:\t\"O. Wner\" <o@x.dev>\n";

struct Fixture {
    folder: tempfile::TempDir,
    tree: Tree,
    sender: Sender,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("linux");
        let (git, commit) = repository(
            &path,
            &[
                ("scripts/checkpatch.pl", CHECKPATCH),
                ("scripts/get_maintainer.pl", GET_MAINTAINER),
                ("MAINTAINERS", MAINTAINERS),
                ("f", "x\n"),
            ],
        );
        let base = base_of(git, commit.clone());
        let tree = Tree { path, commit, base };
        let sender = Sender::find(Some("Ada Person <ada@person.dev>"), |_| None).unwrap();
        Fixture {
            folder,
            tree,
            sender,
        }
    }

    fn script(&self) -> Script<'_> {
        Script::new(&self.tree.path, None, self.folder.path()).unwrap()
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join("out").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn patches(&self) -> Vec<PathBuf> {
        let head = "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n\
                    From: Ada Person <ada@person.dev>\nDate: Thu, 1 Jan 2026 00:00:00 +0000\n";
        let cover = format!("{head}Subject: [PATCH 0/2] all\n\nText.\n");
        self.put(COVER, &cover);
        let patch = |number: u32, old: &str, new: &str| {
            let text = format!(
                "{head}Subject: [PATCH {number}/2] f: make it {new}\n\nText.\n\n\
                 Signed-off-by: Ada Person <ada@person.dev>\n---\n\n\
                 diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-{old}\n+{new}\n"
            );
            self.put(&format!("000{number}-f.patch"), &text)
        };
        vec![patch(1, "x", "y"), patch(2, "y", "z")]
    }
}

#[test]
fn a_sign_off_must_be_there() {
    let fixture = Fixture::new();
    let patches = fixture.patches();
    let found = check(&fixture.script(), &patches).unwrap();
    checkpatch::fail_for_sign_offs(&found).unwrap();
    let bare = fs::read_to_string(&patches[0]).unwrap();
    fs::write(&patches[0], bare.replace("Signed-off-by", "Seen-by")).unwrap();
    let found = check(&fixture.script(), &patches).unwrap();
    assert!(checkpatch::fail_for_sign_offs(&found).is_err());
}

#[test]
fn a_patch_goes_to_whom_it_concerns() {
    let fixture = Fixture::new();
    let patches = fixture.patches();
    let recipients = concern(&fixture.tree, &fixture.sender, &patches).unwrap();
    assert_eq!(recipients, [["\"O. Wner\" <o@x.dev>", LIST]; 2]);
    let found = check(&fixture.script(), &patches).unwrap();
    let table = table(&patches, &found, &recipients).unwrap().to_string();
    assert!(table.contains("0001-f"), "{table}");
}

/// Sees that an installed mailer shows the mails, and gives what it tells a person to do.
fn mails(mailer: &Mailer) -> String {
    let fixture = Fixture::new();
    let patches = fixture.patches();
    let everybody = vec!["\"O. Wner\" <o@x.dev>".to_owned()];
    let folder = fixture.folder.path().join("out");
    for mail in patches.iter().chain([&folder.join(COVER)]) {
        recipients::write(mail, &everybody).unwrap();
    }
    let mail = Mail {
        sender: &fixture.sender,
        to: &[LIST.to_owned()],
        cc: &["more@x.dev".to_owned()],
        folder: &folder,
        everybody,
    };
    let (base, cache) = (&fixture.tree.base, fixture.folder.path());
    let text = mailer.dry_run(&mail, base, cache).unwrap();
    assert!(text.ends_with("\n3 mails"), "{text}");
    for part in [
        "From: Ada Person <ada@person.dev>\n",
        "To: linux-kernel@vger.kernel.org\n",
        "\"O. Wner\" <o@x.dev>",
        "more@x.dev",
        "Subject: [PATCH 0/2] all\n",
        "Subject: [PATCH 1/2] f: make it y\n",
        "Subject: [PATCH 2/2] f: make it z\n",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    mailer.command(&mail)
}

#[test]
fn git_send_email_shows_the_mails() {
    let Ok(mailer @ Mailer::GitSendEmail) = Mailer::find() else {
        return;
    };
    let command = mails(&mailer);
    assert!(command.contains("git send-email '--from=Ada Person <ada@person.dev>'"));
    assert!(!command.contains("dry-run"), "{command}");
}

#[test]
fn b4_shows_the_mails() {
    let Some(b4) = crate::tools::in_path("b4") else {
        return;
    };
    let command = mails(&Mailer::B4(b4));
    assert!(command.contains("b4 send --to linux-kernel@vger.kernel.org --cc more@x.dev "));
    assert!(!command.contains("dry-run"), "{command}");
}
