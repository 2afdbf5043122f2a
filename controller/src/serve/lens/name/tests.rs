//! Tests: the names by which clients ask for a service.

use super::*;

fn read(name: &str) -> Option<Target<'_>> {
    Target::read(name, "cluster.local")
}

#[test]
fn a_service_is_meant_by_each_of_its_names() {
    for (name, tag, port, is_plain) in [
        ("payments.shop:http", None, PortRef::Name("http"), true),
        ("payments.shop:8080", None, PortRef::Number(8080), false),
        ("payments.shop", None, PortRef::Only, false),
        ("payments.shop.svc:http", None, PortRef::Name("http"), false),
        ("payments.shop.svc.cluster.local:http", None, PortRef::Name("http"), false),
        ("payments.shop.svc.cluster.local.:8080", None, PortRef::Number(8080), false),
        ("canary.payments.shop:http", Some("canary"), PortRef::Name("http"), false),
        ("v1.2.payments.shop.svc", Some("v1.2"), PortRef::Only, false),
        ("xdstp://mesh/envoy.config.listener.v3.Listener/payments.shop:http", None, PortRef::Name("http"), false),
        ("xdstp:///envoy.config.cluster.v3.Cluster/canary.payments.shop?a=b", Some("canary"), PortRef::Only, false),
    ] {
        let target = read(name).unwrap_or_else(|| panic!("{name} is a name"));
        assert_eq!((target.name, target.namespace), ("payments", "shop"), "{name}");
        assert_eq!((target.tag, target.port, target.is_plain), (tag, port, is_plain), "{name}");
    }
    let odd = read("payments.svc").expect("a namespace may be called svc");
    assert_eq!((odd.name, odd.namespace), ("payments", "svc"));
    for name in ["", "payments", ":http", "payments.shop:0", "payments.shop:70000", "a..b", "xdstp:payments.shop", "."]
    {
        assert_eq!(read(name), None, "{name:?}");
    }
}

#[test]
fn what_clusters_export_is_meant_by_names_of_the_clusterset() {
    for (name, across, cluster) in [
        ("payments.shop.clusterset:http", Across::Clusterset, "payments.shop.clusterset:http"),
        ("payments.shop.svc.clusterset.local", Across::Clusterset, "payments.shop.clusterset:http"),
        ("payments.shop.svc.clusterset.local.:8080", Across::Clusterset, "payments.shop.clusterset:http"),
        ("payments.shop.east.clusterset:http", Across::Cluster("east"), "payments.shop.east.clusterset:http"),
        ("payments.shop.a.b.clusterset", Across::Cluster("a.b"), "payments.shop.a.b.clusterset:http"),
        (
            "xdstp://mesh/envoy.config.listener.v3.Listener/payments.shop.east.clusterset:http",
            Across::Cluster("east"),
            "xdstp://mesh/envoy.config.cluster.v3.Cluster/payments.shop.east.clusterset:http",
        ),
    ] {
        let target = read(name).unwrap_or_else(|| panic!("{name} is a name"));
        assert_eq!((target.name, target.namespace, target.tag), ("payments", "shop", None), "{name}");
        assert_eq!((target.across, target.is_plain), (Some(across), false), "{name}");
        assert_eq!(target.service(), format!("shop/{}", clusterset::derived_name("shop", "payments")));
        assert_eq!(target.cluster("derived-0.shop:http"), cluster, "{name}");
    }
    // A namespace may be called so; with a tag, its services are known by their names with `.svc`.
    let odd = read("payments.clusterset:http").expect("a name");
    assert_eq!((odd.namespace, odd.across, odd.is_plain), ("clusterset", None, true));
    let tagged = read("canary.payments.clusterset.svc:http").expect("a name");
    assert_eq!((tagged.tag, tagged.namespace, tagged.across), (Some("canary"), "clusterset", None));
    for name in ["payments..clusterset", ".shop.clusterset", "payments.shop..clusterset:http", "clusterset"] {
        assert_eq!(read(name), None, "{name:?}");
    }
}

fn service(ports: &[(&str, u32)]) -> v1::Service {
    let port = |(name, port): &(&str, u32)| v1::Port {
        name: (*name).to_owned(),
        protocol: v1::Protocol::Tcp.into(),
        port: *port,
        ..v1::Port::default()
    };
    v1::Service { ports: ports.iter().map(port).collect(), ..v1::Service::default() }
}

#[test]
fn a_port_is_found_or_what_there_is_is_told() {
    let found = |name: &str, ports: &[(&str, u32)]| {
        let service = service(ports);
        let port = read(name).expect("a name").port_of(&service).map(|port| port.port);
        port.map_err(|error| error.to_string())
    };
    assert_eq!(found("p.shop", &[("", 80)]), Ok(80));
    assert_eq!(found("p.shop", &[("http", 80), ("grpc", 90)]), Ok(90));
    assert_eq!(found("p.shop", &[("http", 80), ("grpc-api", 90)]), Ok(90));
    assert_eq!(found("p.shop:80", &[("http", 80), ("grpc", 90)]), Ok(80));
    let several = "has several ports; say which, by `:` and one of http, admin";
    assert_eq!(found("p.shop", &[("http", 80), ("admin", 90)]), Err(several.to_owned()));
    assert_eq!(found("p.shop:x", &[("", 80)]), Err("has no such TCP port; it has 80".to_owned()));
    assert_eq!(found("p.shop", &[]), Err("has no TCP port".to_owned()));
    let alias = v1::Service { kind: v1::service::Kind::ExternalName.into(), ..service(&[("http", 80)]) };
    assert_eq!(read("p.shop:http").expect("a name").port_of(&alias), Err(NoPort::Alias));
}

#[test]
fn a_cluster_is_called_after_the_name_it_was_asked_for_by() {
    let called = |name: &str| read(name).expect("a name").cluster("payments.shop:http");
    assert_eq!(called("payments.shop.svc:8080"), "payments.shop:http", "shared by all who mean it");
    assert_eq!(called("canary.payments.shop"), "canary.payments.shop:http");
    let authority = "xdstp://mesh/envoy.config.cluster.v3.Cluster/";
    assert_eq!(
        called("xdstp://mesh/envoy.config.listener.v3.Listener/payments.shop"),
        format!("{authority}payments.shop:http")
    );
    assert_eq!(called("xdstp://mesh/T/a.payments.shop?b=c"), format!("{authority}a.payments.shop:http?b=c"));
}
