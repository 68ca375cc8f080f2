// SPDX-License-Identifier: GPL-2.0 OR MIT

use std::os::fd::AsFd;

use kevent_sys::KEVENT_SOCKET;

use super::sealed::{Request, Sealed};
use super::{file_modes, modes, number, File, Source};

bitflags::bitflags! {
    /// What can happen to a socket.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct SocketEvents: u32 {
        /// Something can be received; the end of file, too.
        const RECV = kevent_sys::KEVENT_SOCKET_RECV;
        /// A listener has a connection to accept.
        const ACCEPT = kevent_sys::KEVENT_SOCKET_ACCEPT;
        /// There is room to send; a `connect()` has succeeded.
        const SEND = kevent_sys::KEVENT_SOCKET_SEND;
        /// Urgent data is unread.
        const URGENT = kevent_sys::KEVENT_SOCKET_URGENT;
        /// The peer sends nothing more.
        const EOF = kevent_sys::KEVENT_SOCKET_EOF;
        /// An error, see [`Event::error`](crate::Event::error). Told without being asked for.
        const ERROR = kevent_sys::KEVENT_SOCKET_ERROR;
        /// Nothing goes either way. Told without being asked for.
        const HUP = kevent_sys::KEVENT_SOCKET_HUP;
    }
}

/// A socket, of the program or borrowed: a `TcpStream`, an `OwnedFd`, a `&UdpSocket` ...
///
/// [`Event::socket`](crate::Event::socket) says what happened, and
/// [`Event::data`](crate::Event::data) how much there is to receive or accept, if the kernel knows.
///
/// ```
/// # if !kevent::is_supported() { return Ok(()); }
/// use std::net::TcpListener;
/// use kevent::{Ring, Socket, SocketEvents};
///
/// let ring = Ring::new(64)?;
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// // The registration has the listener from here on, and hands it out by reference.
/// let listener = ring.add(7, Socket::new(listener, SocketEvents::ACCEPT))?;
/// println!("listening on {}", listener.get_ref().local_addr()?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Socket<T> {
    socket: T,
    pub(crate) events: SocketEvents,
    pub(super) flags: u32,
}

impl<T: AsFd> Socket<T> {
    /// A socket, of which `events` are told.
    pub fn new(socket: T, events: SocketEvents) -> Socket<T> {
        Socket {
            socket,
            events,
            flags: 0,
        }
    }
}

modes!(Socket<T>, T);
file_modes!(Socket<T>);

impl<T: AsFd> Source for Socket<T> {}

impl<T: AsFd> File for Socket<T> {
    type Object = T;

    fn object(&self) -> &T {
        &self.socket
    }

    fn into_object(self) -> T {
        self.socket
    }
}

impl<T: AsFd> Sealed for Socket<T> {
    fn request(&self) -> Request {
        Request {
            kind: KEVENT_SOCKET,
            id: Some(number(&self.socket)),
            mask: self.events.bits(),
            flags: self.flags,
            param: [0; 2],
        }
    }
}
