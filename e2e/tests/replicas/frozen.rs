//! The API server hangs, and a machine fails whose check one replica owns: the clients of the others stop getting it all the same,
//! within the time that was stated beforehand.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rollcall_e2e::backend::Mode;
use rollcall_e2e::dns::Kdig;
use rollcall_e2e::{Component, clock, http};
use serde_json::{Value, json};

use super::support::shop::{DIRECT, name};
use super::support::{BOUND, Shop};

/// What this machine may take for everything beside what is stated: others run on it.
const SLOW: Duration = Duration::from_secs(20);

const READER: &str = "reader-of-replicas";

/// `rest` is what there is without the first machine.
pub(crate) fn machine_fails(shop: &mut Shop, clients: &[Kdig], rest: &BTreeSet<String>) -> Result<()> {
    let owner = owner(shop)?;
    let entry = shop.api.entry(DIRECT)?;
    let stated = entry["timeToEvict"].as_str().and_then(seconds);
    let stated = stated.with_context(|| format!("no time to evict in seconds: {entry}"))?;
    shop.plane.process(Component::ApiServer)?.freeze();
    let begun = clock::now();
    shop.machines[0].set(Mode::Fail)?;
    let mut waiting: Vec<_> = (0..clients.len()).collect();
    clock::wait_until(&format!("the clients of all replicas to have {rest:?}"), BOUND, || {
        let mut still = Vec::new();
        for index in &waiting {
            let seen: BTreeSet<String> = clients[*index].data(&name(DIRECT), "A")?.into_iter().collect();
            if seen != *rest {
                still.push(*index);
                continue;
            }
            let whose = if *index == owner { "that owns the check" } else { "another one" };
            let took = begun.elapsed();
            println!("    out at replica {index}, {whose}, after {:.1} s of {stated:?}", took.as_secs_f32());
            if took > stated + SLOW {
                return Err(clock::fatal(&anyhow!("out after {took:?}, stated were {stated:?}")));
            }
        }
        waiting = still;
        if waiting.is_empty() { Ok(Some(())) } else { bail!("not those of {waiting:?}") }
    })
}

/// A duration as in `11s600ms`.
fn seconds(text: &str) -> Option<Duration> {
    let (seconds, rest) = text.split_once('s')?;
    let millis = rest.strip_suffix("ms").map_or(Some(0), |millis| millis.parse().ok())?;
    Some(Duration::from_secs(seconds.parse().ok()?) + Duration::from_millis(millis))
}

/// The replica whose word counts on the first machine in [`DIRECT`].
fn owner(shop: &Shop) -> Result<usize> {
    let metadata = json!({ "name": READER, "namespace": "shop" });
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "rollcall-view" },
        "subjects": [{ "kind": "ServiceAccount", "name": READER, "namespace": "shop" }],
    });
    for object in [account, binding] {
        shop.kubectl.apply(&object.to_string())?;
    }
    let token = shop.kubectl.run(&["create", "token", READER, "--namespace", "shop", "--duration", "1h"])?;
    let path = format!("/v1/namespaces/shop/services/{DIRECT}/explain");
    clock::wait_until("all replicas to name one owner", BOUND, || {
        let mut owners = BTreeSet::new();
        for controller in &shop.rollcall.controllers {
            let answer = http::ask_as(token.trim(), controller.api, &path, None)?;
            let told: Value = serde_json::from_str(&answer.body).with_context(|| format!("{answer:?}"))?;
            let endpoints = told["endpoints"].as_array().with_context(|| format!("{answer:?}"))?;
            let machine = endpoints.iter().find(|endpoint| endpoint["name"] == "vm-1");
            owners.insert(machine.and_then(|machine| machine["judge"].as_str()).unwrap_or_default().to_owned());
        }
        let number = |owner: &String| owner.strip_prefix("controller-")?.parse::<usize>().ok();
        match owners.first().and_then(number) {
            Some(owner) if owners.len() == 1 => Ok(Some(owner)),
            _ => bail!("{owners:?}"),
        }
    })
}
