//! Operations that need no waiting. Pure.
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Asks an operation once, which does what can be done without waiting; most sends need no more, and so no
/// deadline.
pub async fn at_once<F: Future>(mut operation: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(operation.as_mut().poll(context))).await
}
