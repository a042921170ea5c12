//! `/debug/explain`: what happens to a packet now, and what the kernel has for it.

use std::time::Duration;

use admin::{Page, PageRequest};
use flows::{Place, Question};
use model::NamespacedName;
use resolve::Packet;

use super::{DebugPages, in_form};
use crate::ask::NoAnswer;
use crate::compare::Subject;
use crate::explain::asked;
use crate::view::{ExplanationView, KernelView, LiveView, NowView};

/// Where the page is.
pub(crate) const PATH: &str = "/debug/explain";
/// Connections of the client that are shown.
const CONNECTIONS: usize = 10;
/// How long the list of them may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(1);
/// What it is to be asked.
const USAGE: &str = "/debug/explain?from=ADDRESS&to=ADDRESS:PORT/PROTOCOL[&interface=LINK][&format=json]: IPv6 as [addr]:port\n";

impl DebugPages {
    pub(super) fn explain(&self, request: &PageRequest) -> Page {
        let (Some(from), Some(to)) = (request.value("from"), request.value("to")) else {
            return Page::text(400, USAGE);
        };
        let interface = request.value("interface").filter(|link| !link.is_empty());
        let packet = match asked(&from, &to, interface) {
            Ok(packet) => packet,
            Err(error) => return Page::text(400, crate::in_one_line(&error) + "\n"),
        };
        match self.live(&packet) {
            Ok(view) => in_form(request, || view.json(), || view.text(&packet)),
            Err(error) => Page::text(503, format!("{error}\n")),
        }
    }

    fn live(&self, packet: &Packet) -> Result<LiveView, NoAnswer> {
        let asked = packet.clone();
        let mut view = self.asker.ask(move |seen| {
            let (store, config) = (seen.engine.store(), seen.engine.config());
            let explanation = resolve::explain(store, config, &asked);
            let service = explanation.service.as_ref().map(|name| name.service.clone());
            let view = LiveView {
                explanation: ExplanationView::new(&explanation),
                node: store.node_name().to_string(),
                mode: config.mode.as_str(),
                synced: seen.synced,
                kernel: None,
                connections: None,
            };
            (view, service)
        })?;
        if let Some(service) = view.1 {
            view.0.kernel = Some(self.kernel(&service));
            view.0.connections = Some(self.now(packet));
        }
        Ok(view.0)
    }

    /// The client's connections to that frontend; an error is a part of the answer here too.
    fn now(&self, packet: &Packet) -> NowView {
        let place = Some(Place { protocol: packet.protocol, at: packet.to });
        let question = Question { client: Some(packet.from), place, ..Question::default() };
        match self.flows.ask_within(PATIENCE, &question, CONNECTIONS) {
            Ok(found) => NowView::new(&found),
            Err(error) => NowView { error: Some(error.to_string()), ..NowView::default() },
        }
    }

    /// What the kernel has for a Service; an error is a part of the answer, since the rest is known.
    fn kernel(&self, service: &NamespacedName) -> KernelView {
        match self.comparer.compare(&Subject::Way(service.clone())) {
            Ok(found) => KernelView {
                objects: found.lines,
                differences: found.differences,
                shared_differences: found.shared,
                error: None,
            },
            Err(error) => KernelView { error: Some(error.to_string()), ..KernelView::default() },
        }
    }
}
