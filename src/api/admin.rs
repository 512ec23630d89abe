//! The admin endpoint: a Unix socket for the node's own user, the only thing that changes state.
use super::dry_run::{self, Proposal};
use super::explain::Question;
use super::parameters::{self, Parameters, refuse};
use super::{Control, ReloadError, metrics, serve, trust};
use crate::limits;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// A listening admin socket. Its file goes when it is dropped.
#[derive(Debug)]
pub struct Admin {
    listener: UnixListener,
    file: SocketFile,
}

/// Why the admin socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error("another node serves on {}", .0.display())]
    InUse(PathBuf),
    /// A file of another kind, which is left alone.
    #[error("{} exists and is not a socket; remove it, or name another path", .0.display())]
    NotASocket(PathBuf),
    /// What the kernel said.
    #[error("{}: {error}", path.display())]
    Io {
        /// Of the socket.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl Admin {
    /// Listens on `path`, for the process's user alone; for a thread with a tokio runtime. The socket
    /// that a dead node left behind is replaced.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        clear(path)?;
        let bound = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&SockAddr::unix(path)?)?;
            let file = SocketFile::new(path)?;
            // Nobody can connect before `listen`, so nobody slips in before this.
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            let listener = UnixListener::from_std(OwnedFd::from(socket).into())?;
            Ok(Self { listener, file })
        };
        bound().map_err(|error| BindError::Io { path: path.to_owned(), error })
    }

    /// Serves until dropped.
    pub async fn serve(self, control: Arc<dyn Control>) {
        let Self { listener, file } = self;
        serve::serve(listener, router(control)).await;
        drop(file);
    }
}

const BACKLOG: i32 = 64;

/// Removes the socket of a node that is gone.
fn clear(path: &Path) -> Result<(), BindError> {
    let failed = |error| BindError::Io { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // A node whose backlog is full is a live one too.
        Ok(()) => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(BindError::InUse(path.to_owned()))
        }
        Err(error) => Err(failed(error)),
    }
}

fn connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// The file of a listening socket; removed on drop, unless another node has put its own there.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(&fs::symlink_metadata(path)?) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity) {
            // Nothing is left to do about a file that stays; the next node replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
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
    use crate::config::{Fault, Faults};
    use std::os::unix::net;
    use std::process;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    /// A directory of one test's own, gone at its end.
    pub(in crate::api) struct TempDir(PathBuf);

    impl TempDir {
        pub(in crate::api) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("portcullis-{name}-{}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
        pub(in crate::api) fn path(&self) -> &Path {
            &self.0
        }
        pub(in crate::api) fn socket(&self) -> PathBuf {
            self.0.join("portcullis.sock")
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

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

    async fn reload_of(name: &str, reload: Result<Reloaded, ReloadError>) -> (u16, String) {
        let dir = TempDir::new(name);
        let admin = Admin::bind(&dir.socket()).unwrap();
        let node = Node { reload, ..Node::default() };
        let server = tokio::spawn(admin.serve(Arc::new(node)));
        let (status, body) = ask(&dir.socket(), "POST", "/reload").await;
        server.abort();
        (status, body.to_string())
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner_and_goes_at_the_end() {
        let dir = TempDir::new("owner");
        let admin = Admin::bind(&dir.socket()).unwrap();
        assert_eq!(fs::metadata(dir.socket()).unwrap().permissions().mode() & 0o777, 0o600);
        drop(admin);
        assert!(!dir.socket().exists());
    }

    #[tokio::test]
    async fn the_socket_of_a_dead_node_is_replaced_and_that_of_a_live_one_is_not() {
        let dir = TempDir::new("stale");
        drop(net::UnixListener::bind(dir.socket()).unwrap());
        assert!(dir.socket().exists(), "left behind");
        let admin = Admin::bind(&dir.socket()).unwrap();

        let refused = Admin::bind(&dir.socket()).unwrap_err().to_string();
        assert_eq!(refused, format!("another node serves on {}", dir.socket().display()));
        drop(admin);
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = TempDir::new("file");
        fs::write(dir.socket(), "mine").unwrap();
        assert!(matches!(Admin::bind(&dir.socket()), Err(BindError::NotASocket(_))));
        assert_eq!(fs::read_to_string(dir.socket()).unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_socket_that_another_node_has_put_there_stays() {
        let dir = TempDir::new("other");
        let admin = Admin::bind(&dir.socket()).unwrap();
        fs::rename(dir.socket(), dir.0.join("moved")).unwrap();
        let _other = net::UnixListener::bind(dir.socket()).unwrap();
        drop(admin);
        assert!(dir.socket().exists());
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let dir = TempDir::new("missing");
        let path = dir.0.join("none/portcullis.sock");
        let said = Admin::bind(&path).unwrap_err().to_string();
        assert!(said.starts_with(&path.display().to_string()), "{said}");
    }

    #[tokio::test]
    async fn drain_reaches_the_node() {
        let dir = TempDir::new("drain");
        let node: Arc<Node> = Arc::default();
        let server = tokio::spawn(Admin::bind(&dir.socket()).unwrap().serve(node.clone()));
        assert_eq!(ask(&dir.socket(), "GET", "/drain").await.0, 405);
        assert!(node.ready());
        assert_eq!(ask(&dir.socket(), "POST", "/drain").await.0, 202);
        assert!(!node.ready());
        assert_eq!(ask(&dir.socket(), "GET", "/status").await.1["draining"], true);
        assert_eq!(ask(&dir.socket(), "GET", "/metrics").await.0, 404);
        server.abort();
    }

    /// Goal: nothing is done for somebody who asked for something else. Method: each request, with a
    /// parameter that it does not have.
    #[tokio::test]
    async fn a_parameter_that_is_not_known_is_refused_everywhere_and_nothing_is_done() {
        let dir = TempDir::new("parameters");
        let node: Arc<Node> = Arc::default();
        let server = tokio::spawn(Admin::bind(&dir.socket()).unwrap().serve(node.clone()));
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
                ask(&dir.socket(), method, &format!("{target}dry-run=true")).await;
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
        let dir = TempDir::new("explain-turns");
        let node: Arc<Node> = Arc::default();
        let server = tokio::spawn(Admin::bind(&dir.socket()).unwrap().serve(node.clone()));
        let socket = dir.socket();
        let question = || ask(&socket, "POST", "/explain?listener=company");
        let answers = tokio::join!(question(), question(), question());
        for (status, answer) in [answers.0, answers.1, answers.2] {
            assert_eq!((status, &answer["company"]), (200, &json!(false)), "{answer}");
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_chain_over_its_limit_is_refused() {
        let dir = TempDir::new("explain-limit");
        let server =
            tokio::spawn(Admin::bind(&dir.socket()).unwrap().serve(Arc::<Node>::default()));
        for (length, expected) in [
            (limits::CHAIN_FILE_BYTES_MAX, "HTTP/1.1 200 "),
            (limits::CHAIN_FILE_BYTES_MAX + 1, "HTTP/1.1 413 "),
        ] {
            let mut stream = UnixStream::connect(dir.socket()).await.unwrap();
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
        let dir = TempDir::new("dry-run");
        let node: Arc<Node> = Arc::default();
        let server = tokio::spawn(Admin::bind(&dir.socket()).unwrap().serve(node.clone()));
        for (method, target, clients) in [
            ("POST", "/reload?dry_run=true", 1),
            ("POST", "/trust_stores/partners/revocations?dry_run=true", 2),
            ("DELETE", "/trust_stores/partners/revocations?ids=1&dry_run=true", 2),
            ("DELETE", "/trust_stores/partners/revocations?files=a.crl&dry_run=true", 2),
        ] {
            let (status, answer) = ask(&dir.socket(), method, target).await;
            assert_eq!((status, &answer["clients"]), (200, &json!(clients)), "{target}: {answer}");
        }
        assert_eq!(*node.asked.lock().await, []);
        assert_eq!(ask(&dir.socket(), "POST", "/reload?config=/a.yaml").await.0, 400);
        for query in ["?files=a.crl", "", "?ids=1&files=a.crl&dry_run=true", "?ids=1&dry_run=yes"] {
            let target = format!("/trust_stores/partners/revocations{query}");
            assert_eq!(ask(&dir.socket(), "DELETE", &target).await.0, 400, "{query}");
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_reload_answers_with_its_generation_or_with_every_fault() {
        let warnings = Vec::new();
        assert_eq!(
            reload_of("reloaded", Ok(Reloaded { generation: 3, warnings })).await,
            (200, r#"{"generation":3,"warnings":[]}"#.to_owned())
        );
        assert_eq!(
            reload_of("faulty", Err(faults())).await,
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
        let (status, body) = reload_of("late", Err(late)).await;
        assert_eq!(status, 504);
        assert!(body.ends_with(r#""generation":4,"late_shards":[1]}"#), "{body}");
        let (status, body) = reload_of("ending", Err(ReloadError::Ending)).await;
        assert_eq!(
            (status, &*body),
            (409, r#"{"error":"the node is ending and reloads no more"}"#)
        );
    }
}
