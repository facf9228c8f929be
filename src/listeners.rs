//! Which processes listen at an address of this machine: they are the target of a load that was not started here.
//!
//! In: an address. Out: [`Target`]. A socket's owner is found as `ss -p` finds it: /proc/net/tcp says which inode listens,
//! /proc/PID/fd who holds it; proc(5).

use std::net::{SocketAddr, UdpSocket};

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{self, FDTarget, Process};

use crate::process::ProcessIdentity;

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// On another machine.
    Elsewhere,
    /// On this one: whoever holds its socket.
    Here(Vec<ProcessIdentity>),
    /// On this one, and nobody can see who it is: another user's process, or one in a container.
    Unseen,
}

/// They take connections for somebody else, whom nobody sees from here.
const FORWARDERS: [&str; 2] = ["docker-proxy", "rootlessport"];

impl Target {
    pub fn at(addr: SocketAddr) -> Target {
        // A machine gives sockets its own addresses alone.
        if UdpSocket::bind((addr.ip(), 0)).is_err() {
            return Target::Elsewhere;
        }
        let holders = holders(&inodes(addr));
        let known = holders.iter().filter_map(|process| ProcessIdentity::of(process.pid).ok()).collect();
        match holders.is_empty() || holders.iter().any(forwards) {
            true => Target::Unseen,
            false => Target::Here(known),
        }
    }
}

/// Of the sockets that listen there, in this network namespace.
fn inodes(addr: SocketAddr) -> Vec<u64> {
    let tables = [procfs::net::tcp(), procfs::net::tcp6()];
    let sockets = tables.into_iter().flatten().flatten();
    sockets.filter(|socket| takes(socket, addr)).map(|socket| socket.inode).collect()
}

fn takes(socket: &TcpNetEntry, addr: SocketAddr) -> bool {
    let at = socket.local_address;
    let there = at.ip().is_unspecified() || at.ip().to_canonical() == addr.ip().to_canonical();
    socket.state == TcpState::Listen && there && at.port() == addr.port()
}

fn holders(inodes: &[u64]) -> Vec<Process> {
    let all = process::all_processes().into_iter().flatten().flatten();
    all.filter(|process| holds(process, inodes)).collect()
}

fn holds(process: &Process, inodes: &[u64]) -> bool {
    let mut descriptors = process.fd().into_iter().flatten().flatten();
    descriptors.any(|descriptor| matches!(descriptor.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
}

fn forwards(process: &Process) -> bool {
    process.stat().is_ok_and(|stat| FORWARDERS.contains(&stat.comm.as_str()))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn bound(to: &str) -> (TcpListener, u16) {
        let listener = TcpListener::bind((to, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[test]
    fn whoever_listens_here_is_found_at_each_address_that_it_listens_at() {
        let own = Target::Here(vec![ProcessIdentity::of(std::process::id() as i32).unwrap()]);
        for (to, asked) in [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")] {
            let (_listener, port) = bound(to);
            assert_eq!(Target::at(SocketAddr::new(asked.parse().unwrap(), port)), own, "{to}, asked at {asked}");
        }
    }

    #[test]
    fn who_is_connected_there_does_not_listen() {
        let (listener, port) = bound("127.0.0.1");
        let (connection, _) = (TcpStream::connect(("127.0.0.1", port)).unwrap(), listener);
        assert_eq!(Target::at(connection.local_addr().unwrap()), Target::Unseen);
    }

    #[test]
    fn nobody_listens_where_a_listener_was_and_elsewhere_nobody_looks() {
        let (listener, port) = bound("127.0.0.1");
        drop(listener);
        assert_eq!(Target::at(([127, 0, 0, 1], port).into()), Target::Unseen);
        // Set aside for documentation: no machine has it (RFC 5737).
        assert_eq!(Target::at(([192, 0, 2, 1], 80).into()), Target::Elsewhere);
    }
}
