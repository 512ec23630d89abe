//! Memory that was freed, given back to the system.
#![allow(unsafe_code, reason = "no crate calls this function of the C library")]

/// Has the allocator give back what it keeps of freed memory. It takes each of its locks for as long as that
/// takes (milliseconds where much was freed), so it is for a node that is pressed for memory.
/// Source: malloc_trim(3); other C libraries than glibc give memory back by themselves.
pub fn give_back_freed() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointer, and may be called by any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
