//! The class of a request's head, by its raw bytes: ALB's rules, and the most severe wins.
//!
//! Pure. [`super::request`] calls it for a head that `head` does not take as it is, so only what is not
//! as it should be pays for it. Of reasons that are equally severe the first counts, in the order of
//! ALB's own classifier: the form of the lines, headers one by one, lengths, the request line.
//! Source: `alb-contract.md`, section 2.4; `tests/desync/classes.rs` holds it against that classifier.
#![deny(clippy::indexing_slicing)]
use super::raw::{self, Line, RequestLine, is_blank, is_control, is_space, trimmed};
use crate::http::class::ClassReason;
use crate::http::fault::is_token;
use crate::http::framing::decimal;
use crate::http::name::{CONTENT_LENGTH, TRANSFER_ENCODING, taken_for};

/// Classifies a head, or what has come of it. `None`: it complies.
pub(super) fn classify(head: &[u8]) -> Option<ClassReason> {
    let mut worst = Worst(None);
    let mut headers = raw::lines(head);
    let first = headers.next()?;
    let line = RequestLine::of(first.content);

    worst.note_if(first.ending == b"\n", ClassReason::NonCrLfLineTermination);
    worst.note_if(has_no_target(&line), ClassReason::MissingUri);
    headers.clone().for_each(|header| form(&header, &mut worst));
    let end = raw::length(head).and_then(|length| head.get(..length));
    worst.note_if(
        end.is_some_and(|head| !head.ends_with(b"\r\n")),
        ClassReason::NonCrLfLineTermination,
    );
    headers.clone().for_each(|header| characters(&header, &mut worst));
    lengths(&line, headers, &mut worst);

    let is_method = !line.method.is_empty() && line.method.iter().all(|byte| is_token(*byte));
    worst.note_if(!is_method, ClassReason::BadMethod);
    // Nobody knows the version of a line that is cut off.
    if !first.ending.is_empty() {
        version(&line, &mut worst);
    }
    line.target.iter().for_each(|byte| target(*byte, &mut worst));
    worst.0
}

/// The most severe reason so far.
struct Worst(Option<ClassReason>);

impl Worst {
    fn note(&mut self, reason: ClassReason) {
        if self.0.is_none_or(|worst| worst.class() < reason.class()) {
            self.0 = Some(reason);
        }
    }

    fn note_if(&mut self, applies: bool, reason: ClassReason) {
        if applies {
            self.note(reason);
        }
    }
}

/// The form of a header line.
fn form(header: &Line<'_>, worst: &mut Worst) {
    worst.note_if(header.ending == b"\n", ClassReason::NonCrLfLineTermination);
    if header.is_folded() {
        worst.note(ClassReason::MultilineHeader);
    } else if header.field().is_none() && !header.ending.is_empty() {
        worst.note(ClassReason::MissingHeaderColon);
    }
}

/// The name of a header, and the characters of both name and value.
fn characters(header: &Line<'_>, worst: &mut Worst) {
    let (name, value) = header.field().unwrap_or((header.content, &[]));
    if header.content.iter().any(|byte| matches!(byte, b'\0' | b'\r')) {
        worst.note(ClassReason::BadHeader);
    } else if !name.iter().all(|byte| is_token(*byte)) || value.iter().any(is_control) {
        worst.note(ClassReason::NonCompliantHeader);
    }
    if name.iter().all(is_blank) {
        worst.note(ClassReason::EmptyHeader);
    }
    worst.note_if(framing(header).is_some_and(Field::is_suspicious), ClassReason::SuspiciousHeader);
}

/// A header that says how long the body is, or could be taken for one that does.
#[derive(Clone, Copy)]
struct Field<'b> {
    name: &'b [u8],
    taken_for: &'static [u8],
    value: &'b [u8],
}

impl Field<'_> {
    fn is_suspicious(self) -> bool {
        !self.name.eq_ignore_ascii_case(self.taken_for)
    }
}

fn framing<'b>(header: &Line<'b>) -> Option<Field<'b>> {
    let (name, value) = header.field()?;
    Some(Field { name, taken_for: taken_for(name)?, value })
}

/// What the headers say of the body's length, and whether this request may say so.
fn lengths<'b>(
    line: &RequestLine<'_>,
    headers: impl Iterator<Item = Line<'b>> + Clone,
    worst: &mut Worst,
) {
    let fields = headers.filter_map(|header| framing(&header));
    let of = |name: &'static [u8]| fields.clone().filter(move |field| field.taken_for == name);
    let has_coding = of(TRANSFER_ENCODING).next().is_some();
    let has_length = of(CONTENT_LENGTH).next().is_some();
    let is_0_9 = matches!(line.version, None | Some(b"HTTP/0.9"));

    if has_coding && (is_0_9 || line.version == Some(b"HTTP/1.0")) {
        worst.note(ClassReason::UndefinedTransferEncodingSemantics);
    } else if has_length && is_0_9 {
        worst.note(ClassReason::UndefinedContentLengthSemantics);
    }
    codings(of(TRANSFER_ENCODING).map(|field| field.value), worst);
    let length = length(of(CONTENT_LENGTH).map(|field| field.value), worst);
    if matches!(line.method, b"GET" | b"HEAD") {
        worst.note_if(has_coding, ClassReason::UndefinedTransferEncodingSemantics);
        match length {
            Some(0) => worst.note(ClassReason::GetHeadZeroContentLength),
            Some(_) => worst.note(ClassReason::UndefinedContentLengthSemantics),
            None => {}
        }
    }
    worst.note_if(has_coding && has_length, ClassReason::BothTeClPresent);
    let is_suspicious = fields.clone().any(Field::is_suspicious);
    worst.note_if(has_coding && has_length && is_suspicious, ClassReason::SuspiciousTeClPresent);
}

/// Every coding must be one that the standard knows; which of them are taken is for `head` to say.
fn codings<'b>(values: impl Iterator<Item = &'b [u8]>, worst: &mut Worst) {
    let mut is_chunked = false;
    for coding in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        // Parameters do not matter (RFC 9112, section 7).
        let name = coding.split(|byte| *byte == b';').next().unwrap_or_default();
        let is = |known: &str| trimmed(name).eq_ignore_ascii_case(known.as_bytes());
        if is("chunked") {
            worst.note_if(is_chunked, ClassReason::MultipleTransferEncodingChunked);
            is_chunked = true;
        } else if !["compress", "deflate", "gzip", "identity"].into_iter().any(is) {
            worst.note(ClassReason::BadTransferEncoding);
        }
    }
}

/// The length that is given first.
fn length<'b>(values: impl Iterator<Item = &'b [u8]>, worst: &mut Worst) -> Option<u64> {
    let mut first = None;
    for value in values {
        match (decimal(trimmed(value)), first) {
            (None, _) => worst.note(ClassReason::BadContentLength),
            (length, None) => first = length,
            (length, _) if length == first => worst.note(ClassReason::DuplicateContentLength),
            (Some(_), Some(_)) => worst.note(ClassReason::MultipleContentLength),
        }
    }
    first
}

/// No target, or a version in its place.
fn has_no_target(line: &RequestLine<'_>) -> bool {
    match line.version {
        None => line.target.iter().all(is_blank) || line.target.starts_with(b"HTTP/1."),
        Some(_) => line.target.iter().all(is_space),
    }
}

fn version(line: &RequestLine<'_>, worst: &mut Worst) {
    let Some(version) = line.version else { return worst.note(ClassReason::NonCompliantVersion) };
    let is_padded = !line.padding.is_empty() || trimmed(version) != version;
    match trimmed(version) {
        b"HTTP/1.0" | b"HTTP/1.1" => worst.note_if(is_padded, ClassReason::NonCompliantVersion),
        b"HTTP/0.9" => worst.note(ClassReason::NonCompliantVersion),
        version if raw::is_later_minor(version) => worst.note(ClassReason::NonCompliantVersion),
        // ALB's classes are about HTTP/1 alone.
        [b'H', b'T', b'T', b'P', b'/', b'2'..=b'9', b'.', b'0'..=b'9'] => {}
        _ => worst.note(ClassReason::BadVersion),
    }
}

fn target(byte: u8, worst: &mut Worst) {
    match byte {
        b'\0' | b'\r' => worst.note(ClassReason::BadUri),
        b' ' => worst.note(ClassReason::SpaceInUri),
        _ if byte.is_ascii_control() => worst.note(ClassReason::AmbiguousUri),
        _ => {}
    }
}
