//! One line of the connection log: one for each connection attempt.
//!
//! Pure. The shard that ends an attempt writes the line into a buffer and hands it to a
//! [`super::sink::Sink`]. Source: `alb-contract.md`, section 2.1.
use super::field::{Bare, Latency, OrDash, Quoted, Shown, TraceId};
use super::sink::Form;
use crate::calendar::{Micros, Seconds};
use crate::trust::Facts;
use std::fmt;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What the node knows of one connection attempt.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Time since 1970 at which it was established or failed.
    pub time: Duration,
    /// The client.
    pub client: SocketAddr,
    /// The listener's port.
    pub listener_port: u16,
    /// OpenSSL spellings; `None` when not TLS or not agreed.
    pub tls_protocol: Option<&'a str>,
    /// OpenSSL spelling.
    pub tls_cipher: Option<&'a str>,
    /// Time of a finished handshake.
    pub handshake: Option<Duration>,
    /// The leaf, where one was seen and could be read.
    pub leaf: Option<&'a Facts>,
    /// Verdict on TLS listeners: `Ok` is `Success`, `Err` is `Failed:<code>`. `None` without TLS.
    pub verify: Option<Result<(), &'static str>>,
    /// `conn_trace_id`, 16 random bytes.
    pub trace_id: [u8; 16],
    /// The named group.
    pub key_exchange: Option<&'a str>,
    /// `app/<name>/<id>`.
    pub elb: &'a str,
    /// The node's address that the client came to.
    pub address: IpAddr,
    /// JSON form only: whether a session was resumed.
    pub resumed: bool,
    /// JSON form only: the generation of the verdict.
    pub generation: u64,
    /// JSON form only: the server name.
    pub server_name: Option<&'a str>,
    /// JSON form only: the listener.
    pub listener: &'a str,
    /// JSON form only: why it failed, in a word of ours (`handshake_timeout`, `no_certificate`, ...).
    pub reason: Option<&'a str>,
}

impl Entry<'_> {
    /// Appends the line, ended by LF.
    pub fn write(&self, form: Form, out: &mut Vec<u8>) {
        let written = match form {
            Form::Alb => self.write_alb(out),
            Form::Json => {
                serde_json::to_writer(&mut *out, &self.record()).map_err(std::io::Error::from)
            }
        };
        debug_assert!(written.is_ok(), "a Vec takes all that is written: {written:?}");
        out.push(b'\n');
    }

    fn write_alb(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let leaf = self.leaf;
        write!(
            out,
            "{time} {client_ip} {client_port} {listener_port} {protocol} {cipher} {latency} \
             \"{subject}\" {validity} {serial} {verify} {trace_id} {group} {elb} {address}",
            time = Micros(self.time),
            client_ip = self.client.ip().to_canonical(),
            client_port = self.client.port(),
            listener_port = self.listener_port,
            protocol = Bare(self.tls_protocol.unwrap_or_default()),
            cipher = Bare(self.tls_cipher.unwrap_or_default()),
            latency = OrDash(self.handshake.map(Latency)),
            subject = Quoted(leaf.map_or("-", |leaf| &leaf.subject)),
            validity = OrDash(leaf.map(Validity)),
            serial = Bare(leaf.map_or("", |leaf| &leaf.serial_number)),
            verify = OrDash(self.verify.map(Verify)),
            trace_id = TraceId(self.trace_id),
            group = Bare(self.key_exchange.unwrap_or_default()),
            elb = Bare(self.elb),
            address = self.address.to_canonical(),
        )
    }

    fn record(&self) -> Record<'_> {
        Record {
            timestamp: Shown(Micros(self.time)),
            client_ip: self.client.ip().to_canonical(),
            client_port: self.client.port(),
            listener_port: self.listener_port,
            tls_protocol: self.tls_protocol,
            tls_cipher: self.tls_cipher,
            tls_handshake_latency: self.handshake.map(Latency),
            leaf_client_cert_subject: self.leaf.map(|leaf| &*leaf.subject),
            leaf_client_cert_validity: self.leaf.map(|leaf| Shown(Validity(leaf))),
            leaf_client_cert_serial_number: self.leaf.map(|leaf| &*leaf.serial_number),
            tls_verify_status: self.verify.map(|verify| Shown(Verify(verify))),
            conn_trace_id: Shown(TraceId(self.trace_id)),
            tls_keyexchange: self.key_exchange,
            elb: self.elb,
            ip_address: self.address.to_canonical(),
            resumed: self.resumed,
            generation: self.generation,
            listener: self.listener,
            server_name: self.server_name,
            reason: self.reason,
        }
    }
}

/// The JSON form. What is `-` in ALB's form is null here.
#[derive(serde::Serialize)]
struct Record<'a> {
    timestamp: Shown<Micros>,
    client_ip: IpAddr,
    client_port: u16,
    listener_port: u16,
    tls_protocol: Option<&'a str>,
    tls_cipher: Option<&'a str>,
    tls_handshake_latency: Option<Latency>,
    leaf_client_cert_subject: Option<&'a str>,
    leaf_client_cert_validity: Option<Shown<Validity<'a>>>,
    leaf_client_cert_serial_number: Option<&'a str>,
    tls_verify_status: Option<Shown<Verify>>,
    conn_trace_id: Shown<TraceId>,
    tls_keyexchange: Option<&'a str>,
    elb: &'a str,
    ip_address: IpAddr,
    resumed: bool,
    generation: u64,
    listener: &'a str,
    server_name: Option<&'a str>,
    reason: Option<&'a str>,
}

struct Validity<'a>(&'a Facts);

impl fmt::Display for Validity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [not_before, not_after] = [self.0.not_before, self.0.not_after]
            .map(|time| Seconds(Duration::from_secs(time.as_secs())));
        write!(f, "NotBefore={not_before};NotAfter={not_after}")
    }
}

struct Verify(Result<(), &'static str>);

impl fmt::Display for Verify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(()) => f.write_str("Success"),
            Err(code) => write!(f, "Failed:{code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;
    use rustls_pki_types::UnixTime;

    /// The expression of Athena's table definition; `alb-contract.md`, section 2.2.
    const ATHENA: &str = r#"^([^ ]*) ([^ ]*) ([0-9]*) ([0-9]*) ([A-Za-z0-9.-]*) ([^ ]*) ([-.0-9]*) "([^"]*)" ([^ ]*) ([^ ]*) ([^ ]*) ?([^ ]*)?( .*)?$"#;

    fn facts(subject: &str) -> Facts {
        Facts {
            serial_number: "03A5B1".to_owned(),
            issuer: "CN=Partners".to_owned(),
            subject: subject.to_owned(),
            not_before: UnixTime::since_unix_epoch(Duration::from_secs(1_767_323_045)),
            not_after: UnixTime::since_unix_epoch(Duration::from_secs(1_798_859_045)),
        }
    }

    fn accepted(leaf: &Facts) -> Entry<'_> {
        Entry {
            time: Duration::new(1_795_169_472, 345_678_000),
            client: "203.0.113.9:40112".parse().unwrap(),
            listener_port: 443,
            tls_protocol: Some("TLSv1.3"),
            tls_cipher: Some("TLS_AES_128_GCM_SHA256"),
            handshake: Some(Duration::from_micros(21_400)),
            leaf: Some(leaf),
            verify: Some(Ok(())),
            trace_id: 0x0f1e_2d3c_4b5a_6978_8796_a5b4_c3d2_e1f0_u128.to_be_bytes(),
            key_exchange: Some("X25519MLKEM768"),
            elb: "app/edge/1234567890abcdef",
            address: "198.51.100.4".parse().unwrap(),
            resumed: true,
            generation: 7,
            server_name: Some("api.example.com"),
            listener: "https",
            reason: None,
        }
    }

    /// An attempt on an HTTP listener, or one that ended before TLS was agreed.
    fn plain() -> Entry<'static> {
        Entry {
            time: Duration::new(1_795_169_474, 1_000),
            client: "[2001:db8::1]:40114".parse().unwrap(),
            listener_port: 80,
            tls_protocol: None,
            tls_cipher: None,
            handshake: None,
            leaf: None,
            verify: None,
            trace_id: [0; 16],
            key_exchange: None,
            elb: "app/edge/1234567890abcdef",
            address: "2001:db8::2".parse().unwrap(),
            resumed: false,
            generation: 1,
            server_name: None,
            listener: "http",
            reason: None,
        }
    }

    fn line(entry: &Entry<'_>, form: Form) -> String {
        let mut out = Vec::new();
        entry.write(form, &mut out);
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line.find('\n'), Some(line.len() - 1), "one line: {line}");
        line.trim_end().to_owned()
    }

    #[test]
    fn an_accepted_client_is_logged_as_alb_does() {
        assert_eq!(
            line(&accepted(&facts("CN=device-17,O=Example,C=NO")), Form::Alb),
            "2026-11-20T10:11:12.345678Z 203.0.113.9 40112 443 TLSv1.3 TLS_AES_128_GCM_SHA256 0.021 \
             \"CN=device-17,O=Example,C=NO\" \
             NotBefore=2026-01-02T03:04:05Z;NotAfter=2027-01-02T03:04:05Z 03A5B1 Success \
             TID_0f1e2d3c4b5a69788796a5b4c3d2e1f0 X25519MLKEM768 app/edge/1234567890abcdef 198.51.100.4"
        );
    }

    #[test]
    fn a_refused_client_is_logged_with_its_reason_code() {
        let leaf = facts("CN=device-18");
        let refused =
            Entry { verify: Some(Err("ClientCertExpired")), handshake: None, ..accepted(&leaf) };
        let line = line(&refused, Form::Alb);
        assert!(line.contains(" TLS_AES_128_GCM_SHA256 - \"CN=device-18\" "), "{line}");
        assert!(line.contains(" 03A5B1 Failed:ClientCertExpired TID_"), "{line}");
    }

    #[test]
    fn what_is_absent_is_a_dash() {
        assert_eq!(
            line(&plain(), Form::Alb),
            "2026-11-20T10:11:14.000001Z 2001:db8::1 40114 80 - - - \"-\" - - - \
             TID_00000000000000000000000000000000 - app/edge/1234567890abcdef 2001:db8::2"
        );
    }

    #[test]
    fn an_ipv4_client_of_a_listener_for_both_families_has_its_ipv4_address() {
        let client = "[::ffff:203.0.113.9]:40112".parse().unwrap();
        let address = "::ffff:198.51.100.4".parse().unwrap();
        let line = line(&Entry { client, address, ..plain() }, Form::Alb);
        assert!(line.contains("Z 203.0.113.9 40112 80 "), "{line}");
        assert!(line.ends_with(" 198.51.100.4"), "{line}");
    }

    #[test]
    fn every_byte_of_a_hostile_subject_stays_in_its_column() {
        let athena = Regex::new(ATHENA).unwrap();
        let every_character: String = (0..=0x2ff).filter_map(char::from_u32).collect();
        let forged = "CN=x\" - - Success TID_0\n2026-11-20T10:11:12Z 198.51.100.9 1 443";
        for subject in [forged, &every_character, "", "\\", "\"", "CN=a\\,b \\\"c\\\""] {
            let leaf = facts(subject);
            let line = line(&accepted(&leaf), Form::Alb);
            let columns = athena.captures(&line).unwrap_or_else(|| panic!("{line}"));
            assert!(line.bytes().all(|byte| (0x20..=0x7e).contains(&byte)), "{line}");
            assert_eq!(&columns[8], Quoted(subject).to_string());
            assert_eq!(&columns[10], "03A5B1");
            assert_eq!(&columns[11], "Success");
            assert_eq!(&columns[13], " X25519MLKEM768 app/edge/1234567890abcdef 198.51.100.4");
        }
    }

    #[test]
    fn an_unquoted_field_never_holds_a_space() {
        let mut leaf = facts("CN=a");
        leaf.serial_number = "0 1".to_owned();
        let entry = Entry { elb: "app/an edge/1", tls_cipher: Some(""), ..accepted(&leaf) };
        let line = line(&entry, Form::Alb);
        assert_eq!(line.split(' ').count(), 15, "{line}");
    }

    #[test]
    fn the_json_form_has_the_same_fields_and_more() {
        let leaf = facts("CN=\"å\n");
        let entry = Entry { reason: Some("no_certificate"), ..accepted(&leaf) };
        let line = line(&entry, Form::Json);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "timestamp": "2026-11-20T10:11:12.345678Z",
            "client_ip": "203.0.113.9",
            "client_port": 40112,
            "listener_port": 443,
            "tls_protocol": "TLSv1.3",
            "tls_cipher": "TLS_AES_128_GCM_SHA256",
            "tls_handshake_latency": 0.021,
            "leaf_client_cert_subject": "CN=\"å\n",
            "leaf_client_cert_validity":
                "NotBefore=2026-01-02T03:04:05Z;NotAfter=2027-01-02T03:04:05Z",
            "leaf_client_cert_serial_number": "03A5B1",
            "tls_verify_status": "Success",
            "conn_trace_id": "TID_0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "tls_keyexchange": "X25519MLKEM768",
            "elb": "app/edge/1234567890abcdef",
            "ip_address": "198.51.100.4",
            "resumed": true,
            "generation": 7,
            "listener": "https",
            "server_name": "api.example.com",
            "reason": "no_certificate",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn the_json_form_has_null_for_what_is_absent() {
        let value: serde_json::Value = serde_json::from_str(&line(&plain(), Form::Json)).unwrap();
        for field in ["tls_protocol", "tls_handshake_latency", "leaf_client_cert_subject", "reason"]
        {
            assert!(value[field].is_null(), "{field}");
        }
    }
}
