//! The programs that are kept, one in a file.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;

use crate::program::Program;

/// How its files end.
pub const EXTENSION: &str = "ron";

/// All programs of a folder, by name.
pub fn read(folder: &Path) -> io::Result<BTreeMap<String, Program>> {
    let mut programs = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != EXTENSION)
        {
            continue;
        }
        let program = Program::from_text(&fs::read_to_string(&path)?);
        let program = program.map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {error}", path.display()),
            )
        })?;
        let name = path.file_stem().unwrap_or_default();
        programs.insert(name.to_string_lossy().into_owned(), program);
    }
    Ok(programs)
}

/// Makes the folder have these programs and no others.
pub fn write(folder: &Path, programs: &[Program]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut names = BTreeSet::new();
    for program in programs {
        let name = format!("{}.{EXTENSION}", name(program));
        fs::write(folder.join(&name), program.to_text())?;
        names.insert(name);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let old = path.file_name().unwrap_or_default().to_string_lossy();
        if old.ends_with(EXTENSION) && !names.contains(&*old) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// The name of a program: what stands in it tells it from others.
pub fn name(program: &Program) -> String {
    let mut hasher = DefaultHasher::new();
    program.to_text().hash(&mut hasher);
    format!("{:012x}", hasher.finish() >> 16)
}

/// The indices of sets that together have all that any has: greedily, so that they are few.
pub fn cover(sets: &[BTreeSet<u64>]) -> Vec<usize> {
    let mut left: BTreeSet<u64> = sets.iter().flatten().copied().collect();
    let gains = sets.iter().map(BTreeSet::len).zip((0..).map(Reverse));
    // What a set brings gets less, so only the one that is the best may be out of date.
    let mut gains: BinaryHeap<(usize, Reverse<usize>)> = gains.collect();
    let mut chosen = Vec::new();
    while let Some((gain, Reverse(at))) = gains.pop() {
        match sets[at].iter().filter(|one| left.contains(one)).count() {
            0 => {}
            now if now < gain => gains.push((now, Reverse(at))),
            _ => {
                left.retain(|one| !sets[at].contains(one));
                chosen.push(at);
            }
        }
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::Dice;

    #[test]
    fn a_folder_has_what_was_written_last() {
        let folder = tempfile::tempdir().unwrap();
        let mut dice = Dice::seed_from_u64(1);
        let mut programs: Vec<Program> = (0..5).map(|_| Program::choose(&mut dice)).collect();
        write(folder.path(), &programs).unwrap();
        programs.remove(2);
        fs::write(folder.path().join("README"), "").unwrap();
        write(folder.path(), &programs).unwrap();
        let read = read(folder.path()).unwrap();
        assert_eq!(read.len(), 4);
        assert!(
            programs
                .iter()
                .all(|program| read[&name(program)] == *program)
        );
        assert!(folder.path().join("README").exists());
    }

    #[test]
    fn a_file_that_is_no_program_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bad.ron"), "(first: [").unwrap();
        assert!(
            read(folder.path())
                .unwrap_err()
                .to_string()
                .contains("bad.ron")
        );
    }

    #[test]
    fn few_sets_cover_all() {
        let set = |of: &[u64]| of.iter().copied().collect::<BTreeSet<u64>>();
        let sets = [
            set(&[1, 2]),
            set(&[1, 2, 3, 4]),
            set(&[4]),
            set(&[4, 5]),
            set(&[]),
        ];
        assert_eq!(cover(&sets), [1, 3]);
        assert_eq!(cover(&[]), Vec::<usize>::new());
    }
}
