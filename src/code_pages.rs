//! The pages of this program's own code and constants: those that were needed once are given back.
//!
//! # Why
//! The first call of a function maps the 64 KiB around it, so that reading a command line and a plan leaves megabytes
//! of code in memory that a load never calls, and would be counted as its memory. A page that is called again comes
//! back from the system's cache, within about a microsecond.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;

use nix::sys::mman::{MmapAdvise, madvise};

/// For the moments between phases: what the last one called is not what the next one calls.
pub fn let_go() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for segment in segments_of(&maps, let_go as *const () as usize) {
        let Some(start) = NonNull::new(segment.start as *mut c_void) else { continue };
        // SAFETY: nobody has written or can write to these pages, so each comes back from the file as it was.
        let advised = unsafe { madvise(start, segment.len(), MmapAdvise::MADV_DONTNEED) };
        // A system that will not take them keeps more in memory, and the code is the same.
        let _ = advised;
    }
}

/// Of proc(5) `maps`, the mapping whose code is at this address, and the constants right before it. What stands behind
/// it is not meant, though it cannot be written to, either: the linker wrote there before this program began.
fn segments_of(maps: &str, address: usize) -> Vec<Range<usize>> {
    let mut before = None;
    for line in maps.lines() {
        let Some((range, permissions)) = mapping(line) else { continue };
        if permissions == "r-xp" && range.contains(&address) {
            let constants = before.filter(|constants: &Range<usize>| constants.end == range.start);
            return constants.into_iter().chain([range]).collect();
        }
        before = (permissions == "r--p").then_some(range);
    }
    Vec::new()
}

/// `55ff00-55ff80 r-xp …`
fn mapping(line: &str) -> Option<(Range<usize>, &str)> {
    let mut words = line.split(' ');
    let (start, end) = words.next()?.split_once('-')?;
    let hex = |text| usize::from_str_radix(text, 16).ok();
    Some((hex(start)?..hex(end)?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resident kilobytes of this program's code, as the kernel says.
    fn resident_kb() -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| segments_of(line, resident_kb as *const () as usize).is_empty());
        let rss = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        rss.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn what_was_called_is_let_go_and_can_be_called_again() {
        let told = || format!("{:?}", serde_json::json!({ "at": jiff::Timestamp::UNIX_EPOCH.to_string() }));
        let (earlier, before) = (told(), resident_kb());
        let_go();
        let after = resident_kb();
        assert!(after < before, "{before} kB before, {after} kB after");
        assert_eq!(told(), earlier);
    }

    #[test]
    fn only_code_at_the_address_and_the_constants_before_it_are_meant() {
        let maps = "6f00-7000 r--p 0 fe:00 1 /usr/bin/mxctl\n7f00-7f80 r-xp 1 fe:00 1 /usr/bin/mxctl\n\
                    7f80-7fa0 r--p 2 fe:00 1 /usr/bin/mxctl";
        assert_eq!(segments_of(maps, 0x7f10), [0x7f00..0x7f80]);
        let together = maps.replace("6f00-7000", "6f00-7f00");
        assert_eq!(segments_of(&together, 0x7f10), [0x6f00..0x7f00, 0x7f00..0x7f80]);
        assert!(segments_of(&together, 0x7f90).is_empty());
        assert!(segments_of(&together.replace("r-xp", "rwxp"), 0x7f10).is_empty());
        assert!(segments_of("", 0).is_empty());
    }
}
