//! The idle timeout of a stream, which counts from the last bytes in either direction: both sides may be
//! silent in turn for as long as they like while the other one speaks.
use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, timeout_at};

/// When bytes moved last, and for how long they need not.
pub(super) struct Idle {
    after: Duration,
    moved: Cell<Instant>,
}

impl Idle {
    /// Begins now.
    pub(super) fn new(after: Duration) -> Self {
        Self { after, moved: Cell::new(Instant::now()) }
    }

    /// Bytes moved.
    pub(super) fn moved(&self) {
        self.moved.set(Instant::now());
    }

    /// When they did so last.
    pub(super) fn since(&self) -> Instant {
        self.moved.get()
    }

    fn deadline(&self) -> Instant {
        self.moved.get() + self.after
    }

    /// Waits for `future`; none once nothing has moved for as long as that may be. Pinned by the caller: a future
    /// that is an argument is kept twice, and each stream has one.
    pub(super) async fn within<F: Future>(&self, mut future: Pin<&mut F>) -> Option<F::Output> {
        loop {
            let deadline = self.deadline();
            match timeout_at(deadline.into(), future.as_mut()).await {
                Ok(output) => return Some(output),
                Err(_) if deadline == self.deadline() => return None,
                // Something moved meanwhile.
                Err(_) => {}
            }
        }
    }

    /// A timer for [`Idle::poll_over`].
    pub(super) fn sleep(&self) -> Sleep {
        tokio::time::sleep(self.after)
    }

    /// Ready once nothing has moved for as long as that may be. `sleep` is set anew only when it has passed.
    pub(super) fn poll_over(
        &self,
        mut sleep: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            ready!(sleep.as_mut().poll(context));
            let deadline = self.deadline();
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::pin::pin;

    const SHORT: Duration = Duration::from_millis(20);

    fn run<F: Future>(future: F) -> F::Output {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn what_is_there_is_had_even_after_a_long_silence() {
        let idle = Idle::new(Duration::ZERO);
        assert_eq!(run(idle.within(pin!(ready(7)))), Some(7));
    }

    /// Goal: silence ends a wait once it has lasted, and bytes of the other direction prolong it. Method: they
    /// move five times while a wait lasts.
    #[test]
    fn a_wait_lasts_while_something_moves() {
        let idle = Idle::new(SHORT);
        let began = Instant::now();
        let other = async {
            for _ in 0..5 {
                tokio::time::sleep(SHORT / 2).await;
                idle.moved();
            }
            pending::<()>().await;
        };
        let waited = run(async {
            let never = pin!(pending::<()>());
            let (mut other, mut wait) = (pin!(other), pin!(idle.within(never)));
            std::future::poll_fn(|context| {
                let _ = other.as_mut().poll(context);
                wait.as_mut().poll(context)
            })
            .await
        });
        assert_eq!(waited, None);
        assert!(began.elapsed() >= 5 * (SHORT / 2) + SHORT, "it ended after {:?}", began.elapsed());
    }
}
