//! What must hold of each reader of hostile bytes, whatever the bytes: one function for each fuzz
//! target. `fuzz_targets/` calls them under cargo-fuzz, `main.rs` on the stable toolchain.
#[path = "front.rs"]
mod front;
#[path = "modes.rs"]
mod modes;

pub use front::client_frames;
pub use modes::request_in_modes;

use portcullis::http::chunked::{CHUNK_END, Decoder, LAST_CHUNK, SECTION_END, SizeLine, Step};
use portcullis::http::head::{self, Body, Malformed, Version};
use portcullis::limits::{CLIENT_HELLO_BYTES_MAX, HEADERS_MAX, TICKET_BYTES_MAX};
use portcullis::observe::access_log::{self, Entrance, Record};
use portcullis::observe::sink::Form;
use portcullis::tls::peek::{Peeked, server_name};
use portcullis::tls::tickets::{Key, Keys, Ticket};
use portcullis::trust::explain::{certificates_alone, read_chain};
use portcullis::trust::filter::{Field, Filter};
use portcullis::trust::revocation::File;
use portcullis::trust::{
    Again, Bundle, Conditions, Filters, Path, Refusal, Revocations, Rules, Store, Told,
};
use regex::Regex;
use rustls::server::Acceptor;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Where an input is cut to see whether the pieces agree with the whole: everywhere in a short one.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length / 256 + 1)
}

/// A request head, owned, as far as it matters to others.
#[derive(Debug, Eq, PartialEq)]
struct Head {
    method: String,
    target: String,
    version: Version,
    headers: Vec<(String, Vec<u8>)>,
    host: Option<String>,
    body: Body,
    keep_alive: bool,
    length: usize,
}

fn parsed(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let request = head::request(bytes, &mut slots)?;
    Ok(request.map(|request| Head {
        method: request.method.to_owned(),
        target: request.target.to_owned(),
        version: request.version,
        headers: request.headers.iter().map(|h| (h.name.to_owned(), h.value.to_vec())).collect(),
        host: request.host.map(str::to_owned),
        body: request.body,
        keep_alive: request.keep_alive,
        length: request.length,
    }))
}

/// More bytes never change an answer; what is accepted has one length, one host and clean lines, and
/// means the same when it is written anew.
pub fn request_head(bytes: &[u8]) {
    let whole = parsed(bytes);
    for cut in cuts(bytes.len()) {
        match parsed(&bytes[..cut]) {
            Ok(None) => {}
            Ok(Some(head)) => {
                assert_eq!(
                    whole.as_ref().ok().and_then(Option::as_ref),
                    Some(&head),
                    "cut at {cut}"
                );
            }
            Err(reason) => assert!(whole.is_err(), "{reason:?} at {cut} is forgiven later"),
        }
    }
    let Ok(Some(head)) = whole else { return };
    let lines = &bytes[..head.length];
    assert!(lines.ends_with(b"\r\n\r\n") && !lines.contains(&0));
    for (index, byte) in lines.iter().enumerate() {
        assert_ne!((*byte, lines.get(index + 1)), (b'\r', None));
        assert!(*byte != b'\n' || lines[index - 1] == b'\r', "a bare LF at {index}");
        assert!(*byte != b'\r' || lines[index + 1] == b'\n', "a bare CR at {index}");
    }
    let count =
        |name: &str| head.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).count();
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    match head.body {
        Body::Chunked => assert_eq!((lengths, codings), (0, 1)),
        Body::Length(_) => assert_eq!((lengths, codings), (1, 0)),
        Body::Empty => assert_eq!((lengths, codings), (0, 0)),
        Body::UntilClose => panic!("no request ends with its connection"),
    }
    assert!(head.version == Version::Http10 || (count("host") == 1 && head.host.is_some()));
    let version = if head.version == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut anew = format!("{} {} {version}\r\n", head.method, head.target).into_bytes();
    for (name, value) in &head.headers {
        anew.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    anew.extend(b"\r\n");
    // A head at a limit may grow over it by the blanks that were added.
    if let Ok(again) = parsed(&anew) {
        assert_eq!(again, Some(Head { length: anew.len(), ..head }));
    } else {
        assert!(anew.len() > 16 * 1024);
    }
}

/// The content up to the end, an error, or the end of the input; the trailers; where the body ended.
type Decoded = (Vec<u8>, Vec<u8>, Result<Option<usize>, Malformed>);

/// Decodes with the input arriving in pieces of `size` bytes.
fn decoded(input: &[u8], size: usize) -> Decoded {
    let (mut decoder, mut content, mut used_up) = (Decoder::default(), Vec::new(), 0);
    let mut arrived = size.min(input.len());
    loop {
        let pending = &input[used_up..arrived];
        match decoder.step(pending) {
            Ok(Step::NeedMore { used }) => {
                assert!(used <= pending.len());
                used_up += used;
                if arrived == input.len() {
                    return (content, Vec::new(), Ok(None));
                }
                arrived = (arrived + size).min(input.len());
            }
            Ok(Step::Data { data, used }) => {
                assert!(data.end <= used && used <= pending.len() && !data.is_empty());
                content.extend_from_slice(&pending[data]);
                used_up += used;
            }
            Ok(Step::End { trailers, used }) => {
                assert!(used <= pending.len());
                let trailers = pending[trailers].to_vec();
                assert_clean_lines(&trailers);
                return (content, trailers, Ok(Some(used_up + used)));
            }
            Err(reason) => return (content, Vec::new(), Err(reason)),
        }
    }
}

/// Trailers are lines of a name, a colon and a value, and nothing else.
fn assert_clean_lines(section: &[u8]) {
    assert!(section.is_empty() || section.ends_with(b"\r\n"));
    let text = section.strip_suffix(b"\r\n").unwrap_or_default();
    assert_eq!(section.is_empty(), text.is_empty());
    let lines = section.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines {
        let line = line.strip_suffix(b"\r").expect("a line ends in CR LF");
        let colon = line.iter().position(|byte| *byte == b':').expect("a trailer has a colon");
        assert!(colon > 0 && line[..colon].iter().all(u8::is_ascii_graphic));
        assert!(line[colon..].iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control()));
    }
}

/// Any split of a chunked body gives the same content, trailers and end; encoded anew they decode to
/// themselves.
pub fn chunked_body(bytes: &[u8]) {
    let whole = decoded(bytes, usize::MAX);
    for size in [1, 2, 3, 7, 64] {
        let split = decoded(bytes, size);
        assert_eq!(split.0, whole.0, "content in pieces of {size}");
        assert_eq!(split.1, whole.1, "trailers in pieces of {size}");
        assert_eq!(split.2.is_err(), whole.2.is_err(), "in pieces of {size}: {split:?}, {whole:?}");
        assert!(split.2.is_err() || split.2 == whole.2, "the end in pieces of {size}");
    }
    let mut anew = Vec::new();
    for piece in whole.0.chunks(1_000) {
        anew.extend_from_slice(SizeLine::of(piece.len()).as_bytes());
        anew.extend_from_slice(piece);
        anew.extend_from_slice(CHUNK_END);
    }
    anew.extend_from_slice(LAST_CHUNK);
    anew.extend_from_slice(&whole.1);
    anew.extend_from_slice(SECTION_END);
    assert_eq!(decoded(&anew, usize::MAX), (whole.0, whole.1, Ok(Some(anew.len()))));
}

/// 1 January 2030: between the dates of the seeds.
const NOW: Duration = Duration::from_secs(1_893_456_000);

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(NOW)
}

/// The CAs that signed the seeds, and no list.
fn seed_store() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(|| {
        let pem = include_bytes!("seeds/ca_bundle/root-and-issuing.pem");
        let (bundle, _) = Bundle::from_pem(pem, now()).expect("the seed is a bundle");
        let (revocations, rules) = (Revocations::default(), Rules::default());
        Store { name: "seeds".into(), bundle, revocations, rules }
    })
}

/// A list that is accepted adds up, and means the same beside an empty one in either order; one that is
/// refused says why.
pub fn revocation_list(bytes: &[u8]) {
    let file = File { name: "fuzzed.crl", bytes };
    let empty =
        File { name: "empty.crl", bytes: include_bytes!("seeds/revocation_list/empty.der") };
    match Revocations::load(&[file], &seed_store().bundle) {
        Ok(list) => {
            assert_eq!(
                list.entries(),
                list.status().iter().map(|status| status.entries).sum::<usize>()
            );
            for files in [[empty, file], [file, empty]] {
                let both =
                    Revocations::load(&files, &seed_store().bundle).expect("both were fine alone");
                assert_eq!(both.entries(), list.entries());
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(fault.file_index == 0 && !fault.message.is_empty(), "{fault:?}");
            }
        }
    }
}

/// A bundle that is accepted has a certificate for each subject, whatever its line ends; one that is
/// refused says why. Input in DER form is put into PEM, so that mutations reach the certificate.
pub fn ca_bundle(bytes: &[u8]) {
    let pem = if bytes.first() == Some(&0x30) { armoured(bytes) } else { bytes.to_vec() };
    match Bundle::from_pem(&pem, now()) {
        Ok((bundle, _)) => {
            assert!(bundle.ca_count() > 0);
            assert_eq!(bundle.subjects().len(), bundle.ca_count());
            assert!(bundle.partial_anchors().len() <= bundle.ca_count());
            if pem.is_ascii() && !pem.contains(&b'\r') {
                let text = String::from_utf8_lossy(&pem).replace('\n', "\r\n");
                let (other, _) =
                    Bundle::from_pem(text.as_bytes(), now()).expect("CR LF is fine too");
                assert_eq!(other.ca_count(), bundle.ca_count());
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.0.is_empty()));
        }
    }
}

/// The path of an accepted client has one form, which is read whole or not at all; whatever it holds, it
/// is judged, and where it is accepted, it is until then.
pub fn accepted_path(bytes: &[u8]) {
    let Some(path) = Path::decode(bytes) else { return };
    assert_eq!(path.encode(), bytes);
    for cut in cuts(bytes.len()) {
        assert_eq!(Path::decode(&bytes[..cut]), None, "cut at {cut}");
    }
    assert_eq!(Path::decode(&[bytes, &[0]].concat()), None);
    let again = |time| seed_store().judge_again(&path, &Conditions::default(), time);
    if let Again::Accepted { until } = again(now()) {
        assert_eq!(again(until), Again::Accepted { until });
        let next = UnixTime::since_unix_epoch(Duration::from_secs(until.as_secs() + 1));
        assert!(matches!(again(next), Again::Refused(Refusal::Expired) | Again::Unknown));
    }
}

/// What leaves the disk of a client's file is the certificates that are read from it, and nothing else.
pub fn chain_file(bytes: &[u8]) {
    let chain = match read_chain(bytes) {
        Ok(chain) => chain,
        Err(why) => {
            assert!(!why.is_empty());
            assert_eq!(certificates_alone(bytes), Err(why));
            return;
        }
    };
    assert!(!chain.is_empty());
    let alone = certificates_alone(bytes).expect("inputs are short");
    assert_eq!(read_chain(&alone).as_ref(), Ok(&chain));
    assert_eq!(certificates_alone(&alone).as_ref(), Ok(&alone));
    if alone.starts_with(b"-----BEGIN CERTIFICATE-----\n") {
        let text = String::from_utf8(alone).expect("base64 is text");
        let labels = text.lines().filter(|line| line.starts_with("-----"));
        assert_eq!(labels.clone().count(), 2 * chain.len());
        let is_ours = |line: &str| line == CERTIFICATE.0 || line == CERTIFICATE.1;
        assert!(labels.into_iter().all(is_ours), "{text}");
    } else {
        assert_eq!(alone, bytes);
    }
}

const CERTIFICATE: (&str, &str) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");

/// Whatever a certificate says of its client is well formed, and a filter on it matches; explaining and
/// judging agree.
pub fn client_certificate(bytes: &[u8]) {
    let chain = [CertificateDer::from(bytes)];
    let explained = |filter: Filter| {
        let filters = Filters::new(vec![filter]);
        let conditions = Conditions { filters, ..Conditions::default() };
        let mut told = Told::default();
        let verdict = seed_store().explain(&chain, &conditions, now(), &mut told);
        assert_eq!(verdict, seed_store().judge(&chain, &conditions, now()));
        told
    };
    let told = explained(Filter::default());
    assert_eq!((told.sent.len(), told.matching_filter), (1, None));
    for (key, values) in told.identity {
        let field = Field::ALL.into_iter().find(|field| field.key() == key).expect("a field");
        for value in values {
            assert!(!value.is_empty() && !value.contains(char::is_control), "{key}: {value:?}");
            let mut filter = Filter::default();
            // What looks like a pattern is not taken for a value.
            if !value.contains('*') {
                filter.add(field, &value).expect("a value is a pattern that covers it");
                assert_eq!(explained(filter).matching_filter, Some(0), "{key}: {value:?}");
            }
        }
    }
}

/// Filters say what they are made of: written as described, and in any order, they are the same.
pub fn identity_filter(bytes: &[u8]) {
    let Some((&field, patterns)) = bytes.split_first() else { return };
    let Ok(patterns) = std::str::from_utf8(patterns) else { return };
    let field = Field::ALL[usize::from(field) % Field::ALL.len()];
    let patterns: Vec<&str> = patterns.split('\n').collect();
    let mut taken = Filter::default();
    let good: Vec<_> =
        patterns.into_iter().filter(|pattern| taken.add(field, pattern).is_ok()).collect();
    assert_eq!(taken.is_empty(), good.is_empty());
    let described = |filter: Filter| Filters::new(vec![filter]).describe().collect::<Vec<_>>();
    let all = |patterns: &[&str]| {
        let mut filter = Filter::default();
        for pattern in patterns {
            filter.add(field, pattern).expect("it was taken before");
        }
        described(filter)
    };
    let said = described(taken);
    let reversed: Vec<_> = good.iter().rev().copied().collect();
    assert_eq!(all(&reversed), said);
    let again: Vec<_> =
        said.iter().flatten().flat_map(|(_, all)| all).map(String::as_str).collect();
    assert_eq!(all(&again), said);
}

/// PEM of one certificate.
fn armoured(der: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = Vec::new();
    for three in der.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
        let bits = bits << (8 * (3 - three.len()));
        let digit = |index: usize| match index <= three.len() {
            true => ALPHABET[(bits >> (18 - 6 * index) & 0x3f) as usize],
            false => b'=',
        };
        base64.extend((0..4).map(digit));
    }
    let mut pem = b"-----BEGIN CERTIFICATE-----\n".to_vec();
    for line in base64.chunks(64) {
        pem.extend([line, b"\n"].concat());
    }
    pem.extend(b"-----END CERTIFICATE-----\n");
    pem
}

/// Once there is an answer, more bytes never change it; and whenever rustls takes a ClientHello, it
/// sees the name that we saw: the policy chosen by name is that of the connection.
pub fn client_hello(bytes: &[u8]) {
    let whole = server_name(bytes);
    for cut in cuts(bytes.len()) {
        let answer = server_name(&bytes[..cut]);
        assert!(answer == Peeked::NeedMore || answer == whole, "{answer:?} at {cut}, {whole:?}");
    }
    if let Peeked::Hello(Some(name)) = &whole {
        assert!(!name.is_empty() && !name.ends_with('.') && *name == name.to_ascii_lowercase());
    }
    if bytes.len() > CLIENT_HELLO_BYTES_MAX {
        return;
    }
    if let Some(theirs) = by_rustls(bytes) {
        assert_eq!(whole, Peeked::Hello(theirs));
    }
}

/// What rustls makes of it: nothing, or a ClientHello with or without a name.
fn by_rustls(mut bytes: &[u8]) -> Option<Option<String>> {
    let mut acceptor = Acceptor::default();
    loop {
        if let Some(accepted) = acceptor.accept().ok()? {
            let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
            return Some(name.map(|name| name.strip_suffix('.').unwrap_or(&name).to_owned()));
        }
        if bytes.is_empty() || acceptor.read_tls(&mut bytes).ok()? == 0 {
            return None;
        }
    }
}

/// What a client brings opens only if it is the very ticket that was sealed; and what was sealed reads back
/// as it was written.
pub fn session_ticket(bytes: &[u8]) {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let secret: Vec<u8> = (0..80).collect();
        Keys::from_files(vec![Key::from_file(&secret).unwrap()])
    });
    let mut room = Vec::new();
    if let Ok(ticket) = keys.open(bytes, &mut room) {
        assert_eq!((bytes.len(), ticket.path, ticket.session), (97, &b"path"[..], &b"session"[..]));
    }
    let Some(ticket) = Ticket::decode(bytes) else { return };
    assert_eq!(ticket.encode().as_deref(), Some(bytes));
    let Some(sealed) = keys.seal(&ticket) else {
        assert!(bytes.len() > TICKET_BYTES_MAX - 100);
        return;
    };
    assert_eq!(keys.open(&sealed, &mut Vec::new()), Ok(ticket));
    assert!(keys.open(&sealed[1..], &mut Vec::new()).is_err());
}

/// Athena's expression (`alb-contract`, section 2.2), anchored at both ends.
const ATHENA: &str = r#"^([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*):([0-9]*) ([^ ]*)[:-]([0-9]*) ([-.0-9]*) ([-.0-9]*) ([-.0-9]*) (|[-0-9]*) (-|[-0-9]*) ([-0-9]*) ([-0-9]*) "([^ ]*) (.*) (- |[^ ]*)" "([^"]*)" ([A-Z0-9-_]+) ([A-Za-z0-9.-]*) ([^ ]*) "([^"]*)" "([^"]*)" "([^"]*)" ([-.0-9]*) ([^ ]*) "([^"]*)" "([^"]*)" "([^ ]*)" "([^\s]+?)" "([^\s]+)" "([^ ]*)" "([^ ]*)" ?([^ ]*)? ?( .*)?$"#;

/// Whatever a client sends, as its request and as its name, is one line with the fields where they belong.
pub fn access_line(bytes: &[u8]) {
    static EXPRESSION: OnceLock<Regex> = OnceLock::new();
    let athena = EXPRESSION.get_or_init(|| Regex::new(ATHENA).unwrap());
    let address = IpAddr::from([192, 0, 2, 1]);
    let began = Instant::now();
    let mut record = Record::new(Entrance { tls: true, address, port: 443 }, Duration::ZERO, began);
    let mut slots = head::slots();
    match head::request(bytes, &mut slots) {
        Ok(Some(request)) => record.asked(&request, bytes),
        Ok(None) | Err(_) => record.unreadable(bytes),
    }
    let name = String::from_utf8_lossy(bytes);
    let tls = access_log::Tls {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        server_name: Some(&name),
        certificate: Some("api"),
        is_for_name: true,
        resumed: false,
    };
    let connection = access_log::Connection {
        client: SocketAddr::from(([192, 0, 2, 9], 1)),
        address,
        elb: "app/edge/0",
        tls: Some(tls),
        trace_id: [7; 16],
        listener: "https",
    };
    let written = |form| {
        let mut out = Vec::new();
        access_log::Line { record: &record, connection, ended: began }.write(form, &mut out);
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        line
    };
    let line = written(Form::Alb);
    let columns = athena.captures(line.trim_end()).expect("Athena reads it");
    assert!(columns[15].bytes().chain(columns[17].bytes()).all(|byte| byte.is_ascii_graphic()));
    assert!(!columns[16].contains(' ') && !columns[16].contains('"'));
    assert_eq!(
        (&columns[19], &columns[24]),
        ("TLS_AES_128_GCM_SHA256", "arn:aws:acm:::certificate/api")
    );
    assert_eq!(&columns[34], "TID_07070707070707070707070707070707");
    assert_eq!(&columns[35], " \"-\" \"-\" \"-\" 192.0.2.1");
    let value: serde_json::Value = serde_json::from_str(&written(Form::Json)).unwrap();
    assert_eq!(value["server_name"], *name);
}
