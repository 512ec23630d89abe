//! One attempt before all others: so that whoever got an option wrong is told what, not how often, and to see
//! what is spoken.
use crate::connection::{Opener, Stream};
use crate::failure::Failure;
use crate::http::{ALPN_HTTP2, Asked, Http1, Http2};
use crate::run;
use crate::tls::Client;
use rustls::ProtocolVersion;
use serde::Serialize;

/// How requests are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub(crate) enum Protocol {
    #[serde(rename = "HTTP/1.1")]
    Http1,
    #[serde(rename = "HTTP/2")]
    Http2,
}

/// What a server has chosen in a handshake.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Negotiated {
    pub(crate) version: String,
    pub(crate) cipher: String,
    pub(crate) group: String,
}

impl Protocol {
    /// What a client offers by ALPN: nothing is HTTP/1.1 (RFC 9112, section 9.8, asks for no more).
    pub(crate) fn alpn(self) -> Option<&'static str> {
        match self {
            Self::Http1 => None,
            Self::Http2 => Some(ALPN_HTTP2),
        }
    }
}

/// Makes one request as the first client, on a connection of its own; `connect` is where to, for people.
///
/// # Errors
/// A sentence that says what went wrong.
pub(crate) fn probe(
    opener: &Opener,
    asked: &Asked,
    protocol: Protocol,
    connect: &str,
) -> Result<Negotiated, String> {
    let event_loop = run::event_loop().map_err(|error| error.to_string())?;
    let tasks = tokio::task::LocalSet::new();
    let attempt = tasks.run_until(opener.in_time(attempt(opener, asked, protocol)));
    let name = opener.server_name.to_str();
    let negotiated = event_loop.block_on(attempt);
    let negotiated = negotiated.map_err(|failure| failure.sentence(connect, &name))?;
    if opener.client(0).is_some_and(Client::lacks_tickets) {
        return Err(format!("{connect} gives no session tickets: there is nothing to --resume"));
    }
    Ok(negotiated)
}

async fn attempt(
    opener: &Opener,
    asked: &Asked,
    protocol: Protocol,
) -> Result<Negotiated, Failure> {
    let client = opener.client(0).ok_or(Failure::NotBegun)?;
    let stream = opener.open_with(client.full_config()).await?.stream;
    let negotiated = Negotiated::of(&stream);
    match protocol {
        Protocol::Http1 => {
            let mut http1 = Http1::new(stream);
            http1.ask(asked, true).await?;
            opener.close(http1.into_stream()).await;
        }
        Protocol::Http2 => {
            Http2::begin(stream).await?.ask(asked).await.map_err(Failure::from)?;
        }
    }
    Ok(negotiated)
}

impl Negotiated {
    fn of(stream: &Stream) -> Self {
        let tls = stream.get_ref().1;
        let words = |text: Option<String>| text.unwrap_or_default();
        Self {
            version: words(tls.protocol_version().map(version)),
            cipher: words(tls.negotiated_cipher_suite().map(|one| format!("{:?}", one.suite()))),
            group: words(
                tls.negotiated_key_exchange_group().map(|one| format!("{:?}", one.name())),
            ),
        }
    }
}

/// `TLS 1.3`, from rustls's `TLSv1_3`.
fn version(version: ProtocolVersion) -> String {
    format!("{version:?}").replace('v', " ").replace('_', ".")
}
