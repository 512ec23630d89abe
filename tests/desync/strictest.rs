//! hyper as the oracle of the strictest mode: it accepts no more, and finds the same ends.
//!
//! Both read the same stream of requests to its end. What we accept, hyper must have served: the same
//! methods, targets and contents, in the same order. It may well go on where we stop.
use crate::corpus::message;
use crate::is_long;
use crate::mutations::mutated;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use portcullis::http::chunked::{Decoder, Step};
use portcullis::http::desync::{self, Mode};
use portcullis::http::head::Body;
use portcullis::limits::{HEADERS_MAX, REQUEST_HEAD_BYTES_MAX};
use std::cell::RefCell;
use std::convert::Infallible;
use std::fs;
use std::rc::Rc;
use tokio::io::AsyncWriteExt;

/// A request with its whole content.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Seen {
    method: String,
    /// Path and query.
    target: String,
    content: Vec<u8>,
}

/// The requests that the codec accepts in strictest, up to the first that it does not, or that is not whole.
fn ours(mut bytes: &[u8]) -> Vec<Seen> {
    let mut all = Vec::new();
    loop {
        let read = desync::request(bytes, Mode::Strictest, |request| {
            let target = format!("{}{}", request.path, request.query);
            let seen = Seen { method: request.method.into(), target, content: Vec::new() };
            (seen, request.body, request.length, request.keep_alive)
        });
        let Ok(Some((mut seen, body, length, keep_alive))) = read else { return all };
        bytes = &bytes[length..];
        let Some((content, rest)) = content(body, bytes) else { return all };
        (seen.content, bytes) = (content, rest);
        all.push(seen);
        if !keep_alive {
            return all;
        }
    }
}

/// The content of a whole body, and what follows it.
fn content(body: Body, mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    match body {
        Body::Empty => Some((Vec::new(), bytes)),
        Body::Length(length) => {
            let (content, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
            Some((content.to_vec(), rest))
        }
        Body::Chunked => {
            let (mut decoder, mut content) = (Decoder::default(), Vec::new());
            loop {
                match decoder.step(bytes).ok()? {
                    Step::NeedMore { .. } => return None,
                    Step::Data { data, used } => {
                        content.extend_from_slice(&bytes[data]);
                        bytes = &bytes[used..];
                    }
                    Step::End { used, .. } => return Some((content, &bytes[used..])),
                }
            }
        }
        Body::UntilClose => panic!("no request ends with its connection"),
    }
}

/// The requests that a server of hyper's serves, each with its whole content.
async fn hypers(bytes: &[u8]) -> Vec<Seen> {
    let all = Rc::new(RefCell::new(Vec::new()));
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let service = service_fn(|request: Request<Incoming>| {
        let all = Rc::clone(&all);
        async move {
            let (head, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let target = head.uri.path_and_query().map_or("", |target| target.as_str());
                // An absolute form may have no path, which is `/` (RFC 9112, section 3.2.1).
                let slash = if target.starts_with('?') { "/" } else { "" };
                all.borrow_mut().push(Seen {
                    method: head.method.to_string(),
                    target: slash.to_owned() + &encoded(target),
                    content: body.to_bytes().to_vec(),
                });
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut builder = http1::Builder::new();
    builder.max_headers(HEADERS_MAX).max_buf_size(2 * REQUEST_HEAD_BYTES_MAX).half_close(true);
    // How it ends does not matter; an error is behind what it served.
    let _ = builder.serve_connection(TokioIo::new(server), service).await;
    let served = all.borrow().clone();
    drop(client);
    served
}

/// UTF-8 as we pass it on.
fn encoded(target: &str) -> String {
    let encode = |byte: u8| match byte.is_ascii() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    target.bytes().map(encode).collect()
}

/// Messages of the corpus, seeds of the fuzz target, and mutations of both.
fn inputs(count: u64) -> impl Iterator<Item = Vec<u8>> {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/seeds/request_head");
    let seeds = fs::read_dir(seeds).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let seeds: Vec<_> = seeds.chain((0..500).map(message)).collect();
    let mutations = (0..count).map({
        let seeds = seeds.clone();
        move |number| mutated(&seeds, number)
    });
    seeds.into_iter().chain((500..count).map(message)).chain(mutations)
}

#[test]
fn in_strictest_the_codec_accepts_no_more_than_hyper_does() {
    let count = if is_long() { 500_000 } else { 10_000 };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut accepted, mut wrong) = (0, Vec::new());
    for input in inputs(count) {
        let ours = ours(&input);
        if ours.is_empty() {
            continue;
        }
        accepted += 1;
        let hypers = runtime.block_on(hypers(&input));
        if !hypers.starts_with(&ours) {
            wrong.push(format!("{}\n  ours {ours:?}\n  hyper's {hypers:?}", input.escape_ascii()));
        }
    }
    println!("{accepted} inputs with a request that is accepted");
    assert!(
        wrong.is_empty(),
        "{} inputs\n{}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
    // The test means something only while much is accepted.
    assert!(accepted * 10 > count, "{accepted} of {count}");
}
