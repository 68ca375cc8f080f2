//! What the guest tells: a message in a line.

use serde::{Deserialize, Serialize};

use crate::program::Program;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// It is about to run this in that lane.
    Run { lane: usize, program: Program },
    /// Nothing runs in that lane any more.
    Idle { lane: usize },
    /// This reached what none did before; all its edges.
    Keep { program: Program, edges: Vec<u64> },
    /// What was reached for the first time.
    Reached { pcs: Vec<u64> },
    /// How it is.
    Status(Status),
    /// What ran in that lane cannot be killed.
    Stuck { lane: usize },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub seconds: u64,
    pub programs: u64,
    pub calls: u64,
    /// How many programs did not end by themselves.
    pub late: u64,
    /// Programs that are kept.
    pub corpus: usize,
    pub edges: usize,
    pub pcs: usize,
}

impl Message {
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("everything in it can be written")
    }

    /// None for a line that is something else.
    pub fn from_line(line: &str) -> Option<Message> {
        serde_json::from_str(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::Dice;

    #[test]
    fn what_is_told_is_understood() {
        let program = Program::choose(&mut Dice::seed_from_u64(1));
        for message in [
            Message::Run {
                lane: 2,
                program: program.clone(),
            },
            Message::Keep {
                program,
                edges: vec![3, u64::MAX],
            },
            Message::Reached {
                pcs: vec![0xffff_ffff_8100_0000],
            },
            Message::Status(Status::default()),
            Message::Stuck { lane: 0 },
        ] {
            let line = message.to_line();
            assert!(!line.contains('\n'));
            assert_eq!(Message::from_line(&line), Some(message));
        }
        assert_eq!(Message::from_line("a line of the shell"), None);
    }
}
