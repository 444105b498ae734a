//! The pages of the program and its libraries that are resident. What only the start or a reload needs stays mapped for good
//! otherwise, with what lies around it: most of what the daemon has resident.
#![allow(unsafe_code)] // rustix and nix have no words for walking through what is loaded

use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;

/// What is loaded from files and never written to: addresses and lengths.
static UNWRITTEN: OnceLock<Vec<(usize, usize)>> = OnceLock::new();

/// Takes every such page out of this process, and leaves it in the page cache: what is needed again is mapped again at the
/// first touch, in less than a microsecond. What is locked in memory stays.
pub(crate) fn give_back() {
    for (start, length) in UNWRITTEN.get_or_init(unwritten) {
        // SAFETY: the pages hold what the file holds, for nobody has written to them, and a page that is touched is read
        // from there again. What they are part of is never unloaded: it was loaded with the program.
        unsafe {
            libc::madvise(*start as *mut c_void, *length, libc::MADV_DONTNEED);
        }
    }
}

fn unwritten() -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    // SAFETY: it calls `add` for each object, on this thread, with the pointer to `found`, before it returns.
    unsafe {
        libc::dl_iterate_phdr(Some(add), (&raw mut found).cast());
    }
    found
}

/// The segments of an object in which nothing is ever relocated or stored. What is made read-only after it was relocated
/// belongs to one that is writable.
unsafe extern "C" fn add(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    found: *mut c_void,
) -> c_int {
    // SAFETY: dl_iterate_phdr(3) gives an object that lives as long as this call, and what `unwritten` gave it, which
    // nobody else has.
    let (object, found) = unsafe { (&*object, &mut *found.cast::<Vec<(usize, usize)>>()) };
    // SAFETY: it is null, or ends with a NUL and lives as long as the object.
    let name = (!object.dlpi_name.is_null()).then(|| unsafe { CStr::from_ptr(object.dlpi_name) });
    let name = name.map_or(&[][..], CStr::to_bytes);
    // The program has no name. What has one without a path is the kernel's own.
    if !name.is_empty() && !name.contains(&b'/') || object.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: so many there are.
    let segments =
        unsafe { std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
    // SAFETY: it takes no pointer.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    for segment in segments {
        if segment.p_type != libc::PT_LOAD || segment.p_flags & libc::PF_W != 0 {
            continue;
        }
        // Pages that are shared with what lies beside the segment are its own copies of the file's.
        let start = object.dlpi_addr as usize + segment.p_vaddr as usize;
        let end = (start + segment.p_filesz as usize).next_multiple_of(page);
        let start = start / page * page;
        found.push((start, end - start));
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KiB of files that are mapped and resident.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|it| it.strip_prefix("RssFile:"));
        let number = line.unwrap().trim().strip_suffix(" kB").unwrap();
        number.parse().unwrap()
    }

    #[test]
    fn what_was_needed_once_is_not_resident_any_more_and_still_works() {
        let text: String = (0..1000).map(|number| number.to_string()).collect();
        let before = resident();
        give_back();
        let after = resident();
        assert!(after < before / 2, "{after} of {before} KiB");
        let again: String = (0..1000).map(|number| number.to_string()).collect();
        assert_eq!(text, again);
    }

    #[test]
    fn what_is_written_to_is_left_alone() {
        let given = unwritten();
        assert!(
            given.len() >= 2,
            "the program, and the C library: {given:x?}"
        );
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut here = (0, 0);
        for line in maps.lines() {
            let first = line.split(' ').next().unwrap();
            if let Some((start, end)) = first.split_once('-') {
                let number = |text| usize::from_str_radix(text, 16).unwrap();
                here = (number(start), number(end));
            } else if first == "Anonymous:" && !line.ends_with(" 0 kB") {
                // It has pages that are not the file's.
                for (start, length) in &given {
                    let is_apart = start + length <= here.0 || *start >= here.1;
                    assert!(is_apart, "{start:x} to {:x}, {here:x?}", start + length);
                }
            }
        }
    }
}
