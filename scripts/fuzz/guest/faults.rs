//! Lets `fail-nth` reach what programs ask the kernel for.

use std::fs;
use std::path::Path;

const DEBUG: &str = "/sys/kernel/debug";

/// By default most allocations are spared, and each fault is told of on the console.
const SETTINGS: [(&str, &str); 7] = [
    ("failslab/ignore-gfp-wait", "N"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("fail_page_alloc/verbose", "0"),
    ("fail_usercopy/verbose", "0"),
];

/// A kernel without faults has none of the files.
pub fn allow() {
    for (name, value) in SETTINGS {
        let _ = fs::write(Path::new(DEBUG).join(name), value);
    }
}
