// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What mio's events say, on whichever selector it has: of sockets, pipes and other files, at the
//! end of either way, and with errors.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::event::{Event, Source};
use mio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixStream};
use mio::unix::{pipe, SourceFd};
use mio::{Events, Interest, Poll, Token, Waker};
use programs::{is_on_kevent, queues_of, Queues};

const SOON: Option<Duration> = Some(Duration::from_secs(5));
const SHORT: Option<Duration> = Some(Duration::from_millis(50));
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

struct Fixture {
    poll: Poll,
    events: Events,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture {
            poll: Poll::new().unwrap(),
            events: Events::with_capacity(64),
        }
    }

    fn add(&self, source: &mut impl Source, token: usize, interest: Interest) {
        let registry = self.poll.registry();
        registry.register(source, Token(token), interest).unwrap();
    }

    /// Polls until an event of `token` is as it should be.
    fn until(&mut self, token: usize, is: impl Fn(&Event) -> bool) {
        let limit = Instant::now() + Duration::from_secs(5);
        loop {
            self.poll.poll(&mut self.events, SHORT).unwrap();
            let mut events = self.events.iter();
            if events.any(|event| event.token() == Token(token) && is(event)) {
                return;
            }
            assert!(Instant::now() < limit, "no such event of {token}");
        }
    }

    /// Polls away what there is, and then has nothing.
    fn nothing(&mut self) {
        self.poll.poll(&mut self.events, SHORT).unwrap();
        self.poll.poll(&mut self.events, SHORT).unwrap();
        assert!(self.events.is_empty(), "{:?}", self.events);
    }
}

fn tcp(fixture: &mut Fixture) -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    fixture.add(&mut ours, 1, BOTH);
    let (theirs, _) = listener.accept().unwrap();
    fixture.until(1, Event::is_writable);
    (ours, theirs)
}

#[test]
fn a_poll_has_one_queue() {
    let poll = Poll::new().unwrap();
    let link = std::fs::read_link(format!("/proc/self/fd/{}", poll.as_raw_fd())).unwrap();
    let Queues { kevent, eventpoll } = queues_of("self").unwrap();
    match is_on_kevent() {
        true => assert!(link.ends_with("anon_inode:[kevent]") && eventpoll == 0),
        false => assert!(link.ends_with("anon_inode:[eventpoll]") && kevent == 0),
    }
}

#[test]
fn tcp_tells_of_data_and_of_the_end() {
    let mut fixture = Fixture::new();
    let (mut ours, mut theirs) = tcp(&mut fixture);
    theirs.write_all(b"hello").unwrap();
    fixture.until(1, |event| event.is_readable() && !event.is_read_closed());
    assert_eq!(ours.read(&mut [0; 16]).unwrap(), 5);
    fixture.nothing();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    fixture.until(1, |event| event.is_readable() && event.is_read_closed());
    assert_eq!(ours.read(&mut [0; 16]).unwrap(), 0);
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    fixture.until(1, |event| event.is_read_closed() && event.is_write_closed());
}

#[test]
fn tcp_tells_of_a_reset() {
    let mut fixture = Fixture::new();
    let (mut ours, theirs) = tcp(&mut fixture);
    ours.write_all(b"never read").unwrap();
    thread::sleep(Duration::from_millis(50));
    drop(theirs);
    fixture.until(1, |event| {
        event.is_error() && event.is_read_closed() && event.is_write_closed()
    });
}

#[test]
fn tcp_tells_of_a_refusal() {
    let mut fixture = Fixture::new();
    let address = {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap()
    };
    let mut stream = TcpStream::connect(address).unwrap();
    fixture.add(&mut stream, 1, BOTH);
    fixture.until(1, |event| event.is_error() && event.is_write_closed());
    let error = stream.take_error().unwrap().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn tcp_tells_of_room() {
    let mut fixture = Fixture::new();
    let (mut ours, mut theirs) = tcp(&mut fixture);
    let mut sent = 0;
    while let Ok(size) = ours.write(&[0; 65536]) {
        sent += size;
    }
    fixture.nothing();
    let reader = thread::spawn(move || {
        let mut left = sent;
        let mut text = vec![0; 65536];
        while left > 0 {
            left -= theirs.read(&mut text).unwrap();
        }
        theirs
    });
    fixture.until(1, Event::is_writable);
    reader.join().unwrap();
}

#[test]
fn tcp_tells_of_urgent_data() {
    let mut fixture = Fixture::new();
    let (mut ours, theirs) = tcp(&mut fixture);
    let registry = fixture.poll.registry();
    registry
        .reregister(&mut ours, Token(2), Interest::PRIORITY)
        .unwrap();
    // SAFETY: One byte is there.
    let sent = unsafe { libc::send(theirs.as_raw_fd(), c"!".as_ptr().cast(), 1, libc::MSG_OOB) };
    assert_eq!(sent, 1);
    fixture.until(2, Event::is_priority);
}

#[test]
fn a_listener_tells_of_each_connection() {
    let mut fixture = Fixture::new();
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    fixture.add(&mut listener, 3, Interest::READABLE);
    fixture.nothing();
    for _ in 0..3 {
        let _stream = std::net::TcpStream::connect(address).unwrap();
        fixture.until(3, Event::is_readable);
        listener.accept().unwrap();
        assert_eq!(
            listener.accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }
}

#[test]
fn datagrams() {
    let mut fixture = Fixture::new();
    let any = || UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (mut one, mut other) = (any(), any());
    fixture.add(&mut one, 1, BOTH);
    fixture.add(&mut other, 2, Interest::READABLE);
    fixture.until(1, Event::is_writable);
    one.send_to(b"x", other.local_addr().unwrap()).unwrap();
    fixture.until(2, Event::is_readable);
    other.recv(&mut [0; 4]).unwrap();
    let (mut one, other) = UnixDatagram::pair().unwrap();
    fixture.add(&mut one, 4, BOTH);
    fixture.until(4, Event::is_writable);
    other.send(b"x").unwrap();
    fixture.until(4, Event::is_readable);
}

#[test]
fn a_unix_stream_tells_of_the_end() {
    let mut fixture = Fixture::new();
    let (mut one, mut other) = UnixStream::pair().unwrap();
    fixture.add(&mut one, 1, BOTH);
    fixture.until(1, Event::is_writable);
    other.write_all(b"x").unwrap();
    fixture.until(1, |event| event.is_readable() && !event.is_read_closed());
    drop(other);
    fixture.until(1, |event| event.is_read_closed() && event.is_write_closed());
}

#[test]
fn a_pipe_tells_of_its_ends() {
    let mut fixture = Fixture::new();
    let (mut sender, mut receiver) = pipe::new().unwrap();
    fixture.add(&mut sender, 1, Interest::WRITABLE);
    fixture.add(&mut receiver, 2, Interest::READABLE);
    fixture.until(1, |event| event.is_writable() && !event.is_write_closed());
    sender.write_all(b"x").unwrap();
    fixture.until(2, |event| event.is_readable() && !event.is_read_closed());
    drop(sender);
    fixture.until(2, Event::is_read_closed);
    let (mut sender, receiver) = pipe::new().unwrap();
    fixture.add(&mut sender, 3, Interest::WRITABLE);
    fixture.until(3, Event::is_writable);
    drop(receiver);
    fixture.until(3, |event| event.is_write_closed() && event.is_error());
}

#[test]
fn any_other_file() {
    let mut fixture = Fixture::new();
    // SAFETY: It takes numbers only, and gives a new descriptor.
    let file = unsafe { std::fs::File::from_raw_fd(libc::eventfd(0, libc::EFD_NONBLOCK)) };
    fixture.add(&mut SourceFd(&file.as_raw_fd()), 9, Interest::READABLE);
    fixture.nothing();
    (&file).write_all(&1u64.to_ne_bytes()).unwrap();
    fixture.until(9, Event::is_readable);
    let regular = std::fs::File::open("/proc/self/exe").unwrap();
    let registry = fixture.poll.registry();
    let error = registry.register(&mut SourceFd(&regular.as_raw_fd()), Token(1), BOTH);
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn registering_again_and_no_more() {
    let mut fixture = Fixture::new();
    let (mut one, mut other) = UnixStream::pair().unwrap();
    let (sender, mut receiver) = pipe::new().unwrap();
    fixture.add(&mut one, 1, Interest::READABLE);
    fixture.add(&mut receiver, 2, Interest::READABLE);
    other.write_all(b"x").unwrap();
    (&sender).write_all(b"x").unwrap();
    fixture.until(1, Event::is_readable);
    let registry = fixture.poll.registry();
    let fd = one.as_raw_fd();
    let twice = registry.register(&mut SourceFd(&fd), Token(5), BOTH);
    assert_eq!(twice.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    // What is true is told again, with the new token.
    registry.reregister(&mut one, Token(3), BOTH).unwrap();
    registry
        .reregister(&mut receiver, Token(4), Interest::READABLE)
        .unwrap();
    fixture.until(3, |event| event.is_readable() && event.is_writable());
    let registry = fixture.poll.registry();
    registry
        .reregister(&mut receiver, Token(4), Interest::READABLE)
        .unwrap();
    fixture.until(4, Event::is_readable);
    let registry = fixture.poll.registry();
    registry.deregister(&mut one).unwrap();
    registry.deregister(&mut receiver).unwrap();
    other.write_all(b"y").unwrap();
    (&sender).write_all(b"y").unwrap();
    fixture.nothing();
    let registry = fixture.poll.registry();
    let none = registry.reregister(&mut SourceFd(&fd), Token(5), BOTH);
    assert_eq!(none.unwrap_err().kind(), io::ErrorKind::NotFound);
}

/// A number that was a socket's is a pipe's, and the other way round.
#[test]
fn numbers_are_used_again() {
    let mut fixture = Fixture::new();
    for round in 0..20 {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        fixture.add(&mut one, 2 * round, Interest::READABLE);
        other.write_all(b"x").unwrap();
        fixture.until(2 * round, Event::is_readable);
        drop((one, other));
        let (mut sender, mut receiver) = pipe::new().unwrap();
        fixture.add(&mut receiver, 2 * round + 1, Interest::READABLE);
        sender.write_all(b"x").unwrap();
        fixture.until(2 * round + 1, Event::is_readable);
        if round % 2 == 0 {
            fixture.poll.registry().deregister(&mut receiver).unwrap();
        }
    }
}

#[test]
fn a_waker_wakes() {
    let mut fixture = Fixture::new();
    let waker = Arc::new(Waker::new(fixture.poll.registry(), Token(7)).unwrap());
    for _ in 0..3 {
        waker.wake().unwrap();
        waker.wake().unwrap();
        fixture.until(7, Event::is_readable);
        fixture.nothing();
    }
    let other = waker.clone();
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        other.wake().unwrap();
    });
    fixture.poll.poll(&mut fixture.events, None).unwrap();
    assert_eq!(fixture.events.iter().next().unwrap().token(), Token(7));
    thread.join().unwrap();
    waker.wake().unwrap();
    drop(waker);
    fixture.nothing();
}

#[test]
fn registries_share_the_queue() {
    let mut fixture = Fixture::new();
    let registry = fixture.poll.registry().try_clone().unwrap();
    let (mut other, one) = UnixStream::pair().unwrap();
    let thread = thread::spawn(move || {
        let mut one = one;
        registry
            .register(&mut one, Token(1), Interest::READABLE)
            .unwrap();
        (one, registry)
    });
    let (_one, registry) = thread.join().unwrap();
    other.write_all(b"x").unwrap();
    fixture.until(1, Event::is_readable);
    drop(fixture);
    let (mut late, _end) = UnixStream::pair().unwrap();
    registry.register(&mut late, Token(2), BOTH).unwrap();
}

/// Fewer places than events: the others come next, and each once.
#[test]
fn events_find_room_later() {
    let poll = Fixture::new();
    let mut poll = poll.poll;
    let mut events = Events::with_capacity(4);
    let mut pairs = Vec::new();
    for token in 0..30 {
        let (mut one, other) = UnixStream::pair().unwrap();
        let registry = poll.registry();
        registry
            .register(&mut one, Token(token), Interest::READABLE)
            .unwrap();
        (&other).write_all(b"x").unwrap();
        pairs.push((one, other));
    }
    let mut seen = Vec::new();
    while seen.len() < 30 {
        poll.poll(&mut events, SOON).unwrap();
        assert!(!events.is_empty());
        seen.extend(events.iter().map(|event| event.token().0));
    }
    seen.sort();
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
}

#[test]
fn a_wait_ends_in_time() {
    let mut fixture = Fixture::new();
    for wait in [0, 1, 30] {
        let wait = Duration::from_millis(wait);
        let begin = Instant::now();
        fixture.poll.poll(&mut fixture.events, Some(wait)).unwrap();
        assert!(begin.elapsed() >= wait && fixture.events.is_empty());
    }
    let mut none = Events::with_capacity(0);
    let error = fixture
        .poll
        .poll(&mut none, Some(Duration::ZERO))
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

/// A queue in a queue.
#[test]
fn a_poll_can_be_watched() {
    let mut outer = Fixture::new();
    let inner = Fixture::new();
    outer.add(
        &mut SourceFd(&inner.poll.as_raw_fd()),
        1,
        Interest::READABLE,
    );
    outer.nothing();
    let (mut one, mut other) = UnixStream::pair().unwrap();
    inner.add(&mut one, 5, Interest::READABLE);
    other.write_all(b"x").unwrap();
    outer.until(1, Event::is_readable);
}
