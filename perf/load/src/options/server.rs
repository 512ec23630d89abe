//! Which server the load is for, and what is asked of it in a handshake.
use super::value::{self, Place, Sources};
use crate::connection::Opener;
use crate::dial::Dialer;
use crate::identity::Identity;
use crate::tls::{Offers, Terms, Version};
use clap::Args;
use rustls_pki_types::ServerName;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerOptions {
    /// Where to connect to
    #[arg(long, value_name = "HOST:PORT", value_parser = value::place)]
    pub(super) connect: Place,
    /// Connect there instead, and ask for the same as ever; may be given several times, for connections to
    /// take them in turn
    #[arg(long, value_name = "HOST:PORT", value_parser = value::place)]
    pub(super) connect_to: Vec<Place>,
    /// The name to ask for (SNI, Host), which the server's certificate must have; without: HOST
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Local addresses to connect from, in turn, so that ports do not run out
    #[arg(long, value_name = "A-B", value_parser = value::sources)]
    pub(super) source: Option<Sources>,
    /// The CAs that the server's certificate must come from (PEM)
    #[arg(long, value_name = "FILE", required_unless_present = "insecure")]
    ca: Option<PathBuf>,
    /// Believe any server, and spend nothing on looking
    #[arg(long, conflicts_with = "ca")]
    pub(super) insecure: bool,
    /// Offer this version of TLS alone
    #[arg(long, value_name = "VERSION")]
    tls: Option<Version>,
    /// Offer these key exchanges alone, in this order, such as X25519
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    group: Vec<String>,
    /// Offer these cipher suites alone, in this order, such as TLS13_AES_128_GCM_SHA256
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    cipher: Vec<String>,
    /// Time for one attempt: for a connection with all its requests, or for one request where connections are kept
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = value::timeout)]
    timeout: Duration,
}

impl ServerOptions {
    /// Makes connections for these clients; without any, for one that shows no certificate.
    ///
    /// * `alpn`: the protocol that clients ask for.
    /// * `resume_percent`: of a hundred connections, how many resume.
    ///
    /// # Errors
    /// A sentence for whoever gave the options.
    pub(super) fn opener(
        &self,
        identities: Vec<Identity>,
        alpn: Option<&str>,
        resume_percent: u32,
    ) -> Result<Opener, String> {
        let targets = if self.connect_to.is_empty() {
            vec![self.resolve("--connect", &self.connect)?]
        } else {
            let targets = self.connect_to.iter().map(|to| self.resolve("--connect-to", to));
            targets.collect::<Result<_, _>>()?
        };
        let name = self.name();
        let server_name = ServerName::try_from(name.to_owned()).map_err(|_| {
            format!("{name}: neither a server's name nor an address; say --server-name")
        })?;
        let offers = Offers::new(self.tls.as_slice(), &self.group, &self.cipher)?;
        let terms = Terms::new(self.ca.as_deref(), offers, alpn.as_slice(), resume_percent)?;
        let clients = if identities.is_empty() {
            vec![terms.client(None, 0)?]
        } else {
            let clients = (0..).zip(identities);
            let clients = clients.map(|(index, identity)| terms.client(Some(identity), index));
            clients.collect::<Result<_, _>>()?
        };
        let sources = self.source.as_ref().map_or_else(Vec::new, |Sources(all)| all.clone());
        for source in &sources {
            UdpSocket::bind((*source, 0)).map_err(|error| format!("--source {source}: {error}"))?;
        }
        let dialer = Dialer::new(targets, sources);
        Ok(Opener { dialer, server_name, clients, timeout: self.timeout })
    }

    /// The name that is asked for.
    pub(super) fn name(&self) -> &str {
        self.server_name.as_deref().unwrap_or(&self.connect.host).trim_matches(['[', ']'])
    }

    /// Whom requests ask, as Host and `:authority` have it: with a port that https does not imply (RFC 9110,
    /// section 7.2).
    pub(super) fn authority(&self) -> String {
        let asked = Place { host: self.name().to_owned(), port: self.connect.port };
        let text = asked.to_string();
        text.strip_suffix(":443").unwrap_or(&text).to_owned()
    }

    /// The address of a place: of those that --source can connect to, the first one where somebody listens.
    fn resolve(&self, option: &str, to: &Place) -> Result<SocketAddr, String> {
        let all = (to.host.as_str(), to.port).to_socket_addrs();
        let mut all: Vec<_> = all.map_err(|error| format!("{option} {to}: {error}"))?.collect();
        if let Some(sources) = &self.source {
            let is_ipv4 = sources.0.first().is_some_and(IpAddr::is_ipv4);
            all.retain(|address| address.is_ipv4() == is_ipv4);
            if all.is_empty() {
                return Err(format!("--source {sources}: {to} has no address of that kind"));
            }
        }
        let found = listening(&all, self.timeout);
        found.ok_or_else(|| format!("{option} {to}: the name has no address"))
    }
}

/// The first that takes a connection, or the first at all, whose fault is told later; none of none. One alone is not
/// tried.
fn listening(all: &[SocketAddr], timeout: Duration) -> Option<SocketAddr> {
    let (first, others) = all.split_first()?;
    let listens = |address: &&SocketAddr| TcpStream::connect_timeout(address, timeout).is_ok();
    let found = if others.is_empty() { None } else { all.iter().find(listens) };
    Some(*found.unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::net::TcpListener;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        server: ServerOptions,
    }

    fn options(line: &[&str]) -> ServerOptions {
        let known = ["load", "--insecure", "--connect"];
        Line::try_parse_from(known.iter().chain(line)).unwrap().server
    }

    /// RFC 9110, section 7.2: the authority of the target, whose port goes without saying if it is the scheme's own.
    #[test]
    fn requests_ask_for_a_name_and_a_port_that_is_not_443() {
        let cases: [(&[&str], &str); 5] = [
            (&["edge:443"], "edge"),
            (&["edge:8443", "--connect-to", "10.0.0.1:443"], "edge:8443"),
            (&["127.0.0.1:8443", "--server-name", "edge"], "edge:8443"),
            (&["[::1]:443"], "[::1]"),
            (&["[::1]:8443"], "[::1]:8443"),
        ];
        for (line, expected) in cases {
            assert_eq!(options(line).authority(), expected);
        }
    }

    #[test]
    fn of_several_addresses_one_counts_where_somebody_listens() {
        let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (gone, listener) = (bind().local_addr().unwrap(), bind());
        let address = listener.local_addr().unwrap();
        let found = |all: &[SocketAddr]| listening(all, Duration::from_secs(10));
        assert_eq!(found(&[gone, address]), Some(address));
        assert_eq!(found(&[gone, gone]), Some(gone));
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn an_address_is_of_the_kind_of_those_to_connect_from() {
        let options = options(&["127.0.0.1:443", "--source", "::1"]);
        let fault = options.resolve("--connect", &options.connect).unwrap_err();
        assert_eq!(fault, "--source ::1: 127.0.0.1:443 has no address of that kind");
    }
}
