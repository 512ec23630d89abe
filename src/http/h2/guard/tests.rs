//! Tests of the guard.
use super::*;
use crate::limits;

const NOW: Duration = Duration::ZERO;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let header = [length[1], length[2], length[3], kind, flags, 0, 0, 0, stream];
    [&header, payload].concat()
}

/// DATA on stream 1.
fn padded(content: &[u8], padding_bytes: u8) -> Vec<u8> {
    let padding = vec![0; usize::from(padding_bytes)];
    frame(kind::DATA, flag::PADDED, 1, &[&[padding_bytes], content, &padding].concat())
}

fn pass(guard: &mut Guard, bytes: &[u8]) -> Result<(), Offence> {
    guard.received(&mut bytes.to_vec(), NOW).map_err(|halt| halt.offence)
}

fn begun() -> Guard {
    let mut guard = Guard::default();
    pass(&mut guard, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    guard
}

/// A guard to which stream 1 is open.
fn open() -> Guard {
    let mut guard = begun();
    pass(&mut guard, &frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x82])).unwrap();
    guard
}

/// A guard to which the field block of stream 1 goes on.
fn in_block() -> Guard {
    let mut guard = begun();
    pass(&mut guard, &frame(kind::HEADERS, 0, 1, &[0x82])).unwrap();
    guard
}

/// How many of `bytes` a guard lets through before it refuses.
fn passed(mut guard: Guard, bytes: &[u8]) -> (usize, Offence) {
    for count in 0..20_000 {
        if let Err(offence) = pass(&mut guard, bytes) {
            return (count, offence);
        }
    }
    panic!("20,000 frames were let through");
}

const fn broken(code: Reason) -> Result<(), Offence> {
    Err(Offence::Broken(code))
}

#[test]
fn every_kind_of_flood_ends_within_a_few_thousand_frames() {
    for (kind, payload, expected) in [
        (kind::DATA, &[][..], Flood::EmptyData),
        (kind::HEADERS, &[0x82], Flood::Headers),
        (kind::PRIORITY, &[0; 5], Flood::Priority),
        (kind::RST_STREAM, &[0; 4], Flood::Reset),
        (kind::SETTINGS, &[], Flood::Settings),
        (kind::SETTINGS, &[0; 600], Flood::Settings),
        (kind::PING, &[0; 8], Flood::Ping),
        (kind::GOAWAY, &[0; 8], Flood::GoAway),
        (kind::WINDOW_UPDATE, &[0; 4], Flood::WindowUpdate),
        (kind::PRIORITY_UPDATE, &[0; 6], Flood::Priority),
        (0xfe, &[0; 100], Flood::Unknown),
    ] {
        let flags = if kind == kind::HEADERS { flag::END_HEADERS } else { 0 };
        let (count, offence) = passed(open(), &frame(kind, flags, 1, payload));
        assert_eq!(offence, Offence::Flood(expected));
        assert_eq!(offence.code(), Reason::ENHANCE_YOUR_CALM);
        assert!(count <= limits::H2_ALLOWANCE_MAX as usize, "{expected:?}: {count}");
    }
    let continuation = frame(kind::CONTINUATION, 0, 1, &[0; 16_384]);
    assert_eq!(passed(in_block(), &continuation).1, Offence::Flood(Flood::Continuation));
}

#[test]
fn served_requests_and_content_cost_nothing() {
    let mut guard = open();
    for _ in 0..100_000 {
        pass(&mut guard, &frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x82])).unwrap();
        pass(&mut guard, &frame(kind::DATA, 0, 1, b"x")).unwrap();
        pass(&mut guard, &padded(b"x", 255)).unwrap();
        guard.served();
    }
}

#[test]
fn padding_is_no_content() {
    let empty = Offence::Flood(Flood::EmptyData);
    for padding_bytes in [0, 1, 255] {
        assert_eq!(passed(open(), &padded(b"", padding_bytes)).1, empty, "{padding_bytes}");
    }
    // More padding than payload, which the crate refuses.
    assert_eq!(passed(open(), &frame(kind::DATA, flag::PADDED, 1, &[200, 0, 0])).1, empty);
}

/// Goal: what says nothing does not count with the crate, and nothing else is touched. Method: the bytes that it gets.
#[test]
fn empty_data_is_disguised_where_it_says_nothing_and_only_there() {
    let shown = |mut guard: Guard, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        guard.received(&mut bytes, NOW).unwrap();
        bytes
    };
    let empty = frame(kind::DATA, 0, 1, b"");
    let disguised = frame(kind::EXPERIMENT, 0, 1, b"");
    let content = frame(kind::DATA, 0, 1, b"x");
    assert_eq!(shown(open(), &empty), disguised);
    assert_eq!(
        shown(open(), &[&*content, &empty, &content].concat()),
        [&*content, &disguised, &content].concat()
    );
    for bytes in [
        frame(kind::DATA, flag::END_STREAM, 1, b""),
        padded(b"", 0),
        padded(b"", 3),
        // On streams that were never opened, for which the crate has an error.
        frame(kind::DATA, 0, 3, b""),
        frame(kind::DATA, 0, 0, b""),
    ] {
        assert_eq!(shown(open(), &bytes), bytes);
    }
    // Its header came in two pieces.
    let mut guard = open();
    let (mut first, mut second) = (empty[..5].to_vec(), empty[5..].to_vec());
    guard.received(&mut first, NOW).unwrap();
    guard.received(&mut second, NOW).unwrap();
    assert_eq!([first, second].concat(), empty);
}

#[test]
fn a_frame_that_is_not_as_long_as_its_type_says_is_a_frame_size_error() {
    for (kind, flags, lengths) in [
        (kind::DATA, flag::PADDED, &[0][..]),
        (kind::HEADERS, flag::PADDED, &[0]),
        (kind::HEADERS, flag::PRIORITY, &[0, 4]),
        (kind::HEADERS, flag::PADDED | flag::PRIORITY, &[0, 5]),
        (kind::PRIORITY, 0, &[0, 4, 6]),
        (kind::RST_STREAM, 0, &[0, 3, 5]),
        (kind::SETTINGS, 0, &[1, 5, 7, 11]),
        (kind::SETTINGS, flag::ACK, &[1, 6]),
        (kind::PING, 0, &[0, 7, 9]),
        (kind::GOAWAY, 0, &[0, 7]),
        (kind::WINDOW_UPDATE, 0, &[0, 3, 5]),
    ] {
        for length in lengths {
            let result = pass(&mut begun(), &frame(kind, flags, 1, &vec![0; *length]));
            let expected = broken(Reason::FRAME_SIZE_ERROR);
            assert_eq!(result, expected, "type {kind}, flags {flags}, {length} bytes");
        }
    }
}

#[test]
fn a_window_beyond_the_largest_is_a_flow_control_error_wherever_it_stands() {
    let window = |value: u32| [&[0, 4], &value.to_be_bytes()[..]].concat();
    let other = [0, 3, 0xff, 0xff, 0xff, 0xff];
    let good = [&other[..], &window(0x7fff_ffff), &other].concat();
    assert_eq!(pass(&mut begun(), &frame(kind::SETTINGS, 0, 0, &good)), Ok(()));
    for bad in [window(0x8000_0000), [&other[..], &window(0xffff_ffff)].concat()] {
        let result = pass(&mut begun(), &frame(kind::SETTINGS, 0, 0, &bad));
        assert_eq!(result, broken(Reason::FLOW_CONTROL_ERROR));
    }
}

#[test]
fn what_comes_on_a_stream_that_has_ended_says_so_and_a_push_is_an_error() {
    let flags = flag::END_HEADERS | flag::END_STREAM;
    let ended = frame(kind::HEADERS, flags, 1, &[0x82]);
    for late in
        [frame(kind::DATA, 0, 1, b"x"), padded(b"x", 3), frame(kind::HEADERS, flags, 1, &[0x82])]
    {
        let result = pass(&mut begun(), &[&ended[..], &late].concat());
        assert_eq!(result, broken(Reason::STREAM_CLOSED));
    }
    let push = frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2, 0x88]);
    assert_eq!(pass(&mut open(), &push), broken(Reason::PROTOCOL_ERROR));
}

/// RFC 9113, section 6.10: nothing but CONTINUATION may follow, whatever else is wrong with it.
#[test]
fn a_field_block_goes_on_in_continuation_alone() {
    let continuation = frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[0x84]);
    assert_eq!(pass(&mut in_block(), &continuation), Ok(()));
    assert_eq!(pass(&mut open(), &continuation), broken(Reason::PROTOCOL_ERROR));
    for other in [
        frame(kind::DATA, 0, 1, b"x"),
        frame(kind::HEADERS, flag::END_HEADERS, 3, &[0x82]),
        frame(kind::PING, 0, 0, &[0; 7]),
        frame(0xfe, 0, 0, b""),
    ] {
        let result = pass(&mut in_block(), &other);
        assert_eq!(result, broken(Reason::PROTOCOL_ERROR), "{other:?}");
    }
}

/// A stream of frames of which the last, of 4 bytes, is an offence.
fn mixed() -> Vec<u8> {
    [
        frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 9, 0, 3, 0, 0, 0, 9]),
        frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x82; 300]),
        padded(b"", 7),
        padded(b"ab", 7),
        frame(kind::DATA, flag::END_STREAM, 1, &[7; 40]),
        frame(kind::DATA, 0, 1, b"late"),
    ]
    .concat()
}

/// Goal: the verdict does not depend on how bytes arrive. Method: a mixed stream, cut at every byte, and byte by byte;
/// what ends it is its last frame.
#[test]
fn the_verdict_is_the_same_however_the_bytes_are_cut() {
    let stream = mixed();
    let late = broken(Reason::STREAM_CLOSED);
    let header = stream.len() - 4;
    for cut in 0..header {
        let mut guard = begun();
        assert_eq!(pass(&mut guard, &stream[..cut]), Ok(()), "cut at {cut}");
        assert_eq!(pass(&mut guard, &stream[cut..]), late, "cut at {cut}");
    }
    let mut guard = begun();
    let (last, before) = stream[..header].split_last().unwrap();
    before.iter().for_each(|byte| pass(&mut guard, &[*byte]).unwrap());
    assert_eq!(pass(&mut guard, &[*last]), late);
}

/// Goal: the crate sees everything before the offence, and of the offence no whole frame.
#[test]
fn what_stands_before_an_offence_is_let_through() {
    let mut stream = mixed();
    let offence = stream.len() - HEADER_BYTES - 4;
    let halt = begun().received(&mut stream, NOW).unwrap_err();
    assert_eq!(halt.passed, offence);
    // Where the offence began in an earlier piece, nothing more is let through.
    let mut guard = begun();
    let (first, second) = stream.split_at_mut(offence + 3);
    assert_eq!(guard.received(first, NOW), Ok(()));
    assert_eq!(guard.received(second, NOW).unwrap_err().passed, 0);
}

#[test]
fn streams_that_may_be_tried_again_are_counted() {
    let reset = |stream: u8, code: Reason| {
        frame(kind::RST_STREAM, 0, stream, &u32::from(code).to_be_bytes())
    };
    let sent = [
        reset(1, Reason::REFUSED_STREAM),
        reset(3, Reason::CANCEL),
        reset(5, Reason::REFUSED_STREAM),
    ];
    assert_eq!(begun().sent(&sent.concat()), 2);
}
