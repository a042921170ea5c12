//! Pages of text as browsers get them: in the frame of the others. Whoever asks for text or JSON gets that.

use admin::{Format, Page, PageRequest};
use model::NamespacedName;
use page::html::{Field, Framed, Listed};

use super::front::html;
use super::{DebugPages, FLOWS, LINKS, SERVICE, TOP, VERSION, diff, explain, status};

/// A page that has nothing but text.
struct Text {
    path: &'static str,
    title: &'static str,
    about: &'static str,
    fields: &'static [Field],
    /// Without a value for the first field there is nothing to say yet.
    asks: bool,
    /// Cheap enough to be followed.
    live: bool,
}

const SERVICE_FIELD: Field = Field { name: "service", label: "Service", example: "shop/web" };
const FROM: Field = Field { name: "from", label: "From (an address)", example: "10.244.1.7" };

const TEXTS: &[Text] = &[
    Text {
        path: status::PATH,
        title: "Status",
        about: "How the agent is doing.",
        fields: &[],
        asks: false,
        live: true,
    },
    Text {
        path: explain::PATH,
        title: "What happens to a connection?",
        about: "Where a new connection goes and why, which endpoints are left out, and what the kernel has for it.",
        fields: &[
            FROM,
            Field { name: "to", label: "To (address:port/protocol)", example: "10.96.0.20:80/tcp" },
        ],
        asks: true,
        live: false,
    },
    Text {
        path: diff::PATH,
        title: "Rules and kernel compared",
        about: "What the kernel lacks (+), has beyond (-) or has otherwise (!). Nothing is written.",
        fields: &[SERVICE_FIELD],
        asks: false,
        live: false,
    },
    Text {
        path: FLOWS,
        title: "Connections",
        about: "Live connections by Service and endpoint, from the kernel's own list.",
        fields: &[
            SERVICE_FIELD,
            Field { name: "client", label: "Client", example: "10.244.1.7" },
            Field { name: "endpoint", label: "Endpoint", example: "10.244.2.9:8080" },
        ],
        asks: false,
        live: false,
    },
    Text {
        path: TOP,
        title: "Busiest Services",
        about: "sort=new, live or bytes chooses the order.",
        fields: &[],
        asks: false,
        live: true,
    },
    Text {
        path: "/debug/audit",
        title: "Last changes",
        about: "Which objects changed, what that meant in rules, and how long it took. The newest are first.",
        fields: &[SERVICE_FIELD],
        asks: false,
        live: true,
    },
    Text {
        path: crate::dns::PATH,
        title: "DNS on this node",
        about: "With a name: how it is answered, step by step.",
        fields: &[Field { name: "name", label: "Name", example: "web.shop" }, FROM],
        asks: false,
        live: false,
    },
];

/// For a Service that is not there: the list has those that are.
const NO_SERVICE: Text =
    Text { path: "/debug/rules", title: "No such Service", about: "", fields: &[], asks: false, live: false };

impl DebugPages {
    /// The page for a browser, where that is what is asked for and the page is one of text.
    pub(super) fn framed(&self, request: &PageRequest) -> Option<Page> {
        let is_html = matches!(request.format(), Ok(Format::Html));
        let text = TEXTS.iter().find(|text| text.path == request.path).filter(|_| is_html)?;
        let values: Vec<String> =
            text.fields.iter().map(|field| request.value(field.name).unwrap_or_default()).collect();
        let nothing_asked = text.asks && values.iter().all(String::is_empty);
        let answer = if nothing_asked { Page::text(200, "") } else { self.plain(&as_text(request)) };
        Some(self.around(text, &values, &answer))
    }

    /// A page of one Service that has nothing but an error to show.
    pub(super) fn framed_error(&self, request: &PageRequest, page: Page) -> Page {
        let is_html = matches!(request.format(), Ok(Format::Html));
        let is_bare = page.status != 200 && request.path.starts_with(SERVICE);
        if is_html && is_bare { self.around(&NO_SERVICE, &[], &page) } else { page }
    }

    fn around(&self, text: &Text, values: &[String], answer: &Page) -> Page {
        let framed = Framed {
            title: text.title,
            about: text.about,
            path: text.path,
            fields: text.fields,
            values,
            text: &answer.body,
            failed: answer.status != 200,
            columns: [FLOWS, TOP].contains(&text.path),
            live: text.live,
        };
        let listing = &self.board.listing;
        let is_service = |namespace: &str, name: &str| listing.has(&NamespacedName::new(namespace, name));
        let body = page::html::framed(&framed, &self.node(), LINKS, VERSION, is_service);
        let retry = answer.headers.iter().filter(|(name, _)| *name == "Retry-After").cloned();
        let mut page = html(answer.status, body);
        page.headers.extend(retry);
        page
    }

    /// Every page, for people.
    pub(super) fn index(&self, request: &PageRequest) -> Page {
        match request.format() {
            Ok(Format::Html) => {
                html(200, page::html::index(INDEX, &super::lock(&self.last_told).node, LINKS, VERSION))
            }
            Ok(_) => {
                Page::text(200, INDEX.iter().map(|page| page.path.to_owned() + "\n").collect::<String>())
            }
            Err(page) => page,
        }
    }

    /// The node's name; empty while the sync thread has never answered.
    fn node(&self) -> String {
        let known = super::lock(&self.last_told).node.clone();
        if !known.is_empty() {
            return known;
        }
        let node = self.asker.ask(|seen| seen.engine.store().node_name().to_string()).unwrap_or_default();
        super::lock(&self.last_told).node.clone_from(&node);
        node
    }
}

/// The same question, for text.
fn as_text(request: &PageRequest) -> PageRequest {
    // A field that was left empty was not asked.
    let is_asked = |pair: &&str| !pair.is_empty() && !pair.starts_with("format=") && !pair.ends_with('=');
    let kept: Vec<&str> = request.query.split('&').filter(is_asked).collect();
    PageRequest { path: request.path.clone(), query: kept.join("&"), accept: None }
}

/// Every page.
pub(super) const INDEX: &[Listed] = &[
    Listed {
        path: "/debug/rules",
        about: "The state of the node and its Services; as text, the whole ruleset.",
    },
    Listed {
        path: "/debug/rules/NAMESPACE/NAME",
        about: "One Service: its frontends, its endpoints and why each is used or not, its rules.",
    },
    Listed { path: "/debug/rules?format=json", about: "Everything by Service, as JSON." },
    Listed { path: "/debug/rules?format=json&diff=1", about: "The same, and how the kernel differs." },
    Listed { path: "/debug/status", about: "How the agent is doing. Also JSON." },
    Listed { path: "/debug/diff", about: "Does the kernel have what it should? Also JSON." },
    Listed { path: "/debug/diff?service=NAMESPACE/NAME", about: "The same for one Service. Also JSON." },
    Listed { path: "/debug/explain", about: "A form to ask what happens to a connection." },
    Listed {
        path: "/debug/explain?from=ADDRESS&to=ADDRESS:PORT/PROTOCOL",
        about: "What happens to that connection, and why. Also JSON.",
    },
    Listed { path: "/debug/flows", about: "Live connections by Service and endpoint. Also JSON." },
    Listed {
        path: "/debug/flows?service=NAMESPACE/NAME&client=ADDRESS&endpoint=ADDRESS:PORT",
        about: "Some of them. Also JSON.",
    },
    Listed { path: "/debug/audit", about: "The last changes, and what they meant in rules. Also JSON." },
    Listed { path: "/debug/audit?service=NAMESPACE/NAME&limit=N", about: "Those of one Service. Also JSON." },
    Listed { path: "/debug/top", about: "The busiest Services; sort=new, live or bytes. Also JSON." },
    Listed { path: "/debug/dns", about: "DNS on this node: whether it intercepts, which upstreams fail." },
    Listed { path: "/debug/dns?name=NAME&from=ADDRESS", about: "How a name is answered, step by step." },
    Listed { path: "/metrics", about: "Numbers for Prometheus." },
    Listed { path: "/configz", about: "The settings in force, as JSON." },
    Listed { path: "/proxyMode", about: "The mode, in one word." },
    Listed { path: "/healthz", about: "Whether this address answers." },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_asked_for_text() {
        for (query, expected) in [
            ("", ""),
            ("format=html", ""),
            ("service=shop/web&format=html&limit=3", "service=shop/web&limit=3"),
            ("service=&client=10.0.0.1", "client=10.0.0.1"),
        ] {
            let request = PageRequest {
                path: "/debug/flows".into(),
                query: query.into(),
                accept: Some("text/html".into()),
            };
            let plain = as_text(&request);
            assert_eq!((&*plain.query, plain.accept), (expected, None), "{query}");
        }
    }

    #[test]
    fn every_page_of_text_is_in_the_index_and_each_link_too() {
        let is_listed = |path: &str| INDEX.iter().any(|page| page.path == path);
        for text in TEXTS {
            assert!(is_listed(text.path), "{}", text.path);
        }
        for link in LINKS.iter().filter(|link| !link.path.contains('?') && link.path != "/debug/") {
            assert!(is_listed(link.path), "{}", link.path);
        }
    }
}
