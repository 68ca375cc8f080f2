// SPDX-License-Identifier: GPL-2.0

//! Queues that take turns at one file.
//!
//! Those that watch a file as EXCLUSIVE form a group, which the first one makes and the last one
//! leaves. Each member has its own entries on the wait queues. Whichever is woken, the group tells
//! the member whose turn it is and that is armed, and so keeps the wake-up from the entries behind. A
//! source that wakes all wakes each entry, and so tells each member.
//!
//! Each entry asks [`FEW`] members whose turn it is, and its own. So all are asked before a wake-up
//! has found nobody, and that takes no longer than a walk along the entries.
//!
//! # Locks
//!
//! `GROUPS` is a mutex below a queue's `control`. The lock of a group is taken in wake-ups, below that
//! of the wait queue and above those of the members' queues.

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
    rbtree::RBTree,
    sync::{
        global_lock,
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    }, //
};

global_lock! {
    // SAFETY: Initialized by `init()`, before there is a queue.
    unsafe(uninit) static GROUPS: Mutex<Option<RBTree<usize, Arc<Group>>>> = None;
}

/// Prepares the groups.
///
/// # Safety
///
/// Must be called once, before all else in this module.
pub(super) unsafe fn init() {
    // SAFETY: By the safety requirement.
    unsafe { GROUPS.init() };
}

/// Members that one entry asks in turn.
const FEW: usize = 8;

struct Turns {
    members: KVec<Target>,
    /// Whose turn it is.
    next: usize,
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
                    members: KVec::new(),
                    next: 0,
                }, "kevent_group"),
            }),
            accounted(),
        )
    }

    fn join(&self, target: Target) -> Result {
        loop {
            let len = self.turns.lock().members.len();
            let mut room = KVec::with_capacity(len.saturating_add(1), accounted())?;
            let mut turns = self.turns.lock();
            if turns.members.len() > len {
                continue;
            }
            for member in turns.members.drain_all() {
                room.push_within_capacity(member).map_err(|_| ENOMEM)?;
            }
            room.push_within_capacity(target).map_err(|_| ENOMEM)?;
            core::mem::swap(&mut turns.members, &mut room);
            drop(turns);
            // What was replaced is freed here, outside the lock.
            drop(room);
            return Ok(());
        }
    }

    /// Takes a member out. Returns whether it was the last one.
    fn leave(&self, target: &Target) -> bool {
        let mut turns = self.turns.lock();
        let place = turns.members.iter().position(|member| {
            Arc::ptr_eq(member.queue(), target.queue()) && member.handle() == target.handle()
        });
        let gone = place.and_then(|place| {
            if place < turns.next {
                turns.next = turns.next.wrapping_sub(1);
            }
            turns.members.remove(place).ok()
        });
        let last = turns.members.is_empty();
        drop(turns);
        // Its reference to the queue is dropped outside the lock.
        drop(gone);
        last
    }

    /// Tells the next member that is armed, among so many at `most`. Returns whether there is one.
    ///
    /// Pollers of that queue are told later: who watches it may be in a group of its own.
    fn tell(&self, fired: &Fired, always: u32, most: usize) -> bool {
        let mut turns = self.turns.lock();
        let len = turns.members.len();
        for _ in 0..len.min(most) {
            let turn = if turns.next < len { turns.next } else { 0 };
            turns.next = turn.wrapping_add(1);
            let Some(member) = turns.members.get(turn) else {
                break;
            };
            if Queue::report(member, fired, always, true, None).is_some() {
                return true;
            }
        }
        false
    }
}

/// A registration in its group.
pub(super) struct Member {
    /// What names the group: the address of the file, which stays as long as it has members.
    file: usize,
    group: Arc<Group>,
    target: Target,
}

impl Member {
    /// Joins the group of `file`, until it leaves.
    pub(super) fn new(file: &LocalFile, target: Target) -> Result<Arc<Self>> {
        let file = file.as_ptr().addr();
        let mut guard = GROUPS.lock();
        let groups = guard.get_or_insert_with(RBTree::new);
        let group = match groups.get(&file) {
            Some(group) => group.clone(),
            None => {
                let group = Group::new()?;
                groups.try_create_and_insert(file, group.clone(), accounted())?;
                group
            }
        };
        let member = Arc::new(
            Member {
                file,
                group: group.clone(),
                target: target.clone(),
            },
            accounted(),
        )
        .map_err(Error::from)
        .and_then(|member| group.join(target).map(|()| member));
        if member.is_err() && group.turns.lock().members.is_empty() {
            groups.remove(&file);
        }
        member
    }

    /// Leaves the group. Called once.
    pub(super) fn leave(&self) {
        let mut guard = GROUPS.lock();
        if self.group.leave(&self.target) {
            if let Some(groups) = &mut *guard {
                groups.remove(&self.file);
            }
        }
    }

    /// For a wake-up of an entry of this member: tells one whose turn it is. Returns whether one was
    /// told.
    pub(super) fn tell(&self, fired: &Fired, always: u32) -> bool {
        self.group.tell(fired, always, FEW)
            || Queue::report(&self.target, fired, always, true, None).is_some()
    }

    /// Tells the member whose turn it is, of all: no entry asks those that are left out here.
    pub(super) fn pass_on(&self, fired: &Fired, always: u32) {
        self.group.tell(fired, always, usize::MAX);
    }
}
