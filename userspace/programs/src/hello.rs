// SPDX-License-Identifier: GPL-2.0 OR MIT

//! An HTTP server: hyper on tokio, without a word about how it is told of events.
//!
//!     hello ADDRESS               serves until it is killed
//!     hello --measure [ROUNDS]    asks itself, on epoll and on kevent, and counts what a request costs

use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use programs::count::{time_of, Calls};
use programs::queues_of;
use tokio::net::TcpListener;

const BODY: &str = "Hello, world\n";
/// How many ask at once.
const CONNECTIONS: usize = 64;

async fn answer<T>(_: Request<T>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(
        BODY.as_bytes(),
    ))))
}

/// Serves until it is killed.
async fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let http = http1::Builder::new();
        let connection = http.serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(async {
            if let Err(error) = connection.await {
                eprintln!("{error}");
            }
        });
    }
}

/// Asks once on each connection, and takes all answers.
fn ask(connections: &mut [TcpStream]) -> io::Result<()> {
    for stream in &mut *connections {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    }
    for stream in connections {
        let mut text = Vec::new();
        while !text.ends_with(BODY.as_bytes()) {
            let mut part = [0; 1024];
            match stream.read(&mut part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                size => text.extend_from_slice(&part[..size]),
            }
        }
        if !text.starts_with(b"HTTP/1.1 200 OK\r\n") {
            return Err(io::Error::other("another answer"));
        }
    }
    Ok(())
}

/// Lets a server of its own answer, and says what it needed for a request.
fn measure(column: &str, rounds: usize) -> io::Result<()> {
    let mut server = Command::new(std::env::current_exe()?);
    if column == "epoll" {
        server.env("MIO_KEVENT", "off");
    }
    let mut server = server.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    BufReader::new(server.stdout.take().expect("it is piped")).read_line(&mut address)?;
    let address: SocketAddr = address.trim().parse().map_err(io::Error::other)?;
    let connect = |_| TcpStream::connect(address);
    let mut connections = (0..CONNECTIONS)
        .map(connect)
        .collect::<io::Result<Vec<_>>>()?;
    for _ in 0..rounds / 8 + 1 {
        ask(&mut connections)?;
    }
    let id = server.id();
    let mut calls = Calls::of(id)?;
    let (begin, time) = (calls.get()?, time_of(id)?);
    for _ in 0..rounds {
        ask(&mut connections)?;
    }
    let (calls, time) = (calls.get()? - begin, time_of(id)? - time);
    let queues = queues_of(&id.to_string())?;
    let requests = (rounds * CONNECTIONS) as f64;
    println!(
        "HELLO column={column} requests={requests} calls={:.3} ns={:.0} kevent={} eventpoll={}",
        calls as f64 / requests,
        time as f64 / requests,
        queues.kevent,
        queues.eventpoll
    );
    server.kill()?;
    server.wait().map(drop)
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().unwrap_or("127.0.0.1:8080".to_owned());
    if first == "--measure" {
        let rounds = arguments.next().map_or(Ok(50), |rounds| rounds.parse());
        let rounds = rounds.map_err(io::Error::other)?;
        measure("epoll", rounds)?;
        return measure("kevent", rounds);
    }
    let address = first.parse().map_err(io::Error::other)?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_io().build()?.block_on(serve(address))
}
