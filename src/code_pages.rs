//! The pages of this program's own code and constants: those that were needed once are given back.
//!
//! # Why
//! The first call of a function maps the 64 KiB around it, so that reading a command line and a plan leaves megabytes
//! of code in memory that a load never calls, and would be counted as its memory. A page that is called again comes
//! back from the system's cache, within about a microsecond.

use std::ffi::c_void;
use std::ptr::NonNull;

use nix::sys::mman::{MmapAdvise, madvise};
use procfs::process::{MMPermissions, MemoryMap, MemoryMaps, Process};

/// For the moments between phases: what the last one called is not what the next one calls.
pub fn let_go() {
    let Ok(maps) = Process::myself().and_then(|own| own.smaps()) else { return };
    for (start, end) in segments_of(&maps, let_go as *const () as u64) {
        let (length, Some(start)) = ((end - start) as usize, NonNull::new(start as *mut c_void)) else { continue };
        // SAFETY: each page is as it is in the file, by its mapping and by the kernel's count, so it comes back as it was.
        let advised = unsafe { madvise(start, length, MmapAdvise::MADV_DONTNEED) };
        // A system that will not take them keeps more in memory, and the code is the same.
        let _ = advised;
    }
}

/// The mapping whose code is at this address, and the constants right before it, of the same file. What stands behind it
/// is not meant, though it cannot be written to, either: the linker wrote there before this program began. Nothing, where
/// a page is not the file's any more: a debugger's breakpoint, code that was unpacked or moved into larger pages.
fn segments_of(maps: &MemoryMaps, address: u64) -> Vec<(u64, u64)> {
    const CONSTANTS: MMPermissions = MMPermissions::READ.union(MMPermissions::PRIVATE);
    const CODE: MMPermissions = CONSTANTS.union(MMPermissions::EXECUTE);
    let is_the_file_s = |map: &&MemoryMap| map.inode != 0 && map.extension.map.get("Anonymous") == Some(&0);
    let holds = |map: &&MemoryMap| map.perms == CODE && (map.address.0..map.address.1).contains(&address);
    let Some(code) = maps.iter().find(holds).filter(is_the_file_s) else { return Vec::new() };
    let stands_before = |map: &&MemoryMap| {
        map.perms == CONSTANTS && map.address.1 == code.address.0 && (map.dev, map.inode) == (code.dev, code.inode)
    };
    let before = maps.iter().find(stands_before).filter(is_the_file_s);
    before.into_iter().chain([code]).map(|map| map.address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::FromRead;

    /// Resident bytes of this program's code, as the kernel says.
    fn resident() -> u64 {
        let maps = Process::myself().unwrap().smaps().unwrap();
        let code = segments_of(&maps, resident as *const () as u64).pop().unwrap();
        let map = maps.iter().find(|map| map.address == code).unwrap();
        map.extension.map["Rss"]
    }

    #[test]
    fn what_was_called_is_let_go_and_can_be_called_again() {
        let told = || format!("{:?}", serde_json::json!({ "at": jiff::Timestamp::UNIX_EPOCH.to_string() }));
        let (earlier, before) = (told(), resident());
        let_go();
        let after = resident();
        assert!(after < before, "{before} bytes before, {after} after");
        assert_eq!(told(), earlier);
    }

    #[test]
    fn only_code_at_the_address_and_the_constants_before_it_are_meant_as_they_are_in_the_file() {
        let segments = |maps: &str, address| segments_of(&MemoryMaps::from_read(maps.as_bytes()).unwrap(), address);
        let mapping = |line: &str, anonymous: u64| format!("{line} /usr/bin/mxctl\nAnonymous: {anonymous} kB\n");
        let maps = [
            mapping("6f00-7f00 r--p 00000000 fe:00 1", 0),
            mapping("7f00-7f80 r-xp 00001000 fe:00 1", 0),
            mapping("7f80-7fa0 r--p 00002000 fe:00 1", 4),
        ];
        let together = maps.concat();
        assert_eq!(segments(&together, 0x7f10), [(0x6f00, 0x7f00), (0x7f00, 0x7f80)]);
        let alone = [(0x7f00, 0x7f80)];
        assert_eq!(segments(&together.replace("6f00-7f00", "6f00-7000"), 0x7f10), alone, "not right before it");
        assert_eq!(segments(&together.replacen("fe:00 1", "fe:00 2", 1), 0x7f10), alone, "of another file");
        let written = mapping("6f00-7f00 r--p 00000000 fe:00 1", 4) + &maps[1];
        assert_eq!(segments(&written, 0x7f10), alone, "not as it is in the file");
        assert!(segments(&together, 0x7f90).is_empty());
        assert!(segments(&together.replace("r-xp", "rwxp"), 0x7f10).is_empty());
        assert!(segments(&mapping("7f00-7f80 r-xp 00001000 00:00 0", 0), 0x7f10).is_empty(), "of no file");
        assert!(segments(&mapping("7f00-7f80 r-xp 00001000 fe:00 1", 4), 0x7f10).is_empty(), "a breakpoint");
        assert!(segments("", 0).is_empty());
    }
}
