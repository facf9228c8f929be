//! Which processes listen at an address of this machine: they are the target of a load that was not started here.
//!
//! In: an address. Out: whoever holds a socket that listens there. A socket's owner is found as `ss -p` finds it:
//! /proc/net/tcp says which inode listens, /proc/PID/fd who holds it; proc(5).

use std::net::SocketAddr;

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{self, FDTarget, Process};

use crate::process::ProcessIdentity;

/// They take connections for somebody else, whom nobody sees from here: `init` for whom it starts later.
const FORWARDERS: [&str; 4] = ["docker-proxy", "rootlessport", "systemd", "init"];

/// Nobody: it is on another machine, in a container, another user's, or only forwarded.
pub fn at(addr: SocketAddr) -> Vec<ProcessIdentity> {
    let holders = holders(&inodes(addr));
    match holders.iter().any(forwards) {
        true => Vec::new(),
        false => holders.iter().filter_map(|process| ProcessIdentity::of(process.pid).ok()).collect(),
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
        let own = [ProcessIdentity::of(std::process::id() as i32).unwrap()];
        for (to, asked) in [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")] {
            let (_listener, port) = bound(to);
            assert_eq!(at(SocketAddr::new(asked.parse().unwrap(), port)), own, "{to}, asked at {asked}");
        }
    }

    #[test]
    fn who_is_connected_there_does_not_listen() {
        let (listener, port) = bound("127.0.0.1");
        let (connection, _) = (TcpStream::connect(("127.0.0.1", port)).unwrap(), listener);
        assert_eq!(at(connection.local_addr().unwrap()), []);
    }

    #[test]
    fn nobody_listens_where_a_listener_was_nor_elsewhere() {
        let (listener, port) = bound("127.0.0.1");
        drop(listener);
        assert_eq!(at(([127, 0, 0, 1], port).into()), []);
        // Set aside for documentation: no machine has it (RFC 5737).
        assert_eq!(at(([192, 0, 2, 1], 80).into()), []);
    }
}
