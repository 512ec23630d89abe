//! ALB's attributes: of the load balancer, of listeners, of target groups.
//!
//! A key of ALB's that this build has no code for is taken at its default, which is what happens without
//! it, and is a fault at any other value. Source: `alb-contract.md`, sections 4.1, 5.1 and 5.2.
mod unbuilt;

use crate::config::written::{self, Protocol, Scalar, ServerHeader};
use crate::config::{Faults, defaults};
use crate::http::attributes::{Attributes, ForwardedFor, ServerName};
use crate::http::{desync, identity, is_token};
use crate::limits::RESPONSE_HEADER_VALUE_BYTES_MAX;
use crate::net;
use crate::tls::server::Protocols;
use std::str::FromStr;
use std::time::Duration;

/// What holds for all listeners.
#[derive(Clone, Debug)]
pub(super) struct Balancer {
    pub(super) idle_timeout: Duration,
    pub(super) client_keep_alive: Duration,
    pub(super) steering: net::Steering,
    pub(super) protocols: Protocols,
    /// Header rules, as far as they are not the listener's.
    http: Attributes,
}

/// The section `load_balancer`, and how connections are spread.
pub(super) fn balancer(
    written: &written::LoadBalancer,
    steering: net::Steering,
    faults: &mut Faults,
) -> Balancer {
    let mut balancer = Balancer {
        idle_timeout: defaults::IDLE_TIMEOUT,
        client_keep_alive: defaults::CLIENT_KEEP_ALIVE,
        steering,
        protocols: Protocols::default(),
        http: Attributes::default(),
    };
    let http = &mut balancer.http;
    http.server = match written.server_header {
        ServerHeader::Portcullis => ServerName::Portcullis,
        ServerHeader::Alb => ServerName::Alb,
    };
    let mut client_port = false;
    each(&written.attributes, faults, |key, value, faults| {
        match key {
            IDLE_TIMEOUT => set(&mut balancer.idle_timeout, seconds(value, 1, 4_000), faults),
            CLIENT_KEEP_ALIVE => {
                set(&mut balancer.client_keep_alive, seconds(value, 60, 604_800), faults);
            }
            HTTP2 => set(
                &mut balancer.protocols,
                parsed(value).map(|on| if on { Protocols::Http2 } else { Protocols::Http1 }),
                faults,
            ),
            PRESERVE_HOST => set(&mut http.preserve_host, parsed(value), faults),
            XFF_MODE => set(&mut http.forwarded_for, forwarded_for(value), faults),
            XFF_CLIENT_PORT => set(&mut client_port, parsed(value), faults),
            DROP_INVALID => set(&mut http.drop_invalid_names, parsed(value), faults),
            DESYNC_MODE => set(&mut http.desync, desync_mode(value), faults),
            TLS_HEADERS => {
                set(&mut http.tls_version_and_cipher_suite, parsed(value), faults);
            }
            _ => unbuilt::judge(
                key,
                value,
                BALANCER_BUILT.iter().copied(),
                unbuilt::BALANCER,
                faults,
            ),
        };
    });
    // Under the other modes nothing is appended that could have a port.
    if client_port && http.forwarded_for == ForwardedFor::Append {
        http.forwarded_for = ForwardedFor::AppendWithPort;
    }
    balancer
}

/// The attributes of a listener, joined with those of the load balancer.
pub(super) fn listener(
    protocol: Protocol,
    written: &written::Attributes,
    balancer: &Balancer,
    faults: &mut Faults,
) -> Attributes {
    let mut attributes = balancer.http.clone();
    each(written, faults, |key, value, faults| {
        if let Some(name) = name_of(&mut attributes.names, key) {
            if protocol != Protocol::Https {
                faults.note_here("needs protocol: HTTPS");
            }
            return set(name, header_name(value), faults);
        }
        if let Some((_, name)) = RESPONSE_HEADERS.iter().find(|(own, _)| *own == key) {
            return match response_header(name, value, protocol) {
                Ok(()) if value.is_empty() => {}
                Ok(()) => attributes.inserted.add(name, value),
                Err(error) => faults.note_here(error),
            };
        }
        match key {
            SERVER_ENABLED => {
                let mut enabled = true;
                set(&mut enabled, parsed(value), faults);
                if !enabled {
                    attributes.server = ServerName::Hidden;
                }
            }
            _ => {
                let built = RESPONSE_HEADERS.iter().map(|(key, _)| *key);
                let built = LISTENER_BUILT.iter().copied().chain(built);
                unbuilt::judge(key, value, built, unbuilt::LISTENER, faults);
            }
        }
    });
    faults.within("attributes", |faults| distinct_names(&mut attributes.names, faults));
    attributes
}

/// The attributes of a target group: so far those that change nothing.
pub(super) fn target_group(written: &written::Attributes, faults: &mut Faults) {
    each(written, faults, |key, value, faults| {
        unbuilt::judge(key, value, [], unbuilt::TARGET_GROUP, faults);
    });
}

/// Looks at each attribute in its place.
fn each(
    written: &written::Attributes,
    faults: &mut Faults,
    mut look: impl FnMut(&str, &str, &mut Faults),
) {
    faults.within("attributes", |faults| {
        for (key, Scalar(value)) in written {
            faults.within(key, |faults| look(key, value, faults));
        }
    });
}

/// Takes a value, or notes why not.
fn set<T>(place: &mut T, value: Result<T, String>, faults: &mut Faults) {
    match value {
        Ok(value) => *place = value,
        Err(error) => faults.note_here(error),
    }
}

fn parsed(value: &str) -> Result<bool, String> {
    bool::from_str(value).map_err(|_| format!("\"{value}\" is not true or false"))
}

fn desync_mode(value: &str) -> Result<desync::Mode, String> {
    match value {
        "monitor" => Ok(desync::Mode::Monitor),
        "defensive" => Ok(desync::Mode::Defensive),
        "strictest" => Ok(desync::Mode::Strictest),
        _ => Err(format!("\"{value}\" is not monitor, defensive or strictest")),
    }
}

fn seconds(value: &str, min: u64, max: u64) -> Result<Duration, String> {
    let seconds = value.parse().ok().filter(|seconds| (min..=max).contains(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("\"{value}\" is not a whole number from {min} to {max}"))
}

/// The identity header that an attribute renames.
fn name_of<'a>(names: &'a mut identity::Names, key: &str) -> Option<&'a mut String> {
    let header = key.strip_prefix("routing.http.request.")?.strip_suffix(".header_name")?;
    let name = match header {
        "x_amzn_mtls_clientcert_serial_number" => &mut names.serial_number,
        "x_amzn_mtls_clientcert_issuer" => &mut names.issuer,
        "x_amzn_mtls_clientcert_subject" => &mut names.subject,
        "x_amzn_mtls_clientcert_validity" => &mut names.validity,
        "x_amzn_mtls_clientcert_leaf" => &mut names.leaf,
        "x_amzn_mtls_clientcert" => &mut names.chain,
        "x_amzn_tls_version" => &mut names.tls_version,
        "x_amzn_tls_cipher_suite" => &mut names.tls_cipher_suite,
        _ => return None,
    };
    Some(name)
}

/// A name that an identity header may have. It is removed from what clients send, so it must not be one
/// that HTTP works by.
fn header_name(value: &str) -> Result<String, String> {
    if !(1..=HEADER_NAME_BYTES_MAX).contains(&value.len()) || !value.bytes().all(is_token) {
        return Err(format!(
            "\"{value}\" is not a header name of 1 to {HEADER_NAME_BYTES_MAX} characters"
        ));
    }
    let name = identity::folded(value);
    if RESERVED.iter().any(|own| own.as_bytes() == &*name) || identity::is_like_framing(value) {
        return Err(format!("{value} is a header of HTTP itself or one that the node writes"));
    }
    Ok(value.to_owned())
}

/// Whether a response header may have this value; an empty one is the default, which sets none.
fn response_header(name: &str, value: &str, protocol: Protocol) -> Result<(), String> {
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"_ :;.,\\/'?!(){}[]@<>=-+*#&`|~^%".contains(&byte)
    };
    if let Some(byte) = value.bytes().find(|byte| !allowed(*byte)) {
        return Err(format!("\"{}\" cannot stand in it", byte.escape_ascii()));
    }
    if value.len() > RESPONSE_HEADER_VALUE_BYTES_MAX {
        return Err(format!("it is longer than {RESPONSE_HEADER_VALUE_BYTES_MAX} characters"));
    }
    // RFC 9113, section 8.2.1: "A field value MUST NOT start or end with an ASCII whitespace character".
    if value.trim() != value {
        return Err("it begins or ends with a blank".to_owned());
    }
    // RFC 6797, section 7.2: "An HSTS Host MUST NOT include the STS header field in HTTP responses
    // conveyed over non-secure transport."
    if name == STRICT_TRANSPORT_SECURITY && protocol != Protocol::Https && !value.is_empty() {
        return Err("needs protocol: HTTPS".to_owned());
    }
    Ok(())
}

fn forwarded_for(value: &str) -> Result<ForwardedFor, String> {
    match value {
        "append" => Ok(ForwardedFor::Append),
        "preserve" => Ok(ForwardedFor::Preserve),
        "remove" => Ok(ForwardedFor::Remove),
        _ => Err(format!("\"{value}\" is not append, preserve or remove")),
    }
}

/// Two identity headers of one name could not be told apart.
fn distinct_names(names: &mut identity::Names, faults: &mut Faults) {
    let mut taken: Vec<(Box<[u8]>, &str)> = Vec::new();
    for key in LISTENER_BUILT {
        let Some(name) = name_of(names, key) else { continue };
        let name = identity::folded(name);
        if let Some((_, other)) = taken.iter().find(|(taken, _)| *taken == name) {
            faults.note(key, format_args!("{other} has the same name"));
        }
        taken.push((name, key));
    }
}

const IDLE_TIMEOUT: &str = "idle_timeout.timeout_seconds";
const CLIENT_KEEP_ALIVE: &str = "client_keep_alive.seconds";
const HTTP2: &str = "routing.http2.enabled";
const PRESERVE_HOST: &str = "routing.http.preserve_host_header.enabled";
const DROP_INVALID: &str = "routing.http.drop_invalid_header_fields.enabled";
const XFF_MODE: &str = "routing.http.xff_header_processing.mode";
const XFF_CLIENT_PORT: &str = "routing.http.xff_client_port.enabled";
const TLS_HEADERS: &str = "routing.http.x_amzn_tls_version_and_cipher_suite.enabled";
const DESYNC_MODE: &str = "routing.http.desync_mitigation_mode";
const SERVER_ENABLED: &str = "routing.http.response.server.enabled";

const BALANCER_BUILT: &[&str] = &[
    IDLE_TIMEOUT,
    CLIENT_KEEP_ALIVE,
    HTTP2,
    PRESERVE_HOST,
    DROP_INVALID,
    XFF_MODE,
    XFF_CLIENT_PORT,
    TLS_HEADERS,
    DESYNC_MODE,
];

const LISTENER_BUILT: &[&str] = &[
    "routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name",
    "routing.http.request.x_amzn_mtls_clientcert_issuer.header_name",
    "routing.http.request.x_amzn_mtls_clientcert_subject.header_name",
    "routing.http.request.x_amzn_mtls_clientcert_validity.header_name",
    "routing.http.request.x_amzn_mtls_clientcert_leaf.header_name",
    "routing.http.request.x_amzn_mtls_clientcert.header_name",
    "routing.http.request.x_amzn_tls_version.header_name",
    "routing.http.request.x_amzn_tls_cipher_suite.header_name",
    SERVER_ENABLED,
];

/// Attributes that set a response header, and the header.
const RESPONSE_HEADERS: &[(&str, &str)] = &[
    (
        "routing.http.response.access_control_allow_credentials.header_value",
        "Access-Control-Allow-Credentials",
    ),
    (
        "routing.http.response.access_control_allow_headers.header_value",
        "Access-Control-Allow-Headers",
    ),
    (
        "routing.http.response.access_control_allow_methods.header_value",
        "Access-Control-Allow-Methods",
    ),
    (
        "routing.http.response.access_control_allow_origin.header_value",
        "Access-Control-Allow-Origin",
    ),
    (
        "routing.http.response.access_control_expose_headers.header_value",
        "Access-Control-Expose-Headers",
    ),
    ("routing.http.response.access_control_max_age.header_value", "Access-Control-Max-Age"),
    ("routing.http.response.content_security_policy.header_value", "Content-Security-Policy"),
    ("routing.http.response.strict_transport_security.header_value", STRICT_TRANSPORT_SECURITY),
    ("routing.http.response.x_content_type_options.header_value", "X-Content-Type-Options"),
    ("routing.http.response.x_frame_options.header_value", "X-Frame-Options"),
];

const STRICT_TRANSPORT_SECURITY: &str = "Strict-Transport-Security";

/// Headers that frame messages, route them, belong to one hop, or are written by the node; folded.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-amzn-trace-id",
    "x-forwarded-for",
    "x-forwarded-port",
    "x-forwarded-proto",
];

/// Ours; ALB names no number.
const HEADER_NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests;
