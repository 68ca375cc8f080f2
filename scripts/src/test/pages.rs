//! The manual pages, as mandoc reads them.

use anyhow::{Context as _, Result, ensure};
use glob::glob;

use crate::command::{command, stdout};
use crate::context::Context;
use crate::guest::results::Tally;
use crate::tools::in_path;

/// Whether mandoc finds nothing to warn of in a page; skipped where there is no mandoc.
pub fn lint(ctx: &Context) -> Result<Tally> {
    let mut tally = Tally::default();
    let pages = ctx.repo.join("Documentation/man/*");
    let pages = pages.to_str().context("the path of this repository")?;
    let mandoc = in_path("mandoc");
    if mandoc.is_none() {
        println!("SKIP: there is no mandoc");
    }
    for page in glob(pages)? {
        let Some(mandoc) = &mandoc else {
            tally.skipped += 1;
            continue;
        };
        let warnings = stdout(command(mandoc).args(["-Tlint", "-Wwarning"]).arg(page?))?;
        ensure!(warnings.is_empty(), "{warnings}");
        tally.passed += 1;
    }
    ensure!(tally.passed + tally.skipped > 0, "no page is there");
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;

    #[test]
    fn every_page_counts_once() {
        let ctx = Context::new(Arch::X86_64, None).unwrap();
        let tally = lint(&ctx).unwrap();
        assert_eq!(tally.passed + tally.skipped, 7);
        assert!(tally.passed == 0 || tally.skipped == 0);
    }
}
