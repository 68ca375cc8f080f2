//! What the benchmark in the guest measured.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    pub syscalls: f64,
    pub instructions: f64,
}

/// What one event costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    pub kevent: Cost,
    pub epoll: Cost,
}

impl Measurement {
    /// Reads the lines `BENCH key=value ...`; others are for people.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Measurement> {
        let mut values = BTreeMap::new();
        for line in lines {
            let Some(words) = line.strip_prefix("BENCH ") else {
                continue;
            };
            for word in words.split_whitespace() {
                if let Some((key, value)) = word.split_once('=') {
                    values.insert(key, value);
                }
            }
        }
        let value = |key: String| -> Result<f64> {
            let text = values.get(key.as_str());
            let text = text.with_context(|| format!("the benchmark did not tell {key}"))?;
            let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
            value.with_context(|| format!("{key}={text} is no count"))
        };
        let cost = |of: &str| -> Result<Cost> {
            Ok(Cost {
                syscalls: value(format!("{of}_syscalls"))?,
                instructions: value(format!("{of}_instructions"))?,
            })
        };
        Ok(Measurement {
            kevent: cost("kevent")?,
            epoll: cost("epoll")?,
        })
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} system calls, {:.0} instructions", self.syscalls, self.instructions)
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "per event: kevent {}; epoll {}", self.kevent, self.epoll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_or_many() {
        let one = "BENCH kevent_syscalls=0.02 kevent_instructions=310 epoll_syscalls=2 epoll_instructions=1077.4 events=1";
        let measured = Measurement::parse(["for people", one]).unwrap();
        let line = "per event: kevent 0.020 system calls, 310 instructions; \
                    epoll 2.000 system calls, 1077 instructions";
        assert_eq!(measured.to_string(), line);
        let words = one["BENCH ".len()..].split(' ').map(|word| format!("BENCH {word}"));
        let many: Vec<String> = words.collect();
        assert_eq!(Measurement::parse(many.iter().map(String::as_str)).unwrap(), measured);
    }

    #[test]
    fn nothing_is_made_up() {
        let parse = |line| Measurement::parse([line]).unwrap_err().to_string();
        let line = "BENCH kevent_syscalls=0.02 kevent_instructions=310 epoll_syscalls=2";
        assert!(parse(line).contains("epoll_instructions"));
        assert!(parse("BENCH kevent_syscalls=NaN").contains("no count"));
        assert!(parse("BENCH kevent_syscalls=-1").contains("no count"));
    }
}
