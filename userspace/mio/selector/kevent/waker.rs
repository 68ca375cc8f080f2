// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::io;
use std::sync::Arc;

use super::epoll::Waker as Eventfd;
use super::queue::Queue;
use super::Selector;
use crate::Token;

/// Wakes by an event of the queue itself, which needs no descriptor and nobody to read it.
#[derive(Debug)]
pub(crate) enum Waker {
    Kevent(User),
    Epoll(Eventfd),
}

impl Waker {
    pub(crate) fn new(selector: &Selector, token: Token) -> io::Result<Waker> {
        match selector {
            Selector::Kevent(queue) => Ok(Waker::Kevent(User {
                id: queue.add_waker(token)?,
                queue: queue.clone(),
            })),
            Selector::Epoll(_) => Eventfd::new(selector, token).map(Waker::Epoll),
        }
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        match self {
            Waker::Kevent(user) => user.queue.wake(user.id),
            Waker::Epoll(eventfd) => eventfd.wake(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct User {
    queue: Arc<Queue>,
    id: u64,
}

impl Drop for User {
    fn drop(&mut self) {
        // It is there; nothing else can be wrong.
        let _ = self.queue.remove_waker(self.id);
    }
}
