//! Looks names up as Rust's library does: by the C library that it is linked with.

use std::io::{BufRead as _, Write as _};
use std::net::ToSocketAddrs as _;

/// A line for each name on the standard input: its addresses, or what went wrong.
fn main() {
    for name in std::io::stdin().lock().lines().map_while(Result::ok) {
        let said = match (&*name, 0).to_socket_addrs() {
            Ok(found) => found.map(|at| at.ip().to_string()).collect::<Vec<_>>().join(" "),
            Err(error) => format!("! {error}"),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{name} {said}").and_then(|()| out.flush()).expect("somebody reads");
    }
}
