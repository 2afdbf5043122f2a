//! A command whose output is kept for the case that it fails; meanwhile a terminal shows how far it has come.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Output, Stdio};

use anyhow::{Context, Result};

use crate::terminal::Step;

/// Runs the command to its end.
pub(super) fn with_progress(mut command: Command, step: &Step) -> Result<Output> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot be started")?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = std::thread::scope(|scope| {
        let stderr = scope.spawn(|| stderr.map(read_all).unwrap_or_default());
        let stdout = stdout.map(|stdout| watched(stdout, step)).unwrap_or_default();
        (stdout, stderr.join().unwrap_or_default())
    });
    let status: ExitStatus = child.wait().context("waiting for its end")?;
    Ok(Output { status, stdout, stderr })
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes); // What was read until then is what there is.
    bytes
}

fn watched(from: impl Read, step: &Step) -> Vec<u8> {
    let (mut from, mut bytes, mut passed) = (BufReader::new(from), Vec::new(), 0_u32);
    loop {
        let begin = bytes.len();
        match from.read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return bytes,
            Ok(_) => {}
        }
        if let Some(name) = passed_test(&String::from_utf8_lossy(&bytes[begin..])) {
            passed += 1;
            step.progress(&format!("{passed} passed, last {name}"));
        }
    }
}

/// The name in a line of a test that has passed: "test NAME ... ok". What the test itself prints may come between.
fn passed_test(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ")?;
    rest.starts_with("ok").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal;

    #[test]
    fn output_is_kept_whole_and_tests_are_found_in_it() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo 'test a::b ... ok'; echo no newline at the end >&2; printf 'test c ... FAILED'; exit 3",
        ]);
        let step = terminal::begin("a step");
        let output = with_progress(command, &step).unwrap();
        step.failed();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stdout, b"test a::b ... ok\ntest c ... FAILED");
        assert_eq!(output.stderr, b"no newline at the end\n");
    }

    #[test]
    fn only_what_passed_counts() {
        assert_eq!(passed_test("test a::b ... ok"), Some("a::b"));
        assert_eq!(passed_test("test on a node ... ok (3.1 s)"), Some("on a node"));
        assert_eq!(passed_test("test c ... FAILED"), None);
        assert_eq!(passed_test("test result: ok. 3 passed"), None);
    }
}
