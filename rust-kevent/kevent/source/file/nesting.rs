// SPDX-License-Identifier: GPL-2.0

//! Queues that watch queues.
//!
//! The level of a queue is 0 when it watches none, else one more than that of the highest queue it
//! watches. No level may pass [`DEPTH`], and there is no cycle. The graph knows queues by number
//! only, and keeps nothing alive.
//!
//! However many registrations of one queue are for another, they are one edge. Each queue counts
//! the queues that it watches by their level, and so knows its own without a look at them. A
//! registration costs as much as there are edges above the outer queue if that changes its level,
//! else next to nothing.

use crate::{
    kevent::array::accounted,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    sync::global_lock, //
};

/// The highest level.
const DEPTH: usize = 4;

/// One queue is watched by another: (inner, outer).
type Edge = (u64, u64);

/// A queue that watches others.
#[derive(Default)]
struct Outer {
    level: usize,
    /// How many queues of each level it watches.
    inner: [usize; DEPTH],
    /// The level that it would have if an attempt succeeded, and the number of that.
    attempted: (u64, usize),
}

impl Outer {
    /// The number of queues of a level, which is below [`DEPTH`].
    fn change(&mut self, level: usize, by: isize) {
        if let Some(count) = self.inner.get_mut(level) {
            // Each of them takes memory.
            *count = count.wrapping_add_signed(by);
        }
    }
}

struct Graph {
    /// With how many registrations there are.
    edges: RBTree<Edge, usize>,
    /// Queues of a level other than 0, by number.
    outers: RBTree<u64, Outer>,
    /// Counts attempts.
    attempts: u64,
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

impl Graph {
    fn level(&self, queue: u64) -> usize {
        self.outers.get(&queue).map_or(0, |outer| outer.level)
    }

    /// The next queue that watches `inner`, after one of them.
    fn above(&self, inner: u64, after: Option<u64>) -> Option<u64> {
        let start = match after {
            None => 0,
            Some(outer) => outer.checked_add(1)?,
        };
        let cursor = self.edges.cursor_lower_bound(&(inner, start))?;
        let edge = cursor.current().0;
        (edge.0 == inner).then_some(edge.1)
    }

    /// Whether `queue` may have `level`, and the queues above it what follows from that, if it or
    /// they begin to watch `inner`. Changes nothing.
    ///
    /// Calls itself no deeper than levels rise. No queue is looked at again unless that makes it
    /// rise further. On the way to `inner`, if there is one, all do: they are below it.
    fn attempt(&mut self, queue: u64, level: usize, inner: u64) -> Result {
        if queue == inner || level > DEPTH {
            return Err(ELOOP);
        }
        let number = self.attempts;
        if let Some(outer) = self.outers.get_mut(&queue) {
            let old = match outer.attempted {
                (attempt, level) if attempt == number => level,
                _ => outer.level,
            };
            if level <= old {
                return Ok(());
            }
            outer.attempted = (number, level);
        }
        let mut next = self.above(queue, None);
        while let Some(outer) = next {
            self.attempt(outer, level.saturating_add(1), inner)?;
            next = self.above(queue, next);
        }
        Ok(())
    }

    /// Sets the level of a queue by what it watches, and those of the queues above it.
    ///
    /// Calls itself no deeper than there are levels: each queue is above the one before, by the old
    /// levels if they fall, by the new ones if they rise.
    fn settle(&mut self, queue: u64) {
        let Some(outer) = self.outers.get_mut(&queue) else {
            return;
        };
        let highest = outer.inner.iter().rposition(|count| *count != 0);
        let level = highest.map_or(0, |highest| highest.saturating_add(1));
        let old = core::mem::replace(&mut outer.level, level);
        if level == old {
            return;
        }
        let mut next = self.above(queue, None);
        while let Some(above) = next {
            if let Some(outer) = self.outers.get_mut(&above) {
                outer.change(old, -1);
                outer.change(level, 1);
            }
            self.settle(above);
            next = self.above(queue, next);
        }
    }

    fn add(
        &mut self,
        outer: u64,
        inner: u64,
        edge: RBTreeNode<Edge, usize>,
        node: RBTreeNodeReservation<u64, Outer>,
    ) -> Result {
        if let Some(count) = self.edges.get_mut(&(inner, outer)) {
            // Each of them takes memory.
            *count = count.wrapping_add(1);
            return Ok(());
        }
        let level = self.level(inner);
        self.attempts = self.attempts.wrapping_add(1);
        self.attempt(outer, level.saturating_add(1), inner)?;
        self.edges.insert(edge);
        if self.outers.get(&outer).is_none() {
            self.outers.insert(node.into_node(outer, Outer::default()));
        }
        if let Some(outer) = self.outers.get_mut(&outer) {
            outer.change(level, 1);
        }
        self.settle(outer);
        Ok(())
    }

    fn remove(&mut self, outer: u64, inner: u64) {
        let Some(count) = self.edges.get_mut(&(inner, outer)) else {
            return;
        };
        *count = count.wrapping_sub(1);
        if *count != 0 {
            return;
        }
        self.edges.remove(&(inner, outer));
        let level = self.level(inner);
        if let Some(outer) = self.outers.get_mut(&outer) {
            outer.change(level, -1);
        }
        self.settle(outer);
        if self.level(outer) == 0 {
            self.outers.remove(&outer);
        }
    }
}

/// That one queue watches another, until it is dropped.
pub(super) struct Nested {
    outer: u64,
    inner: u64,
}

impl Nested {
    /// `outer` begins to watch `inner`, once more if it does already. [`ELOOP`] if that is too
    /// deep, or a cycle.
    pub(super) fn new(outer: u64, inner: u64) -> Result<Self> {
        if outer == inner {
            return Err(ELOOP);
        }
        // Who waits for memory does not hold the mutex.
        let edge = RBTreeNode::new((inner, outer), 1, accounted())?;
        let node = RBTreeNodeReservation::new(accounted())?;
        QUEUE_GRAPH
            .lock()
            .get_or_insert_with(|| Graph {
                edges: RBTree::new(),
                outers: RBTree::new(),
                attempts: 0,
            })
            .add(outer, inner, edge, node)?;
        Ok(Nested { outer, inner })
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        if let Some(graph) = &mut *QUEUE_GRAPH.lock() {
            graph.remove(self.outer, self.inner);
        }
    }
}
