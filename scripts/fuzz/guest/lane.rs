//! Where programs run, one after the other, each in a process that is forked for it.

use std::collections::BTreeSet;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use kevent_fuzz::message::Message;
use kevent_fuzz::program::{Program, THREADS};

use crate::kcov::Area;
use crate::process;

/// How long a program has, and how long its processes have to be gone when they are killed.
const PATIENCE: Duration = Duration::from_secs(3);
const DEATH: Duration = Duration::from_secs(100);

pub struct Lane {
    number: usize,
    /// One for what comes first, and one for each thread.
    areas: Vec<Area>,
}

/// What came of a program.
#[derive(Default)]
pub struct Reached {
    pub pcs: BTreeSet<u64>,
    /// Pairs of places that followed each other.
    pub edges: BTreeSet<u64>,
    /// It did not end by itself.
    pub late: bool,
}

impl Lane {
    pub fn new(number: usize, blind: bool) -> io::Result<Lane> {
        let area = |_| if blind { Area::blind() } else { Area::new() };
        let areas = (0..=THREADS).map(area).collect::<io::Result<_>>()?;
        Ok(Lane { number, areas })
    }

    /// Runs a program. None where a process is left that cannot be killed.
    pub fn run(&self, program: &Program) -> Option<Reached> {
        tell(&Message::Run {
            lane: self.number,
            program: program.clone(),
        });
        self.areas.iter().for_each(Area::clear);
        // SAFETY: The child uses its memory as it is, and never returns.
        let pid = match unsafe { libc::fork() } {
            0 => {
                // SAFETY: A group of its own, with all whom it forks.
                unsafe { libc::setpgid(0, 0) };
                // SAFETY: This process has them as long as it lives.
                let (program, areas) = unsafe { (for_ever(program), for_ever(&*self.areas)) };
                process::run(program, areas)
            }
            // Without memory for it. It may come back.
            -1 => {
                thread::sleep(Duration::from_millis(100));
                return Some(Reached::default());
            }
            pid => pid,
        };
        // SAFETY: As the child does; whoever comes first.
        unsafe { libc::setpgid(pid, pid) };
        let status = wait(pid, PATIENCE);
        // SAFETY: The group is there as long as it has a process that nobody waited for.
        unsafe { libc::kill(-pid, libc::SIGKILL) };
        if !gone(pid, status.is_some()) {
            tell(&Message::Stuck { lane: self.number });
            return None;
        }
        tell(&Message::Idle { lane: self.number });
        Some(self.reached(status != Some(0)))
    }

    fn reached(&self, late: bool) -> Reached {
        let mut reached = Reached {
            late,
            ..Reached::default()
        };
        for area in &self.areas {
            let mut last = 0;
            for &pc in area.places() {
                let low = pc & 0xffff_ffff;
                reached.edges.insert(last << 32 | low);
                last = low;
                reached.pcs.insert(pc);
            }
        }
        reached
    }
}

/// # Safety
///
/// It must stay as long as the process.
unsafe fn for_ever<T: ?Sized>(of: &T) -> &'static T {
    // SAFETY: See above.
    unsafe { &*std::ptr::from_ref(of) }
}

/// The status with which a process ends, if it does in time.
fn wait(pid: i32, patience: Duration) -> Option<i32> {
    let start = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: The process is a child.
        if unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } != 0 {
            return Some(status);
        }
        if start.elapsed() > patience {
            return None;
        }
        thread::sleep(Duration::from_micros(500));
    }
}

/// Waits for all processes of a group, whose parents may be gone. Whether they are.
fn gone(group: i32, mut leader: bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < DEATH {
        // SAFETY: The processes are children, or will be.
        match unsafe { libc::waitpid(-group, std::ptr::null_mut(), libc::WNOHANG) } {
            0 => thread::sleep(Duration::from_millis(1)),
            pid if pid == group => leader = true,
            -1 if leader => return true,
            _ => {}
        }
    }
    false
}

/// Tells it to who follows.
pub fn tell(message: &Message) {
    println!("{}", message.to_line());
}
