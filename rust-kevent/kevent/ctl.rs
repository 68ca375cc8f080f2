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
        Key,
        Queue, //
    },
    record::{
        answer,
        with_records, //
    },
    registration::Handle,
    source::{
        self,
        Target,
        Tie, //
    },
    state::{
        Asked,
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

/// The registration of a key. A ONESHOT one that is over makes way.
fn present(queue: &Queue, control: &mut Control, key: &Key) -> Option<Handle> {
    let handle = *control.items.get(key)?;
    if queue.lock().events.template(handle).is_some() {
        return Some(handle);
    }
    control.take(key);
    control.end(queue, handle);
    None
}

/// Whether a registration watches what its key names now. If not, it is a ghost: its file lives on
/// under another number.
fn is_current(queue: &Queue, handle: Handle, request: &Event) -> Result<bool> {
    tied(queue, handle).map_or(Ok(true), |tie| tie.is_of(request))
}

fn tied(queue: &Queue, handle: Handle) -> Option<Arc<dyn Tie>> {
    queue.lock().events.tied(handle).cloned()
}

fn add(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    let source = source::check(request)?;
    let key = Key::of(request);
    if let Some(handle) = present(queue, control, &key) {
        if is_current(queue, handle, request)? {
            return Err(EEXIST);
        }
        control.forget(queue, handle);
    }
    queue.limit.charge()?;
    let handle = match insert(queue, control, source, key, request) {
        Ok(handle) => handle,
        Err(error) => {
            queue.limit.uncharge();
            return Err(error);
        }
    };
    control.count = control.count.saturating_add(1);
    let asked = queue.lock().events.ask(handle);
    if let Some(asked) = asked {
        if let Err(error) = asked.tie.clone().prepare(request) {
            control.take(&key);
            control.end(queue, handle);
            return Err(error);
        }
        start(queue, &asked, request);
    }
    trace::add(queue, request);
    Ok(0)
}

/// Puts a registration into the table and the tree, with what will tie it to its source.
fn insert(
    queue: &Arc<Queue>,
    control: &mut Control,
    source: &dyn source::Source,
    key: Key,
    request: &mut Event,
) -> Result<Handle> {
    queue.reserve()?;
    let node = crate::rbtree::RBTreeNodeReservation::new(accounted())?;
    let template = template(control, request);
    let handle = queue.lock().events.add(template).ok_or(ENOSPC)?;
    let target = Target {
        queue: queue.clone(),
        handle,
    };
    match source.tie(target) {
        Ok(Some(tie)) => queue.lock().events.tie(handle, tie, source.nature()),
        Ok(None) => {}
        Err(error) => {
            queue.lock().events.remove(handle);
            return Err(error);
        }
    }
    control.items.insert(node.into_node(key, handle));
    Ok(handle)
}

/// Begins to watch, and reports what is true now.
fn start(queue: &Queue, asked: &Asked<Arc<dyn Tie>>, request: &Event) {
    if let Some(fired) = asked.tie.start(request) {
        queue.found(asked, &fired);
    }
}

fn remove(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    source::lookup(request.kind)?;
    let key = Key::of(request);
    let handle = present(queue, control, &key).ok_or(ENOENT)?;
    control.take(&key);
    let outstanding = control.end(queue, handle);
    trace::remove(queue, request, outstanding);
    Ok(if outstanding { RET_OUTSTANDING } else { 0 })
}

fn modify(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    source::check(request)?;
    let handle = present(queue, control, &Key::of(request)).ok_or(ENOENT)?;
    if !is_current(queue, handle, request)? {
        return Err(ENOENT);
    }
    if let Some(tie) = tied(queue, handle) {
        tie.prepare(request)?;
    }
    let template = template(control, request);
    // It may be over since it was found.
    let modified = queue.lock().events.modify(handle, template);
    let (outstanding, untaken) = modified.ok_or(ENOENT)?;
    let asked = queue.lock().events.ask(handle);
    if let Some(asked) = asked {
        start(queue, &asked, request);
        // What it no longer wants, another queue may.
        if let Some(untaken) = untaken.filter(|untaken| untaken.mask & !request.mask != 0) {
            asked.tie.pass_on(&untaken);
        }
    }
    trace::add(queue, request);
    Ok(if outstanding { RET_OUTSTANDING } else { 0 })
}

fn set(queue: &Arc<Queue>, control: &mut Control, request: &mut Event) -> Result<u32> {
    source::check(request)?;
    match present(queue, control, &Key::of(request)) {
        Some(handle) if is_current(queue, handle, request)? => {
            match modify(queue, control, request) {
                Err(ENOENT) => add(queue, control, request),
                modified => modified,
            }
        }
        _ => add(queue, control, request),
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
