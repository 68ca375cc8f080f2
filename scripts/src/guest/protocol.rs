//! The lines that the guest's init sends over its port; `qemu/init.c` lists them.

#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    Started(&'a str),
    Output {
        program: &'a str,
        us: u64,
        text: &'a str,
    },
    About {
        program: &'a str,
        text: &'a str,
    },
    Bench(&'a str),
    Ended {
        program: &'a str,
        how: Ending,
        us: u64,
    },
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Exit(i32),
    Signal(i32),
    /// Killed after this many seconds.
    Timeout(u64),
}

impl Ending {
    /// The exit code as a shell would give it.
    pub fn code(self) -> u8 {
        let code = match self {
            Ending::Exit(code) => code,
            Ending::Signal(signal) => 128 + signal,
            Ending::Timeout(_) => 124,
        };
        code as u8
    }
}

impl Message<'_> {
    /// `None`: not a line of this protocol.
    pub fn parse(line: &str) -> Option<Message<'_>> {
        if line == "END" {
            return Some(Message::End);
        }
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "S" => Some(Message::Started(rest)),
            "B" => Some(Message::Bench(rest)),
            "T" | "E" => {
                let (program, rest) = rest.split_once(' ')?;
                let (us, text) = rest.split_once(' ')?;
                let us = us.parse().ok()?;
                Some(match kind {
                    "T" => Message::Output { program, us, text },
                    _ => Message::About { program, text },
                })
            }
            "X" => {
                let mut words = rest.split(' ');
                let program = words.next()?;
                let (how, value) = words.next()?.split_once('=')?;
                let how = match how {
                    "exit" => Ending::Exit(value.parse().ok()?),
                    "signal" => Ending::Signal(value.parse().ok()?),
                    "timeout" => Ending::Timeout(value.parse().ok()?),
                    _ => return None,
                };
                let us = words.next()?.strip_prefix("us=")?.parse().ok()?;
                Some(Message::Ended { program, how, us })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line() {
        assert_eq!(Message::parse("S ring"), Some(Message::Started("ring")));
        let output = Message::Output {
            program: "ring",
            us: 15,
            text: "ok 1 a # SKIP b",
        };
        assert_eq!(Message::parse("T ring 15 ok 1 a # SKIP b"), Some(output));
        let empty = Message::About {
            program: "ring",
            text: "",
        };
        assert_eq!(Message::parse("E ring 9 "), Some(empty));
        assert_eq!(
            Message::parse("B BENCH a=1"),
            Some(Message::Bench("BENCH a=1"))
        );
        assert_eq!(Message::parse("END"), Some(Message::End));
        for (line, how) in [
            ("X ring exit=4 us=7", Ending::Exit(4)),
            ("X ring signal=9 us=7", Ending::Signal(9)),
            ("X ring timeout=300 us=7", Ending::Timeout(300)),
        ] {
            let program = "ring";
            assert_eq!(
                Message::parse(line),
                Some(Message::Ended {
                    program,
                    how,
                    us: 7
                })
            );
        }
    }

    #[test]
    fn broken_lines_are_not_guessed() {
        for line in [
            "",
            "T",
            "T ring",
            "T ring x ok 1",
            "X ring",
            "X ring exit=x us=1",
            "Q a",
            "EN",
        ] {
            assert_eq!(Message::parse(line), None, "{line}");
        }
    }

    #[test]
    fn exit_codes_of_a_shell() {
        assert_eq!(Ending::Exit(3).code(), 3);
        assert_eq!(Ending::Signal(9).code(), 137);
        assert_eq!(Ending::Timeout(1).code(), 124);
    }
}
