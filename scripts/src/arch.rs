//! Every fact that differs between architectures.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "arm64")]
    Arm64,
    /// User-Mode Linux: the kernel is a program of this machine
    #[value(name = "um")]
    Um,
}

/// QEMU for an architecture.
pub struct Qemu {
    /// The processor.
    pub cpu: &'static str,
    /// The processor of a boot that counts: without an instruction that gives random numbers, so that
    /// two boots are alike.
    pub counted_cpu: &'static str,
    pub program: &'static str,
    /// Its Debian package.
    pub package: &'static str,
    pub machine: &'static str,
    /// The guest's first serial port.
    pub console: &'static str,
    /// What Linux must not look for at boot if its time is the host's, which may keep the emulator from
    /// running just then.
    pub unhurried: &'static str,
}

/// A C compiler for programs of the guest.
pub struct GuestCompiler {
    pub program: &'static str,
    /// Its Debian package, and that of the static libc for its programs.
    pub packages: [&'static str; 2],
    pub flags: &'static [&'static str],
}

struct Facts {
    name: &'static str,
    programs: &'static [&'static str],
    kernel: &'static str,
    image_target: &'static str,
    image: &'static str,
    syscalls_target: &'static str,
    syscalls_table: &'static str,
    qemu: Option<Qemu>,
    compiler: GuestCompiler,
    compat: Option<GuestCompiler>,
}

const HOST_GCC: GuestCompiler = GuestCompiler {
    program: "gcc",
    packages: ["gcc", "libc6-dev"],
    flags: &[],
};

const X86_64: Facts = Facts {
    name: "x86_64",
    programs: &["x86_64-linux-gnu", "i686-linux-gnu"],
    kernel: "x86",
    image_target: "bzImage",
    image: "arch/x86/boot/bzImage",
    syscalls_target: "arch/x86/entry/",
    syscalls_table: "arch/x86/entry/syscalls/syscall_64.tbl",
    qemu: Some(Qemu {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        // Linux 7.3 forgets for an instant at boot that it has five levels of page tables; if an
        // interrupt comes then, KASAN takes all addresses for wild.
        cpu: "max,la57=off",
        counted_cpu: "max,-rdrand,-rdseed",
        machine: "q35",
        console: "ttyS0",
        // The interrupts of a timer.
        unhurried: " no_timer_check",
    }),
    compiler: HOST_GCC,
    compat: Some(GuestCompiler {
        program: "i686-linux-gnu-gcc",
        packages: ["gcc-i686-linux-gnu", "libc6-dev-i386-cross"],
        // Time and file offsets as in every new program.
        flags: &["-D_TIME_BITS=64", "-D_FILE_OFFSET_BITS=64"],
    }),
};

const ARM64: Facts = Facts {
    name: "arm64",
    programs: &["aarch64-linux-gnu", "arm-linux-gnueabihf"],
    kernel: "arm64",
    image_target: "Image",
    image: "arch/arm64/boot/Image",
    syscalls_target: "arch/arm64/kernel/",
    syscalls_table: "scripts/syscall.tbl",
    qemu: Some(Qemu {
        program: "qemu-system-aarch64",
        package: "qemu-system-arm",
        cpu: "max",
        counted_cpu: "max",
        machine: "virt",
        console: "ttyAMA0",
        unhurried: "",
    }),
    compiler: GuestCompiler {
        program: "aarch64-linux-gnu-gcc",
        packages: ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        flags: &[],
    },
    compat: None,
};

const UM: Facts = Facts {
    name: "um",
    programs: &["x86_64-linux-gnu"],
    kernel: "um",
    image_target: "linux",
    image: "linux",
    syscalls_target: "arch/x86/um/",
    syscalls_table: "arch/x86/entry/syscalls/syscall_64.tbl",
    qemu: None,
    compiler: HOST_GCC,
    compat: None,
};

impl Arch {
    const fn facts(self) -> &'static Facts {
        match self {
            Arch::X86_64 => &X86_64,
            Arch::Arm64 => &ARM64,
            Arch::Um => &UM,
        }
    }

    /// The name on our command line, of the fragment `qemu/<name>.config` and of build folders.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The targets of the programs that it runs: its own first.
    pub fn programs(self) -> &'static [&'static str] {
        self.facts().programs
    }

    /// `ARCH=` of the kernel's makefiles.
    pub fn kernel(self) -> &'static str {
        self.facts().kernel
    }

    /// The make target that gives the image to boot.
    pub fn image_target(self) -> &'static str {
        self.facts().image_target
    }

    /// The image to boot, relative to the build folder.
    pub fn image(self) -> &'static str {
        self.facts().image
    }

    /// The make target that compiles the table of system calls.
    pub fn syscalls_target(self) -> &'static str {
        self.facts().syscalls_target
    }

    /// The table that gives the numbers of system calls.
    pub fn syscalls_table(self) -> &'static str {
        self.facts().syscalls_table
    }

    /// What runs the kernel; nothing if it runs by itself.
    pub fn qemu(self) -> Option<&'static Qemu> {
        self.facts().qemu.as_ref()
    }

    /// Compiles the programs of the guest.
    pub fn compiler(self) -> &'static GuestCompiler {
        &self.facts().compiler
    }

    /// Compiles its 32-bit programs, where they are tested.
    pub fn compat(self) -> Option<&'static GuestCompiler> {
        self.facts().compat.as_ref()
    }
}
