//! The allocator of the process, and memory that was freed, given back to the system.
//!
//! jemalloc: of those that were measured (`perf/README.md`) the one that is quicker than the C library's, takes no
//! more memory for an idle connection, and gives back what any thread has freed.
#![allow(unsafe_code, reason = "no crate has a safe word for this command of the allocator")]
use std::ptr::null_mut;
#[cfg(not(fuzzing))]
use tikv_jemallocator::Jemalloc;

// A fuzzer's sanitizer sees nothing of it.
#[cfg(not(fuzzing))]
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Has the allocator give back what it keeps of freed memory. It takes each of its locks for as long as that
/// takes (milliseconds where much was freed), so it is for a node that is pressed for memory.
/// Source: jemalloc(3), `arena.<i>.purge`.
pub fn give_back_freed() {
    // SAFETY: the name ends with a zero; the command reads and writes nothing, and is for any thread at any time.
    // It cannot fail: it is one of jemalloc's own, with no arguments.
    unsafe {
        tikv_jemalloc_sys::mallctl(PURGE_ALL.as_ptr(), null_mut(), null_mut(), null_mut(), 0);
    }
}

/// `arena.<MALLCTL_ARENAS_ALL>.purge`.
const PURGE_ALL: &std::ffi::CStr = c"arena.4096.purge";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::proc;

    /// Goal: what was freed is given back, whoever freed it. Method: a thread that goes on frees many small pieces; of
    /// their 64 MiB less than the half is still resident after. Other tests share the process, and may take as much
    /// meanwhile: not each time.
    #[test]
    fn what_any_thread_has_freed_is_given_back() {
        let given_back: Vec<u64> = (0..5).map(|_| given_back_of_64_mib()).collect();
        assert!(given_back.iter().any(|bytes| *bytes > 32 << 20), "{given_back:?} bytes");
    }

    fn given_back_of_64_mib() -> u64 {
        const PIECES: usize = 64 * 1024;
        let resident = || proc::resident_bytes().unwrap();
        let (freed, when_freed) = std::sync::mpsc::channel();
        let (go_on, end) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let pieces: Vec<Vec<u8>> = (0..PIECES).map(|_| vec![1; 1024]).collect();
            let held = resident();
            drop(pieces);
            freed.send(held).unwrap();
            end.recv().unwrap_err();
        });
        let held = when_freed.recv().unwrap();
        give_back_freed();
        let given_back = held.saturating_sub(resident());
        drop(go_on);
        thread.join().unwrap();
        given_back
    }
}
