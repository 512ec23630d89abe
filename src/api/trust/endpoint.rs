//! The node's side, below the admin endpoint:
//!
//! ```text
//! GET    /trust_stores
//! PUT    /trust_stores/NAME?revocations=keep|replace   the bundle, and revocation files: an upload
//! POST   /trust_stores/NAME/revocations                revocation files: an upload
//! DELETE /trust_stores/NAME/revocations?ids=1,2
//! ```
//!
//! One upload is in memory at a time, from its first byte until its change has ended.
use super::upload;
use crate::api::Control;
use crate::config::state::{Change, File};
use crate::limits;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use serde::Deserialize;
use serde_json::json;
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

async fn report(State(desk): State<Desk>) -> impl IntoResponse {
    Json(desk.control.trust())
}

/// What becomes of the present revocation files when the bundle is replaced.
#[derive(Deserialize)]
struct Replacing {
    revocations: Present,
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
    Query(Replacing { revocations }): Query<Replacing>,
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
    Ok(desk.change(name, Change::Replace { bundle, revocations }, Some(upload)).await)
}

async fn add(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Response> {
    let (files, upload) = desk.receive(body).await?;
    Ok(desk.change(name, Change::AddRevocations(files), Some(upload)).await)
}

/// Ids, with commas between them.
#[derive(Deserialize)]
struct Removing {
    ids: String,
}

async fn remove(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    Query(Removing { ids }): Query<Removing>,
) -> Result<Response, Response> {
    let ids = ids.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>();
    let ids = ids.map_err(|_| refuse(StatusCode::BAD_REQUEST, "an id is a number"))?;
    Ok(desk.change(name, Change::RemoveRevocations(ids), None).await)
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
            .map_err(|cut| refuse(StatusCode::BAD_REQUEST, &format!("the upload: {cut}")))?;
        Ok((files, upload))
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

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}
