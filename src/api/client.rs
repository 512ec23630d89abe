//! The command line's side of the admin endpoint: `portcullis reload | drain | status`.
//!
//! Each call makes one request. `Ok` is text for standard output, with exit status 0; an error is text
//! for standard error, with exit status 1.
use super::dry_run::DryRun;
use super::explain::Question;
use crate::config::Fault;
use crate::limits;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody listens.
    #[error(
        "no node serves on {} ({error}); is it running? --admin unix:PATH names another socket",
        path.display()
    )]
    NoNode {
        /// Of the socket.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The socket belongs to another user.
    #[error("no permission to use {}; run this as the user of the node", .0.display())]
    Denied(PathBuf),
    /// The node has not answered, or not as a node does.
    #[error("no answer from the node on {}: {error}", path.display())]
    NoAnswer {
        /// Of the socket.
        path: PathBuf,
        /// What went wrong.
        error: Box<dyn Error + Send + Sync>,
    },
    /// The node has answered that it did not work, in these words.
    #[error("{0}")]
    Refused(String),
}

/// Has the node read its configuration anew.
///
/// # Errors
/// [`Failure`]; every fault of the configuration is a line of [`Failure::Refused`].
pub async fn reload(socket: &Path) -> Result<String, Failure> {
    let answer = ask(socket, Method::POST, "/reload").await?;
    let generation = &answer["generation"];
    Ok(lines(
        format!("generation {generation} is live on every shard"),
        "warning: ",
        &answer["warnings"],
    ))
}

/// Asks the node whom a reload would reach, of its own configuration or of the file `config`. Nothing is
/// changed.
///
/// # Errors
/// As [`reload`].
pub async fn dry_run(socket: &Path, config: Option<&str>) -> Result<DryRun, Failure> {
    let config = config.map(|config| format!("&config={}", encoded(config))).unwrap_or_default();
    let answer = ask(socket, Method::POST, &format!("/reload?dry_run=true{config}")).await?;
    super::trust::client::understood(socket, answer)
}

/// A dry run's answer in words.
pub fn dry_run_in_words(answer: &DryRun) -> String {
    let warnings = serde_json::to_value(&answer.warnings).unwrap_or_default();
    lines(answer.to_string(), "warning: ", &warnings)
}

/// Has the node end, once it has served what is open.
///
/// # Errors
/// [`Failure`].
pub async fn drain(socket: &Path) -> Result<String, Failure> {
    ask(socket, Method::POST, "/drain").await?;
    Ok("draining: no new connections are taken, and the node ends when the open ones have"
        .to_owned())
}

/// The node's status, as JSON for people.
///
/// # Errors
/// [`Failure`].
pub async fn status(socket: &Path) -> Result<String, Failure> {
    Ok(format!("{:#}", ask(socket, Method::GET, "/status").await?))
}

/// Asks the node how it would judge a client that sends `chain` (a file of certificates).
///
/// # Errors
/// [`Failure`].
pub async fn explain(socket: &Path, question: &Question, chain: Vec<u8>) -> Result<Value, Failure> {
    let mut target = format!("/explain?listener={}", encoded(&question.listener));
    let options = [("server_name", &question.server_name), ("at", &question.at)];
    for (key, value) in options {
        if let Some(value) = value {
            target.push_str(&format!("&{key}={}", encoded(value)));
        }
    }
    ask_with(socket, Method::POST, &target, chain).await
}

/// Percent-encoded but for the unreserved characters (RFC 3986, section 2.3).
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

pub(super) async fn ask(socket: &Path, method: Method, target: &str) -> Result<Value, Failure> {
    ask_with(socket, method, target, Vec::new()).await
}

pub(super) async fn ask_with(
    socket: &Path,
    method: Method,
    target: &str,
    body: Vec<u8>,
) -> Result<Value, Failure> {
    let stream = UnixStream::connect(socket).await.map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied {
            Failure::Denied(socket.to_owned())
        } else {
            Failure::NoNode { path: socket.to_owned(), error }
        }
    })?;
    let exchanged = match timeout(limits::API_ANSWER, exchange(stream, method, target, body)).await
    {
        Ok(exchanged) => exchanged,
        Err(elapsed) => Err(elapsed.into()),
    };
    let (status, answer) =
        exchanged.map_err(|error| Failure::NoAnswer { path: socket.to_owned(), error })?;
    if status.is_success() { Ok(answer) } else { Err(refused(status, &answer)) }
}

/// One request, one answer in JSON.
async fn exchange(
    stream: UnixStream,
    method: Method,
    target: &str,
    body: Vec<u8>,
) -> Result<(StatusCode, Value), Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "portcullis")
        .body(Full::new(Bytes::from(body)))?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, limits::API_ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok((head.status, serde_json::from_slice(&body)?))
    };
    // The connection moves the bytes; how it ends shows in the answer.
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

fn refused(status: StatusCode, answer: &Value) -> Failure {
    let error = answer["error"].as_str();
    let headline = error.map_or_else(|| format!("the node answered {status}"), str::to_owned);
    Failure::Refused(lines(headline, "", &answer["faults"]))
}

/// A headline, and each fault of a JSON list on a line of its own.
pub(super) fn lines(headline: String, prefix: &str, faults: &Value) -> String {
    faults.as_array().into_iter().flatten().fold(headline, |text, fault| {
        let fault = Fault {
            path: fault["path"].as_str().unwrap_or_default().to_owned(),
            line: fault["line"].as_u64().and_then(|line| line.try_into().ok()),
            message: fault["message"].as_str().unwrap_or_default().to_owned(),
        };
        format!("{text}\n  {prefix}{fault}")
    })
}

#[cfg(test)]
mod tests {
    use super::super::admin::Admin;
    use super::super::admin::tests::faults;
    use super::super::serve::tests::Node;
    use super::super::{Control, Reloaded};
    use super::*;
    use crate::config::scratch::Scratch;
    use std::sync::Arc;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixListener;

    fn serve(dir: &Scratch, node: Node) -> Arc<Node> {
        let node = Arc::new(node);
        tokio::spawn(Admin::bind(&dir.path("socket")).unwrap().serve(node.clone()));
        node
    }

    #[tokio::test]
    async fn a_reload_tells_the_generation_and_the_warnings() {
        let dir = Scratch::new();
        let warnings = vec![Fault {
            path: "listeners[0].ssl_policy".to_owned(),
            line: Some(9),
            message: "without TLSv1.1".to_owned(),
        }];
        serve(&dir, Node { reload: Ok(Reloaded { generation: 8, warnings }), ..Node::default() });
        assert_eq!(
            reload(&dir.path("socket")).await.unwrap(),
            "generation 8 is live on every shard\n  \
             warning: line 9: listeners[0].ssl_policy: without TLSv1.1"
        );
    }

    #[tokio::test]
    async fn a_refused_reload_tells_every_fault() {
        let dir = Scratch::new();
        serve(&dir, Node { reload: Err(faults()), ..Node::default() });
        assert_eq!(
            reload(&dir.path("socket")).await.unwrap_err().to_string(),
            "the new configuration has 2 faults; nothing has changed\n  \
             line 12: listeners[0].bind: not an address\n  \
             trust_stores[0]: the bundle is empty"
        );
    }

    #[tokio::test]
    async fn drain_and_status_reach_the_node() {
        let dir = Scratch::new();
        let node = serve(&dir, Node::default());
        drain(&dir.path("socket")).await.unwrap();
        assert!(!node.ready());
        let status = status(&dir.path("socket")).await.unwrap();
        assert_eq!(status, "{\n  \"generation\": 7,\n  \"draining\": true\n}");
    }

    #[tokio::test]
    async fn without_a_node_a_sentence_says_so() {
        let dir = Scratch::new();
        let failure = status(&dir.path("socket")).await.unwrap_err();
        assert!(failure.to_string().starts_with("no node serves on "), "{failure}");

        drop(UnixListener::bind(dir.path("socket")).unwrap());
        let failure = status(&dir.path("socket")).await.unwrap_err();
        assert!(failure.to_string().contains("Connection refused"), "{failure}");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_a_nodes_is_an_error() {
        for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "nonsense\r\n\r\n"] {
            let dir = Scratch::new();
            let listener = UnixListener::bind(dir.path("socket")).unwrap();
            let other = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            };
            let socket = dir.path("socket");
            let (asked, ()) = tokio::join!(status(&socket), other);
            assert!(matches!(asked, Err(Failure::NoAnswer { .. })), "{answer:?}: {asked:?}");
        }
    }
}
