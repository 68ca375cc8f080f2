// SPDX-License-Identifier: GPL-2.0

//! `kevent_ctl()`: change what a queue watches.
//!
//! A batch is copied in before any lock is taken, and runs under one round of `control`. What each
//! record did is written back after the locks are dropped.

use super::{
    array::accounted,
    event::{
        Event,
        RET_BROKEN,
        RET_DONE,
        RET_OUTSTANDING, //
    },
    queue::{
        Control,
        Item,
        Key,
        Queue, //
    },
    record::{
        answer,
        with_records, //
    },
    source::{
        self,
        Tie, //
    },
    state::Wake,
    trace, //
};
use crate::{
    bindings,
    prelude::*,
    sync::Arc,
    uaccess::UserPtr, //
};

/// Events that READY fires in one round of the inner lock.
const ROUND: usize = 16;

/// What to do with each record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Add,
    Remove,
    Modify,
    Ready,
    Set,
}

impl Command {
    fn new(command: u32) -> Result<Self> {
        match command {
            bindings::KEVENT_CTL_ADD => Ok(Command::Add),
            bindings::KEVENT_CTL_REMOVE => Ok(Command::Remove),
            bindings::KEVENT_CTL_MODIFY => Ok(Command::Modify),
            bindings::KEVENT_CTL_READY => Ok(Command::Ready),
            bindings::KEVENT_CTL_SET => Ok(Command::Set),
            _ => Err(EINVAL),
        }
    }
}

/// Runs a batch. Returns how many records took effect, or the error of the first.
pub(crate) fn ctl(queue: &Arc<Queue>, command: u32, num: u32, user: UserPtr) -> Result<usize> {
    let command = Command::new(command)?;
    if num > bindings::KEVENT_BATCH_MAX {
        return Err(EINVAL);
    }
    if num == 0 {
        if command == Command::Ready {
            queue.kick();
        }
        return Ok(0);
    }
    let (done, error) = with_records(user, num as usize, |records| {
        let mut control = queue.control.lock();
        if command != Command::Ready {
            control.reap(queue);
        }
        let (done, error) = run(queue, &mut control, command, records);
        // The record that failed says why.
        (
            done.saturating_add(usize::from(error.is_some())),
            (done, error),
        )
    })?;
    match error {
        Some(error) if done == 0 => Err(error),
        _ => Ok(done),
    }
}

fn run(
    queue: &Arc<Queue>,
    control: &mut Control,
    command: Command,
    records: &mut [Event],
) -> (usize, Option<Error>) {
    let mut done = 0usize;
    if command == Command::Ready {
        for round in records.chunks_mut(ROUND) {
            let (fired, error) = ready(queue, control, round);
            done = done.saturating_add(fired);
            if error.is_some() {
                return (done, error);
            }
        }
        return (done, None);
    }
    for record in records.iter_mut() {
        let result = match command {
            Command::Add => add(queue, control, record),
            Command::Remove => remove(queue, control, record),
            Command::Modify => modify(queue, control, record),
            Command::Set => set(queue, control, record),
            Command::Ready => Err(EINVAL),
        };
        match result {
            Ok(result) => answer(record, RET_DONE | result, 0),
            Err(error) => {
                refuse(record, error);
                return (done, Some(error));
            }
        }
        done = done.saturating_add(1);
    }
    (done, None)
}

fn refuse(record: &mut Event, error: Error) {
    answer(
        record,
        RET_BROKEN | RET_DONE,
        error.to_errno().unsigned_abs(),
    );
}

/// What every event of a registration begins as.
fn template(control: &mut Control, request: &mut Event) -> Event {
    control.generation = control.generation.wrapping_add(1);
    request.data = control.generation;
    Event {
        error: 0,
        data: 0,
        param: [control.generation, 0],
        word: 0,
        ..*request
    }
}

/// Whether a key is in use. A ONESHOT registration that is over makes way.
fn is_present(queue: &Queue, control: &mut Control, key: &Key) -> bool {
    let Some(item) = control.items.get(key) else {
        return false;
    };
    if queue.lock().events.template(item.handle).is_some() {
        return true;
    }
    if let Some(item) = control.take(key) {
        control.end(queue, item);
    }
    false
}

fn add(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    let source = source::check(request)?;
    let key = Key::of(request);
    if is_present(queue, control, &key) {
        return Err(EEXIST);
    }
    queue.limit.charge()?;
    let added = insert(queue, control, source, key, request);
    if added.is_err() {
        queue.limit.uncharge();
    }
    added
}

fn insert(
    queue: &Arc<Queue>,
    control: &mut Control,
    source: &dyn source::Source,
    key: Key,
    request: &mut Event,
) -> Result<u32> {
    queue.reserve()?;
    let node = crate::rbtree::RBTreeNodeReservation::new(accounted())?;
    let template = template(control, request);
    let handle = queue.lock().events.add(template).ok_or(ENOSPC)?;
    match source.watch(queue, handle, request) {
        Ok(watch) => {
            if let Some(watch) = &watch {
                watch.look();
            }
            control
                .items
                .insert(node.into_node(key, Item { handle, watch }));
            control.count = control.count.saturating_add(1);
            trace::add(queue, request);
            Ok(0)
        }
        Err(error) => {
            queue.lock().events.remove(handle);
            Err(error)
        }
    }
}

fn remove(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    source::lookup(request.kind)?;
    let key = Key::of(request);
    if !is_present(queue, control, &key) {
        return Err(ENOENT);
    }
    let item = control.take(&key).ok_or(ENOENT)?;
    let outstanding = control.end(queue, item);
    trace::remove(queue, request, outstanding);
    Ok(if outstanding { RET_OUTSTANDING } else { 0 })
}

fn modify(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    source::check(request)?;
    let key = Key::of(request);
    if !is_present(queue, control, &key) {
        return Err(ENOENT);
    }
    let template = template(control, request);
    let item = control.items.get(&key).ok_or(ENOENT)?;
    let outstanding = queue.lock().events.modify(item.handle, template);
    if let Some(watch) = &item.watch {
        watch.look();
    }
    trace::add(queue, request);
    Ok(if outstanding { RET_OUTSTANDING } else { 0 })
}

fn set(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    if is_present(queue, control, &Key::of(request)) {
        modify(queue, control, request)
    } else {
        add(queue, control, request)
    }
}

fn ready(
    queue: &Arc<Queue>,
    control: &mut Control,
    records: &mut [Event],
) -> (usize, Option<Error>) {
    let mut inner = queue.lock();
    let mut wake = Wake::None;
    let mut events = 0u32;
    let mut done = 0usize;
    let mut error = None;
    for record in records.iter_mut() {
        let result = source::lookup(record.kind).and_then(|source| {
            let handle = control.find(&Key::of(record)).ok_or(ENOENT)?;
            let registration = inner.events.template(handle).ok_or(ENOENT)?;
            Ok((handle, source.ready(registration, record)?))
        });
        match result {
            Ok((handle, fired)) => {
                let woken = if fired.mask == 0 {
                    Wake::None
                } else {
                    inner.events.fire(handle, &fired)
                };
                trace::fire(queue, fired.mask, woken != Wake::None);
                events = events.saturating_add(u32::from(woken != Wake::None));
                wake = wake.or(woken);
                answer(record, RET_DONE, 0);
            }
            Err(failed) => {
                refuse(record, failed);
                error = Some(failed);
                break;
            }
        }
        done = done.saturating_add(1);
    }
    queue.wake(inner, wake, events);
    (done, error)
}
