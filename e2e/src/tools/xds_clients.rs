//! The xDS clients of `e2e/clients`, each from the packages of its language in the versions that its lock file names.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Recipe, go, run};
use crate::cargo::cargo;
use crate::layout;

/// Where they are put, below the folder of tools.
const FOLDER: &str = "xds-clients";

/// The caller by grpc-go and by HTTP, and the server that all callers call.
pub fn xds_clients_go() -> Result<PathBuf> {
    let source = source("go");
    let recipe = Recipe {
        name: "xds-clients-go",
        binary: "xds-clients/go",
        inputs: go::inputs(&source, "")?,
        doing: "building the xDS client of Go and the servers that xDS clients call",
        takes: "about a minute on two cores",
        remedy: go::REMEDY,
    };
    recipe.ready(|folder| {
        std::fs::create_dir_all(folder.join(FOLDER))?;
        go::build(&source, ".", &folder.join(FOLDER).join("go"), "-s -w")
    })
}

/// The folder of grpcio's modules, and `client.py`.
pub fn xds_client_python() -> Result<PathBuf> {
    let source = source("python");
    let recipe = Recipe {
        name: "xds-clients-python",
        binary: "xds-clients/python/client.py",
        inputs: inputs(&source, &["requirements.txt", "client.py"])?,
        doing: "installing grpcio from its Python package",
        takes: "about 10 seconds",
        remedy: "It needs python3 with pip, and a network that reaches a Python package index (see PIP_INDEX_URL)",
    };
    recipe.ready(|folder| {
        let into = emptied(folder, "python")?;
        let mut install = Command::new("python3");
        install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"]);
        run(install.arg(&into).arg("--requirement").arg(source.join("requirements.txt")))?;
        copy(&source, &["client.py"], &into)
    })
}

/// `client.js`, beside the modules of grpc-js-xds.
pub fn xds_client_node() -> Result<PathBuf> {
    const FILES: [&str; 3] = ["package.json", "package-lock.json", "client.js"];
    let source = source("node");
    let recipe = Recipe {
        name: "xds-clients-node",
        binary: "xds-clients/node/client.js",
        inputs: inputs(&source, &FILES)?,
        doing: "installing grpc-js-xds from its npm package",
        takes: "about 15 seconds",
        remedy: "It needs node 20 or later with npm, and a network that reaches an npm registry (see `npm config get registry`)",
    };
    recipe.ready(|folder| {
        let into = emptied(folder, "node")?;
        copy(&source, &FILES, &into)?;
        let mut install = Command::new("npm");
        run(install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(into))
    })
}

/// The folder `target` with `client.jar` and, in `libraries`, grpc-xds.
pub fn xds_client_java() -> Result<PathBuf> {
    const FILES: [&str; 2] = ["pom.xml", "src/main/java/dev/rollcall/e2e/Client.java"];
    let source = source("java");
    let recipe = Recipe {
        name: "xds-clients-java",
        binary: "xds-clients/java/target/client.jar",
        inputs: inputs(&source, &FILES)?,
        doing: "building the xDS client of Java with grpc-xds from its Maven package",
        takes: "about 30 seconds",
        remedy: "It needs a JDK 17 or later with Maven, and a network that reaches a Maven repository",
    };
    let jar = recipe.ready(|folder| {
        let into = emptied(folder, "java")?;
        copy(&source, &FILES, &into)?;
        let mut package = Command::new("mvn");
        run(package.args(["--quiet", "--batch-mode", "package"]).current_dir(into))
    })?;
    jar.parent().map(Path::to_path_buf).context("a file without a folder")
}

/// The caller by tonic-xds.
pub fn xds_client_rust() -> Result<PathBuf> {
    let source = source("rust");
    let recipe = Recipe {
        name: "xds-clients-rust",
        binary: "xds-clients/rust",
        inputs: inputs(&source, &["Cargo.toml", "Cargo.lock", "src/main.rs"])?,
        doing: "building the xDS client of Rust with tonic-xds",
        takes: "about 100 seconds on two cores",
        remedy: "It needs, the first time, a network that reaches the crate registry",
    };
    recipe.ready(|folder| {
        // Beside our own crates, so that `cargo clean` takes it too; what is kept is the program.
        let built = layout::target().join("xds-client-rust");
        let mut build = cargo();
        build.args(["build", "--quiet", "--locked", "--target-dir"]).arg(&built).current_dir(&source);
        // Those of the cargo that may have started us are about another workspace.
        build.env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION").env_remove("RUSTFLAGS");
        run(&mut build)?;
        std::fs::create_dir_all(folder.join(FOLDER))?;
        let fresh = folder.join(FOLDER).join("rust.new");
        std::fs::copy(built.join("debug/rollcall-e2e-xds-client"), &fresh).context("taking the program")?;
        std::fs::rename(&fresh, folder.join(FOLDER).join("rust"))?;
        std::fs::remove_dir_all(&built).context("removing what the program was built from")
    })
}

/// The server beside which Rollcall's is measured.
pub fn go_control_plane() -> Result<PathBuf> {
    go::program(
        "go-control-plane",
        "e2e/bench/go-control-plane",
        "building go-control-plane from its Go module",
        "about a minute on two cores",
    )
}

fn source(language: &str) -> PathBuf {
    layout::root().join("e2e/clients").join(language)
}

/// The text of these files, each with its name.
fn inputs(source: &Path, files: &[&str]) -> Result<Vec<u8>> {
    let mut inputs = Vec::new();
    for file in files {
        inputs.extend(format!("\n// {file}\n").bytes());
        inputs.extend(std::fs::read(source.join(file)).with_context(|| format!("reading {file}"))?);
    }
    Ok(inputs)
}

/// A folder of a language, with nothing in it.
fn emptied(tools: &Path, language: &str) -> Result<PathBuf> {
    let folder = tools.join(FOLDER).join(language);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

fn copy(source: &Path, files: &[&str], into: &Path) -> Result<()> {
    for file in files {
        let copy = into.join(file);
        if let Some(folder) = copy.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::copy(source.join(file), copy).with_context(|| format!("copying {file}"))?;
    }
    Ok(())
}
