//! The places in the kernel's code that KCOV tells of, and the lines that they belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use addr2line::Loader;
use anyhow::{Context as _, Result, anyhow};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::lines::Lines;
use super::references;

/// What instrumented code calls.
const TRACE: &str = "__sanitizer_cov_trace_pc";
/// What the checks of the debug kernel call when they fail, in parts of their names: of bounds,
/// overflows, the requirements of `unsafe` functions.
const CHECKS: [&str; 4] = [
    "4core9panicking",
    "4core6option13",
    "4core6result13",
    "__ubsan_handle",
];
/// A call instruction of x86_64.
const CALL: u8 = 0xe8;
pub const CALL_LEN: u64 = 5;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub file: String,
    pub number: u32,
}

/// The places in code of the series: where the call is, and the line that it stands for.
#[derive(Debug, Default)]
pub struct Points {
    at: BTreeMap<u64, Line>,
    /// In functions that nobody runs, as each caller has a copy of its own: those are none.
    unused: BTreeSet<u64>,
    /// The functions that have some, each from its first address to behind its last.
    functions: Vec<(u64, u64)>,
}

impl Points {
    /// Finds them in a kernel with debug information.
    pub fn read(vmlinux: &Path, lines: &Lines) -> Result<Points> {
        let bytes = fs::read(vmlinux);
        let bytes = bytes.with_context(|| format!("cannot read {}", vmlinux.display()))?;
        let file = object::File::parse(&*bytes)?;
        let trace = file.symbols().find(|symbol| symbol.name() == Ok(TRACE));
        let trace = trace.context("the kernel has no KCOV")?.address();
        let checks: BTreeSet<u64> = file
            .symbols()
            .filter(|symbol| is_check(symbol.name().unwrap_or_default()))
            .map(|symbol| symbol.address())
            .collect();
        let text = file
            .section_by_name(".text")
            .context("the kernel has no code")?;
        let (code, begin) = (text.data()?, text.address());
        let calls = calls(code, begin, |to| {
            (to == trace || checks.contains(&to)).then_some(to == trace)
        });
        let calls = places(calls, |at| jump(code.get((at - begin) as usize..)?, at));

        let loader = Loader::new(vmlinux).map_err(|error| anyhow!("{error}"))?;
        let mut at = BTreeMap::new();
        for call in calls {
            if let Some(line) = line(&loader, call, lines)? {
                at.insert(call, line);
            }
        }
        // What is unused is watched, too: nothing of it must ever run.
        let mut functions = BTreeSet::new();
        for symbol in file.symbols().filter(|symbol| symbol.size() != 0) {
            let (begin, end) = (symbol.address(), symbol.address() + symbol.size());
            if at.range(begin..end).next().is_some() {
                functions.insert((begin, end));
            }
        }
        let unused_functions = references::unused(&file)?;
        let is_unused = |at: u64| {
            let before = unused_functions.range(..=at).next_back();
            before.is_some_and(|(_, end)| at < *end)
        };
        let unused: BTreeSet<u64> = at.keys().copied().filter(|at| is_unused(*at)).collect();
        at.retain(|call, _| !unused.contains(call));
        Ok(Points {
            at,
            unused,
            functions: merge(functions),
        })
    }

    pub fn len(&self) -> usize {
        self.at.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &Line)> {
        self.at.iter().map(|(address, line)| (*address, line))
    }

    pub fn lines(&self) -> BTreeSet<&Line> {
        self.at.values().collect()
    }

    /// The lines with a place that is among these.
    pub fn lines_at(&self, addresses: &BTreeSet<u64>) -> BTreeSet<&Line> {
        let at = self.at.iter().filter(|(at, _)| addresses.contains(at));
        at.map(|(_, line)| line).collect()
    }

    /// Those that are left out, as nobody runs them.
    pub fn unused(&self) -> &BTreeSet<u64> {
        &self.unused
    }

    /// The code that has them, as QEMU's option -dfilter takes it.
    pub fn filter(&self) -> String {
        let ranges = self.functions.iter();
        let ranges: Vec<String> = ranges
            .map(|(from, to)| format!("{from:#x}..{:#x}", to - 1))
            .collect();
        ranges.join(",")
    }

    #[cfg(test)]
    pub fn new(at: impl IntoIterator<Item = (u64, Line)>) -> Points {
        Points {
            at: at.into_iter().collect(),
            ..Points::default()
        }
    }

    #[cfg(test)]
    pub fn without(self, unused: impl IntoIterator<Item = u64>) -> Points {
        Points {
            unused: unused.into_iter().collect(),
            ..self
        }
    }
}

fn is_check(symbol: &str) -> bool {
    CHECKS.iter().any(|part| symbol.contains(part))
}

/// Of calls of KCOV (true) and of what ends a check that fails, in their order: those of KCOV that
/// are not of such an end. Each block of code has a call of KCOV, so what it calls comes next; an
/// end that several checks share has none, and those which fail jump there. `jump` tells where an
/// instruction jumps to.
fn places(calls: Vec<(u64, bool)>, jump: impl Fn(u64) -> Option<u64>) -> Vec<u64> {
    let calls: BTreeMap<u64, bool> = calls.into_iter().collect();
    let ends = |from: u64| {
        let next = calls.range(from..).next();
        next.is_some_and(|(_, is_trace)| !is_trace)
    };
    let is_end = |at: u64| ends(at + CALL_LEN) || jump(at + CALL_LEN).is_some_and(ends);
    calls
        .iter()
        .filter(|(at, is_trace)| **is_trace && !is_end(**at))
        .map(|(at, _)| *at)
        .collect()
}

/// Where the instruction jumps to that stands at `at`, if it only does that.
fn jump(code: &[u8], at: u64) -> Option<u64> {
    match *code {
        [0xeb, by, ..] => Some((at + 2).wrapping_add_signed((by as i8).into())),
        [0xe9, a, b, c, d, ..] => {
            let by = i32::from_le_bytes([a, b, c, d]);
            Some((at + 5).wrapping_add_signed(by.into()))
        }
        _ => None,
    }
}

/// Where `text`, which begins at `address`, calls what `known` has something to say of.
fn calls<T>(text: &[u8], address: u64, known: impl Fn(u64) -> Option<T>) -> Vec<(u64, T)> {
    let mut found = Vec::new();
    for (offset, code) in text.windows(CALL_LEN as usize).enumerate() {
        let &[CALL, a, b, c, d] = code else {
            continue;
        };
        let at = address + offset as u64;
        let to = at + CALL_LEN;
        if let Some(what) = known(to.wrapping_add_signed(i32::from_le_bytes([a, b, c, d]).into())) {
            found.push((at, what));
        }
    }
    found
}

/// The innermost line of the series that the code at an address is from.
fn line(loader: &Loader, address: u64, lines: &Lines) -> Result<Option<Line>> {
    let mut frames = loader
        .find_frames(address)
        .map_err(|error| anyhow!("{error}"))?;
    while let Some(frame) = frames.next()? {
        let Some(location) = frame.location else {
            continue;
        };
        let (Some(path), Some(number)) = (location.file, location.line) else {
            continue;
        };
        let file = lines
            .iter()
            .find(|(file, numbers)| is(path, file) && numbers.contains(&number));
        if let Some((file, _)) = file {
            return Ok(Some(Line {
                file: file.clone(),
                number,
            }));
        }
    }
    Ok(None)
}

/// Whether a path of the debug information is that file of the tree.
fn is(path: &str, file: &str) -> bool {
    path.strip_suffix(file)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// Ranges that lie close to each other are one.
fn merge(ranges: BTreeSet<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (begin, end) in ranges {
        match merged.last_mut() {
            Some(last) if begin <= last.1 + 256 => last.1 = last.1.max(end),
            _ => merged.push((begin, end)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_where_they_go() {
        // call +11; nop; call -6; call elsewhere
        let text = [0xe8, 11, 0, 0, 0, 0x90, 0xe8, 5, 0, 0, 0, 0xe8, 1, 0, 0, 0];
        let known = |to| (to == 0x1010).then_some(());
        assert_eq!(calls(&text, 0x1000, known), [(0x1000, ()), (0x1006, ())]);
    }

    #[test]
    fn the_end_of_a_check_is_no_place() {
        let calls = vec![(10, true), (20, true), (30, false), (40, true)];
        assert_eq!(places(calls.clone(), |_| None), [10, 40]);
        // What comes after the first jumps to behind the call of the second.
        let jump = |at| (at == 15).then_some(25);
        assert_eq!(places(calls, jump), [40]);
        assert_eq!(super::jump(&[0xeb, 0xfe, 0], 0x1000), Some(0x1000));
        assert_eq!(super::jump(&[0xe9, 1, 0, 0, 0], 0x1000), Some(0x1006));
        assert_eq!(super::jump(&[0xc3], 0x1000), None);
        assert!(is_check("_RNvNtCs2DxGA1hvVcO_4core9panicking5panic"));
        assert!(is_check("__ubsan_handle_shift_out_of_bounds"));
        assert!(!is_check("kevent_copy_in"));
    }

    #[test]
    fn paths_of_the_compiler_are_files_of_the_tree() {
        assert!(is(
            "/cache/linux/rust/kernel/kevent/ring.rs",
            "rust/kernel/kevent/ring.rs"
        ));
        assert!(is("../fs/kevent.c", "fs/kevent.c") && is("fs/kevent.c", "fs/kevent.c"));
        assert!(!is("vfs/kevent.c", "fs/kevent.c") && !is("other/ring.rs", "kevent/ring.rs"));
    }

    #[test]
    fn neighbours_are_one_range() {
        let ranges = [(0x1000, 0x1100), (0x1110, 0x1200), (0x9000, 0x9010)].into();
        let functions = merge(ranges);
        assert_eq!(functions, [(0x1000, 0x1200), (0x9000, 0x9010)]);
        let points = Points {
            functions,
            ..Points::default()
        };
        assert_eq!(points.filter(), "0x1000..0x11ff,0x9000..0x900f");
    }
}
