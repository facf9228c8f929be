//! Which processes listen at an address of this machine: they are the target of a load that was not started here.
//!
//! In: an address. Out: [`Target`]. A socket's owner is found as `ss -p` finds it: /proc/net/tcp says which inode listens,
//! /proc/PID/fd who holds it; proc(5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// On another machine.
    Elsewhere,
    /// On this one: whoever holds its socket.
    Here(Vec<i32>),
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
        match holders.is_empty() || holders.iter().any(|pid| forwards(*pid)) {
            true => Target::Unseen,
            false => Target::Here(holders),
        }
    }
}

/// Of the sockets that listen there, in this network namespace.
fn inodes(addr: SocketAddr) -> Vec<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines()).filter_map(|line| inode(line, addr)).collect()
}

/// `0: 0100007F:1F90 00000000:0000 0A …`: the tenth field is the inode, and 0A says that it listens.
fn inode(line: &str, addr: SocketAddr) -> Option<u64> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, local, _, "0A", _, _, _, _, _, inode, ..] = fields[..] else { return None };
    let (ip, port) = local.split_once(':')?;
    let (ip, port) = (address(ip)?, u16::from_str_radix(port, 16).ok()?);
    let takes = ip.is_unspecified() || ip.to_canonical() == addr.ip().to_canonical();
    (takes && port == addr.port()).then(|| inode.parse().ok())?
}

/// Words of four bytes, as they lie in memory.
fn address(hex: &str) -> Option<IpAddr> {
    let words = hex.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let v4 = <[u8; 4]>::try_from(&bytes[..]).map(|bytes| Ipv4Addr::from(bytes).into());
    v4.or_else(|_| <[u8; 16]>::try_from(&bytes[..]).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

fn holders(inodes: &[u64]) -> Vec<i32> {
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| holds(*pid, &links)).collect()
}

fn holds(pid: i32, links: &[String]) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut held = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    held.any(|held| links.iter().any(|link| Path::new(link) == held))
}

fn forwards(pid: i32) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    FORWARDERS.contains(&name.trim_end())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn bound(to: &str) -> (TcpListener, u16) {
        let listener = TcpListener::bind((to, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[test]
    fn whoever_listens_here_is_found_at_each_address_that_it_listens_at() {
        let own = Target::Here(vec![std::process::id() as i32]);
        for (to, asked) in [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")] {
            let (_listener, port) = bound(to);
            assert_eq!(Target::at(SocketAddr::new(asked.parse().unwrap(), port)), own, "{to}, asked at {asked}");
        }
    }

    #[test]
    fn nobody_listens_where_a_listener_was_and_elsewhere_nobody_looks() {
        let (listener, port) = bound("127.0.0.1");
        drop(listener);
        assert_eq!(Target::at(([127, 0, 0, 1], port).into()), Target::Unseen);
        // Set aside for documentation: no machine has it (RFC 5737).
        assert_eq!(Target::at(([192, 0, 2, 1], 80).into()), Target::Elsewhere);
    }

    #[test]
    fn a_line_is_of_a_listener_and_its_address() {
        let line = |state| {
            format!("   0: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 4711 1")
        };
        let of = |state, port| inode(&line(state), ([127, 0, 0, 1], port).into());
        assert_eq!([of("0A", 8080), of("0A", 8081), of("01", 8080)], [Some(4711), None, None]);
        assert_eq!(inode("  sl  local_address rem_address   st tx_queue", ([127, 0, 0, 1], 8080).into()), None);
    }
}
