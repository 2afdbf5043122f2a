//! Two linked clusters, each a control plane with Rollcall: services across them by the cases of the public conformance suite of
//! the Multi-Cluster Services API, and what happens when the line between them is cut. At last a third joins them.

#[path = "clusters/cases.rs"]
mod cases;
#[path = "clusters/cluster.rs"]
mod cluster;
#[path = "clusters/inventory.rs"]
mod inventory;
#[path = "clusters/line.rs"]
mod line;
#[path = "clusters/mesh.rs"]
mod mesh;
#[path = "clusters/page.rs"]
mod page;
#[path = "clusters/pair.rs"]
mod pair;
#[path = "clusters/report.rs"]
mod report;
mod support;
#[path = "clusters/traffic.rs"]
mod traffic;

use anyhow::{Result, anyhow};
use pair::Pair;
use support::step;

#[test]
fn two_clusters_are_one_clusterset_and_a_cut_line_takes_nothing() -> Result<()> {
    Pair::run("clusters", |pair| {
        for case in cases::ALL {
            step(&format!("{} {}", case.level.word(), case.what), || (case.run)(pair))?;
        }
        step("who a cluster is stands in its ClusterProperties", || line::known_by_properties(pair))?;
        step("a namespace that is not in this cluster has no imports, and has them once it is there", || {
            line::a_namespace_that_comes_later(pair)
        })?;
        step(
            "calls by the clusterset's name, while a zone fails, while a cluster is drained, while the other one dies: its endpoints go, the \
             address stays, and they come back",
            || traffic::run(pair),
        )?;
        let north = std::thread::scope(|scope| {
            let north = scope.spawn(pair.third());
            step(
                "packets are dropped: suspect; the importing controller starts anew: all is kept; healed; nothing is rewritten",
                || line::cut_and_healed(pair),
            )?;
            north.join().map_err(|_| anyhow!("the start of the third cluster panicked"))?
        })?;
        step("with the link goes all that it brought", || line::link_removed(pair))?;
        step("linked in ten minutes, as the page says", || page::linked_as_the_page_says(pair))?;
        step(
            "a third cluster joins, each linked with each: what all of them export is answered alike in each",
            || mesh::joined(pair, north),
        )?;
        step("a link goes where a ClusterProfile says", || inventory::followed(pair))?;
        step("one exports it no more: nothing of it comes back by the others", || mesh::withdrawn(pair))?;
        step("all three controllers start anew at once: nothing is rewritten, and nothing comes back", || {
            mesh::all_restart(pair)
        })
    })
}
