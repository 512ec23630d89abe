//! A line of the access log, as it burdens the shard that serves the request: noting what becomes of it,
//! writing it, and handing it over with others. Once for each request.
use crate::part::Part;
use portcullis::http::head;
use portcullis::observe::access_log::{Connection, Entrance, Executed, Line, Record, Tls};
use portcullis::observe::batch::Batch;
use portcullis::observe::sink::{Form, Log, LogKind, Sink, WhenFull};
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const HEAD: &[u8] = b"GET /v1/orders/17?expand=items HTTP/1.1\r\nHost: api.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n";

const TRACE_ID: &[u8] = b"Root=1-6740a1b0-0123456789abcdef01234567";

/// A request that was served, noted as a shard does it.
fn record(target_group: &str) -> Record {
    let entrance = Entrance { tls: true, address: Ipv4Addr::LOCALHOST.into(), port: 443 };
    let created = Duration::from_secs(1_795_169_472);
    let mut record = Record::new(entrance, created, Instant::now());
    let mut slots = head::slots();
    if let Ok(Some(request)) = head::request(black_box(HEAD), &mut slots) {
        record.asked(&request, TRACE_ID);
    }
    record.action = Some(Executed::Forward);
    record.matched_rule_priority = Some(0);
    record.is_for(target_group);
    record.chose(Some(SocketAddr::from(([10, 0, 0, 5], 8080))));
    record.dispatched(Instant::now());
    record.answered(200, Instant::now());
    record.passed_on(Instant::now());
    record.elb_status = Some(200);
    (record.received_bytes, record.sent_bytes) = (310, 912);
    record
}

fn line(record: &Record) -> Line<'_> {
    let tls = Tls {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        server_name: Some("api.example.com"),
        certificate: Some("api"),
        is_for_name: true,
        resumed: false,
    };
    let connection = Connection {
        client: SocketAddr::from(([203, 0, 113, 9], 40112)),
        address: Ipv4Addr::LOCALHOST.into(),
        elb: "app/edge/1234567890abcdef",
        tls: Some(tls),
        trace_id: [7; 16],
        listener: "https",
    };
    Line { record, connection, ended: Instant::now() }
}

pub fn parts() -> Vec<Part> {
    let group = portcullis::observe::arn::target_group("orders");
    let write = |form| {
        let (record, mut out) = (record(&group), Vec::with_capacity(4 * 1024));
        move || {
            out.clear();
            line(&record).write(form, &mut out);
            out.len()
        }
    };
    let (alb, json) = (write(Form::Alb), write(Form::Json));
    let hand_over = {
        let (record, log, mut batch) = (record(&group), log(), Batch::default());
        move || batch.add(&log, |out| line(&record).write(log.form, out))
    };
    vec![
        Part::same("access_log/record", move || record(&group)),
        Part::same("access_log/line", alb),
        Part::same("access_log/line_json", json),
        Part::same("access_log/hand_over", hand_over),
    ]
}

fn log() -> Arc<Log> {
    Arc::new(Log {
        kind: LogKind::Access,
        sink: Sink::open(Path::new("/dev/null")).expect("null(4)"),
        form: Form::Alb,
        elb: "app/edge/1234567890abcdef".into(),
        when_full: WhenFull::Drop,
        rotation: None,
    })
}
