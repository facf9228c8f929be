//! Where the server listens; it can be shut, and opened again at the same address.
//!
//! # Why a second socket
//! While the door is shut, nobody else must take the port. A socket that is bound and does not listen keeps it:
//! connections to it are refused by the kernel, and with SO_REUSEADDR on both the listening one may come and go.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, listen, setsockopt, socket, sockopt,
};

use super::poll::Poll;

pub struct Door {
    /// Keeps the port.
    _berth: OwnedFd,
    address: SocketAddr,
    listener: Option<TcpListener>,
}

impl Door {
    /// Port 0 becomes one that is free.
    pub fn open(address: SocketAddr, poll: &Poll) -> io::Result<Door> {
        let berth = bound(address)?;
        let mut door = Door { address: address_of(&berth)?, _berth: berth, listener: None };
        door.reopen(poll)?;
        Ok(door)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn is_open(&self) -> bool {
        self.listener.is_some()
    }

    pub fn reopen(&mut self, poll: &Poll) -> io::Result<()> {
        let listener = self.listening()?;
        poll.hear_door(&listener)?;
        self.listener = Some(listener);
        Ok(())
    }

    /// Whoever stands before it is reset.
    pub fn shut(&mut self) {
        self.listener = None;
    }

    /// The next one who stands before it; `None`: nobody does.
    pub fn take(&self) -> io::Result<Option<TcpStream>> {
        let Some(listener) = &self.listener else { return Ok(None) };
        loop {
            match listener.accept() {
                Ok((stream, _)) => return Ok(Some(stream)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                // He has gone already, or a signal came.
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn listening(&self) -> io::Result<TcpListener> {
        let socket = bound(self.address)?;
        // As many may stand before the door as the kernel lets.
        listen(&socket, Backlog::MAXALLOWABLE)?;
        Ok(socket.into())
    }
}

fn bound(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    match address {
        SocketAddr::V4(address) => bind(socket.as_raw_fd(), &SockaddrIn::from(address))?,
        SocketAddr::V6(address) => bind(socket.as_raw_fd(), &SockaddrIn6::from(address))?,
    }
    Ok(socket)
}

fn address_of(socket: &OwnedFd) -> io::Result<SocketAddr> {
    // A `TcpListener` is only a socket with a name; it need not listen.
    TcpListener::from(socket.try_clone()?).local_addr()
}
