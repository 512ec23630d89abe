//! Waiting for the thing itself, with a generous deadline.
use std::time::{Duration, Instant};

/// How long a test waits for what must come. Long, because the machine may be busy: it is only ever
/// spent on a failure. Shorter than the node's own idle timeout (60 s), which would end in the end what
/// should have ended at once.
pub const PATIENCE: Duration = Duration::from_secs(50);

/// Looks until `probe` answers.
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe)
}

/// The same with a patience of the caller's.
pub fn within<T>(patience: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for {what}");
        pause();
    }
}

/// A moment between two looks.
#[expect(clippy::disallowed_methods, reason = "the one pause of all tests, between two looks")]
pub fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}
