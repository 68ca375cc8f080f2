//! What of the series was reached.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use comfy_table::{CellAlignment, Table, presets};

use super::points::{Line, Points};
use super::told::Told;

/// How often something is there, and how often it was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub all: usize,
    pub by_tasks: usize,
    pub elsewhere: usize,
}

impl Count {
    pub fn never(&self) -> usize {
        self.all - self.by_tasks - self.elsewhere
    }

    fn add(&mut self, how: How) {
        self.all += 1;
        self.by_tasks += usize::from(how == How::ByTask);
        self.elsewhere += usize::from(how == How::Elsewhere);
    }
}

/// How a place was reached. A line is as the best of its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    Never,
    /// In an interrupt, by the kernel's own threads, or by init.
    Elsewhere,
    ByTask,
}

/// Places and lines, and how they were reached.
pub struct Coverage {
    places: Vec<(Line, How)>,
    /// How many places nobody can reach, and so do not count.
    pub unused: usize,
    pub lines: BTreeMap<Line, How>,
}

impl Coverage {
    pub fn of(points: &Points, told: &Told) -> Result<Coverage> {
        let reached = |at: &&u64| told.by_tasks.contains(at) || told.anywhere.contains(at);
        let wrong = points.unused().iter().find(reached);
        ensure!(
            wrong.is_none(),
            "a place of a function that nobody refers to was reached: {wrong:x?}"
        );
        let how = |address: u64| match told.by_tasks.contains(&address) {
            true => How::ByTask,
            false if told.anywhere.contains(&address) => How::Elsewhere,
            false => How::Never,
        };
        let places: Vec<(Line, How)> = points
            .iter()
            .map(|(address, line)| (line.clone(), how(address)))
            .collect();
        let mut lines = BTreeMap::new();
        for (line, how) in &places {
            let best = lines.entry(line.clone()).or_insert(*how);
            *best = (*best).max(*how);
        }
        Ok(Coverage {
            places,
            unused: points.unused().len(),
            lines,
        })
    }

    /// By file: places, and lines.
    pub fn files(&self) -> BTreeMap<&str, (Count, Count)> {
        let mut files: BTreeMap<&str, (Count, Count)> = BTreeMap::new();
        for (line, how) in &self.places {
            files.entry(&line.file).or_default().0.add(*how);
        }
        for (line, how) in &self.lines {
            files.entry(&line.file).or_default().1.add(*how);
        }
        files
    }

    pub fn total(&self) -> (Count, Count) {
        let mut total = (Count::default(), Count::default());
        self.places.iter().for_each(|(_, how)| total.0.add(*how));
        self.lines.values().for_each(|how| total.1.add(*how));
        total
    }

    /// The rows of the table: one for each file, and their sum.
    pub fn rows(&self) -> Vec<[String; 7]> {
        let mut rows: Vec<[String; 7]> = Vec::new();
        let total = self.total();
        let files = self.files().into_iter();
        for (file, (places, lines)) in files.chain([("all", total)]) {
            rows.push([
                file.to_owned(),
                places.all.to_string(),
                percent(places.by_tasks, places.all),
                percent(places.by_tasks + places.elsewhere, places.all),
                lines.all.to_string(),
                lines.elsewhere.to_string(),
                lines.never().to_string(),
            ]);
        }
        rows
    }

    pub const HEAD: [&str; 7] = [
        "file",
        "places",
        "by tasks",
        "in any context",
        "lines",
        "only elsewhere",
        "never",
    ];

    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(Self::HEAD);
        table.add_rows(self.rows());
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

fn percent(part: usize, all: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / all.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u32) -> Line {
        Line {
            file: "fs/kevent.c".to_owned(),
            number,
        }
    }

    #[test]
    fn a_line_is_as_its_best_place() {
        let points = Points::new([
            (1, line(1)),
            (2, line(1)),
            (3, line(2)),
            (4, line(3)),
            (5, line(4)),
        ]);
        let told = Told {
            by_tasks: [1, 3].into(),
            anywhere: [1, 2, 3, 4].into(),
            ..Told::default()
        };
        let coverage = Coverage::of(&points, &told).unwrap();
        let hows: Vec<How> = coverage.lines.values().copied().collect();
        assert_eq!(hows, [How::ByTask, How::ByTask, How::Elsewhere, How::Never]);
        let (places, lines) = coverage.total();
        assert_eq!(
            places,
            Count {
                all: 5,
                by_tasks: 2,
                elsewhere: 2
            }
        );
        assert_eq!(
            lines,
            Count {
                all: 4,
                by_tasks: 2,
                elsewhere: 1
            }
        );
        assert_eq!((places.never(), lines.never()), (1, 1));
        let rows = coverage.rows();
        assert_eq!(rows[1], ["all", "5", "40.0 %", "80.0 %", "4", "1", "1"]);
    }

    #[test]
    fn what_nobody_runs_was_not_reached() {
        let points = Points::new([(1, line(1))]).without([2, 3]);
        let told = |at: u64| Told {
            anywhere: [at].into(),
            ..Told::default()
        };
        assert_eq!(Coverage::of(&points, &told(1)).unwrap().unused, 2);
        assert!(Coverage::of(&points, &told(2)).is_err());
    }
}
