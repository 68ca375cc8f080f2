// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::ffi::c_int;
use std::io;

use crate::call;

/// A set of signals, to be blocked during a [`Wait`](crate::Wait).
///
/// ```
/// use kevent::{Signals, Wait};
///
/// const SIGTERM: i32 = 15;
/// let blocked = Signals::blocked()?;
/// // A thread that blocks SIGTERM lets it in while it waits, and only then.
/// let wait = Wait::FOREVER.with_blocked(blocked.without(SIGTERM));
/// # Ok::<(), std::io::Error>(())
/// ```
// As the kernel has it: a bit for each, from signal 1 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Signals(pub(crate) u64);

impl Signals {
    /// None.
    pub const NONE: Signals = Signals(0);

    /// All. SIGKILL and SIGSTOP cannot be blocked all the same.
    pub const ALL: Signals = Signals(u64::MAX);

    /// Those that this thread blocks now.
    ///
    /// # Errors
    ///
    /// None are known.
    pub fn blocked() -> io::Result<Signals> {
        call::blocked_signals().map(Signals)
    }

    /// These and one more. A number that no signal has changes nothing.
    pub const fn with(self, signal: c_int) -> Signals {
        Signals(self.0 | bit(signal))
    }

    /// These but one.
    pub const fn without(self, signal: c_int) -> Signals {
        Signals(self.0 & !bit(signal))
    }

    /// Whether it is among them.
    pub const fn contains(self, signal: c_int) -> bool {
        self.0 & bit(signal) != 0
    }
}

const fn bit(signal: c_int) -> u64 {
    match signal {
        1..=64 => 1 << (signal - 1),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_count_from_one() {
        let some = Signals::NONE.with(1).with(64);
        assert_eq!(some.0, 1 << 63 | 1);
        assert!(some.contains(64) && !some.contains(2));
        assert_eq!(some.without(1).without(64), Signals::NONE);
    }

    #[test]
    fn what_is_no_signal_changes_nothing() {
        for signal in [c_int::MIN, -1, 0, 65, c_int::MAX] {
            assert_eq!(Signals::NONE.with(signal), Signals::NONE);
            assert_eq!(Signals::ALL.without(signal), Signals::ALL);
        }
    }
}
