// SPDX-License-Identifier: GPL-2.0

//! Queues that take turns at one file.
//!
//! Those that watch a file as EXCLUSIVE form a group, which the first one makes and the last one
//! leaves. Each member has its own entries on the wait queues. Whichever is woken, the group tells
//! the member whose turn it is and that is armed, and so keeps the wake-up from the entries behind.
//! A source that wakes all wakes each entry, and so tells each member.
//!
//! Each entry asks [`FEW`] members whose turn it is, and its own. So all are asked before a wake-up
//! has found nobody, and that takes no longer than a walk along the entries. Of those few, one that
//! is through with what it was told before comes first: the consumers of the others are not.
//!
//! # Locks
//!
//! `FILE_GROUPS` is a mutex below a queue's `control`. The lock of a group is taken in wake-ups,
//! below that of the wait queue and above those of the members' queues. Members come and go under
//! both. What that takes is allocated before, and with interrupts off it is no more than a step in
//! a tree, or [`FEW`].

use crate::{
    fs::LocalFile,
    kevent::{
        array::accounted,
        event::Fired,
        queue::{
            Queue,
            Target, //
        }, //
    },
    prelude::*,
    rbtree::{
        Entry,
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        global_lock,
        new_spinlock_irq,
        Arc,
        SpinLockIrq,
        UniqueArc, //
    }, //
};

global_lock! {
    // SAFETY: Initialized by `init()`, before there is a queue.
    unsafe(uninit) static FILE_GROUPS: Mutex<Option<RBTree<usize, Arc<Group>>>> = None;
}

/// Prepares the groups.
///
/// # Safety
///
/// Must be called once, before all else in this module.
pub(super) unsafe fn init() {
    // SAFETY: By the safety requirement.
    unsafe { FILE_GROUPS.init() };
}

/// Members that one entry asks in turn.
const FEW: usize = 8;

/// Which members a walk tells.
#[derive(Clone, Copy)]
enum Whom {
    /// Those that are through with what they were told before.
    Idle,
    /// All that are armed.
    Armed,
}

impl Whom {
    /// In the order in which they are tried.
    const EACH: [Self; 2] = [Whom::Idle, Whom::Armed];

    /// Tells a member, if it is one of these. Returns whether it is.
    ///
    /// Pollers of its queue are told later: who watches it may be in a group of its own.
    #[inline]
    fn tell(self, member: &Target, fired: &Fired, always: u32) -> bool {
        match self {
            Whom::Idle => Queue::report_if_idle(member, fired, always),
            Whom::Armed => Queue::report(member, fired, always, true, None).is_some(),
        }
    }
}

struct Turns {
    /// Members by their numbers.
    members: RBTree<u64, Target>,
    /// The least number that is not before whose turn it is.
    next: u64,
}

impl Turns {
    /// Tries `tell` with the next [`FEW`] members, up to one for whom it is true. Returns whether
    /// there is one, nothing if there are more to be tried.
    fn ask(&self, walk: &mut Walk, tell: impl Fn(&Target) -> bool) -> Option<bool> {
        for _ in 0..FEW {
            let mut turn = self.members.cursor_lower_bound(&walk.next);
            if turn.is_none() && !walk.wrapped {
                walk.wrapped = true;
                turn = self.members.cursor_front();
            }
            let Some(turn) = turn else {
                return Some(false);
            };
            let (number, member) = turn.current();
            if walk.wrapped && *number >= walk.begin {
                return Some(false);
            }
            walk.next = number.wrapping_add(1);
            if tell(member) {
                return Some(true);
            }
        }
        None
    }
}

/// A walk along all members.
struct Walk {
    begin: u64,
    /// The least number that is not before the next one.
    next: u64,
    wrapped: bool,
}

impl Walk {
    /// One that begins with whose turn it is.
    fn new(turns: &Turns) -> Self {
        Walk {
            begin: turns.next,
            next: turns.next,
            wrapped: false,
        }
    }
}

#[pin_data]
struct Group {
    #[pin]
    turns: SpinLockIrq<Turns>,
}

impl Group {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Group {
                turns <- new_spinlock_irq!(Turns {
                    members: RBTree::new(),
                    next: 0,
                }, "kevent_group"),
            }),
            accounted(),
        )
    }

    fn join(&self, member: RBTreeNode<u64, Target>) {
        self.turns.lock().members.insert(member);
    }

    /// Takes a member out. Returns whether it was the last one.
    fn leave(&self, number: u64) -> bool {
        let mut turns = self.turns.lock();
        let gone = turns.members.remove_node(&number);
        let last = turns.members.is_empty();
        drop(turns);
        // Its reference to the queue is dropped outside the lock.
        drop(gone);
        last
    }

    /// Tells one of the next [`FEW`] members. Returns whether one is armed.
    fn tell(&self, fired: &Fired, always: u32) -> bool {
        let mut turns = self.turns.lock();
        let mut walk = Walk::new(&turns);
        let told = Whom::EACH.into_iter().any(|whom| {
            walk = Walk::new(&turns);
            let tell = |member: &Target| whom.tell(member, fired, always);
            turns.ask(&mut walk, tell) == Some(true)
        });
        turns.next = walk.next;
        told
    }

    /// The same of all members. Interrupts are let in after each [`FEW`].
    fn tell_any(&self, fired: &Fired, always: u32) {
        let _ = Whom::EACH.into_iter().any(|whom| {
            let mut walk = Walk::new(&self.turns.lock());
            loop {
                let mut turns = self.turns.lock();
                let tell = |member: &Target| whom.tell(member, fired, always);
                if let Some(told) = turns.ask(&mut walk, tell) {
                    if told {
                        turns.next = walk.next;
                    }
                    return told;
                }
            }
        });
    }
}

/// A registration in its group.
pub(super) struct Member {
    /// What names the group: the address of the file, which stays as long as it has members.
    file: usize,
    group: Arc<Group>,
    /// Its place in the group. Those that come later have higher ones.
    number: u64,
    target: Target,
}

/// The number of the next member of any group.
static NUMBER: Atomic<u64> = Atomic::new(0);

impl Member {
    /// Joins the group of `file`, until it leaves.
    pub(super) fn new(file: &LocalFile, target: Target) -> Result<Arc<Self>> {
        let file = file.as_ptr().addr();
        let number = NUMBER.fetch_add(1, Relaxed);
        // Who waits for memory holds no lock.
        let turn = RBTreeNode::new(number, target.clone(), accounted())?;
        let place = UniqueArc::new_uninit(accounted())?;
        let mut made = None;
        loop {
            let mut guard = FILE_GROUPS.lock();
            let groups = guard.get_or_insert_with(RBTree::new);
            let group = match groups.entry(file) {
                Entry::Occupied(entry) => Some(entry.get().clone()),
                Entry::Vacant(entry) => made
                    .take()
                    .map(|(group, node)| entry.insert(group, node).clone()),
            };
            let Some(group) = group else {
                drop(guard);
                made = Some((Group::new()?, RBTreeNodeReservation::new(accounted())?));
                continue;
            };
            group.join(turn);
            drop(guard);
            let member = place.write(Member {
                file,
                group,
                number,
                target,
            });
            return Ok(member.into());
        }
    }

    /// Leaves the group. Called once.
    pub(super) fn leave(&self) {
        let mut guard = FILE_GROUPS.lock();
        if self.group.leave(self.number) {
            if let Some(groups) = &mut *guard {
                groups.remove(&self.file);
            }
        }
    }

    /// For a wake-up of an entry of this member: tells one whose turn it is. Returns whether one
    /// was told.
    pub(super) fn tell(&self, fired: &Fired, always: u32) -> bool {
        self.group.tell(fired, always)
            || Queue::report(&self.target, fired, always, true, None).is_some()
    }

    /// Tells the member whose turn it is, of all: no entry asks those that are left out here.
    pub(super) fn pass_on(&self, fired: &Fired, always: u32) {
        self.group.tell_any(fired, always);
    }
}
