//! HTTP/1.1 on the control thread, for few and short connections: bounded in number, in the size and
//! time of a request's head, and in age. (`axum::serve` bounds none of these.)
use crate::limits;
use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Serves until dropped; open connections end with it.
pub(super) async fn serve<L: Listener>(mut listener: L, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= limits::API_CONNECTIONS_MAX {
            connections.join_next().await;
        }
        tokio::select! {
            (stream, _) = listener.accept() => {
                let (last, cut) = (limits::API_CONNECTION, 2 * limits::API_CONNECTION);
                connections.spawn(connection(stream, router.clone(), sleep(last), sleep(cut)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// When `last` is done, the request under way is the last one; when `cut` is done, even that is cut off.
async fn connection<I>(
    stream: I,
    router: Router,
    last: impl Future<Output = ()>,
    cut: impl Future<Output = ()>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::API_HEAD)
        .max_buf_size(limits::API_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    // How it ended is of no interest: there is nobody left to tell, and nothing to do.
    tokio::select! {
        _ = served.as_mut() => return,
        () = last => served.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = served => {}
        () = cut => {}
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::api::dry_run::{DryRun, Proposal};
    use crate::api::explain::Question;
    use crate::api::{BoxFuture, Control, ReloadError, Reloaded, trust};
    use crate::config::state::Change;
    use axum::routing::get;
    use serde_json::{Value, json};
    use std::future::{pending, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{Mutex, Notify};

    /// A node that answers as it is told.
    pub(in crate::api) struct Node {
        pub(in crate::api) reload: Result<Reloaded, ReloadError>,
        pub(in crate::api) draining: AtomicBool,
        /// The changes of trust that were asked for, and what is answered to each.
        pub(in crate::api) asked: Mutex<Vec<(String, Change)>>,
        pub(in crate::api) changed: Option<Result<trust::Changed, ReloadError>>,
        pub(in crate::api) company: Company,
    }

    /// Finds out whether two are there at once.
    #[derive(Default)]
    pub(in crate::api) struct Company {
        present: std::sync::atomic::AtomicUsize,
    }

    impl Company {
        /// Whether somebody else comes within a moment.
        fn comes(&self) -> bool {
            self.present.fetch_add(1, Relaxed);
            let begun = std::time::Instant::now();
            let mut others = 0;
            while others == 0 && begun.elapsed() < std::time::Duration::from_millis(50) {
                others = self.present.load(Relaxed) - 1;
                std::thread::yield_now();
            }
            self.present.fetch_sub(1, Relaxed);
            others > 0
        }
    }

    impl Default for Node {
        fn default() -> Self {
            let reload = Ok(Reloaded { generation: 7, warnings: Vec::new() });
            let (draining, asked) = (AtomicBool::new(false), Mutex::default());
            Self { reload, draining, asked, changed: None, company: Company::default() }
        }
    }

    impl Control for Node {
        fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ReloadError>> {
            Box::pin(async { self.reload.clone() })
        }
        fn change_trust(
            &self,
            trust_store: String,
            change: Change,
        ) -> BoxFuture<'_, Result<trust::Changed, ReloadError>> {
            Box::pin(async {
                self.asked.lock().await.push((trust_store, change));
                self.changed.clone().expect("the test says what is answered")
            })
        }
        fn dry_run(&self, proposal: Proposal) -> BoxFuture<'_, Result<DryRun, ReloadError>> {
            let clients = if matches!(proposal, Proposal::Reload { .. }) { 1 } else { 2 };
            let answer = DryRun { generation: 7, clients, ..DryRun::default() };
            Box::pin(async { Ok(answer) })
        }
        fn trust(&self) -> trust::Report {
            trust::Report { generation: 7, trust_stores: Vec::new() }
        }
        fn drain(&self) {
            self.draining.store(true, Relaxed);
        }
        fn status(&self) -> Value {
            json!({"generation": 7, "draining": self.draining.load(Relaxed)})
        }
        fn explain(&self, question: &Question, chain: &[u8]) -> Result<Value, String> {
            match question.listener.as_str() {
                "https" => Ok(json!({"chain_bytes": chain.len(), "question": question})),
                "company" => Ok(json!({"company": self.company.comes()})),
                other => Err(format!("there is no listener {other}")),
            }
        }
        fn ready(&self) -> bool {
            !self.draining.load(Relaxed)
        }
        fn metrics(&self) -> String {
            "# TYPE portcullis_generation gauge\nportcullis_generation 7\n".to_owned()
        }
    }

    /// Sends one request and reads until the other side closes. Returns status, head and body.
    pub(in crate::api) async fn exchange(
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        method: &str,
        path: &str,
    ) -> (u16, String, String) {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    async fn hello() -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "hello" }));
        (address, tokio::spawn(serve(listener, router)))
    }

    #[tokio::test]
    async fn a_connection_serves_several_requests() {
        let (address, _server) = hello().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..3 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n").await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"hello") {
                assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
            }
        }
    }

    #[tokio::test]
    async fn a_head_over_its_limit_is_refused() {
        let (address, _server) = hello().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let filler = "x".repeat(limits::API_HEAD_BYTES_MAX);
        let head = format!("GET / HTTP/1.1\r\nHost: node\r\nX-Filler: {filler}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 431");
    }

    #[tokio::test]
    async fn the_connection_over_the_limit_waits_for_another_to_end() {
        let (address, _server) = hello().await;
        let mut open = Vec::new();
        for _ in 0..limits::API_CONNECTIONS_MAX {
            open.push(TcpStream::connect(address).await.unwrap());
        }
        let mut waiting =
            Box::pin(exchange(TcpStream::connect(address).await.unwrap(), "GET", "/"));
        // One that is served proves that all before it were accepted.
        let first = open.remove(0);
        tokio::select! {
            biased;
            (status, ..) = exchange(first, "GET", "/") => assert_eq!(status, 200),
            _ = &mut waiting => panic!("served over the limit"),
        }
        assert_eq!(waiting.await.0, 200);
    }

    #[tokio::test]
    async fn a_client_that_does_not_finish_its_request_is_cut_off() {
        let (mut client, stream) = tokio::io::duplex(1_024);
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        connection(stream, Router::new(), ready(()), ready(())).await;
        assert!(client.write_all(b"Host: node\r\n\r\n").await.is_err());
    }

    #[tokio::test]
    async fn a_connection_answers_the_request_under_way_before_it_ends() {
        let asked = Arc::new(Notify::new());
        let told = Arc::new(Notify::new());
        let slow = get({
            let (asked, told) = (asked.clone(), told.clone());
            move || async move {
                asked.notify_one();
                told.notified().await;
                "late"
            }
        });
        let (mut client, stream) = tokio::io::duplex(1_024);
        let router = Router::new().route("/", slow);
        let last = async {
            asked.notified().await;
            told.notify_one();
        };
        client.write_all(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n").await.unwrap();
        connection(stream, router, last, pending()).await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("late"), "{answer}");
    }
}
