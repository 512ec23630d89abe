//! The metrics endpoint: what may be read by anyone who can reach it. Nothing here changes anything.
use super::{Control, serve};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Source: Prometheus, "Exposition formats", "Text-based format".
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Listens on `address`; for a thread with a tokio runtime.
///
/// # Errors
/// What the kernel said.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serves until dropped.
pub async fn serve(listener: TcpListener, control: Arc<dyn Control>) {
    serve::serve(listener, router(control)).await;
}

fn router(control: Arc<dyn Control>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /metrics, /livez, /readyz, /status\n") })
        .with_state(control)
}

async fn metrics(State(control): State<Arc<dyn Control>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, TEXT)], control.metrics())
}

async fn readyz(State(control): State<Arc<dyn Control>>) -> impl IntoResponse {
    if control.ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

/// Also what the admin endpoint answers.
pub(super) async fn status(State(control): State<Arc<dyn Control>>) -> impl IntoResponse {
    Json(control.status())
}

#[cfg(test)]
mod tests {
    use super::super::serve::tests::{Node, exchange};
    use super::*;
    use tokio::net::TcpStream;

    async fn ask(node: &Arc<Node>, method: &str, path: &str) -> (u16, String, String) {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, node.clone()));
        let answer = exchange(TcpStream::connect(address).await.unwrap(), method, path).await;
        server.abort();
        answer
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text() {
        let (status, head, body) = ask(&Arc::default(), "GET", "/metrics").await;
        assert_eq!(status, 200);
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        assert!(body.ends_with("portcullis_generation 7\n"), "{body}");
    }

    #[tokio::test]
    async fn a_node_that_drains_is_alive_and_not_ready() {
        let node: Arc<Node> = Arc::default();
        assert_eq!(ask(&node, "GET", "/readyz").await.0, 200);
        node.drain();
        assert_eq!(ask(&node, "GET", "/readyz").await.0, 503);
        assert_eq!(ask(&node, "GET", "/livez").await.0, 200);
    }

    #[tokio::test]
    async fn status_is_json() {
        let (status, head, body) = ask(&Arc::default(), "GET", "/status").await;
        assert_eq!((status, body.as_str()), (200, r#"{"generation":7,"draining":false}"#));
        assert!(head.contains("content-type: application/json"), "{head}");
    }

    #[tokio::test]
    async fn nothing_can_be_changed_here() {
        let node: Arc<Node> = Arc::default();
        for path in ["/metrics", "/livez", "/readyz", "/status"] {
            for method in ["POST", "PUT", "DELETE", "PATCH"] {
                assert_eq!(ask(&node, method, path).await.0, 405, "{method} {path}");
            }
        }
        for path in ["/drain", "/reload", "/"] {
            assert_eq!(ask(&node, "POST", path).await.0, 404, "{path}");
        }
        assert!(node.ready());
    }
}
