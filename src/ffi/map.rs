//! Files as memory. Not: what is in them.
//!
//! A file that another process shortens while it is mapped makes reads past its new end fault (SIGBUS), which by default
//! ends the process. Here the fault is noted and zeros are read instead, so that whoever read the map can ask
//! [`Map::check`] and refuse the result.

use std::ffi::c_int;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::libc;

use crate::error::{Error, Result};

/// Maps watched at once; one more is refused. A signal handler cannot allocate, so the table has a fixed size.
const WATCHED: usize = 4096;

struct Slot {
    /// First address; 0 for a free slot.
    start: AtomicUsize,
    length: AtomicUsize,
    torn: AtomicBool,
}

static SLOTS: [Slot; WATCHED] = [const {
    Slot {
        start: AtomicUsize::new(0),
        length: AtomicUsize::new(0),
        torn: AtomicBool::new(false),
    }
}; WATCHED];

/// A file's bytes, mapped read-only. Empty files are empty slices.
#[derive(Debug)]
pub struct Map {
    path: PathBuf,
    memory: Option<memmap2::Mmap>,
    slot: usize,
    stamp: [i64; 4],
}

/// By what a change of a file shows: inode, length, and date in seconds and nanoseconds.
fn stamp(about: &std::fs::Metadata) -> [i64; 4] {
    let [inode, length] = [about.ino(), about.len()].map(u64::cast_signed);
    [inode, length, about.mtime(), about.mtime_nsec()]
}

impl Map {
    /// Maps the whole of `path`.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::io("read", path, source);
        // Asked before it is opened: opening a pipe waits for whoever writes into it.
        let unsized_ = || {
            Error::input(
                path,
                "it is no regular file; save what it gives to one first",
            )
        };
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(unsized_());
        }
        let mut file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.len() == 0 {
            // The kernel's own files say 0 and hold more.
            if file.read(&mut [0]).map_err(failed)? > 0 {
                return Err(unsized_());
            }
            return Ok(Self {
                path: path.to_path_buf(),
                memory: None,
                slot: 0,
                stamp: stamp(&about),
            });
        }
        install_handler();
        // SAFETY: the map is read-only and private to this process. Reads past the end of a file that was shortened
        // meanwhile are caught by the handler.
        let map = unsafe { memmap2::Mmap::map(&file) }
            .map_err(|source| Error::io("map", path, source))?;
        let slot = watch(&map).ok_or_else(|| {
            let many = std::io::Error::other(format!("more than {WATCHED} files are open at once"));
            Error::io("map", path, many)
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            memory: Some(map),
            slot,
            stamp: stamp(&about),
        })
    }

    /// Whether everything read so far was really there.
    ///
    /// # Errors
    /// When the file became shorter or was written to while it was read.
    pub fn check(&self) -> Result<()> {
        if self.memory.is_some() && SLOTS[self.slot].torn.load(Ordering::Acquire) {
            return Err(Error::damaged(
                &self.path,
                "it became shorter while it was being read",
            ));
        }
        // One that was put in its place, or removed, does not change what is mapped.
        if let Ok(about) = std::fs::metadata(&self.path)
            && stamp(&about)[0] == self.stamp[0]
            && stamp(&about) != self.stamp
        {
            return Err(Error::input(
                &self.path,
                "it was written to while it was being read; try again when that is over",
            ));
        }
        Ok(())
    }
}

impl std::ops::Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.as_deref().unwrap_or_default()
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if self.memory.is_some() {
            // Before the memory goes: an address may belong to another map right after.
            SLOTS[self.slot].length.store(0, Ordering::Release);
            SLOTS[self.slot].start.store(0, Ordering::Release);
        }
    }
}

fn watch(map: &[u8]) -> Option<usize> {
    let start = map.as_ptr() as usize;
    let slot = SLOTS.iter().position(|slot| {
        slot.start
            .compare_exchange(0, start, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    })?;
    SLOTS[slot].torn.store(false, Ordering::Release);
    SLOTS[slot].length.store(map.len(), Ordering::Release);
    Some(slot)
}

fn install_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the structure is zeroed and then filled in; the handler only does what is allowed in one.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_bus_error as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
        }
    });
}

/// Puts a page of zeros where a read faulted and notes it; faults elsewhere end the process as they would have.
extern "C" fn on_bus_error(_: c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands over a valid structure; sysconf, mmap and signal are allowed in a handler.
    unsafe {
        let address = (*info).si_addr() as usize;
        let page = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(4096);
        let ours = SLOTS.iter().find(|slot| {
            let start = slot.start.load(Ordering::Acquire);
            start != 0 && (start..start + slot.length.load(Ordering::Acquire)).contains(&address)
        });
        let patched = ours.is_some_and(|slot| {
            slot.torn.store(true, Ordering::Release);
            let place = (address & !(page - 1)) as *mut libc::c_void;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            libc::mmap(place, page, libc::PROT_READ, flags, -1, 0) != libc::MAP_FAILED
        });
        if !patched {
            libc::signal(libc::SIGBUS, libc::SIG_DFL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_shrinks_while_mapped_is_named_and_ends_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7u8; 100_000]).unwrap();
        let map = Map::open(&path).unwrap();
        assert!(map.iter().all(|&byte| byte == 7));
        map.check().unwrap();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(10)
            .unwrap();
        assert_eq!(map[99_999], 0);
        assert!(map.check().unwrap_err().to_string().contains("shorter"));
        assert_eq!(Map::open(&path).unwrap().len(), 10);
    }

    #[test]
    fn an_empty_file_is_an_empty_slice_and_a_missing_one_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(Map::open(&path).is_err());
        std::fs::write(&path, b"").unwrap();
        assert!(Map::open(&path).unwrap().is_empty());
    }
}
