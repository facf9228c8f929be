//! A port for a server of ours: a free one of 127.0.0.1, and another where somebody was quicker.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::backends::UpError;

/// One that nobody listens on now. Until the server has it, anybody may take it: see [`Tries`].
pub fn free() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// How often a server is started, each time on another port.
pub struct Tries {
    left: usize,
}

impl Tries {
    pub fn new() -> Tries {
        Tries { left: 5 }
    }

    /// Whether one more may help: the server did not come up, perhaps as its port was taken.
    pub fn another(&mut self, failed: &UpError) -> bool {
        self.left -= 1;
        self.left > 0 && matches!(failed, UpError::Start { .. })
    }
}
