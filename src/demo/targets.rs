//! Two small HTTP targets that answer with what they received: request line and headers.
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header::CONTENT_TYPE};
use axum::response::IntoResponse;
use std::fmt::Write;
use std::io;
use std::net::TcpListener;
use std::thread::{self, JoinHandle};
use tokio::runtime;
use tokio::sync::oneshot;

/// The running targets; dropping it stops them.
#[derive(Debug)]
pub(super) struct Targets {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a target on each listener, all on one thread.
pub(super) fn start(listeners: [TcpListener; 2]) -> io::Result<Targets> {
    for listener in &listeners {
        listener.set_nonblocking(true)?;
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let serve = async move {
        for (index, listener) in listeners.into_iter().enumerate() {
            tokio::spawn(serve(format!("target {}", index + 1), listener));
        }
        // Ends also when the sender is dropped, which is how it is told.
        let _ = stopped.await;
    };
    let thread = thread::Builder::new()
        .name("demo-targets".to_owned())
        .spawn(move || runtime.block_on(serve))?;
    Ok(Targets { stop: Some(stop), thread: Some(thread) })
}

impl Drop for Targets {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the demo's targets panicked");
        }
    }
}

async fn serve(name: String, listener: TcpListener) {
    let router = Router::new().fallback(show).with_state(name);
    let served = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => axum::serve(listener, router).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::error!(%error, "a target of the demo ended");
    }
}

async fn show(State(name): State<String>, request: Request) -> impl IntoResponse {
    let line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], shown(&name, &line, request.headers()))
}

/// What a target answers, line by line.
fn shown(name: &str, request_line: &str, headers: &HeaderMap) -> String {
    let mut text = format!("{name} got:\n{request_line}\n");
    for (name, value) in headers {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};

    #[test]
    fn a_target_answers_with_what_it_received_until_it_is_stopped() {
        let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let addresses = [0, 1].map(|index| listeners[index].local_addr().unwrap());
        let targets = start(listeners).unwrap();
        for (address, name) in addresses.into_iter().zip(["target 1", "target 2"]) {
            let mut client = TcpStream::connect(address).unwrap();
            client
                .write_all(
                    b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Who: me\r\nConnection: close\r\n\r\n",
                )
                .unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            let expected = format!("{name} got:\nGET /a?b=c HTTP/1.1\nhost: x\nx-who: me\n");
            assert!(answer.contains(&expected), "{answer}");
        }
        drop(targets);
        assert!(TcpStream::connect(addresses[0]).is_err());
    }
}
