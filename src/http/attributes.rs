//! What the load balancer's and the listener's attributes say about HTTP, compiled.
//!
//! Values alone: `config` makes them, `forward` and `respond` read them. The attributes that this build
//! does not know are faults of the configuration, so that none is accepted and ignored.
//! Source: ALB guide, load balancer and listener attributes; `alb-contract.md` section 5.
use super::desync;
use super::identity;

/// Whose text the node's own answers carry (`node.response_style`).
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

/// Header rules of one listener.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributes {
    /// Names of the identity headers that this listener writes.
    pub names: identity::Names,
    /// `routing.http.preserve_host_header.enabled`.
    pub preserve_host: bool,
    /// `routing.http.xff_client_port.enabled`.
    pub xff_client_port: bool,
    /// `routing.http.x_amzn_tls_version_and_cipher_suite.enabled`.
    pub tls_version_and_cipher_suite: bool,
    /// `routing.http.desync_mitigation_mode`.
    pub desync: desync::Mode,
    /// The Server header of the node's own answers.
    pub server: ServerName,
}
