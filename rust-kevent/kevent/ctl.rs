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
    queue::{
        Control,
        New,
        Queue, //
    },
    record::{
        answer,
        with_records, //
    },
    source,
    state::{
        NotModified,
        Wake, //
    },
    trace, //
};
use crate::{
    bindings,
    prelude::*,
    sync::Arc,
    uaccess::UserPtr, //
};

/// Records of READY and REMOVE in one round of the inner lock.
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
        if command == Command::Add {
            control.advance(queue, num);
        }
        let (done, error) = run(queue, &mut control, command, records);
        control.settle(queue);
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
    if matches!(command, Command::Ready | Command::Remove) {
        for round in records.chunks_mut(ROUND) {
            let (some, error) = match command {
                Command::Ready => ready(queue, round),
                _ if round.len() == 1 => remove::<1>(queue, control, round),
                _ => remove::<ROUND>(queue, control, round),
            };
            done = done.saturating_add(some);
            if error.is_some() {
                return (done, error);
            }
        }
        return (done, None);
    }
    for record in records.iter_mut() {
        let result = match command {
            Command::Add => add(queue, control, record),
            Command::Modify => modify(queue, control, record),
            Command::Set => set(queue, control, record),
            Command::Ready | Command::Remove => Err(EINVAL),
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

#[inline]
fn add(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    let generation = control.next_generation();
    source::add(request, || New::begin(queue, control, request, generation))?;
    request.data = generation;
    trace::add(queue, request);
    Ok(0)
}

/// Removes registrations. Takes the inner lock twice, whatever their number: first they leave the
/// table, then their places get what tied them, which the next ones use again. There are `N` at
/// most.
fn remove<const N: usize>(
    queue: &Arc<Queue>,
    control: &mut Control,
    records: &mut [Event],
) -> (usize, Option<Error>) {
    let mut round = [const { None }; N];
    let mut error = None;
    let mut inner = queue.lock();
    for (record, place) in records.iter().zip(&mut round) {
        let hash = queue.hash(record);
        let taken = source::lookup(record.kind).and_then(|_| {
            let taken = inner.events.take_out(hash, record.kind, record.id);
            taken.ok_or(ENOENT)
        });
        match taken {
            Ok(removed) => {
                error = removed.over.then_some(ENOENT);
                *place = Some(removed);
            }
            Err(failed) => error = Some(failed),
        }
        if error.is_some() {
            break;
        }
    }
    drop(inner);
    let mut done = 0usize;
    for (record, removed) in records.iter_mut().zip(&round) {
        let Some(removed) = removed else {
            break;
        };
        let outstanding = control.end(queue, removed);
        if removed.over {
            break;
        }
        trace::remove(queue, record, outstanding);
        let result = if outstanding { RET_OUTSTANDING } else { 0 };
        answer(record, RET_DONE | result, 0);
        done = done.saturating_add(1);
    }
    let mut inner = queue.lock();
    for removed in round.iter_mut().flatten() {
        removed.tie = removed
            .tie
            .take()
            .and_then(|tie| inner.events.table().keep(removed.handle, tie));
    }
    // What is not kept goes after the lock.
    drop(inner);
    if let (Some(error), Some(record)) = (error, records.get_mut(done)) {
        refuse(record, error);
    }
    (done, error)
}

fn modify(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    source::lookup(request.kind)?.check(request)?;
    let (inner, handle) = queue.lock_at(request).ok_or(ENOENT)?;
    if inner.events.template(handle).is_none() {
        return Err(ENOENT);
    }
    let tie = inner.events.tied(handle).cloned();
    drop(inner);
    if let Some(tie) = &tie {
        tie.with(|tie| tie.prepare(request))?;
    }
    let generation = control.next_generation();
    let (outstanding, untaken) = loop {
        let modified = queue.lock().events.modify(handle, request, generation);
        match modified {
            Ok(modified) => break modified,
            // It may be over since it was found.
            Err(NotModified::Over) => return Err(ENOENT),
            Err(NotModified::Unsure) => {}
        }
    };
    request.data = generation;
    if let Some(tie) = &tie {
        let always = tie.with(|tie| tie.always());
        if let Some(fired) = tie.with(|tie| tie.start(request)) {
            queue.found_at(queue.lock(), handle, &fired, always);
        }
        // What it no longer wants, another queue may.
        if let Some(untaken) = untaken.filter(|untaken| untaken.mask & !request.mask != 0) {
            tie.with(|tie| tie.pass_on(&untaken));
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

fn ready(queue: &Arc<Queue>, records: &mut [Event]) -> (usize, Option<Error>) {
    let mut inner = queue.lock();
    let mut wake = Wake::None;
    let mut events = 0u32;
    let mut merged = false;
    let mut done = 0usize;
    let mut error = None;
    for record in records.iter_mut() {
        let result = source::lookup(record.kind).and_then(|source| {
            let (hash, events) = (queue.hash(record), &inner.events);
            let handle = events.find(hash, record.kind, record.id).ok_or(ENOENT)?;
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
                merged |= fired.mask != 0 && woken == Wake::None;
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
    if merged {
        queue.wake_beside(&mut inner);
    }
    queue.wake(inner, wake, events);
    (done, error)
}
