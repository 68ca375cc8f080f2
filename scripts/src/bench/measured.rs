//! What was measured, as JSON and against what was measured before.

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::guest::bench::Words;

/// Kevent's side of a comparison; all other peers are what it is compared with.
pub const OURS: &str = "kevent";
/// The same work, of which nobody is told.
pub const NONE: &str = "none";
/// What kevent is compared with where the tools are others.
const REFERENCE: &[&str] = &["epoll-et", "timerfd+epoll"];

/// How much worse a number may be than the checked-in one.
const TOLERANCE: f64 = 1.05;

/// What the numbers depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub linux: String,
    pub clang: String,
    pub rustc: String,
    pub qemu: String,
    /// The compiler of the programs.
    pub gcc: String,
    /// The fragments of the kernel's configuration.
    pub config: Vec<String>,
}

/// The unit of a count of instructions.
pub const INSTRUCTIONS: &str = "instructions";
/// The unit of time of the host, of which only ratios say anything.
pub const NS: &str = "ns";

/// One way to do the work. All but `events` is per event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub peer: String,
    pub events: u32,
    /// In the unit of the workload.
    pub cost: f64,
    pub calls: f64,
    pub switches: f64,
}

impl Cost {
    pub fn is_ours(&self) -> bool {
        self.peer.starts_with(OURS)
    }
}

/// The same work done in every way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    pub name: String,
    /// What is counted.
    pub unit: String,
    pub costs: Vec<Cost>,
}

impl Workload {
    /// Rounds of time become one, that of the median. What is counted is measured once.
    fn take_medians(&mut self) -> Result<()> {
        self.costs.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        let mut peers: Vec<&str> = Vec::new();
        for cost in &self.costs {
            if !peers.contains(&cost.peer.as_str()) {
                peers.push(&cost.peer);
            }
        }
        let median = |peer: &&str| {
            let rounds: Vec<&Cost> = self.costs.iter().filter(|c| c.peer == **peer).collect();
            if rounds.len() > 1 && self.unit != NS {
                bail!("{} was measured twice by {peer}", self.name);
            }
            rounds
                .get(rounds.len() / 2)
                .copied()
                .cloned()
                .context("no round")
        };
        self.costs = peers.iter().map(median).collect::<Result<_>>()?;
        self.costs.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        Ok(())
    }

    fn of(&self, peer: &str) -> Option<&Cost> {
        self.costs.iter().find(|cost| cost.peer == peer)
    }

    /// What the event itself costs: all but what the work needs that nobody is told of.
    pub fn added(&self, cost: &Cost) -> f64 {
        cost.cost - self.of(NONE).map_or(0.0, |none| none.cost)
    }

    /// The cheapest that is not kevent.
    pub fn best_peer(&self) -> Option<f64> {
        let peers = self.costs.iter();
        let peers = peers.filter(|cost| !cost.is_ours() && cost.peer != NONE);
        peers.map(|cost| self.added(cost)).min_by(f64::total_cmp)
    }

    fn reference(&self) -> Option<f64> {
        let peer = REFERENCE.iter().find_map(|peer| self.of(peer))?;
        Some(self.added(peer))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub made: Made,
    pub workloads: Vec<Workload>,
}

/// The outcome of a comparison.
#[derive(Debug, Default, PartialEq)]
pub struct Compared {
    pub done: usize,
    /// One line for each number that became worse.
    pub worse: Vec<String>,
}

impl Measured {
    /// Reads the lines `BENCH key=value ...`; every other line is a complaint.
    pub fn parse(made: Made, text: &str) -> Result<Measured> {
        let mut workloads: Vec<Workload> = Vec::new();
        for line in text.lines() {
            let words = line.strip_prefix("BENCH ");
            let words = words.with_context(|| format!("the benchmark says: {line}"))?;
            let (name, unit, cost) = cost(words)?;
            match workloads.iter_mut().find(|workload| workload.name == name) {
                Some(workload) if workload.unit != unit => bail!("in another unit: {line}"),
                Some(workload) => workload.costs.push(cost),
                None => workloads.push(Workload {
                    name,
                    unit,
                    costs: vec![cost],
                }),
            }
        }
        for workload in &mut workloads {
            workload.take_medians()?;
        }
        if workloads.is_empty() {
            bail!("the benchmark measured nothing");
        }
        Ok(Measured { made, workloads })
    }

    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub fn from_json(text: &str) -> Result<Measured> {
        Ok(serde_json::from_str(text)?)
    }

    /// Compares what kevent costs with what it cost: its instructions if the same tools made both,
    /// else their ratio to epoll's in the same boot.
    pub fn compare(&self, before: &Measured, checked: impl Fn(&str) -> bool) -> Result<Compared> {
        let same_tools = self.made == before.made;
        let mut compared = Compared::default();
        for old in &before.workloads {
            if !checked(&old.name) {
                continue;
            }
            let new = self.workloads.iter().find(|new| new.name == old.name);
            let new = new.with_context(|| format!("{} was not measured", old.name))?;
            for cost in old.costs.iter().filter(|cost| cost.is_ours()) {
                let peer = &cost.peer;
                let lacks = || format!("{} was not measured by {peer}", old.name);
                let now = new.of(peer).with_context(lacks)?;
                let (was, is, unit) = if same_tools {
                    (cost.cost, now.cost, old.unit.as_str())
                } else {
                    let ratio = |workload: &Workload, cost: &Cost| {
                        let reference = workload.reference().with_context(lacks)?;
                        anyhow::Ok(workload.added(cost) / reference)
                    };
                    (ratio(old, cost)?, ratio(new, now)?, "x epoll")
                };
                compared.done += 1;
                if is > was * TOLERANCE {
                    let name = &old.name;
                    compared
                        .worse
                        .push(format!("{name} by {peer}: {is:.2} {unit}, was {was:.2}"));
                }
            }
        }
        Ok(compared)
    }
}

fn cost(line: &str) -> Result<(String, String, Cost)> {
    let words = Words::of(line);
    let events = words.text("events")?.parse().ok();
    Ok((
        words.text("workload")?.to_owned(),
        words.text("unit")?.to_owned(),
        Cost {
            peer: words.text("peer")?.to_owned(),
            events: events.with_context(|| format!("events is no number: {line}"))?,
            cost: words.number("cost")?,
            calls: words.number("calls")?,
            switches: words.number("switches")?,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(clang: &str) -> Made {
        let text = |text: &str| text.to_owned();
        Made {
            linux: text("7.3.4"),
            clang: text(clang),
            rustc: text("1.96.0"),
            qemu: text("7.2.0"),
            gcc: text("12.2.0"),
            config: vec![text("kernel.config")],
        }
    }

    fn line(peer: &str, instructions: f64) -> String {
        format!(
            "BENCH workload=one peer={peer} events=64 unit=instructions cost={instructions} calls=1 switches=0\n"
        )
    }

    fn measured(clang: &str, none: f64, kevent: f64, epoll: f64) -> Measured {
        let peers = [("none", none), ("kevent", kevent), ("epoll-et", epoll)];
        let text: String = peers.map(|(peer, cost)| line(peer, cost)).concat();
        Measured::parse(made(clang), &text).unwrap()
    }

    #[test]
    fn the_cost_is_what_being_told_adds() {
        let measured = measured("22.1.8", 400.0, 600.0, 1100.0);
        let one = &measured.workloads[0];
        assert_eq!(one.added(one.of("kevent").unwrap()), 200.0);
        assert_eq!(one.best_peer(), Some(700.0));
    }

    #[test]
    fn rounds_of_time_become_their_median() {
        let round = |ns: f64| line("kevent", ns).replace("instructions", "ns");
        let text = [30.0, 10.0, 20.0].map(round).concat();
        let measured = Measured::parse(made("22.1.8"), &text).unwrap();
        assert_eq!(measured.workloads[0].costs.len(), 1);
        assert_eq!(measured.workloads[0].costs[0].cost, 20.0);
        // What is counted has no rounds, and a workload has one unit.
        let text = line("kevent", 1.0) + &line("kevent", 1.0);
        assert!(Measured::parse(made("22.1.8"), &text).is_err());
        let text = line("kevent", 1.0) + &round(1.0);
        assert!(Measured::parse(made("22.1.8"), &text).is_err());
    }

    #[test]
    fn json_keeps_it() {
        let measured = measured("22.1.8", 400.25, 600.0, 1100.0);
        let json = measured.to_json().unwrap();
        assert_eq!(Measured::from_json(&json).unwrap(), measured);
    }

    #[test]
    fn more_instructions_are_worse() {
        let before = measured("22.1.8", 400.0, 600.0, 1100.0);
        let compare = |now: Measured| now.compare(&before, |_| true).unwrap();
        assert!(
            compare(measured("22.1.8", 400.0, 629.0, 1100.0))
                .worse
                .is_empty()
        );
        let worse = compare(measured("22.1.8", 400.0, 631.0, 1100.0));
        assert_eq!((worse.done, worse.worse.len()), (1, 1));
        assert!(worse.worse[0].contains("one by kevent"), "{worse:?}");
    }

    #[test]
    fn other_tools_are_compared_by_the_ratio_to_epoll() {
        let before = measured("22.1.8", 400.0, 600.0, 1100.0);
        let twice = measured("19.0.0", 800.0, 1200.0, 2200.0);
        assert!(twice.compare(&before, |_| true).unwrap().worse.is_empty());
        let worse = measured("19.0.0", 800.0, 1250.0, 2200.0);
        assert_eq!(worse.compare(&before, |_| true).unwrap().worse.len(), 1);
    }

    #[test]
    fn what_lacks_is_no_success() {
        let before = measured("22.1.8", 400.0, 600.0, 1100.0);
        let other = line("kevent", 5.0).replace("=one", "=two");
        let other = Measured::parse(made("22.1.8"), &other).unwrap();
        assert!(other.compare(&before, |_| true).is_err());
        let parse = |text: &str| Measured::parse(made("22.1.8"), text);
        assert!(parse("").is_err());
        assert!(parse("bench: write: EIO").is_err());
        assert!(parse(&line("kevent", f64::NAN)).is_err());
        assert!(parse(&line("kevent", 1.0).repeat(2)).is_err());
    }
}
