use super::*;

fn page(name: &str, kind: &str, help: &str, sample: &str) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{sample}\n# EOF\n")
}

#[test]
fn a_good_page_has_no_breach() {
    let page =
        page("rollcall_dns_queries", "counter", "Queries.", r#"rollcall_dns_queries_total{type="A",rcode="x, y"} 3"#);
    assert_eq!(breaches(&page), Vec::<String>::new());
    assert_metric_conventions(&page);
}

#[test]
fn each_breach_is_named() {
    let cases = [
        (page("rollcall_Queries", "gauge", "Queries.", ""), "not snake case"),
        (page("dns_queries", "gauge", "Queries.", ""), "does not begin with rollcall_"),
        (page("rollcall_wait_ms", "gauge", "Wait.", ""), "counts in ms; use seconds"),
        (page("rollcall_wait_seconds_seconds", "gauge", "Wait.", ""), "unit more than once"),
        (page("rollcall_seconds_waited", "gauge", "Wait.", ""), "unit last"),
        (page("rollcall_waits_total", "counter", "Waits.", ""), "registered with _total"),
        (page("rollcall_waits", "counter", "Waits.", "rollcall_waits 3"), "counter without _total"),
        (page("rollcall_waits", "gauge", "waits.", ""), "capital letter"),
        (page("rollcall_waits", "gauge", "Waits..", ""), "two periods"),
        (page("rollcall_waits", "gauge", "Waits.", r#"rollcall_waits{Zone="a"} 3"#), "label Zone"),
        (page("rollcall_waits", "gauge", "Waits.", "# TYPE rollcall_waits gauge"), "registered twice"),
        ("# TYPE rollcall_waits gauge\n".to_owned(), "no help text"),
    ];
    for (page, expected) in cases {
        let found = breaches(&page);
        assert!(found.iter().any(|breach| breach.contains(expected)), "{expected}: {found:?}\n{page}");
    }
}

#[test]
fn a_help_text_without_a_period_is_a_breach() {
    assert_eq!(breaches(&page("rollcall_waits", "gauge", "Waits", "")).len(), 1);
}
