//! Desync mitigation: what each mode does with requests that are not as the standard says, what their
//! targets get of them, and which connections stay.
//! Source: `alb-contract`, sections 2.4 and 5.1.
use crate::support::node::piece;
use crate::support::{Client, Node, Target};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// It is served, and so is another on the same two connections.
    Served,
    /// It is served, and both connections end.
    ServedLast,
    /// It gets this status, no target sees it, and the client's connection ends.
    Refused(u16),
}
use Fate::{Refused, Served, ServedLast};

struct Case {
    /// Request line, the header lines besides Host, the body.
    request: (&'static str, &'static str, &'static str),
    class: &'static str,
    reason: &'static str,
    /// In the modes monitor, defensive and strictest.
    fates: [Fate; 3],
    /// What its target gets: request line, all header lines but Host and X-Forwarded-*, the body.
    seen: (&'static str, &'static str, &'static str),
}

const BOTH: &str = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const HELLO: &str = "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n";
const HELLO_ANEW: &str = "5\r\nhello\r\n0\r\nX: y\r\n\r\n";
const GET: &str = "GET / HTTP/1.1";
const POST: &str = "POST / HTTP/1.1";

/// ALB's actions for Acceptable, and for Ambiguous; the last where RFC 9112, section 6.1, wants the
/// connection closed or a name is left out that its client may go by.
const ACCEPTABLE: [Fate; 3] = [Served, Served, Refused(400)];
const AMBIGUOUS: [Fate; 3] = [Served, ServedLast, Refused(400)];
const DOUBTFUL: [Fate; 3] = [ServedLast, ServedLast, Refused(400)];

const CASES: &[Case] = &[
    Case {
        request: (GET, "Content-Length: 0\r\n", ""),
        class: "Acceptable",
        reason: "GetHeadZeroContentLength",
        fates: ACCEPTABLE,
        seen: (GET, "Content-Length: 0\r\n", ""),
    },
    Case {
        request: (GET, "X: a\u{1c}Content-Length: 5\r\nY: b\r\nZ(: c\r\n", ""),
        class: "Acceptable",
        reason: "NonCompliantHeader",
        fates: ACCEPTABLE,
        seen: (GET, "Y: b\r\n", ""),
    },
    Case {
        request: ("GET / HTTP/1.2", "", ""),
        class: "Acceptable",
        reason: "NonCompliantVersion",
        fates: [Served, Served, Refused(505)],
        seen: (GET, "", ""),
    },
    Case {
        request: ("GET / HTTP/1.1  ", "", ""),
        class: "Acceptable",
        reason: "NonCompliantVersion",
        fates: ACCEPTABLE,
        seen: (GET, "", ""),
    },
    Case {
        request: ("GET  /a b HTTP/1.1", "", ""),
        class: "Acceptable",
        reason: "SpaceInUri",
        fates: ACCEPTABLE,
        seen: ("GET /a%20b HTTP/1.1", "", ""),
    },
    Case {
        request: (POST, "Content-Length: 5\r\nContent-Length: 05\r\n", "hello"),
        class: "Ambiguous",
        reason: "DuplicateContentLength",
        fates: AMBIGUOUS,
        seen: (POST, "Content-Length: 5\r\n", "hello"),
    },
    Case {
        request: (GET, "Content-Length: 5\r\n", "hello"),
        class: "Ambiguous",
        reason: "UndefinedContentLengthSemantics",
        fates: DOUBTFUL,
        seen: (GET, "Content-Length: 5\r\n", "hello"),
    },
    Case {
        request: (GET, CHUNKED, HELLO),
        class: "Ambiguous",
        reason: "UndefinedTransferEncodingSemantics",
        fates: DOUBTFUL,
        seen: (GET, CHUNKED, HELLO_ANEW),
    },
    Case {
        request: (POST, BOTH, HELLO),
        class: "Ambiguous",
        reason: "BothTeClPresent",
        fates: DOUBTFUL,
        seen: (POST, CHUNKED, HELLO_ANEW),
    },
    Case {
        request: (POST, "Transfer-Encoding: CHUNKED\r\nContent-Length: 0\r\n", HELLO),
        class: "Ambiguous",
        reason: "BothTeClPresent",
        fates: DOUBTFUL,
        seen: (POST, CHUNKED, HELLO_ANEW),
    },
    Case {
        request: (POST, ": a\r\nContent-Length: 5\r\n", "hello"),
        class: "Ambiguous",
        reason: "EmptyHeader",
        fates: DOUBTFUL,
        seen: (POST, "Content-Length: 5\r\n", "hello"),
    },
    Case {
        request: (POST, "Transfer_Encoding: chunked\r\n", ""),
        class: "Ambiguous",
        reason: "SuspiciousHeader",
        fates: DOUBTFUL,
        seen: (POST, "", ""),
    },
    Case {
        request: (POST, "Content-Length-: 3\r\nContent-Length: 3\r\n", "abc"),
        class: "Ambiguous",
        reason: "SuspiciousHeader",
        fates: DOUBTFUL,
        seen: (POST, "Content-Length: 3\r\n", "abc"),
    },
    Case {
        request: (POST, "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello"),
        class: "Severe",
        reason: "SuspiciousTeClPresent",
        fates: [ServedLast, Refused(400), Refused(400)],
        seen: (POST, "Content-Length: 5\r\n", "hello"),
    },
    Case {
        request: (POST, "Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"),
        class: "Severe",
        reason: "MultipleContentLength",
        fates: [Refused(400); 3],
        seen: ("", "", ""),
    },
    Case {
        request: (GET, "X: a\r\n b\r\n", ""),
        class: "Ambiguous",
        reason: "MultilineHeader",
        fates: [Refused(400); 3],
        seen: ("", "", ""),
    },
    // What ALB has no class for.
    Case {
        request: ("TRACE / HTTP/1.1", "", ""),
        class: "",
        reason: "",
        fates: [Refused(405); 3],
        seen: ("", "", ""),
    },
    Case {
        request: ("GET /caf\u{e9} HTTP/1.1", "", ""),
        class: "",
        reason: "",
        fates: [Served; 3],
        seen: ("GET /caf%C3%A9 HTTP/1.1", "", ""),
    },
];

impl Case {
    fn bytes(&self) -> String {
        let (line, headers, body) = self.request;
        format!("{line}\r\nHost: a\r\n{headers}\r\n{body}")
    }

    /// Sends it, with another request right behind it.
    fn holds(&self, node: &Node, target: &Target, fate: Fate) {
        let what = format!("{:?}, {fate:?}", self.bytes());
        let mut client = Client::plain(node.address("plain"));
        client.send(self.bytes() + "GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = client.answer();
        if let Refused(status) = fate {
            assert_eq!(answer.status, status, "{what}");
            assert_eq!(answer.values("Connection"), ["close"], "{what}");
            assert!(client.until_closed().is_empty(), "{what}");
            assert!(target.so_far().is_empty(), "{what}");
            return;
        }
        assert_eq!(answer.status, 200, "{what}");
        let first = target.received();
        let (line, headers, body) = self.seen;
        let ours = |line: &&str| {
            ["Host:", "X-Forwarded-", "X-Amzn-Trace-Id:"].iter().any(|ours| line.starts_with(ours))
        };
        let rest: String = first
            .headers()
            .iter()
            .filter(|line| !ours(line))
            .map(|line| format!("{line}\r\n"))
            .collect();
        assert_eq!((first.request_line(), rest.as_str()), (line, headers), "{what}");
        assert_eq!(String::from_utf8_lossy(&first.body), body, "{what}");
        if fate == Served {
            assert_eq!(client.answer().status, 200, "{what}");
            let second = target.received();
            assert_eq!(
                (second.connection, second.request_line()),
                (first.connection, "GET /second HTTP/1.1"),
                "{what}"
            );
        } else {
            assert_eq!(answer.values("Connection"), ["close"], "{what}");
            assert!(client.until_closed().is_empty(), "{what}");
            assert_eq!(Client::plain(node.address("plain")).get("/next").status, 200);
            let next = target.received();
            assert_eq!(next.request_line(), "GET /next HTTP/1.1", "{what}");
            assert_ne!(next.connection, first.connection, "{what}: the target's stays");
        }
    }
}

/// Goal: ALB's table of actions, and one meaning for targets. Method: each case in each mode.
#[test]
fn each_mode_serves_closes_after_or_refuses_as_albs_table_says() {
    for (index, mode) in ["monitor", "defensive", "strictest"].into_iter().enumerate() {
        let target = Target::named("hello");
        let node = Node::start(
            &[
                piece::desync(mode),
                piece::targets(&[target.entry()]),
                "listeners:\n".to_owned(),
                piece::http("plain", ""),
            ]
            .concat(),
        );
        for case in CASES {
            case.holds(&node, &target, case.fates[index]);
        }
        // In every mode each is counted once, let in or not, and those that comply are not.
        for Case { class, reason, .. } in CASES.iter().filter(|case| !case.class.is_empty()) {
            let labels = [format!("class=\"{class}\""), format!("reason=\"{reason}\"")];
            let labels = [labels[0].as_str(), labels[1].as_str(), "listener=\"plain\""];
            let count = CASES.iter().filter(|case| case.reason == *reason).count();
            node.metric_becomes(
                "portcullis_http_noncompliant_requests_total",
                &labels,
                count as f64,
            );
        }
        let all = CASES.iter().filter(|case| !case.class.is_empty()).count();
        node.metric_becomes("portcullis_http_noncompliant_requests_total", &[], all as f64);
        node.assert_no_panic();
    }
}

/// Goal: the class is that of the whole request, however it comes. Method: byte by byte, one case for
/// each fate.
#[test]
fn a_request_that_trickles_in_has_the_same_fate() {
    let target = Target::named("hello");
    let node = Node::start(
        &[piece::targets(&[target.entry()]), "listeners:\n".to_owned(), piece::http("plain", "")]
            .concat(),
    );
    for case in CASES {
        let mut client = Client::plain(node.address("plain"));
        for byte in case.bytes().bytes() {
            if client.try_send([byte]).is_err() {
                break;
            }
        }
        let answer = client.answer();
        let expected = match case.fates[1] {
            Served | ServedLast => 200,
            Refused(status) => status,
        };
        assert_eq!(answer.status, expected, "{:?}", case.bytes());
        if expected == 200 {
            assert_eq!(target.received().request_line(), case.seen.0);
        }
    }
}

#[test]
fn the_mode_follows_a_reload() {
    let target = Target::named("hello");
    let configuration = |mode: &str| {
        [
            piece::desync(mode),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::http("plain", ""),
        ]
        .concat()
    };
    let node = Node::start(&configuration("monitor"));
    let mut client = Client::plain(node.address("plain"));
    let request = "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(client.ask(request).status, 200);
    node.configure(&configuration("strictest"));
    node.reload();
    assert_eq!(client.ask(request).status, 400);
    node.configure(&configuration("strict"));
    let told = node.reload_refused();
    assert!(told.contains("\"strict\" is not monitor, defensive or strictest"), "{told}");
}
