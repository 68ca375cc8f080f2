//! What the benchmark in the guest measured.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, bail};

#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    syscalls: f64,
    instructions: f64,
}

/// The same work done by both.
#[derive(Clone, Debug, PartialEq)]
struct Case {
    name: String,
    kevent: Cost,
    epoll: Cost,
}

/// What one event costs, in every case that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement(Vec<Case>);

impl Measurement {
    /// Reads the lines `BENCH case=name key=value ...`; others are for people.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Measurement> {
        let lines = lines.into_iter();
        let cases = lines.filter_map(|line| line.strip_prefix("BENCH "));
        let cases = cases.map(case).collect::<Result<Vec<_>>>()?;
        if cases.is_empty() {
            bail!("the benchmark measured nothing");
        }
        Ok(Measurement(cases))
    }
}

/// The words `key=value` of one line.
pub struct Words<'a> {
    line: &'a str,
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    pub fn of(line: &'a str) -> Words<'a> {
        let words = line.split_whitespace();
        let values = words.filter_map(|word| word.split_once('=')).collect();
        Words { line, values }
    }

    pub fn text(&self, key: &str) -> Result<&'a str> {
        let value = self.values.get(key).copied();
        value.with_context(|| format!("the benchmark did not tell {key}: {}", self.line))
    }

    pub fn number(&self, key: &str) -> Result<f64> {
        let value: Option<f64> = self.text(key)?.parse().ok();
        let value = value.filter(|value| value.is_finite() && *value >= 0.0);
        value.with_context(|| format!("{key} is no count: {}", self.line))
    }
}

fn case(line: &str) -> Result<Case> {
    let words = Words::of(line);
    let cost = |of: &str| -> Result<Cost> {
        Ok(Cost {
            syscalls: words.number(&format!("{of}_syscalls"))?,
            instructions: words.number(&format!("{of}_instructions"))?,
        })
    };
    Ok(Case {
        name: words.text("case")?.to_owned(),
        kevent: cost("kevent")?,
        epoll: cost("epoll")?,
    })
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system calls and instructions per event")?;
        for Case {
            name,
            kevent,
            epoll,
        } in &self.0
        {
            write!(f, "; {name}: kevent {kevent}, epoll {epoll}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} and {:.0}", self.syscalls, self.instructions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "BENCH case=one events=64 kevent_syscalls=1.00 \
                       kevent_instructions=1133.82 epoll_syscalls=2 epoll_instructions=1070.17";

    #[test]
    fn every_case_is_told_in_one_line() {
        let batch = ONE.replace("case=one", "case=batch");
        let measured = Measurement::parse(["for people", ONE, &batch]).unwrap();
        assert_eq!(
            measured.to_string(),
            "system calls and instructions per event; \
             one: kevent 1.00 and 1134, epoll 2.00 and 1070; \
             batch: kevent 1.00 and 1134, epoll 2.00 and 1070"
        );
    }

    #[test]
    fn nothing_is_made_up() {
        let refused = |line: &str| Measurement::parse([line]).unwrap_err().to_string();
        assert!(refused("for people").contains("measured nothing"));
        // A clock that does not count instructions is named otherwise.
        assert!(refused(&ONE.replace("_instructions", "_ns")).contains("kevent_instructions"));
        assert!(refused(&ONE.replace("case=one", "")).contains("case"));
        assert!(refused(&ONE.replace("=1070.17", "=NaN")).contains("no count"));
        assert!(refused(&ONE.replace("=2 ", "=-2 ")).contains("no count"));
    }
}
