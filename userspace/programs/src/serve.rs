// SPDX-License-Identifier: GPL-2.0 OR MIT

//! HTTP with hyper on tokio: /document is a file, and /echo/... is answered by itself. `cargo xtask
//! programs` drives it.
//!
//!     serve PORT      serves from the folder `www` until it is killed

use std::convert::Infallible;
use std::fs;
use std::io::{self, Error};
use std::net::Ipv4Addr;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};

const WORKERS: usize = 2;
/// How many may wait to be accepted.
const BACKLOG: u32 = 512;

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(BACKLOG)
}

/// Serves until it is killed.
async fn serve(port: u16, document: Bytes) -> io::Result<()> {
    let listener = listen(port)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let document = document.clone();
        let answer = move |request: Request<_>| {
            let body = match request.uri().path() {
                "/document" => document.clone(),
                path => format!("{path}\n").into(),
            };
            async { Ok::<_, Infallible>(Response::new(Full::new(body))) }
        };
        let http = http1::Builder::new();
        let connection = http.serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(async {
            if let Err(error) = connection.await {
                eprintln!("{error}");
            }
        });
    }
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_default();
    let port = port.parse().map_err(Error::other)?;
    let document = fs::read("www/document")?.into();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(WORKERS).enable_io();
    runtime.build()?.block_on(serve(port, document))
}
