//! Whether a path is valid now, and until when. For whole chains and for paths that are judged again.
#![deny(clippy::indexing_slicing)]
use super::Refusal;
use rustls_pki_types::UnixTime;
use std::time::Duration;

/// The first and the last second of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Validity {
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
}

/// Whose notAfter is forgiven, on a path that was whole before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Forgiven {
    Nobody,
    Leaf,
    Everybody,
}

/// Every certificate is valid now, but for what is forgiven. Answers the last second of the first that
/// expires.
pub(super) fn check(
    leaf: Validity,
    intermediates: impl Iterator<Item = Validity> + Clone,
    anchor: Validity,
    forgiven: Forgiven,
    now: UnixTime,
) -> Result<UnixTime, Refusal> {
    let below_anchor = || intermediates.clone().chain([leaf]);
    if below_anchor().chain([anchor]).any(|validity| now < validity.not_before) {
        return Err(Refusal::NotYetValid);
    }
    let first_end = |of: &mut dyn Iterator<Item = Validity>| {
        of.map(|one| one.not_after).fold(NEVER, UnixTime::min)
    };
    let until = match forgiven {
        Forgiven::Everybody => NEVER,
        Forgiven::Leaf => first_end(&mut intermediates.clone().chain([anchor])),
        Forgiven::Nobody => first_end(&mut below_anchor().chain([anchor])),
    };
    let last_of_all = first_end(&mut below_anchor());
    let was_whole = below_anchor().all(|validity| validity.not_before <= last_of_all);
    if now <= until && was_whole { Ok(until) } else { Err(Refusal::Expired) }
}

/// Later than any certificate says.
const NEVER: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
