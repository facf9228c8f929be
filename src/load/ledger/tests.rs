//! What a ledger promises: nothing begun is lost in silence, whatever happens to its files.

use proptest::prelude::*;

use super::*;
use crate::load::lanes::Operation;
use crate::plan::RunKey;

const RUN: RunKey = RunKey { number: 7, seed: 1 };
const SHARDS: u16 = 2;
const OPS: u64 = 7;

fn writers(folder: &Path) -> Vec<LedgerWriter> {
    let part = |shard| Part { run: RUN, shard, shards: SHARDS };
    (0..SHARDS).map(|shard| LedgerWriter::create(folder, part(shard)).unwrap()).collect()
}

fn begin(writers: &mut [LedgerWriter], index: u64) -> &mut LedgerWriter {
    let writer = &mut writers[(index % u64::from(SHARDS)) as usize];
    let op = Operation { index, lane: Lane::WriteOnce, key: RUN.key(index as u32), seq: 1 };
    writer.begin(&Begin { op, due: Offset(index * 10), woke: Offset(index * 10 + 1), epoch: 0 }).unwrap();
    writer
}

fn send(writer: &mut LedgerWriter, op: u64) {
    let at = Offset(op * 10 + 2);
    writer.dispatched(op, &Dispatch { instance: InstanceId(0), free: at, sent: Some(at), epoch: 0 });
}

const ACK: End = End { done: Offset(500), outcome: Outcome::Acked, reason: Reason::Answer, status: 202 };

fn sealed(folder: &Path) {
    let mut writers = writers(folder);
    for op in 0..OPS {
        let writer = begin(&mut writers, op);
        send(writer, op);
        writer.finish(op, &ACK);
    }
    writers.into_iter().for_each(|w| w.close(Offset(100)).unwrap());
}

fn shard(folder: &Path, n: u16) -> PathBuf {
    folder.join(shard_file(n))
}

fn is_torn(folder: &Path) -> bool {
    Ledger::open(folder).is_ok_and(|ledger| *ledger.soundness() != Soundness::Sealed)
}

#[test]
fn shards_are_merged_in_the_order_of_operations() {
    let folder = tempfile::tempdir().unwrap();
    sealed(folder.path());
    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!((ledger.soundness(), ledger.issued_until()), (&Soundness::Sealed, Offset(100)));
    assert_eq!(ledger.attempts().map(|a| a.op).collect::<Vec<_>>(), (0..OPS).collect::<Vec<_>>());
    assert!(ledger.attempts().all(|a| a.key == RUN.key(a.op as u32) && a.outcome == Outcome::Acked));
}

#[test]
fn a_ledger_without_operations_can_be_sealed() {
    let folder = tempfile::tempdir().unwrap();
    writers(folder.path()).into_iter().for_each(|w| w.close(Offset(0)).unwrap());
    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!((ledger.soundness(), ledger.attempts().count()), (&Soundness::Sealed, 0));
}

#[test]
fn a_killed_writer_leaves_all_that_was_begun_and_the_ledger_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let mut writers = writers(folder.path());
    for op in 0..OPS {
        begin(&mut writers, op);
    }
    send(&mut writers[0], 2);
    send(&mut writers[0], 4);
    writers[0].finish(4, &ACK);
    // No destructor runs, as under kill -9.
    std::mem::forget(writers);
    let ledger = Ledger::recover(folder.path(), "its harness died").unwrap();
    let Soundness::Torn { why } = ledger.soundness() else { panic!("a ledger without a seal is torn") };
    assert_eq!(
        why,
        "its harness died; shard-0.led was never sealed (4 attempts begun, 0 unreadable); \
         shard-1.led was never sealed (3 attempts begun, 0 unreadable)"
    );
    let found: Vec<_> = ledger.attempts().map(|a| (a.op, a.outcome, a.reason, a.sent.is_some())).collect();
    let open = |op, sent| (op, Outcome::Unknown, Reason::Open, sent);
    let acked = (4, Outcome::Acked, Reason::Answer, true);
    let expected =
        [open(0, false), open(1, false), open(2, true), open(3, false), acked, open(5, false), open(6, false)];
    assert_eq!(found, expected);
    // Shard 1 came to operation 5, due at 50: what was due later may have been issued by shard 0 alone.
    assert_eq!(ledger.issued_until(), Offset(51));
}

#[test]
fn what_is_still_open_at_the_end_is_unknown_if_it_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut writers = writers(folder.path());
    (0..OPS).for_each(|op| _ = begin(&mut writers, op));
    send(&mut writers[0], 2);
    writers.iter_mut().for_each(|w| w.end_open(Offset(900)));
    writers.into_iter().for_each(|w| w.close(Offset(100)).unwrap());
    let ledger = Ledger::open(folder.path()).unwrap();
    for attempt in ledger.attempts() {
        let expected = match attempt.op {
            2 => (Outcome::Unknown, Reason::Open),
            _ => (Outcome::NotSent, Reason::LoadOver),
        };
        assert_eq!((attempt.outcome, attempt.reason, attempt.done), (expected.0, expected.1, Some(Offset(900))));
    }
}

#[test]
fn the_disk_that_a_ledger_takes_is_known_beforehand() {
    let folder = tempfile::tempdir().unwrap();
    sealed(folder.path());
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    let files: Vec<u64> = files.collect();
    assert!(files.iter().sum::<u64>() <= disk_bytes(OPS, files.len() as u16));
    assert_eq!(disk_bytes(65_537, 1) - disk_bytes(65_536, 1), 16_384 * 64);
}

#[test]
fn recovery_never_calls_a_ledger_sealed() {
    let folder = tempfile::tempdir().unwrap();
    sealed(folder.path());
    let ledger = Ledger::recover(folder.path(), "its harness died").unwrap();
    assert_eq!(ledger.soundness(), &Soundness::Torn { why: "its harness died".to_owned() });
    assert_eq!(ledger.attempts().count() as u64, OPS);
}

#[test]
fn a_missing_shard_tears_the_ledger_and_a_missing_ledger_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Ledger::open(folder.path()), Err(LedgerError::Missing { .. })));
    sealed(folder.path());
    std::fs::remove_file(shard(folder.path(), 1)).unwrap();
    assert!(is_torn(folder.path()));
}

#[test]
fn a_shard_of_another_load_tears_the_ledger() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sealed(folder.path());
    let mut writers = writers(other.path());
    begin(&mut writers, 0);
    begin(&mut writers, 1).end_open(Offset(5));
    writers.pop().unwrap().close(Offset(100)).unwrap();
    std::fs::copy(shard(other.path(), 1), shard(folder.path(), 1)).unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!(ledger.soundness(), &Soundness::Torn { why: "its files do not belong to one run".to_owned() });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_cut_anywhere_is_torn(n in 0..SHARDS, keep in 0.0f64..1.0) {
        let folder = tempfile::tempdir().unwrap();
        sealed(folder.path());
        let path = shard(folder.path(), n);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..(bytes.len() as f64 * keep) as usize]).unwrap();
        prop_assert!(is_torn(folder.path()));
    }

    #[test]
    fn a_bit_turned_anywhere_is_seen(n in 0..SHARDS, at: prop::sample::Index, bit in 0u32..8, in_records: bool) {
        let folder = tempfile::tempdir().unwrap();
        sealed(folder.path());
        let path = shard(folder.path(), n);
        let mut bytes = std::fs::read(&path).unwrap();
        let records = bytes.len() - header::PAGE;
        let at = if in_records { header::PAGE + at.index(records) } else { at.index(header::PAGE) };
        bytes[at] ^= 1u8 << bit;
        std::fs::write(&path, bytes).unwrap();
        prop_assert!(is_torn(folder.path()));
    }

    #[test]
    fn garbage_is_torn_and_never_a_panic(
        garbage in prop::collection::vec(any::<u8>(), 0..9000), keep_header: bool, unsealed: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        sealed(folder.path());
        let path = shard(folder.path(), 0);
        let header = match unsealed {
            true => header::Header { part: Part { run: RUN, shard: 0, shards: SHARDS }, seal: None }.encode().to_vec(),
            false => std::fs::read(&path).unwrap()[..header::PAGE].to_vec(),
        };
        let bytes = if keep_header { [header, garbage].concat() } else { garbage };
        std::fs::write(&path, bytes).unwrap();
        prop_assert!(is_torn(folder.path()));
        prop_assert!(Ledger::recover(folder.path(), "its harness died").unwrap().attempts().count() < 1000);
    }
}
