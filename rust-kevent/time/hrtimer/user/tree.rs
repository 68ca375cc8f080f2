// SPDX-License-Identifier: GPL-2.0

//! Timers in the order in which they expire.

use crate::bindings;
use core::ptr::{
    null_mut,
    with_exposed_provenance_mut,
    NonNull, //
};

/// What a timer has in a tree.
#[repr(C)]
pub(super) struct Node {
    // First, so that a pointer to it is one to the node.
    links: bindings::rb_node,
    expires: i64,
}

/// Nodes by their expiry; those with the same one in the order in which they came.
///
/// Timers that are all started for the same time from then on come in order, so the last one is
/// tried before the tree is searched.
///
/// # Invariants
///
/// All nodes in it are valid, and only accessed by who has the tree. `first` and `last` are its
/// ends, or null if it is empty.
pub(super) struct Tree {
    root: bindings::rb_root,
    first: *mut Node,
    last: *mut Node,
}

// SAFETY: Nodes are not bound to a thread, and belong to who has the tree.
unsafe impl Send for Tree {}

impl Tree {
    /// An empty tree.
    pub(super) const fn new() -> Self {
        Tree {
            root: bindings::rb_root {
                rb_node: null_mut(),
            },
            first: null_mut(),
            last: null_mut(),
        }
    }

    /// The node that expires first.
    #[inline]
    pub(super) fn first(&self) -> Option<NonNull<Node>> {
        NonNull::new(self.first)
    }

    /// When the first one expires.
    #[inline]
    pub(super) fn soonest(&self) -> Option<i64> {
        // SAFETY: By the type invariant.
        self.first().map(|first| unsafe { first.as_ref() }.expires)
    }

    /// When `node` expires.
    ///
    /// # Safety
    ///
    /// It must be in this tree.
    #[inline]
    pub(super) unsafe fn expires(&self, node: NonNull<Node>) -> i64 {
        // SAFETY: By the type invariant.
        unsafe { node.as_ref() }.expires
    }

    /// Puts a node in.
    ///
    /// # Safety
    ///
    /// It must be in no tree, and valid until it is taken out.
    pub(super) unsafe fn link(&mut self, node: NonNull<Node>, expires: i64) {
        let node = node.as_ptr();
        let last = self.last;
        let mut parent: *mut bindings::rb_node = null_mut();
        let mut place = &raw mut self.root.rb_node;
        // INVARIANT: It is an end if it is before or after what was one, or alone.
        //
        // SAFETY: By the type invariant, all nodes that are reached are valid. The new one is in no
        // tree by the safety requirement, and so it is ours.
        unsafe {
            (&raw mut (*node).expires).write(expires);
            if last.is_null() {
                self.first = node;
                self.last = node;
            } else if (*last).expires <= expires {
                parent = last.cast();
                place = &raw mut (*parent).rb_right;
                self.last = node;
            } else {
                if expires < (*self.first).expires {
                    self.first = node;
                }
                while !(*place).is_null() {
                    parent = *place;
                    place = if expires < (*parent.cast::<Node>()).expires {
                        &raw mut (*parent).rb_left
                    } else {
                        &raw mut (*parent).rb_right
                    };
                }
            }
            bindings::rb_link_node(node.cast(), parent, place);
            bindings::rb_insert_color(node.cast(), &mut self.root);
        }
    }

    /// The node beside the first or last one, or null.
    ///
    /// # Safety
    ///
    /// `end` must be the first or last node.
    #[inline]
    unsafe fn beside(end: *const Node) -> *mut Node {
        // SAFETY: By the safety requirement.
        let links = unsafe { &(*end).links };
        // On one side is nothing, so the other has one node at most: more would not be balanced.
        for child in [links.rb_right, links.rb_left] {
            if !child.is_null() {
                return child.cast();
            }
        }
        // The parent, without the colour.
        with_exposed_provenance_mut(links.__rb_parent_color & !3)
    }

    /// Takes a node out.
    ///
    /// # Safety
    ///
    /// It must be in this tree.
    pub(super) unsafe fn unlink(&mut self, node: NonNull<Node>) {
        let node = node.as_ptr();
        // INVARIANT: The neighbour of an end becomes the end.
        //
        // SAFETY: By the safety requirement and the type invariant.
        unsafe {
            if self.first == node {
                self.first = Self::beside(node);
                if self.first.is_null() {
                    self.last = null_mut();
                }
            } else if self.last == node {
                self.last = Self::beside(node);
            }
            bindings::rb_erase(node.cast(), &mut self.root);
        }
    }
}
