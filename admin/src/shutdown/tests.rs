//! Tests: how a process ends.

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_draining_process_is_not_ready_at_once_and_goes_after_the_lame_duck() {
    let readiness = Readiness::default();
    readiness.gate("catalog").open();
    let begin = Instant::now();
    let draining = drain(&readiness, Duration::from_secs(5), std::future::pending());
    tokio::pin!(draining);
    assert!(futures_poll_once(draining.as_mut()).await, "still draining");
    assert_eq!(readiness.closed()[0].to_string(), "not ready: shutdown: shutting down, 0 s");
    draining.await;
    assert_eq!(begin.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_cuts_the_delay_short() {
    let begin = Instant::now();
    drain(&Readiness::default(), Duration::from_secs(60), tokio::time::sleep(Duration::from_secs(1))).await;
    assert_eq!(begin.elapsed().as_secs(), 1);
}

/// Polls once; true when the future is pending.
async fn futures_poll_once(mut future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
}
