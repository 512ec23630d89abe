//! What must hold of heads that are read by the modes of desync mitigation.
use super::cuts;
use portcullis::http::desync::{self, Action, ClassReason, Mode, Refused};
use portcullis::http::forward::{self, Client};
use portcullis::http::head::{self, Body};
use std::net::Ipv4Addr;

/// From the laxest to the strictest.
const MODES: [Mode; 3] = [Mode::Monitor, Mode::Defensive, Mode::Strictest];

/// A request as a mode reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Read {
    /// The head that a target gets.
    forwarded: Vec<u8>,
    body: Body,
    class_reason: Option<ClassReason>,
    keep_alive: bool,
    closes: bool,
    length: usize,
}

fn read(bytes: &[u8], mode: Mode) -> Result<Option<Read>, Refused> {
    desync::request(bytes, mode, |request| Read {
        forwarded: forwarded(request),
        body: request.body,
        class_reason: request.class_reason,
        keep_alive: request.keep_alive,
        closes: request.closes,
        length: request.length,
    })
}

fn forwarded(request: &head::Request<'_, '_>) -> Vec<u8> {
    let client = Client {
        address: ([192, 0, 2, 7], 50_000).into(),
        local_address: Ipv4Addr::LOCALHOST.into(),
        listener_port: 80,
        tls: false,
        tls_names: None,
        identity: b"",
        trace_id: b"",
    };
    let mut out = Vec::new();
    forward::request(&mut out, request, &client, &Default::default(), &Default::default());
    out
}

/// More bytes never change an answer. A stricter mode lets in no more, and finds the same. What is let in
/// has clean line ends, and a target gets it with one length and no name that could be taken for one.
pub fn request_in_modes(bytes: &[u8]) {
    let [monitor, defensive, strictest] = MODES.map(|mode| whole_and_parts(bytes, mode));
    for (laxer, stricter) in [(&monitor, &defensive), (&defensive, &strictest)] {
        match (laxer, stricter) {
            (Ok(laxer), Ok(stricter)) => {
                let closing =
                    |read: &Read| Read { keep_alive: false, closes: false, ..read.clone() };
                assert_eq!(laxer.as_ref().map(closing), stricter.as_ref().map(closing));
            }
            (Ok(Some(laxer)), Err(refused)) => assert_eq!(laxer.class_reason, refused.class_reason),
            (Ok(None), Err(_)) | (Err(_), Err(_)) => {}
            (Err(refused), Ok(_)) => panic!("{refused:?}, and let in by a stricter mode"),
        }
    }
    for (mode, read) in MODES.into_iter().zip([monitor, defensive, strictest]) {
        let Ok(Some(read)) = read else { continue };
        let action = read.class_reason.map_or(Action::Route, |reason| mode.action(reason));
        assert_ne!(action, Action::Refuse);
        assert_eq!(read.closes, action == Action::RouteAndClose);
        assert!(!read.closes || !read.keep_alive);
        lines_are_clean(&bytes[..read.length]);
        has_one_length(&read);
    }
}

/// The answer to all bytes, which that to a part of them never contradicts.
fn whole_and_parts(bytes: &[u8], mode: Mode) -> Result<Option<Read>, Refused> {
    let whole = read(bytes, mode);
    for cut in cuts(bytes.len()) {
        match read(&bytes[..cut], mode) {
            Ok(None) => {}
            Ok(part) => assert_eq!(whole, Ok(part), "cut at {cut}"),
            // A shard refuses at once; with more bytes another fault may be seen first, one that waits for
            // the whole head. It is never a request.
            Err(refused) => {
                assert!(!matches!(whole, Ok(Some(_))), "{refused:?} at {cut} is forgiven later");
            }
        }
    }
    // What complies is read once, and is the same in every mode that lets it in.
    if let Ok(Some(request)) = head::request(bytes, &mut head::slots())
        && let Ok(Some(whole)) = &whole
    {
        assert_eq!((&forwarded(&request), request.length), (&whole.forwarded, whole.length));
    }
    whole
}

/// Bare LF or CR, folded lines and NUL are refused in every mode.
fn lines_are_clean(head: &[u8]) {
    assert!(head.ends_with(b"\r\n\r\n") && !head.contains(&0));
    for line in head[..head.len() - 2].split_inclusive(|byte| *byte == b'\n') {
        assert!(line.ends_with(b"\r\n") && !line[..line.len() - 2].contains(&b'\r'));
        assert!(!line.starts_with(b" ") && !line.starts_with(b"\t"));
    }
}

/// What a target gets is a head that `head` reads again, with the framing that was found.
fn has_one_length(read: &Read) {
    let mut slots = head::slots();
    let again = head::request(&read.forwarded, &mut slots);
    let Ok(Some(again)) = again else {
        // It may have grown over a bound by the lines that were added.
        return assert!(read.forwarded.len() > 15 * 1024, "{}", read.forwarded.escape_ascii());
    };
    let is_empty = |body| matches!(body, Body::Empty | Body::Length(0));
    assert!(again.body == read.body || (is_empty(again.body) && is_empty(read.body)));
    let letters = |name: &str| name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "");
    let names = again.headers.iter().map(|header| letters(header.name).to_lowercase());
    let framing: Vec<_> =
        names.filter(|name| name == "contentlength" || name == "transferencoding").collect();
    assert!(framing.len() <= 1, "{framing:?}");
    assert_eq!(framing.is_empty(), again.body == Body::Empty);
}
