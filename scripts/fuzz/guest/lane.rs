//! Where programs run, one after the other, in processes that are forked for them.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use kevent_fuzz::call::Call;
use kevent_fuzz::message::Message;
use kevent_fuzz::program::{Program, THREADS};

use crate::kcov::Area;
use crate::process;

/// How long a program has, and how long its processes have to be gone when they are killed.
const PATIENCE: Duration = Duration::from_secs(3);
const DEATH: Duration = Duration::from_secs(100);

/// How many programs a process runs: to fork and to end it takes longer than those.
const PROGRAMS: u32 = 24;

pub struct Lane {
    number: usize,
    /// One for what comes first, and one for each thread.
    areas: Vec<Area>,
    host: Option<Host>,
}

/// A process that runs programs.
struct Host {
    pid: i32,
    pidfd: OwnedFd,
    stream: UnixStream,
    programs: u32,
}

/// A process of that lane cannot be killed.
#[derive(Debug)]
pub struct Stuck;

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
        Ok(Lane {
            number,
            areas,
            host: None,
        })
    }

    /// Runs a program.
    pub fn run(&mut self, program: &Program) -> Result<Reached, Stuck> {
        let mut host = match self.host.take() {
            Some(host) => host,
            None => match Host::fork(&self.areas) {
                Ok(host) => host,
                // Without memory for it. It may come back.
                Err(_) => {
                    thread::sleep(Duration::from_millis(100));
                    return Ok(Reached::default());
                }
            },
        };
        tell(&Message::Run {
            lane: self.number,
            program: program.clone(),
        });
        self.areas.iter().for_each(Area::clear);
        let in_time = host.run(program);
        let last =
            !in_time || host.programs >= PROGRAMS || program.parts().flatten().any(Call::stays);
        if last {
            if !host.end() {
                tell(&Message::Stuck { lane: self.number });
                return Err(Stuck);
            }
        } else {
            self.host = Some(host);
        }
        tell(&Message::Idle { lane: self.number });
        Ok(self.reached(!in_time))
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

impl Drop for Lane {
    fn drop(&mut self) {
        self.host.take().map(Host::end);
    }
}

impl Host {
    fn fork(areas: &[Area]) -> io::Result<Host> {
        let (stream, theirs) = UnixStream::pair()?;
        // SAFETY: The child uses its memory as it is, and never returns.
        let pid = match unsafe { libc::fork() } {
            0 => {
                drop(stream);
                // SAFETY: A group of its own, with all whom it forks.
                unsafe { libc::setpgid(0, 0) };
                let ended = process::run(theirs, areas);
                // SAFETY: Nobody needs what is not dropped.
                unsafe { libc::_exit(ended.is_err().into()) }
            }
            -1 => return Err(io::Error::last_os_error()),
            pid => pid,
        };
        // SAFETY: As the child does; whoever comes first.
        unsafe { libc::setpgid(pid, pid) };
        // SAFETY: The process is a child; the descriptor is nobody's yet.
        let pidfd = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Host {
            pid,
            pidfd,
            stream,
            programs: 0,
        })
    }

    /// Whether it says in time that the program ended.
    fn run(&mut self, program: &Program) -> bool {
        self.programs += 1;
        let text = serde_json::to_string(program).expect("everything in it can be written");
        if self.stream.write_all((text + "\n").as_bytes()).is_err() {
            return false;
        }
        let wanted = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // A child that it forked may have its end of the stream, too.
        let mut poll = [
            wanted(self.stream.as_raw_fd()),
            wanted(self.pidfd.as_raw_fd()),
        ];
        // SAFETY: The kernel writes to the array.
        let some = unsafe { libc::poll(poll.as_mut_ptr(), 2, PATIENCE.as_millis() as i32) };
        let mut answer = [0];
        some > 0
            && poll[0].revents & libc::POLLIN != 0
            && self.stream.read(&mut answer).is_ok_and(|read| read == 1)
            && answer == [process::DONE]
    }

    /// Ends it and those whom it forked. Whether they are gone.
    fn end(self) -> bool {
        // SAFETY: The group is there as long as it has a process that nobody waited for.
        unsafe { libc::kill(-self.pid, libc::SIGKILL) };
        let start = Instant::now();
        let mut leader = false;
        while start.elapsed() < DEATH {
            // SAFETY: The processes are children, or will be.
            match unsafe { libc::waitpid(-self.pid, std::ptr::null_mut(), libc::WNOHANG) } {
                0 => thread::sleep(Duration::from_millis(1)),
                pid if pid == self.pid => leader = true,
                -1 if leader => return true,
                _ => {}
            }
        }
        false
    }
}

/// Tells it to who follows.
pub fn tell(message: &Message) {
    println!("{}", message.to_line());
}
