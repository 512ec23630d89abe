//! What the load balancer's and the listener's attributes say about HTTP, compiled.
//!
//! Values alone: `config` makes them, `forward` and `respond` read them. The attributes that this build
//! does not know are faults of the configuration, so that none is accepted and ignored.
//! Source: ALB guide, load balancer and listener attributes; `alb-contract.md` section 5.
use super::class;
use super::identity;
use super::lines_out::Lines;

/// Whose text the node's own answers carry (`load_balancer.server_header`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ServerName {
    /// `Server: portcullis`.
    #[default]
    Portcullis,
    /// `Server: awselb/2.0`.
    Alb,
    /// No Server header (`routing.http.response.server.enabled: false`).
    Hidden,
}

/// What becomes of X-Forwarded-For: `routing.http.xff_header_processing.mode`, and
/// `routing.http.xff_client_port.enabled`, which is for `append` alone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ForwardedFor {
    /// The client's address goes behind what it sent.
    #[default]
    Append,
    /// The client's address and port do.
    AppendWithPort,
    /// What the client sent goes on as it is.
    Preserve,
    /// The target gets none.
    Remove,
}

/// Header rules of one listener.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributes {
    /// Names of the identity headers that this listener writes.
    pub names: identity::Names,
    /// `routing.http.preserve_host_header.enabled`.
    pub preserve_host: bool,
    /// X-Forwarded-For.
    pub forwarded_for: ForwardedFor,
    /// `routing.http.drop_invalid_header_fields.enabled`.
    pub drop_invalid_names: bool,
    /// `routing.http.x_amzn_tls_version_and_cipher_suite.enabled`.
    pub tls_version_and_cipher_suite: bool,
    /// `routing.http.desync_mitigation_mode`.
    pub desync: class::Mode,
    /// The Server header of the node's own answers.
    pub server: ServerName,
    /// Response headers that the listener sets.
    pub inserted: Inserted,
}

/// Response headers that a listener sets, on every final response and over whatever its target says
/// (`routing.http.response.*.header_value`).
///
/// The node's own answers have them, too: a browser that gets no Access-Control-Allow-Origin with an error
/// cannot see the error. (Whether ALB's have them is not documented.)
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Inserted {
    names: Vec<&'static str>,
    /// Ready lines.
    lines: Vec<u8>,
}

impl Inserted {
    /// Adds a header, which must not be there yet.
    pub fn add(&mut self, name: &'static str, value: &str) {
        debug_assert!(!self.replaces(name), "{name} is set twice");
        self.names.push(name);
        self.lines.line(name, value.as_bytes());
    }

    /// Whether a target's header of this name gives way to one of these.
    pub fn replaces(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Writes them.
    pub fn write(&self, out: &mut impl Lines) {
        out.ready_lines(&self.lines);
    }
}
