//! A program that is like one that was worth keeping.

use rand::Rng;
use rand::seq::IndexedRandom;

use crate::call::Call;
use crate::choose::Dice;
use crate::program::{LONGEST, Program, THREADS};

/// Changes `program` a few times. What `others` have may be taken over.
pub fn mutate(program: &mut Program, others: &[Program], dice: &mut Dice) {
    for _ in 0..dice.random_range(1..5) {
        match dice.random_range(0..16) {
            0..=4 => insert(program, dice),
            5..=6 => remove(program, dice),
            7..=11 => vary(program, dice),
            12 => swap(program, dice),
            13 => again(program, dice),
            _ => splice(program, others, dice),
        }
    }
    for part in program.parts_mut() {
        part.truncate(LONGEST);
    }
}

/// One of the parts, threads more often; a new thread now and then. Whether it is the first part.
fn part<'a>(program: &'a mut Program, dice: &mut Dice) -> (bool, &'a mut Vec<Call>) {
    let threads = program.threads.len();
    if threads == 0 || threads < THREADS && dice.random_ratio(1, 16) {
        program.threads.push(Vec::new());
    }
    if dice.random_ratio(1, 4) {
        return (true, &mut program.first);
    }
    let at = dice.random_range(0..program.threads.len());
    (false, &mut program.threads[at])
}

fn insert(program: &mut Program, dice: &mut Dice) {
    let (first, part) = part(program, dice);
    let call = Call::choose(dice, first);
    part.insert(dice.random_range(0..=part.len()), call);
}

fn remove(program: &mut Program, dice: &mut Dice) {
    let (_, part) = part(program, dice);
    if !part.is_empty() {
        part.remove(dice.random_range(0..part.len()));
    }
    program.threads.retain(|thread| !thread.is_empty());
}

fn vary(program: &mut Program, dice: &mut Dice) {
    let (_, part) = part(program, dice);
    if !part.is_empty() {
        let at = dice.random_range(0..part.len());
        part[at].vary(dice);
    }
}

fn swap(program: &mut Program, dice: &mut Dice) {
    let (_, part) = part(program, dice);
    if !part.is_empty() {
        let (a, b) = (
            dice.random_range(0..part.len()),
            dice.random_range(0..part.len()),
        );
        part.swap(a, b);
    }
}

/// The same call once more, there or in another thread.
fn again(program: &mut Program, dice: &mut Dice) {
    let (_, from) = part(program, dice);
    let Some(call) = from.choose(dice).cloned() else {
        return;
    };
    let (_, part) = part(program, dice);
    part.insert(dice.random_range(0..=part.len()), call);
}

/// The end of a part becomes that of another program's.
fn splice(program: &mut Program, others: &[Program], dice: &mut Dice) {
    let Some(other) = others.choose(dice) else {
        return;
    };
    let (first, part) = part(program, dice);
    let from = match first {
        true => Some(&other.first),
        false => other.threads.choose(dice),
    };
    let Some(from) = from.filter(|from| !from.is_empty()) else {
        return;
    };
    let at = dice.random_range(0..=part.len());
    let begin = dice.random_range(0..from.len());
    if dice.random() {
        part.truncate(at);
    }
    part.splice(at..at, from[begin..].iter().cloned());
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn it_changes_and_stays_in_its_bounds() {
        let mut dice = Dice::seed_from_u64(1);
        let others: Vec<Program> = (0..4).map(|_| Program::choose(&mut dice)).collect();
        let mut program = Program::choose(&mut dice);
        let mut changed = 0;
        for _ in 0..2000 {
            let before = program.clone();
            mutate(&mut program, &others, &mut dice);
            changed += usize::from(before != program);
            assert!(program.threads.len() <= THREADS);
            assert!(program.parts().all(|part| part.len() <= LONGEST));
        }
        assert!(changed > 1500, "{changed}");
    }

    #[test]
    fn nothing_can_be_mutated_too() {
        let mut dice = Dice::seed_from_u64(1);
        for _ in 0..500 {
            mutate(&mut Program::default(), &[], &mut dice);
        }
    }

    #[test]
    fn arguments_vary_and_calls_stay() {
        let mut dice = Dice::seed_from_u64(1);
        for name in Call::names() {
            let call = Call::named(name, &mut dice);
            let mut other = call.clone();
            let differs = (0..100).any(|_| {
                other.vary(&mut dice);
                other != call
            });
            assert_eq!(other.name(), name);
            assert!(differs || name == "OwnFiles", "{call:?}");
        }
    }
}
