//! "Link two clusters in ten minutes", as docs/federation.md has it, run on two clusters that are not linked: its commands in the
//! cluster of each step, and its objects. What Helm does has been done, and is tested with the chart.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rollcall_e2e::layout;

use crate::cluster::Cluster;
use crate::pair::{Pair, import, name, resolves};

/// What stands in one step.
#[derive(Default)]
struct Step {
    commands: Vec<String>,
    objects: Vec<String>,
}

pub(crate) fn linked_as_the_page_says(pair: &mut Pair) -> Result<()> {
    let text = std::fs::read_to_string(layout::root().join("docs/federation.md")).context("docs/federation.md")?;
    let steps = steps(&text);
    ensure!(steps.len() == 5, "the page has {} steps", steps.len());
    let folder = pair.folder().join("page");
    std::fs::create_dir_all(&folder)?;
    pair.west.kubectl.run(&["delete", "secret", "link-east", "--namespace", "rollcall-system"])?;
    let mut run = 0;
    for (at, step) in steps.iter().enumerate() {
        // The exporting cluster makes itself reachable (2) and exports (4); the other one links (3) and looks (5).
        let cluster = if at == 1 || at == 3 { &pair.east } else { &pair.west };
        for object in &step.objects {
            let object = object.replace("rollcall.east.example.net:18000", &pair.relay.address().to_string());
            let object = object.replace("rollcall-controller.rollcall-system.svc", "localhost");
            std::fs::write(folder.join("link.yaml"), &object)?;
            if !object.contains("ClusterLink") {
                cluster.kubectl.apply(&object)?;
            }
        }
        let kubectl = |command: &&String| command.starts_with("kubectl");
        for command in step.commands.iter().filter(kubectl).filter(|_| at < 4) {
            shell(cluster, command, &folder)?;
            run += 1;
        }
        if at == 3 {
            pair.west.await_link("east", "Connected")?;
            let import = import(&pair.west, "payments", |import| !import["spec"]["ips"].is_null())?;
            let ip = import["spec"]["ips"][0].as_str().context("an address")?.to_owned();
            resolves(&pair.west, &name("payments"), "A", &[ip])?;
        }
        for command in step.commands.iter().filter(kubectl).filter(|_| at == 4) {
            for cluster in pair.both() {
                shell(cluster, command, &folder)?;
            }
            run += 1;
        }
    }
    ensure!(run >= 9, "only {run} commands were found");
    Ok(())
}

/// The steps of the section.
fn steps(text: &str) -> Vec<Step> {
    let section = text.split("\n## ").find(|section| section.starts_with("Link two clusters")).unwrap_or_default();
    let (mut steps, mut block): (Vec<Step>, Option<(String, String)>) = (Vec::new(), None);
    for line in section.lines() {
        let numbered = line.split_once(". ").is_some_and(|(number, _)| number.parse::<usize>() == Ok(steps.len() + 1));
        match (&mut block, line.trim_start().strip_prefix("```")) {
            (None, None) if numbered => steps.push(Step::default()),
            (None, Some(kind)) => block = Some((kind.to_owned(), String::new())),
            (Some(_), Some(_)) => {
                let (Some((kind, text)), Some(step)) = (block.take(), steps.last_mut()) else { continue };
                match kind.as_str() {
                    "sh" => step.commands.extend(text.replace("\\\n", " ").lines().map(|line| line.trim().to_owned())),
                    _ => step.objects.push(text),
                }
            }
            (Some((_, text)), None) => {
                text.push_str(line.strip_prefix("   ").unwrap_or(line));
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    steps
}

/// Runs a command of the page as it stands, with kubectl for this cluster.
fn shell(cluster: &Cluster, command: &str, folder: &Path) -> Result<()> {
    let script = format!("set -e; kubectl() {{ {} \"$@\"; }}; {command}", cluster.kubectl.words());
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder)
        .env("KUBECONFIG", cluster.kubectl.kubeconfig())
        .env("KUBECACHEDIR", cluster.kubectl.kubeconfig().with_extension("cache"))
        .output()
        .context("starting sh")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}, in {}: {said}", cluster.id);
    Ok(())
}
