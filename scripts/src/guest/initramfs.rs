//! Packs what the guest sees: an initramfs in cpio's newc format.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cpio::newc::{Builder, ModeFileType, trailer};

#[derive(Default)]
pub struct Initramfs {
    files: Vec<(String, Content)>,
    folders: BTreeSet<String>,
}

enum Content {
    Host(PathBuf),
    Bytes(Vec<u8>),
    Folder,
    /// A symbolic link.
    Link(String),
    /// A character device.
    Device(u32, u32),
}

impl Initramfs {
    /// With `init` and the folders that it mounts on.
    pub fn new(init: &Path) -> Initramfs {
        let mut initramfs = Initramfs::default();
        for folder in ["/dev", "/proc", "/sys", "/tmp", "/bin", "/kevent", "/exec"] {
            initramfs.add(folder, Content::Folder);
        }
        // The kernel opens it for init before anything is mounted.
        initramfs.add("/dev/console", Content::Device(5, 1));
        initramfs.program("/init", init);
        initramfs
    }

    /// A file of the host at `path` in the guest, executable.
    pub fn program(&mut self, path: &str, host: &Path) {
        self.add(path, Content::Host(host.to_owned()));
    }

    pub fn bytes(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.add(path, Content::Bytes(bytes.into()));
    }

    /// A symbolic link at `path` in the guest.
    pub fn link(&mut self, path: &str, target: &str) {
        self.add(path, Content::Link(target.to_owned()));
    }

    fn add(&mut self, path: &str, content: Content) {
        let missing: Vec<String> = parents(path)
            .filter(|parent| !self.folders.contains(*parent))
            .map(str::to_owned)
            .collect();
        for parent in missing.into_iter().rev() {
            self.folders.insert(parent.clone());
            self.files.push((parent, Content::Folder));
        }
        if matches!(content, Content::Folder) {
            self.folders.insert(path.to_owned());
        }
        self.files.push((path.to_owned(), content));
    }

    pub fn pack(&self) -> Result<Vec<u8>> {
        let mut archive = Vec::new();
        let mut written = BTreeSet::new();
        for (inode, (path, content)) in (1..).zip(&self.files) {
            if !written.insert(path) {
                continue;
            }
            let bytes = match content {
                Content::Host(host) => {
                    fs::read(host).with_context(|| format!("cannot read {}", host.display()))?
                }
                Content::Bytes(bytes) => bytes.clone(),
                Content::Link(target) => target.clone().into_bytes(),
                Content::Folder | Content::Device(..) => Vec::new(),
            };
            let entry = Builder::new(path.trim_start_matches('/'))
                .ino(inode)
                .mode(0o755);
            let entry = match content {
                Content::Host(_) | Content::Bytes(_) => {
                    entry.set_mode_file_type(ModeFileType::Regular)
                }
                Content::Folder => entry.set_mode_file_type(ModeFileType::Directory).nlink(2),
                Content::Link(_) => entry.set_mode_file_type(ModeFileType::Symlink),
                Content::Device(major, minor) => entry
                    .set_mode_file_type(ModeFileType::Char)
                    .rdev_major(*major)
                    .rdev_minor(*minor),
            };
            let size =
                u32::try_from(bytes.len()).with_context(|| format!("{path} is too large"))?;
            let mut writer = entry.write(&mut archive, size);
            writer.write_all(&bytes)?;
            writer.finish()?;
        }
        trailer(&mut archive)?;
        Ok(archive)
    }
}

/// The folders above `path`, from the innermost, without the root.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = &rest[..rest.rfind('/')?];
        (!rest.is_empty()).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn an_archive_has_every_file_below_its_folder() {
        let host = tempfile::NamedTempFile::new().unwrap();
        fs::write(host.path(), "program").unwrap();
        let mut initramfs = Initramfs::new(host.path());
        initramfs.bytes("/lib/deep/file", "content");
        initramfs.link("/lib/deep/link", "file");
        let archive = initramfs.pack().unwrap();

        let mut rest = archive.as_slice();
        let mut names = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let name = reader.entry().name().to_owned();
            let mut content = String::new();
            reader.read_to_string(&mut content).unwrap();
            match name.as_str() {
                "init" => {
                    assert_eq!(content, "program");
                    assert_eq!(reader.entry().mode(), 0o100755);
                }
                "lib/deep/file" => assert_eq!(content, "content"),
                "lib/deep/link" => {
                    assert_eq!(content, "file");
                    assert_eq!(reader.entry().mode(), 0o120755);
                }
                "dev/console" => {
                    assert_eq!(reader.entry().mode(), 0o020755);
                    assert_eq!(
                        (reader.entry().rdev_major(), reader.entry().rdev_minor()),
                        (5, 1)
                    );
                }
                _ => assert_eq!(content, ""),
            }
            names.push(name);
            rest = reader.finish().unwrap();
        }
        let place = |name| names.iter().position(|other| other == name).unwrap();
        assert!(place("lib") < place("lib/deep"));
        assert!(place("lib/deep") < place("lib/deep/file"));
        assert!(place("dev") < place("dev/console"));
    }
}
