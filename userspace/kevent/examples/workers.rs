// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A work queue with four workers that are killed at random, and not one job that is lost.
//!
//! A thread of Rust cannot be killed, so the workers are processes; threads that panic are treated the
//! same (`Consumer::inherit`). It shows how a queue is given to another process, and how what a dead one
//! had in hand goes to another: its handling is *at least once*, so jobs must bear that.
//!
//!     workers [JOBS]

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{collections::BTreeSet, env, thread};

use kevent::{Consumer, Owner, Ring, User, Wait};

const WORKERS: u16 = 4;
const WORKER: &str = "--worker";

/// Jobs that were done, by their tokens; and how many were done again.
#[derive(Default)]
struct Done {
    jobs: BTreeSet<u64>,
    again: usize,
}

impl Done {
    fn add(&mut self, job: u64) {
        self.again += usize::from(!self.jobs.insert(job));
    }
}

/// In a worker: does jobs until it is killed. The queue is its standard input.
fn work(owner: Owner) -> io::Result<()> {
    let ring = Ring::from_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let mut consumer = ring.consumer_as(owner)?;
    loop {
        consumer.wait(Wait::FOREVER)?;
        for event in consumer.events() {
            thread::sleep(Duration::from_micros(200)); // the job
                                                       // Said before the event is dropped: who dies in between has the job done twice. The
                                                       // other way round, it could be lost.
            writeln!(io::stdout().lock(), "{}", event.token())?;
        }
    }
}

/// Starts a worker, and notes what it says to have done.
fn start(ring: &Ring, owner: Owner, done: &Arc<Mutex<Done>>) -> io::Result<Worker> {
    let mut process = Command::new(env::current_exe()?)
        .args([WORKER, &owner.get().to_string()])
        .stdin(Stdio::from(ring.as_fd().try_clone_to_owned()?))
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
    let done = done.clone();
    let listener = thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            // The last line of one that was killed may be half a number: not this short.
            done.lock().unwrap().add(line.parse().expect("a job"));
        }
    });
    Ok(Worker {
        process,
        owner,
        listener,
    })
}

struct Worker {
    process: Child,
    owner: Owner,
    listener: thread::JoinHandle<()>,
}

impl Worker {
    /// Kills it, and does what it had begun. Its number can be used again then.
    fn kill(mut self, heir: &mut Consumer, done: &Mutex<Done>) -> io::Result<usize> {
        self.process.kill()?;
        self.process.wait()?;
        self.listener.join().expect("it reads to the end");
        let left = heir.inherit_from(self.owner);
        Ok(left
            .map(|event| done.lock().unwrap().add(event.token()))
            .count())
    }
}

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some(WORKER) {
        let owner = arguments
            .next()
            .and_then(|owner| Owner::new(owner.parse().ok()?));
        return work(owner.expect("the number of the worker"));
    }
    let number: u64 = first.map_or(10_000, |jobs| jobs.parse().expect("a number"));

    let ring = Ring::new(64)?;
    let mut heir = ring.consumer_as(Owner::new(WORKERS + 1).unwrap())?;
    let jobs = ring.add_all((0..number).map(|job| (job, User::new().once())))?;
    let done = Arc::new(Mutex::new(Done::default()));
    let mut workers = (1..=WORKERS)
        .map(|owner| start(&ring, Owner::new(owner).unwrap(), &done))
        .collect::<io::Result<Vec<_>>>()?;
    jobs.iter().try_for_each(|job| job.sender().send(1))?;

    let (mut killed, mut left) = (0, 0);
    while done.lock().unwrap().jobs.len() < number as usize {
        let now = Instant::now();
        thread::sleep(Duration::from_millis(20));
        // Random enough: the nanoseconds that a sleep took.
        let victim = now.elapsed().subsec_nanos() as usize % workers.len();
        let victim = workers.swap_remove(victim);
        let owner = victim.owner;
        left += victim.kill(&mut heir, &done)?;
        killed += 1;
        workers.push(start(&ring, owner, &done)?);
        // Slots of the dead are free again, and somebody has to tell the kernel.
        heir.wait(Wait::NOT)?;
    }
    for worker in workers {
        worker.kill(&mut heir, &done)?;
    }
    let again = done.lock().unwrap().again;
    println!("{number} jobs: {killed} workers killed, {left} jobs inherited, {again} done twice");
    Ok(())
}
