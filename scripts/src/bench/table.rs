//! The results for people: one table for each workload.

use comfy_table::{CellAlignment, Table, presets};

use super::measured::{Measured, NONE, Workload};

pub fn show(measured: &Measured) -> String {
    written(measured, "", presets::UTF8_BORDERS_ONLY)
}

/// The same, in Markdown.
pub fn page(measured: &Measured) -> String {
    written(measured, "\n", presets::ASCII_MARKDOWN)
}

fn written(measured: &Measured, between: &str, preset: &str) -> String {
    let made = &measured.made;
    let mut text = format!(
        "Linux {}, clang {}, rustc {}, gcc {}, QEMU {}, {}; all numbers are per event\n",
        made.linux,
        made.clang,
        made.rustc,
        made.gcc,
        made.qemu,
        made.config.join(" + ")
    );
    for workload in &measured.workloads {
        let mut table = table(workload);
        let table = table.load_preset(preset);
        text.push_str(&format!("\n{}\n{between}{table}\n", workload.name));
    }
    text.truncate(text.trim_end().len());
    text
}

fn table(workload: &Workload) -> Table {
    let mut table = Table::new();
    table.set_header([
        "peer",
        &*workload.unit,
        "of them for the event",
        "system calls",
        "switches",
        "x best peer",
    ]);
    let best = workload.best_peer();
    for cost in &workload.costs {
        let added = workload.added(cost);
        let ratio = best.filter(|_| cost.peer != NONE).map(|best| added / best);
        table.add_row([
            cost.peer.clone(),
            format!("{:.0}", cost.cost),
            format!("{added:.0}"),
            format!("{:.2}", cost.calls),
            format!("{:.3}", cost.switches),
            ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
        ]);
    }
    for column in 1..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// One event of each case.
pub fn show_steps(events: &[super::step::Event]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(["peer", "instructions", "locked"]);
    for event in events {
        table.add_row([
            event.name.to_owned(),
            format!("{:.0}", event.instructions),
            format!("{:.1}", event.locked),
        ]);
    }
    format!("One eventfd fires once and is taken, stepped through, or what is said:\n\n{table}\n")
}

#[cfg(test)]
mod tests {
    use super::super::measured::{Cost, Made};
    use super::*;

    #[test]
    fn losing_cases_stay() {
        let cost = |peer: &str, instructions| Cost {
            peer: peer.to_owned(),
            events: 64,
            cost: instructions,
            calls: 1.0,
            switches: 0.0,
        };
        let text = show(&Measured {
            made: Made {
                linux: "7.3.4".to_owned(),
                clang: "22.1.8".to_owned(),
                rustc: "1.96.0".to_owned(),
                qemu: "7.2.0".to_owned(),
                gcc: "12.2.0".to_owned(),
                config: vec!["kernel.config".to_owned()],
            },
            workloads: vec![Workload {
                name: "one".to_owned(),
                unit: "instructions".to_owned(),
                costs: vec![
                    cost("none", 400.0),
                    cost("kevent", 1200.0),
                    cost("epoll-et", 800.0),
                ],
            }],
        });
        let row = |peer: &str| text.lines().find(|line| line.contains(peer)).unwrap();
        assert!(
            row("│ kevent")
                .trim_end_matches(['│', ' '])
                .ends_with("2.00"),
            "{text}"
        );
        assert!(
            row("epoll-et")
                .trim_end_matches(['│', ' '])
                .ends_with("1.00"),
            "{text}"
        );
    }
}
