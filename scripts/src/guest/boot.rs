//! The machines that the tests run in, and their command lines: QEMU's, or that of User-Mode Linux.

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;

use crate::arch::{Arch, Qemu};
use crate::command::command;
use crate::flavour::Flavour;

/// One way to boot.
pub struct Boot {
    pub name: &'static str,
    /// The head of its column.
    pub title: &'static str,
    pub cpus: u32,
    /// Guest time counts instructions, 1 ns each: two runs are alike.
    pub counted: bool,
    /// Whether the benchmark follows the tests.
    pub bench: bool,
    /// Whether the programs are those of 32 bits.
    pub compat: bool,
    /// Whether the guest looks for leaks at the end.
    pub leaks: bool,
    /// What the time limits are multiplied with.
    pub patience: u32,
    /// Of QEMU's guest, as its option `-m` has it.
    pub memory: &'static str,
}

pub const SMP: Boot = Boot {
    name: "smp",
    title: "2 CPUs",
    cpus: 2,
    counted: false,
    bench: false,
    compat: false,
    leaks: false,
    patience: 1,
    memory: "1G",
};

pub const COUNTED: Boot = Boot {
    name: "counted",
    title: "1 CPU, counted",
    cpus: 1,
    counted: true,
    bench: true,
    ..SMP
};

const COMPAT: Boot = Boot {
    name: "32bit",
    title: "2 CPUs, 32-bit programs",
    compat: true,
    ..SMP
};

const UM: Boot = Boot {
    name: "um",
    title: "User-Mode Linux",
    cpus: 1,
    ..SMP
};

const DEBUG: Boot = Boot {
    name: "debug",
    title: "2 CPUs, debug kernel",
    leaks: true,
    patience: 10,
    memory: "2G",
    ..SMP
};

const RT: Boot = Boot {
    name: "rt",
    title: "2 CPUs, PREEMPT_RT",
    patience: 5,
    ..SMP
};

const KCSAN: Boot = Boot {
    name: "kcsan",
    title: "2 CPUs, KCSAN",
    patience: 10,
    ..SMP
};

/// Looking for leaks would take half of the fuzzer's time.
const FUZZ: Boot = Boot {
    name: "fuzz",
    title: "2 CPUs, fuzzing",
    leaks: false,
    ..DEBUG
};

/// When a slow kernel is said to hang: after the seconds that detectors may be given at most, as the
/// machine has more to do.
const LOCKUPS: &str = " watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120";

/// Every boot of a run. Real races need two processors at once; counting needs one.
pub fn boots(arch: Arch, flavour: Flavour) -> &'static [Boot] {
    match (flavour, arch) {
        (Flavour::Debug, _) => &[DEBUG],
        (Flavour::Rt, _) => &[RT],
        (Flavour::Kcsan, _) => &[KCSAN],
        (Flavour::Fuzz, _) => &[FUZZ],
        (Flavour::Ordinary, Arch::X86_64) => &[SMP, COMPAT, COUNTED],
        (Flavour::Ordinary, Arch::Arm64) => &[SMP, COUNTED],
        (Flavour::Ordinary, Arch::Um) => &[UM],
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Accel {
    Tcg,
    Kvm,
}

/// What the guest's init does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Runs the tests; one program may take so many seconds of guest time.
    Tests {
        limit: u64,
        /// What their own limits are multiplied with.
        patience: u32,
    },
    Exec,
    Shell,
}

impl Mode {
    /// For the kernel command line, which init reads.
    fn options(self, boot: &Boot) -> String {
        match self {
            Mode::Tests { limit, patience } => {
                let (bench, leaks) = (u32::from(boot.bench), u32::from(boot.leaks));
                format!(
                    "kevent.mode=tests kevent.limit={limit} kevent.patience={patience} \
                     kevent.bench={bench} kevent.leaks={leaks}"
                )
            }
            Mode::Exec => "kevent.mode=exec".to_owned(),
            Mode::Shell => "kevent.mode=shell".to_owned(),
        }
    }
}

/// A machine that can be started, and how it gets a port `kevent.<name>` that is its file
/// descriptor `fd`.
pub struct Guest {
    pub command: Command,
    pub port: fn(&mut Command, index: usize, name: &str, fd: i32),
    /// What it writes to stderr is its console too.
    pub stderr_is_console: bool,
}

impl Guest {
    /// QEMU with everything but its ports.
    pub fn qemu(command: Command) -> Guest {
        Guest {
            command,
            port,
            stderr_is_console: false,
        }
    }

    /// User-Mode Linux with everything but its ports. A port is a serial line, of which the
    /// command line tells init.
    pub fn um(boot: &Boot, mode: Mode, kernel: &Path, initramfs: &Path) -> Guest {
        let mut um = command(kernel);
        um.arg("mem=1G");
        um.arg(format!("initrd={}", initramfs.display()));
        um.arg(match mode {
            Mode::Shell => "con0=fd:0,fd:1",
            _ => "con0=null,fd:1",
        });
        um.args(["con=null", "ssl=null", "console=tty0"]);
        um.args(["loglevel=7", "kevent.end=off"]);
        um.arg(format!("kevent.cpus={}", boot.cpus));
        um.args(mode.options(boot).split(' '));
        Guest {
            command: um,
            port: |um, index, name, fd| {
                um.arg(format!("ssl{index}=null,fd:{fd}"));
                um.arg(format!("kevent.{name}=ttyS{index}"));
            },
            stderr_is_console: true,
        }
    }
}

/// QEMU with everything but its ports.
pub fn qemu(
    program: &Path,
    machine: &Qemu,
    boot: &Boot,
    accel: Accel,
    mode: Mode,
    kernel: &Path,
    initramfs: &Path,
) -> Command {
    let Qemu {
        cpu,
        counted_cpu,
        machine,
        console,
        unhurried,
        ..
    } = machine;
    let mut qemu = command(program);
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
    qemu.args(["-display", "none", "-monitor", "none", "-m", boot.memory]);
    qemu.args(["-machine", machine]);
    match (accel, boot.counted) {
        (_, true) => {
            qemu.args([
                "-accel",
                "tcg",
                "-icount",
                "shift=0,sleep=off",
                "-cpu",
                counted_cpu,
            ]);
            // Two runs have the same secrets, the same date, and a port that answers at the same
            // instruction, not when a thread of the host comes to it.
            qemu.args(["-seed", "1"]);
            qemu.args(["-rtc", "base=2026-01-01T00:00:00,clock=vm"]);
            qemu.args(["-global", "virtio-serial-pci.ioeventfd=off"]);
        }
        (Accel::Tcg, false) => {
            qemu.args(["-accel", "tcg,thread=multi", "-cpu", cpu]);
        }
        (Accel::Kvm, false) => {
            qemu.args(["-accel", "kvm", "-cpu", "host"]);
        }
    }
    qemu.args(["-smp", &boot.cpus.to_string()]);
    qemu.args(["-chardev", "stdio,id=console,signal=off"]);
    qemu.args(["-serial", "chardev:console", "-device", "virtio-serial-pci"]);
    qemu.arg("-kernel").arg(kernel);
    qemu.arg("-initrd").arg(initramfs);
    qemu.arg("-append").arg(
        format!(
            "console={console} panic=-1 loglevel=7 maxcpus=1 kevent.cpus={} kevent.icount={} {}",
            boot.cpus,
            u32::from(boot.counted),
            mode.options(boot)
        ) + if boot.patience > 1 { LOCKUPS } else { "" }
            + if boot.counted { "" } else { unhurried },
    );
    qemu
}

/// Gives the guest a virtio port.
fn port(qemu: &mut Command, _index: usize, name: &str, fd: i32) {
    qemu.args(["-chardev", &format!("socket,id={name},fd={fd}")]);
    qemu.args([
        "-device",
        &format!("virtserialport,chardev={name},name=kevent.{name}"),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TESTS: Mode = Mode::Tests {
        limit: 9,
        patience: 3,
    };

    const BOOTS: &[Boot] = &[SMP, COUNTED, COMPAT];

    fn line(boot: &Boot, accel: Accel, mode: Mode) -> String {
        let file = Path::new("f");
        let machine = Arch::X86_64.qemu().unwrap();
        crate::command::show(&qemu(file, machine, boot, accel, mode, file, file))
    }

    #[test]
    fn only_the_user_asks_for_kvm() {
        for boot in BOOTS {
            assert!(line(boot, Accel::Tcg, TESTS).contains("-accel tcg"));
        }
        assert!(line(&BOOTS[0], Accel::Kvm, TESTS).contains("-accel kvm"));
    }

    #[test]
    fn counting_needs_one_processor_and_tcg() {
        for boot in BOOTS.iter().filter(|boot| boot.counted) {
            let line = line(boot, Accel::Kvm, TESTS);
            assert!(
                line.contains("-accel tcg -icount shift=0,sleep=off"),
                "{line}"
            );
            assert!(line.contains("-smp 1"), "{line}");
            assert!(line.contains("kevent.icount=1"), "{line}");
        }
    }

    #[test]
    fn what_is_counted_takes_nothing_from_the_host() {
        let [smp, counted] = [&SMP, &COUNTED].map(|boot| line(boot, Accel::Tcg, TESTS));
        for option in ["-seed 1", "-rtc base=2026-", "ioeventfd=off"] {
            assert!(counted.contains(option), "{counted}");
            assert!(!smp.contains(option), "{smp}");
        }
        assert!(smp.contains(" no_timer_check"), "{smp}");
        assert!(!counted.contains("no_timer_check"), "{counted}");
    }

    #[test]
    fn programs_of_32_bits_run_where_there_is_a_compiler_for_them() {
        for arch in [Arch::X86_64, Arch::Arm64, Arch::Um] {
            let boots = boots(arch, Flavour::Ordinary);
            let compat = boots.iter().any(|boot| boot.compat);
            assert_eq!(compat, arch.compat().is_some());
        }
    }

    #[test]
    fn user_mode_linux_has_a_line_for_each_port() {
        let file = Path::new("f");
        let mut um = Guest::um(&UM, TESTS, file, file);
        (um.port)(&mut um.command, 1, "results", 10);
        let line = crate::command::show(&um.command);
        assert!(
            line.ends_with("ssl1=null,fd:10 kevent.results=ttyS1"),
            "{line}"
        );
        assert!(
            line.contains(" kevent.mode=tests kevent.limit=9 kevent.patience=3 "),
            "{line}"
        );
    }

    #[test]
    fn every_processor_is_started_by_init() {
        for boot in BOOTS {
            let line = line(boot, Accel::Tcg, TESTS);
            let cpus = format!("maxcpus=1 kevent.cpus={} ", boot.cpus);
            assert!(line.contains(&cpus), "{line}");
        }
    }

    #[test]
    fn only_the_debug_kernel_looks_for_leaks() {
        for flavour in [Flavour::Ordinary, Flavour::Debug, Flavour::Rt] {
            for boot in boots(Arch::X86_64, flavour) {
                let leaks = u32::from(flavour == Flavour::Debug);
                let line = line(boot, Accel::Tcg, TESTS);
                assert!(line.contains(&format!("kevent.leaks={leaks}")), "{line}");
            }
        }
    }

    #[test]
    fn slow_kernels_race_and_have_more_time() {
        for flavour in [Flavour::Debug, Flavour::Rt] {
            for boot in boots(Arch::Arm64, flavour) {
                assert!(boot.cpus > 1 && boot.patience > 1 && !boot.counted);
                assert!(line(boot, Accel::Tcg, TESTS).contains(LOCKUPS));
            }
        }
    }

    #[test]
    fn one_boot_measures_and_one_races() {
        for arch in [Arch::X86_64, Arch::Arm64] {
            let boots = boots(arch, Flavour::Ordinary);
            assert!(boots.iter().any(|boot| boot.bench && boot.counted));
            assert!(boots.iter().any(|boot| boot.cpus > 1));
        }
        assert!(line(&BOOTS[1], Accel::Tcg, TESTS).contains("kevent.bench=1"));
        assert!(
            line(&BOOTS[0], Accel::Tcg, TESTS)
                .contains("kevent.limit=9 kevent.patience=3 kevent.bench=0")
        );
        assert!(
            !boots(Arch::Um, Flavour::Ordinary)
                .iter()
                .any(|boot| boot.bench)
        );
        assert!(!line(&BOOTS[1], Accel::Tcg, Mode::Exec).contains("bench"));
    }
}
