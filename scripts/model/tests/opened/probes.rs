// SPDX-License-Identifier: GPL-2.0

//! How far keys are from where a lookup begins.

use super::{
    used,
    Keys, //
};

impl Keys {
    /// In the mean, in places.
    pub fn mean_distance(&self) -> f64 {
        let places = self.places.as_ref().expect("keys");
        let distance = |index: usize| {
            let place = places.get(index).filter(|place| place.hash != 0)?;
            Some(index.wrapping_sub(place.hash as usize) & self.mask)
        };
        let sum: usize = (0..places.len()).filter_map(distance).sum();
        sum as f64 / used(places).count() as f64
    }
}
