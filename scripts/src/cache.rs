//! The cache folder: where it is, its lock, and stamps of finished steps.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

/// The cache folder by the environment. Empty and relative values count as unset, as XDG has it.
pub fn folder(env: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let var = |name| {
        env(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(path) = env("KEVENT_CACHE").filter(|value| !value.is_empty()) {
        return std::path::absolute(path).context("KEVENT_CACHE");
    }
    if let Some(path) = var("XDG_CACHE_HOME") {
        return Ok(path.join("kevent"));
    }
    if let Some(path) = var("HOME") {
        return Ok(path.join(".cache/kevent"));
    }
    bail!("no place for downloads and builds: set KEVENT_CACHE to a folder");
}

/// The one lock of the cache. The kernel drops it when the process ends.
pub struct Lock {
    _file: Flock<File>,
}

impl Lock {
    pub fn take(cache: &Path) -> Result<Lock> {
        let path = cache.join("lock");
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .with_context(|| format!("cannot open {}", path.display()))
        };
        let mut file = match Flock::lock(open()?, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut owner = String::new();
                let _ = file.read_to_string(&mut owner);
                eprintln!(
                    "waiting for another run in {} (process {})",
                    cache.display(),
                    owner.trim()
                );
                Flock::lock(file, FlockArg::LockExclusive)
                    .map_err(|(_, error)| error)
                    .with_context(|| format!("cannot lock {}", path.display()))?
            }
            Err((_, error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        };
        file.set_len(0)?;
        std::io::Seek::rewind(&mut *file)?;
        writeln!(file, "{}", std::process::id())?;
        remove_leftovers(cache)?;
        Ok(Lock { _file: file })
    }
}

/// The beginning of the names of folders that live no longer than a run.
pub const TEMPORARY: &str = "temporary-";

/// Removes the temporary folders of runs that were killed.
fn remove_leftovers(cache: &Path) -> Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Writes a file so that it is there whole or not at all.
pub fn write_atomic(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let folder = path.parent().context("a file has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .with_context(|| format!("cannot write below {}", folder.display()))?;
    file.write_all(content.as_ref())
        .and_then(|()| file.as_file().sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.persist(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// Whether the step that `path` stamps was finished with exactly `content`.
pub fn stamped(path: &Path, content: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text == content)
}

/// The SHA-256 of a file in hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut part = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut part);
        match count.with_context(|| format!("cannot read {}", path.display()))? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&part[..count]),
        }
    }
}

/// A name in the cache for what is made of `folder` alone.
pub fn name_for(name: &str, folder: &Path) -> Result<String> {
    let path = folder
        .canonicalize()
        .with_context(|| format!("no folder {}", folder.display()))?;
    let hash = sha256_of(path.as_os_str().as_encoded_bytes());
    Ok(format!("{name}-{}", &hash[..12]))
}

/// The SHA-256 of a text in hexadecimal.
pub fn sha256_of(text: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_for(vars: &[(&str, &str)]) -> Result<PathBuf> {
        folder(|name| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn order_of_variables() {
        let all = [
            ("KEVENT_CACHE", "/k"),
            ("XDG_CACHE_HOME", "/x"),
            ("HOME", "/h"),
        ];
        assert_eq!(folder_for(&all).unwrap(), Path::new("/k"));
        assert_eq!(folder_for(&all[1..]).unwrap(), Path::new("/x/kevent"));
        assert_eq!(
            folder_for(&all[2..]).unwrap(),
            Path::new("/h/.cache/kevent")
        );
        let relative = [
            ("KEVENT_CACHE", ""),
            ("XDG_CACHE_HOME", "x"),
            ("HOME", "/h"),
        ];
        assert_eq!(
            folder_for(&relative).unwrap(),
            Path::new("/h/.cache/kevent")
        );
        assert!(folder_for(&[]).is_err());
    }

    #[test]
    fn stamp_needs_the_same_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/stamp");
        assert!(!stamped(&path, "one"));
        write_atomic(&path, "one").unwrap();
        assert!(stamped(&path, "one"));
        assert!(!stamped(&path, "two"));
    }

    #[test]
    fn hash_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&path).unwrap(), abc);
        assert_eq!(sha256_of("abc"), abc);
    }

    #[test]
    fn leftovers_of_killed_runs_go() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("temporary-x/sub")).unwrap();
        fs::create_dir(folder.path().join("linux")).unwrap();
        let _lock = Lock::take(folder.path()).unwrap();
        assert!(!folder.path().join("temporary-x").exists());
        assert!(folder.path().join("linux").exists());
    }

    #[test]
    fn lock_keeps_a_second_out() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        let file = File::open(folder.path().join("lock")).unwrap();
        let (file, error) = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap_err();
        assert_eq!(error, Errno::EWOULDBLOCK);
        drop(lock);
        assert!(Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok());
    }
}
