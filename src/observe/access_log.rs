//! One line of the access log: one for each request.
//!
//! Pure. A shard notes in a [`Record`] what becomes of a request and writes its line at the end, for
//! a [`super::sink::Sink`]. Source: `alb-contract.md`, section 2.2.
mod record;

pub use record::{Entrance, Executed, Kind, Record};

use super::arn;
use super::field::{Bare, Latency, Lossy, OrDash, Quoted, Shown, TraceId};
use super::sink::Form;
use crate::calendar::Micros;
use crate::http::desync::ClassReason;
use std::fmt::{self, Display};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// A request whose line is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// What became of it.
    pub record: &'a Record,
    /// What it came by.
    pub connection: Connection<'a>,
    /// When it was over.
    pub ended: Instant,
}

/// What all requests of a connection share.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// The client.
    pub client: SocketAddr,
    /// The node's address that the client came to.
    pub address: IpAddr,
    /// `app/<name>/<id>`.
    pub elb: &'a str,
    /// What was agreed on in its handshake; none without TLS.
    pub tls: Option<Tls<'a>>,
    /// `conn_trace_id`, as in the line of the connection.
    pub trace_id: [u8; 16],
    /// JSON form only: the listener.
    pub listener: &'a str,
}

/// The handshake of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Tls<'a> {
    /// OpenSSL spelling.
    pub protocol: &'a str,
    /// OpenSSL spelling.
    pub cipher: &'a str,
    /// The server name that the client gave.
    pub server_name: Option<&'a str>,
    /// The certificate that it was shown.
    pub certificate: Option<&'a str>,
    /// Whether that one answers for the name, and was not the default for want of a better.
    pub is_for_name: bool,
    /// Whether its session was resumed, so that no certificate was shown.
    pub resumed: bool,
}

impl<'a> Tls<'a> {
    fn domain_name(self) -> Option<&'a str> {
        self.server_name.filter(|_| self.is_for_name)
    }

    fn chosen_certificate(self) -> Option<Chosen<'a>> {
        if self.resumed { Some(Chosen::Reused) } else { self.certificate.map(Chosen::Named) }
    }
}

/// The `chosen_cert_arn` of a TLS connection.
#[derive(Clone, Copy)]
enum Chosen<'a> {
    Reused,
    Named(&'a str),
}

impl Display for Chosen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reused => f.write_str("session-reused"),
            Self::Named(name) => arn::Certificate(name).fmt(f),
        }
    }
}

impl Line<'_> {
    /// Appends the line, ended by LF.
    pub fn write(&self, form: Form, out: &mut Vec<u8>) {
        let written = match form {
            Form::Alb => self.write_alb(out),
            Form::Json => {
                serde_json::to_writer(&mut *out, &self.fields()).map_err(std::io::Error::from)
            }
        };
        debug_assert!(written.is_ok(), "a Vec takes all that is written: {written:?}");
        out.push(b'\n');
    }

    fn write_alb(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let Self { record, connection, .. } = self;
        let target = OrDash(record.target());
        let target_status = OrDash(record.target_status());
        let (class, class_reason) = words(record.classification);
        write!(
            out,
            "{kind} {time} {elb} {client} {target} {request_time} {target_time} {response_time} \
             {elb_status} {target_status} {received} {sent} \"{method} {url} {version}\" \
             \"{user_agent}\" {cipher} {protocol} {target_group} \"{trace_id}\" \"{domain_name}\" \
             \"{certificate}\" {priority} {created} \"{action}\" \"-\" \"-\" \
             \"{target}\" \"{target_status}\" \"{class}\" \"{class_reason}\" {connection_id} \
             \"-\" \"-\" \"-\" {address}",
            kind = record.kind.word(),
            time = Micros(self.time()),
            elb = Bare(connection.elb),
            client = self.client(),
            request_time = Time(record.request_time()),
            target_time = Time(record.target_time()),
            response_time = Time(record.response_time()),
            elb_status = OrDash(record.elb_status),
            received = record.received_bytes,
            sent = record.sent_bytes,
            method = Bare(record.method().unwrap_or_default()),
            url = Bare(record.url().unwrap_or_default()),
            version = Bare(record.version().unwrap_or_default()),
            user_agent = Quoted(record.user_agent().unwrap_or(b"-")),
            cipher = Bare(connection.tls.map_or("", |tls| tls.cipher)),
            protocol = Bare(connection.tls.map_or("", |tls| tls.protocol)),
            target_group = Bare(record.target_group().unwrap_or_default()),
            trace_id = Quoted(record.trace_id().unwrap_or(b"-")),
            domain_name = Quoted(connection.tls.and_then(Tls::domain_name).unwrap_or("-")),
            certificate = OrDash(connection.tls.and_then(Tls::chosen_certificate)),
            priority = OrDash(record.matched_rule_priority),
            created = Micros(record.created()),
            action = OrDash(record.action.map(Executed::word)),
            class = OrDash(class),
            class_reason = OrDash(class_reason),
            connection_id = TraceId(connection.trace_id),
            address = connection.address.to_canonical(),
        )
    }

    /// When the request was over, on the clock by which it began.
    fn time(&self) -> Duration {
        self.record.created().saturating_add(self.record.lasted(self.ended))
    }

    /// An IPv4 client of a listener for both families is known by its IPv4 address.
    fn client(&self) -> SocketAddr {
        let client = self.connection.client;
        SocketAddr::new(client.ip().to_canonical(), client.port())
    }

    fn fields(&self) -> Fields<'_> {
        let Self { record, connection, .. } = self;
        let (client, tls) = (self.client(), connection.tls);
        let (classification, classification_reason) = words(record.classification);
        Fields {
            kind: record.kind.word(),
            time: Shown(Micros(self.time())),
            elb: connection.elb,
            client_ip: client.ip(),
            client_port: client.port(),
            target_ip: record.target().map(|target| target.ip()),
            target_port: record.target().map(|target| target.port()),
            request_processing_time: record.request_time().map(Latency),
            target_processing_time: record.target_time().map(Latency),
            response_processing_time: record.response_time().map(Latency),
            elb_status_code: record.elb_status,
            target_status_code: record.target_status(),
            received_bytes: record.received_bytes,
            sent_bytes: record.sent_bytes,
            request_verb: record.method().map(Lossy),
            request_url: record.url().map(Lossy),
            request_proto: record.version().map(Lossy),
            user_agent: record.user_agent().map(Lossy),
            ssl_cipher: tls.map(|tls| tls.cipher),
            ssl_protocol: tls.map(|tls| tls.protocol),
            target_group_arn: record.target_group().map(Lossy),
            trace_id: record.trace_id().map(Lossy),
            domain_name: tls.and_then(Tls::domain_name),
            chosen_cert_arn: tls.and_then(Tls::chosen_certificate).map(Shown),
            matched_rule_priority: record.matched_rule_priority,
            request_creation_time: Shown(Micros(record.created())),
            actions_executed: record.action.map(Executed::word),
            redirect_url: None,
            error_reason: None,
            target_port_list: record.target().map(Shown),
            target_status_code_list: record.target_status().map(Shown),
            classification,
            classification_reason,
            conn_trace_id: Shown(TraceId(connection.trace_id)),
            transformed_host: None,
            transformed_uri: None,
            request_transform_status: None,
            ip_address: connection.address.to_canonical(),
            listener: connection.listener,
            generation: record.generation,
            server_name: tls.and_then(|tls| tls.server_name),
            reason: record.reason,
        }
    }
}

/// ALB's words for a desync class and the reason for it.
fn words(reason: Option<ClassReason>) -> (Option<&'static str>, Option<&'static str>) {
    reason.map(|reason| (reason.class().word(), reason.word())).unzip()
}

/// The JSON form. What is `-` or -1 for want of a value in ALB's form is null here.
#[derive(serde::Serialize)]
struct Fields<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    time: Shown<Micros>,
    elb: &'a str,
    client_ip: IpAddr,
    client_port: u16,
    target_ip: Option<IpAddr>,
    target_port: Option<u16>,
    request_processing_time: Option<Latency>,
    target_processing_time: Option<Latency>,
    response_processing_time: Option<Latency>,
    elb_status_code: Option<u16>,
    target_status_code: Option<u16>,
    received_bytes: u64,
    sent_bytes: u64,
    request_verb: Option<Lossy<'a>>,
    request_url: Option<Lossy<'a>>,
    request_proto: Option<Lossy<'a>>,
    user_agent: Option<Lossy<'a>>,
    ssl_cipher: Option<&'a str>,
    ssl_protocol: Option<&'a str>,
    target_group_arn: Option<Lossy<'a>>,
    trace_id: Option<Lossy<'a>>,
    domain_name: Option<&'a str>,
    chosen_cert_arn: Option<Shown<Chosen<'a>>>,
    matched_rule_priority: Option<i32>,
    request_creation_time: Shown<Micros>,
    actions_executed: Option<&'a str>,
    redirect_url: Option<&'a str>,
    error_reason: Option<&'a str>,
    target_port_list: Option<Shown<SocketAddr>>,
    target_status_code_list: Option<Shown<u16>>,
    classification: Option<&'a str>,
    classification_reason: Option<&'a str>,
    conn_trace_id: Shown<TraceId>,
    transformed_host: Option<&'a str>,
    transformed_uri: Option<&'a str>,
    request_transform_status: Option<&'a str>,
    ip_address: IpAddr,
    listener: &'a str,
    generation: u64,
    server_name: Option<&'a str>,
    reason: Option<&'a str>,
}

/// A processing time, or the -1 of what was not processed.
struct Time(Option<Duration>);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => Latency(time).fmt(f),
            None => f.write_str("-1"),
        }
    }
}

#[cfg(test)]
mod tests;
