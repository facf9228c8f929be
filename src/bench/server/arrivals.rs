//! The log of arrivals: one record a request, in memory until the end; then a CSV file with a line a request, in
//! the order of arrival:
//!
//! ```text
//! arrived_ns,answered_ns,connection,status
//! 1204338112,1204351870,1,200
//! 1204538040,,2,200
//! ```
//!
//! Times are nanoseconds since the server's start. A request has **arrived** when the read that completed its head
//! returned: requests that came in one read arrived together, and one that waited in the kernel while the server
//! read others arrived when its own read was done. It is **answered** when the write that took the answer's last byte
//! returned; never, where that stays empty. Connections are numbered from 1 in the order in which they were taken.
//!
//! # Why CSV
//! A record takes about as many digits as it takes bytes in memory: a binary form would be no smaller, and every tool
//! reads this one.

use std::io::{self, BufRead, Write};

use crate::clock::Offset;

const HEADER: &str = "arrived_ns,answered_ns,connection,status";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    pub arrived: Offset,
    /// [`NEVER`], or when.
    answered: Offset,
    pub connection: u32,
    pub status: u16,
}

const NEVER: Offset = Offset(u64::MAX);

impl Arrival {
    pub fn answered(&self) -> Option<Offset> {
        (self.answered != NEVER).then_some(self.answered)
    }
}

/// Records in chunks that are allocated whole: no request waits for a copy of all those before it.
#[derive(Debug, Default)]
pub struct Arrivals {
    chunks: Vec<Vec<Arrival>>,
    length: usize,
}

/// 1.5 MiB.
const CHUNK: usize = 1 << 16;

impl Arrivals {
    /// With room for the first chunk.
    pub(super) fn new() -> Arrivals {
        Arrivals { chunks: vec![Vec::with_capacity(CHUNK)], length: 0 }
    }

    /// Gives the record's index.
    pub(super) fn arrived(&mut self, arrived: Offset, connection: u32, status: u16) -> usize {
        if self.length == self.chunks.len() * CHUNK {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[self.length / CHUNK].push(Arrival { arrived, answered: NEVER, connection, status });
        self.length += 1;
        self.length - 1
    }

    pub(super) fn answered(&mut self, index: usize, at: Offset) {
        self.chunks[index / CHUNK][index % CHUNK].answered = at;
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// In the order of arrival.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arrival> {
        self.chunks.iter().flatten()
    }

    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        writeln!(to, "{HEADER}")?;
        for arrival in self.iter() {
            let Arrival { arrived, connection, status, .. } = arrival;
            match arrival.answered() {
                Some(answered) => writeln!(to, "{},{},{connection},{status}", arrived.0, answered.0)?,
                None => writeln!(to, "{},,{connection},{status}", arrived.0)?,
            }
        }
        to.flush()
    }

    /// Reads what [`write`](Self::write) wrote. `InvalidData` names the line that is none of its.
    pub fn read(from: impl BufRead) -> io::Result<Arrivals> {
        let mut arrivals = Arrivals::new();
        for (index, line) in from.lines().enumerate() {
            let line = line?;
            let good = if index == 0 { line == HEADER } else { arrivals.read_line(&line).is_some() };
            if !good {
                let what = format!("line {} is no arrival: `{line}`", index + 1);
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        Ok(arrivals)
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split(',');
        let arrived = Offset(fields.next()?.parse().ok()?);
        let answered = match fields.next()? {
            "" => None,
            at => Some(Offset(at.parse().ok()?)),
        };
        let (connection, status) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let index = self.arrived(arrived, connection, status);
        if let Some(at) = answered {
            self.answered(index, at);
        }
        fields.next().is_none().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Arrivals {
        let mut arrivals = Arrivals::new();
        for (arrived, connection) in [(5, 1), (7, 2), (7, 1)] {
            arrivals.arrived(Offset(arrived), connection, 200);
        }
        arrivals.answered(0, Offset(6));
        arrivals.answered(2, Offset(9));
        arrivals
    }

    #[test]
    fn a_file_has_a_line_for_every_request() {
        let mut file = Vec::new();
        three().write(&mut file).unwrap();
        let text = String::from_utf8(file).unwrap();
        assert_eq!(text, format!("{HEADER}\n5,6,1,200\n7,,2,200\n7,9,1,200\n"));
        let read = Arrivals::read(text.as_bytes()).unwrap();
        assert!(read.iter().eq(three().iter()));
    }

    #[test]
    fn a_line_that_is_no_arrival_is_named() {
        for bad in ["5,6,1", "5,6,1,200,7", "5,x,1,200", ""] {
            let error = Arrivals::read(format!("{HEADER}\n5,6,1,200\n{bad}\n").as_bytes()).expect_err(bad);
            assert_eq!(error.to_string(), format!("line 3 is no arrival: `{bad}`"));
        }
        assert!(Arrivals::read("some,other,file\n".as_bytes()).is_err());
    }

    #[test]
    fn chunks_follow_one_another() {
        let mut arrivals = Arrivals::new();
        for n in 0..2 * CHUNK as u64 + 1 {
            let index = arrivals.arrived(Offset(n), 1, 200);
            arrivals.answered(index, Offset(n + 1));
        }
        assert_eq!((arrivals.len(), arrivals.chunks.len()), (2 * CHUNK + 1, 3));
        assert!(arrivals.iter().enumerate().all(|(n, arrival)| {
            arrival.arrived == Offset(n as u64) && arrival.answered() == Some(Offset(n as u64 + 1))
        }));
        // No chunk grew beyond what it was allocated with.
        assert!(arrivals.chunks.iter().all(|chunk| chunk.capacity() == CHUNK));
        assert_eq!(size_of::<Arrival>(), 24);
    }
}
