//! Response heads, rule by rule.
use crate::http::head::*;

/// Status, phrase, body, whether the connection is kept, and the length of the head.
type Answered = (u16, String, Body, bool, usize);

fn answer(bytes: &str, method: &str) -> Result<Option<Answered>, Malformed> {
    let mut slots = slots();
    let expected = if method == "HEAD" { Expected::HeadAlone } else { Expected::Content };
    let parsed = response(bytes.as_bytes(), expected, &mut slots)?;
    Ok(parsed.map(|response| {
        let Response { status, phrase, body, keep_alive, length, .. } = response;
        (status, phrase.to_owned(), body, keep_alive, length)
    }))
}

/// RFC 9112, section 6.3, items 1 to 8, as far as they concern responses.
#[test]
fn a_response_body_is_as_long_as_status_method_and_headers_say() {
    for (method, status, lines, body, keep_alive) in [
        ("GET", "200 OK", "Content-Length: 5\r\n", Body::Length(5), true),
        ("GET", "200 OK", "Transfer-Encoding: Chunked\r\n", Body::Chunked, true),
        ("GET", "200 OK", "", Body::UntilClose, false),
        ("GET", "200 OK", "Content-Length: 0\r\nConnection: close\r\n", Body::Length(0), false),
        ("HEAD", "200 OK", "Content-Length: 5\r\n", Body::Empty, true),
        ("HEAD", "200 OK", "Transfer-Encoding: chunked\r\n", Body::Empty, true),
        ("HEAD", "200 OK", "", Body::Empty, true),
        ("GET", "304 Not Modified", "Content-Length: 5\r\n", Body::Empty, true),
        ("GET", "204 No Content", "", Body::Empty, true),
        ("GET", "204 No Content", "Content-Length: 0\r\n", Body::Empty, true),
        ("GET", "204 No Content", "Content-Length: 5\r\n", Body::Empty, false),
        ("GET", "204 No Content", "Transfer-Encoding: chunked\r\n", Body::Empty, false),
        ("GET", "100 Continue", "", Body::Empty, true),
        ("GET", "103 Early Hints", "Link: </a>\r\n", Body::Empty, true),
        ("head", "200 OK", "Content-Length: 5\r\n", Body::Length(5), true),
        ("GET", "999 ", "Content-Length: 5\r\n", Body::Length(5), true),
    ] {
        let bytes = format!("HTTP/1.1 {status}\r\n{lines}\r\n");
        let (_, _, found, kept, length) = answer(&bytes, method).unwrap().unwrap();
        assert_eq!((found, kept, length), (body, keep_alive, bytes.len()), "{method} {bytes:?}");
        for length in 0..bytes.len() {
            assert_eq!(answer(&bytes[..length], method), Ok(None), "{length} bytes of {bytes:?}");
        }
    }
}

#[test]
fn targets_may_speak_http10_and_leave_out_the_phrase() {
    let http10 = "HTTP/1.0 200 Fine by me\r\nContent-Length: 1\r\n\r\n";
    let expected = (200, "Fine by me".into(), Body::Length(1), false, http10.len());
    assert_eq!(answer(http10, "GET"), Ok(Some(expected)));
    let kept = "HTTP/1.0 200\r\nContent-Length: 1\r\nConnection: Keep-Alive\r\n\r\n";
    assert_eq!(answer(kept, "GET"), Ok(Some((200, "".into(), Body::Length(1), true, kept.len()))));
    let obs_text = "HTTP/1.1 200 \u{e9}\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(answer(obs_text, "GET").unwrap().unwrap().1, "");
}

#[test]
fn a_malformed_response_is_refused() {
    for (bytes, expected) in [
        ("HTTP/1.1 99 A\r\n\r\n", Malformed::BadStatus),
        ("HTTP/1.1 099 A\r\n\r\n", Malformed::BadStatus),
        ("HTTP/1.1 2000 A\r\n\r\n", Malformed::BadStatus),
        ("HTTP/1.1 2x0 A\r\n\r\n", Malformed::BadStatus),
        ("HTTP/1.1  200 A\r\n\r\n", Malformed::BadStatus),
        ("HTTP/1.1 200\tA\r\n\r\n", Malformed::BadStatus),
        ("HTTP/1.1 200 A\0\r\n\r\n", Malformed::BadStatus),
        ("HTTP/1.1 200 A\rB\r\n\r\n", Malformed::BadStatus),
        ("HTTP/2.0 200 A\r\n\r\n", Malformed::BadStatus),
        ("ICY 200 A\r\n\r\n", Malformed::BadStatus),
        ("\r\nHTTP/1.1 200 A\r\n\r\n", Malformed::BadStatus),
        ("\nHTTP/1.1 200 A\r\n\r\n", Malformed::BadStatus),
        ("HTTP/1.1 101 A\r\nUpgrade: websocket\r\n\r\n", Malformed::UnexpectedUpgrade),
        ("HTTP/1.1 200 A\nX: a\r\n\r\n", Malformed::BareLf),
        ("HTTP/1.1 200\nX: a\r\n\r\n", Malformed::BareLf),
        ("HTTP/1.1 200 A\r\nX: a\n\r\n", Malformed::BareLf),
        ("HTTP/1.1 200 A\r\nX: a\r\n\n", Malformed::BareLf),
        ("HTTP/1.1 200 A\r\nX: a\rb\r\n\r\n", Malformed::BareCr),
        ("HTTP/1.1 200 A\r\nX: a\r\n\rb", Malformed::BareCr),
        ("HTTP/1.1 200 A\r\nX: a\r\n b\r\n\r\n", Malformed::MultilineHeader),
        ("HTTP/1.1 200 A\r\nX : a\r\n\r\n", Malformed::SpaceBeforeColon),
        ("HTTP/1.1 200 A\r\nX: a\0\r\n\r\n", Malformed::Nul),
        (
            "HTTP/1.1 200 A\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            Malformed::DuplicateContentLength,
        ),
        (
            "HTTP/1.1 200 A\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            Malformed::MultipleContentLength,
        ),
        ("HTTP/1.1 200 A\r\nContent-Length: +1\r\n\r\n", Malformed::BadContentLength),
        (
            "HTTP/1.1 200 A\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Malformed::BothTeClPresent,
        ),
        ("HTTP/1.1 200 A\r\nTransfer-Encoding: gzip\r\n\r\n", Malformed::BadTransferEncoding),
        (
            "HTTP/1.1 200 A\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Malformed::BadTransferEncoding,
        ),
        (
            "HTTP/1.0 200 A\r\nTransfer-Encoding: chunked\r\n\r\n",
            Malformed::TransferEncodingInHttp10,
        ),
        ("HTTP/1.1 204 A\r\nContent-Length: x\r\n\r\n", Malformed::BadContentLength),
    ] {
        assert_eq!(answer(bytes, "GET"), Err(expected), "{bytes:?}");
        assert_eq!(answer(bytes, "HEAD"), Err(expected), "{bytes:?}");
    }
}

#[test]
fn a_response_head_is_bounded_before_it_ends() {
    let start = "HTTP/1.1 200 OK\r\nX: ";
    let fitting = format!("{start}{}\r\n", "a".repeat(RESPONSE_HEAD_BYTES_MAX - start.len() - 4));
    assert_eq!(answer(&fitting, "GET"), Ok(None));
    assert!(answer(&format!("{fitting}\r\n"), "GET").unwrap().is_some());
    let above = fitting.replacen("OK", "OKK", 1);
    assert_eq!(answer(&format!("{above}\r"), "GET"), Err(Malformed::HeadTooLong));
    assert_eq!(answer(&format!("{above}\r\n"), "GET"), Err(Malformed::HeadTooLong));
}
