//! Fragments of a kernel configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// What the fragments want: the value of each symbol and the fragment that says so.
#[derive(Debug, Default)]
pub struct Wanted {
    symbols: BTreeMap<String, (String, PathBuf)>,
}

/// Reads the fragments; a later one wins.
pub fn merge(fragments: &[PathBuf]) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    for path in fragments {
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        wanted.add(&text, path)?;
    }
    Ok(wanted)
}

impl Wanted {
    /// Adds the lines of a fragment; they win over those that are there.
    pub fn add(&mut self, text: &str, path: &Path) -> Result<()> {
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end();
            match parse(line) {
                Some((symbol, value)) => {
                    let from = (value.to_owned(), path.to_owned());
                    self.symbols.insert(symbol.to_owned(), from);
                }
                None => ensure!(
                    line.is_empty() || line.starts_with('#'),
                    "{}:{}: `{line}` is neither a symbol nor a comment",
                    path.display(),
                    number + 1
                ),
            }
        }
        Ok(())
    }

    /// Wants nothing of a symbol any more.
    pub fn remove(&mut self, symbol: &str) {
        self.symbols.remove(symbol);
    }

    /// All of it as one fragment.
    pub fn text(&self) -> String {
        let lines = self
            .symbols
            .iter()
            .map(|(symbol, (value, _))| line(symbol, value));
        lines.collect()
    }

    /// Fails with each wanted line that the configuration `result` has not.
    pub fn check(&self, result: &str) -> Result<()> {
        let there: BTreeMap<&str, &str> = result.lines().filter_map(parse).collect();
        let mut lost = String::new();
        for (symbol, (value, path)) in &self.symbols {
            // A symbol that is not there at all is not set.
            let got = there.get(symbol.as_str()).copied().unwrap_or("n");
            if got != value {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let (want, got) = (line(symbol, value), line(symbol, got));
                lost.push_str(&format!(
                    "\n  {} ({name}): it is `{}`",
                    want.trim(),
                    got.trim()
                ));
            }
        }
        if !lost.is_empty() {
            bail!("the configuration lost what was wanted; does a dependency lack?{lost}");
        }
        Ok(())
    }
}

fn line(symbol: &str, value: &str) -> String {
    match value {
        "n" => format!("# {symbol} is not set\n"),
        _ => format!("{symbol}={value}\n"),
    }
}

/// The symbol and value of a line; "n" where it is not set.
fn parse(line: &str) -> Option<(&str, &str)> {
    let (symbol, value) = match line.strip_prefix("# ") {
        Some(rest) => (rest.strip_suffix(" is not set")?, "n"),
        None => line.split_once('=')?,
    };
    let name = symbol.strip_prefix("CONFIG_")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(plain)).then_some((symbol, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(texts: &[&str]) -> Wanted {
        let mut wanted = Wanted::default();
        for text in texts {
            wanted.add(text, Path::new("qemu/kernel.config")).unwrap();
        }
        wanted
    }

    const ONE: &str = "# a comment\n\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_N=\"x y\"\n";

    #[test]
    fn later_fragments_win() {
        let both = wanted(&[ONE, "CONFIG_B=y\n# CONFIG_A is not set\n"]);
        assert_eq!(
            both.text(),
            "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_N=\"x y\"\n"
        );
        let mut both = both;
        both.remove("CONFIG_B");
        assert_eq!(both.text(), "# CONFIG_A is not set\nCONFIG_N=\"x y\"\n");
    }

    #[test]
    fn every_line_must_survive() {
        let one = wanted(&[ONE]);
        one.check("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_N=\"x y\"\n")
            .unwrap();
        one.check("CONFIG_A=y\nCONFIG_N=\"x y\"\n").unwrap();
        let fails = |result: &str| format!("{:#}", one.check(result).unwrap_err());
        let text = fails("CONFIG_B=y\nCONFIG_N=\"x y\"\n");
        assert!(
            text.contains("CONFIG_A=y (kernel.config): it is `# CONFIG_A is not set`"),
            "{text}"
        );
        assert!(
            text.contains("# CONFIG_B is not set (kernel.config): it is `CONFIG_B=y`"),
            "{text}"
        );
        assert!(!text.contains("CONFIG_N"), "{text}");
        assert!(fails("CONFIG_A=m\nCONFIG_N=\"x y\"\n").contains("it is `CONFIG_A=m`"));
    }

    #[test]
    fn other_lines_are_refused() {
        let mut wanted = Wanted::default();
        let error = wanted.add("CONFIG_A=y\nA=y\n", Path::new("f")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "f:2: `A=y` is neither a symbol nor a comment"
        );
    }
}
