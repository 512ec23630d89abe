//! The parameters of requests to the admin endpoint, and how a request is refused.
//!
//! A parameter that is not known is refused wherever it comes: it may be a `dry_run` that is misspelt, and
//! then nobody wants what is asked for.
use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Those of one request. `T` must deny unknown fields.
pub(super) struct Parameters<T>(pub(super) T);

/// For requests that have none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct None {}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(refused) => Err(refuse(StatusCode::BAD_REQUEST, &refused.body_text())),
        }
    }
}

/// An answer to what cannot be done.
pub(super) fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}
