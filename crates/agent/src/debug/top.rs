//! `/debug/top`: the busiest Services.

use admin::{Page, PageRequest};
use flows::Order;

use super::{DebugPages, in_form};

/// Where the page is.
pub(crate) const PATH: &str = "/debug/top";
/// Services that are shown at most.
pub(crate) const MOST: usize = 1_000;
/// Services that are shown if nothing else is asked for.
const USUAL: usize = 20;
/// What it takes in the query.
const TAKES: &str = "the page takes sort=new|live|bytes, limit=1..1000 and format=html|json|text";

impl DebugPages {
    /// The page: `?sort=new|live|bytes&limit=N`, in each form. The first one waits for two looks at the kernel.
    pub(super) fn top(&self, request: &PageRequest) -> Page {
        let Some((order, limit)) = read(request) else {
            return Page::text(400, format!("{TAKES}\n"));
        };
        if let Err(page) = request.format() {
            return page;
        }
        let Some(mut view) = self.board.traffic.top(order, limit) else {
            return Page::text(503, "connections could not be counted yet; see the log, and ask again\n");
        };
        let node = self.asker.ask(|seen| seen.engine.store().node_name().to_string());
        view.node = node.unwrap_or_default();
        view.mode = self.board.state().mode.as_str().into();
        in_form(request, || serde_json::to_string(&view).unwrap_or_default(), || view.text())
    }
}

fn read(request: &PageRequest) -> Option<(Order, usize)> {
    let order = request.value("sort").map_or(Some(Order::New), |text| Order::parse(&text))?;
    let limit = request.value("limit").map_or(Some(USUAL), |text| text.parse().ok())?;
    (1..=MOST).contains(&limit).then_some((order, limit))
}
