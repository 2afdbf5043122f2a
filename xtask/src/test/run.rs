//! A command whose output is kept for the case that it fails, and read line by line meanwhile.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Output, Stdio};

use anyhow::{Context, Result};

/// Runs the command to its end, and calls `line` with each line of its standard output.
pub(super) fn followed(mut command: Command, line: impl FnMut(&str)) -> Result<Output> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot be started")?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = std::thread::scope(|scope| {
        let stderr = scope.spawn(|| stderr.map(read_all).unwrap_or_default());
        let stdout = stdout.map(|stdout| by_lines(stdout, line)).unwrap_or_default();
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

fn by_lines(from: impl Read, mut line: impl FnMut(&str)) -> Vec<u8> {
    let (mut from, mut bytes) = (BufReader::new(from), Vec::new());
    loop {
        let begin = bytes.len();
        match from.read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return bytes,
            Ok(_) => line(&String::from_utf8_lossy(&bytes[begin..])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_kept_whole_and_shown_by_lines() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo no newline at the end >&2; printf two; exit 3"]);
        let mut lines = Vec::new();
        let output = followed(command, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["one\n", "two"]);
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stdout, b"one\ntwo");
        assert_eq!(output.stderr, b"no newline at the end\n");
    }
}
