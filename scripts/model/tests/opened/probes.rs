// SPDX-License-Identifier: GPL-2.0

//! How long the chains of keys are.

use super::{
    super::registration::{
        Handle,
        Table, //
    },
    Keys, //
};

impl Keys {
    /// How many of a chain a lookup of each of its keys passes, in the mean over all keys.
    pub fn mean_steps(&self, table: &Table) -> f64 {
        let mut steps = 0u64;
        for chain in 0..self.chains {
            let mut at = table.at(Table::<()>::nth_place(chain)).expect("a chain").first;
            let mut place = 0;
            while at != Handle::NOBODY {
                place += 1;
                steps += place;
                at = table.get(at).expect("a registration").after;
            }
        }
        steps as f64 / f64::from(self.len)
    }
}
