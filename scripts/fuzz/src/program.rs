//! What is run at once: calls that come first, and threads that meet.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::choose::Dice;
use crate::mutate::mutate;
use crate::recipe;

/// The most threads of a program, as in `act/act.h`.
pub const THREADS: usize = 4;

/// The most calls in one part.
pub const LONGEST: usize = 24;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Done by one thread, before the others begin.
    pub first: Vec<Call>,
    pub threads: Vec<Vec<Call>>,
}

impl Program {
    /// Chooses one: a recipe that is changed, or calls.
    pub fn new(dice: &mut Dice) -> Program {
        if dice.random() {
            return Program::choose(dice);
        }
        let mut program = recipe::choose(dice);
        mutate(&mut program, &[], dice);
        program
    }

    /// Chooses its calls.
    pub fn choose(dice: &mut Dice) -> Program {
        let calls = |dice: &mut Dice, first: bool, len| {
            (0..len).map(|_| Call::choose(dice, first)).collect()
        };
        let len = dice.random_range(2..10);
        let mut first: Vec<Call> = vec![Call::named("NewQueue", dice)];
        first.append(&mut calls(dice, true, len));
        let threads = match dice.random_range(0..8) {
            0..=1 => 1,
            2..=5 => 2,
            6 => 3,
            _ => THREADS,
        };
        let threads = (0..threads)
            .map(|_| {
                let len = dice.random_range(1..12);
                calls(dice, false, len)
            })
            .collect();
        Program { first, threads }
    }

    /// All parts.
    pub fn parts(&self) -> impl Iterator<Item = &Vec<Call>> {
        std::iter::once(&self.first).chain(&self.threads)
    }

    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut Vec<Call>> {
        std::iter::once(&mut self.first).chain(&mut self.threads)
    }

    pub fn calls(&self) -> usize {
        self.parts().map(Vec::len).sum()
    }

    /// As a file has it: one call in a line.
    pub fn to_text(&self) -> String {
        let pretty = ron::ser::PrettyConfig::new()
            .depth_limit(3)
            .indentor("  ")
            .struct_names(false);
        let text = ron::ser::to_string_pretty(self, pretty);
        text.expect("everything in it can be written") + "\n"
    }

    pub fn from_text(text: &str) -> Result<Program, String> {
        let program: Program = ron::from_str(text).map_err(|error| error.to_string())?;
        match program.threads.len() > THREADS {
            true => Err(format!("more than {THREADS} threads")),
            false => Ok(program),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut dice = Dice::seed_from_u64(1);
        for _ in 0..500 {
            let program = Program::choose(&mut dice);
            let text = program.to_text();
            assert_eq!(Program::from_text(&text).as_ref(), Ok(&program), "{text}");
        }
    }

    #[test]
    fn a_call_is_a_line() {
        let mut dice = Dice::seed_from_u64(2);
        let program = Program {
            first: vec![Call::named("Control", &mut dice)],
            threads: vec![vec![Call::named("Get", &mut dice); 2]],
        };
        let text = program.to_text();
        let lines = text
            .lines()
            .filter(|line| line.contains("Control(") || line.contains("Get("));
        assert_eq!(lines.count(), 3, "{text}");
    }

    #[test]
    fn the_same_seed_gives_the_same_programs() {
        let of = |seed| Program::choose(&mut Dice::seed_from_u64(seed));
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn every_kind_of_call_comes() {
        let mut dice = Dice::seed_from_u64(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3000 {
            let program = Program::choose(&mut dice);
            seen.extend(program.parts().flatten().map(Call::name));
        }
        for name in Call::names() {
            assert!(seen.contains(name), "{name}");
        }
    }

    #[test]
    fn too_many_threads_are_refused() {
        let program = Program {
            first: vec![],
            threads: vec![vec![]; THREADS + 1],
        };
        assert!(Program::from_text(&program.to_text()).is_err());
    }
}
