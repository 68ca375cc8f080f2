// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The protocol of a ring. `word.rs` is the kernel's own file; `consumer.rs` is walked through every
//! interleaving with the kernel's side, under loom, by the model in `scripts/model`.

#[allow(dead_code)]
pub(crate) mod consumer;
#[allow(dead_code)]
pub(crate) mod word;
