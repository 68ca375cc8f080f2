//! Warnings in what compilers and other tools write.

use std::collections::BTreeSet;

/// The most lines of one warning that are kept.
const LINES: usize = 12;

/// One warning with the lines that explain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub text: String,
}

impl Warning {
    /// The same wherever in its file it is: without the numbers of lines and columns.
    pub fn key(&self) -> String {
        let tells = |line: &&str| is_head(line) || line.trim_start().starts_with("--> ");
        let lines: Vec<String> = self.text.lines().filter(tells).map(without_place).collect();
        lines.join("\n")
    }
}

/// The warnings, and errors that did not end the run, as sparse has them.
pub fn find(text: &str) -> Vec<Warning> {
    let mut found: Vec<Warning> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if is_head(line) {
            let text = line.to_owned();
            found.push(Warning { text });
            open = true;
        } else if line.trim().is_empty() || crate::build::state::is_progress(line) {
            open = false;
        } else if let Some(warning) = found.last_mut().filter(|_| open) {
            if warning.text.lines().count() < LINES {
                warning.text.push('\n');
                warning.text.push_str(line);
            }
        }
    }
    // "3 warnings emitted" and the like say nothing new.
    found.retain(|warning| !warning.text.contains(" emitted"));
    found
}

/// Those that `known` has not, each once.
pub fn new(found: Vec<Warning>, known: &BTreeSet<String>) -> Vec<String> {
    let mut seen = known.clone();
    let new = found
        .into_iter()
        .filter(|warning| seen.insert(warning.key()));
    new.map(|warning| warning.text).collect()
}

fn is_head(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["warning:", "error:", "error[", "warning["]
        .iter()
        .any(|word| match line.find(word) {
            Some(0) => true,
            Some(at) => line[..at].ends_with(' ') || line[..at].ends_with(':'),
            None => false,
        })
}

/// The line without ":12:34".
fn without_place(line: &str) -> String {
    let mut parts = line.split(':');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut text, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_place = rest.len() < part.len() && (rest.is_empty() || rest.starts_with(' '));
        if !is_place {
            text.push(':');
        }
        text.push_str(if is_place { rest } else { part });
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "  CC      a.o\nfs/a.c:3:1: warning: unused [-Wx]\n    3 | x\n  CC      b.o\n\
                        warning: clippy says\n --> rust/a.rs:1:2\n  |\n\nwarning: 1 warning emitted\n\
                        fs/b.c:1:2: error: from sparse\n";

    #[test]
    fn warnings_have_their_lines() {
        let found = find(TEXT);
        let heads: Vec<&str> = found
            .iter()
            .map(|w| w.text.lines().next().unwrap())
            .collect();
        assert_eq!(
            heads,
            [
                "fs/a.c:3:1: warning: unused [-Wx]",
                "warning: clippy says",
                "fs/b.c:1:2: error: from sparse"
            ]
        );
        assert_eq!(found[1].key(), "warning: clippy says\n --> rust/a.rs");
        assert_eq!(found[0].text.lines().count(), 2);
    }

    #[test]
    fn what_the_base_has_too_is_not_new() {
        let moved = TEXT.replace("fs/a.c:3:1", "fs/a.c:9:7");
        let known: BTreeSet<String> = find(TEXT).iter().map(Warning::key).collect();
        assert!(new(find(&moved), &known).is_empty());
        let two = format!("{TEXT}{TEXT}fs/a.c:3:1: warning: other\n");
        assert_eq!(new(find(&two), &known), ["fs/a.c:3:1: warning: other"]);
    }

    #[test]
    fn keys_have_no_places() {
        assert_eq!(
            without_place("Warning: a.h:12 struct member 'x:3'"),
            "Warning: a.h struct member 'x:3'"
        );
        assert_eq!(without_place("a.c:3:1: warning: 4k"), "a.c: warning: 4k");
    }

    #[test]
    fn a_word_is_no_warning() {
        assert!(find("warnings: 0\nno error here\n  CHECK   fs/a.c\n").is_empty());
    }
}
