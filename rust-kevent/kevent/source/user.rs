// SPDX-License-Identifier: GPL-2.0

//! Events that READY fires, from any thread.
//!
//! They have no state, so level and edge are one. Masks are ORed, and the datum is a sum.

use super::{
    injected,
    Source,
    Untied, //
};
use crate::{
    kevent::{
        event::{
            Event,
            Fired,
            DATA_CLOSED,
            RET_COUNTED,
            RET_DONE, //
        },
        queue::New,
        registration::Nature, //
    },
    prelude::*, //
};

/// The source of user events.
pub(crate) struct User;

impl Source for User {
    type Tie = Untied;

    fn check(&self, request: &Event) -> Result {
        if request.param != [0; 2] {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn add(&self, new: &mut New<'_>, _request: &Event) -> Result {
        new.insert(Nature::Plain)
    }

    fn ready(&self, registration: &Event, request: &Event) -> Result<Fired> {
        if request.data & DATA_CLOSED != 0 {
            return Err(EINVAL);
        }
        Ok(Fired {
            mask: injected(registration, request),
            result: RET_DONE | RET_COUNTED,
            data: request.data,
            error: 0,
        })
    }
}
