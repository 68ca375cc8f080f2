// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Runs each program that it is given, and fails if one of them did.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    // A million timers are more than a small guest allows.
    let _ = std::fs::write("/proc/sys/user/max_kevent_watches", "2000000");
    let mut failed = 0;
    for program in std::env::args_os().skip(1).map(PathBuf::from) {
        println!("     Running {}", program.display());
        // The tests shall not pass for lack of what they test.
        let status = Command::new(&program).env("KEVENT_REQUIRED", "1").status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => println!("{}: {status}", program.display()),
            Err(ref error) => println!("{}: {error}", program.display()),
        }
        failed += u8::from(!status.is_ok_and(|status| status.success()));
    }
    failed.into()
}
