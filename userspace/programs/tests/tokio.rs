// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Programs on tokio are on kevent where they are to be, and on nothing else.

use std::io::{Read, Write};
use std::net::TcpStream as Blocking;
use std::time::Duration;

use programs::{is_on_kevent, queues_of, Queues};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

/// One kind of queue, and not the other.
fn check_queues() {
    let Queues { kevent, eventpoll } = queues_of("self").unwrap();
    let (has, has_not) = match is_on_kevent() {
        true => (kevent, eventpoll),
        false => (eventpoll, kevent),
    };
    assert!(
        has > 0 && has_not == 0,
        "kevent {kevent}, eventpoll {eventpoll}"
    );
}

async fn echo(listener: TcpListener, clients: usize) {
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (mut stream, _) = listener.accept().await.unwrap();
        tasks.push(tokio::spawn(async move {
            let mut text = [0; 4096];
            loop {
                match stream.read(&mut text).await.unwrap() {
                    0 => return,
                    size => stream.write_all(&text[..size]).await.unwrap(),
                }
            }
        }));
    }
    check_queues();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn serve_echo() {
    const CLIENTS: usize = 8;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            std::thread::spawn(move || {
                let mut stream = Blocking::connect(address).unwrap();
                for round in 0..50 {
                    let text = vec![(client * round) as u8; 1 + 100 * round];
                    let mut back = vec![0; text.len()];
                    stream.write_all(&text).unwrap();
                    stream.read_exact(&mut back).unwrap();
                    assert_eq!(text, back);
                }
            })
        })
        .collect();
    echo(listener, CLIENTS).await;
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
}

#[tokio::test]
async fn echo_server_of_one_thread() {
    serve_echo().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn echo_server_of_two_threads() {
    serve_echo().await;
}

/// More connections than the ring has slots, all of which become readable at once.
#[tokio::test]
async fn more_events_than_slots() {
    const MANY: usize = 1500;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..MANY {
        theirs.push(Blocking::connect(address).unwrap());
        ours.push(listener.accept().await.unwrap().0);
    }
    // Without a turn of the driver meanwhile.
    for stream in &mut theirs {
        stream.write_all(b"x").unwrap();
    }
    let tasks = ours.into_iter().map(|mut stream| {
        tokio::spawn(async move {
            let mut text = [0];
            stream.read_exact(&mut text).await.unwrap();
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for task in tasks {
        timeout(Duration::from_secs(20), task)
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn timers_and_other_threads_end_a_wait() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        sender.send(7).unwrap();
    });
    assert_eq!(receiver.await, Ok(7));
    thread.join().unwrap();
    sleep(Duration::from_millis(20)).await;
    check_queues();
}
