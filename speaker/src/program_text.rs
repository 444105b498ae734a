//! The pages of the program and its libraries that are resident. What only the start or a reload needs stays mapped for good
//! otherwise, with what lies around it: most of what the daemon has resident.
#![allow(unsafe_code)] // rustix and nix have no words for walking through what is loaded

use std::ffi::{CStr, c_int, c_void};

/// Takes every such page out of this process. What is in the page cache is mapped again at the first touch; what the system
/// has dropped from there is read from the disk. What is locked in memory stays.
pub(crate) fn give_back() {
    each_unwritten(|start, length| {
        // SAFETY: the pages hold what the file holds, for nobody has written to them, and a page that is touched is read
        // from there again. Nothing is unloaded meanwhile: the loader's lock is held.
        unsafe {
            libc::madvise(start as *mut c_void, length, libc::MADV_DONTNEED);
        }
    });
}

/// Calls `act` with the address and the length of everything that is loaded from a file and never written to, while the
/// loader can neither load nor unload.
fn each_unwritten<F: FnMut(usize, usize)>(mut act: F) {
    // SAFETY: it calls `visit` for each object, on this thread, with the pointer to `act`, before it returns.
    unsafe {
        libc::dl_iterate_phdr(Some(visit::<F>), (&raw mut act).cast());
    }
}

/// The segments of an object in which nothing is ever relocated or stored. What is made read-only after it was relocated
/// belongs to one that is writable.
unsafe extern "C" fn visit<F: FnMut(usize, usize)>(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    act: *mut c_void,
) -> c_int {
    // SAFETY: dl_iterate_phdr(3) gives an object that lives as long as this call, and what `each_unwritten` gave it, which
    // nobody else has.
    let (object, act) = unsafe { (&*object, &mut *act.cast::<F>()) };
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
    let base = object.dlpi_addr as usize;
    let dynamic = segments.iter().find(|it| it.p_type == libc::PT_DYNAMIC);
    let entries = dynamic.map_or(&[][..], |segment| {
        let start = (base + segment.p_vaddr as usize) as *const DynamicEntry;
        let count = segment.p_memsz as usize / size_of::<DynamicEntry>();
        // SAFETY: the loader has mapped it there, aligned as the ELF format wants it, and has read it itself.
        unsafe { std::slice::from_raw_parts(start, count) }
    });
    if is_text_relocated(entries) {
        return 0;
    }
    // SAFETY: it takes no pointer.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    for segment in segments {
        if segment.p_type != libc::PT_LOAD || segment.p_flags & libc::PF_W != 0 {
            continue;
        }
        // Pages that are shared with what lies beside the segment are its own copies of the file's.
        let start = base + segment.p_vaddr as usize;
        let end = (start + segment.p_filesz as usize).next_multiple_of(page);
        let start = start / page * page;
        act(start, end - start);
    }
    0
}

/// What an object tells the loader: `ElfN_Dyn` of elf(5).
#[repr(C)]
#[derive(Clone, Copy)]
struct DynamicEntry {
    tag: isize,
    value: usize,
}

const DT_NULL: isize = 0;
const DT_TEXTREL: isize = 22;
const DT_FLAGS: isize = 30;
const DF_TEXTREL: usize = 4;

/// Whether the loader has written to what is read-only: the file does not hold that.
fn is_text_relocated(entries: &[DynamicEntry]) -> bool {
    let mut entries = entries.iter().take_while(|entry| entry.tag != DT_NULL);
    entries.any(|entry| match entry.tag {
        DT_TEXTREL => true,
        DT_FLAGS => entry.value & DF_TEXTREL != 0,
        _ => false,
    })
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

    /// Set where the test has a process to itself: others would touch the text meanwhile.
    const ALONE: &str = "HERALD_TEST_ALONE";

    #[test]
    fn what_was_needed_once_is_not_resident_any_more_and_still_works() {
        if std::env::var_os(ALONE).is_none() {
            let name = "program_text::tests::what_was_needed_once_is_not_resident_any_more_and_still_works";
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", name, "--test-threads=1"]);
            let output = command.env(ALONE, "1").output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("1 passed"), "{said}");
            return;
        }
        let text: String = (0..1000).map(|number| number.to_string()).collect();
        let before = resident();
        give_back();
        let after = resident();
        assert!(after < before, "{after} of {before} KiB");
        let again: String = (0..1000).map(|number| number.to_string()).collect();
        assert_eq!(text, again);
    }

    #[test]
    fn what_the_loader_has_relocated_is_left_alone() {
        let entry = |tag, value| DynamicEntry { tag, value };
        let end = entry(DT_NULL, 0);
        assert!(!is_text_relocated(&[]));
        assert!(!is_text_relocated(&[entry(1, 1), entry(DT_FLAGS, 8), end]));
        assert!(is_text_relocated(&[entry(1, 1), entry(DT_TEXTREL, 0), end]));
        assert!(is_text_relocated(&[entry(DT_FLAGS, 8 | DF_TEXTREL), end]));
        // What lies behind the end says nothing.
        assert!(!is_text_relocated(&[end, entry(DT_TEXTREL, 0)]));
    }

    #[test]
    fn what_is_written_to_is_left_alone() {
        let mut given = Vec::new();
        each_unwritten(|start, length| given.push((start, length)));
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
