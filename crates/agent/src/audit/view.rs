//! How the trail looks: JSON and text.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::Found;
use super::entry::{Entry, Object};
use super::waiting::plain;
use crate::health::rfc3339;

/// Services that a line of text names.
const NAMED: usize = 5;

/// The trail as JSON. The fields are a contract: scripts read them.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrailView {
    /// The newest first.
    entries: Vec<EntryView>,
    /// Entries that are kept, of all Services.
    kept: usize,
    /// Entries that may be kept (`auditEntries`).
    capacity: usize,
    /// Entries since the process started.
    total: u64,
}

/// One sync, or one try of one.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryView {
    /// 1, 2, 3 ... since the process started.
    number: u64,
    /// When the kernel had taken or refused it, in UTC with milliseconds.
    at: String,
    /// Why: `start`, `objects`, `addresses`, `settings`, `mode`, `repair`, `retry`, `comparison`.
    because: Vec<&'static str>,
    /// Objects that changed, in the order in which they came.
    objects: Vec<ObjectView>,
    /// Objects beyond those.
    more_objects: usize,
    /// Services whose rules were made again, as `namespace/name`.
    services: Vec<String>,
    /// Services beyond those.
    more_services: usize,
    /// Kernel objects that were created.
    created: usize,
    /// Kernel objects that were changed.
    updated: usize,
    /// Kernel objects that were removed.
    deleted: usize,
    /// Kernel objects, a line each: `+ new`, `- old`, `! new (was old)`.
    rules: Vec<String>,
    /// Kernel objects beyond those.
    more_rules: usize,
    /// How long the sync took.
    sync_seconds: f64,
    /// Everything was compared with the kernel.
    full: bool,
    /// Why the kernel did not take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// How often it failed like this; 1 where it did not fail.
    tries: u32,
}

/// One object that changed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectView {
    kind: &'static str,
    /// Empty where the kind has none.
    namespace: String,
    name: String,
    /// Where it is known: not of manifests, most often, and not of what a list no longer has.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<String>,
    /// It is gone.
    deleted: bool,
    /// From when towpath had read it to the kernel's commit.
    seconds: f64,
    /// From the time in the slice's annotation `endpoints.kubernetes.io/last-change-trigger-time` to the kernel's commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_seconds: Option<f64>,
}

impl TrailView {
    pub(crate) fn new(found: &Found) -> Self {
        let entries = found.entries.iter().map(|entry| EntryView::new(entry)).collect();
        Self { entries, kept: found.kept, capacity: found.capacity, total: found.total }
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl EntryView {
    pub(crate) fn new(entry: &Entry) -> Self {
        Self {
            number: entry.number,
            at: with_milliseconds(entry.at),
            because: entry.because.iter().map(|because| because.as_str()).collect(),
            objects: entry.objects.iter().map(ObjectView::new).collect(),
            more_objects: entry.more_objects,
            services: entry.services.iter().map(ToString::to_string).collect(),
            more_services: entry.more_services,
            created: entry.created,
            updated: entry.updated,
            deleted: entry.deleted,
            rules: entry.lines.clone(),
            more_rules: entry.writes().saturating_sub(entry.lines.len()),
            sync_seconds: entry.took.as_secs_f64(),
            full: entry.full,
            error: entry.error.clone(),
            tries: entry.tries,
        }
    }
}

impl ObjectView {
    fn new(object: &Object) -> Self {
        let cause = &object.cause;
        Self {
            kind: cause.kind,
            namespace: cause.name.namespace.to_string(),
            name: cause.name.name.to_string(),
            resource_version: cause.version.as_deref().map(str::to_owned),
            deleted: cause.gone,
            seconds: object.waited.as_secs_f64(),
            trigger_seconds: object.since_trigger.map(|since| since.as_secs_f64()),
        }
    }
}

impl Found {
    /// As text, for people.
    pub(crate) fn text(&self) -> String {
        let (shown, kept, total) = (self.entries.len(), self.kept, self.total);
        let mut out = format!(
            "# {shown} of {kept} entries, at most {} are kept; {total} since the start\n",
            self.capacity
        );
        self.entries.iter().for_each(|entry| entry.text(&mut out));
        out
    }
}

impl Entry {
    fn text(&self, out: &mut String) {
        let _ = writeln!(out, "\n{}  #{}  {}", with_milliseconds(self.at), self.number, self.outcome());
        for object in &self.objects {
            let _ = writeln!(out, "  {}", object.text());
        }
        if self.more_objects > 0 {
            let _ = writeln!(out, "  and {} more objects", self.more_objects);
        }
        for line in &self.lines {
            let _ = writeln!(out, "    {line}");
        }
        let more = self.writes().saturating_sub(self.lines.len());
        if more > 0 {
            let _ = writeln!(out, "    and {more} more");
        }
    }

    /// The whole entry in one line, for the log.
    pub(super) fn in_a_line(&self) -> String {
        let objects: Vec<String> = self.objects.iter().take(NAMED).map(Object::text).collect();
        let more = self.objects.len().saturating_sub(NAMED) + self.more_objects;
        let more = if more > 0 { format!("; and {more} more objects") } else { String::new() };
        format!("{}: {}{more}", self.outcome(), objects.join("; "))
    }

    /// Why, what came of it, how long it took.
    fn outcome(&self) -> String {
        let because: Vec<&str> = self.because.iter().map(|because| because.as_str()).collect();
        let because = because.join(", ");
        match &self.error {
            Some(error) => format!("{because}: failed {} times: {error}", self.tries),
            None => format!(
                "{because}: {} created, {} changed, {} removed in the kernel{}{}",
                self.created,
                self.updated,
                self.deleted,
                self.touched(),
                if self.took.is_zero() { String::new() } else { format!(", sync {}", short(self.took)) },
            ),
        }
    }

    fn touched(&self) -> String {
        let named: Vec<String> = self.services.iter().take(NAMED).map(ToString::to_string).collect();
        match (self.services.len() + self.more_services).saturating_sub(named.len()) {
            _ if named.is_empty() => String::new(),
            0 => format!(" for {}", named.join(", ")),
            more => format!(" for {} and {more} more Services", named.join(", ")),
        }
    }
}

impl Object {
    fn text(&self) -> String {
        let Self { cause, waited, since_trigger } = self;
        let mut out = format!("{} {}", cause.kind, plain(&cause.name));
        if let Some(version) = &cause.version {
            let _ = write!(out, " at {version}");
        }
        let _ = write!(out, "{}, {} ago", if cause.gone { " gone" } else { "" }, short(*waited));
        if let Some(since) = since_trigger {
            let _ = write!(out, " ({} since its trigger)", short(*since));
        }
        out
    }
}

/// A time with three digits that count: `0.82 ms`, `14 ms`, `1.52 s`.
fn short(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds @ ..0.01 => format!("{:.2} ms", seconds * 1e3),
        seconds @ ..1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds @ ..100.0 => format!("{seconds:.2} s"),
        seconds => format!("{seconds:.0} s"),
    }
}

/// RFC 3339 in UTC, to the millisecond.
fn with_milliseconds(time: SystemTime) -> String {
    let part = time.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis();
    let whole = rfc3339(time);
    format!("{}.{part:03}Z", whole.trim_end_matches('Z'))
}
