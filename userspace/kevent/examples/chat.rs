// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A chat: two workers share a ring, and hang up on who is silent.
//!
//! It shows how workers share what they serve (a client is in the hands of one at a time), a timer
//! for each client that starts anew when the client speaks, and how all workers are told to stop.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use kevent::{Event, Registration, Ring, Socket, SocketEvents, Timer, User, Wait};

const IDLE: Duration = Duration::from_secs(2);
const LISTENER: u64 = 0;
const STOP: u64 = 1;
/// A client has an even token, and its timer the one after that. None is used again.
const FIRST: u64 = 2;

/// Whoever changes a registration has it alone, so it stands behind a lock.
struct Client {
    socket: Registration<Socket<TcpStream>>,
    timer: Registration<Timer>,
}

struct Server {
    ring: Ring,
    listener: Registration<Socket<TcpListener>>,
    stop: Registration<User>,
    clients: Mutex<HashMap<u64, Arc<Mutex<Client>>>>,
    next: AtomicU64,
}

impl Server {
    fn accept(&self) -> io::Result<()> {
        let (stream, _) = self.listener.get_ref().accept()?;
        stream.set_nonblocking(true)?;
        let token = self.next.fetch_add(2, Relaxed);
        // Another worker may have an event before the client is in the map: it waits for the lock.
        let mut clients = self.clients.lock().unwrap();
        let source = Socket::new(stream, SocketEvents::RECV);
        let socket = self.ring.add(token, source.dispatch())?;
        let timer = self.ring.add(token + 1, Timer::after(IDLE))?;
        socket.get_ref().write_all(b"welcome\n")?; // it hears what is said from now on
        clients.insert(token, Arc::new(Mutex::new(Client { socket, timer })));
        Ok(())
    }

    /// Tells all what the client said. Says whether the client goes on.
    fn chat(&self, client: &Mutex<Client>) -> io::Result<bool> {
        let mut said = Vec::new();
        {
            let client = &mut *client.lock().unwrap();
            match client.socket.get_ref().read_to_end(&mut said) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                ended => return ended.map(|_| false),
            }
            client.timer.rearm()?;
            client.socket.rearm()?; // what came since is told at once, to any worker
        }
        let all: Vec<_> = self.clients.lock().unwrap().values().cloned().collect();
        for other in all {
            // Who does not take it in time misses it.
            let _ = other.lock().unwrap().socket.get_ref().write(&said);
        }
        Ok(true)
    }

    fn serve(&self, event: &Event) -> io::Result<()> {
        let token = event.token() & !1;
        let client = self.clients.lock().unwrap().get(&token).cloned();
        // Without one, another worker has just ended it.
        let Some(client) = client else { return Ok(()) };
        let over = if event.token() == token {
            !self.chat(&client).unwrap_or(false)
        } else {
            // Another worker may have started the timer anew after this event was taken.
            client.lock().unwrap().timer.owns(event)
        };
        if over {
            self.clients.lock().unwrap().remove(&token);
        }
        Ok(())
    }

    fn work(&self) -> io::Result<()> {
        let mut consumer = self.ring.consumer()?;
        loop {
            consumer.wait(Wait::FOREVER)?;
            for event in consumer.events() {
                let result = match event.token() {
                    // A level: two workers may be told of one connection, and one finds nothing.
                    LISTENER => self.accept(),
                    STOP => return self.stop.sender().send(1), // one worker passes it to the next
                    _ => self.serve(&event),
                };
                match result {
                    Err(error) if error.kind() != ErrorKind::WouldBlock => eprintln!("{error}"),
                    _ => (),
                }
            }
        }
    }
}

/// Says something `times` times, and hears all until it is hung up on.
fn client(address: SocketAddr, times: u32, all: &Barrier) -> io::Result<usize> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream.read_line(&mut String::new())?;
    all.wait();
    let mut spoke = Instant::now();
    for time in 0..times {
        thread::sleep(if time == 0 { Duration::ZERO } else { IDLE / 16 });
        spoke = Instant::now();
        stream.get_mut().write_all(b"hello\n")?;
    }
    let mut heard = String::new();
    stream.read_to_string(&mut heard)?;
    assert!(spoke.elapsed() >= IDLE);
    Ok(heard.lines().count())
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let ring = Ring::new(64)?;
    let server = Server {
        listener: ring.add(LISTENER, Socket::new(listener, SocketEvents::ACCEPT))?,
        stop: ring.add(STOP, User::new())?,
        clients: Mutex::default(),
        next: FIRST.into(),
        ring,
    };
    let all = &Barrier::new(3);
    thread::scope(|scope| {
        let workers = [(); 2].map(|()| scope.spawn(|| server.work()));
        let clients = [8, 1, 1].map(|times| scope.spawn(move || client(address, times, all)));
        let [talker, ..] = clients.map(|client| client.join().unwrap());
        println!("the talker heard {} lines", talker?);
        server.stop.sender().send(1)?;
        let mut workers = workers.into_iter();
        workers.try_for_each(|worker| worker.join().unwrap())
    })
}
