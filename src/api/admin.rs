//! The admin endpoint: a Unix socket for the node's own user, the only thing that changes state.
use super::dry_run::{self, Proposal};
use super::explain::Question;
use super::parameters::{self, Parameters, refuse};
use super::socket::{BindError, Listening};
use super::{Control, ReloadError, metrics, trust};
use crate::limits;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// The endpoint, listening.
#[derive(Debug)]
pub struct Admin(Listening);

impl Admin {
    /// Listens on `path`, for the process's user alone; for a thread with a tokio runtime. The socket
    /// that a dead node left behind is replaced.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        Listening::bind(path).map(Self)
    }

    /// Serves until dropped.
    pub async fn serve(self, control: Arc<dyn Control>) {
        self.0.serve(router(control)).await;
    }
}

fn router(control: Arc<dyn Control>) -> Router {
    let explaining = Explaining { control: Arc::clone(&control), turn: Arc::default() };
    let explain = post(explain).layer(DefaultBodyLimit::max(limits::CHAIN_FILE_BYTES_MAX));
    Router::new()
        .route("/reload", post(reload))
        .route("/drain", post(drain))
        .route("/status", get(status))
        .with_state(Arc::clone(&control))
        .merge(Router::new().route("/explain", explain).with_state(explaining))
        .merge(trust::endpoint::routes(control))
        .fallback(|| async {
            let paths = "try /reload, /drain, /status, /explain, /trust_stores\n";
            (StatusCode::NOT_FOUND, paths)
        })
}

/// What a reload is asked with; a word that it does not know must not make it happen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reloading {
    #[serde(default)]
    dry_run: bool,
    /// See [`Proposal::Reload`].
    config: Option<PathBuf>,
}

/// The reload goes on when the client hangs up: a change is whole or does not happen.
async fn reload(
    State(control): State<Arc<dyn Control>>,
    Parameters(Reloading { dry_run, config }): Parameters<Reloading>,
) -> Response {
    if dry_run {
        return dry_run::answer(control, Proposal::Reload { config }, ()).await;
    }
    if config.is_some() {
        let error = "a node reloads its own configuration; another one goes with dry_run=true";
        return refuse(StatusCode::BAD_REQUEST, error);
    }
    match tokio::spawn(async move { control.reload().await }).await {
        Ok(Ok(reloaded)) => Json(reloaded).into_response(),
        Ok(Err(error)) => error.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn drain(
    State(control): State<Arc<dyn Control>>,
    _: Parameters<parameters::None>,
) -> impl IntoResponse {
    control.drain();
    (StatusCode::ACCEPTED, Json(json!({"draining": true})))
}

async fn status(
    control: State<Arc<dyn Control>>,
    _: Parameters<parameters::None>,
) -> impl IntoResponse {
    metrics::status(control).await
}

/// Who explains: one question at a time, because each may read hundreds of MiB of revocation lists again.
#[derive(Clone)]
struct Explaining {
    control: Arc<dyn Control>,
    turn: Arc<Mutex<()>>,
}

/// Changes nothing; it is a POST because the chain is its body.
async fn explain(
    State(Explaining { control, turn }): State<Explaining>,
    Parameters(question): Parameters<Question>,
    chain: Bytes,
) -> Response {
    let turn = turn.lock_owned().await;
    let answer = spawn_blocking(move || {
        let answer = control.explain(&question, &chain);
        // The next one has its turn once this one has ended, whether its client is still there or not.
        drop(turn);
        answer
    });
    match answer.await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(error)) => refuse(StatusCode::BAD_REQUEST, &error),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl IntoResponse for ReloadError {
    fn into_response(self) -> Response {
        let error = self.to_string();
        match self {
            Self::Faults(faults) | Self::Trust(faults) => {
                let body = json!({"error": error, "faults": faults.list});
                (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
            }
            Self::Ending => (StatusCode::CONFLICT, Json(json!({"error": error}))).into_response(),
            Self::NotAcknowledged { generation, late_shards } => {
                let body =
                    json!({"error": error, "generation": generation, "late_shards": late_shards});
                (StatusCode::GATEWAY_TIMEOUT, Json(body)).into_response()
            }
            Self::Untold { late_shards } => {
                let body = json!({"error": error, "late_shards": late_shards});
                (StatusCode::GATEWAY_TIMEOUT, Json(body)).into_response()
            }
            Self::NotDurable { generation, error: _, late_shards } => {
                let body =
                    json!({"error": error, "generation": generation, "late_shards": late_shards});
                (StatusCode::INSUFFICIENT_STORAGE, Json(body)).into_response()
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::serve::tests::{Node, exchange};
    use super::*;
    use crate::api::Reloaded;
    use crate::config::scratch::Scratch;
    use crate::config::{Fault, Faults};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    pub(in crate::api) fn faults() -> ReloadError {
        let fault = |path: &str, line, message: &str| Fault {
            path: path.to_owned(),
            line,
            message: message.to_owned(),
        };
        ReloadError::Faults(Faults::from(vec![
            fault("listeners[0].bind", Some(12), "not an address"),
            fault("trust_stores[0]", None, "the bundle is empty"),
        ]))
    }

    async fn ask(path: &Path, method: &str, target: &str) -> (u16, serde_json::Value) {
        let stream = UnixStream::connect(path).await.unwrap();
        let (status, _, body) = exchange(stream, method, target).await;
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    async fn reload_of(reload: Result<Reloaded, ReloadError>) -> (u16, String) {
        let dir = Scratch::new();
        let admin = Admin::bind(&dir.path("socket")).unwrap();
        let node = Node { reload, ..Node::default() };
        let server = tokio::spawn(admin.serve(Arc::new(node)));
        let (status, body) = ask(&dir.path("socket"), "POST", "/reload").await;
        server.abort();
        (status, body.to_string())
    }

    #[tokio::test]
    async fn drain_reaches_the_node() {
        let dir = Scratch::new();
        let node: Arc<Node> = Arc::default();
        let server = tokio::spawn(Admin::bind(&dir.path("socket")).unwrap().serve(node.clone()));
        assert_eq!(ask(&dir.path("socket"), "GET", "/drain").await.0, 405);
        assert!(node.ready());
        assert_eq!(ask(&dir.path("socket"), "POST", "/drain").await.0, 202);
        assert!(!node.ready());
        assert_eq!(ask(&dir.path("socket"), "GET", "/status").await.1["draining"], true);
        assert_eq!(ask(&dir.path("socket"), "GET", "/metrics").await.0, 404);
        server.abort();
    }

    /// Goal: nothing is done for somebody who asked for something else. Method: each request, with a
    /// parameter that it does not have.
    #[tokio::test]
    async fn a_parameter_that_is_not_known_is_refused_everywhere_and_nothing_is_done() {
        let dir = Scratch::new();
        let node: Arc<Node> = Arc::default();
        let server = tokio::spawn(Admin::bind(&dir.path("socket")).unwrap().serve(node.clone()));
        let store = "/trust_stores/partners";
        for (method, target) in [
            ("POST", "/drain?"),
            ("POST", "/reload?"),
            ("GET", "/status?"),
            ("POST", "/explain?listener=https&"),
            ("GET", "/trust_stores?"),
            ("PUT", &format!("{store}?revocations=keep&")),
            ("POST", &format!("{store}/revocations?")),
            ("DELETE", &format!("{store}/revocations?ids=1&")),
        ] {
            let (status, answer) =
                ask(&dir.path("socket"), method, &format!("{target}dry-run=true")).await;
            assert_eq!(status, 400, "{method} {target}");
            let error = answer["error"].as_str().expect("it says why");
            assert!(error.contains("dry-run"), "{method} {target}: {error}");
        }
        assert!(node.ready());
        assert_eq!(*node.asked.lock().await, []);
        server.abort();
    }

    #[tokio::test]
    async fn one_question_is_explained_at_a_time() {
        let dir = Scratch::new();
        let node: Arc<Node> = Arc::default();
        let server = tokio::spawn(Admin::bind(&dir.path("socket")).unwrap().serve(node.clone()));
        let socket = dir.path("socket");
        let question = || ask(&socket, "POST", "/explain?listener=company");
        let answers = tokio::join!(question(), question(), question());
        for (status, answer) in [answers.0, answers.1, answers.2] {
            assert_eq!((status, &answer["company"]), (200, &json!(false)), "{answer}");
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_chain_over_its_limit_is_refused() {
        let dir = Scratch::new();
        let server =
            tokio::spawn(Admin::bind(&dir.path("socket")).unwrap().serve(Arc::<Node>::default()));
        for (length, expected) in [
            (limits::CHAIN_FILE_BYTES_MAX, "HTTP/1.1 200 "),
            (limits::CHAIN_FILE_BYTES_MAX + 1, "HTTP/1.1 413 "),
        ] {
            let mut stream = UnixStream::connect(dir.path("socket")).await.unwrap();
            let head = format!(
                "POST /explain?listener=https HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\
                 Content-Length: {length}\r\n\r\n"
            );
            // A refusal may come before the whole body has left.
            let _ = stream.write_all(&[head.as_bytes(), &vec![b'x'; length]].concat()).await;
            let mut answer = [0; 13];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(std::str::from_utf8(&answer).unwrap(), expected, "{length}");
        }
        server.abort();
    }

    #[tokio::test]
    async fn what_is_only_asked_about_is_not_done() {
        let dir = Scratch::new();
        let node: Arc<Node> = Arc::default();
        let server = tokio::spawn(Admin::bind(&dir.path("socket")).unwrap().serve(node.clone()));
        for (method, target, clients) in [
            ("POST", "/reload?dry_run=true", 1),
            ("POST", "/trust_stores/partners/revocations?dry_run=true", 2),
            ("DELETE", "/trust_stores/partners/revocations?ids=1&dry_run=true", 2),
            ("DELETE", "/trust_stores/partners/revocations?files=a.crl&dry_run=true", 2),
        ] {
            let (status, answer) = ask(&dir.path("socket"), method, target).await;
            assert_eq!((status, &answer["clients"]), (200, &json!(clients)), "{target}: {answer}");
        }
        assert_eq!(*node.asked.lock().await, []);
        assert_eq!(ask(&dir.path("socket"), "POST", "/reload?config=/a.yaml").await.0, 400);
        for query in ["?files=a.crl", "", "?ids=1&files=a.crl&dry_run=true", "?ids=1&dry_run=yes"] {
            let target = format!("/trust_stores/partners/revocations{query}");
            assert_eq!(ask(&dir.path("socket"), "DELETE", &target).await.0, 400, "{query}");
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_reload_answers_with_its_generation_or_with_every_fault() {
        let warnings = Vec::new();
        assert_eq!(
            reload_of(Ok(Reloaded { generation: 3, warnings })).await,
            (200, r#"{"generation":3,"warnings":[]}"#.to_owned())
        );
        assert_eq!(
            reload_of(Err(faults())).await,
            (
                422,
                concat!(
                    r#"{"error":"the new configuration has 2 faults; nothing has changed","#,
                    r#""faults":[{"path":"listeners[0].bind","line":12,"message":"not an address"},"#,
                    r#"{"path":"trust_stores[0]","message":"the bundle is empty"}]}"#
                )
                .to_owned()
            )
        );
        let late = ReloadError::NotAcknowledged { generation: 4, late_shards: vec![1] };
        let (status, body) = reload_of(Err(late)).await;
        assert_eq!(status, 504);
        assert!(body.ends_with(r#""generation":4,"late_shards":[1]}"#), "{body}");
        let (status, body) = reload_of(Err(ReloadError::Ending)).await;
        assert_eq!(
            (status, &*body),
            (409, r#"{"error":"the node is ending and reloads no more"}"#)
        );
    }
}
