//! One line of the connection log. Source: `alb-contract.md`, section 2.1.
#![expect(clippy::todo, reason = "interface only")]
use super::sink::Form;
use crate::trust::Facts;
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
        let _ = (form, out);
        todo!()
    }
}
