// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is compared. Nothing here may depend on time but where it says so, and on no number.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use libc::{epoll_event, sigset_t, timespec};

use crate::epoll::*;

type Case = (&'static str, fn(&Say));

/// All of them.
pub const ALL: &[Case] = &[
    ("create", create_errors),
    ("ctl", ctl_errors),
    ("ctl_files", ctl_files),
    ("ctl_addresses", ctl_addresses),
    ("wait_errors", wait_errors),
    ("wait_addresses", wait_addresses),
    ("level", level),
    ("edge", edge),
    ("oneshot", oneshot),
    ("modes_at_once", modes_at_once),
    ("always", always),
    ("stale", stale),
    ("modify", modify),
    ("data", data),
    ("order", order),
    ("many", many),
    ("crowd", crowd),
    ("pipe_edge", pipe_edge),
    ("sockets", sockets),
    ("tcp", tcp),
    ("files", files),
    ("exclusive", exclusive),
    ("exclusive_errors", exclusive_errors),
    ("nested", nested),
    ("nested_edge", nested_edge),
    ("nested_errors", nested_errors),
    ("pollable", pollable),
    ("pollable_edge", pollable_edge),
    ("close", close_ends),
    ("dup", dup_keeps),
    ("reuse", reuse),
    ("epoll_dup", epoll_dup),
    ("fork", fork),
    ("timeouts", timeouts),
    ("pwait", pwait),
    ("pwait2", pwait2),
    ("signal", signal),
    ("nonblock", nonblock),
    ("threads_level", threads_level),
    ("threads_edge", threads_edge),
    ("threads_oneshot", threads_oneshot),
    ("threads_many", threads_many),
    ("threads_ctl", threads_ctl),
    ("close_asleep", close_asleep),
];

fn create_errors(of: &Say) {
    // SAFETY: These take numbers.
    unsafe {
        of.say("size 0", done(libc::epoll_create(0)));
        of.say("size -1", done(libc::epoll_create(-1)));
        of.say("size 1", done(libc::epoll_create(1)));
        of.say("flags", done(libc::epoll_create1(1)));
        of.say("all flags", done(libc::epoll_create1(-1)));
        let (plain, cloexec) = (libc::epoll_create1(0), create());
        of.say("plain", libc::fcntl(plain, libc::F_GETFD));
        of.say("close-on-exec", libc::fcntl(cloexec, libc::F_GETFD));
        of.say("mode", libc::fcntl(plain, libc::F_GETFL) & libc::O_ACCMODE);
        let few = libc::rlimit {
            rlim_cur: 3,
            rlim_max: 3,
        };
        libc::setrlimit(libc::RLIMIT_NOFILE, &few);
        of.say("no descriptor", done(libc::epoll_create1(0)));
    }
}

fn ctl_errors(of: &Say) {
    let (epfd, file, closed) = (create(), eventfd(0), eventfd(0));
    close(closed);
    of.say("bad epfd", ctl(closed, ADD, file, IN));
    of.say("negative epfd", ctl(-1, ADD, file, IN));
    of.say("bad fd", ctl(epfd, ADD, closed, IN));
    of.say("negative fd", ctl(epfd, ADD, -1, IN));
    of.say("bad fd, MOD", ctl(epfd, MOD, closed, IN));
    of.say("bad fd, DEL", ctl(epfd, DEL, closed, IN));
    of.say("epfd is none", ctl(file, ADD, eventfd(0), IN));
    of.say("itself", ctl(epfd, ADD, epfd, IN));
    of.say("itself, MOD", ctl(epfd, MOD, epfd, IN));
    of.say("itself, DEL", ctl(epfd, DEL, epfd, IN));
    let copy = dup(epfd);
    of.say("its copy", ctl(epfd, ADD, copy, IN));
    of.say("its copy, DEL", ctl(epfd, DEL, copy, IN));
    of.say("MOD before ADD", ctl(epfd, MOD, file, IN));
    of.say("DEL before ADD", ctl(epfd, DEL, file, IN));
    of.say("ADD", ctl(epfd, ADD, file, IN));
    of.say("ADD again", ctl(epfd, ADD, file, IN));
    of.say("ADD a copy", ctl(epfd, ADD, dup(file), IN));
    of.say("MOD", ctl(epfd, MOD, file, OUT));
    of.say("DEL", ctl(epfd, DEL, file, 0));
    of.say("DEL again", ctl(epfd, DEL, file, 0));
    of.say("MOD after DEL", ctl(epfd, MOD, file, IN));
    of.say("operation 0", ctl(epfd, 0, file, IN));
    of.say("operation 4", ctl(epfd, 4, file, IN));
    of.say("operation -1, bad fd", ctl(epfd, -1, closed, IN));
    // Bits that nobody knows.
    of.say("all poll bits", ctl(epfd, ADD, file, 0x0fff_ffff & !WAKEUP));
    of.say("which report", now(epfd));
    of.say("EPOLLWAKEUP", ctl(epfd, MOD, file, IN | WAKEUP));
}

fn ctl_files(of: &Say) {
    let epfd = create();
    // SAFETY: The names end with a zero.
    let open = |name: &std::ffi::CStr, flags| unsafe { libc::open(name.as_ptr(), flags) };
    let (folder, regular) = (
        open(c"/", libc::O_RDONLY),
        open(c"/proc/self/exe", libc::O_RDONLY),
    );
    for op in [ADD, MOD, DEL] {
        of.say("a folder", ctl(epfd, op, folder, IN));
        of.say("a file", ctl(epfd, op, regular, IN));
    }
    let path = open(c"/", libc::O_PATH);
    of.say("a path", ctl(epfd, ADD, path, IN));
    let null = open(c"/dev/null", libc::O_RDWR);
    of.say("/dev/null", ctl(epfd, ADD, null, IN | OUT));
}

/// An address where nothing is.
fn nowhere() -> *mut epoll_event {
    // SAFETY: Nobody uses it.
    unsafe {
        libc::mmap(
            null_mut(),
            4096,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
        .cast()
    }
}

/// A page near the lowest addresses.
fn low() -> *mut epoll_event {
    // SAFETY: Nobody uses it.
    unsafe {
        libc::mmap(
            std::ptr::without_provenance_mut(1 << 28),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
        .cast()
    }
}

fn ctl_addresses(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    let bad = nowhere();
    let kernel = std::ptr::without_provenance_mut::<epoll_event>(usize::MAX & !4095);
    // SAFETY: Addresses that are not good are an error.
    unsafe {
        of.say(
            "ADD null",
            answer(libc::epoll_ctl(epfd, ADD, file, null_mut())),
        );
        of.say("ADD bad", answer(libc::epoll_ctl(epfd, ADD, file, bad)));
        of.say(
            "ADD kernel",
            answer(libc::epoll_ctl(epfd, ADD, file, kernel)),
        );
        of.say(
            "ADD null, bad epfd",
            answer(libc::epoll_ctl(-1, ADD, file, null_mut())),
        );
        of.say(
            "ADD null, bad fd",
            answer(libc::epoll_ctl(epfd, ADD, -1, null_mut())),
        );
        of.say(
            "operation 9, null",
            answer(libc::epoll_ctl(epfd, 9, file, null_mut())),
        );
        of.say("nothing was added", ctl(epfd, DEL, file, 0));
        add(epfd, file, IN);
        of.say(
            "MOD null",
            answer(libc::epoll_ctl(epfd, MOD, file, null_mut())),
        );
        of.say("MOD bad", answer(libc::epoll_ctl(epfd, MOD, file, bad)));
        of.say(
            "DEL null",
            answer(libc::epoll_ctl(epfd, DEL, file, null_mut())),
        );
        add(epfd, file, IN);
        of.say("DEL bad", answer(libc::epoll_ctl(epfd, DEL, file, bad)));
    }
}

fn wait_errors(of: &Say) {
    let (epfd, file) = (create(), eventfd(1));
    add(epfd, file, IN);
    of.say("no room", wait_some(epfd, 0, 0));
    of.say("negative room", wait_some(epfd, -1, 0));
    // So far below the end of the addresses that there is room for the most.
    let start = low();
    // SAFETY: No more than one event comes.
    unsafe {
        of.say(
            "most room",
            answer(libc::epoll_wait(epfd, start, 178_956_970, 0)),
        );
        of.say(
            "too much room",
            answer(libc::epoll_wait(epfd, start, 178_956_971, 0)),
        );
        of.say(
            "bad room, bad epfd",
            answer(libc::epoll_wait(-1, start, 0, 0)),
        );
    }
    of.say("bad epfd", wait(-1, 0));
    of.say("epfd is none", wait(file, 0));
    close(epfd);
    of.say("closed", wait(epfd, 0));
}

fn wait_addresses(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN);
    let bad = nowhere();
    let kernel = std::ptr::without_provenance_mut::<epoll_event>(usize::MAX & !4095);
    // SAFETY: Addresses that are not good are an error.
    unsafe {
        of.say(
            "bad, nothing there",
            answer(libc::epoll_wait(epfd, bad, 1, 0)),
        );
        of.say(
            "null, nothing there",
            answer(libc::epoll_wait(epfd, null_mut(), 1, 0)),
        );
        of.say(
            "null, later",
            answer(libc::epoll_wait(epfd, null_mut(), 1, 30)),
        );
        of.say(
            "kernel, nothing there",
            answer(libc::epoll_wait(epfd, kernel, 1, 0)),
        );
        write(file);
        of.say("bad", answer(libc::epoll_wait(epfd, bad, 1, 0)));
        of.say("null", answer(libc::epoll_wait(epfd, null_mut(), 1, -1)));
        of.say(
            "bad epfd, kernel",
            answer(libc::epoll_wait(-1, kernel, 1, -1)),
        );
        of.say(
            "bad epfd, null",
            answer(libc::epoll_wait(-1, null_mut(), 1, -1)),
        );
    }
    of.say("nothing is lost", now(epfd));
    of.say("edge", ctl(epfd, MOD, file, IN | ET | ONESHOT));
    // SAFETY: As above.
    of.say(
        "edge, bad",
        answer(unsafe { libc::epoll_wait(epfd, bad, 1, 0) }),
    );
    of.say("the edge is not lost", now(epfd));
}

fn level(of: &Say) {
    let (epfd, (read_end, write_end)) = (create(), pipe());
    add(epfd, read_end, IN);
    add(epfd, write_end, OUT);
    of.say("at first", sorted(wait(epfd, 0)).map(|events| events.len()));
    write(write_end);
    for _ in 0..3 {
        of.say("both", bits(sorted(wait(epfd, LONG))));
    }
    read(read_end);
    of.say("read", now(epfd));
    fill(write_end);
    of.say("full", now(epfd));
    drain(read_end);
    of.say("drained", now(epfd));
    of.say("DEL", ctl(epfd, DEL, write_end, 0));
    of.say("nothing", now(epfd));
    write(write_end);
    of.say("written", soon(epfd));
    of.say("DEL when true", ctl(epfd, DEL, read_end, 0));
    of.say("nothing again", now(epfd));
    of.say("ADD when true", ctl(epfd, ADD, read_end, IN));
    of.say("is told", now(epfd));
}

fn edge(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN | OUT | ET);
    of.say("at first", now(epfd));
    of.say("once", now(epfd));
    write(file);
    of.say("write", now(epfd));
    of.say("once", now(epfd));
    write(file);
    write(file);
    of.say("two writes", now(epfd));
    of.say("once", now(epfd));
    read(file);
    of.say("read", now(epfd));
    of.say("MOD", ctl(epfd, MOD, file, IN | OUT | ET));
    of.say("is told anew", now(epfd));
    write(file);
    of.say("MOD to level", ctl(epfd, MOD, file, IN));
    of.say("level", now(epfd));
    of.say("level", now(epfd));
    of.say("MOD to edge", ctl(epfd, MOD, file, IN | ET));
    of.say("edge", now(epfd));
    of.say("edge", now(epfd));
}

fn oneshot(of: &Say) {
    for (name, flag) in [("level", 0), ("edge", ET)] {
        let (epfd, (ours, theirs)) = (create(), pair());
        add(epfd, ours, IN | RDHUP | ONESHOT | flag);
        write(theirs);
        of.say(name, now(epfd));
        of.say("once", now(epfd));
        write(theirs);
        of.say("disabled", now(epfd));
        of.say("still there", ctl(epfd, ADD, ours, IN));
        of.say("MOD", ctl(epfd, MOD, ours, IN | RDHUP | ONESHOT | flag));
        of.say("armed", now(epfd));
        of.say("once", now(epfd));
        close(theirs);
        of.say("not even a hang-up", now(epfd));
        of.say("MOD", ctl(epfd, MOD, ours, IN | RDHUP | ONESHOT | flag));
        of.say("the hang-up", now(epfd));
        of.say("MOD to level", ctl(epfd, MOD, ours, IN));
        of.say("level", now(epfd));
        of.say("level", now(epfd));
        of.say("DEL", ctl(epfd, DEL, ours, 0));
    }
}

fn modes_at_once(of: &Say) {
    let (one, other, file) = (create(), create(), eventfd(0));
    let copy = dup(file);
    add(one, file, IN);
    add(one, copy, IN | ET);
    add(other, file, IN | ONESHOT);
    write(file);
    of.say("both numbers", now(one));
    of.say("the level", now(one));
    of.say("another epoll", now(other));
    of.say("has it once", now(other));
}

fn always(of: &Say) {
    let (epfd, (ours, theirs)) = (create(), pair());
    add(epfd, ours, 0);
    write(theirs);
    of.say("nothing is wanted", now(epfd));
    close(theirs);
    of.say("a hang-up is told", now(epfd));
    of.say("as a level", now(epfd));
    let (read_end, write_end) = pipe();
    let epfd = create();
    add(epfd, read_end, ET);
    add(epfd, write_end, 0);
    of.say("a pipe", now(epfd));
    close(write_end);
    of.say("its end", now(epfd));
    of.say("once", now(epfd));
    let (read_end, write_end) = pipe();
    add(epfd, write_end, OUT);
    close(read_end);
    of.say("no reader", now(epfd));
}

fn stale(of: &Say) {
    for (name, flags) in [("level", 0), ("edge", ET), ("once", ONESHOT)] {
        let (epfd, file) = (create(), eventfd(0));
        add(epfd, file, IN | flags);
        write(file);
        read(file);
        of.say(name, now(epfd));
        write(file);
        of.say("again", now(epfd));
    }
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN | OUT | ET);
    of.say("writable", now(epfd));
    fill_eventfd(file);
    of.say("only what is true now", now(epfd));
}

/// So that it can be read and not written.
fn fill_eventfd(file: c_int) {
    let most = (u64::MAX - 1).to_ne_bytes();
    // SAFETY: They are ours.
    unsafe { libc::write(file, most.as_ptr().cast(), 8) };
}

fn modify(of: &Say) {
    let (epfd, (ours, theirs)) = (create(), pair());
    add(epfd, ours, IN);
    of.say("not readable", now(epfd));
    of.say("OUT", ctl(epfd, MOD, ours, OUT));
    of.say("writable", now(epfd));
    write(theirs);
    of.say("not asked for", now(epfd));
    of.say("both", ctl(epfd, MOD, ours, IN | OUT));
    of.say("both are told", now(epfd));
    of.say("none", ctl(epfd, MOD, ours, 0));
    of.say("nothing is told", now(epfd));
    of.say("an event is taken back", ctl(epfd, MOD, ours, IN));
    drain(ours);
    write(theirs);
    of.say("by MOD", ctl(epfd, MOD, ours, PRI));
    of.say("and is not told", now(epfd));
}

fn data(of: &Say) {
    let (epfd, file) = (create(), eventfd(1));
    of.say("all bits", ctl_as(epfd, ADD, file, IN, u64::MAX));
    of.say("come back", wait(epfd, 0));
    of.say("MOD", ctl_as(epfd, MOD, file, IN, 0x1234_5678_9abc_def0));
    of.say("new ones", wait(epfd, 0));
    let copy = dup(file);
    of.say("the same for two", ctl_as(epfd, ADD, copy, IN, 7));
    of.say("MOD", ctl_as(epfd, MOD, file, IN, 7));
    of.say("both", wait(epfd, 0));
}

fn order(of: &Say) {
    let epfd = create();
    let files: Vec<c_int> = (0..5).map(|_| eventfd(0)).collect();
    for (at, &file) in (0..).zip(&files) {
        ctl_as(epfd, ADD, file, IN, at).expect("it is new");
    }
    for at in [3, 1, 4, 0, 2] {
        write(files[at]);
    }
    of.say("as they came", wait(epfd, 0));
    of.say("again", wait(epfd, 0));
    for _ in 0..4 {
        of.say("in turn", wait_some(epfd, 2, 0));
    }
    read(files[1]);
    of.say("without one", wait(epfd, 0));
    write(files[1]);
    of.say("it comes last", wait(epfd, 0));
    let epfd = create();
    for (at, &file) in (0..).zip(&files) {
        ctl_as(epfd, ADD, file, IN | ET, at).expect("it is new");
    }
    for _ in 0..4 {
        of.say("edges in parts", wait_some(epfd, 2, 0));
    }
}

/// An epoll with `files` copies of a file that is ready: itself, the file and the copies.
fn copies(files: usize, limit: libc::rlim_t) -> Option<(c_int, c_int, Vec<c_int>)> {
    let limit = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: It is ours.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    let (epfd, ready) = (create(), eventfd(1));
    let copies: Vec<c_int> = (0..files).map(|_| dup(ready)).collect();
    if copies.iter().any(|&copy| copy < 0) {
        return None;
    }
    for &copy in &copies {
        add(epfd, copy, IN);
    }
    Some((epfd, ready, copies))
}

fn many(of: &Say) {
    const FILES: usize = 1000;
    let Some((epfd, ready, copies)) = copies(FILES, 4096) else {
        return of.say("no descriptors", ());
    };
    let mut events = vec![epoll_event { events: 0, u64: 0 }; FILES + 10];
    for room in [FILES + 10, 300, 300, 300, 300, 65] {
        // SAFETY: There is room.
        let num = unsafe { libc::epoll_wait(epfd, events.as_mut_ptr(), room as c_int, 0) };
        let mut seen: Vec<u64> = events[..num.max(0) as usize]
            .iter()
            .map(|e| e.u64)
            .collect();
        seen.sort();
        seen.dedup();
        of.say("events and files", (num, seen.len()));
    }
    for &copy in &copies {
        close(copy);
    }
    of.say("copies are closed", now(epfd).map(|events| events.len()));
    close(ready);
    of.say("the last is closed", now(epfd));
}

/// More than fit in what a call may have room for without a thought.
fn crowd(of: &Say) {
    const FILES: usize = 17_000;
    let Some((epfd, ..)) = copies(FILES, 20_000) else {
        return of.say("no descriptors", ());
    };
    let mut events = vec![epoll_event { events: 0, u64: 0 }; FILES];
    // SAFETY: There is room.
    let num = unsafe { libc::epoll_wait(epfd, events.as_mut_ptr(), FILES as c_int, 0) };
    let mut seen: Vec<u64> = events.iter().map(|e| e.u64).collect();
    seen.sort();
    seen.dedup();
    of.say("in one call", (num, seen.len()));
}

fn pipe_edge(of: &Say) {
    let (epfd, (read_end, write_end)) = (create(), pipe());
    add(epfd, read_end, IN | ET);
    for _ in 0..3 {
        write(write_end);
        of.say("each write", now(epfd));
        of.say("is told once", now(epfd));
    }
    let (read_end, write_end) = pipe();
    add(epfd, read_end, IN);
    write(write_end);
    of.say("MOD", ctl(epfd, MOD, read_end, IN | ET));
    of.say("is told", now(epfd));
    write(write_end);
    of.say("a write after it", now(epfd));
    add(epfd, write_end, OUT | ET);
    of.say("writable", now(epfd));
    fill(write_end);
    of.say("filled", now(epfd));
    drain(read_end);
    of.say("room", now(epfd));
}

fn sockets(of: &Say) {
    let (epfd, (ours, theirs)) = (create(), pair());
    add(epfd, ours, IN | OUT | RDHUP | ET);
    of.say("new", now(epfd));
    write(theirs);
    of.say("data", now(epfd));
    write(theirs);
    of.say("more data", now(epfd));
    drain(ours);
    // SAFETY: It takes numbers.
    unsafe { libc::shutdown(theirs, libc::SHUT_WR) };
    of.say("shut down", now(epfd));
    fill(ours);
    of.say("full", now(epfd));
    drain(theirs);
    of.say("room", now(epfd));
    close(theirs);
    of.say("closed", now(epfd));
    of.say("once", now(epfd));
}

fn tcp(of: &Say) {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsRawFd, IntoRawFd};
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let epfd = create();
    add(epfd, listener.as_raw_fd(), IN);
    of.say("nobody", now(epfd));
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).expect("somebody listens");
    of.say("a connection", soon(epfd));
    let server = listener.accept().expect("it is there").0;
    of.say("accepted", now(epfd));
    let (client, server) = (client.into_raw_fd(), server.into_raw_fd());
    add(epfd, client, IN | OUT | RDHUP | ET);
    of.say("the client", soon(epfd));
    write(server);
    of.say("data", soon(epfd));
    read(client);
    of.say("read", now(epfd));
    // SAFETY: It takes numbers.
    unsafe { libc::shutdown(server, libc::SHUT_WR) };
    of.say("half closed", soon(epfd));
    // SAFETY: As above.
    unsafe { libc::shutdown(client, libc::SHUT_RDWR) };
    of.say("closed", soon(epfd));
    // When it hears that its own end has arrived is up to the network.
    of.say("DEL", ctl(epfd, DEL, client, 0));
    drop(listener);
    of.say("no listener", now(epfd));
}

fn files(of: &Say) {
    let epfd = create();
    // SAFETY: What these are given is ours.
    let (timer, signals, pidfd) = unsafe {
        let timer = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK);
        let mut soon: libc::itimerspec = std::mem::zeroed();
        soon.it_value.tv_nsec = 1_000_000;
        libc::timerfd_settime(timer, 0, &soon, null_mut());
        let mut set: sigset_t = std::mem::zeroed();
        libc::sigaddset(&mut set, libc::SIGUSR1);
        libc::sigprocmask(libc::SIG_BLOCK, &set, null_mut());
        let child = libc::fork();
        if child == 0 {
            libc::usleep(50_000);
            libc::_exit(0);
        }
        let pidfd = libc::syscall(libc::SYS_pidfd_open, child, 0) as c_int;
        (timer, libc::signalfd(-1, &set, libc::SFD_NONBLOCK), pidfd)
    };
    add(epfd, timer, IN);
    of.say("a timer", soon(epfd));
    of.say("as a level", now(epfd));
    read(timer);
    of.say("read", now(epfd));
    add(epfd, signals, IN);
    // SAFETY: It is blocked.
    unsafe { libc::raise(libc::SIGUSR1) };
    of.say("a signal", now(epfd));
    drain_signal(signals);
    of.say("had", now(epfd));
    add(epfd, pidfd, IN);
    of.say("a process ends", soon(epfd));
    // SAFETY: The name ends with a zero.
    let mounts = unsafe { libc::open(c"/proc/self/mounts".as_ptr(), libc::O_RDONLY) };
    add(epfd, mounts, IN | PRI);
    of.say("DEL", ctl(epfd, DEL, pidfd, 0));
    of.say("mounts", now(epfd));
}

fn drain_signal(signals: c_int) {
    let mut bytes = [0u8; 128];
    // SAFETY: They are ours.
    unsafe { libc::read(signals, bytes.as_mut_ptr().cast(), 128) };
}

/// One event for sleepers on as many epolls: one of them wakes. Then for as many that nobody waits on.
fn exclusive(of: &Say) {
    let file = eventfd(0);
    let epolls: Vec<c_int> = (0..3).map(|_| create()).collect();
    for &epfd in &epolls {
        add(epfd, file, IN | ET | EXCLUSIVE);
    }
    let threads: Vec<_> = epolls
        .iter()
        .map(|&epfd| asleep(move || bits(wait(epfd, LONG))))
        .collect();
    write(file);
    of.say("one of three wakes", ended(&threads));
    write(file);
    of.say("another", ended(&threads));
    write(file);
    of.say("all", ended(&threads));
    for thread in threads {
        of.say("has it", thread.join());
    }
    drain(file);
    let (one, other, file) = (create(), create(), eventfd(0));
    add(one, file, IN | EXCLUSIVE);
    add(other, file, IN | EXCLUSIVE);
    write(file);
    let told = [now(one), now(other)];
    let num = told
        .iter()
        .filter(|events| events.as_ref().is_ok_and(|e| !e.is_empty()))
        .count();
    of.say("one has it at least, if nobody waits", num >= 1);
    of.say("how many have it, if nobody waits", num);
    let (epfd, file) = (create(), eventfd(1));
    add(epfd, file, IN | EXCLUSIVE);
    of.say("true at ADD", now(epfd));
    of.say("as a level", now(epfd));
}

fn exclusive_errors(of: &Say) {
    let (epfd, file, inner) = (create(), eventfd(0), create());
    of.say(
        "with ONESHOT",
        ctl(epfd, ADD, file, IN | EXCLUSIVE | ONESHOT),
    );
    of.say("with PRI", ctl(epfd, ADD, file, PRI | EXCLUSIVE));
    of.say("with RDHUP", ctl(epfd, ADD, file, IN | RDHUP | EXCLUSIVE));
    of.say("an epoll", ctl(epfd, ADD, inner, IN | EXCLUSIVE));
    of.say("MOD before ADD", ctl(epfd, MOD, file, IN | EXCLUSIVE));
    of.say("ADD", ctl(epfd, ADD, file, IN | EXCLUSIVE));
    of.say("again", ctl(epfd, ADD, file, IN | EXCLUSIVE));
    of.say("MOD with it", ctl(epfd, MOD, file, IN | EXCLUSIVE));
    of.say("MOD without", ctl(epfd, MOD, file, IN));
    of.say("DEL", ctl(epfd, DEL, file, 0));
    of.say("MOD after DEL", ctl(epfd, MOD, file, IN));
    of.say("ADD without", ctl(epfd, ADD, file, IN));
    of.say("MOD to it", ctl(epfd, MOD, file, IN | EXCLUSIVE));
    of.say("MOD", ctl(epfd, MOD, file, OUT));
    of.say(
        "all that goes",
        ctl(epfd, ADD, dup(file), IN | OUT | ET | WAKEUP | EXCLUSIVE),
    );
}

fn nested(of: &Say) {
    let (outer, inner, file) = (create(), create(), eventfd(0));
    add(outer, inner, IN);
    add(inner, file, IN);
    of.say("nothing", now(outer));
    write(file);
    of.say("told", now(outer));
    of.say("as a level", now(outer));
    of.say("the inner one", now(inner));
    of.say("the outer one, still", now(outer));
    read(file);
    of.say("read", now(outer));
    of.say("and inside", now(inner));
    let waiter = asleep(move || bits(wait(outer, LONG)));
    write(file);
    of.say("wakes", waiter.join());
    of.say("DEL inside", ctl(inner, DEL, file, 0));
    of.say("nothing is there", now(outer));
    add(inner, file, OUT);
    of.say("ADD of what is true", now(outer));
    of.say("MOD", ctl(inner, MOD, file, PRI));
    of.say("what is not true", now(outer));
    add(outer, file, IN);
    of.say("the file itself, too", now(outer));
    close(inner);
    of.say("the inner one is closed", now(outer));
}

fn nested_edge(of: &Say) {
    let (outer, inner, file) = (create(), create(), eventfd(0));
    add(inner, file, IN);
    add(outer, inner, IN | ET);
    of.say("nothing", now(outer));
    write(file);
    of.say("write", now(outer));
    of.say("once", now(outer));
    of.say("inside", now(inner));
    of.say("inside, as a level", now(inner));
    of.say("no edge", now(outer));
    write(file);
    of.say("another write", now(outer));
    write(file);
    of.say("one before the inner one was asked", now(outer));
    of.say("MOD inside", ctl(inner, MOD, file, IN));
    of.say("is an edge", now(outer));
    of.say("MOD outside", ctl(outer, MOD, inner, IN | ET));
    of.say("too", now(outer));
    read(file);
    of.say("nothing", now(outer));
    let outermost = create();
    add(outermost, outer, IN | ET);
    write(file);
    of.say("through two", soon(outermost));
    of.say("once", now(outermost));
    of.say("the middle", now(outer));
}

fn nested_errors(of: &Say) {
    let all: Vec<c_int> = (0..8).map(|_| create()).collect();
    let file = eventfd(0);
    add(all[0], file, IN);
    for at in 1..8 {
        of.say("one more", ctl(all[at], ADD, all[at - 1], IN));
    }
    let (one, other, third) = (create(), create(), create());
    add(one, other, IN);
    of.say("a circle", ctl(other, ADD, one, IN));
    add(other, third, IN);
    of.say("a longer one", ctl(third, ADD, one, IN));
    of.say("DEL", ctl(one, DEL, other, 0));
    of.say("no circle now", ctl(third, ADD, one, IN));
    of.say("again", ctl(third, ADD, one, IN));
    write(file);
    of.say("from the first", now(all[1]));
    // Through more than one it may be told a little later.
    of.say("further", soon(all[3]));
}

fn pollable(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    of.say("empty", poll(epfd, 0));
    add(epfd, file, IN);
    of.say("nothing", poll(epfd, 0));
    let poller = asleep(move || poll(epfd, LONG));
    write(file);
    of.say("wakes", poller.join());
    of.say("readable", poll(epfd, 0));
    read(file);
    of.say("no more", poll(epfd, 0));
    write(file);
    of.say("again", poll(epfd, 0));
    of.say("taken", now(epfd));
    of.say("still", poll(epfd, 0));
    read(file);
    of.say("read", poll(epfd, 0));
    of.say("MOD", ctl(epfd, MOD, file, IN | ET));
    write(file);
    of.say("edge", poll(epfd, 0));
    of.say("taken", now(epfd));
    of.say("taken edge", poll(epfd, 0));
    write(file);
    read(file);
    of.say("stale edge", poll(epfd, 0));
    of.say("MOD", ctl(epfd, MOD, file, OUT | ONESHOT));
    of.say("once", poll(epfd, 0));
    of.say("taken", now(epfd));
    of.say("disabled", poll(epfd, 0));
    let poller = asleep(move || poll(epfd, LONG));
    of.say("MOD", ctl(epfd, MOD, file, OUT | ONESHOT));
    of.say("wakes by MOD", poller.join());
    of.say("DEL", ctl(epfd, DEL, file, 0));
    of.say("nothing is there", poll(epfd, 0));
    let poller = asleep(move || poll(epfd, LONG));
    add(epfd, file, OUT);
    of.say("wakes by ADD", poller.join());
}

/// The kernel's epoll watches one that may be kevent's.
fn pollable_edge(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN);
    let level = real::watching(epfd, IN);
    let edge = real::watching(epfd, IN | ET);
    of.say("nothing", (real::wait(level, 0), real::wait(edge, 0)));
    for _ in 0..2 {
        write(file);
        of.say("written", (real::wait(level, 0), real::wait(edge, 0)));
        of.say("again", (real::wait(level, 0), real::wait(edge, 0)));
        of.say("taken", now(epfd));
        of.say("taken again", now(epfd));
        of.say("no edge", (real::wait(level, 0), real::wait(edge, 0)));
    }
    read(file);
    of.say("read", (real::wait(level, 0), real::wait(edge, 0)));
    let waiter = asleep(move || real::wait(edge, LONG));
    write(file);
    of.say("wakes", waiter.join());
}

fn close_ends(of: &Say) {
    let (epfd, (read_end, write_end)) = (create(), pipe());
    add(epfd, read_end, IN);
    write(write_end);
    close(read_end);
    of.say("closed", now(epfd));
    of.say("DEL", ctl(epfd, DEL, read_end, 0));
    of.say("MOD", ctl(epfd, MOD, read_end, IN));
    let (read_end, write_end) = pipe();
    add(epfd, read_end, IN | ET);
    write(write_end);
    of.say("a new one", now(epfd));
    close(read_end);
    close(epfd);
    of.say("itself", wait(epfd, 0));
}

fn dup_keeps(of: &Say) {
    let (epfd, (read_end, write_end)) = (create(), pipe());
    ctl_as(epfd, ADD, read_end, IN, 1).expect("it is new");
    let copy = dup(read_end);
    close(read_end);
    write(write_end);
    of.say("a copy is there", wait(epfd, 0));
    of.say("DEL of the number", ctl(epfd, DEL, read_end, 0));
    of.say("MOD of the number", ctl(epfd, MOD, read_end, IN));
    of.say("DEL of the copy", ctl(epfd, DEL, copy, 0));
    of.say("still told", wait(epfd, 0));
    of.say("ADD of the copy", ctl_as(epfd, ADD, copy, IN | ET, 2));
    of.say("both", sorted(wait(epfd, 0)));
    of.say("the copy is told once", wait(epfd, 0));
    close(copy);
    of.say("the last is closed", wait(epfd, 0));
}

fn reuse(of: &Say) {
    let (epfd, (read_end, write_end)) = (create(), pipe());
    ctl_as(epfd, ADD, read_end, IN, 1).expect("it is new");
    let copy = dup(read_end);
    let (other_read, other_write) = pipe();
    // SAFETY: It takes numbers.
    unsafe { libc::dup2(other_read, read_end) };
    write(write_end);
    of.say("the old file", wait(epfd, 0));
    of.say("MOD of the new", ctl(epfd, MOD, read_end, IN));
    of.say("DEL of the new", ctl(epfd, DEL, read_end, 0));
    of.say("the old one, still", wait(epfd, 0));
    of.say("ADD of the new", ctl_as(epfd, ADD, read_end, IN, 2));
    write(other_write);
    of.say(
        "the new one is told",
        wait(epfd, 0).map(|e| e.iter().any(|e| e.0 == 2)),
    );
    of.say("old and new", sorted(wait(epfd, 0)));
    close(copy);
    of.say("the new one", wait(epfd, 0));
    of.say("DEL", ctl(epfd, DEL, read_end, 0));
    of.say("nothing", wait(epfd, 0));
}

fn epoll_dup(of: &Say) {
    let (epfd, file) = (create(), eventfd(1));
    let copy = dup(epfd);
    add(copy, file, IN);
    of.say("the first", now(epfd));
    of.say("ADD", ctl(epfd, ADD, file, IN));
    close(epfd);
    of.say("the copy", now(copy));
    of.say("DEL", ctl(copy, DEL, file, 0));
    of.say("nothing", now(copy));
}

/// What a child does with an epoll, as its exit status.
fn in_child(work: impl FnOnce() -> bool) -> c_int {
    // SAFETY: There is one thread.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(work().into());
        }
        let mut status = 0;
        libc::waitpid(child, &mut status, 0);
        status >> 8
    }
}

fn fork(of: &Say) {
    let (epfd, file, other) = (create(), eventfd(0), eventfd(0));
    add(epfd, file, IN);
    write(file);
    of.say(
        "a child has it",
        in_child(|| now(epfd).is_ok_and(|e| e.len() == 1)),
    );
    of.say("and so has its parent", now(epfd));
    read(file);
    of.say(
        "a child adds",
        in_child(|| ctl_as(epfd, ADD, other, IN, 9) == Ok(0)),
    );
    write(other);
    of.say("for its parent", wait(epfd, 0));
    of.say(
        "a child deletes",
        in_child(|| ctl(epfd, DEL, other, 0) == Ok(0)),
    );
    of.say("for its parent, too", now(epfd));
    of.say(
        "a child closes",
        in_child(|| {
            close(file);
            close(epfd);
            true
        }),
    );
    write(file);
    of.say("and nothing ends", now(epfd));
    let number = in_child(|| {
        let mine = eventfd(1);
        add(epfd, mine, IN);
        now(epfd).is_ok_and(|e| e.len() == 2)
    });
    of.say("what a child has opened", number);
    of.say("ends with it", now(epfd));
}

fn timeouts(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN);
    of.say("0", takes(0, || now(epfd)));
    of.say("some", takes(SHORT as u64, || bits(wait(epfd, SHORT))));
    let waiter = asleep(move || bits(wait(epfd, -1)));
    write(file);
    of.say("-1", waiter.join());
    read(file);
    let waiter = asleep(move || bits(wait(epfd, -5)));
    write(file);
    of.say("-5", waiter.join());
    of.say("with an event", takes(1, || bits(wait(epfd, LONG))).0);
    of.say("most", bits(wait(epfd, c_int::MAX)));
    let empty = create();
    of.say(
        "of nothing",
        takes(SHORT as u64, || bits(wait(empty, SHORT))),
    );
}

fn with_mask<R>(work: impl FnOnce(*const sigset_t) -> R) -> R {
    // SAFETY: It is ours.
    unsafe {
        let mut set = MaybeUninit::<sigset_t>::zeroed().assume_init();
        libc::sigemptyset(&mut set);
        work(&set)
    }
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handler(_signal: c_int) {
    HANDLED.fetch_add(1, Relaxed);
}

fn handle(signal: c_int, flags: c_int) {
    // SAFETY: The handler only counts.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = flags;
        libc::sigaction(signal, &action, null_mut());
    }
}

fn block(signal: c_int) {
    // SAFETY: It is ours.
    unsafe {
        let mut set: sigset_t = std::mem::zeroed();
        libc::sigaddset(&mut set, signal);
        libc::sigprocmask(libc::SIG_BLOCK, &set, null_mut());
    }
}

fn pwait_of(epfd: c_int, timeout: c_int, mask: *const sigset_t) -> Answer {
    let mut events = room::<4>();
    // SAFETY: What is not ours, the kernel checks.
    answer(unsafe { libc::epoll_pwait(epfd, events.as_mut_ptr(), 4, timeout, mask) })
}

fn pwait(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN);
    handle(libc::SIGUSR1, 0);
    block(libc::SIGUSR1);
    // SAFETY: It is handled.
    unsafe { libc::raise(libc::SIGUSR1) };
    of.say(
        "blocked",
        (pwait_of(epfd, 10, null()), HANDLED.load(Relaxed)),
    );
    let opened = with_mask(|mask| pwait_of(epfd, LONG, mask));
    of.say("opened", (opened, HANDLED.load(Relaxed)));
    // SAFETY: As above.
    unsafe { libc::raise(libc::SIGUSR1) };
    of.say(
        "blocked again",
        (pwait_of(epfd, 10, null()), HANDLED.load(Relaxed)),
    );
    write(file);
    let event = with_mask(|mask| pwait_of(epfd, LONG, mask));
    of.say("an event comes first", (event, HANDLED.load(Relaxed)));
    read(file);
    let opened = with_mask(|mask| pwait_of(epfd, 0, mask));
    of.say("no time", (opened, HANDLED.load(Relaxed)));
    of.say("bad mask", pwait_of(epfd, 0, nowhere().cast()));
    of.say("bad mask, bad epfd", pwait_of(-1, 0, nowhere().cast()));
    of.say("no mask", pwait_of(epfd, 0, null()));
    of.say(
        "times out",
        with_mask(|mask| takes(SHORT as u64, || pwait_of(epfd, SHORT, mask))),
    );
}

fn pwait2_of(epfd: c_int, sec: i64, nsec: i64, mask: *const sigset_t) -> Answer {
    let time = timespec {
        tv_sec: sec,
        tv_nsec: nsec,
    };
    pwait2_at(epfd, &time, mask)
}

fn pwait2_at(epfd: c_int, time: *const timespec, mask: *const sigset_t) -> Answer {
    unsafe extern "C" {
        fn epoll_pwait2(
            epfd: c_int,
            events: *mut epoll_event,
            max: c_int,
            time: *const timespec,
            mask: *const sigset_t,
        ) -> c_int;
    }
    let mut events = room::<4>();
    // SAFETY: What is not ours, the kernel checks.
    answer(unsafe { epoll_pwait2(epfd, events.as_mut_ptr(), 4, time, mask) })
}

fn pwait2(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN);
    of.say("0", pwait2_of(epfd, 0, 0, null()));
    of.say("1 ns", pwait2_of(epfd, 0, 1, null()));
    of.say("some", takes(50, || pwait2_of(epfd, 0, 50_000_000, null())));
    of.say("nanoseconds", pwait2_of(epfd, 0, 1_000_000_000, null()));
    of.say("negative nanoseconds", pwait2_of(epfd, 0, -1, null()));
    of.say("negative seconds", pwait2_of(epfd, -1, 0, null()));
    of.say("bad address", pwait2_at(epfd, nowhere().cast(), null()));
    of.say(
        "bad address, bad epfd",
        pwait2_at(-1, nowhere().cast(), null()),
    );
    of.say("bad time, bad epfd", pwait2_of(-1, 0, -1, null()));
    of.say("bad mask", pwait2_of(epfd, 0, 0, nowhere().cast()));
    write(file);
    of.say("with an event", pwait2_of(epfd, 0, 0, null()));
    of.say("with an event, for ever", pwait2_at(epfd, null(), null()));
    of.say("longest", pwait2_of(epfd, i64::MAX, 999_999_999, null()));
    of.say("bad time, with an event", pwait2_of(epfd, 0, -1, null()));
    read(file);
    handle(libc::SIGUSR1, 0);
    block(libc::SIGUSR1);
    // SAFETY: It is handled.
    unsafe { libc::raise(libc::SIGUSR1) };
    let opened = with_mask(|mask| pwait2_of(epfd, 20, 0, mask));
    of.say("opened", (opened, HANDLED.load(Relaxed)));
}

fn signal(of: &Say) {
    for (name, flags) in [("a handler", 0), ("one that restarts", libc::SA_RESTART)] {
        let (epfd, file) = (create(), eventfd(0));
        add(epfd, file, IN);
        handle(libc::SIGUSR1, flags);
        let waiter = asleep(move || bits(wait(epfd, LONG)));
        waiter.signal(libc::SIGUSR1);
        of.say(name, waiter.join());
    }
}

/// epoll takes no notice of O_NONBLOCK.
fn nonblock(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN);
    // SAFETY: It takes numbers.
    of.say(
        "set",
        done(unsafe { libc::fcntl(epfd, libc::F_SETFL, libc::O_NONBLOCK) }),
    );
    of.say("times out", takes(SHORT as u64, || bits(wait(epfd, SHORT))));
    let waiter = asleep(move || bits(wait(epfd, -1)));
    write(file);
    of.say("waits", waiter.join());
    of.say("has it", now(epfd));
    read(file);
    of.say(
        "some time",
        takes(50, || pwait2_of(epfd, 0, 50_000_000, null())),
    );
}

fn sleepers(epfd: c_int, num: usize) -> Vec<Sleeper<Result<Vec<String>, &'static str>>> {
    (0..num)
        .map(|_| asleep(move || bits(wait(epfd, LONG))))
        .collect()
}

/// A level wakes one after the other, as long as it is true.
fn threads_level(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN);
    let threads = sleepers(epfd, 4);
    write(file);
    for thread in threads {
        of.say("each has it", thread.join());
    }
    read(file);
    // Those that come first read.
    let threads: Vec<_> = (0..3)
        .map(|_| {
            asleep(move || {
                let events = bits(wait(epfd, LONG));
                read(file);
                events
            })
        })
        .collect();
    write(file);
    of.say("one at least", ended(&threads) >= 1);
    while ended(&threads) < threads.len() {
        write(file);
    }
    for thread in threads {
        of.say("in the end, each", thread.join());
    }
}

/// An edge wakes one.
fn threads_edge(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN | ET);
    let threads = sleepers(epfd, 3);
    for num in ["one", "two", "three"] {
        write(file);
        of.say(num, ended(&threads));
    }
    for thread in threads {
        of.say("has it", thread.join());
    }
}

fn threads_oneshot(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN | ONESHOT);
    let threads = sleepers(epfd, 3);
    write(file);
    of.say("one", ended(&threads));
    of.say("MOD", ctl(epfd, MOD, file, IN | ONESHOT));
    of.say("two", ended(&threads));
    write(file);
    of.say("no more", ended(&threads));
    of.say("MOD", ctl(epfd, MOD, file, IN | ONESHOT));
    of.say("three", ended(&threads));
    for thread in threads {
        of.say("has it", thread.join());
    }
}

/// Each of many events goes to one thread.
fn threads_many(of: &Say) {
    const FILES: usize = 100;
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let epfd = create();
    let files: Vec<c_int> = (0..FILES).map(|_| eventfd(0)).collect();
    for &file in &files {
        add(epfd, file, IN | ET);
    }
    let take = move || {
        let mut taken = 0;
        while TAKEN.load(Relaxed) < 5 * FILES {
            let num = wait_some(epfd, 4, 20).map_or(0, |events| events.len());
            taken += num;
            TAKEN.fetch_add(num, Relaxed);
        }
        taken
    };
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(take)).collect();
    for round in 1..=5 {
        for &file in &files {
            write(file);
        }
        while TAKEN.load(Relaxed) < round * FILES {
            nap();
        }
    }
    let taken: usize = threads
        .into_iter()
        .map(|thread| thread.join().expect("it ends"))
        .sum();
    of.say("each once", taken);
}

/// What another thread adds, changes and removes under a sleeper.
fn threads_ctl(of: &Say) {
    let (epfd, file) = (create(), eventfd(1));
    let waiter = asleep(move || bits(wait(epfd, LONG)));
    add(epfd, file, IN);
    of.say("ADD wakes", waiter.join());
    of.say("MOD", ctl(epfd, MOD, file, PRI));
    let waiter = asleep(move || bits(wait(epfd, LONG)));
    of.say("MOD", ctl(epfd, MOD, file, OUT));
    of.say("wakes", waiter.join());
    of.say("DEL", ctl(epfd, DEL, file, 0));
    of.say("nothing", bits(wait(epfd, SHORT)));
}

/// Whoever sleeps on an epoll that is closed sleeps on.
fn close_asleep(of: &Say) {
    let (epfd, file) = (create(), eventfd(0));
    add(epfd, file, IN);
    let waiter = asleep(move || bits(wait(epfd, LONG)));
    close(epfd);
    write(file);
    of.say("closed by another", waiter.join());
    let (epfd, (read_end, write_end)) = (create(), pipe());
    add(epfd, read_end, IN);
    let waiter = asleep(move || bits(wait(epfd, SHORT)));
    close(read_end);
    write_or_not(write_end);
    of.say("its file is closed", waiter.join());
}

/// The other end may be closed.
fn write_or_not(fd: c_int) {
    // SAFETY: The bytes are there, and the signal is no matter.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::write(fd, [0u8; 8].as_ptr().cast(), 8);
    }
}
