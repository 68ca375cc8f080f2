// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the kernel has.

use std::io;
use std::sync::OnceLock;

use kevent_sys::KEVENT_ABI;

use crate::Kind;

/// What the kevent of this kernel can do.
///
/// ```
/// match kevent::features() {
///     Ok(features) => println!("kevent, sockets: {}", features.has(kevent::Kind::Socket)),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    answer: u32,
}

impl Features {
    /// The number of the binary interface.
    pub fn abi(self) -> u32 {
        self.answer & 0xffff
    }

    /// Whether sources of this kind are built in.
    pub fn has(self, kind: Kind) -> bool {
        self.answer & kevent_sys::query_source(kind.number()) != 0
    }
}

/// Asks the kernel what it has, without opening anything. It is asked once in the life of the process.
///
/// # Errors
///
/// [`Unsupported`](io::ErrorKind::Unsupported) when the kernel has no kevent, or one with another
/// interface than this crate was made for; the message says which.
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) when a seccomp filter keeps it away.
pub fn features() -> io::Result<Features> {
    static ANSWER: OnceLock<Result<u32, i32>> = OnceLock::new();
    let ask = || crate::call::query().map_err(|error| error.raw_os_error().unwrap_or(libc::ENOSYS));
    understood(*ANSWER.get_or_init(ask))
}

/// Whether the kernel has a kevent that this crate can use.
pub fn is_supported() -> bool {
    features().is_ok()
}

fn understood(answer: Result<u32, i32>) -> io::Result<Features> {
    let unsupported = |text: String| Err(io::Error::new(io::ErrorKind::Unsupported, text));
    match answer {
        Ok(answer) if answer & 0xffff == KEVENT_ABI => Ok(Features { answer }),
        Ok(answer) => unsupported(format!(
            "the kevent of this kernel has interface {}, and this program knows {KEVENT_ABI}",
            answer & 0xffff
        )),
        // A filter denies; whatever else an unknown call answers, kevent it is not.
        Err(errno @ (libc::EPERM | libc::EACCES)) => Err(io::Error::from_raw_os_error(errno)),
        Err(errno) => unsupported(format!(
            "this kernel has no kevent: it needs a Linux that is built with CONFIG_KEVENT ({})",
            io::Error::from_raw_os_error(errno)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_kevent_is_told_clearly() {
        let error = understood(Err(libc::ENOSYS)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("CONFIG_KEVENT"), "{error}");
    }

    #[test]
    fn another_interface_is_not_taken_for_ours() {
        let error = understood(Ok(2)).unwrap_err();
        assert!(error.to_string().contains("interface 2"), "{error}");
    }

    #[test]
    fn a_filter_is_no_lack() {
        let error = understood(Err(libc::EPERM)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn sources_are_told_apart() {
        let features = understood(Ok(1 | 1 << 18 | 1 << 25)).unwrap();
        assert_eq!(features.abi(), 1);
        assert!(features.has(Kind::Timer) && features.has(Kind::User));
        assert!(!features.has(Kind::Socket) && !features.has(Kind::Fd));
    }
}
