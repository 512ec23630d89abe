//! Chunked bodies, in one piece and in all others.
#![allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
use super::*;

/// Content, trailers, and the bytes left over; `None` when the body has no end yet.
type Decoded = Result<Option<(Vec<u8>, Vec<u8>, Vec<u8>)>, Malformed>;

/// Decodes pieces as a connection does: what was not used is shown again with the next piece behind it.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = Decoder::default();
    let (mut content, mut section, mut pending) = (Vec::new(), Vec::new(), Vec::new());
    let mut ended = false;
    for piece in pieces {
        pending.extend_from_slice(piece);
        while !ended {
            let used = match decoder.step(&pending)? {
                Step::NeedMore { used } => {
                    pending.drain(..used);
                    break;
                }
                Step::Data { data, used } => {
                    assert!(!data.is_empty() && data.end <= used && used <= pending.len());
                    content.extend_from_slice(&pending[data]);
                    used
                }
                Step::End { trailers, used } => {
                    ended = true;
                    section.extend_from_slice(&pending[trailers]);
                    used
                }
            };
            pending.drain(..used);
        }
    }
    Ok(ended.then_some((content, section, pending)))
}

fn whole(bytes: &[u8]) -> Decoded {
    decode([bytes])
}

/// What is sent; content, trailers, and what is left over.
const GOOD: [(&str, &str, &str, &str); 10] = [
    ("0\r\n\r\n", "", "", ""),
    ("5\r\nhello\r\n0\r\n\r\n", "hello", "", ""),
    ("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "hello", "", "GET / HTTP/1.1\r\n"),
    ("1\r\na\r\n00000000000000A\r\n0123456789\r\n000\r\n\r\n", "a0123456789", "", ""),
    ("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello", "", ""),
    ("5 \t;\ta = \"b;c\\\"\"\r\nhello\r\n0\r\n\r\n", "hello", "", ""),
    ("4\r\n\r\n0\r\r\n0\r\n\r\n", "\r\n0\r", "", ""),
    ("1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n", "a", "X: y\r\nZ:\r\n", ""),
    ("1\r\na\r\n0\r\nX:\ty \u{e9}\r\n\r\nrest", "a", "X:\ty \u{e9}\r\n", "rest"),
    ("0\r\na: b\r\nc: d\r\n\r\n0\r\n\r\n", "", "a: b\r\nc: d\r\n", "0\r\n\r\n"),
];

#[test]
fn a_body_is_its_chunks_without_extensions_and_then_its_trailers() {
    for (bytes, content, trailers, rest) in GOOD {
        let expected = [content, trailers, rest].map(|text| text.as_bytes().to_vec());
        assert_eq!(whole(bytes.as_bytes()), Ok(Some(expected.into())), "{bytes:?}");
    }
}

/// Goal: the network's splits decide nothing. Method: every split in two, and single bytes.
#[test]
fn any_split_gives_the_same_content_and_end() {
    for (bytes, ..) in GOOD {
        let bytes = bytes.as_bytes();
        let expected = whole(bytes);
        for at in 0..=bytes.len() {
            let (one, two) = bytes.split_at(at);
            assert_eq!(decode([one, two]), expected, "split at {at}");
        }
        assert_eq!(decode(bytes.chunks(1)), expected);
    }
}

/// Goal: the same for what is wrong: no split makes a bad body good, or another fault of it.
#[test]
fn any_split_finds_the_same_fault() {
    for (bytes, fault) in BAD {
        let bytes = bytes.as_bytes();
        for at in 0..=bytes.len() {
            let (one, two) = bytes.split_at(at);
            assert_eq!(decode([one, two]), Err(fault), "{bytes:?} split at {at}");
        }
        assert_eq!(decode(bytes.chunks(1)), Err(fault), "{bytes:?}");
    }
}

#[test]
fn every_prefix_of_a_body_needs_more() {
    for (bytes, _, _, rest) in GOOD {
        let body = &bytes.as_bytes()[..bytes.len() - rest.len()];
        for length in 0..body.len() {
            assert_eq!(whole(&body[..length]), Ok(None), "{length} bytes of {bytes:?}");
        }
    }
}

/// RFC 9112, section 7.1; threats: CVE-2025-22871, CVE-2025-55315 (line ends in extensions),
/// RUSTSEC-2021-0079 (size overflow).
const BAD: [(&str, Malformed); 34] = [
    ("\r\n", Malformed::BadChunkSize),
    ("\n", Malformed::BadChunkSize),
    (" 5\r\nhello\r\n", Malformed::BadChunkSize),
    ("+5\r\nhello\r\n", Malformed::BadChunkSize),
    ("-5\r\nhello\r\n", Malformed::BadChunkSize),
    ("0x5\r\nhello\r\n", Malformed::BadChunkSize),
    ("5h\r\nhello\r\n", Malformed::BadChunkSize),
    ("g\r\n", Malformed::BadChunkSize),
    (";a\r\n", Malformed::BadChunkSize),
    ("5 \r\nhello\r\n", Malformed::BadChunkSize),
    ("5 5\r\nhello\r\n", Malformed::BadChunkSize),
    ("5\nhello\r\n", Malformed::BadChunkSize),
    ("5\r\rhello\r\n", Malformed::BadChunkSize),
    ("5\rhello\r\n", Malformed::BadChunkSize),
    ("00000000000000005\r\nhello\r\n", Malformed::BadChunkSize),
    ("10000000000000000\r\n", Malformed::BadChunkSize),
    ("5,5\r\nhello\r\n", Malformed::BadChunkSize),
    ("5;a\nhello\r\n", Malformed::BadChunkExtension),
    ("5;a\rb\r\nhello\r\n", Malformed::BadChunkSize),
    ("5;\0\r\nhello\r\n", Malformed::BadChunkExtension),
    ("5;\"\n\"\r\nhello\r\n", Malformed::BadChunkExtension),
    ("5;\u{e9}\r\nhello\r\n", Malformed::BadChunkExtension),
    ("5\r\nhello0\r\n\r\n", Malformed::BadChunkEnd),
    ("5\r\nhello!\r\n0\r\n\r\n", Malformed::BadChunkEnd),
    ("5\r\nhello\n0\r\n\r\n", Malformed::BadChunkEnd),
    ("5\r\nhello\r0\r\n\r\n", Malformed::BadChunkEnd),
    ("0\r\n\n", Malformed::BadTrailer),
    ("0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::BadTrailer),
    ("0\r\nX: a\n\r\n", Malformed::BadTrailer),
    ("0\r\nX: a\r\n b\r\n\r\n", Malformed::BadTrailer),
    ("0\r\nX : a\r\n\r\n", Malformed::BadTrailer),
    ("0\r\n: a\r\n\r\n", Malformed::BadTrailer),
    ("0\r\nX: a\0\r\n\r\n", Malformed::BadTrailer),
    ("0\r\nX: a\r\n\rX", Malformed::BadTrailer),
];

#[test]
fn a_size_fills_64_bits_and_no_more() {
    let mut decoder = Decoder::default();
    let input = b"ffffffffffffffff\r\nabc";
    assert_eq!(decoder.step(input), Ok(Step::Data { data: 18..21, used: 21 }));
    assert_eq!(decoder.size, u64::MAX - 3);
}

#[test]
fn a_size_line_is_bounded() {
    let line = |bytes: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(bytes - "1;\r\n".len()));
    let fitting = line(CHUNK_LINE_BYTES_MAX);
    assert!(whole(fitting.as_bytes()).unwrap().is_some());
    let above = line(CHUNK_LINE_BYTES_MAX + 1);
    assert_eq!(whole(above.as_bytes()), Err(Malformed::ChunkLineTooLong));
    assert_eq!(decode(above.as_bytes().chunks(1)), Err(Malformed::ChunkLineTooLong));
}

#[test]
fn each_size_line_has_the_whole_bound() {
    let chunk = format!("1;{}\r\na\r\n", "x".repeat(CHUNK_LINE_BYTES_MAX - 4));
    let body = chunk.repeat(3) + "0\r\n\r\n";
    assert_eq!(whole(body.as_bytes()), Ok(Some((b"aaa".to_vec(), Vec::new(), Vec::new()))));
}

#[test]
fn a_trailer_section_is_bounded() {
    let trailers = |bytes: usize| {
        let lines = "X: y\r\n".repeat(100);
        let last = format!("Z: {}\r\n\r\n", "x".repeat(bytes - lines.len() - "Z: \r\n\r\n".len()));
        format!("0\r\n{lines}{last}")
    };
    assert!(whole(trailers(TRAILERS_BYTES_MAX).as_bytes()).unwrap().is_some());
    let above = trailers(TRAILERS_BYTES_MAX + 1);
    assert_eq!(whole(above.as_bytes()), Err(Malformed::TrailersTooLong));
    assert_eq!(decode(above.as_bytes().chunks(1)), Err(Malformed::TrailersTooLong));
}

#[test]
fn nothing_behind_the_end_is_touched() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.step(b"0\r\n\r\n0\r\n\r\n"), Ok(Step::End { trailers: 3..3, used: 5 }));
    assert_eq!(decoder.step(b"0\r\n\r\n"), Ok(Step::End { trailers: 0..0, used: 0 }));
    assert_eq!(decoder.step(b""), Ok(Step::End { trailers: 0..0, used: 0 }));
}

/// Goal: a section that trickles in costs its length once. Method: what is shown again is not looked at: it may
/// even change.
#[test]
fn trailers_are_consumed_whole_and_looked_at_once() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.step(b"0\r\nA: b\r\nC"), Ok(Step::NeedMore { used: 3 }));
    assert_eq!(decoder.step(b"\0: b\r\nC: d\r"), Ok(Step::NeedMore { used: 0 }));
    let end = Step::End { trailers: 0..12, used: 14 };
    assert_eq!(decoder.step(b"A: b\r\nC: d\r\n\r\nrest"), Ok(end));
}

/// Goal: what is encoded here decodes to the same content, whatever the sizes.
#[test]
fn encoding_anew_keeps_the_content() {
    for size in [1, 2, 15, 16, 255, 4_096, 65_536] {
        let content = vec![b'\r'; size];
        let mut body = Vec::new();
        for _ in 0..2 {
            body.extend_from_slice(SizeLine::of(size).as_bytes());
            body.extend_from_slice(&content);
            body.extend_from_slice(CHUNK_END);
        }
        body.extend_from_slice(BODY_END);
        assert_eq!(whole(&body), Ok(Some((content.repeat(2), Vec::new(), Vec::new()))), "{size}");
    }
}

#[test]
fn a_chunk_of_no_bytes_is_not_written() {
    assert!(SizeLine::of(0).as_bytes().is_empty());
    assert_eq!(SizeLine::of(4_096).as_bytes(), b"1000\r\n");
    assert_eq!(SizeLine::of(usize::MAX).as_bytes(), b"ffffffffffffffff\r\n");
}
