//! The guest: what is packed into it, how QEMU runs it, and what its results mean.

pub mod bench;
pub mod boot;
pub mod exec;
pub mod initramfs;
mod ktap;
mod program;
pub mod programs;
mod protocol;
pub mod results;
pub mod selftests;
pub mod session;
pub mod splat;
mod suite;
pub mod table;
mod tap;

/// The selftest that measures.
pub const BENCH: &str = "bench";

pub use protocol::Message;
