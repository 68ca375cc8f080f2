//! Programs of calls that meet in kevent: how they are chosen, changed, made smaller, kept and
//! written in C. `guest/` runs them, `cargo xtask fuzz` runs that.

pub mod call;
mod choose;
pub mod corpus;
pub mod message;
pub mod minimise;
pub mod mutate;
pub mod program;
pub mod recipe;
pub mod record;
pub mod reproducer;
pub mod values;

pub use choose::Dice;
