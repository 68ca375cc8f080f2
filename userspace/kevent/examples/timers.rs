// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A service that keeps a million timers: leases that end unless they are renewed.
//!
//! It shows that a timer needs no descriptor, how many are added with one call, how one is set anew, and
//! that a ring with far fewer slots than timers loses none.
//!
//!     timers [NUMBER]

use std::env;
use std::io;
use std::time::{Duration, Instant};

use kevent::{Registration, Ring, Timer, Wait};

/// What is leased until its timer expires.
struct Leases {
    ring: Ring,
    /// The token of a lease is its place here.
    timers: Vec<Option<Registration<Timer>>>,
    living: usize,
}

impl Leases {
    fn new(number: usize, ends: impl Fn(usize) -> Instant) -> io::Result<Leases> {
        let ring = Ring::new(1024)?;
        let timers = (0..number).map(|lease| (lease as u64, Timer::at(ends(lease)).once()));
        let timers = ring.add_all(timers)?;
        Ok(Leases {
            ring,
            timers: timers.into_iter().map(Some).collect(),
            living: number,
        })
    }

    /// Says whether the lease was there to be renewed. Its timer may have expired a moment ago: then
    /// its event is on its way, and the lease is over.
    fn renew(&mut self, lease: usize, end: Instant) -> io::Result<bool> {
        let Some(timer) = &mut self.timers[lease] else {
            return Ok(false);
        };
        match timer.set(Timer::at(end).once()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Gives a lease back before its end.
    fn release(&mut self, lease: usize) {
        // If its event is on its way, that finds nothing here.
        self.living -= usize::from(self.timers[lease].take().is_some());
    }

    /// Waits for all others to end. Returns how many ended, and the longest that one was late.
    fn run(&mut self, end: impl Fn(usize) -> Instant) -> io::Result<(usize, Duration)> {
        let mut consumer = self.ring.consumer()?;
        let (mut ended, mut late) = (0, Duration::ZERO);
        while self.living > 0 {
            consumer.wait(Wait::FOREVER)?;
            let now = Instant::now();
            for event in consumer.events() {
                let lease = event.token() as usize;
                if self.timers[lease].take().is_some() {
                    assert_eq!(event.data(), 1);
                    late = late.max(now.saturating_duration_since(end(lease)));
                    ended += 1;
                    self.living -= 1;
                }
            }
        }
        Ok((ended, late))
    }
}

fn main() -> io::Result<()> {
    let number = env::args().nth(1);
    let number: usize = number.map_or(1_000_000, |number| number.parse().expect("a number"));
    // The first one ends when all are there, and one each 10 us after it.
    let start = Instant::now() + Duration::from_micros(10 * number as u64);
    let end = |lease| start + Duration::from_micros(10 * lease as u64);

    let before = Instant::now();
    let mut leases = Leases::new(number, end)?;
    println!("{number} timers, added in {:?}", before.elapsed());

    // Every tenth lease is renewed, every hundredth given back.
    let later = end(number);
    let mut renewed = 0;
    for lease in (0..number).step_by(10) {
        renewed += usize::from(leases.renew(lease, later)?);
    }
    for lease in (5..number).step_by(100) {
        leases.release(lease);
    }
    let released = number - leases.living;
    let ends = |lease| if lease % 10 == 0 { later } else { end(lease) };
    let (ended, late) = leases.run(ends)?;
    println!("{renewed} renewed, {released} given back, {ended} ended, at most {late:?} late");
    assert_eq!(ended + released, number);
    Ok(())
}
