//! Builds of the kernel after each patch, its Rust documentation, and whether it boots.

use std::path::Path;

use anyhow::Result;

use super::kept::MadeOf;
use super::states::State;
use super::{Check, Work};
use crate::build::state::{Builder, What};
use crate::cache::write_atomic;
use crate::context::Context;
use crate::flavour::Flavour;
use crate::guest::boot::Accel;
use crate::guest::selftests::{self, Kernel};
use crate::run;
use crate::tools::in_path;

struct OfKernel<'a> {
    ctx: &'a Context,
    builder: &'a Builder<'a>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Build { on: bool },
    Rustdoc,
    Boot { on: bool },
}

/// All checks of an architecture, in an order in which each has what it needs.
pub fn checks<'a>(ctx: &'a Context, builder: &'a Builder<'a>) -> Vec<Box<dyn Check + 'a>> {
    let kinds = [
        Kind::Build { on: false },
        Kind::Boot { on: false },
        Kind::Build { on: true },
        Kind::Rustdoc,
        Kind::Boot { on: true },
    ];
    let check = |kind| -> Box<dyn Check + 'a> { Box::new(OfKernel { ctx, builder, kind }) };
    kinds.into_iter().map(check).collect()
}

impl OfKernel<'_> {
    /// Whether CONFIG_KEVENT is on for a state; nothing where it has no such kernel.
    fn on(&self, state: &State) -> Option<bool> {
        let can = Builder::can_be_on(state);
        match self.kind {
            Kind::Build { on } | Kind::Boot { on } => (can || !on).then_some(on),
            Kind::Rustdoc => Some(can),
        }
    }
}

impl Check for OfKernel<'_> {
    fn name(&self) -> String {
        let what = match self.kind {
            Kind::Build { on: false } => "off",
            Kind::Build { on: true } => "on",
            Kind::Rustdoc => "rustdoc",
            Kind::Boot { on: false } => "boot off",
            Kind::Boot { on: true } => "boot on",
        };
        format!("{} {what}", self.ctx.arch.name())
    }

    fn lacks(&self, _: &Work) -> Option<String> {
        let tools = self.ctx.tools();
        let missing: Vec<&str> = tools.missing().map(|row| row.what).collect();
        if !missing.is_empty() {
            let (arch, missing) = (self.ctx.arch.name(), missing.join(", "));
            return Some(format!(
                "for {arch}: {missing} (cargo xtask setup --arch {arch})"
            ));
        }
        let sparse = in_path("sparse").is_none();
        sparse.then(|| "for builds: sparse (apt-get install sparse)".to_owned())
    }

    fn made_of(&self, _: &Work, state: &State) -> Result<Option<MadeOf>> {
        match self.on(state).filter(|_| state.counts) {
            Some(on) => self.builder.made_of(state, on).map(Some),
            None => Ok(None),
        }
    }

    fn look(&self, _: &Work, state: &State, log: &Path) -> Result<Vec<String>> {
        let on = self.on(state).unwrap_or(false);
        match self.kind {
            Kind::Build { .. } => self.builder.build(state, on, What::Objects, log),
            Kind::Rustdoc => self.builder.build(state, on, What::Rustdoc, log),
            Kind::Boot { .. } => {
                self.builder.build(state, on, What::Image, log)?;
                self.boot(on, log)
            }
        }
    }
}

impl OfKernel<'_> {
    fn boot(&self, on: bool, log: &Path) -> Result<Vec<String>> {
        let folder = self.builder.folder(on);
        let kernel = Kernel {
            tree: self.builder.worktree(),
            image: folder.join(self.ctx.arch.image()),
            config: folder.join(".config"),
            flavour: Flavour::Ordinary,
            accel: Accel::Tcg,
        };
        let archive = folder.join("boot.cpio");
        write_atomic(&archive, run::initramfs(self.ctx, &kernel, false)?.pack()?)?;
        let console = log.with_extension("console");
        let failed = selftests::boot_alone(self.ctx, &kernel, &archive, &console)?;
        let say = |result: crate::guest::results::TestResult| {
            format!(
                "{} {}: {}",
                result.suite,
                result.name,
                result.log.join("\n")
            )
        };
        Ok(failed.into_iter().map(say).collect())
    }
}
