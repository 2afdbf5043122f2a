//! What is told of a link: its counts, and what is wrong with it in plain words.

use rollcall_crds::{LinkCounts, LinkState};

use super::Link;
use crate::federation::hall;
use crate::federation::machine::Standing;
use crate::federation::survey::survey;

/// How often it is looked at what became of its endpoints in the catalog.
const SURVEY_MS: u64 = 5_000;

// === impl Link ===

impl Link {
    /// Tells it.
    pub(super) fn report(&mut self) {
        self.look_around();
        let total = LinkCounts {
            services: number(self.told.len()),
            endpoints: number(self.told.values().map(|told| told.said.endpoints.len()).sum()),
        };
        let (imported, expired) = match self.standing {
            Standing::Fresh | Standing::Suspect => (total, LinkCounts::default()),
            Standing::Gone => (LinkCounts::default(), total),
        };
        let (mut held_back, mut address, mut uid) = (LinkCounts::default(), String::new(), None);
        let mut version = String::new();
        for line in [self.next.take(), self.line.take()].into_iter().enumerate() {
            let (at, Some(line)) = line else { continue };
            self.count(&line);
            let heard = line.dial.heard();
            (held_back, address) = (heard.held_back(), heard.address.trim_start_matches("https://").to_owned());
            uid = heard.uid.clone().or(uid);
            version = heard.version().map(|version| version.to_string()).unwrap_or_default();
            drop(heard);
            *(if at == 0 { &mut self.next } else { &mut self.line }) = Some(line);
        }
        let (problems, namespaces) = (self.problems(expired), self.imported.count().map(number));
        let traffic = self.traffic;
        let bytes_per_second = self.rate.at(self.surroundings.clock.monotonic_ms(), traffic.bytes);
        let exported = self.surroundings.hall.tells(&self.name);
        self.surroundings.reports.change(&self.name, |report| {
            (report.state, report.since_ms, report.heard_ms) = (self.machine.state(), self.since_ms, self.heard_ms);
            (report.imported, report.held_back, report.expired) = (imported, held_back, expired);
            report.namespaces = namespaces;
            (report.address, report.problems, report.traffic) = (address, problems, traffic);
            (report.version, report.bytes_per_second, report.exported) = (version, bytes_per_second, exported);
            report.uid = uid.or_else(|| report.uid.take());
        });
    }

    /// Looks at times at what became of its endpoints in the catalog.
    fn look_around(&mut self) {
        let now_ms = self.surroundings.clock.monotonic_ms();
        if now_ms < self.survey.1.saturating_add(SURVEY_MS) {
            return;
        }
        let snapshot = self.surroundings.snapshots.borrow().clone();
        let survey = snapshot.map(|snapshot| survey(&snapshot, &self.name, self.told.keys()));
        self.survey = (survey.unwrap_or_default(), now_ms);
    }

    /// What is wrong, in plain words.
    fn problems(&self, expired: LinkCounts) -> Vec<String> {
        let mut problems: Vec<String> = self.unusable.iter().cloned().collect();
        problems.extend(self.imported.problem());
        problems.extend(self.wrong.iter().map(|(words, _)| cut(words)));
        for line in [&self.next, &self.line].into_iter().flatten() {
            let heard = line.dial.heard();
            problems.extend(heard.trouble.iter().chain(&heard.refused()).map(|words| cut(words)));
            if heard.is_full() {
                problems.push(format!(
                    "it exports more than this link takes in ({} services, {} endpoints); raise spec.limits, or import fewer namespaces",
                    line.way.wanted.services_max, line.way.wanted.endpoints_max
                ));
            }
        }
        if let unasked @ 1.. = self.surroundings.hall.unasked(&self.name) {
            problems.push(format!("of what this cluster exports: {}", hall::too_many(unasked)));
        }
        let (survey, silent) = (&self.survey.0, self.machine.silent_for());
        if expired.endpoints > 0 {
            let guard = match survey.held {
                0 => String::new(),
                held => {
                    format!(", but for {held} that the mass-removal guard of a DiscoveryPolicy still gives to callers")
                }
            };
            problems.push(format!(
                "silent for more than {silent}: its {} endpoints of {} services are taken out{guard}; they return when it is heard, and \
                 stay with whenSilent.then: Keep",
                expired.endpoints, expired.services
            ));
        }
        if let Some(why) = survey.why.as_ref().filter(|_| survey.refused > 0) {
            problems.push(cut(&format!("{} of its endpoints are not called here, such as {why}", survey.refused)));
        }
        match self.machine.state() {
            LinkState::Connecting if problems.is_empty() => problems.push("not heard yet".to_owned()),
            LinkState::Suspect if problems.is_empty() => problems.push(format!(
                "silent for more than {silent}: what it exports is kept, and called last; look at its controllers, and at the way there"
            )),
            _ => {}
        }
        problems
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Foreign words, as long as a status has room for.
fn cut(words: &str) -> String {
    words.chars().filter(|char| !char.is_control()).take(512).collect()
}
