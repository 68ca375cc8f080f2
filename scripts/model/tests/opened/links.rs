// SPDX-License-Identifier: GPL-2.0

//! A state's ring and table, checked together.

use super::{
    super::ring::chains,
    Handle,
    Memory,
    State, //
};

impl<M: Memory> State<M> {
    /// `handles` are all registrations, those on the list of the dead included.
    pub fn check_chains(&self, handles: &[Handle]) {
        if let Some(ring) = &self.ring {
            chains::check(ring, &self.table, handles);
        }
    }
}
