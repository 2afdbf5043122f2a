//! Which endpoints of a service are asked for.

use rollcall_catalog::model::Health;
use rollcall_catalog::service::{Member, Service};

use super::super::problem::Problem;
use super::super::query::Query;

/// What an endpoint has to be. Empty lists ask for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Filter {
    /// All of them.
    tags: Vec<String>,
    /// One of them.
    zones: Vec<String>,
    regions: Vec<String>,
    /// A kind, or kind/name.
    origins: Vec<String>,
    health: Wanted,
}

/// Which healths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Wanted {
    /// What callers are given.
    #[default]
    Callable,
    Any,
    One(Vec<Health>),
}

/// The parameters of a filter.
pub(super) const PARAMETERS: [&str; 5] = ["tag", "zone", "region", "origin", "health"];

/// Kinds of origin that endpoints have.
const KINDS: [&str; 2] = ["EndpointSlice", "ServiceRegistration"];

// === impl Filter ===

impl Filter {
    /// As the parameters say.
    pub(super) fn read(query: &Query) -> Result<Self, Problem> {
        let mut filter = Self::default();
        for (name, value) in query.iter().filter(|(name, _)| PARAMETERS.contains(name)) {
            if value.is_empty() {
                return Err(Problem::bad_request(format!("{name} is empty; give a value, or leave it out")));
            }
            match name {
                "tag" => filter.tags.push(value.to_owned()),
                "zone" => filter.zones.push(value.to_owned()),
                "region" => filter.regions.push(value.to_owned()),
                "origin" => filter.origins.push(origin(value)?),
                _ => filter.health = filter.health.with(value)?,
            }
        }
        // The same question in another order is the same question.
        for list in [&mut filter.tags, &mut filter.zones, &mut filter.regions, &mut filter.origins] {
            list.sort_unstable();
            list.dedup();
        }
        Ok(filter)
    }

    /// The same, but for the place: where that is a preference and not a condition.
    pub(super) fn anywhere(self) -> Self {
        Self { zones: Vec::new(), regions: Vec::new(), ..self }
    }

    /// Whether an endpoint is asked for.
    pub(super) fn takes(&self, service: &Service, member: &Member) -> bool {
        let one_of = |wanted: &[String], own: Option<&str>| {
            wanted.is_empty() || own.is_some_and(|own| wanted.iter().any(|wanted| wanted == own))
        };
        let tagged = |tag: &String| member.attributes.tags.iter().any(|own| **own == **tag);
        let healthy = match &self.health {
            Wanted::Callable => service.gives(member),
            Wanted::Any => true,
            Wanted::One(healths) => healths.contains(&member.health),
        };
        healthy
            && one_of(&self.zones, member.zone.as_deref())
            && one_of(&self.regions, member.region.as_deref())
            && self.tags.iter().all(tagged)
            && (self.origins.is_empty() || self.comes_from(member))
    }

    fn comes_from(&self, member: &Member) -> bool {
        let (kind, whole) = (member.origin.kind.to_string(), member.origin.to_string());
        self.origins.iter().any(|origin| *origin == kind || *origin == whole)
    }
}

fn origin(value: &str) -> Result<String, Problem> {
    let kind = value.split('/').next().unwrap_or_default();
    if KINDS.contains(&kind) {
        return Ok(value.to_owned());
    }
    let detail = format!("origin {value:?} is of no kind that there is; give {} or KIND/NAME", KINDS.join(", "));
    Err(Problem::bad_request(detail))
}

// === impl Wanted ===

impl Wanted {
    fn with(&self, word: &str) -> Result<Self, Problem> {
        if word.eq_ignore_ascii_case("any") {
            return Ok(Self::Any);
        }
        let Some(health) = Health::ALL.into_iter().find(|health| health.to_string().eq_ignore_ascii_case(word)) else {
            let known = Health::ALL.map(|health| health.to_string()).join(", ");
            return Err(Problem::bad_request(format!("unknown health {word:?}; give any, {known}")));
        };
        Ok(match self {
            Self::Any => Self::Any,
            Self::Callable => Self::One(vec![health]),
            Self::One(healths) => {
                let mut healths = healths.clone();
                healths.push(health);
                healths.sort_unstable();
                healths.dedup();
                Self::One(healths)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Filter, Problem> {
        Filter::read(&Query::read(query).expect("a query"))
    }

    #[test]
    fn the_same_question_in_another_order_is_the_same() {
        let one = read("tag=a&tag=b&health=warning&health=Passing&zone=z");
        assert_eq!(one, read("zone=z&health=passing&tag=b&tag=a&health=Warning&tag=a"));
        assert_ne!(one, read("tag=a"));
    }

    #[test]
    fn what_no_endpoint_can_have_is_refused_with_what_it_can_have() {
        let said = |query: &str| read(query).expect_err("refused").detail().to_owned();
        assert_eq!(
            said("health=good"),
            "unknown health \"good\"; give any, Passing, Warning, Critical, Unknown, Maintenance"
        );
        assert!(said("origin=Pod/x").contains("EndpointSlice, ServiceRegistration or KIND/NAME"));
        assert_eq!(said("zone="), "zone is empty; give a value, or leave it out");
    }
}
