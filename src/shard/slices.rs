//! Slices of work that is too long to do at once.
use crate::limits;
use std::time::{Duration, Instant};

/// Work that is done in slices of `limits::SWEEP_SLICE`, with pauses between them.
#[derive(Debug)]
pub struct Slices {
    begun: Instant,
    count: u64,
    longest: Duration,
}

impl Slices {
    /// Begins the first one.
    pub fn begin() -> Self {
        Self { begun: Instant::now(), count: 1, longest: Duration::ZERO }
    }

    /// Whether the one that runs is over: asked after each piece of work.
    pub fn is_over(&mut self) -> bool {
        let lasted = self.begun.elapsed();
        self.longest = self.longest.max(lasted);
        lasted >= limits::SWEEP_SLICE
    }

    /// Begins another one, after a pause.
    pub fn resume(&mut self) {
        self.count += 1;
        self.begun = Instant::now();
    }

    /// How many were begun.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest one.
    pub fn longest(&self) -> Duration {
        self.longest
    }
}
