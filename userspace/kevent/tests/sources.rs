// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Each kind of source, in each mode.

mod common;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use common::{first, ring, taken, waited, LONG};
use kevent::{Clock, Fd, Kind, PollEvents, Remarks, Socket, SocketEvents, Timer, User, Wait};

const MOMENT: Duration = Duration::from_millis(5);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, client)
}

#[test]
fn timer_is_not_early() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let deadline = Instant::now() + MOMENT;
    let timers = [
        Timer::after(MOMENT),
        Timer::after(MOMENT).clock(Clock::Boottime),
        Timer::at(deadline),
    ];
    for timer in timers {
        let _timer = ring.add(1, timer.once()).unwrap();
        assert_eq!(waited(&mut consumer), [(1, 1)]);
        assert!(Instant::now() >= deadline);
    }
}

#[test]
fn timer_at_a_date() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let date = SystemTime::now() + MOMENT;
    let _timer = ring.add(1, Timer::at_date(date)).unwrap();
    assert_eq!(waited(&mut consumer), [(1, 1)]);
    assert!(SystemTime::now() >= date);
}

#[test]
fn timer_counts_what_was_missed() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let start = Instant::now();
    let timer = ring.add(1, Timer::every(Duration::from_millis(1))).unwrap();
    std::thread::sleep(4 * MOMENT);
    let mut expired = 0;
    while expired < 20 {
        expired += waited(&mut consumer)
            .iter()
            .map(|(_, data)| data)
            .sum::<u64>();
    }
    assert!(u128::from(expired) <= start.elapsed().as_millis());
    drop(timer);
    assert_eq!(taken(&mut consumer), []);
}

#[test]
fn timer_is_set_anew() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let mut timer = ring.add(1, Timer::after(LONG)).unwrap();
    let before = timer.generation();
    timer.set(Timer::after(Duration::ZERO)).unwrap();
    assert_ne!(timer.generation(), before);
    assert_eq!(waited(&mut consumer), [(1, 1)]);
}

#[test]
fn dispatch_waits_for_rearm() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let mut job = ring.add(1, User::new().dispatch()).unwrap();
    job.sender().send(1).unwrap();
    assert_eq!(taken(&mut consumer), [(1, 1)]);
    job.sender().send(1).unwrap();
    assert_eq!(taken(&mut consumer), []);
    job.rearm().unwrap();
    job.sender().send(1).unwrap();
    assert_eq!(taken(&mut consumer), [(1, 1)]);
}

#[test]
fn once_is_over() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let job = ring.add(1, User::new().once()).unwrap();
    job.sender().send(1).unwrap();
    let error = job.sender().send(1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    // Its event stays, whatever becomes of the registration.
    assert!(!job.remove().unwrap().outstanding);
    assert_eq!(taken(&mut consumer), [(1, 1)]);
}

#[test]
fn bits_are_ored_and_cut() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let job = ring.add(1, User::with_bits(0b0111).wake_all()).unwrap();
    job.sender().send_bits(0b0001, 1).unwrap();
    job.sender().send_bits(0b1100, 2).unwrap();
    let event = consumer.events().next().unwrap();
    assert_eq!(
        (event.bits(), event.data(), event.kind()),
        (0b0101, 3, Kind::User)
    );
}

#[test]
fn listener_and_connection() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listener = ring
        .add(1, Socket::new(listener, SocketEvents::ACCEPT))
        .unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let event = first(&mut consumer);
    assert_eq!((event.socket(), event.data()), (SocketEvents::ACCEPT, 1));
    drop(event);

    let (server, _) = listener.get_ref().accept().unwrap();
    let interest = SocketEvents::RECV | SocketEvents::EOF;
    let server = ring.add(2, Socket::new(server, interest).edge()).unwrap();
    client.write_all(b"hello").unwrap();
    let event = first(&mut consumer);
    assert_eq!(
        (event.token(), event.kind(), event.data()),
        (2, Kind::Socket, 5)
    );
    assert!(event.poll().is_empty());
    assert_eq!(
        event.id(),
        std::os::fd::AsRawFd::as_raw_fd(server.get_ref()) as u64
    );
    drop(event);

    let mut text = [0; 8];
    assert_eq!(server.get_ref().read(&mut text).unwrap(), 5);
    drop(client);
    let event = first(&mut consumer);
    assert_eq!(event.socket(), interest);
    drop(event);
    drop(server.into_inner().unwrap());
}

/// Why a program's descriptors do not block.
#[test]
fn event_says_what_was_true_when_it_was_written() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = ring
        .add(1, Socket::new(listener, SocketEvents::ACCEPT))
        .unwrap();
    let _client = TcpStream::connect(address).unwrap();
    consumer.wait(LONG).unwrap();
    let _server = listener.get_ref().accept().unwrap();
    assert_eq!(taken(&mut consumer), [(1, 1)]);
    let nobody = listener.get_ref().accept().unwrap_err();
    assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn reset_is_an_error() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let (server, mut client) = pair();
    let _client = ring
        .add(
            1,
            Socket::new(client.try_clone().unwrap(), SocketEvents::EOF).edge(),
        )
        .unwrap();
    // Closed with something unread, it resets.
    client.write_all(b"x").unwrap();
    server.peek(&mut [0]).unwrap();
    drop(server);
    let event = first(&mut consumer);
    assert!(event
        .socket()
        .contains(SocketEvents::ERROR | SocketEvents::HUP));
    let error = event.error().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn borrowed_sockets_stay_the_callers() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let watched = ring
        .add(1, Socket::new(&socket, SocketEvents::RECV))
        .unwrap();
    socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
    assert_eq!(taken(&mut consumer).len(), 1);
    let error = ring
        .add(2, Socket::new(&socket, SocketEvents::RECV))
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    drop(watched);
    let _again = ring
        .add(2, Socket::new(&socket, SocketEvents::RECV))
        .unwrap();
    // It is still true.
    assert_eq!(taken(&mut consumer)[0].0, 2);
}

#[test]
fn interest_changes() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let (_server, client) = pair();
    let mut client = ring
        .add(1, Socket::new(client, SocketEvents::RECV).edge())
        .unwrap();
    assert_eq!(taken(&mut consumer), []);
    client.set(SocketEvents::SEND).unwrap();
    let event = consumer.events().next().unwrap();
    assert_eq!(event.socket(), SocketEvents::SEND);
    assert!(client.owns(&event));
}

#[test]
fn level_is_told_again_and_edge_is_not() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let (level, mut level_end) = io::pipe().unwrap();
    let (edge, mut edge_end) = io::pipe().unwrap();
    let _level = ring.add(1, Fd::new(level, PollEvents::IN)).unwrap();
    let mut edge = ring.add(2, Fd::new(edge, PollEvents::IN).edge()).unwrap();
    level_end.write_all(b"x").unwrap();
    edge_end.write_all(b"x").unwrap();
    assert_eq!(taken(&mut consumer), [(1, 0), (2, 0)]);
    assert_eq!(taken(&mut consumer), []);
    consumer.wait(Wait::NOT).unwrap();
    assert_eq!(taken(&mut consumer), [(1, 0)]);
    edge.set(PollEvents::IN).unwrap();
    assert_eq!(taken(&mut consumer), [(2, 0)]);
}

#[test]
fn files_are_told_as_poll_says() {
    let Some((ring, mut consumer)) = ring(8) else {
        return;
    };
    let (reader, writer) = io::pipe().unwrap();
    let watched = Fd::new(&reader, PollEvents::IN | PollEvents::RDHUP);
    let _reader = ring.add(1, watched.checked()).unwrap();
    drop(writer);
    ring.wake().unwrap();
    let mut events = Vec::new();
    ring.get(&mut events, 1, LONG).unwrap();
    assert_eq!(events[0].poll(), PollEvents::HUP);
    assert_eq!(events[0].remarks(), Remarks::empty());
    assert_eq!(taken(&mut consumer), []);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let Some((ring, _consumer)) = ring(8) else {
        return;
    };
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let error = ring.add(1, Fd::new(&file, PollEvents::IN)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    let error = ring
        .add(1, Socket::new(&file, SocketEvents::RECV))
        .unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
    let error = ring.add(1, User::with_bits(0)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn exclusive_queues_share() {
    let Some((one, mut first)) = ring(8) else {
        return;
    };
    let Some((two, mut second)) = ring(8) else {
        return;
    };
    let (reader, mut writer) = io::pipe().unwrap();
    let source = || Fd::new(&reader, PollEvents::IN).edge().exclusive();
    let _one = one.add(1, source()).unwrap();
    let _two = two.add(2, source()).unwrap();
    writer.write_all(b"x").unwrap();
    assert_eq!(taken(&mut first).len() + taken(&mut second).len(), 1);
}
