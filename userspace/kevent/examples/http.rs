// SPDX-License-Identifier: GPL-2.0 OR MIT

//! An HTTP/1.1 server with thousands of connections that are kept alive, most of them idle: the case for
//! which kevent was first proposed, in 2006.
//!
//! It shows that idle connections cost nothing but memory, that a small ring serves many sources, and
//! how many calls a busy server spends on being told: next to none.
//!
//!     http [ADDRESS]              serves until it is killed
//!     http --self-test [IDLE]     asks itself, beside 8000 idle connections

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{env, thread};

use kevent::{Registration, Ring, Socket, SocketEvents, Wait};

const LISTENER: u64 = u64::MAX;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n\
    Hello, world\n";

/// What the server did.
#[derive(Default)]
struct Served {
    requests: u64,
    waits: u64,
}

/// Answers each request that has come. Says whether the connection goes on. A request that comes in
/// parts would need a buffer here.
fn answer(mut stream: &TcpStream, requests: &mut u64) -> io::Result<bool> {
    let mut text = [0; 1024];
    loop {
        match stream.read(&mut text) {
            Ok(0) => return Ok(false),
            Ok(size) if text[..size].ends_with(b"\r\n\r\n") => {
                stream.write_all(ANSWER)?;
                *requests += 1;
                // Less than there was room for: it was all, and an edge tells what comes next.
                if size < text.len() {
                    return Ok(true);
                }
            }
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

/// Serves until `stop`.
fn serve(ring: &Ring, listener: TcpListener, stop: &AtomicBool) -> io::Result<Served> {
    let mut consumer = ring.consumer()?;
    listener.set_nonblocking(true)?;
    let listener = ring.add(LISTENER, Socket::new(listener, SocketEvents::ACCEPT).edge())?;
    // The token is the place of the connection here. Places are used again, which is safe: an
    // event that nobody has taken goes with its registration.
    let mut connections: Vec<Option<Registration<Socket<TcpStream>>>> = Vec::new();
    let mut free = Vec::new();
    let mut served = Served::default();
    while !stop.load(Relaxed) {
        consumer.wait(Wait::FOREVER)?;
        served.waits += 1;
        for event in consumer.events() {
            if event.token() == LISTENER {
                while let Ok((stream, _)) = listener.get_ref().accept() {
                    stream.set_nonblocking(true)?;
                    let place = free.pop().unwrap_or(connections.len());
                    let source = Socket::new(stream, SocketEvents::RECV).edge();
                    let connection = Some(ring.add(place as u64, source)?);
                    match connections.get_mut(place) {
                        Some(empty) => *empty = connection,
                        None => connections.push(connection),
                    }
                }
                continue;
            }
            let place = event.token() as usize;
            let Some(connection) = &connections[place] else {
                continue;
            };
            if !answer(connection.get_ref(), &mut served.requests).unwrap_or(false) {
                connections[place] = None;
                free.push(place);
            }
        }
    }
    Ok(served)
}

/// Has `idle` connections that say nothing, and 64 that ask, all at once, `rounds` times.
fn load(address: std::net::SocketAddr, idle: usize, rounds: usize) -> io::Result<()> {
    let connect = |_| TcpStream::connect(address);
    let _idle = (0..idle).map(connect).collect::<io::Result<Vec<_>>>()?;
    let mut busy = (0..64).map(connect).collect::<io::Result<Vec<_>>>()?;
    let mut text = [0; ANSWER.len()];
    for _ in 0..rounds {
        for stream in &mut busy {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        }
        for stream in &mut busy {
            stream.read_exact(&mut text)?;
            assert_eq!(text, ANSWER);
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let ring = Ring::new(256)?;
    let stop = AtomicBool::new(false);
    let argument = env::args().nth(1);
    if argument.as_deref() != Some("--self-test") {
        let address = argument.unwrap_or("127.0.0.1:8080".to_owned());
        return serve(&ring, TcpListener::bind(address)?, &stop).map(drop);
    }
    let idle = env::args()
        .nth(2)
        .map_or(8000, |idle| idle.parse().expect("a number"));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let served = thread::scope(|scope| {
        let server = scope.spawn(|| serve(&ring, listener, &stop));
        load(address, idle, 20)?;
        stop.store(true, Relaxed);
        ring.wake()?;
        server.join().unwrap()
    })?;
    let Served { requests, waits } = served;
    println!("{requests} requests beside {idle} idle connections, {waits} calls that wait");
    Ok(())
}
