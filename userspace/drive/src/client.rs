// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A client that knows each answer beforehand: so many requests over so many connections, and not one
//! answer may lack or be another one's.

use std::collections::VecDeque;
use std::ffi::c_short;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;

/// How long all connections may be silent, in milliseconds of the guest.
const PATIENCE: i32 = 20_000;

/// What is said.
pub trait Talk {
    /// Appends a request.
    fn ask(&self, number: usize, to: &mut Vec<u8>);
    /// How many bytes at the begin of `bytes` are its answer, if that is there. Or what is wrong with it.
    fn answer(&self, number: usize, bytes: &[u8]) -> Result<Option<usize>, String>;
    /// Whether the server closes the connection after each answer.
    fn closes(&self) -> bool;
}

/// How much of it.
#[derive(Clone, Copy)]
pub struct Load {
    pub server: SocketAddr,
    pub connections: usize,
    pub requests: usize,
    /// Requests of one connection that may be without answer.
    pub depth: usize,
}

struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
    received: Vec<u8>,
    open: VecDeque<usize>,
    /// All is said, and the server is to close it.
    ends: bool,
}

impl Connection {
    fn new(server: SocketAddr) -> Result<Connection, String> {
        let stream = TcpStream::connect(server).map_err(|error| format!("connect: {error}"))?;
        stream
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        Ok(Connection {
            stream,
            unsent: Vec::new(),
            received: Vec::new(),
            open: VecDeque::new(),
            ends: false,
        })
    }

    fn wanted(&self) -> c_short {
        match self.unsent.is_empty() {
            true => libc::POLLIN,
            false => libc::POLLIN | libc::POLLOUT,
        }
    }

    fn send(&mut self) -> Result<(), String> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("write: {error}")),
            }
        }
        Ok(())
    }

    /// Reads what is there. False at the end of the stream.
    fn receive(&mut self) -> Result<bool, String> {
        let mut bytes = [0; 65536];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(false),
                Ok(size) => self.received.extend_from_slice(&bytes[..size]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(format!("read: {error}")),
            }
        }
    }

    /// Takes the answers that are whole.
    fn take(&mut self, talk: &dyn Talk) -> Result<usize, String> {
        let mut taken = 0;
        while let Some(number) = self.open.front() {
            let Some(size) = talk.answer(*number, &self.received)? else {
                break;
            };
            self.received.drain(..size);
            self.open.pop_front();
            taken += 1;
        }
        match (self.open.is_empty(), self.received.is_empty()) {
            (true, false) => Err("an answer to nothing".to_owned()),
            _ => Ok(taken),
        }
    }
}

/// Asks until all is answered. Fails with what is wrong.
pub fn run(load: &Load, talk: &dyn Talk) -> Result<(), String> {
    let mut asked = 0;
    let mut answered = 0;
    let few = load.connections.min(load.requests);
    let mut connections = Vec::new();
    for _ in 0..few {
        connections.push(Connection::new(load.server)?);
    }
    while answered < load.requests {
        for connection in &mut connections {
            while asked < load.requests && !connection.ends && connection.open.len() < load.depth {
                talk.ask(asked, &mut connection.unsent);
                connection.open.push_back(asked);
                connection.ends = talk.closes();
                asked += 1;
            }
            connection.send()?;
        }
        for at in poll(&connections, answered)? {
            let connection = &mut connections[at];
            let goes_on = connection.receive()?;
            answered += connection.take(talk)?;
            let due = connection.ends && connection.open.is_empty();
            match goes_on {
                true => {}
                false if due => *connection = Connection::new(load.server)?,
                false => return Err(format!("closed, {answered} answers")),
            }
        }
    }
    Ok(())
}

/// Those of which there is news.
fn poll(connections: &[Connection], answered: usize) -> Result<Vec<usize>, String> {
    let poll = |connection: &Connection| libc::pollfd {
        fd: connection.stream.as_raw_fd(),
        events: connection.wanted(),
        revents: 0,
    };
    let mut polled: Vec<libc::pollfd> = connections.iter().map(poll).collect();
    // SAFETY: It is an array of as many.
    match unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, PATIENCE) } {
        1.. => {}
        0 => return Err(format!("no answer any more after {answered}")),
        _ => return Err(format!("poll: {}", std::io::Error::last_os_error())),
    }
    let news = polled
        .iter()
        .enumerate()
        .filter(|(_, poll)| poll.revents != 0);
    Ok(news.map(|(at, _)| at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    /// A line is answered by itself.
    struct Lines {
        closes: bool,
    }

    impl Talk for Lines {
        fn ask(&self, number: usize, to: &mut Vec<u8>) {
            to.extend_from_slice(format!("{number}\n").as_bytes());
        }

        fn answer(&self, number: usize, bytes: &[u8]) -> Result<Option<usize>, String> {
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                return Ok(None);
            };
            match bytes[..end] == *number.to_string().as_bytes() {
                true => Ok(Some(end + 1)),
                false => Err(format!("{number}: {:?}", String::from_utf8_lossy(bytes))),
            }
        }

        fn closes(&self) -> bool {
            self.closes
        }
    }

    /// A server that answers `answer(line)`, for tests that end before it does.
    fn server(closes: bool, answer: fn(&str) -> String) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    while let Some(Ok(line)) = lines.next() {
                        if (&stream).write_all(answer(&line).as_bytes()).is_err() || closes {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn load(server: SocketAddr, depth: usize) -> Load {
        Load {
            server,
            connections: 4,
            requests: 100,
            depth,
        }
    }

    #[test]
    fn all_is_answered() {
        let kept = server(false, |line| format!("{line}\n"));
        for depth in [1, 7] {
            run(&load(kept, depth), &Lines { closes: false }).unwrap();
        }
        let closed = server(true, |line| format!("{line}\n"));
        run(&load(closed, 1), &Lines { closes: true }).unwrap();
    }

    #[test]
    fn another_answer_is_wrong() {
        let wrong = server(false, |line| {
            let answer = if line == "57" { "58" } else { line };
            format!("{answer}\n")
        });
        let error = run(&load(wrong, 1), &Lines { closes: false }).unwrap_err();
        assert!(error.starts_with("57: "), "{error}");
        let twice = server(false, |line| format!("{line}\n{line}\n"));
        assert!(run(&load(twice, 1), &Lines { closes: false }).is_err());
    }

    #[test]
    fn an_answer_that_lacks_is_wrong() {
        let closes = server(true, |line| format!("{line}\n"));
        let error = run(&load(closes, 1), &Lines { closes: false }).unwrap_err();
        // The next request may meet the end of the stream, or its reset.
        let ends = ["closed", "write: ", "read: "];
        assert!(ends.iter().any(|end| error.starts_with(end)), "{error}");
    }
}
