//! Which functions of a kernel somebody may run: those that code which itself may run calls, jumps
//! to or takes the address of, and those whose address is in data.
//!
//! The compilers also emit a function of which every caller has a copy of its own. The kernel is
//! linked at the address that it has (`nokaslr`), so references are searched in its bytes, at any
//! offset. That also finds some that are none; a function without any has none.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::Result;
use object::{File, Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SymbolKind};

/// Sections that have an entry for whatever there is, but run none of it.
const TABLES: [&str; 8] = [
    ".orc_header",
    ".orc_unwind_ip",
    ".orc_unwind",
    ".orc_lookup",
    ".retpoline_sites",
    ".return_sites",
    ".call_sites",
    ".ibt_endbr_seal",
];
/// The names of all symbols, in data between the first and the last of these.
const NAMES: [&str; 2] = ["kallsyms_num_syms", "kallsyms_seqs_of_names"];
/// The part of a function that is rarely run is one of its own, and jumped into anywhere.
const PART: &str = ".cold";

/// Functions, by their first address; the address behind, and whether it is a part.
type Functions = BTreeMap<u64, (u64, bool)>;

/// What is at some addresses.
struct Bytes<'a> {
    at: u64,
    data: &'a [u8],
    is_code: bool,
}

/// The functions that nobody runs, each from its first address to behind its last.
pub fn unused(file: &File<'_>) -> Result<BTreeMap<u64, u64>> {
    let mut functions = Functions::new();
    for symbol in file.symbols() {
        if symbol.kind() == SymbolKind::Text && symbol.size() != 0 {
            let is_part = symbol.name().unwrap_or_default().contains(PART);
            let (begin, end) = (symbol.address(), symbol.address() + symbol.size());
            let function = functions.entry(begin).or_insert((end, is_part));
            *function = (function.0.max(end), function.1 || is_part);
        }
    }
    let mut all = Vec::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else {
            continue;
        };
        let is_table = TABLES.contains(&section.name()?);
        if sh_flags & u64::from(object::elf::SHF_ALLOC) != 0 && !is_table {
            all.push(Bytes {
                at: section.address(),
                data: section.data()?,
                is_code: sh_flags & u64::from(object::elf::SHF_EXECINSTR) != 0,
            });
        }
    }
    let names = NAMES.map(|name| file.symbols().find(|symbol| symbol.name() == Ok(name)));
    let names = match names {
        [Some(first), Some(last)] => (first.address(), last.address()),
        _ => (0, 0),
    };
    Ok(without_use(&functions, &all, names))
}

fn without_use(functions: &Functions, all: &[Bytes<'_>], names: (u64, u64)) -> BTreeMap<u64, u64> {
    // Most of what may be a reference leads nowhere.
    let begins: HashSet<u64> = functions.keys().copied().collect();
    let mut parts = functions.clone();
    parts.retain(|_, (_, is_part)| *is_part);
    let text = functions.first_key_value().map_or(0, |(begin, _)| *begin)
        ..functions.values().map(|(end, _)| *end).max().unwrap_or(0);
    let target = |to: u64| match text.contains(&to) {
        true if begins.contains(&to) => Some(to),
        true => within(&parts, to),
        false => None,
    };
    // What is referred to, by the function that does; by whoever runs anyway.
    let mut by: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let mut run: BTreeSet<u64> = BTreeSet::new();
    for bytes in all {
        references(bytes, |at, to| {
            let Some(to) = target(to) else { return };
            match within(functions, at).filter(|_| bytes.is_code) {
                Some(from) => {
                    by.entry(from).or_default().insert(to);
                }
                None if (names.0..names.1).contains(&at) => {}
                None => {
                    run.insert(to);
                }
            }
        });
    }
    let mut next: Vec<u64> = run.iter().copied().collect();
    while let Some(function) = next.pop() {
        for to in by.get(&function).into_iter().flatten() {
            if run.insert(*to) {
                next.push(*to);
            }
        }
    }
    let unused = functions.iter().filter(|(begin, _)| !run.contains(begin));
    unused.map(|(begin, (end, _))| (*begin, *end)).collect()
}

/// Where the function begins that has this address.
fn within(functions: &Functions, at: u64) -> Option<u64> {
    let before = functions.range(..=at).next_back();
    let of = before.filter(|(_, (end, _))| at < *end);
    of.map(|(begin, _)| *begin)
}

/// Calls `each` with where bytes may refer to, and from where: to addresses, of which the upper
/// half is all ones, and by distances, in data from where they are, in code from behind them.
fn references(bytes: &Bytes<'_>, mut each: impl FnMut(u64, u64)) {
    for offset in 0..bytes.data.len() {
        let (at, here) = (bytes.at + offset as u64, &bytes.data[offset..]);
        let from = |behind: u64, by: i64| (at + behind).wrapping_add_signed(by);
        if let Some(number) = number(here) {
            each(at, number as u64);
            if !bytes.is_code {
                each(at, from(0, number));
            }
        }
        if !bytes.is_code {
            continue;
        }
        let relative = match *here {
            // Calls and jumps.
            [0xe8 | 0xe9, ref by @ ..] => number(by).map(|by| from(5, by)),
            // Jumps on a condition; the address of what is so far from the next instruction.
            [0x0f, 0x80..=0x8f, ref by @ ..] => number(by).map(|by| from(6, by)),
            [0x8d, operand, ref by @ ..] if operand & 0xc7 == 5 => number(by).map(|by| from(6, by)),
            // Jumps to what is near.
            [0xeb | 0x70..=0x7f, by, ..] => Some(from(2, (by as i8).into())),
            _ => None,
        };
        if let Some(to) = relative {
            each(at, to);
        }
    }
}

/// The one of 32 bits with which bytes begin.
fn number(bytes: &[u8]) -> Option<i64> {
    let number = bytes.first_chunk()?;
    Some(i32::from_le_bytes(*number).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Functions of 16 bytes at these addresses.
    fn functions(at: &[u64]) -> Functions {
        at.iter().map(|at| (*at, (at + 16, false))).collect()
    }

    fn code(at: u64, calls: &[(u64, u64)], len: usize) -> Vec<u8> {
        let mut code = vec![0xcc; len];
        for (from, to) in calls {
            let offset = (from - at) as usize;
            let distance = to.wrapping_sub(from + 5) as u32;
            code[offset] = 0xe8;
            code[offset + 1..offset + 5].copy_from_slice(&distance.to_le_bytes());
        }
        code
    }

    const BASE: u64 = 0xffff_ffff_8100_0000;
    const NONE: [u64; 0] = [];

    fn unused_of(calls: &[(u64, u64)], pointers: &[u64], functions: &Functions) -> Vec<u64> {
        let text = code(BASE, calls, 256);
        let data: Vec<u8> = pointers.iter().flat_map(|at| at.to_le_bytes()).collect();
        let all = [
            Bytes {
                at: BASE,
                data: &text,
                is_code: true,
            },
            Bytes {
                at: BASE + 0x10_0000,
                data: &data,
                is_code: false,
            },
        ];
        let unused = without_use(functions, &all, (0, 0));
        unused.into_keys().map(|at| at - BASE).collect()
    }

    #[test]
    fn whom_only_an_unused_one_calls_is_unused() {
        let functions = functions(&[BASE, BASE + 0x10, BASE + 0x20, BASE + 0x30]);
        // 0 calls 10; 20 calls 30, and 30 itself and 20.
        let calls = [
            (BASE, BASE + 0x10),
            (BASE + 0x20, BASE + 0x30),
            (BASE + 0x30, BASE + 0x30),
            (BASE + 0x36, BASE + 0x20),
        ];
        assert_eq!(unused_of(&calls, &[BASE], &functions), [0x20, 0x30]);
        assert_eq!(unused_of(&calls, &[BASE, BASE + 0x30], &functions), NONE);
        // Not from a function: from an entry in assembly.
        let entry = [(BASE + 0x40, BASE + 0x20)];
        assert_eq!(unused_of(&entry, &[], &functions), [0, 0x10, 0x30]);
    }

    #[test]
    fn code_refers_by_some_instructions() {
        let refers = |code: &[u8]| {
            let mut found = BTreeSet::new();
            let bytes = Bytes {
                at: BASE,
                data: code,
                is_code: true,
            };
            references(&bytes, |_, to| {
                found.insert(to);
            });
            found.contains(&(BASE + 0x10))
        };
        assert!(refers(&[0xe8, 0x0b, 0, 0, 0]));
        assert!(refers(&[0xe9, 0x0b, 0, 0, 0]));
        assert!(refers(&[0x0f, 0x84, 0x0a, 0, 0, 0]));
        assert!(refers(&[0x48, 0x8d, 0x3d, 0x09, 0, 0, 0]));
        assert!(refers(&[0xeb, 0x0e]) && refers(&[0x75, 0x0e]));
        assert!(refers(&[0x48, 0xc7, 0xc7, 0x10, 0, 0, 0x81]));
        // Of nothing that is run, as a load.
        assert!(!refers(&[0x48, 0x8b, 0x3d, 0x09, 0, 0, 0]));
    }

    #[test]
    fn data_refers_by_address_or_distance() {
        let functions = functions(&[BASE, BASE + 0x10]);
        let from = BASE + 0x10_0000;
        let distance = (BASE + 0x10).wrapping_sub(from);
        assert_eq!(unused_of(&[], &[distance], &functions), [0]);
        assert_eq!(unused_of(&[], &[BASE, BASE + 0x11], &functions), [0x10]);
    }

    #[test]
    fn a_part_is_jumped_into_anywhere() {
        let mut functions = functions(&[BASE, BASE + 0x10]);
        let calls = [(BASE, BASE + 0x14)];
        assert_eq!(unused_of(&calls, &[BASE], &functions), [0x10]);
        functions.insert(BASE + 0x10, (BASE + 0x20, true));
        assert_eq!(unused_of(&calls, &[BASE], &functions), NONE);
    }

    #[test]
    fn the_names_of_functions_do_not_run_them() {
        let functions = functions(&[BASE]);
        let at = BASE + 0x10_0000;
        let data = BASE.to_le_bytes();
        let all = [Bytes {
            at,
            data: &data,
            is_code: false,
        }];
        assert_eq!(without_use(&functions, &all, (at, at + 8)).len(), 1);
        assert_eq!(without_use(&functions, &all, (0, 0)).len(), 0);
    }
}
