//! Small beginnings from which new programs start: what chance alone hardly puts together.

use rand::seq::IndexedRandom;

use crate::choose::Dice;
use crate::program::Program;

macro_rules! recipes {
    ($($name:literal),* $(,)?) => {
        /// As `recipes/` has them.
        const RECIPES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../recipes/", $name, ".ron")))),*];
    };
}

recipes! {
    "array_ends",
    "batch_beside_single",
    "chain_of_queues",
    "checked_levels",
    "clocks",
    "closed_while_looked_at",
    "dead_owner",
    "edge_more_than_once",
    "epoll_beside",
    "files_wake",
    "fired_again",
    "fired_beside",
    "kicked",
    "killed_while_it_takes",
    "lazy_connection",
    "left_behind",
    "long_batch",
    "number_is_another_file",
    "other_sockets",
    "one_of_each",
    "page_comes",
    "queue_in_queue_in_epoll",
    "refused_connection",
    "sleepers",
    "sleepers_leave",
    "taken_away",
    "taken_from_the_ring",
    "timers",
    "turn_passed_on",
    "turns",
    "turns_are_polled",
    "two_wait_queues",
    "udp_error",
    "unix_datagrams",
    "unix_listener",
    "unix_urgent",
    "urgent",
    "uring_tells",
    "uring_watches",
    "wait_queue_goes_away",
}

/// All of them.
pub fn all() -> impl Iterator<Item = Program> {
    RECIPES.iter().map(read)
}

/// One of them.
pub fn choose(dice: &mut Dice) -> Program {
    RECIPES.choose(dice).map_or_else(Program::default, read)
}

fn read((name, text): &(&str, &str)) -> Program {
    match Program::from_text(text) {
        Ok(program) => program,
        Err(error) => panic!("recipe {name}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::program::LONGEST;

    #[test]
    fn each_can_be_read() {
        for program in all() {
            assert!(program.parts().all(|part| part.len() <= LONGEST));
            assert!(!program.first.is_empty() && !program.threads.is_empty());
        }
    }

    #[test]
    fn each_file_is_one() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes");
        let files = std::fs::read_dir(folder).unwrap();
        let files: BTreeSet<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let names = RECIPES.iter().map(|(name, _)| format!("{name}.ron"));
        assert_eq!(files, names.collect());
    }
}
