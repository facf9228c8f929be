//! The archive against what happens to folders: a full disk, a killed writer, a second run, a lock that is held.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use super::*;

const NOW: Timestamp = Timestamp::constant(1_795_478_400, 0);

fn archive_in(reports: &Path) -> Archive {
    Archive::create(reports, "rolling-update", 17, NOW).unwrap()
}

fn report(run: &str) -> Vec<(Piece, Vec<u8>)> {
    vec![(Piece::Run, run.into()), (Piece::Markdown, "# PASS".into())]
}

/// This test program again, as another process: the ignored test of that name, with one argument.
fn child(test: &str, argument: &Path, limit: &str) -> Child {
    // A signal that the shell ignores stays ignored: past its limit on file sizes the child gets an error, as from
    // a full disk, instead of SIGXFSZ.
    Command::new("sh")
        .args(["-c", &format!("trap '' XFSZ; {limit} exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("archive::tests::{test}"), "--ignored", "--nocapture"])
        .env("ARCHIVE_TEST_ARGUMENT", argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn argument() -> PathBuf {
    std::env::var_os("ARCHIVE_TEST_ARGUMENT").expect("started by another test").into()
}

#[test]
fn a_run_that_the_disk_has_no_room_for_is_refused_and_leaves_no_folder() {
    let reports = tempfile::tempdir().unwrap();
    assert!(archive_in(reports.path()).reserve(1).is_ok());
    let refused = archive_in(reports.path()).reserve(u64::MAX).unwrap_err().to_string();
    assert!(
        refused.contains("are free, and this run writes about ") && refused.contains(" GiB; make room"),
        "{refused}"
    );
    assert_eq!(Archive::runs(reports.path()).unwrap().len(), 1, "the first one alone");
}

#[test]
fn a_folder_is_named_for_time_name_and_run_number_and_is_new_even_in_the_same_second() {
    let reports = tempfile::tempdir().unwrap();
    let (first, second) = (archive_in(reports.path()), archive_in(reports.path()));
    assert_eq!(first.root(), reports.path().join("20261124T000000Z-rolling-update-17"));
    assert_eq!(second.root(), reports.path().join("20261124T000000Z-rolling-update-17-2"));
    assert_eq!(Archive::runs(reports.path()).unwrap(), [first.root(), second.root()]);
    let odd = Archive::create(reports.path(), "../a b/ü", 1, NOW).unwrap();
    assert_eq!(odd.root().parent(), Some(reports.path()));
}

#[test]
fn pieces_come_back_as_they_were_put_and_without_passwords() {
    let reports = tempfile::tempdir().unwrap();
    let archive = archive_in(reports.path());
    archive.put_json(Piece::Plan, &["redis://:hunter2@h", "0.1"]).unwrap();
    archive.put_bytes(Piece::Rows, &[0, 255]).unwrap();
    let later = Archive::open(archive.root()).unwrap();
    let plan: Stored<Vec<String>> = later.get_json(Piece::Plan).unwrap();
    assert_eq!(plan.whole().unwrap(), ["redis://:***@h", "0.1"]);
    assert_eq!(later.get_bytes(Piece::Rows).unwrap(), Stored::Whole(vec![0, 255]));
}

#[test]
fn a_missing_piece_says_why_and_a_truncated_one_says_where() {
    let reports = tempfile::tempdir().unwrap();
    let archive = archive_in(reports.path());
    let missing = archive.get_json::<Vec<u8>>(Piece::State).unwrap();
    let why = "state/final.json is not there: the run ended before it was written";
    assert_eq!(missing, Stored::Missing { why: why.into() });

    archive.put_json(Piece::Plan, &vec![1, 2, 3]).unwrap();
    let whole = fs::read(archive.place(Piece::Plan)).unwrap();
    for length in 0..whole.len() {
        fs::write(archive.place(Piece::Plan), &whole[..length]).unwrap();
        let error = archive.get_json::<Vec<u8>>(Piece::Plan).unwrap_err();
        assert!(matches!(&error, ArchiveError::Corrupt { place, .. } if place.ends_with("plan.json")), "{error}");
    }
}

#[test]
fn a_run_that_ends_between_two_pieces_has_no_report() {
    let reports = tempfile::tempdir().unwrap();
    let archive = archive_in(reports.path());
    archive.put_json(Piece::Plan, &1).unwrap();
    let root = archive.root().to_owned();
    let left_behind = archive.stage(Piece::Run, b"{}").unwrap().1.keep().unwrap();
    drop(archive);
    let broken = Archive::open(&root).unwrap();
    assert!(left_behind.1.exists(), "the unfinished file is there, under no piece's name");
    assert!(matches!(broken.get_bytes(Piece::Run).unwrap(), Stored::Missing { .. }));
}

#[test]
fn a_report_is_sealed_again_only_as_a_whole() {
    let reports = tempfile::tempdir().unwrap();
    let archive = archive_in(reports.path());
    archive.seal(&report("{\"n\":1}")).unwrap();
    assert!(archive.place(Piece::Run).is_file());
    archive.seal(&report("{\"n\":2}")).unwrap();
    assert_eq!(archive.get_bytes(Piece::Run).unwrap().whole().unwrap(), b"{\"n\":2}");

    // The folder `report.md` cannot be replaced by a file: the write after the unsealing fails.
    fs::remove_file(archive.place(Piece::Markdown)).unwrap();
    fs::create_dir(archive.place(Piece::Markdown)).unwrap();
    archive.seal(&report("{\"n\":3}")).unwrap_err();
    assert!(!archive.place(Piece::Run).exists());
}

#[test]
fn a_live_run_is_held_and_a_dead_one_is_not() {
    let reports = tempfile::tempdir().unwrap();
    let mut run = child("holds_a_run_until_killed", reports.path(), "");
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines().map(Result::unwrap);
    let root = lines.find_map(|line| line.split_once("holds ").map(|(_, path)| PathBuf::from(path))).unwrap();
    assert!(Archive::is_held(&root).unwrap());

    run.kill().unwrap();
    run.wait().unwrap();
    assert!(!Archive::is_held(&root).unwrap());
}

#[test]
#[ignore = "another test starts it as a process of its own"]
fn holds_a_run_until_killed() {
    let archive = archive_in(&argument());
    println!("holds {}", archive.root().display());
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_full_disk_is_an_error_with_a_remedy_and_leaves_what_was_there() {
    let reports = tempfile::tempdir().unwrap();
    // 256 blocks of 512 bytes (or of 1,024, as the shell counts): the probe fits, the larger pieces do not.
    let mut writer = child("writes_until_the_disk_is_full", reports.path(), "ulimit -f 256;");
    let status = writer.wait().unwrap();
    let mut said = String::new();
    writer.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(status.success(), "{said}");
}

#[test]
#[ignore = "another test starts it as a process of its own"]
fn writes_until_the_disk_is_full() {
    let archive = archive_in(&argument());
    archive.seal(&report("{}")).unwrap();
    let too_large = vec![b' '; 1 << 20];
    let refused = archive.put_bytes(Piece::Plan, &too_large).unwrap_err();
    assert!(refused.to_string().contains("plan.json: File too large"), "{refused}");
    assert!(refused.to_string().ends_with("make room there, or name another folder"), "{refused}");
    archive.seal(&[(Piece::Markdown, too_large), (Piece::Run, b"{\"n\":2}".into())]).unwrap_err();
    assert_eq!(archive.get_bytes(Piece::Run).unwrap().whole().unwrap(), b"{}", "the earlier report is whole");
    assert_eq!(fs::read_dir(archive.root()).unwrap().count(), 6, "lock, three folders, run.json, report.md");
}

#[test]
fn no_room_at_the_start_leaves_no_folder_behind() {
    let reports = tempfile::tempdir().unwrap();
    let mut writer = child("starts_on_a_full_disk", reports.path(), "ulimit -f 8;");
    assert!(writer.wait().unwrap().success());
    assert_eq!(fs::read_dir(reports.path()).unwrap().count(), 0);
}

#[test]
#[ignore = "another test starts it as a process of its own"]
fn starts_on_a_full_disk() {
    let refused = Archive::create(&argument(), "rolling-update", 17, NOW).unwrap_err();
    assert!(matches!(&refused, ArchiveError::Create { .. }), "{refused}");
    assert!(refused.to_string().ends_with("make room there, or name another folder"), "{refused}");
}

#[test]
fn a_reports_folder_that_cannot_be_made_is_named_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = Archive::create(&dir.path().join("file/reports"), "x", 1, NOW).unwrap_err().to_string();
    assert!(error.contains("/file/reports/20261124T000000Z-x-1: Not a directory"), "{error}");
    assert!(error.ends_with("a file is in the way: move it, or name another folder"), "{error}");
    // Nobody, not even root, makes a folder there.
    let error = Archive::create(Path::new("/proc/reports"), "x", 1, NOW).unwrap_err().to_string();
    assert!(error.starts_with("make the run's folder /proc/reports/") && error.ends_with("name another folder"));
}

#[test]
fn a_folder_without_a_lock_file_is_no_run() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Archive::open(dir.path()), Err(ArchiveError::NotARun(_))));
    assert!(!Archive::is_held(dir.path()).unwrap());
    assert!(Archive::runs(&dir.path().join("none")).unwrap().is_empty());
}
