//! Messages that two readers of HTTP/1.1 could take for different requests: lengths × codings × white
//! space × case × duplicates × line ends × versions × methods, and what bodies follow them.
//!
//! Most parts of a message are as they should be, so that it is the odd ones that decide.
use crate::random::Random;

/// Message `number`, and what follows it on its connection: the same for the same number. Its target has
/// the number in it, and so has that of a request which stands in its body.
pub fn message(number: u64) -> Vec<u8> {
    let mut random = Random::new(number + 1);
    let random = &mut random;
    let framing = random.below(8);
    let body = body(random, framing, number);

    let mut headers = vec![odd(random, 4, "Host: a", HOSTS)];
    if matches!(framing, 1 | 3 | 4 | 6) {
        headers.push(length(random, &body));
    }
    if matches!(framing, 2 | 3 | 5 | 6) {
        headers.push(coding(random));
    }
    if framing == 4 {
        headers.push(length(random, &body));
    }
    if framing == 5 {
        headers.push(coding(random));
    }
    if random.below(3) == 0 {
        headers.push(pick(random, OTHERS));
    }
    for index in (1..headers.len()).rev() {
        headers.swap(index, random.below(index + 1));
    }

    let method = odd(random, 40, "POST", METHODS);
    let target = odd(random, 12, "/N", TARGETS).replace('N', &number.to_string());
    let version = odd(random, 15, " HTTP/1.1", VERSIONS);
    let mut bytes = odd(random, 2, "", BEFORE).into_bytes();
    for line in [format!("{method} {target}{version}")].into_iter().chain(headers) {
        bytes.extend(line.into_bytes());
        bytes.extend(odd(random, 2, "\r\n", LINE_ENDS).into_bytes());
    }
    bytes.extend(odd(random, 2, "\r\n", LINE_ENDS).into_bytes());
    // Bytes outside UTF-8 stand for themselves.
    let at = random.below(bytes.len());
    if random.below(50) == 0 {
        bytes[at] = pick(random, &["\0", "\r", "\n", "\t", " ", "\u{1}", "\u{7f}"]).as_bytes()[0];
    }
    bytes.extend(body);
    bytes
}

/// A body that suits the framing, mostly, and now and then a request behind it or in it.
fn body(random: &mut Random, framing: usize, number: u64) -> Vec<u8> {
    let chunked = matches!(framing, 2 | 3 | 5 | 6) != (random.below(10) == 0);
    let smuggled = format!("GET /smuggled/{number} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut body = match (framing, chunked) {
        (0, _) => String::new(),
        (_, true) => odd(random, 20, "5\r\nhello\r\n0\r\n\r\n", CHUNKS),
        (_, false) => odd(random, 10, "hello", &["", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"]),
    };
    match random.below(8) {
        0 => body.push_str(&smuggled),
        1 if framing > 0 => body = format!("0\r\n\r\n{smuggled}"),
        2 if framing > 0 => body = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()),
        _ => {}
    }
    body.into_bytes()
}

fn length(random: &mut Random, body: &[u8]) -> String {
    let name = odd(random, 15, "Content-Length:", LENGTH_NAMES);
    let right = if random.below(6) == 0 { 0 } else { body.len() };
    let value = odd(random, 15, &right.to_string(), LENGTHS).replace('N', &right.to_string());
    let (before, behind) = (blanks(random), blanks(random));
    format!("{name}{before}{value}{behind}")
}

fn coding(random: &mut Random) -> String {
    let name = odd(random, 15, "Transfer-Encoding:", CODING_NAMES);
    let value = odd(random, 20, "chunked", CODINGS);
    let (before, behind) = (blanks(random), blanks(random));
    format!("{name}{before}{value}{behind}")
}

fn blanks(random: &mut Random) -> String {
    let usual = pick(random, BLANKS);
    odd(random, 4, &usual, &["\u{b}", "\u{c}", "\u{a0}"])
}

/// The usual, but in so many of a hundred.
fn odd(random: &mut Random, percent: usize, usual: &str, odd: &[&str]) -> String {
    if random.below(100) < percent { pick(random, odd) } else { usual.to_owned() }
}

fn pick(random: &mut Random, choices: &[&str]) -> String {
    choices[random.below(choices.len())].to_owned()
}

const BEFORE: &[&str] = &["\r\n", "\n", "\r\n\r\n", " "];

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "BREW", "get", "TRACE",
    "G(T", "POST\0", "",
];

const TARGETS: &[&str] = &[
    "/N x",
    " /N",
    "/N ",
    "/N\tx",
    "/N\u{e9}",
    "/N\u{1}",
    "/N\0",
    "/N\r",
    "/N#x",
    "http://b/N",
    "http://b:/N",
    "https://[::1]/N?x",
    "*",
    "/N?a|b\\c{}^",
    "/N?\"",
    "/<N>`",
    "N",
    "",
];

const VERSIONS: &[&str] = &[
    " HTTP/1.0",
    " HTTP/1.0",
    " HTTP/1.0",
    " HTTP/1.2",
    " HTTP/0.9",
    " HTTP/2.0",
    " HTTP/1.1 ",
    " HTTP/1.1\t",
    "  HTTP/1.1",
    "\tHTTP/1.1",
    " http/1.1",
    " HTTP/1.10",
    " HTTP/1",
    " HTTP/2",
    " HTTP/1.1\r",
    " HTTP/1.1 HTTP/1.1",
    "",
];

const LINE_ENDS: &[&str] = &["\n", "\r", "\r\r\n", "\n\r", "\r\n ", "\r\n\t", "\u{b}\r\n", ""];

const HOSTS: &[&str] =
    &["X: a", "Host: a\r\nHost: b", "Host: a, b", "host:a", "Host:", "HOST: a:80"];

const BLANKS: &[&str] = &["", " ", " ", " ", "\t", "  ", " \t"];

const LENGTH_NAMES: &[&str] = &[
    "content-length:",
    "CONTENT-LENGTH:",
    "Content_Length:",
    "Content-Length :",
    "Content-Length\t:",
    " Content-Length:",
    "Content--Length:",
    "Content-Length-:",
    "Content.Length:",
    "ContentLength:",
    "Content-Length",
    "Content-Length\u{b}:",
    "Content\u{2010}Length:",
    "X-Content-Length:",
    "Content-Lengt.:",
    "Content Length:",
];

const CODING_NAMES: &[&str] = &[
    "transfer-encoding:",
    "TRANSFER-ENCODING:",
    "Transfer_Encoding:",
    "Transfer-Encoding :",
    "Transfer-Encoding\t:",
    " Transfer-Encoding:",
    "\tTransfer-Encoding:",
    "Transfer--Encoding:",
    "\u{1}Transfer-Encoding:",
    "Transfer-Encoding\0:",
    "Tran\u{17f}fer-Encoding:",
    "Transfer-Encod\u{131}ng:",
    "TransferEncoding:",
    "Transfer-Encoding x:",
    "Transfer\tEncoding:",
    "X: y\nTransfer-Encoding:",
    "X: y\rTransfer-Encoding:",
    "X:\r\n Transfer-Encoding:",
    "Transfer-Encoding:\r\n",
];

const LENGTHS: &[&str] = &[
    "",
    "+N",
    "-N",
    "0N",
    "N, N",
    "N,1",
    "N N",
    "0xN",
    "N;a=b",
    "N.0",
    "1e1",
    "Nx",
    "\"N\"",
    "3",
    "0",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551621",
    "99999999999999999999999999",
    "\u{665}",
];

const CODINGS: &[&str] = &[
    "CHUNKED",
    "Chunked",
    "identity",
    "gzip",
    "gzip, chunked",
    "chunked, gzip",
    "chunked, chunked",
    "chunked, identity",
    "identity, chunked",
    "identity, chunked, identity, chunked",
    ", chunked",
    "chunked,",
    "chunked;a=b",
    "\"chunked\"",
    "'chunked'",
    "xchunked",
    "chunkedx",
    "chunked x",
    "x chunked",
    "chun\0ked",
    "chunked\u{b}",
    "\u{b}chunked",
    "chunk",
    "",
    "cow",
];

const OTHERS: &[&str] = &[
    "X: a",
    "X: a\u{1}b",
    "X: \u{e9}",
    "X(: a",
    "\u{e9}: a",
    ": a",
    ":",
    "X",
    "X : a",
    " X: a",
    " ",
    "X: a\r\n b",
    "X: a\r\n\tContent-Length: 3",
    "Content-Type: a\r\n b",
    "X: a\nContent-Length: 3",
    "X: a\rContent-Length: 3",
    "X: a\0",
    "Expect: 100-continue",
    "Expect: a-miracle",
    "Expect:\r\n 100-continue",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: Transfer-Encoding",
    "Connection: Content-Length",
    "Connection: close\u{1}",
    "Upgrade: h2c",
    "Trailer: Content-Length",
    "TE: trailers, chunked",
];

const CHUNKS: &[&str] = &[
    "5;a=b\r\nhello\r\n0\r\n\r\n",
    "5 ;a\r\nhello\r\n0;b\r\n\r\n",
    "00005\r\nhello\r\n000\r\n\r\n",
    "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "5\r\nhello\r\n0\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "0\r\n\r\n",
    "5\nhello\n0\n\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello!\r\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "5;a\rb\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nbad\r\n\r\n",
    "5\r\nhello\r\n0\r\n : x\r\n\r\n",
    "5\r\nhello\r\n",
];
