//! Lines of the access log, field by field and as their readers match them.
use super::*;
use crate::close::Reason;
use crate::http::desync::{self, ClassReason, Mode};
use crate::http::head;
use crate::limits::LOGGED_USER_AGENT_BYTES_MAX;
use regex::bytes::Regex;

/// The expression of Athena's table definition, anchored; `alb-contract.md`, section 2.2.
const ATHENA: &str = r#"^([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*):([0-9]*) ([^ ]*)[:-]([0-9]*) ([-.0-9]*) ([-.0-9]*) ([-.0-9]*) (|[-0-9]*) (-|[-0-9]*) ([-0-9]*) ([-0-9]*) "([^ ]*) (.*) (- |[^ ]*)" "([^"]*)" ([A-Z0-9-_]+) ([A-Za-z0-9.-]*) ([^ ]*) "([^"]*)" "([^"]*)" "([^"]*)" ([-.0-9]*) ([^ ]*) "([^"]*)" "([^"]*)" "([^ ]*)" "([^\s]+?)" "([^\s]+)" "([^ ]*)" "([^ ]*)" ?([^ ]*)? ?( .*)?$"#;

/// The example of `alb-contract.md`, section 2.2, but for what names ARNs and the HTTP version.
const EXAMPLE: &str = "https 2026-11-20T10:11:12.345678Z app/edge/1234567890abcdef 203.0.113.9:40112 \
     10.0.0.5:8080 0.001 0.012 0.000 200 200 310 912 \"GET https://api.example.com:443/v1/x HTTP/1.1\" \
     \"curl/8.9.1\" TLS_AES_128_GCM_SHA256 TLSv1.3 \
     arn:aws:elasticloadbalancing:::targetgroup/web/4b5e57f6eb2f42b9 \
     \"Root=1-6740a1b0-0123456789abcdef01234567\" \"api.example.com\" \"arn:aws:acm:::certificate/api\" \
     0 2026-11-20T10:11:12.331000Z \"forward\" \"-\" \"-\" \"10.0.0.5:8080\" \"200\" \"-\" \"-\" \
     TID_0f1e2d3c4b5a69788796a5b4c3d2e1f0 \"-\" \"-\" \"-\" 198.51.100.4";

/// The same in JSON.
const EXAMPLE_IN_JSON: &str = concat!(
    r#"{"type":"https","time":"2026-11-20T10:11:12.345678Z","elb":"app/edge/1234567890abcdef","#,
    r#""client_ip":"203.0.113.9","client_port":40112,"target_ip":"10.0.0.5","target_port":8080,"#,
    r#""request_processing_time":0.001,"target_processing_time":0.012,"#,
    r#""response_processing_time":0.0,"elb_status_code":200,"target_status_code":200,"#,
    r#""received_bytes":310,"sent_bytes":912,"request_verb":"GET","#,
    r#""request_url":"https://api.example.com:443/v1/x","request_proto":"HTTP/1.1","#,
    r#""user_agent":"curl/8.9.1","ssl_cipher":"TLS_AES_128_GCM_SHA256","#,
    r#""ssl_protocol":"TLSv1.3","#,
    r#""target_group_arn":"arn:aws:elasticloadbalancing:::targetgroup/web/4b5e57f6eb2f42b9","#,
    r#""trace_id":"Root=1-6740a1b0-0123456789abcdef01234567","domain_name":"api.example.com","#,
    r#""chosen_cert_arn":"arn:aws:acm:::certificate/api","matched_rule_priority":0,"#,
    r#""request_creation_time":"2026-11-20T10:11:12.331000Z","actions_executed":"forward","#,
    r#""redirect_url":null,"error_reason":null,"target_port_list":"10.0.0.5:8080","#,
    r#""target_status_code_list":"200","classification":null,"classification_reason":null,"#,
    r#""conn_trace_id":"TID_0f1e2d3c4b5a69788796a5b4c3d2e1f0","transformed_host":null,"#,
    r#""transformed_uri":null,"request_transform_status":null,"ip_address":"198.51.100.4","#,
    r#""listener":"https","generation":7,"server_name":"api.example.com","#,
    r#""reason":"target_closed"}"#,
);

const CREATED: Duration = Duration::new(1_795_169_472, 331_000_000);

const GET: &str = "GET /v1/x HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: curl/8.9.1\r\n\r\n";

const TRACE_ID: &[u8] = b"Root=1-6740a1b0-0123456789abcdef01234567";

fn tls() -> Tls<'static> {
    Tls {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        server_name: Some("api.example.com"),
        certificate: Some("api"),
        is_for_name: true,
        resumed: false,
    }
}

fn connection() -> Connection<'static> {
    Connection {
        client: "203.0.113.9:40112".parse().unwrap(),
        address: "198.51.100.4".parse().unwrap(),
        elb: "app/edge/1234567890abcdef",
        tls: Some(tls()),
        trace_id: 0x0f1e_2d3c_4b5a_6978_8796_a5b4_c3d2_e1f0_u128.to_be_bytes(),
        listener: "https",
    }
}

fn entrance() -> Entrance {
    Entrance { tls: true, address: "198.51.100.4".parse().unwrap(), port: 443 }
}

/// A moment so long after the request began.
fn after(began: Instant, micros: u64) -> Instant {
    began + Duration::from_micros(micros)
}

/// A request with this head that has gone nowhere yet.
fn asked(began: Instant, head: &[u8]) -> Record {
    let mut slots = head::slots();
    let request = head::request(head, &mut slots).unwrap().expect("a whole head");
    let mut record = Record::new(entrance(), CREATED, began);
    record.asked(&request, TRACE_ID);
    record
}

fn served(began: Instant) -> Record {
    let mut record = asked(began, GET.as_bytes());
    record.action = Some(Executed::Forward);
    record.matched_rule_priority = Some(0);
    record.is_for(&arn::target_group("web"));
    record.chose(Some("10.0.0.5:8080".parse().unwrap()));
    record.dispatched(after(began, 1_200));
    record.answering(after(began, 13_300));
    record.answered(200, after(began, 13_500));
    record.passed_on(after(began, 13_600));
    record.elb_status = Some(200);
    (record.received_bytes, record.sent_bytes) = (310, 912);
    record.generation = 7;
    record
}

fn written(record: &Record, connection: Connection<'_>, form: Form) -> String {
    let mut out = Vec::new();
    let ended = after(record.began(), 14_678);
    Line { record, connection, ended }.write(form, &mut out);
    let line = String::from_utf8(out).unwrap();
    assert_eq!(line.find('\n'), Some(line.len() - 1), "one line: {line}");
    line.trim_end().to_owned()
}

/// The 34 fields of a line, quotes and all.
fn fields(line: &str) -> Vec<&str> {
    let (mut fields, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b' ' if !quoted => {
                fields.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.push(&line[start..]);
    assert_eq!(fields.len(), 34, "{line}");
    assert!(Regex::new(ATHENA).unwrap().is_match(line.as_bytes()), "{line}");
    fields
}

/// Field `number`, as section 2.2 counts them, of a request that was served, after this change to it.
fn field_of(number: usize, change: impl FnOnce(&mut Record)) -> String {
    let mut record = served(Instant::now());
    change(&mut record);
    fields(&written(&record, connection(), Form::Alb))[number - 1].to_owned()
}

/// The same after a change to the connection.
fn field_on(number: usize, change: impl FnOnce(&mut Connection<'static>)) -> String {
    let mut connection = connection();
    change(&mut connection);
    fields(&written(&served(Instant::now()), connection, Form::Alb))[number - 1].to_owned()
}

/// The same of a request with this head that went nowhere, on this entrance, in the mode that lets in most.
fn field_asked(number: usize, entrance: Entrance, head: &[u8]) -> String {
    let mut record = Record::new(entrance, CREATED, Instant::now());
    let read = desync::request(head, Mode::Monitor, |request| record.asked(request, TRACE_ID));
    match read {
        Ok(whole) => whole.expect("a whole head"),
        Err(_) => record.unreadable(head),
    }
    fields(&written(&record, connection(), Form::Alb))[number - 1].to_owned()
}

#[test]
fn a_request_that_was_served_is_logged_as_alb_does() {
    assert_eq!(written(&served(Instant::now()), connection(), Form::Alb), EXAMPLE);
}

#[test]
fn a_request_of_which_nothing_is_known_has_a_dash_for_each_field() {
    let record = Record::new(Entrance { tls: false, ..entrance() }, CREATED, Instant::now());
    let connection = Connection { tls: None, ..connection() };
    assert_eq!(
        written(&record, connection, Form::Alb),
        "http 2026-11-20T10:11:12.345678Z app/edge/1234567890abcdef 203.0.113.9:40112 - -1 -1 -1 - - 0 0 \
         \"- - -\" \"-\" - - - \"-\" \"-\" \"-\" - 2026-11-20T10:11:12.331000Z \"-\" \"-\" \"-\" \"-\" \
         \"-\" \"-\" \"-\" TID_0f1e2d3c4b5a69788796a5b4c3d2e1f0 \"-\" \"-\" \"-\" 198.51.100.4"
    );
}

#[test]
fn field_1_is_the_kind_of_request() {
    for (kind, word) in [
        (Kind::Http, "http"),
        (Kind::Https, "https"),
        (Kind::H2, "h2"),
        (Kind::Grpcs, "grpcs"),
        (Kind::Ws, "ws"),
        (Kind::Wss, "wss"),
    ] {
        assert_eq!(field_of(1, |record| record.kind = kind), word);
    }
    assert_eq!(field_of(1, Record::upgraded), "wss");
}

#[test]
fn fields_2_and_22_are_the_end_and_the_beginning() {
    assert_eq!(field_of(2, |_| {}), "2026-11-20T10:11:12.345678Z");
    assert_eq!(field_of(22, |_| {}), "2026-11-20T10:11:12.331000Z");
}

#[test]
fn field_3_is_the_load_balancer() {
    assert_eq!(field_of(3, |_| {}), "app/edge/1234567890abcdef");
}

#[test]
fn field_4_is_the_peer_and_an_ipv4_one_in_its_own_form() {
    for (client, logged) in [
        ("203.0.113.9:1", "203.0.113.9:1"),
        ("[2001:db8::1]:65535", "[2001:db8::1]:65535"),
        ("[::ffff:203.0.113.9]:40112", "203.0.113.9:40112"),
    ] {
        let client = client.parse().unwrap();
        assert_eq!(field_on(4, |connection| connection.client = client), logged);
    }
}

#[test]
fn fields_5_and_26_are_the_target_that_was_chosen() {
    assert_eq!(field_of(5, |_| {}), "10.0.0.5:8080");
    assert_eq!(field_of(26, |_| {}), "\"10.0.0.5:8080\"");
    let ipv6 = Some("[2001:db8::5]:80".parse().unwrap());
    assert_eq!(field_of(5, |record| record.chose(ipv6)), "[2001:db8::5]:80");
    assert_eq!(field_of(26, |record| record.chose(ipv6)), "\"[2001:db8::5]:80\"");
    let head = GET.as_bytes();
    assert_eq!(field_asked(5, entrance(), head), "-");
    assert_eq!(field_asked(26, entrance(), head), "\"-\"");
}

/// Fields 6, 7 and 8 of a request after these steps.
fn times(steps: impl FnOnce(&mut Record, &dyn Fn(u64) -> Instant)) -> [String; 3] {
    let began = Instant::now();
    let mut record = asked(began, GET.as_bytes());
    steps(&mut record, &|millis| after(began, millis * 1_000));
    let line = written(&record, connection(), Form::Alb);
    let fields = fields(&line);
    [5, 6, 7].map(|index| fields[index].to_owned())
}

#[test]
fn fields_6_to_8_are_the_steps_of_a_request_and_minus_1_is_one_not_taken() {
    let none = times(|_, _| {});
    assert_eq!(none, ["-1", "-1", "-1"], "malformed, or the node answered");
    for reason in [Reason::TargetTimeout, Reason::ClientClosed] {
        let silent = times(|record, at| {
            record.dispatched(at(2));
            record.failed(reason);
        });
        assert_eq!(silent, ["0.002", "-1", "-1"], "{reason}");
    }
    let broke_off = times(|record, at| {
        record.dispatched(at(2));
        record.failed(Reason::TargetClosed);
    });
    assert_eq!(broke_off, ["-1", "-1", "-1"], "the target closed before it answered");
    let broke_off = times(|record, at| {
        record.dispatched(at(2));
        record.answering(at(5));
        record.failed(Reason::TargetClosed);
    });
    assert_eq!(broke_off, ["-1", "-1", "-1"], "and within its head");
    let malformed = times(|record, at| {
        record.dispatched(at(2));
        record.answering(at(5));
        record.failed(Reason::TargetMalformed);
    });
    assert_eq!(malformed, ["0.002", "0.003", "-1"], "no answer that the client could be given");
    let whole = times(|record, at| {
        record.dispatched(at(2));
        record.answering(at(5));
        record.answering(at(9));
        record.answered(200, at(10));
        record.passed_on(at(14));
        record.passed_on(at(99));
    });
    assert_eq!(whole, ["0.002", "0.003", "0.004"]);
    let retried = times(|record, at| {
        record.dispatched(at(2));
        record.dispatched(at(1_002));
        record.answered(200, at(61_003));
        record.passed_on(at(61_003));
    });
    assert_eq!(retried, ["1.002", "60.001", "0.000"]);
    let after_interim = times(|record, at| {
        record.dispatched(at(1));
        record.answering(at(2));
        record.interim();
        record.answering(at(9));
        record.answered(200, at(9));
        record.passed_on(at(9));
    });
    assert_eq!(after_interim, ["0.001", "0.008", "0.000"]);
}

#[test]
fn an_answer_over_http_2_counts_as_far_as_it_has_gone() {
    let answered = |record: &mut Record, at: &dyn Fn(u64) -> Instant| {
        record.dispatched(at(2));
        record.answered(200, at(10));
    };
    let gone = times(|record, at| {
        answered(record, at);
        record.gone(Some(at(14)), 20);
    });
    assert_eq!(gone, ["0.002", "0.008", "0.004"]);
    let never = times(|record, at| {
        answered(record, at);
        record.gone(None, 0);
    });
    assert_eq!(never, ["0.002", "0.008", "-1"]);
    let head_of_100 = |head: Option<Instant>, content_bytes| {
        move |record: &mut Record| {
            record.sent_bytes = 100;
            record.gone(head, content_bytes);
        }
    };
    let now = Instant::now();
    let broken_off = |record: &mut Record| {
        record.failed(Reason::TargetClosed);
        head_of_100(None, 0)(record);
    };
    assert_eq!(field_of(9, broken_off), "-", "a target ended it before its head had gone");
    for (field, gone, never) in [(12, "120", "0"), (9, "200", "460")] {
        assert_eq!(field_of(field, head_of_100(Some(now), 20)), gone);
        assert_eq!(field_of(field, head_of_100(None, 0)), never);
    }
}

#[test]
fn fields_9_10_and_27_are_the_statuses() {
    assert_eq!(field_of(9, |record| record.elb_status = Some(502)), "502");
    assert_eq!(field_of(9, |record| record.elb_status = None), "-");
    // The client left: what it was told, or what ALB says it would have been.
    let left = |record: &mut Record| {
        record.elb_status = None;
        record.failed(Reason::ClientClosed);
    };
    assert_eq!(field_of(9, left), "460");
    let mut unread = asked(Instant::now(), GET.as_bytes());
    left(&mut unread);
    assert_eq!(unread.elb_status, Some(400), "nothing went to a target");
    let mut taken_back = asked(Instant::now(), GET.as_bytes());
    taken_back.taken_back();
    taken_back.failed(Reason::ClientClosed);
    assert_eq!(taken_back.elb_status, Some(460), "it was whole, and waited for a target");
    let cut_short = |record: &mut Record| {
        record.cut_short();
        record.failed(Reason::ClientClosed);
    };
    assert_eq!(field_of(9, cut_short), "400", "it had not sent its whole content");
    let while_answered = |sent_bytes| {
        move |record: &mut Record| {
            record.sent_bytes = sent_bytes;
            record.not_passed_on();
            record.failed(Reason::ClientClosed);
        }
    };
    assert_eq!([field_of(9, while_answered(1)), field_of(9, while_answered(0))], ["200", "460"]);
    let now = Instant::now();
    assert_eq!(field_of(10, |record| record.answered(404, now)), "404");
    assert_eq!(field_of(27, |record| record.answered(404, now)), "\"404\"");
    let head = GET.as_bytes();
    assert_eq!(field_asked(10, entrance(), head), "-");
    assert_eq!(field_asked(27, entrance(), head), "\"-\"");
}

#[test]
fn fields_11_and_12_are_bytes() {
    assert_eq!(field_of(11, |record| record.received_bytes = u64::MAX), "18446744073709551615");
    assert_eq!(field_of(12, |record| record.sent_bytes = 0), "0");
}

#[test]
fn field_13_is_the_request_line_as_it_was_sent() {
    let head = |line: &str, rest: &str| format!("{line}\r\n{rest}\r\n").into_bytes();
    let (on_443, on_8443) = (entrance(), Entrance { tls: false, port: 8443, ..entrance() });
    for (entrance, line, rest, logged) in [
        (on_443, "GET / HTTP/1.1", "Host: a\r\n", "GET https://a:443/ HTTP/1.1"),
        (on_8443, "GET / HTTP/1.1", "Host: a\r\n", "GET http://a:8443/ HTTP/1.1"),
        (on_443, "get /?q HTTP/1.0", "", "get https://198.51.100.4:443/?q HTTP/1.0"),
        (
            on_443,
            "PUT /A%2f..//b HTTP/1.1",
            "Host: Ex.COM\r\n",
            "PUT https://Ex.COM:443/A%2f..//b HTTP/1.1",
        ),
        (on_443, "GET / HTTP/1.1", "Host: a:8080\r\n", "GET https://a:8080/ HTTP/1.1"),
        (on_443, "GET / HTTP/1.1", "Host: a:\r\n", "GET https://a:443/ HTTP/1.1"),
        (on_443, "GET / HTTP/1.1", "Host: [::1]\r\n", "GET https://[::1]:443/ HTTP/1.1"),
        (on_443, "GET http://b/x HTTP/1.1", "Host: a\r\n", "GET http://b/x HTTP/1.1"),
        (on_443, "OPTIONS * HTTP/1.1", "Host: a\r\n", "OPTIONS https://a:443* HTTP/1.1"),
        (on_443, "GET /\"\\ HTTP/1.1", "Host: a\r\n", r"GET https://a:443/\x22\x5C HTTP/1.1"),
        // What a target got in another form.
        (on_443, "GET /a b HTTP/1.1", "Host: a\r\n", r"GET https://a:443/a\x20b HTTP/1.1"),
        (on_443, "GET  /a  HTTP/1.7 ", "Host: a\r\n", "GET https://a:443/a HTTP/1.7"),
        (on_443, "GET /\u{e5} HTTP/1.1", "Host: a\r\n", r"GET https://a:443/\xC3\xA5 HTTP/1.1"),
        (on_443, "GET /a HTTP/1.1", "Host: a\r\n: b\r\n", "GET https://a:443/a HTTP/1.1"),
        (on_443, "GET http://b/x y HTTP/1.1", "Host: a\r\n", r"GET http://b/x\x20y HTTP/1.1"),
        // What could not be read.
        (on_443, "GET /x", "", "GET https://198.51.100.4:443/x -"),
        (on_443, "\x16\x03\x01", "", r"\x16\x03\x01 https://198.51.100.4:443- -"),
        (on_443, "GET / HTTP/9.9", "Host: a\r\n", "GET https://198.51.100.4:443/ HTTP/9.9"),
    ] {
        let head = head(line, rest);
        assert_eq!(field_asked(13, entrance, &head), format!("\"{logged}\""), "{line}");
    }
    let mapped = Entrance { address: "::ffff:192.0.2.1".parse().unwrap(), ..entrance() };
    let head = head("GET / HTTP/1.0", "");
    assert_eq!(field_asked(13, mapped, &head), "\"GET https://192.0.2.1:443/ HTTP/1.0\"");
}

#[test]
fn field_14_is_the_first_user_agent_cut_at_8_kb() {
    let agent = |lines: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        field_asked(14, entrance(), head.as_bytes())
    };
    assert_eq!(agent(""), "\"-\"");
    assert_eq!(agent("User-Agent:\r\n"), "\"\"");
    assert_eq!(agent("user-agent: Mozilla/5.0 (X11)\r\n"), "\"Mozilla/5.0 (X11)\"");
    assert_eq!(agent("User-Agent: a\"b\r\nUser-Agent: c\r\n"), r#""a\x22b""#);
    let long = "x".repeat(LOGGED_USER_AGENT_BYTES_MAX + 1);
    let cut = &long[1..];
    assert_eq!(agent(&format!("User-Agent: {cut}\r\n")), format!("\"{cut}\""));
    assert_eq!(agent(&format!("User-Agent: {long}\r\n")), format!("\"{cut}\""));
}

#[test]
fn fields_15_and_16_are_openssls_names() {
    assert_eq!(field_of(15, |_| {}), "TLS_AES_128_GCM_SHA256");
    assert_eq!(field_of(16, |_| {}), "TLSv1.3");
    for number in [15, 16] {
        assert_eq!(field_on(number, |connection| connection.tls = None), "-");
    }
}

#[test]
fn field_17_is_the_target_group() {
    let orders = arn::target_group("orders");
    assert_eq!(field_of(17, |record| record.is_for(&orders)), *orders);
    assert_eq!(field_asked(17, entrance(), GET.as_bytes()), "-");
}

#[test]
fn field_18_is_the_trace_id_of_what_could_be_read() {
    let trace_id = "\"Root=1-6740a1b0-0123456789abcdef01234567\"";
    assert_eq!(field_asked(18, entrance(), GET.as_bytes()), trace_id);
    assert_eq!(field_asked(18, entrance(), b"GET\r\n\r\n"), "\"-\"");
}

#[test]
fn fields_19_and_20_are_the_name_and_the_certificate_for_it() {
    let on = |tls: Option<Tls<'static>>| {
        [19, 20].map(|number| field_on(number, |connection| connection.tls = tls))
    };
    let api = "\"arn:aws:acm:::certificate/api\"";
    assert_eq!(on(Some(tls())), ["\"api.example.com\"", api]);
    let default = Tls { is_for_name: false, ..tls() };
    assert_eq!(on(Some(default)), ["\"-\"", api], "the default for want of a better");
    let nameless = Tls { server_name: None, is_for_name: false, ..tls() };
    assert_eq!(on(Some(nameless)), ["\"-\"", api]);
    let resumed = Tls { resumed: true, ..tls() };
    assert_eq!(on(Some(resumed)), ["\"api.example.com\"", "\"session-reused\""]);
    assert_eq!(on(None), ["\"-\"", "\"-\""]);
}

#[test]
fn field_21_is_the_rule() {
    for (priority, logged) in
        [(Some(50_000), "50000"), (Some(0), "0"), (Some(-1), "-1"), (None, "-")]
    {
        assert_eq!(field_of(21, |record| record.matched_rule_priority = priority), logged);
    }
}

#[test]
fn field_23_is_the_action() {
    for (action, logged) in [
        (Some(Executed::Forward), "\"forward\""),
        (Some(Executed::FixedResponse), "\"fixed-response\""),
        (None, "\"-\""),
    ] {
        assert_eq!(field_of(23, |record| record.action = action), logged);
    }
}

#[test]
fn fields_24_and_25_are_those_of_redirects_and_of_actions_that_fail() {
    for number in [24, 25] {
        assert_eq!(field_of(number, |_| {}), "\"-\"");
    }
}

#[test]
fn fields_28_and_29_are_the_desync_class() {
    let ambiguous = Some(ClassReason::BothTeClPresent);
    assert_eq!(field_of(28, |record| record.classification = ambiguous), "\"Ambiguous\"");
    assert_eq!(field_of(29, |record| record.classification = ambiguous), "\"BothTeClPresent\"");
    assert_eq!([field_of(28, |_| {}), field_of(29, |_| {})], ["\"-\"", "\"-\""]);
}

#[test]
fn field_30_joins_the_line_of_the_connection() {
    assert_eq!(field_of(30, |_| {}), "TID_0f1e2d3c4b5a69788796a5b4c3d2e1f0");
}

#[test]
fn fields_31_to_33_are_those_of_transforms() {
    for number in [31, 32, 33] {
        assert_eq!(field_of(number, |_| {}), "\"-\"");
    }
}

#[test]
fn field_34_is_the_nodes_address() {
    for (address, logged) in [
        ("198.51.100.4", "198.51.100.4"),
        ("2001:db8::4", "2001:db8::4"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(field_on(34, |connection| connection.address = address), logged);
    }
}

/// What a client can put into a line: every byte, and lines that would forge fields, or lines.
fn hostile() -> Vec<Vec<u8>> {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let forged = format!("x HTTP/1.1\" \"y\" - - - \"-\" 0\n{EXAMPLE}");
    [&every_byte[..], forged.as_bytes(), EXAMPLE.as_bytes(), b"\"", b"\\", b"\n", b" ", b"- -", b""]
        .map(<[u8]>::to_vec)
        .to_vec()
}

/// Bytes as the log has them back, once its escapes are undone.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((byte, behind)) = rest.split_first() {
        if *byte == b'\\' {
            let digits = std::str::from_utf8(&behind[1..3]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &behind[3..];
        } else {
            bytes.push(*byte);
            rest = behind;
        }
    }
    bytes
}

/// Goal: no client forges a field or a line. Method: every field that a client fills gets every byte.
#[test]
fn hostile_bytes_stay_in_their_column_and_come_back_whole() {
    let athena = Regex::new(ATHENA).unwrap();
    for bytes in hostile() {
        let mut record = served(Instant::now());
        record.say(&bytes);
        let name = String::from_utf8_lossy(&bytes).into_owned();
        let tls = Tls { server_name: Some(&name), certificate: Some(&name), ..tls() };
        let connection = Connection { tls: Some(tls), ..connection() };
        let line = written(&record, connection, Form::Alb);
        assert!(line.bytes().all(|byte| (0x20..=0x7e).contains(&byte)), "{line}");
        assert_eq!(fields(&line).len(), 34);
        let columns = athena.captures(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        let sent = |absent: &'static [u8]| if bytes.is_empty() { absent } else { &bytes };
        for (column, expected) in [
            (15, sent(b"-")),
            (16, sent(b"-")),
            (17, sent(b"-")),
            (18, &bytes),
            (22, &bytes),
            (23, name.as_bytes()),
            (28, b"-"),
        ] {
            assert_eq!(unescaped(&columns[column]), expected, "column {column}: {line}");
        }
        let certificate = [b"arn:aws:acm:::certificate/", name.as_bytes()].concat();
        assert_eq!(unescaped(&columns[24]), certificate, "{line}");
        assert_eq!(&columns[34], b"TID_0f1e2d3c4b5a69788796a5b4c3d2e1f0");
        assert_eq!(&columns[35], b" \"-\" \"-\" \"-\" 198.51.100.4");

        let json = written(&record, connection, Form::Json);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        for field in ["request_verb", "request_url", "request_proto", "user_agent", "trace_id"] {
            assert_eq!(value[field], String::from_utf8_lossy(&bytes).as_ref(), "{field}");
        }
    }
}

#[test]
fn the_json_form_has_the_same_fields_and_more() {
    let mut record = served(Instant::now());
    record.reason = Some("target_closed");
    assert_eq!(written(&record, connection(), Form::Json), EXAMPLE_IN_JSON);
}

#[test]
fn the_json_form_has_null_for_what_is_absent() {
    let record = Record::new(entrance(), CREATED, Instant::now());
    let connection = Connection { tls: None, ..connection() };
    let value: serde_json::Value =
        serde_json::from_str(&written(&record, connection, Form::Json)).unwrap();
    let present = value.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    let present: Vec<_> = present.map(|(key, _)| key.as_str()).collect();
    let whose = ["type", "time", "elb", "client_ip", "client_port"];
    let what = ["received_bytes", "sent_bytes", "request_creation_time", "conn_trace_id"];
    assert_eq!(present, [&whose[..], &what, &["ip_address", "listener", "generation"]].concat());
}
