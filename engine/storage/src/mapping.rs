//! Mapped files, and living on when one loses pages while it is read.
//!
//! Touching a mapped page that lies past the end of its file (someone cut it short) or that the disk cannot give
//! raises SIGBUS, which ends a process. [`Mapping`] keeps a table of what is mapped and a handler of that signal:
//! a lost page is replaced by zeros, the mapping is marked, and the reader goes on. What was read from then on means
//! nothing, so whoever hands out results asks [`losses`] after it read and before it hands out: where that has
//! changed, [`Mapping::check`] tells which file it was. The method is the one that virtual machines use for mapped
//! files; the handler makes one system call and touches atomics only.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{OnceLock, atomic::fence};

/// A file that is mapped to be read.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: memmap2::Mmap,
    file: File,
    path: PathBuf,
    entry: &'static Entry,
}

/// How often a page of any mapping was lost since the process began.
pub fn losses() -> u64 {
    // After all reads that came before in this thread.
    fence(Ordering::SeqCst);
    LOSSES.load(Ordering::SeqCst)
}

static LOSSES: AtomicU64 = AtomicU64::new(0);

impl Mapping {
    /// Maps a file, which nobody may change in place.
    pub(crate) fn open(path: &Path) -> io::Result<Mapping> {
        install()?;
        let file = File::open(path)?;
        // SAFETY: the file is private to this node and never written after it was renamed into place. Should
        // somebody cut it short, the handler puts zeros in the place of what is gone.
        let map = unsafe { memmap2::Mmap::map(&file) }?;
        let entry = Entry::take(map.as_ptr().addr(), map.len());
        Ok(Mapping { map, file, path: path.to_path_buf(), entry })
    }

    pub(crate) fn map(&self) -> &memmap2::Mmap {
        &self.map
    }

    /// That the file is as long as the map, and that no page of it was lost.
    pub(crate) fn check(&self) -> Result<(), String> {
        let path = self.path.display();
        if self.entry.lost.load(Ordering::SeqCst) {
            return Err(format!("{path} was cut short, or could not be read, while it was in use"));
        }
        let len = self.file.metadata().map_err(|error| format!("{path}: {error}"))?.len();
        match len == self.map.len() as u64 {
            true => Ok(()),
            false => Err(format!("{path} has {len} bytes where {} were mapped", self.map.len())),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Before the map goes: the addresses may serve something else at once.
        self.entry.give_back();
    }
}

/// A place in the table of mappings. Places are never freed, since the handler may look at them at any time; those
/// given back are used again.
#[derive(Debug)]
struct Entry {
    start: AtomicUsize,
    /// 0: nothing is mapped here.
    len: AtomicUsize,
    lost: AtomicBool,
    taken: AtomicBool,
    next: AtomicPtr<Entry>,
}

static TABLE: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());

impl Entry {
    fn take(start: usize, len: usize) -> &'static Entry {
        let free = entries().find(|entry| !entry.taken.swap(true, Ordering::AcqRel));
        let entry = free.unwrap_or_else(Entry::add);
        entry.lost.store(false, Ordering::SeqCst);
        entry.start.store(start, Ordering::SeqCst);
        entry.len.store(len, Ordering::SeqCst);
        entry
    }

    /// A further place, taken.
    fn add() -> &'static Entry {
        let entry = Box::leak(Box::new(Entry {
            start: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            lost: AtomicBool::new(false),
            taken: AtomicBool::new(true),
            next: AtomicPtr::new(ptr::null_mut()),
        }));
        let mut head = TABLE.load(Ordering::Acquire);
        loop {
            entry.next.store(head, Ordering::Relaxed);
            match TABLE.compare_exchange_weak(head, entry, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return entry,
                Err(now) => head = now,
            }
        }
    }

    fn give_back(&self) {
        self.len.store(0, Ordering::SeqCst);
        self.taken.store(false, Ordering::SeqCst);
    }

    fn covers(&self, address: usize) -> bool {
        address.wrapping_sub(self.start.load(Ordering::SeqCst)) < self.len.load(Ordering::SeqCst)
    }
}

/// All places, taken or not.
fn entries() -> impl Iterator<Item = &'static Entry> {
    // SAFETY: what the table points at was leaked, and is whole before it is linked.
    let entry = |pointer: *mut Entry| unsafe { pointer.as_ref() };
    std::iter::successors(entry(TABLE.load(Ordering::Acquire)), move |last| {
        entry(last.next.load(Ordering::Acquire))
    })
}

/// Who handled SIGBUS before.
static FORMER: OnceLock<libc::sigaction> = OnceLock::new();

/// Installs the handler, once.
fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        // SAFETY: all zeros is a valid `sigaction`; the pointers are to live values; `on_bus` keeps to what a
        // signal handler may do. The former action is read first, so that the handler always finds it.
        unsafe {
            let mut former: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(libc::SIGBUS, ptr::null(), &mut former) != 0 {
                return Err(io::Error::last_os_error().raw_os_error().unwrap_or(0));
            }
            FORMER.get_or_init(|| former);
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_bus as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            match libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
            }
        }
    });
    installed.map_err(io::Error::from_raw_os_error)
}

/// Replaces the page that was touched by zeros where it belongs to a mapping; else does what was done before.
extern "C" fn on_bus(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system gives valid pointers. `mmap` and `sysconf` are plain system calls or less here, and
    // `errno`, which the interrupted code may be about to read, is put back. The page that is replaced lies within
    // a mapping of ours, which is only read; the former action is called as it was installed.
    unsafe {
        let errno = libc::__errno_location();
        let kept = *errno;
        let address = (*info).si_addr().addr();
        if let Some(entry) = entries().find(|entry| entry.covers(address)) {
            let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
            let start = address / page * page;
            entry.lost.store(true, Ordering::SeqCst);
            LOSSES.fetch_add(1, Ordering::SeqCst);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            let put = libc::mmap(start as *mut libc::c_void, page, libc::PROT_READ, flags, -1, 0);
            *errno = kept;
            if put != libc::MAP_FAILED {
                return;
            }
        }
        *errno = kept;
        match FORMER.get() {
            Some(former) if former.sa_flags & libc::SA_SIGINFO != 0 => {
                type Action = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                std::mem::transmute::<usize, Action>(former.sa_sigaction)(signal, info, context);
            }
            // By default the touch, which is repeated after this, ends the process.
            _ => {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(pages: usize) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![7; pages * 4096]).unwrap();
        file
    }

    #[test]
    fn a_file_cut_short_reads_as_zeros_and_is_reported() {
        let (cut, whole) = (file(4), file(4));
        let (mapping, other) = (Mapping::open(cut.path()).unwrap(), Mapping::open(whole.path()).unwrap());
        let before = losses();
        assert_eq!(mapping.map()[3 * 4096], 7);
        assert_eq!(mapping.check(), Ok(()));
        cut.as_file().set_len(4096).unwrap();
        assert_eq!(mapping.map()[0], 7);
        assert!(mapping.check().unwrap_err().contains("4096 bytes where 16384 were mapped"));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let start = mapping.map().as_ptr().addr();
                // SAFETY: the mapping outlives the threads, which are joined below.
                std::thread::spawn(move || unsafe { *((start + 3 * 4096) as *const u8) })
            })
            .collect();
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() == 0));
        assert_eq!(mapping.map()[3 * 4096], 0);
        assert!(losses() > before);
        assert!(mapping.check().unwrap_err().contains("while it was in use"));
        assert_eq!(other.check(), Ok(()));

        // A place in the table that is used again starts clean.
        let count = entries().count();
        drop(mapping);
        let again = Mapping::open(whole.path()).unwrap();
        assert_eq!(again.check(), Ok(()));
        assert!(entries().count() <= count + 2, "places are used again");
    }
}
