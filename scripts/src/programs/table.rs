//! The tables of the document.

use anyhow::{Context as _, Result};

use super::results::Results;
use crate::guest::bench::Words;

/// What a program is called in the table, and its way of being asked. Others have the names that their
/// lines have.
const TITLES: [(&str, &str); 8] = [
    ("nginx", "nginx, 2 workers"),
    ("nginx-mutex", "nginx, `accept_mutex`"),
    ("nginx-reuseport", "nginx, `reuseport`"),
    ("haproxy", "haproxy before nginx"),
    ("asyncio", "CPython asyncio"),
    ("node", "Node http"),
    ("hyper", "hyper on tokio"),
    ("redis", "redis"),
];
const CASES: [(&str, &str); 4] = [
    ("kept", "kept"),
    ("closed", "new each time"),
    ("one", "kept"),
    ("pipeline", "kept, 16 at once"),
];
const COLUMNS: [&str; 2] = ["epoll", "kevent"];

fn title<'a>(titles: &[(&str, &'a str)], name: &'a str) -> &'a str {
    let found = titles.iter().find(|(known, _)| *known == name);
    found.map_or(name, |(_, title)| title)
}

/// The sum of a number in all lines of a program, a case and a column, and how many there are.
fn sum(results: &Results, kind: &str, place: [&str; 3], key: &str) -> Option<(f64, f64)> {
    let is_it = |words: &Words<'_>| {
        let found = ["program", "case", "column"].map(|key| words.text(key).unwrap_or_default());
        found == place
    };
    let numbers: Vec<f64> = results
        .of(kind)
        .filter(is_it)
        .filter_map(|words| words.number(key).ok())
        .collect();
    (!numbers.is_empty()).then(|| (numbers.iter().sum(), numbers.len() as f64))
}

/// Programs: what was answered, how fast, and by how much work.
pub fn programs(results: &Results) -> Result<String> {
    let mut rows = String::from(
        "| program | connections | right answers | queues | calls, epoll | kevent | for events, epoll \
         | kevent | instructions, epoll | kevent | ratio | requests/s, epoll | kevent | by benchmark, epoll \
         | kevent |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut places: Vec<[&str; 2]> = Vec::new();
    let answered: Vec<Words<'_>> = results.of("ANSWERS").collect();
    for words in &answered {
        let place = [words.text("program")?, words.text("case")?];
        if !places.contains(&place) {
            places.push(place);
        }
    }
    for [program, case] in places {
        let of = |kind, key| COLUMNS.map(|column| sum(results, kind, [program, case, column], key));
        let all = |kind, key| {
            of(kind, key)
                .into_iter()
                .flatten()
                .map(|(sum, _)| sum)
                .sum::<f64>()
        };
        let answers = all("ANSWERS", "answers") + all("RATE", "answers") + all("COST", "answers");
        let queues = results.of("QUEUES").find(|words| {
            words.text("program").ok() == Some(program)
                && words.text("column").ok() == Some("kevent")
        });
        let queues = queues.context("no queues")?.number("kevent")?;
        let mean = |kind, key| of(kind, key).map(|found| found.map(|(sum, count)| sum / count));
        let each = |kind, key| {
            let (sums, answers) = (of(kind, key), of(kind, "answers"));
            [0, 1].map(|at| Some(sums[at]?.0 / answers[at]?.0))
        };
        let cost = each("COST", "time");
        let ratio = cost[1].zip(cost[0]).map(|(kevent, epoll)| kevent / epoll);
        let mut cells = vec![
            title(&TITLES, program).to_owned(),
            title(&CASES, case).to_owned(),
            format!("{answers:.0}"),
            format!("{queues:.0}"),
        ];
        cells.extend(each("ANSWERS", "calls").map(|calls| shown(calls, 2)));
        cells.extend(each("ANSWERS", "events").map(|calls| shown(calls, 2)));
        cells.extend(cost.map(|time| shown(time, 0)));
        cells.push(shown(ratio, 2));
        let rate = |time: Option<f64>| time.map(|time| 1e9 / time);
        cells.extend(each("COST", "all").map(|time| shown(rate(time), 0)));
        cells.extend(mean("RATE", "rate").map(|rate| shown(rate, 0)));
        rows.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    Ok(rows)
}

fn shown(number: Option<f64>, digits: usize) -> String {
    number.map_or(String::new(), |number| format!("{number:.digits$}"))
}

/// Tests of packages.
pub fn suites(results: &Results) -> Result<String> {
    let mut rows = String::from(
        "| suite | tests | passed, epoll | kevent | skipped, epoll | kevent | failed, epoll | kevent \
         | differ |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for words in results.of("SUITE") {
        let mut cells = vec![
            words.text("suite")?.to_owned(),
            words.text("tests")?.to_owned(),
        ];
        for what in ["passed", "skipped", "failed"] {
            for column in COLUMNS {
                cells.push(words.text(&format!("{column}-{what}"))?.to_owned());
            }
        }
        cells.push(words.text("differ")?.to_owned());
        rows.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    Ok(rows)
}

/// The packages that were run.
pub fn versions(results: &Results) -> Result<String> {
    let versions = results.of("VERSION");
    let versions = versions.map(|words| {
        let (package, version) = (words.text("package")?, words.text("version")?);
        Ok(format!("{package} {version}"))
    });
    let versions = versions.collect::<Result<Vec<_>>>()?;
    Ok(format!("{}.\n", versions.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::results::Line;
    use super::*;

    fn results(text: &str) -> Results {
        Results(text.lines().filter_map(Line::parse).collect())
    }

    #[test]
    fn a_row_has_both() {
        let results = results(
            "ANSWERS program=nginx case=kept column=epoll answers=100 calls=300 events=100 time=5\n\
             ANSWERS program=nginx case=kept column=kevent answers=100 calls=400 events=200 time=5\n\
             QUEUES program=nginx column=epoll epoll=2 kevent=0 watched=5\n\
             QUEUES program=nginx column=kevent epoll=0 kevent=2 watched=5\n\
             RATE program=nginx case=kept column=epoll answers=50 rate=100\n\
             RATE program=nginx case=kept column=epoll answers=50 rate=200\n\
             RATE program=nginx case=kept column=kevent answers=50 rate=140\n\
             COST program=nginx case=kept column=epoll answers=10 time=100000 all=1000000\n\
             COST program=nginx case=kept column=kevent answers=10 time=110000 all=1250000\n",
        );
        let table = programs(&results).unwrap();
        let row = "| nginx, 2 workers | kept | 370 | 2 | 3.00 | 4.00 | 1.00 | 2.00 | 10000 | 11000 | 1.10 | 10000 \
                   | 8000 | 150 | 140 |";
        assert_eq!(table.lines().last(), Some(row));
    }

    #[test]
    fn another_verb_may_bring_a_row() {
        let results = results(
            "ANSWERS program=hyper_on_tokio case=kept column=epoll answers=1 calls=3 events=1\n\
             QUEUES program=hyper_on_tokio column=kevent epoll=0 kevent=1 watched=5\n",
        );
        let table = programs(&results).unwrap();
        let row = "| hyper_on_tokio | kept | 1 | 1 | 3.00 |  | 1.00 |  |  |  |  |  |  |  |  |";
        assert_eq!(table.lines().last(), Some(row));
    }

    #[test]
    fn a_suite_has_a_row() {
        let results = results(
            "SUITE suite=test_epoll tests=9 epoll-passed=8 epoll-skipped=1 epoll-failed=0 \
             kevent-passed=7 kevent-skipped=1 kevent-failed=1 differ=1\n",
        );
        let table = suites(&results).unwrap();
        assert_eq!(
            table.lines().last(),
            Some("| test_epoll | 9 | 8 | 7 | 1 | 1 | 0 | 1 | 1 |")
        );
    }
}
