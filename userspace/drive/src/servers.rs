// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The servers: how each is started, and on what.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::processes;

/// Where the library lies in the guest.
const LIBRARY: &str = "/exec/libepoll_kevent.so";
/// Where the files of this crate lie there.
pub const FILES: &str = "/exec/files";
/// What servers write, and nginx's documents.
pub const PLACE: &str = "/tmp/programs";

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(120);

/// A program of the userland.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// What a server has its events from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Epoll,
    Kevent,
}

impl Column {
    pub const BOTH: [Column; 2] = [Column::Epoll, Column::Kevent];

    pub fn name(self) -> &'static str {
        match self {
            Column::Epoll => "epoll",
            Column::Kevent => "kevent",
        }
    }

    /// Puts a program on it.
    pub fn apply(self, command: &mut Command) {
        // Else libuv may do without epoll.
        command.env("UV_USE_IO_URING", "0");
        if self == Column::Kevent {
            command.env("LD_PRELOAD", LIBRARY);
        }
    }
}

/// How the two workers of nginx share what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Both watch one socket with `EPOLLEXCLUSIVE`.
    Exclusive,
    /// Who has the mutex watches it.
    Mutex,
    /// Each has a socket.
    Reuseport,
}

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Nginx(Accept),
    /// In front of nginx, which is on the same.
    Haproxy,
    Asyncio,
    Node,
    /// On tokio, and on mio as it is or with the selector: nothing is preloaded.
    Hyper,
    Redis,
}

impl Server {
    pub const ALL: [Server; 8] = [
        Server::Nginx(Accept::Exclusive),
        Server::Nginx(Accept::Mutex),
        Server::Nginx(Accept::Reuseport),
        Server::Haproxy,
        Server::Asyncio,
        Server::Node,
        Server::Hyper,
        Server::Redis,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Server::Nginx(Accept::Exclusive) => "nginx",
            Server::Nginx(Accept::Mutex) => "nginx-mutex",
            Server::Nginx(Accept::Reuseport) => "nginx-reuseport",
            Server::Haproxy => "haproxy",
            Server::Asyncio => "asyncio",
            Server::Node => "node",
            Server::Hyper => "hyper",
            Server::Redis => "redis",
        }
    }

    pub fn address(self) -> SocketAddr {
        let port = match self {
            Server::Nginx(_) => 8081,
            Server::Haproxy => 8082,
            Server::Asyncio => 8083,
            Server::Node => 8084,
            Server::Hyper => 8085,
            Server::Redis => 6379,
        };
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// What listens before it.
    fn behind(self) -> Option<Server> {
        (self == Server::Haproxy).then_some(Server::Nginx(Accept::Exclusive))
    }

    /// The program, put on a column.
    fn command(self, column: Column) -> Command {
        let port = self.address().port().to_string();
        let file = |name: &str| format!("{FILES}/{name}");
        let (program, arguments) = match self {
            Server::Nginx(_) => {
                let configuration = format!("{PLACE}/nginx.conf");
                let errors = format!("{PLACE}/nginx.errors");
                (
                    "nginx",
                    vec!["-e".to_owned(), errors, "-c".to_owned(), configuration],
                )
            }
            Server::Haproxy => (
                "haproxy",
                vec!["-db".to_owned(), "-f".to_owned(), file("haproxy.cfg")],
            ),
            Server::Asyncio => ("python3", vec![file("server.py"), port]),
            Server::Node => ("node", vec![file("server.js"), port]),
            Server::Hyper => match column {
                Column::Epoll => ("/exec/serve-epoll", vec![port]),
                Column::Kevent => ("/exec/serve-kevent", vec![port]),
            },
            Server::Redis => {
                let words = [
                    "--port",
                    &port,
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--loglevel",
                    "warning",
                ];
                ("redis-server", words.map(str::to_owned).to_vec())
            }
        };
        let mut command = self::program(program);
        command.args(arguments);
        if self != Server::Hyper {
            column.apply(&mut command);
        }
        command
    }
}

/// What nginx is told.
fn nginx(accept: Accept, port: u16) -> String {
    let mutex = if accept == Accept::Mutex { "on" } else { "off" };
    let reuseport = if accept == Accept::Reuseport {
        " reuseport"
    } else {
        ""
    };
    format!(
        "daemon off;\nuser root;\nworker_processes 2;\npid {PLACE}/nginx.pid;\n\
         error_log {PLACE}/nginx.errors warn;\n\
         events {{ worker_connections 512; accept_mutex {mutex}; accept_mutex_delay 20ms; }}\n\
         http {{\n access_log off;\n keepalive_requests 1000000;\n sendfile on;\n\
         server {{\n  listen 127.0.0.1:{port}{reuseport};\n  root {PLACE}/www;\n\
         location /echo/ {{ return 200 \"$request_uri\\n\"; }}\n }}\n}}\n"
    )
}

/// A server that runs, and ends when this is dropped.
pub struct Running {
    child: Child,
    behind: Option<Box<Running>>,
}

impl Running {
    /// Starts it, and waits until it listens.
    pub fn start(server: Server, column: Column) -> Result<Running, String> {
        let behind = server.behind().map(|behind| Running::start(behind, column));
        let behind = behind.transpose()?.map(Box::new);
        if let Server::Nginx(accept) = server {
            let text = nginx(accept, server.address().port());
            let path = format!("{PLACE}/nginx.conf");
            fs::write(&path, text).map_err(|error| format!("{path}: {error}"))?;
        }
        let mut command = server.command(column);
        command
            .current_dir(PLACE)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command.spawn();
        let child = child.map_err(|error| format!("{:?}: {error}", command.get_program()))?;
        let mut running = Running { child, behind };
        let begin = Instant::now();
        while TcpStream::connect(server.address()).is_err() {
            if let Ok(Some(status)) = running.child.try_wait() {
                return Err(format!("ended before it listened: {status}"));
            }
            if begin.elapsed() > START {
                return Err("does not listen".to_owned());
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Workers that come after the socket, and the first connection that is closed again.
        thread::sleep(Duration::from_millis(500));
        Ok(running)
    }

    /// All of its processes.
    pub fn processes(&self) -> Vec<u32> {
        let mut all = processes::tree(self.child.id());
        all.extend(self.behind.iter().flat_map(|behind| behind.processes()));
        all
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let all = processes::tree(self.child.id());
        // SAFETY: It is our child, and not waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begin.elapsed() > Duration::from_secs(5) {
                for pid in &all {
                    // SAFETY: They are still there, as their parent has not been waited for.
                    unsafe { libc::kill(*pid as i32, libc::SIGKILL) };
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_is_told_how_to_share() {
        let text = |accept| nginx(accept, 80);
        assert!(text(Accept::Mutex).contains("accept_mutex on;"));
        assert!(text(Accept::Exclusive).contains("accept_mutex off;"));
        assert!(text(Accept::Reuseport).contains("listen 127.0.0.1:80 reuseport;"));
        assert!(!text(Accept::Exclusive).contains("reuseport"));
        let braces = |brace| text(Accept::Mutex).matches(brace).count();
        assert_eq!(braces('{'), braces('}'));
    }

    #[test]
    fn the_library_comes_before_others() {
        let mut command = Command::new("true");
        Column::Epoll.apply(&mut command);
        assert!(!command.get_envs().any(|(name, _)| name == "LD_PRELOAD"));
        Column::Kevent.apply(&mut command);
        assert!(command.get_envs().any(|(name, _)| name == "LD_PRELOAD"));
    }

    #[test]
    fn what_has_the_selector_has_no_library() {
        let [epoll, kevent] = Column::BOTH.map(|column| Server::Hyper.command(column));
        assert_ne!(epoll.get_program(), kevent.get_program());
        assert_eq!(kevent.get_envs().count(), epoll.get_envs().count());
        assert!(Server::Node.command(Column::Kevent).get_envs().count() > 1);
    }
}
