//! HTTP/2 by other people's tools: the cases of httpwg, and h2load of nghttp2.
use crate::support::http2::config;
use crate::support::node::piece;
use crate::support::{Node, Target, bridge, engine, long, tools};

fn node(target: &Target) -> Node {
    let configuration = [
        piece::certificates(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    Node::start(&configuration.concat())
}

/// Where `tests/run` puts it.
const HTTPWG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/httpwg/bin/httpwg");

/// Cases that fail: what the `h2` crate does instead, and the sentence about it.
const EXCEPTIONS: [(&str, &str); 2] = [
    // The crate calls a field block that cannot be decoded PROTOCOL_ERROR, and ends the connection as it must. RFC
    // 9113, section 7, of that code: "This error is for use when a more specific error code is not available."
    ("4. http frames :: invalid header block fragment", "got ProtocolError"),
    // The crate drops the field without a word and serves the request, so that nothing of it reaches a target
    // (`http2_heads`). RFC 9113, section 8.1: "Trailers MUST NOT include pseudo-header fields"; RFC 9112, section
    // 7.1.2, of their recipient: it "MAY selectively retain or discard the received trailer fields."
    (
        "8. expressing http semantics in http2 :: sends headers frame with pseudo header in trailer",
        "EndStream",
    ),
];

/// Its cases say what a server must do, with sections of RFC 9113.
#[test]
fn the_cases_of_httpwg_pass() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = bridge::to(node.address("https"), &config(None)).to_string();
    // One after the other, with time: what is asked is what the node does, and not how quick this machine is.
    let arguments = ["SEQUENTIAL=1", HTTPWG, "-a", &address, "--frame-timeout", "10000"];
    let ended = tools::run("env", &arguments, b"");
    let lines = |mark: &str| {
        let cases = ended.stderr.lines().filter_map(|line| line.split_once(mark));
        cases.map(|(_, case)| case.trim().to_owned()).collect::<Vec<_>>()
    };
    let (passed, failed) = (lines("Test passed: "), lines("Test failed: "));
    if passed.is_empty() && failed.is_empty() && engine() == "epoll" {
        println!("SKIPPED: httpwg needs io_uring itself: {}", ended.said());
        return;
    }
    println!("httpwg: {} passed, {} failed: {failed:?}", passed.len(), failed.len());
    for case in &failed {
        let allowed = EXCEPTIONS.iter().any(|(name, became)| {
            let told = ended.stderr.split_once(case.as_str()).map_or("", |(_, behind)| behind);
            let told = told.split("Location:").next().unwrap_or_default();
            case.ends_with(name) && told.contains(became)
        });
        assert!(allowed, "{case}\n{}", ended.said());
    }
    assert_eq!(passed.len() + failed.len(), CASES, "{}", ended.said());
    node.assert_no_panic();
}

/// How many there are.
const CASES: usize = 107;

/// h2load opens no new connection for one that the node ends after its 10,000 requests.
#[test]
fn h2load_counts_no_error() {
    let target = Target::named("hello");
    let node = node(&target);
    let requests = if long() { "100000" } else { "5000" };
    let connections = if long() { "100" } else { "20" };
    let url = format!("https://{}/", node.address("https"));
    let arguments = ["-n", requests, "-c", connections, "-m", "10", "-t", "1", &url];
    let ended = tools::run("h2load", &arguments, b"").success();
    println!("{}", ended.stdout);
    let line = format!(
        "requests: {requests} total, {requests} started, {requests} done, {requests} succeeded, \
         0 failed, 0 errored, 0 timeout"
    );
    assert!(ended.stdout.contains(&line), "{}", ended.said());
    node.assert_no_panic();
}
