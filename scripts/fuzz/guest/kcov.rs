//! Where in the kernel a thread was, as KCOV has it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

const KCOV: &str = "/sys/kernel/debug/kcov";
const INIT_TRACE: libc::c_ulong = 0x8008_6301;
const ENABLE: libc::c_ulong = 0x6364;
const DISABLE: libc::c_ulong = 0x6365;

/// Places that are remembered; of a longer way, its beginning.
const WORDS: usize = 1 << 13;

/// What one thread at a time writes, and who shares this memory reads: the parent of its process.
pub struct Area {
    file: Option<File>,
    words: *mut u64,
}

fn map(file: RawFd, more: libc::c_int) -> io::Result<*mut u64> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | more;
    // SAFETY: New memory that nobody has.
    let words = unsafe { libc::mmap(ptr::null_mut(), WORDS * 8, protection, flags, file, 0) };
    match words {
        libc::MAP_FAILED => Err(io::Error::last_os_error()),
        words => Ok(words.cast()),
    }
}

// SAFETY: The memory is there as long as the area is, and read when nobody writes.
unsafe impl Send for Area {}
// SAFETY: As above.
unsafe impl Sync for Area {}

impl Area {
    pub fn new() -> io::Result<Area> {
        let file = OpenOptions::new().read(true).write(true).open(KCOV)?;
        // SAFETY: The call takes a number.
        if unsafe { libc::ioctl(file.as_raw_fd(), INIT_TRACE, WORDS) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let words = map(file.as_raw_fd(), 0)?;
        // SAFETY: A child that wants it maps it: a fork would copy it for those that do not.
        unsafe { libc::madvise(words.cast(), WORDS * 8, libc::MADV_DONTFORK) };
        let file = Some(file);
        Ok(Area { file, words })
    }

    /// The same, in a process that was forked.
    pub fn here(&self) -> io::Result<Area> {
        let Some(file) = &self.file else {
            return Ok(Area {
                file: None,
                words: self.words,
            });
        };
        let file = file.try_clone()?;
        let words = map(file.as_raw_fd(), 0)?;
        Ok(Area {
            file: Some(file),
            words,
        })
    }

    /// Of a kernel that does not tell.
    pub fn blind() -> io::Result<Area> {
        let words = map(-1, libc::MAP_ANONYMOUS)?;
        Ok(Area { file: None, words })
    }

    fn count(&self) -> &AtomicU64 {
        // SAFETY: The first word is the number of those that follow.
        unsafe { AtomicU64::from_ptr(self.words) }
    }

    pub fn clear(&self) {
        self.count().store(0, Ordering::Relaxed);
    }

    /// From here on, of this thread.
    pub fn enable(&self) {
        self.tell(ENABLE);
    }

    pub fn disable(&self) {
        self.tell(DISABLE);
    }

    fn tell(&self, what: libc::c_ulong) {
        if let Some(file) = &self.file {
            // SAFETY: The kernel writes to the area only.
            unsafe { libc::ioctl(file.as_raw_fd(), what, 0) };
        }
    }

    /// The way, when nobody goes on with it.
    pub fn places(&self) -> &[u64] {
        let count = self.count().load(Ordering::Acquire) as usize;
        // SAFETY: So many words were written, and none is now.
        unsafe { std::slice::from_raw_parts(self.words.add(1), count.min(WORDS - 1)) }
    }
}
