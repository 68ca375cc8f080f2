// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::ffi::c_int;
use std::io;

use crate::call;

/// A set of signals, to be blocked by a thread, or during a [`Wait`](crate::Wait).
///
/// ```
/// use kevent::{Signals, Wait};
///
/// const SIGTERM: i32 = 15;
/// // Before any other thread starts: it takes over what is blocked here.
/// Signals::NONE.with(SIGTERM).block()?;
/// // A thread that blocks SIGTERM lets it in while it waits, and only then.
/// let wait = Wait::FOREVER.with_blocked(Signals::blocked()?.without(SIGTERM));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A signal for the whole process goes to any thread that does not block it. So all threads have to
/// block it, and those that should get it let it in. It needs a handler, or it does what it does by
/// default; to install one is left to the program. The handler notes the signal, and the thread
/// looks at the note after each wait, whatever the wait returned.
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
        call::block_signals(0).map(Signals)
    }

    /// Has this thread block these, beside those that it blocks already. Threads that it starts
    /// from then on block them, too.
    ///
    /// ```
    /// use kevent::Signals;
    ///
    /// const SIGTERM: i32 = 15;
    /// Signals::NONE.with(SIGTERM).block()?;
    /// let started = std::thread::spawn(Signals::blocked).join().unwrap()?;
    /// assert!(started.contains(SIGTERM));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None are known.
    pub fn block(self) -> io::Result<()> {
        // Two that the C library keeps for itself: it takes them out of every mask it sets.
        call::block_signals(self.without(32).without(33).0).map(drop)
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
    fn blocking_adds_to_what_is_blocked() {
        const USR1: c_int = 10;
        const USR2: c_int = 12;
        std::thread::spawn(|| {
            Signals::NONE.with(USR1).block().unwrap();
            Signals::NONE.with(USR2).block().unwrap();
            let blocked = Signals::blocked().unwrap();
            assert!(blocked.contains(USR1) && blocked.contains(USR2));
            Signals::ALL.block().unwrap();
            let blocked = Signals::blocked().unwrap();
            assert!(blocked.contains(15) && !blocked.contains(32) && !blocked.contains(9));
        })
        .join()
        .unwrap();
        assert!(!Signals::blocked().unwrap().contains(USR1));
    }

    #[test]
    fn what_is_no_signal_changes_nothing() {
        for signal in [c_int::MIN, -1, 0, 65, c_int::MAX] {
            assert_eq!(Signals::NONE.with(signal), Signals::NONE);
            assert_eq!(Signals::ALL.without(signal), Signals::ALL);
        }
    }
}
