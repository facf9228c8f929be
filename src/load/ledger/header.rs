//! The first page of a ledger file: what the records belong to, and, once sealed, what they add up to.
//!
//! The checksum covers the whole page: a bit that turned anywhere in it shows.

use bytemuck::{Pod, Zeroable};

use super::record::RECORD_SIZE;
use crate::clock::Offset;
use crate::plan::RunKey;

/// Records begin here: a page, so that windows lie on page borders.
pub const PAGE: usize = 4096;

const MAGIC: [u8; 8] = *b"MXLEDGER";
const VERSION: u32 = 1;

/// Which part of which run's operations a file holds: those with `op % shards == shard`, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub run: RunKey,
    pub shard: u16,
    pub shards: u16,
}

impl Part {
    /// The operation whose record is in this slot.
    pub fn op(self, slot: u64) -> u64 {
        slot * u64::from(self.shards) + u64::from(self.shard)
    }

    /// The slot of an operation of this part.
    pub fn slot(self, op: u64) -> u64 {
        debug_assert_eq!(op % u64::from(self.shards), u64::from(self.shard));
        op / u64::from(self.shards)
    }
}

/// What sealing adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    pub count: u64,
    pub issued_until: Offset,
    pub records_crc: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub part: Part,
    /// `None`: the file is being written, or its writer died.
    pub seal: Option<Seal>,
}

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Layout {
    magic: [u8; 8],
    version: u32,
    record_size: u32,
    seed: u64,
    count: u64,
    issued_until: u64,
    run: u32,
    shard: u16,
    shards: u16,
    sealed: u32,
    records_crc: u32,
    /// Over the page with this field 0.
    page_crc: u32,
    spare: u32,
}

const LAYOUT: usize = size_of::<Layout>();

impl Header {
    pub fn encode(&self) -> [u8; PAGE] {
        let unsealed = Seal { count: 0, issued_until: Offset::ZERO, records_crc: 0 };
        let seal = self.seal.unwrap_or(unsealed);
        let mut layout = Layout {
            magic: MAGIC,
            version: VERSION,
            record_size: RECORD_SIZE as u32,
            seed: self.part.run.seed,
            count: seal.count,
            issued_until: seal.issued_until.0,
            run: self.part.run.number,
            shard: self.part.shard,
            shards: self.part.shards,
            sealed: u32::from(self.seal.is_some()),
            records_crc: seal.records_crc,
            page_crc: 0,
            spare: 0,
        };
        layout.page_crc = crc32fast::hash(&page_of(&layout));
        page_of(&layout)
    }

    /// Reads a page; the error says what is wrong with it, after "its header".
    pub fn decode(page: &[u8; PAGE]) -> Result<Header, &'static str> {
        let layout: Layout = bytemuck::pod_read_unaligned(&page[..LAYOUT]);
        if layout.magic != MAGIC {
            return Err("is not a ledger's");
        }
        if (layout.version, layout.record_size) != (VERSION, RECORD_SIZE as u32) {
            return Err("is of another version");
        }
        if page_crc(page, layout) != layout.page_crc {
            return Err("does not match its checksum");
        }
        let run = RunKey { number: layout.run, seed: layout.seed };
        let part = Part { run, shard: layout.shard, shards: layout.shards };
        if part.shard >= part.shards {
            return Err("names a shard that cannot be");
        }
        Ok(Header { part, seal: (layout.sealed == 1).then(|| layout.seal()) })
    }
}

impl Layout {
    fn seal(&self) -> Seal {
        Seal { count: self.count, issued_until: Offset(self.issued_until), records_crc: self.records_crc }
    }
}

fn page_of(layout: &Layout) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    page[..LAYOUT].copy_from_slice(bytemuck::bytes_of(layout));
    page
}

fn page_crc(page: &[u8; PAGE], layout: Layout) -> u32 {
    let mut page = *page;
    page[..LAYOUT].copy_from_slice(bytemuck::bytes_of(&Layout { page_crc: 0, ..layout }));
    crc32fast::hash(&page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_its_page() {
        let part = Part { run: RunKey { number: 7, seed: 99 }, shard: 1, shards: 2 };
        let seal = Seal { count: 5, issued_until: Offset(6), records_crc: 8 };
        for header in [Header { part, seal: None }, Header { part, seal: Some(seal) }] {
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn slots_and_operations_of_a_part_match() {
        let part = Part { run: RunKey { number: 7, seed: 99 }, shard: 1, shards: 3 };
        assert_eq!([part.op(0), part.op(1), part.op(2)], [1, 4, 7]);
        assert_eq!(part.slot(7), 2);
    }
}
