//! What is left of a run that the kernel ended: its console, and the programs that ran, in C.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use kevent_fuzz::program::Program;
use kevent_fuzz::reproducer;

use super::guest::{Fuzzer, Load};
use super::told::Told;

/// How often a program that may have done it is run alone.
const TIMES: usize = 1500;
/// How many of them, those that ran last first.
const TRIED: usize = 6;

/// Writes it all to `folder`, and finds out which of the programs does it alone.
pub fn write(fuzzer: &Fuzzer<'_>, folder: &Path, report: &str, told: &Told) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(folder.join("console"), told.console.join("\n") + "\n")?;
    if !told.history.is_empty() {
        println!("{}", told.summary());
    }
    let running = told.running.values().map(|program| ("running", program));
    let before = told.recent.iter().map(|program| ("before", program));
    let all: Vec<(&str, &Program)> = running.chain(before).collect();
    for (number, (when, program)) in all.iter().enumerate() {
        let name = format!("{number}-{when}");
        fs::write(folder.join(format!("{name}.ron")), program.to_text())?;
        let about = format!("It ran ({when}) when the kernel reported: {report}");
        fs::write(
            folder.join(format!("{name}.c")),
            reproducer::c(program, &about),
        )?;
    }
    for (number, (_, program)) in all.iter().enumerate().take(TRIED) {
        println!("alone, {TIMES} times: program {number}");
        let alone = fuzzer.follow(&Load {
            programs: std::slice::from_ref(program),
            seconds: 0,
            seed: 0,
            lanes: 2,
            times: TIMES,
        })?;
        if let Some(again) = alone.report {
            println!("again: {again}");
            let path = folder.join("reproducer.c");
            let about = format!("Alone, it makes the kernel report: {again}");
            fs::write(&path, reproducer::c(program, &about))?;
            fs::write(path.with_extension("ron"), program.to_text())?;
            println!("{}", path.display());
            match fuzzer.run_c(&path, TIMES)?.report {
                Some(report) => println!("in C: {report}"),
                None => println!("in C it does not, {TIMES} times"),
            }
            return Ok(());
        }
    }
    println!(
        "none of them does it alone; all are in {}",
        folder.display()
    );
    Ok(())
}
