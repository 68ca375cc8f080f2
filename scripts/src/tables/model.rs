//! What the model explores, and what it would notice: from its own lists.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use regex::Regex;

#[allow(dead_code, reason = "the build of the model uses the rest")]
#[path = "../../model/close/mutations.rs"]
mod close_mutations;
#[path = "../../model/handshakes.rs"]
mod handshakes;
#[allow(dead_code, reason = "the build of the model uses the rest")]
#[path = "../../model/mutations.rs"]
mod mutations;

use close_mutations::CLOSE;
use handshakes::{Handshake, Site, UNORDERED};
use mutations::{MUTATIONS, Mutation};

/// The two models: how their scenarios are called, what is broken in them, and what they hand over.
const MODELS: [(&str, &[Mutation], &[Handshake]); 2] = [
    ("", MUTATIONS, handshakes::RING),
    ("close::", CLOSE, handshakes::CLOSE),
];

/// The file of a mutation.
fn path(file: &str) -> String {
    match file {
        "consumer" => "userspace/kevent/src/protocol/consumer.rs".to_owned(),
        "scenario" => "scripts/model/src/kevent/scenario.rs".to_owned(),
        _ if file.starts_with("close/") => format!("scripts/model/{file}.rs"),
        _ if file.contains('/') => format!("rust-kevent/{file}.rs"),
        _ => format!("rust-kevent/kevent/{file}.rs"),
    }
}

/// The name under which `explored.txt` has the scenario of a mutation or handshake.
fn scenario(model: &str, name: &str) -> String {
    match name.contains("::") {
        true => format!("{model}{name}"),
        false => format!("{model}scenario::{name}"),
    }
}

/// Words for a name.
fn words(name: &str) -> String {
    match name.strip_prefix("cve_") {
        Some(number) => format!("CVE-{}", number.replace('_', "-")),
        None => name.replace('_', " "),
    }
}

fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let rule = vec!["---".to_owned(); header.len()];
    let header = header.iter().map(|cell| (*cell).to_owned()).collect();
    let mut text = String::new();
    for row in [&header, &rule].into_iter().chain(rows) {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

/// What each scenario explores, and what it finds.
pub fn explored(text: &str) -> Result<String> {
    let line = Regex::new(r"^(\S+) \| (.*): (\d+) threads, (\d+) preemptions, (\d+) executions$")?;
    let mut walks: BTreeMap<&str, Vec<[&str; 4]>> = BTreeMap::new();
    for text in text.lines() {
        let walk = line
            .captures(text)
            .with_context(|| format!("explored.txt has {text}"))?;
        let (_, [scenario, what, threads, preemptions, executions]) = walk.extract();
        let walk = [what, threads, preemptions, executions];
        walks.entry(scenario).or_default().push(walk);
    }
    let mut finds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (model, mutations, handshakes) in MODELS {
        let breaks = mutations
            .iter()
            .map(|broken| (broken.scenario, broken.name));
        let sites = handshakes.iter().flat_map(|handshake| {
            let weaker = handshake.sites.iter().map(|site| site.weaker);
            weaker.map(|weaker| (handshake.litmus, weaker))
        });
        for (by, name) in breaks.chain(sites) {
            let scenario = scenario(model, by);
            ensure!(
                walks.contains_key(scenario.as_str()),
                "{name} is found by {scenario}, which explored.txt does not have"
            );
            let found = finds.entry(scenario).or_default();
            let name = words(name);
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    let mut rows = Vec::new();
    for (scenario, walks) in &walks {
        let found = finds.remove(*scenario).unwrap_or_default().join(", ");
        let column = |at: usize| {
            let cells = walks.iter().map(|walk| walk[at]).collect::<Vec<_>>();
            cells.join("<br>")
        };
        let mut row = vec![format!("`{scenario}`")];
        row.extend((0..4).map(column));
        row.push(found);
        rows.push(row);
    }
    Ok(table(
        &[
            "scenario",
            "what meets",
            "threads",
            "preemptions",
            "executions",
            "breaks that it finds",
        ],
        &rows,
    ))
}

/// A site, with its file; it must be in the function that it names.
fn place(
    read: &impl Fn(&str) -> Result<String>,
    mutations: &[Mutation],
    site: &Site,
) -> Result<String> {
    let broken = mutations.iter().find(|broken| broken.name == site.weaker);
    let broken = broken.with_context(|| format!("there is no mutation {}", site.weaker))?;
    let path = path(broken.file);
    let text = read(&path)?;
    let at = text
        .find(broken.from)
        .with_context(|| format!("{path} has no {}", broken.from))?;
    let (_, function) = text[..at].rsplit_once(" fn ").context("a function")?;
    let name = site.function.rsplit("::").next().context("a name")?;
    ensure!(
        function.starts_with(&format!("{name}(")) || function.starts_with(&format!("{name}<")),
        "{path}: {} is not in {}",
        broken.from,
        site.function
    );
    let file = match broken.file {
        "close/eventpoll" => "fs/eventpoll.c",
        "close/file" => "fs/file.c",
        "close/wait" => "who has the queue",
        _ => path.rsplit('/').next().context("a file")?,
    };
    Ok(format!("`{}` ({file}): {}", site.function, site.access))
}

/// What is handed over without a lock. Each row of the table of orders in the document has one.
pub fn handshakes(read: &impl Fn(&str) -> Result<String>, document: &str) -> Result<String> {
    let mut rows = Vec::new();
    let mut ordered = UNORDERED.to_vec();
    for (model, mutations, handshakes) in MODELS {
        for handshake in handshakes {
            ordered.extend(handshake.rows);
            let [from, to] = &handshake.sites;
            rows.push(vec![
                handshake.what.to_owned(),
                place(read, mutations, from)?,
                place(read, mutations, to)?,
                format!("`{}`", scenario(model, handshake.litmus)),
                format!("{}; {}", words(from.weaker), words(to.weaker)),
            ]);
        }
    }
    for access in orders(document)? {
        ensure!(
            ordered.contains(&access),
            "no handshake stands for \"{access}\""
        );
        ordered.retain(|other| *other != access);
    }
    ensure!(ordered.is_empty(), "the document does not have {ordered:?}");
    Ok(table(
        &[
            "handshake",
            "site A",
            "site B",
            "litmus test",
            "mutations that it catches",
        ],
        &rows,
    ))
}

/// The first column of the table of orders.
fn orders(document: &str) -> Result<Vec<&str>> {
    let (_, section) = document
        .split_once("\nMemory orders\n-")
        .context("the document has no memory orders")?;
    let mut tables = section.split("\n===");
    let (_, rows) = tables
        .nth(2)
        .and_then(|body| body.split_once('\n'))
        .context("it has no table of them")?;
    let rows = rows
        .lines()
        .filter_map(|line| Some(line.split_once("  ")?.0));
    Ok(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_has_a_row() {
        let text = "scenario::x | a: 2 threads, 3 preemptions, 40 executions\n\
            scenario::x | b: 3 threads, 2 preemptions, 50 executions\n";
        let error = explored(text).unwrap_err().to_string();
        assert!(
            error.contains("which explored.txt does not have"),
            "{error}"
        );
        assert!(explored("scenario::x: 40\n").is_err());
    }

    #[test]
    fn orders_are_rows() {
        let text = "a\n\nMemory orders\n-----\n\n=== ==\na   b\n=== ==\nx: y  relaxed\nz  full\n\
            === ==\n";
        assert_eq!(orders(text).unwrap(), ["x: y", "z"]);
    }
}
