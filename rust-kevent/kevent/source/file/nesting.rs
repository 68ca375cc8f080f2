// SPDX-License-Identifier: GPL-2.0

//! Queues that watch queues.
//!
//! The level of a queue is 0 when it watches none, else one more than that of the highest queue it
//! watches. No level may pass [`DEPTH`]; on a cycle levels would rise for ever, so a cycle is
//! refused by the same rule. The graph knows queues by number only, and keeps nothing alive.

use crate::{
    kevent::array::accounted,
    prelude::*,
    rbtree::RBTree,
    sync::global_lock, //
};

/// The highest level.
const DEPTH: u32 = 4;

/// One queue watches another: (from, to, id).
type Edge = (u64, u64, u64);

struct Graph {
    /// From the watching to the watched.
    below: RBTree<Edge, ()>,
    /// From the watched to the watching.
    above: RBTree<Edge, ()>,
    /// Levels other than 0.
    levels: RBTree<u64, u32>,
}

global_lock! {
    // SAFETY: Initialized by `init()`, before there is a queue.
    unsafe(uninit) static QUEUE_GRAPH: Mutex<Option<Graph>> = None;
}

/// Prepares the graph.
///
/// # Safety
///
/// Must be called once, before all else in this module.
pub(super) unsafe fn init() {
    // SAFETY: By the safety requirement.
    unsafe { QUEUE_GRAPH.init() };
}

fn next(edges: &RBTree<Edge, ()>, from: u64, after: Option<Edge>) -> Option<Edge> {
    let start = match after {
        None => (from, 0, 0),
        Some((from, to, id)) => (from, to, id.checked_add(1)?),
    };
    let cursor = edges.cursor_lower_bound(&start)?;
    let edge = *cursor.current().0;
    (edge.0 == from).then_some(edge)
}

impl Graph {
    fn level(&self, queue: u64) -> u32 {
        self.levels.get(&queue).copied().unwrap_or(0)
    }

    fn set_level(&mut self, queue: u64, level: u32) -> Result {
        if level == 0 {
            self.levels.remove(&queue);
        } else if let Some(old) = self.levels.get_mut(&queue) {
            *old = level;
        } else {
            self.levels
                .try_create_and_insert(queue, level, accounted())?;
        }
        Ok(())
    }

    /// Computes the level of a queue anew, and of those above it where it changed.
    fn update(&mut self, queue: u64) -> Result {
        let mut level = 0;
        let mut edge = next(&self.below, queue, None);
        while let Some(found) = edge {
            level = level.max(self.level(found.1).saturating_add(1));
            edge = next(&self.below, queue, edge);
        }
        if level > DEPTH {
            return Err(ELOOP);
        }
        if level == self.level(queue) {
            return Ok(());
        }
        self.set_level(queue, level)?;
        // No deeper than DEPTH while levels rise, and none falls below 0.
        let mut edge = next(&self.above, queue, None);
        while let Some(found) = edge {
            self.update(found.1)?;
            edge = next(&self.above, queue, edge);
        }
        Ok(())
    }

    fn remove(&mut self, outer: u64, inner: u64, id: u64) {
        self.below.remove(&(outer, inner, id));
        self.above.remove(&(inner, outer, id));
        // Levels that only fall need no memory, and pass no limit.
        let _ = self.update(outer);
    }
}

/// That one queue watches another, until it is dropped.
pub(super) struct Nested {
    outer: u64,
    inner: u64,
    id: u64,
}

impl Nested {
    /// `outer` begins to watch `inner` as `id`. [`ELOOP`] if that is too deep, or a cycle.
    pub(super) fn new(outer: u64, inner: u64, id: u64) -> Result<Self> {
        if outer == inner {
            return Err(ELOOP);
        }
        let mut guard = QUEUE_GRAPH.lock();
        let graph = guard.get_or_insert_with(|| Graph {
            below: RBTree::new(),
            above: RBTree::new(),
            levels: RBTree::new(),
        });
        graph
            .below
            .try_create_and_insert((outer, inner, id), (), accounted())?;
        if let Err(error) = graph
            .above
            .try_create_and_insert((inner, outer, id), (), accounted())
            .and_then(|_| graph.update(outer))
        {
            graph.remove(outer, inner, id);
            return Err(error);
        }
        Ok(Nested { outer, inner, id })
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        if let Some(graph) = &mut *QUEUE_GRAPH.lock() {
            graph.remove(self.outer, self.inner, self.id);
        }
    }
}
