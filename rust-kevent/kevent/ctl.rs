// SPDX-License-Identifier: GPL-2.0

//! `kevent_ctl()`: change what a queue watches.
//!
//! A batch is copied in before any lock is taken, and runs under one round of `control`. What each
//! record did is written back after the locks are dropped.

use super::{
    event::{
        Event,
        RET_BROKEN,
        RET_DONE,
        RET_OUTSTANDING, //
    },
    keys::Hash,
    queue::{
        template,
        Control,
        New,
        Queue, //
    },
    record::{
        answer,
        with_records, //
    },
    source,
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

/// Removes a registration that has the key of `request`, if it is over or a ghost: if its file lives on
/// under another number.
#[cold]
fn make_way(queue: &Queue, control: &mut Control, hash: Hash, request: &Event) -> Result {
    let Some((inner, handle)) = control.lock(queue, hash, request) else {
        return Ok(());
    };
    let tie = inner.events.tied(handle).cloned();
    let over = inner.events.template(handle).is_none();
    drop(inner);
    let current = || tie.map_or(Ok(true), |tie| tie.is_of(request));
    if !over && current()? {
        return Err(EEXIST);
    }
    control.remove(queue, handle);
    Ok(())
}

fn add(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    let source = source::check(request)?;
    let hash = control.hash(request);
    // Most keys that are not there are not there by their hash.
    if control.keys.find(hash, |_| true).is_some() {
        make_way(queue, control, hash, request)?;
    }
    if !control.keys.reserve() {
        return Err(ENOMEM);
    }
    queue.limit.charge()?;
    let generation = control.next_generation();
    let mut new = New::new(queue, request, generation);
    let added = source.add(&mut new, request);
    match (added, new.handle()) {
        (Ok(()), Some(handle)) => control.keys.insert(hash, handle),
        (added, Some(handle)) => {
            let removed = queue.lock().events.remove(handle);
            queue.end(removed);
            return added.map(|()| 0);
        }
        (added, None) => {
            queue.limit.uncharge();
            return added.and(Err(ENOSPC));
        }
    }
    request.data = generation;
    trace::add(queue, request);
    Ok(0)
}

fn remove(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    source::lookup(request.kind)?;
    let hash = control.hash(request);
    let (mut inner, handle) = control.lock(queue, hash, request).ok_or(ENOENT)?;
    let over = inner.events.template(handle).is_none();
    let removed = inner.events.remove(handle);
    drop(inner);
    control.keys.remove(hash, handle);
    let outstanding = queue.end(removed);
    if over {
        return Err(ENOENT);
    }
    trace::remove(queue, request, outstanding);
    Ok(if outstanding { RET_OUTSTANDING } else { 0 })
}

fn modify(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    source::check(request)?;
    let hash = control.hash(request);
    let (inner, handle) = control.lock(queue, hash, request).ok_or(ENOENT)?;
    let tie = inner.events.tied(handle).cloned();
    if inner.events.template(handle).is_none() {
        drop(inner);
        return Err(ENOENT);
    }
    drop(inner);
    if let Some(tie) = &tie {
        tie.clone().prepare(request)?;
    }
    let generation = control.next_generation();
    // It may be over since it was found.
    let template = template(request, generation);
    let modified = queue.lock().events.modify(handle, template);
    let (outstanding, untaken) = modified.ok_or(ENOENT)?;
    request.data = generation;
    if let Some(tie) = &tie {
        if let Some(fired) = tie.start(request) {
            queue.found_at(queue.lock(), handle, &fired, tie.always());
        }
        // What it no longer wants, another queue may.
        if let Some(untaken) = untaken.filter(|untaken| untaken.mask & !request.mask != 0) {
            tie.pass_on(&untaken);
        }
    }
    trace::add(queue, request);
    Ok(if outstanding { RET_OUTSTANDING } else { 0 })
}

fn set(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    match modify(queue, control, request) {
        Err(ENOENT) => add(queue, control, request),
        modified => modified,
    }
}

fn ready(queue: &Arc<Queue>, control: &Control, records: &mut [Event]) -> (usize, Option<Error>) {
    let mut inner = queue.lock();
    let mut wake = Wake::None;
    let mut events = 0u32;
    let mut done = 0usize;
    let mut error = None;
    for record in records.iter_mut() {
        let result = source::lookup(record.kind).and_then(|source| {
            let hash = control.hash(record);
            let handle = control.find(&inner.events, hash, record).ok_or(ENOENT)?;
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
