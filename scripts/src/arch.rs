//! Every fact that differs between architectures.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    #[value(name = "x86_64")]
    X86_64,
}

impl Arch {
    /// The name on our command line, of the fragment `qemu/<name>.config` and of build folders.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
        }
    }

    /// `ARCH=` of the kernel's makefiles and the folder below `arch/`.
    pub fn kernel(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86",
        }
    }

    /// The make target that gives the image to boot.
    pub fn image_target(self) -> &'static str {
        match self {
            Arch::X86_64 => "bzImage",
        }
    }

    /// The make target that compiles the table of system calls.
    pub fn syscalls_target(self) -> &'static str {
        match self {
            Arch::X86_64 => "arch/x86/entry/",
        }
    }

    /// The image to boot, relative to the build folder.
    pub fn image(self) -> &'static str {
        match self {
            Arch::X86_64 => "arch/x86/boot/bzImage",
        }
    }

    /// The QEMU program.
    pub fn qemu(self) -> &'static str {
        match self {
            Arch::X86_64 => "qemu-system-x86_64",
        }
    }

    /// The Debian package of [`Arch::qemu`].
    pub fn qemu_package(self) -> &'static str {
        match self {
            Arch::X86_64 => "qemu-system-x86",
        }
    }
}
