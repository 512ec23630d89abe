//! The end of threads that work until they are told.
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells threads to stop, however the scope that waits for them ends.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
