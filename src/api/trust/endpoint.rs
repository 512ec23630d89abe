//! The node's side, below the admin endpoint:
//!
//! ```text
//! GET    /trust_stores
//! PUT    /trust_stores/NAME?revocations=keep|replace   the bundle, and revocation files: an upload
//! POST   /trust_stores/NAME/revocations                revocation files: an upload
//! DELETE /trust_stores/NAME/revocations?ids=1,2
//! DELETE /trust_stores/NAME/revocations?files=a%0Ab    with dry_run=true: names, a line each
//! ```
//!
//! With `dry_run=true` nothing is done, and the answer is a [`crate::api::dry_run::DryRun`].
//! One upload is in memory at a time, from its first byte until its change has ended.
use super::upload;
use crate::api::Control;
use crate::api::dry_run::{self, Proposal};
use crate::api::parameters::{self, Parameters, refuse};
use crate::config::candidate::Asked;
use crate::config::state::{Change, File};
use crate::limits;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

/// What the handlers share.
#[derive(Clone)]
struct Desk {
    control: Arc<dyn Control>,
    /// One upload at a time.
    uploading: Arc<Mutex<()>>,
}

pub(in crate::api) fn routes(control: Arc<dyn Control>) -> Router {
    Router::new()
        .route("/trust_stores", get(report))
        .route("/trust_stores/{name}", put(replace))
        .route("/trust_stores/{name}/revocations", post(add).delete(remove))
        .with_state(Desk { control, uploading: Arc::default() })
}

async fn report(State(desk): State<Desk>, _: Parameters<parameters::None>) -> impl IntoResponse {
    Json(desk.control.trust())
}

/// What becomes of the present revocation files when the bundle is replaced.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacing {
    revocations: Present,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Present {
    Keep,
    Replace,
}

async fn replace(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    Parameters(Replacing { revocations, dry_run }): Parameters<Replacing>,
    body: Body,
) -> Result<Response, Response> {
    let (mut files, upload) = desk.receive(body).await?;
    if files.is_empty() {
        return Err(refuse(StatusCode::BAD_REQUEST, "the upload holds no bundle"));
    }
    let bundle = files.remove(0);
    let revocations = match revocations {
        Present::Keep if files.is_empty() => None,
        Present::Keep => {
            return Err(refuse(StatusCode::BAD_REQUEST, "revocations=keep takes none"));
        }
        Present::Replace => Some(files),
    };
    let change = Change::Replace { bundle, revocations };
    Ok(desk.do_or_ask(name, change, dry_run, Some(upload)).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Adding {
    #[serde(default)]
    dry_run: bool,
}

async fn add(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    Parameters(Adding { dry_run }): Parameters<Adding>,
    body: Body,
) -> Result<Response, Response> {
    let (files, upload) = desk.receive(body).await?;
    Ok(desk.do_or_ask(name, Change::AddRevocations(files), dry_run, Some(upload)).await)
}

/// Which revocation files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removing {
    /// Ids, with commas between them.
    ids: Option<String>,
    /// Names, a line each.
    files: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

async fn remove(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    Parameters(Removing { ids, files, dry_run }): Parameters<Removing>,
) -> Result<Response, Response> {
    let ids = match (ids, files, dry_run) {
        (Some(ids), None, _) => ids,
        (None, Some(files), true) => {
            let asked = Asked::RemoveFiles(files.lines().map(str::to_owned).collect());
            return Ok(desk.ask(name, asked, None).await);
        }
        _ => return Err(refuse(StatusCode::BAD_REQUEST, "give ids, or files with dry_run=true")),
    };
    let ids = ids.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>();
    let ids = ids.map_err(|_| refuse(StatusCode::BAD_REQUEST, "an id is a number"))?;
    Ok(desk.do_or_ask(name, Change::RemoveRevocations(ids), dry_run, None).await)
}

impl Desk {
    /// Waits for its turn, and then for the whole body.
    async fn receive(&self, body: Body) -> Result<(Vec<File>, OwnedMutexGuard<()>), Response> {
        let upload = Arc::clone(&self.uploading).lock_owned().await;
        let body = match timeout(limits::API_UPLOAD, received(body)).await {
            Ok(body) => body?,
            Err(_) => return Err(refuse(StatusCode::REQUEST_TIMEOUT, "the upload takes too long")),
        };
        let files = upload::files(body)
            .map_err(|broken| refuse(StatusCode::BAD_REQUEST, &format!("the upload: {broken}")))?;
        Ok((files, upload))
    }

    async fn do_or_ask(
        self,
        name: String,
        change: Change,
        dry_run: bool,
        upload: Option<OwnedMutexGuard<()>>,
    ) -> Response {
        if dry_run {
            return self.ask(name, Asked::Change(change), upload).await;
        }
        self.change(name, change, upload).await
    }

    async fn ask(
        self,
        trust_store: String,
        asked: Asked,
        upload: Option<OwnedMutexGuard<()>>,
    ) -> Response {
        dry_run::answer(self.control, Proposal::Trust { trust_store, asked }, upload).await
    }

    /// The change goes on when the client hangs up: it is whole or does not happen.
    async fn change(
        self,
        name: String,
        change: Change,
        upload: Option<OwnedMutexGuard<()>>,
    ) -> Response {
        let changed = tokio::spawn(async move {
            let changed = self.control.change_trust(name, change).await;
            drop(upload);
            changed
        });
        match changed.await {
            Ok(Ok(changed)) => Json(changed).into_response(),
            Ok(Err(error)) => error.into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// The whole body, in one piece.
async fn received(mut body: Body) -> Result<Bytes, Response> {
    let too_long = || {
        let message = format!("an upload has at most {} bytes", limits::API_UPLOAD_BYTES_MAX);
        refuse(StatusCode::PAYLOAD_TOO_LARGE, &message)
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limits::API_UPLOAD_BYTES_MAX {
        return Err(too_long());
    }
    let mut bytes = Vec::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| refuse(StatusCode::BAD_REQUEST, &error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limits::API_UPLOAD_BYTES_MAX {
            return Err(too_long());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::admin::Admin;
    use crate::api::serve::tests::Node;
    use crate::api::trust::client::{self, Command};
    use crate::api::trust::upload::Upload;
    use crate::api::trust::{Changed, TrustStore};
    use crate::api::{Control, ReloadError};
    use crate::config::Faults;
    use crate::config::scratch::Scratch;
    use crate::observe::load::Reason;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    fn changed() -> Changed {
        let trust_store = TrustStore {
            name: "partners".to_owned(),
            source: "api".to_owned(),
            number_of_ca_certificates: 1,
            earliest_ca_expiry: "2085-01-02T00:00:00Z".to_owned(),
            total_revoked_entries: 0,
            revocations: Vec::new(),
        };
        let (new_revocation_ids, warnings) = (vec![3], Vec::new());
        Changed { generation: 8, trust_store, new_revocation_ids, warnings }
    }

    fn serve(dir: &Scratch, changed: Result<Changed, ReloadError>) -> Arc<Node> {
        let node = Arc::new(Node { changed: Some(changed), ..Node::default() });
        tokio::spawn(Admin::bind(&dir.path("socket")).unwrap().serve(node.clone()));
        node
    }

    /// An upload of these files, and the files as the node gets them.
    fn upload(dir: &Scratch, names: &[&str]) -> (Upload, Vec<File>) {
        let mut upload = Upload::default();
        let mut files = Vec::new();
        for name in names {
            let path = dir.path(name);
            std::fs::write(&path, name).unwrap();
            upload.add(&path, 100);
            let bytes = Bytes::copy_from_slice(name.as_bytes());
            files.push(File { name: path.display().to_string(), bytes });
        }
        (upload.whole().unwrap(), files)
    }

    #[tokio::test]
    async fn each_command_arrives_as_it_was_given() {
        let dir = Scratch::new();
        let node = serve(&dir, Ok(changed()));
        let ((one, a), (all, files)) = (upload(&dir, &["a"]), upload(&dir, &["a", "b", "c"]));
        let bundle = || a[0].clone();
        let replace = |revocations| Change::Replace { bundle: bundle(), revocations };
        for (command, expected) in [
            (Command::ReplaceBundle(one.clone()), replace(None)),
            (Command::ReplaceAll(one), replace(Some(Vec::new()))),
            (Command::ReplaceAll(all.clone()), replace(Some(files[1..].to_vec()))),
            (Command::AddRevocations(all), Change::AddRevocations(files.clone())),
            (Command::RemoveRevocations(vec![1, 7]), Change::RemoveRevocations(vec![1, 7])),
        ] {
            let answer = client::change(&dir.path("socket"), "a/b c", command).await.unwrap();
            assert_eq!(answer, changed());
            let asked = node.asked.lock().await.pop();
            assert_eq!(asked, Some(("a/b c".to_owned(), expected)));
        }
    }

    #[tokio::test]
    async fn a_change_that_did_not_work_is_told_in_full() {
        let late = ReloadError::NotAcknowledged { generation: 8, late_shards: vec![1, 3] };
        let undurable = |late_shards| ReloadError::NotDurable {
            generation: 8,
            error: "no disk".to_owned(),
            late_shards,
        };
        for (error, expected) in [
            (late, "generation 8 is live, but shards [1, 3] are late to take it"),
            (
                undurable(Vec::new()),
                "generation 8 is live, but the disk has not confirmed it: no disk",
            ),
            (
                undurable(vec![2]),
                "generation 8 is live, but the disk has not confirmed it: no disk; and shards [2] are \
                 late to take it",
            ),
            (
                ReloadError::Trust(Faults::one(Reason::Revocations, "a.crl: the file is empty")),
                "the trust store stays as it was; 1 fault stands in the way\n  \
                 a.crl: the file is empty",
            ),
        ] {
            let dir = Scratch::new();
            serve(&dir, Err(error));
            let command = Command::RemoveRevocations(vec![1]);
            let failure =
                client::change(&dir.path("socket"), "partners", command).await.unwrap_err();
            assert_eq!(failure.to_string(), expected);
        }
    }

    #[tokio::test]
    async fn what_is_no_command_reaches_no_trust_store() {
        let dir = Scratch::new();
        let node = serve(&dir, Ok(changed()));
        let store = "/trust_stores/partners";
        let too_long = limits::API_UPLOAD_BYTES_MAX + 1;
        for (request, status) in [
            (format!("PUT {store}?revocations=keep HTTP/1.1\r\nContent-Length: 0\r\n"), 400),
            (format!("PUT {store} HTTP/1.1\r\nContent-Length: 0\r\n"), 400),
            (format!("POST {store}/revocations HTTP/1.1\r\nContent-Length: {too_long}\r\n"), 413),
            (format!("DELETE {store}/revocations?ids= HTTP/1.1\r\n"), 400),
            (format!("DELETE {store}/revocations?ids=1,x HTTP/1.1\r\n"), 400),
            (format!("DELETE {store}/revocations HTTP/1.1\r\n"), 400),
            (format!("DELETE {store}/revocations?ids=1&dry-run=true HTTP/1.1\r\n"), 400),
            (
                format!("POST {store}/revocations?dryrun=true HTTP/1.1\r\nContent-Length: 0\r\n"),
                400,
            ),
            (
                format!(
                    "PUT {store}?revocations=replace&dry_rum=true HTTP/1.1\r\nContent-Length: 0\r\n"
                ),
                400,
            ),
            ("POST /reload?dryrun=true HTTP/1.1\r\n".to_owned(), 400),
            (format!("GET {store}/revocations HTTP/1.1\r\n"), 405),
        ] {
            let mut stream = UnixStream::connect(dir.path("socket")).await.unwrap();
            let head = format!("{request}Host: node\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer.get(9..12), Some(status.to_string().as_str()), "{request}: {answer}");
        }
        assert_eq!(*node.asked.lock().await, []);
        assert!(node.ready());
    }
}
