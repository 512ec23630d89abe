//! ALB's attributes: of the load balancer, of listeners, of target groups.
//!
//! A key of ALB's that this build has no code for is taken at its default, which is what happens without
//! it, and is a fault at any other value. Source: `alb-contract.md`, sections 4.1, 5.1 and 5.2.
use crate::config::nearest::nearest;
use crate::config::written::{self, Protocol, Scalar, ServerHeader};
use crate::config::{Faults, defaults, later};
use crate::http::attributes::{Attributes, ServerName};
use crate::http::{desync, identity};
use crate::net;
use std::str::FromStr;
use std::time::Duration;

/// What holds for all listeners.
#[derive(Clone, Debug)]
pub(super) struct Balancer {
    pub(super) idle_timeout: Duration,
    pub(super) client_keep_alive: Duration,
    pub(super) steering: net::Steering,
    preserve_host: bool,
    xff_client_port: bool,
    tls_version_and_cipher_suite: bool,
    desync: desync::Mode,
    server: ServerName,
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
        preserve_host: false,
        xff_client_port: false,
        tls_version_and_cipher_suite: false,
        desync: desync::Mode::default(),
        server: match written.server_header {
            ServerHeader::Portcullis => ServerName::Portcullis,
            ServerHeader::Alb => ServerName::Alb,
        },
    };
    each(&written.attributes, faults, |key, value, faults| {
        match key {
            IDLE_TIMEOUT => set(&mut balancer.idle_timeout, seconds(value, 1, 4_000), faults),
            CLIENT_KEEP_ALIVE => {
                set(&mut balancer.client_keep_alive, seconds(value, 60, 604_800), faults);
            }
            PRESERVE_HOST => set(&mut balancer.preserve_host, parsed(value), faults),
            XFF_CLIENT_PORT => set(&mut balancer.xff_client_port, parsed(value), faults),
            TLS_HEADERS => {
                set(&mut balancer.tls_version_and_cipher_suite, parsed(value), faults);
            }
            DESYNC_MODE => set(&mut balancer.desync, desync_mode(value), faults),
            _ => not_built(key, value, BALANCER_BUILT, BALANCER_LATER, faults),
        };
    });
    balancer
}

/// The attributes of a listener, joined with those of the load balancer.
pub(super) fn listener(
    written: &written::Listener,
    balancer: &Balancer,
    faults: &mut Faults,
) -> Attributes {
    let mut attributes = Attributes {
        names: identity::Names::default(),
        preserve_host: balancer.preserve_host,
        xff_client_port: balancer.xff_client_port,
        tls_version_and_cipher_suite: balancer.tls_version_and_cipher_suite,
        desync: balancer.desync,
        server: balancer.server,
    };
    each(&written.attributes, faults, |key, value, faults| {
        if let Some(name) = name_of(&mut attributes.names, key) {
            if written.protocol != Protocol::Https {
                faults.note_here("needs protocol: HTTPS");
            }
            return set(name, header_name(value), faults);
        }
        match key {
            SERVER_ENABLED => {
                let mut enabled = true;
                set(&mut enabled, parsed(value), faults);
                if !enabled {
                    attributes.server = ServerName::Hidden;
                }
            }
            _ => not_built(key, value, LISTENER_BUILT, LISTENER_LATER, faults),
        }
    });
    faults.within("attributes", |faults| distinct_names(&mut attributes.names, faults));
    attributes
}

/// The attributes of a target group: so far those that change nothing.
pub(super) fn target_group(written: &written::Attributes, faults: &mut Faults) {
    each(written, faults, |key, value, faults| {
        not_built(key, value, &[], TARGET_GROUP_LATER, faults);
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

/// Judges a key that has no code here.
fn not_built(key: &str, value: &str, built: &[&str], later: &[(&str, &str)], faults: &mut Faults) {
    match later.iter().find(|(known, _)| *known == key) {
        Some((_, default)) if *default == value => {}
        Some((_, default)) => {
            let default = if default.is_empty() { "leaving it empty" } else { default };
            faults.note_here(format_args!(
                "{}; it works as with {default}",
                later::message(&format!("{key}: {value}"))
            ));
        }
        None => {
            let later = later.iter().map(|(known, _)| *known);
            match nearest(key, built.iter().copied().chain(later)) {
                Some(guess) => {
                    faults.note_here(format_args!("unknown attribute; did you mean {guess}?"));
                }
                None => faults.note_here("unknown attribute"),
            }
        }
    }
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
    // RFC 9110, section 5.6.2: a token.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !(1..=HEADER_NAME_BYTES_MAX).contains(&value.len()) || !value.bytes().all(token) {
        return Err(format!(
            "\"{value}\" is not a header name of 1 to {HEADER_NAME_BYTES_MAX} characters"
        ));
    }
    if RESERVED.contains(&folded(value).as_str()) {
        return Err(format!("{value} is a header of HTTP itself or one that the node writes"));
    }
    Ok(value.to_owned())
}

/// Two identity headers of one name could not be told apart.
fn distinct_names(names: &mut identity::Names, faults: &mut Faults) {
    let mut taken: Vec<(String, &str)> = Vec::new();
    for key in LISTENER_BUILT {
        let Some(name) = name_of(names, key) else { continue };
        let name = folded(name);
        if let Some((_, other)) = taken.iter().find(|(taken, _)| *taken == name) {
            faults.note(key, format_args!("{other} has the same name"));
        }
        taken.push((name, key));
    }
}

/// Servers that fold `-` into `_` cannot tell the two apart, so neither do we.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

const IDLE_TIMEOUT: &str = "idle_timeout.timeout_seconds";
const CLIENT_KEEP_ALIVE: &str = "client_keep_alive.seconds";
const PRESERVE_HOST: &str = "routing.http.preserve_host_header.enabled";
const XFF_CLIENT_PORT: &str = "routing.http.xff_client_port.enabled";
const TLS_HEADERS: &str = "routing.http.x_amzn_tls_version_and_cipher_suite.enabled";
const DESYNC_MODE: &str = "routing.http.desync_mitigation_mode";
const SERVER_ENABLED: &str = "routing.http.response.server.enabled";

const BALANCER_BUILT: &[&str] =
    &[IDLE_TIMEOUT, CLIENT_KEEP_ALIVE, PRESERVE_HOST, XFF_CLIENT_PORT, TLS_HEADERS, DESYNC_MODE];

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

/// Keys of the load balancer without code here, and the value that describes this build.
const BALANCER_LATER: &[(&str, &str)] = &[
    ("access_logs.s3.bucket", ""),
    ("access_logs.s3.enabled", "false"),
    ("access_logs.s3.prefix", ""),
    ("connection_logs.s3.bucket", ""),
    ("connection_logs.s3.enabled", "false"),
    ("connection_logs.s3.prefix", ""),
    ("deletion_protection.enabled", "false"),
    ("health_check_logs.s3.bucket", ""),
    ("health_check_logs.s3.enabled", "false"),
    ("health_check_logs.s3.prefix", ""),
    ("ipv6.deny_all_igw_traffic", "false"),
    ("load_balancing.cross_zone.enabled", "true"),
    ("routing.http.drop_invalid_header_fields.enabled", "false"),
    ("routing.http.xff_header_processing.mode", "append"),
    // ALB's default is true; this build speaks HTTP/1.1 alone.
    ("routing.http2.enabled", "false"),
    ("waf.fail_open.enabled", "false"),
    ("zonal_shift.config.enabled", "false"),
];

/// The same of listeners.
const LISTENER_LATER: &[(&str, &str)] = &[
    ("routing.http.response.access_control_allow_credentials.header_value", ""),
    ("routing.http.response.access_control_allow_headers.header_value", ""),
    ("routing.http.response.access_control_allow_methods.header_value", ""),
    ("routing.http.response.access_control_allow_origin.header_value", ""),
    ("routing.http.response.access_control_expose_headers.header_value", ""),
    ("routing.http.response.access_control_max_age.header_value", ""),
    ("routing.http.response.content_security_policy.header_value", ""),
    ("routing.http.response.strict_transport_security.header_value", ""),
    ("routing.http.response.x_content_type_options.header_value", ""),
    ("routing.http.response.x_frame_options.header_value", ""),
    ("tcp.idle_timeout.seconds", "350"),
];

/// The same of target groups.
const TARGET_GROUP_LATER: &[(&str, &str)] = &[
    ("deregistration_delay.connection_termination.enabled", "false"),
    ("deregistration_delay.timeout_seconds", "300"),
    ("load_balancing.algorithm.anomaly_mitigation", "off"),
    ("load_balancing.algorithm.type", "round_robin"),
    ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration"),
    ("preserve_client_ip.enabled", "false"),
    ("proxy_protocol_v2.enabled", "false"),
    ("slow_start.duration_seconds", "0"),
    ("stickiness.app_cookie.cookie_name", ""),
    ("stickiness.app_cookie.duration_seconds", "86400"),
    ("stickiness.enabled", "false"),
    ("stickiness.lb_cookie.duration_seconds", "86400"),
    ("stickiness.type", "lb_cookie"),
    ("target_group_health.dns_failover.minimum_healthy_targets.count", "1"),
    ("target_group_health.dns_failover.minimum_healthy_targets.percentage", "off"),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1"),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off"),
];

/// Headers that frame messages, route them, belong to one hop, or are written by the node.
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
mod tests {
    use super::*;

    fn attributes(entries: &[(&str, &str)]) -> written::Attributes {
        let scalar = |(key, value): &(&str, &str)| ((*key).to_owned(), Scalar((*value).to_owned()));
        entries.iter().map(scalar).collect()
    }

    fn balancer_of(entries: &[(&str, &str)]) -> (Balancer, Faults) {
        let mut faults = Faults::default();
        let written =
            written::LoadBalancer { attributes: attributes(entries), ..Default::default() };
        let balancer = balancer(&written, net::Steering::Hash, &mut faults);
        (balancer, faults)
    }

    #[test]
    fn the_load_balancers_attributes_have_albs_defaults_and_ranges() {
        let (balancer, faults) = balancer_of(&[]);
        assert!(faults.is_empty());
        assert_eq!(balancer.idle_timeout, Duration::from_secs(60));
        assert_eq!(balancer.client_keep_alive, Duration::from_secs(3_600));
        for (key, value, fits) in [
            (IDLE_TIMEOUT, "1", true),
            (IDLE_TIMEOUT, "4000", true),
            (IDLE_TIMEOUT, "0", false),
            (IDLE_TIMEOUT, "4001", false),
            (IDLE_TIMEOUT, "60s", false),
            (CLIENT_KEEP_ALIVE, "60", true),
            (CLIENT_KEEP_ALIVE, "59", false),
            (CLIENT_KEEP_ALIVE, "604801", false),
            (DESYNC_MODE, "monitor", true),
            (DESYNC_MODE, "defensive", true),
            (DESYNC_MODE, "strictest", true),
            (DESYNC_MODE, "Strictest", false),
            (PRESERVE_HOST, "true", true),
            (PRESERVE_HOST, "on", false),
        ] {
            assert_eq!(balancer_of(&[(key, value)]).1.is_empty(), fits, "{key}: {value}");
        }
    }

    /// Goal: nothing is accepted and ignored. Method: every key without code, at its default and not.
    #[test]
    fn an_attribute_without_code_is_taken_at_its_default_alone() {
        for (key, default) in BALANCER_LATER {
            assert!(balancer_of(&[(key, default)]).1.is_empty(), "{key}");
            let faults = balancer_of(&[(key, "something else")]).1.to_string();
            assert!(
                faults.contains(&format!("this build does not have {key}: something")),
                "{faults}"
            );
        }
        for (key, default) in TARGET_GROUP_LATER {
            let mut faults = Faults::default();
            target_group(&attributes(&[(key, default)]), &mut faults);
            assert!(faults.is_empty(), "{key}");
            target_group(&attributes(&[(key, "something else")]), &mut faults);
            assert_eq!(faults.list.len(), 1, "{key}");
        }
    }

    #[test]
    fn an_unknown_attribute_is_answered_with_the_one_that_was_probably_meant() {
        let faults = balancer_of(&[("idle_timeout.timeout_second", "60")]).1;
        assert_eq!(
            faults.to_string(),
            "attributes[\"idle_timeout.timeout_second\"]: unknown attribute; \
             did you mean idle_timeout.timeout_seconds?"
        );
    }

    #[test]
    fn an_identity_header_has_no_name_that_http_works_by() {
        for name in ["X-Client-Leaf", "x", "Client.Cert_1"] {
            assert_eq!(header_name(name).as_deref(), Ok(name));
        }
        for name in [
            "",
            "a b",
            "a:b",
            "caf\u{e9}",
            "Host",
            "HOST",
            "transfer_encoding",
            "Content-Length",
            "Connection",
            "X-Forwarded-For",
            &"a".repeat(65),
        ] {
            assert!(header_name(name).is_err(), "{name}");
        }
    }
}
