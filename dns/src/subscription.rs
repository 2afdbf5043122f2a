//! Keeps the zone in step with the catalog's stream. The protobufs end here.
//!
//! - [`decode`]: one resource's bytes into the index' own types
//! - [`whereabouts`]: where the catalog's servers are, by what the catalog says
//! - `restore`: what a server knows that finds no controller
//! - [`Subscriber`]: events in, changes of the zone, metrics and readiness out

pub mod decode;
mod restore;
pub mod whereabouts;

use std::sync::Arc;
use std::time::Duration;

use rollcall_admin::Gate;
use rollcall_xds::client::{Event, Update, Upsert};
use rollcall_xds::resource::ResourceType;
use tokio::time::Instant;

use crate::clock;
use crate::metrics::{Applied, Metrics, ResourceKind};
use crate::saved::Saver;
use crate::zone::ZoneWriter;
use crate::zone::writer::Change;
use decode::{DecodeError, Decoder};
use whereabouts::Whereabouts;

/// The types to subscribe to. The zone comes last: who has it has seen everything once.
pub const TYPES: [ResourceType; 4] =
    [ResourceType::EndpointBucket, ResourceType::Service, ResourceType::Machine, ResourceType::Zone];

/// The sink of the stream.
#[derive(Debug)]
pub struct Subscriber {
    writer: ZoneWriter,
    decoder: Decoder,
    metrics: Arc<Metrics>,
    gate: Gate,
    whereabouts: Option<Whereabouts>,
    saver: Option<Saver>,
    clock: fn() -> Duration,
}

/// Resources that are decoded and applied at a time: what is in between is memory that only the first minute needs.
const APPLIED_TOGETHER: usize = 256;
/// Refusals that are named in one rejection; all are counted.
const REFUSALS_TOLD_MAX: usize = 3;

// === impl Subscriber ===

impl Subscriber {
    /// A subscriber that writes with `writer` and opens `gate` once the whole catalog has been seen. The gate stays open
    /// when the stream is lost: the last data is served, and its age is a metric.
    pub fn new(writer: ZoneWriter, metrics: Arc<Metrics>, gate: Gate) -> Self {
        gate.close("the catalog has not been seen yet");
        Self {
            writer,
            decoder: Decoder::default(),
            metrics,
            gate,
            whereabouts: None,
            saver: None,
            clock: clock::since_epoch,
        }
    }

    /// Has it said where the catalog's servers are.
    pub fn telling(self, whereabouts: Option<Whereabouts>) -> Self {
        Self { whereabouts, ..self }
    }

    /// Has what changes noted for the snapshot on disk.
    pub fn saving(self, saver: Option<Saver>) -> Self {
        Self { saver, ..self }
    }

    /// What happened on the stream. An error rejects the update to the server; what was good in it is applied all the
    /// same: one bad resource harms only itself.
    pub fn on_event(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Connected { server } => {
                self.metrics.connected();
                self.writer.zone().connected();
                self.saver.iter().for_each(Saver::found);
                self.waiting(format!("connected to {server}, the catalog has not been sent whole yet"));
                Ok(())
            }
            Event::Disconnected { reason, retry_in } => {
                self.metrics.disconnected();
                self.writer.zone().disconnected();
                self.saver.iter().for_each(Saver::lost);
                let again = retry_in.as_millis();
                self.missing(format!(
                    "no catalog server: {reason}; trying again in {again} ms. Are controllers ready, and is --catalog right?"
                ));
                Ok(())
            }
            Event::Update(update) => self.on_update(update),
        }
    }

    fn waiting(&self, reason: String) {
        if self.writer.zone().is_restored() {
            return self.remark(&reason);
        }
        if !self.writer.zone().is_synced() {
            self.gate.close(reason);
        }
    }

    /// As [`Self::waiting`], when it will not end by itself.
    fn missing(&self, reason: String) {
        if self.writer.zone().is_restored() {
            return self.remark(&reason);
        }
        if !self.writer.zone().is_synced() {
            self.gate.close_for("NoCatalogServer", reason);
        }
    }

    fn on_update(&mut self, update: Update) -> Result<(), String> {
        let begin = Instant::now();
        let _span = tracing::info_span!(
            "apply",
            r#type = update.ty.type_url(),
            set = update.upserts.len(),
            removed = update.removed.len()
        )
        .entered();
        let Some(kind) = kind(update.ty) else { return Err(format!("{} was not subscribed to", update.ty)) };
        let total = update.upserts.len() + update.removed.len();
        let refusals = match kind {
            ResourceKind::Zone => self.on_zone(&update),
            ResourceKind::Service => self.on_changes(&update, Decoder::service, Change::ServiceGone),
            ResourceKind::EndpointBucket => self.on_buckets(&update),
            ResourceKind::Machine => self.on_machines(&update),
        };
        self.look(&update);
        if let Some(saver) = &self.saver {
            saver.note(&update, |name| refusals.iter().any(|refusal| *refusal.name == *name));
        }
        let (used, refused) = (total - refusals.len(), refusals.len());
        let unix_time = (self.clock)();
        self.metrics.applied(kind, Applied { used, refused, took: begin.elapsed(), unix_time }, self.writer.size());
        rejection(&refusals)
    }

    fn look(&self, update: &Update) {
        let Some(whereabouts) = &self.whereabouts else { return };
        let names = update.upserts.iter().map(|upsert| &upsert.name).chain(&update.removed);
        if names.into_iter().any(|name| whereabouts.concerns(name)) {
            whereabouts.look(&self.writer);
        }
    }

    fn on_zone(&mut self, update: &Update) -> Vec<Refusal> {
        // A removed zone says nothing about the names in it: the last data stays.
        let now = self.unix_seconds();
        let mut refusals = Vec::new();
        for resource in &update.upserts {
            let done = decode::domains(&resource.value)
                .and_then(|(domain, across)| self.writer.sync_across(&domain, &across, now).map_err(DecodeError::from));
            match done {
                Ok(()) => self.caught_up(),
                Err(error) => refusals.push(Refusal::new(resource, &error)),
            }
        }
        refusals
    }

    fn on_buckets(&mut self, update: &Update) -> Vec<Refusal> {
        let gone = update.removed.iter().filter_map(|name| decode::bucket_name(name).ok());
        let changes: Vec<_> = gone.map(Change::BucketGone).collect();
        self.on_upserts(update, Decoder::bucket, changes)
    }

    fn on_changes(
        &mut self,
        update: &Update,
        decode: fn(&mut Decoder, &Upsert) -> Result<Change, DecodeError>,
        gone: fn(Arc<str>) -> Change,
    ) -> Vec<Refusal> {
        let changes: Vec<_> = update.removed.iter().map(Arc::clone).map(gone).collect();
        self.on_upserts(update, decode, changes)
    }

    fn on_machines(&mut self, update: &Update) -> Vec<Refusal> {
        let mut changes: Vec<_> = update.removed.iter().map(|name| (Arc::clone(name), None)).collect();
        let mut refusals = Vec::new();
        for resource in &update.upserts {
            match self.decoder.machine(resource) {
                Ok(change) => changes.push(change),
                Err(error) => refusals.push(Refusal::new(resource, &error)),
            }
        }
        self.writer.apply_machines(changes, self.unix_seconds());
        refusals
    }

    fn on_upserts(
        &mut self,
        update: &Update,
        decode: fn(&mut Decoder, &Upsert) -> Result<Change, DecodeError>,
        gone: Vec<Change>,
    ) -> Vec<Refusal> {
        let (mut refusals, now) = (Vec::new(), self.unix_seconds());
        for some in update.upserts.chunks(APPLIED_TOGETHER) {
            let mut changes = Vec::with_capacity(some.len());
            for resource in some {
                match decode(&mut self.decoder, resource) {
                    Ok(change) => changes.push(change),
                    Err(error) => refusals.push(Refusal::new(resource, &error)),
                }
            }
            self.writer.apply(changes, now);
        }
        // After what takes its place: a service that is cut anew is not without endpoints in between.
        self.writer.apply(gone, now);
        refusals
    }

    fn unix_seconds(&self) -> u32 {
        // SOA serials are 32 bits; they wrap in 2106.
        (self.clock)().as_secs() as u32
    }
}

/// A resource that cannot be used.
#[derive(Debug)]
struct Refusal {
    name: Arc<str>,
    reason: String,
}

// === impl Refusal ===

impl Refusal {
    fn new(resource: &Upsert, error: &DecodeError) -> Self {
        Self { name: Arc::clone(&resource.name), reason: format!("{}: {error}", resource.name) }
    }
}

fn rejection(refusals: &[Refusal]) -> Result<(), String> {
    if refusals.is_empty() {
        return Ok(());
    }
    refusals.iter().for_each(|refusal| tracing::warn!(refusal = refusal.reason, "resource refused"));
    let told = refusals.iter().take(REFUSALS_TOLD_MAX).map(|refusal| &*refusal.reason).collect::<Vec<_>>().join("; ");
    Err(format!("{} resources refused, the others applied: {told}", refusals.len()))
}

fn kind(ty: ResourceType) -> Option<ResourceKind> {
    match ty {
        ResourceType::EndpointBucket => Some(ResourceKind::EndpointBucket),
        ResourceType::Service => Some(ResourceKind::Service),
        ResourceType::Machine => Some(ResourceKind::Machine),
        ResourceType::Zone => Some(ResourceKind::Zone),
        ResourceType::Cluster
        | ResourceType::Endpoints
        | ResourceType::Listener
        | ResourceType::Route
        | ResourceType::ServiceEntry
        | ResourceType::Replica
        | ResourceType::Verdicts
        | ResourceType::Doubt
        | ResourceType::Testimony
        | ResourceType::Beats
        | ResourceType::Resolved
        | ResourceType::Exporter
        | ResourceType::ExportedService
        | ResourceType::ExportedBucket => None,
    }
}

#[cfg(test)]
#[path = "subscription/tests.rs"]
mod tests;
