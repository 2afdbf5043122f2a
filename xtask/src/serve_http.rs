//! An HTTP server that plays a machine outside the cluster.

use std::net::SocketAddr;

use anyhow::Result;
use rollcall_e2e::backend::Backend;

/// Serves until the process is ended.
pub(crate) fn serve(name: &str, address: SocketAddr) -> Result<()> {
    let backend = Backend::start(name, address)?;
    println!("{name} serves http://{}", backend.address());
    loop {
        std::thread::park();
    }
}
