//! Which Events are written: equal ones are merged, and few go out in a short time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use super::requests::{About, EventRequest};
use crate::k8s::rfc3339;

/// Equal Events within this time are one.
const MERGE: Duration = Duration::from_secs(600);
/// Events that may go out at once ...
const BURST: f64 = 10.0;
/// ... and how long it takes until one more may.
const ONE_MORE: Duration = Duration::from_secs(30);
/// Different Events that are remembered.
const REMEMBERED: usize = 256;

/// What was written lately.
#[derive(Debug)]
pub(super) struct Posts {
    written: FxHashMap<EventRequest, Written>,
    may: f64,
    counted: Instant,
    off_until: Option<Instant>,
    /// It was said that none are written.
    said_off: bool,
}

#[derive(Debug)]
struct Written {
    at: Instant,
    /// Equal ones since.
    merged: u64,
}

impl Default for Posts {
    fn default() -> Self {
        let counted = Instant::now();
        Self { written: FxHashMap::default(), may: BURST, counted, off_until: None, said_off: false }
    }
}

impl Posts {
    /// Writes none for this long. Returns whether that is news.
    pub(super) fn turn_off(&mut self, time: Duration) -> bool {
        self.off_until = Instant::now().checked_add(time);
        !std::mem::replace(&mut self.said_off, true)
    }

    /// One was written.
    pub(super) fn may_be_written(&mut self) {
        if std::mem::take(&mut self.said_off) {
            tracing::info!("api: Events can be written again");
        }
    }

    /// The Event to write for this request, if one is to be written.
    pub(super) fn next(&mut self, node: &str, event: EventRequest) -> Option<Value> {
        let now = Instant::now();
        if self.off_until.is_some_and(|until| now < until) {
            return None;
        }
        let life = |written: &Written| if written.merged > 0 { MERGE * 2 } else { MERGE };
        self.written.retain(|_, written| now.duration_since(written.at) < life(written));
        if let Some(written) = self.written.get_mut(&event)
            && now.duration_since(written.at) < MERGE
        {
            written.merged += 1;
            return None;
        }
        if !self.may_write(now) || self.written.len() >= REMEMBERED {
            tracing::debug!(reason = event.reason, "api: too many Events, one is dropped");
            return None;
        }
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let count = 1 + self.written.get(&event).map_or(0, |written| written.merged);
        let body = body(node, &event, count, seconds);
        self.written.insert(event, Written { at: now, merged: 0 });
        Some(body)
    }

    fn may_write(&mut self, now: Instant) -> bool {
        let since = now.duration_since(std::mem::replace(&mut self.counted, now));
        self.may = (self.may + since.as_secs_f64() / ONE_MORE.as_secs_f64()).min(BURST);
        let may = self.may >= 1.0;
        if may {
            self.may -= 1.0;
        }
        may
    }
}

fn body(node: &str, event: &EventRequest, count: u64, seconds: u64) -> Value {
    let (namespace, name, about) = match &event.about {
        // The uid of a Node in Events is its name, as kubelet and kube-proxy write it.
        About::Node => ("default", node, json!({"kind": "Node", "name": node, "uid": node})),
        About::Service { namespace, name, uid } => {
            let mut about =
                json!({"apiVersion": "v1", "kind": "Service", "namespace": namespace, "name": name});
            if let Some(uid) = uid {
                about["uid"] = json!(uid);
            }
            (&**namespace, &**name, about)
        }
    };
    let time = rfc3339(i64::try_from(seconds).unwrap_or(i64::MAX));
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": format!("{name}."), "namespace": namespace},
        "involvedObject": about,
        "reason": event.reason,
        "message": event.message,
        "type": if event.warning { "Warning" } else { "Normal" },
        "source": {"component": "towpath", "host": node},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: &str) -> EventRequest {
        EventRequest { about: About::Node, reason: reason.into(), message: "m".into(), warning: true }
    }

    #[test]
    fn equal_ones_are_merged_and_few_go_out() {
        let mut posts = Posts::default();
        assert!(posts.next("n", event("a")).is_some());
        assert!(posts.next("n", event("a")).is_none());
        posts.written.get_mut(&event("a")).unwrap().at -= MERGE;
        assert_eq!(posts.next("n", event("a")).unwrap()["count"], 2);
        let more = (0..20).filter(|i| posts.next("n", event(&i.to_string())).is_some()).count();
        assert_eq!(more, 8, "ten at once in all");
        posts.counted -= ONE_MORE;
        assert!(posts.next("n", event("later")).is_some());
        assert!(posts.turn_off(MERGE) && !posts.turn_off(MERGE), "it is said once");
        posts.counted -= ONE_MORE;
        assert!(posts.next("n", event("off")).is_none());
        posts.off_until = Some(Instant::now());
        assert!(posts.next("n", event("off")).is_some(), "and tried again");
        posts.may_be_written();
        assert!(posts.turn_off(MERGE), "a second time is news");
    }

    #[test]
    fn bodies() {
        let node = body("node-a", &event("Starting"), 1, 1_795_266_367);
        assert_eq!(node["metadata"], json!({"generateName": "node-a.", "namespace": "default"}));
        assert_eq!(node["involvedObject"], json!({"kind": "Node", "name": "node-a", "uid": "node-a"}));
        assert_eq!(node["source"], json!({"component": "towpath", "host": "node-a"}));
        assert_eq!(node["firstTimestamp"], "2026-11-21T13:06:07Z");
        let about = About::Service { namespace: "shop".into(), name: "web".into(), uid: None };
        let service = body("node-a", &EventRequest { about, ..event("x") }, 1, 0);
        assert_eq!(service["metadata"]["namespace"], "shop");
        assert_eq!(service["involvedObject"]["name"], "web");
        assert_eq!(service["involvedObject"].get("uid"), None);
    }
}
