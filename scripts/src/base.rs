//! The pinned source of Linux, and what is known of it.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// `scripts/series/base.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The distribution whose source it is.
    pub distribution: String,
    /// The Debian package of the source.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its file.
    pub sha256: String,
    /// How the changes below were found out.
    pub how: String,
    #[serde(default)]
    pub distribution_changes: Vec<Change>,
}

/// What the distribution changes in one file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub file: String,
    pub what: String,
}

impl Pin {
    pub fn read(repo: &Path) -> Result<Pin> {
        let path = repo.join("scripts/series/base.toml");
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }
}

/// The release of Linux that a package version stands for: "7.3.4" of "7.3.4-1~bpo13+1".
pub fn release(version: &str) -> &str {
    version
        .rsplit_once('-')
        .map_or(version, |(upstream, _)| upstream)
}

/// Whether a package version is a release of the series that `package` is named after.
pub fn is_release_of(version: &str, package: &str) -> bool {
    let series = package.trim_start_matches(|c: char| !c.is_ascii_digit());
    let rest = release(version).strip_prefix(series);
    rest.is_some_and(|rest| {
        rest.is_empty()
            || rest
                .strip_prefix('.')
                .is_some_and(|y| y.parse::<u32>().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_versions() {
        assert_eq!(release("7.3.4-1~bpo13+1"), "7.3.4");
        let package = "linux-source-7.3";
        assert!(is_release_of("7.3.4-1~bpo13+1", package));
        assert!(is_release_of("7.3-1", package));
        assert!(!is_release_of("7.3~rc7-1~exp1", package));
        assert!(!is_release_of("7.31.1-1", package));
        assert!(!is_release_of("7.2.9-1", package));
    }
}
