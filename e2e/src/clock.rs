//! The only place of the harness that reads a clock or sleeps: everything else waits here for a condition.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The monotonic time now.
#[expect(clippy::disallowed_methods, reason = "the clock module of the harness")]
pub fn now() -> Instant {
    Instant::now()
}

/// What clocks on the wall show, in milliseconds of unix time.
#[expect(clippy::disallowed_methods, reason = "the clock module of the harness")]
pub fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Blocks this thread. Only for the pause between two looks at a condition.
#[expect(clippy::disallowed_methods, reason = "no runtime here: this blocks a test's own thread and nothing else")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Ends all waiting, now and later: the user wants to stop.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Whether [`interrupt`] has been called.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// An error once [`interrupt`] has been called.
pub fn check_interrupt() -> Result<()> {
    if is_interrupted() {
        bail!(Interrupted);
    }
    Ok(())
}

/// Whether the error is that of [`check_interrupt`], whatever was added to it.
pub fn is_interrupt(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Interrupted>().is_some()
}

/// The user wants to stop.
#[derive(Debug)]
struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// An error that waiting cannot mend: [`wait_until`] gives up at once.
#[derive(Debug)]
struct Fatal(String);

impl std::fmt::Display for Fatal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fatal {}

/// Marks an error as one that ends [`wait_until`] at once.
pub fn fatal(error: &anyhow::Error) -> anyhow::Error {
    anyhow::Error::new(Fatal(format!("{error:#}")))
}

/// Calls `condition` until it returns a value, and returns that.
///
/// `Ok(None)` and errors mean "not yet"; the last error is part of the message when the bound passes. An error made by
/// [`fatal`] ends the wait. `what` completes the sentence "waited … for".
pub fn wait_until<T>(what: &str, bound: Duration, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = now();
    let mut between = Duration::from_millis(5);
    let mut last = None;
    loop {
        check_interrupt()?;
        match condition() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => {}
            Err(error) if error.downcast_ref::<Fatal>().is_some() => return Err(error),
            Err(error) => last = Some(error),
        }
        if start.elapsed() >= bound {
            let seconds = start.elapsed().as_secs_f32();
            return Err(match last {
                Some(error) => anyhow!("waited {seconds:.1} s for {what}; last seen: {error:#}"),
                None => anyhow!("waited {seconds:.1} s for {what}"),
            });
        }
        pause(between);
        between = (between * 3 / 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_returns_the_value_as_soon_as_there_is_one() {
        let mut looks = 0;
        let value = wait_until("three looks", Duration::from_secs(60), || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn a_wait_that_times_out_says_what_it_saw_last() {
        let outcome = wait_until::<()>("rain", Duration::from_millis(20), || Err(anyhow!("the sun shines")));
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains("for rain; last seen: the sun shines"), "{message}");
    }

    #[test]
    fn a_fatal_error_ends_the_wait() {
        let mut looks = 0;
        let outcome = wait_until::<()>("nothing", Duration::from_secs(60), || {
            looks += 1;
            Err(fatal(&anyhow!("it died")))
        });
        assert_eq!((outcome.unwrap_err().to_string().as_str(), looks), ("it died", 1));
    }
}
