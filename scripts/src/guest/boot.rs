//! The virtual machines that the tests run in, and their QEMU command lines.

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;

use crate::arch::Arch;
use crate::command::command;

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
}

/// Every boot of a run. Real races need two processors at once; counting needs one.
pub const BOOTS: [Boot; 2] = [
    Boot {
        name: "smp",
        title: "2 CPUs",
        cpus: 2,
        counted: false,
        bench: false,
    },
    Boot {
        name: "counted",
        title: "1 CPU, counted",
        cpus: 1,
        counted: true,
        bench: true,
    },
];

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
    },
    Exec,
    Shell,
}

impl Mode {
    /// For the kernel command line, which init reads.
    fn options(self, bench: bool) -> String {
        match self {
            Mode::Tests { limit } => {
                let bench = u32::from(bench);
                format!("kevent.mode=tests kevent.limit={limit} kevent.bench={bench}")
            }
            Mode::Exec => "kevent.mode=exec".to_owned(),
            Mode::Shell => "kevent.mode=shell".to_owned(),
        }
    }
}

/// The machine and its console for each architecture.
fn machine(arch: Arch) -> (&'static str, &'static str) {
    match arch {
        Arch::X86_64 => ("q35", "ttyS0"),
    }
}

/// QEMU with everything but its ports.
pub fn qemu(
    program: &Path,
    arch: Arch,
    boot: &Boot,
    accel: Accel,
    mode: Mode,
    kernel: &Path,
    initramfs: &Path,
) -> Command {
    let (machine, console) = machine(arch);
    let mut qemu = command(program);
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
    qemu.args(["-display", "none", "-monitor", "none", "-m", "1G"]);
    qemu.args(["-machine", machine]);
    match (accel, boot.counted) {
        (_, true) => {
            qemu.args([
                "-accel",
                "tcg",
                "-icount",
                "shift=0,sleep=off",
                "-cpu",
                "max",
            ]);
        }
        (Accel::Tcg, false) => {
            qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max"]);
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
    qemu.arg("-append").arg(format!(
        "console={console} panic=-1 loglevel=7 maxcpus=1 kevent.cpus={} kevent.icount={} {}",
        boot.cpus,
        u32::from(boot.counted),
        mode.options(boot.bench)
    ));
    qemu
}

/// Gives the guest a virtio port `kevent.<name>` that is file descriptor `fd` of QEMU.
pub fn port(qemu: &mut Command, name: &str, fd: i32) {
    qemu.args(["-chardev", &format!("socket,id={name},fd={fd}")]);
    qemu.args([
        "-device",
        &format!("virtserialport,chardev={name},name=kevent.{name}"),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TESTS: Mode = Mode::Tests { limit: 9 };

    fn line(boot: &Boot, accel: Accel, mode: Mode) -> String {
        let file = Path::new("f");
        crate::command::show(&qemu(file, Arch::X86_64, boot, accel, mode, file, file))
    }

    #[test]
    fn only_the_user_asks_for_kvm() {
        for boot in &BOOTS {
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
    fn every_processor_is_started_by_init() {
        for boot in &BOOTS {
            let line = line(boot, Accel::Tcg, TESTS);
            let cpus = format!("maxcpus=1 kevent.cpus={} ", boot.cpus);
            assert!(line.contains(&cpus), "{line}");
        }
    }

    #[test]
    fn one_boot_measures_and_one_races() {
        assert!(BOOTS.iter().any(|boot| boot.bench && boot.counted));
        assert!(BOOTS.iter().any(|boot| boot.cpus > 1));
        assert!(line(&BOOTS[1], Accel::Tcg, TESTS).contains("kevent.bench=1"));
        assert!(line(&BOOTS[0], Accel::Tcg, TESTS).contains("kevent.limit=9 kevent.bench=0"));
        assert!(!line(&BOOTS[1], Accel::Tcg, Mode::Exec).contains("bench"));
    }
}
