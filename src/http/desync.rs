//! Desync mitigation: what becomes of requests that are not as the standard says.
//!
//! Pure. A shard calls [`request`] for the bytes of a client. `head` reads them, and a request that
//! complies costs nothing more. Any other head is classified as a whole; where the mode lets its class in,
//! it is written anew without what is doubtful, and `head` reads that. Nothing but `head` makes a request,
//! so that no target sees what a lenient reader alone would find. A request whose end another reader could
//! find elsewhere is the last of its connection.
//! Source: `alb-contract.md`, sections 2.4 and 5.1.
mod classify;
mod mend;
mod raw;

pub use super::class::{Action, Class, ClassReason, Mode};
pub(crate) use raw::RequestLine;

use super::head::{self, Malformed, Request};
use super::lines::{has_bare_cr, over_limit, skip_empty_line, within};
use super::target::has_delimiters;
use crate::limits::REQUEST_HEAD_BYTES_MAX;

/// A request that is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// What is wrong with it: the status and our word.
    pub malformed: Malformed,
    /// Why it has a class, if it has one.
    pub class_reason: Option<ClassReason>,
}

impl Refused {
    /// For what ALB has no class for.
    pub const fn without_class(malformed: Malformed) -> Self {
        Self { malformed, class_reason: None }
    }
}

/// Reads a request head as `mode` wants it read, and hands it to `then`. `Ok(None)` needs more bytes
/// (within `limits`).
///
/// Cost: that of [`head::request`] for what complies; else a few passes over the head and a copy of it.
///
/// # Errors
/// [`Refused`]; the connection is then answered and closed.
pub fn request<T>(
    bytes: &[u8],
    mode: Mode,
    then: impl FnOnce(&Request<'_, '_>) -> T,
) -> Result<Option<T>, Refused> {
    let mut slots = head::slots();
    match head::request(bytes, &mut slots) {
        Ok(None) => Ok(None),
        Ok(Some(mut request)) => {
            judge(&mut request, mode)?;
            Ok(Some(then(&request)))
        }
        Err(malformed) => read_again(bytes, mode, malformed, then),
    }
}

/// Holds a request that `head` takes as it is, or as it was mended, to the mode; or one that came by HTTP/2.
///
/// # Errors
/// [`Refused`].
pub fn judge(request: &mut Request<'_, '_>, mode: Mode) -> Result<(), Refused> {
    let class_reason = request.class_reason;
    // ALB has no class for these; other readers of the strict kind refuse them.
    if mode == Mode::Strictest && has_delimiters(request.target) {
        return Err(Refused { malformed: Malformed::BadUri, class_reason });
    }
    match class_reason.map_or(Action::Route, |reason| mode.action(reason)) {
        Action::Route => Ok(()),
        Action::RouteAndClose => {
            request.keep_alive = false;
            request.closes = true;
            Ok(())
        }
        Action::Refuse => Err(Refused { malformed: Malformed::BodyOfGet, class_reason }),
    }
}

/// Reads a head that `head` refuses: by its class, and mended.
#[cold]
fn read_again<T>(
    bytes: &[u8],
    mode: Mode,
    malformed: Malformed,
    then: impl FnOnce(&Request<'_, '_>) -> T,
) -> Result<Option<T>, Refused> {
    let (skipped, bytes) = skip_empty_line(bytes).ok().flatten().unwrap_or((0, bytes));
    let bytes = within(bytes, REQUEST_HEAD_BYTES_MAX);
    let length = raw::length(bytes);
    let head = within(bytes, length.unwrap_or(bytes.len()));
    let class_reason = classify::classify(head);
    let refused = |malformed| Refused { malformed, class_reason };
    if let Some(malformed) = over_limit(head) {
        return Err(refused(malformed));
    }
    let Some(length) = length else {
        return match may_be_mended(malformed) {
            true if has_bare_cr(head) => Err(refused(Malformed::BareCr)),
            true => Ok(None),
            false => Err(refused(malformed)),
        };
    };
    if class_reason.is_some_and(|reason| mode.action(reason) == Action::Refuse) {
        return Err(refused(malformed));
    }
    let mended = mend::mend(head);
    let mut slots = head::slots();
    match head::request(&mended, &mut slots) {
        Ok(Some(mut request)) => {
            request.length = skipped + length;
            request.class_reason = class_reason;
            request.sent = Some(head);
            judge(&mut request, mode)?;
            Ok(Some(then(&request)))
        }
        Ok(None) => Err(refused(malformed)),
        Err(malformed) => Err(refused(malformed)),
    }
}

/// Whether a head of which not all is there could be let in in spite of this fault.
const fn may_be_mended(malformed: Malformed) -> bool {
    matches!(
        malformed,
        Malformed::SpaceInUri
            | Malformed::BadUri
            | Malformed::UnsupportedVersion
            | Malformed::EmptyHeaderName
            | Malformed::BadHeaderName
            | Malformed::BadHeaderValue
    )
}

#[cfg(test)]
mod tests;
