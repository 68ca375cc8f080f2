// SPDX-License-Identifier: GPL-2.0 OR MIT
//! Accepts connections, and counts ticks.
use kevent::{Ring, Socket, SocketEvents, Timer, Wait};
use std::net::TcpListener;
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let ring = Ring::new(256)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let listener = ring.add(1, Socket::new(listener, SocketEvents::ACCEPT))?;
    let _tick = ring.add(2, Timer::every(Duration::from_millis(10)))?;
    let mut consumer = ring.consumer()?;
    let mut ticks = 0;
    while ticks < 5 {
        consumer.wait(Wait::FOREVER)?; // not if there is an event already
        for event in consumer.events() {
            match event.token() {
                // It finds nobody if an earlier event told of who came.
                1 => drop(listener.get_ref().accept()),
                _ => ticks += event.data(), // how often it expired
            }
        }
    }
    println!("{ticks} ticks");
    Ok(())
}
