// SPDX-License-Identifier: GPL-2.0 OR MIT

//! An echo server: one thread, one ring.
//!
//! It shows how a token leads to a connection, why an edge is read until it blocks, and how a connection
//! ends: dropping it removes it from the queue, and no event of it comes after that.
//!
//!     echo [ADDRESS]      serves until it is killed
//!     echo --self-test    serves clients of its own, and ends

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, thread};

use kevent::{Registration, Ring, Socket, SocketEvents, Wait};

/// The token of the listener; connections have those that follow.
const LISTENER: u64 = 0;

/// A connection, and what its peer has not taken yet.
struct Connection {
    socket: Registration<Socket<TcpStream>>,
    unsent: Vec<u8>,
}

impl Connection {
    /// Sends what waits, and receives and sends until one of both would block. Says whether the
    /// connection goes on.
    fn serve(&mut self) -> io::Result<bool> {
        let mut stream = self.socket.get_ref();
        let mut text = [0; 4096];
        loop {
            while !self.unsent.is_empty() {
                match stream.write(&self.unsent) {
                    // The edge that comes when there is room brings us back.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                    sent => drop(self.unsent.drain(..sent?)),
                }
            }
            match stream.read(&mut text) {
                Ok(0) => return Ok(false),
                Ok(size) => self.unsent.extend_from_slice(&text[..size]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Serves until `enough` connections have ended.
fn serve(ring: &Ring, listener: TcpListener, enough: usize) -> io::Result<()> {
    let mut consumer = ring.consumer()?;
    listener.set_nonblocking(true)?;
    let listener = ring.add(LISTENER, Socket::new(listener, SocketEvents::ACCEPT))?;
    let mut connections = HashMap::new();
    let (mut next, mut ended) = (LISTENER + 1, 0);
    while ended < enough {
        consumer.wait(Wait::FOREVER)?;
        for event in consumer.events() {
            if event.token() == LISTENER {
                // A level: who is not accepted now is told of again. The event says what was true when
                // it was written: whom it told of may have been accepted on an earlier one.
                let (stream, _) = match listener.get_ref().accept() {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                    accepted => accepted?,
                };
                stream.set_nonblocking(true)?;
                let events = SocketEvents::RECV | SocketEvents::SEND;
                let socket = ring.add(next, Socket::new(stream, events).edge())?;
                let unsent = Vec::new();
                connections.insert(next, Connection { socket, unsent });
                next += 1;
            } else if let Some(connection) = connections.get_mut(&event.token()) {
                // An error is that of one connection.
                if !connection.serve().unwrap_or(false) {
                    connections.remove(&event.token());
                    ended += 1;
                }
            }
        }
    }
    Ok(())
}

/// Sends more than the buffers hold, while it receives the echo.
fn client(address: std::net::SocketAddr) -> io::Result<()> {
    let stream = TcpStream::connect(address)?;
    let sent: Vec<u8> = (0..1 << 20).map(|i: u32| (i / 7) as u8).collect();
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            (&stream).write_all(&sent)?;
            stream.shutdown(std::net::Shutdown::Write)
        });
        let mut received = Vec::new();
        (&stream).read_to_end(&mut received)?;
        sender.join().unwrap()?;
        assert!(received == sent, "the echo is another text");
        Ok(())
    })
}

fn main() -> io::Result<()> {
    let ring = Ring::new(256)?;
    let argument = env::args().nth(1);
    if argument.as_deref() != Some("--self-test") {
        let address = argument.unwrap_or("127.0.0.1:7007".to_owned());
        return serve(&ring, TcpListener::bind(address)?, usize::MAX);
    }
    const CLIENTS: usize = 8;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(move || client(address)))
            .collect();
        serve(&ring, listener, CLIENTS)?;
        clients
            .into_iter()
            .try_for_each(|client| client.join().unwrap())
    })?;
    println!("{CLIENTS} clients had 1 MiB each echoed");
    Ok(())
}
