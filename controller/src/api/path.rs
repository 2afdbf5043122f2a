//! How paths match: by segments, of which some are names.

use super::query::decoded;

/// `/v1/namespaces/{namespace}/services`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    text: &'static str,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Word(&'static str),
    Name(&'static str),
}

/// The names in a path, by what they are of: `namespace`, `service`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<(&'static str, String)>);

/// Of one name, in bytes: the longest that Kubernetes gives.
const NAME_BYTES_MAX: usize = 253;

// === impl Pattern ===

impl Pattern {
    pub(super) fn new(text: &'static str) -> Self {
        let segment = |segment: &'static str| match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => Segment::Name(name),
            None => Segment::Word(segment),
        };
        Self { text, segments: text.split('/').map(segment).collect() }
    }

    pub(super) fn text(&self) -> &'static str {
        self.text
    }

    /// The names in a path that matches.
    pub(super) fn names(&self, path: &str) -> Option<Names> {
        let mut parts = path.split('/');
        let mut names = Vec::new();
        for segment in &self.segments {
            let part = parts.next()?;
            match segment {
                Segment::Word(word) if *word == part => {}
                Segment::Word(_) => return None,
                Segment::Name(name) => {
                    let value = decoded(part).filter(|value| (1..=NAME_BYTES_MAX).contains(&value.len()))?;
                    names.push((*name, value.into_owned()));
                }
            }
        }
        parts.next().is_none().then_some(Names(names))
    }
}

// === impl Names ===

impl Names {
    /// The name of that, or nothing where the path has none.
    pub fn get(&self, of: &str) -> &str {
        self.0.iter().find(|(name, _)| *name == of).map_or("", |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_match_themselves_and_names_what_is_there() {
        let pattern = Pattern::new("/v1/namespaces/{namespace}/services/{service}");
        let names = pattern.names("/v1/namespaces/shop/services/pay%2Dments").expect("a match");
        assert_eq!((names.get("namespace"), names.get("service"), names.get("x")), ("shop", "pay-ments", ""));
        for other in
            ["/v1/namespaces/shop/services", "/v1/namespaces/shop/services/a/b", "/v1/namespaces//services/a", "/"]
        {
            assert_eq!(pattern.names(other), None, "{other}");
        }
        assert_eq!(pattern.names(&format!("/v1/namespaces/shop/services/{}", "x".repeat(254))), None);
    }
}
