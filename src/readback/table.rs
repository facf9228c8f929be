//! A table on disk: records of one size, written as they come, sealed by a header, and read through memory.
//!
//! In: records, one at a time ([`TableWriter`]). Out: a [`Table`], which is one slice of records however long it is,
//! and keeps few of its pages in memory ([`Pages`]). A file that is missing, cut or changed is an error that says so.
//!
//! ```text
//! | header, one page                                            | records … | names, as a JSON array |
//!   magic 8 · version u32 · record size u32 · count u64 · length
//!   of the names u64 · CRC-32 of records and names u32 · CRC-32
//!   of this page (with this field 0) u32
//! ```
//! Integers are little-endian. A record holds a name as its place in the array.
//!
//! # Why not CSV
//! Five million operations have fifteen million rows. As text they are twice as long, and every look at them parses
//! them again; as records of one size they are judged in place. `mxctl report export` prints them as CSV.

use std::collections::HashMap;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use tempfile::NamedTempFile;

use crate::pages::Pages;

const PAGE: usize = 4096;
const VERSION: u32 = 1;
const BUFFER: usize = 256 * 1024;
/// Names beyond these share one place: no healthy service has as many.
const NAMES_MAX: usize = u16::MAX as usize;
const OTHERS: &str = "(one of too many)";

/// What a table holds. Its first eight bytes on disk tell which.
pub trait Record: Pod + Send + Sync {
    const MAGIC: [u8; 8];
}

#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("it is not there: the run ended before it was written")]
    Missing,
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("it is no such table, or of another version")]
    Foreign,
    #[error("truncated: its header speaks of {written} bytes, and it has {found}")]
    Truncated { found: u64, written: u64 },
    #[error("changed after it was written: its checksum is {found:08x}, its header says {written:08x}")]
    Changed { found: u32, written: u32 },
}

/// Names that recur, each kept once. A record holds the place of its own.
#[derive(Debug, Default)]
pub struct Names {
    all: Vec<String>,
    places: HashMap<String, u16>,
}

impl Names {
    pub fn place(&mut self, name: &str) -> u16 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let (name, place) = match self.all.len() {
            NAMES_MAX => return NAMES_MAX as u16 - 1,
            last if last == NAMES_MAX - 1 => (OTHERS, last as u16),
            next => (name, next as u16),
        };
        self.all.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        place
    }
}

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: u32,
    record_size: u32,
    count: u64,
    names_bytes: u64,
    body_crc: u32,
    page_crc: u32,
}

const HEADER: usize = size_of::<Header>();

impl Header {
    fn page(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        page[..HEADER].copy_from_slice(bytemuck::bytes_of(self));
        page
    }

    fn sealed(self) -> Header {
        let page = Header { page_crc: 0, ..self }.page();
        Header { page_crc: crc32fast::hash(&page), ..self }
    }

    fn read(bytes: &[u8]) -> Option<Header> {
        let page = bytes.first_chunk::<PAGE>()?;
        let header: Header = bytemuck::pod_read_unaligned(&page[..HEADER]);
        (header.sealed().page() == *page).then_some(header)
    }

    /// How long the file is; `None`: no file is.
    fn length(&self) -> Option<u64> {
        let records = self.count.checked_mul(self.record_size.into())?;
        records.checked_add(self.names_bytes)?.checked_add(PAGE as u64)
    }
}

/// Writes a table into a file that takes its place when all is there.
pub struct TableWriter<R> {
    out: BufWriter<NamedTempFile>,
    crc: crc32fast::Hasher,
    count: u64,
    pub names: Names,
    of: PhantomData<R>,
}

impl<R: Record> TableWriter<R> {
    pub fn begin(file: NamedTempFile) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(BUFFER, file);
        // A writer that dies leaves a header that nobody takes for one.
        out.write_all(&[0; PAGE])?;
        let (crc, names) = (crc32fast::Hasher::new(), Names::default());
        Ok(TableWriter { out, crc, count: 0, names, of: PhantomData })
    }

    pub fn push(&mut self, record: &R) -> io::Result<()> {
        let bytes = bytemuck::bytes_of(record);
        self.crc.update(bytes);
        self.count += 1;
        self.out.write_all(bytes)
    }

    /// Writes names and header; the file is whole, and not yet fsynced.
    pub fn finish(mut self) -> io::Result<NamedTempFile> {
        let names = serde_json::to_vec(&self.names.all)?;
        self.crc.update(&names);
        self.out.write_all(&names)?;
        let mut file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let header = Header {
            magic: R::MAGIC,
            version: VERSION,
            record_size: size_of::<R>() as u32,
            count: self.count,
            names_bytes: names.len() as u64,
            body_crc: self.crc.finalize(),
            page_crc: 0,
        };
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header.sealed().page())?;
        Ok(file)
    }
}

/// Records of one kind, in a file or, for tests and small ones, in memory.
#[derive(Debug)]
pub struct Table<R>(Arc<Store<R>>);

#[derive(Debug)]
struct Store<R> {
    records: Records<R>,
    names: Vec<String>,
}

#[derive(Debug)]
enum Records<R> {
    Memory(Vec<R>),
    File { pages: Pages, count: usize },
}

impl<R: Record> Table<R> {
    /// Opens a table that was written to its end, and nothing else.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let pages = Pages::open(path)?.ok_or(TableError::Missing)?;
        let found = pages.len() as u64;
        let header = match Header::read(&pages) {
            None if found < PAGE as u64 => return Err(TableError::Truncated { found, written: PAGE as u64 }),
            Some(header) if header.is_of::<R>() => header,
            _ => return Err(TableError::Foreign),
        };
        match header.length() {
            Some(written) if written == found => {}
            written => return Err(TableError::Truncated { found, written: written.unwrap_or(u64::MAX) }),
        }
        let crc = pages.crc32(PAGE);
        if crc != header.body_crc {
            return Err(TableError::Changed { found: crc, written: header.body_crc });
        }
        let count = header.count as usize;
        let names = serde_json::from_slice(&pages[PAGE + count * size_of::<R>()..]).map_err(|_| TableError::Foreign)?;
        Ok(Table(Arc::new(Store { records: Records::File { pages, count }, names })))
    }

    pub fn in_memory(records: Vec<R>, names: Names) -> Self {
        Table(Arc::new(Store { records: Records::Memory(records), names: names.all }))
    }

    pub fn records(&self) -> &[R] {
        match &self.0.records {
            Records::Memory(records) => records,
            // The header is a page, and a mapping begins on one: they are aligned.
            Records::File { pages, count } => bytemuck::cast_slice(&pages[PAGE..PAGE + count * size_of::<R>()]),
        }
    }

    pub fn len(&self) -> u64 {
        self.records().len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every record in turn; what was passed leaves the memory.
    pub fn walk(&self) -> impl Iterator<Item = &R> {
        let pages = self.pages();
        self.records().iter().inspect(move |record| {
            if let Some(pages) = pages {
                pages.passed_element(*record);
            }
        })
    }

    /// For a walk of one's own. `None`: all of it is in memory, and stays.
    pub fn pages(&self) -> Option<&Pages> {
        match &self.0.records {
            Records::Memory(_) => None,
            Records::File { pages, .. } => Some(pages),
        }
    }

    /// The name in a place; empty where a foreign writer left none.
    pub fn name(&self, place: u16) -> &str {
        self.0.names.get(usize::from(place)).map_or("", String::as_str)
    }
}

impl Header {
    fn is_of<R: Record>(&self) -> bool {
        (self.magic, self.version, self.record_size as usize) == (R::MAGIC, VERSION, size_of::<R>())
    }
}

impl<R> Clone for Table<R> {
    fn clone(&self) -> Self {
        Table(self.0.clone())
    }
}

impl<R: Record> Default for Table<R> {
    fn default() -> Self {
        Table::in_memory(Vec::new(), Names::default())
    }
}

impl<R: Record> PartialEq for Table<R> {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |table: &Self| bytemuck::cast_slice::<R, u8>(table.records()).as_ptr_range();
        bytes(self) == bytes(other)
            || (self.0.names == other.0.names
                && bytemuck::cast_slice::<R, u8>(self.records()) == bytemuck::cast_slice::<R, u8>(other.records()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
    #[repr(C)]
    struct Number {
        number: u64,
        name: u64,
    }

    impl Record for Number {
        const MAGIC: [u8; 8] = *b"MXNUMBER";
    }

    fn written(numbers: u64) -> tempfile::TempPath {
        let mut writer = TableWriter::begin(NamedTempFile::new().unwrap()).unwrap();
        for number in 0..numbers {
            let name = writer.names.place(["one", "two"][number as usize % 2]).into();
            writer.push(&Number { number, name }).unwrap();
        }
        writer.finish().unwrap().into_temp_path()
    }

    #[test]
    fn what_was_written_is_read_and_a_name_is_kept_once() {
        let table = Table::<Number>::open(&written(3)).unwrap();
        let read: Vec<_> = table.walk().map(|n| (n.number, table.name(n.name as u16))).collect();
        assert_eq!(read, [(0, "one"), (1, "two"), (2, "one")]);
        assert_eq!((table.len(), table.name(7)), (3, ""));
        assert!(Table::<Number>::open(&written(0)).unwrap().is_empty());
    }

    #[test]
    fn no_cut_and_no_changed_byte_passes_for_a_whole_table() {
        let path = written(7);
        let whole = std::fs::read(&path).unwrap();
        let body = (PAGE..whole.len()).chain((0..PAGE).step_by(7));
        for at in body {
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(matches!(Table::<Number>::open(&path), Err(TableError::Truncated { .. })), "cut at {at}");
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert!(Table::<Number>::open(&path).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_writer_that_died_leaves_no_table() {
        let mut writer = TableWriter::begin(NamedTempFile::new().unwrap()).unwrap();
        writer.push(&Number { number: 1, name: 0 }).unwrap();
        let file = writer.out.into_inner().unwrap();
        assert!(matches!(Table::<Number>::open(file.path()), Err(TableError::Foreign)));
    }

    #[test]
    fn more_names_than_there_are_places_share_the_last_one() {
        let mut names = Names::default();
        let places: Vec<u16> = (0..70_000).map(|n| names.place(&n.to_string())).collect();
        assert_eq!(places[NAMES_MAX - 2..NAMES_MAX + 1], [65_533, 65_534, 65_534]);
        assert_eq!(names.all[65_534], OTHERS);
        assert_eq!(names.place("5"), 5);
    }
}
