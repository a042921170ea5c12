//! `/debug/flows`: live connections by Service and endpoint.

use admin::{Page, PageRequest};
use flows::{FlowsView, Question};

use super::in_form;
use crate::connections::{FlowDesk, NoFlows};

/// Where the page is.
pub(crate) const PATH: &str = "/debug/flows";
/// What it takes in the query.
const TAKES: &str = "the page takes service=NAMESPACE/NAME, client=IP, endpoint=IP[:PORT], limit=0..1000 and format=html|json|text";

/// The page: `?service=NAMESPACE/NAME&client=IP&endpoint=IP[:PORT]&limit=N`, in each form.
pub(super) fn page(desk: &FlowDesk, request: &PageRequest) -> Page {
    let (question, limit) = match read(request) {
        Ok(asked) => asked,
        Err(why) => return Page::text(400, format!("{why}; {TAKES}\n")),
    };
    // Before the kernel is asked.
    if let Err(page) = request.format() {
        return page;
    }
    match desk.ask(&question, limit) {
        Ok(view) => in_form(request, || json(&view), || view.text()),
        Err(error @ NoFlows::NoService(_)) => Page::text(404, format!("{error}\n")),
        Err(error) => Page::text(503, format!("{error}\n")),
    }
}

fn json(view: &FlowsView) -> String {
    // Writing to a text does not fail.
    serde_json::to_string(view).unwrap_or_default()
}

fn read(request: &PageRequest) -> Result<(Question, usize), String> {
    let value = |name: &str| request.value(name).filter(|value| !value.is_empty());
    let [service, client, endpoint] = ["service", "client", "endpoint"].map(value);
    let question = Question::parse(service.as_deref(), client.as_deref(), endpoint.as_deref());
    let question = question.map_err(|error| error.to_string())?;
    let limit = value("limit").map_or(Ok(FlowsView::FLOWS), |text| {
        let number = text.parse().ok().filter(|limit| *limit <= FlowsView::FLOWS);
        number.ok_or_else(|| format!("limit={text:?} is not 0 to {}", FlowsView::FLOWS))
    })?;
    Ok((question, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_or_refused() {
        for (query, expected) in [
            ("", Ok(1_000)),
            ("service=ns/web&limit=7", Ok(7)),
            ("endpoint=[fd00::1]:80&client=&format=json", Ok(1_000)),
            ("service=web", Err("service=\"web\" is not NAMESPACE/NAME")),
            ("limit=1001", Err("limit=\"1001\" is not 0 to 1000")),
            ("limit=-1", Err("limit=\"-1\" is not 0 to 1000")),
        ] {
            let request = PageRequest { query: query.into(), ..PageRequest::default() };
            let limit = read(&request).map(|(_, limit)| limit);
            assert_eq!(limit, expected.map_err(ToOwned::to_owned), "{query}");
        }
    }
}
