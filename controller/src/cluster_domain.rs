//! Whether `--cluster-domain` is the domain that the pods of this cluster search.
//!
//! A wrong one is not noticed otherwise: every name is served, under a suffix that nobody asks for.

use std::path::Path;

use rollcall_admin::Gate;

/// Opens `gate`, or closes it for good when the resolver configuration at `resolv_conf` speaks of another domain:
/// kubelet writes that file once, when the pod starts.
pub fn check(gate: &Gate, resolv_conf: &Path, domain: &str) {
    let text = std::fs::read_to_string(resolv_conf).unwrap_or_default();
    match mistake(&text, domain) {
        None => gate.open(),
        Some(mistake) => {
            tracing::error!(%domain, "{mistake}");
            gate.close_for("WrongClusterDomain", mistake);
        }
    }
}

/// What is wrong with `domain`, as a sentence; `None` when it is among the domains that are searched, or none is to be
/// seen.
fn mistake(resolv_conf: &str, domain: &str) -> Option<String> {
    let searched = cluster_domains(resolv_conf);
    let other = searched.first()?;
    if searched.iter().any(|searched| searched == domain) {
        return None;
    }
    Some(format!(
        "pods of this cluster search svc.{other}, but --cluster-domain is {domain}; set clusterDomain={other} in the \
         chart's values"
    ))
}

/// The domains that kubelet was told, by the three entries that it gives each pod with the DNS policy `ClusterFirst`:
/// `NAMESPACE.svc.DOMAIN svc.DOMAIN DOMAIN`. A machine's own configuration, also one with a domain that begins with
/// `svc.`, does not have all three.
fn cluster_domains(resolv_conf: &str) -> Vec<String> {
    let words = |line: &str| -> Vec<String> {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("search") => words.map(|word| word.trim_end_matches('.').to_ascii_lowercase()).collect(),
            _ => Vec::new(),
        }
    };
    let entries: Vec<String> = resolv_conf.lines().flat_map(words).collect();
    let of_namespace = |services: &str| {
        let namespace = |entry: &String| entry.strip_suffix(services)?.strip_suffix('.').map(str::to_owned);
        entries.iter().filter_map(namespace).any(|namespace| !namespace.is_empty() && !namespace.contains('.'))
    };
    let domain = |services: &String| services.strip_prefix("svc.").map(str::to_owned);
    let found = entries.iter().filter(|services| of_namespace(services)).filter_map(domain);
    found.filter(|domain| entries.contains(domain)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "search rollcall-system.svc.k8s.example svc.k8s.example k8s.example corp.example\n\
                       nameserver 10.96.0.10\noptions ndots:5\n";

    #[test]
    fn another_domain_than_the_pods_search_is_named_with_the_remedy() {
        assert_eq!(
            mistake(POD, "cluster.local").as_deref(),
            Some(
                "pods of this cluster search svc.k8s.example, but --cluster-domain is cluster.local; set \
                 clusterDomain=k8s.example in the chart's values"
            )
        );
        assert_eq!(mistake(POD, "k8s.example"), None);
        assert_eq!(mistake(&POD.replace("k8s.example", "K8s.Example."), "k8s.example"), None);
    }

    #[test]
    fn the_gate_closes_for_another_domain_and_opens_where_there_is_no_file() {
        let readiness = rollcall_admin::Readiness::default();
        let gate = readiness.gate("cluster-domain");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&file, POD).expect("written");
        check(&gate, file.path(), "cluster.local");
        let closed = readiness.closed();
        assert_eq!(closed[0].fault, Some("WrongClusterDomain"));
        assert!(closed[0].to_string().contains("set clusterDomain=k8s.example"), "{}", closed[0]);
        check(&gate, file.path(), "k8s.example");
        assert!(readiness.is_ready());
        let path = file.path().to_path_buf();
        file.close().expect("removed");
        check(&gate, &path, "cluster.local");
        assert!(readiness.is_ready());
    }

    #[test]
    fn one_of_several_domains_will_do() {
        let both = format!("{POD}search a.svc.cluster.local svc.cluster.local cluster.local\n");
        assert_eq!(mistake(&both, "cluster.local"), None);
        assert_eq!(mistake(&both, "k8s.example"), None);
        assert!(mistake(&both, "other.example").is_some());
    }

    #[test]
    fn where_pods_search_nothing_there_is_nothing_to_say() {
        for text in ["", "nameserver 10.0.0.1", "search", "search corp.example svc.corp.example", "search svc. ."] {
            assert_eq!(mistake(text, "cluster.local"), None, "{text}");
        }
    }
}
