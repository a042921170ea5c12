use super::*;
use crate::*;

const EVIL: &str = "<img src=x onerror=alert(1)>\"'&</script><script>alert(2)</script>";

fn evil() -> String {
    EVIL.to_owned()
}

fn view() -> ServiceView {
    let standing = StandingView { used: false, reason: evil() };
    let endpoint = EndpointView {
        address: evil(),
        node: Some(evil()),
        zone: Some(evil()),
        hints: evil(),
        internal: standing.clone(),
        external: Some(standing.clone()),
        from_here: Some(standing),
        ..EndpointView::default()
    };
    let share = Share { endpoint: evil(), part: Some(1.0) };
    let way = WayView {
        verdict: "dnat",
        shares: vec![share],
        masquerade: evil(),
        chosen: evil(),
        ..WayView::default()
    };
    let sources = Some(vec![evil()]);
    let port = PortView {
        port: evil(),
        frontends: vec![
            FrontendView { kind: "clusterIP", address: evil(), allowed_sources: sources.clone() },
            FrontendView { kind: "nodePort", address: evil(), allowed_sources: None },
        ],
        lost: vec![evil()],
        internal: way.clone(),
        external: Some(way.clone()),
        from_here: Some(way),
        endpoints: vec![endpoint],
        unfit: vec![UnfitView { address: evil(), reason: evil() }],
        ..PortView::default()
    };
    ServiceView {
        node: evil(),
        place: evil(),
        namespace: evil(),
        name: evil(),
        not_served: Some(evil()),
        settings: vec![Setting { name: "name", value: evil(), meaning: evil() }],
        problems: vec![evil()],
        ports: vec![port],
        draining: vec![DrainView {
            endpoint: evil(),
            gone_at: evil(),
            ends_at: evil(),
            ..DrainView::default()
        }],
        rules: RulesText::new(&[evil()]),
        changes: vec![ChangeView {
            at: evil(),
            because: evil(),
            others: 1,
            objects: vec![evil()],
            writes: 1,
            lines: vec![evil()],
            error: Some(evil()),
        }],
        connections: Some(ConnectionsView {
            endpoints: vec![LoadView { endpoint: evil(), ..LoadView::default() }],
            notes: vec![evil()],
        }),
        difference: Some(Difference { total: 1, lines: vec![evil()], error: None }),
        ..ServiceView::default()
    }
}

fn evil_front() -> Front {
    let row = RowView {
        namespace: evil(),
        name: evil(),
        frontends: vec![evil()],
        proxied: true,
        ..RowView::default()
    };
    let overview = Overview {
        node: evil(),
        place: evil(),
        troubles: vec![evil()],
        last_repair: Some(evil()),
        problems: ProblemsView { total: 1, shown: vec![evil()] },
        ..Overview::default()
    };
    Front {
        overview,
        list: ListView { query: evil(), rows: vec![row], pages: 3, page: 2, ..ListView::default() },
    }
}

fn evil_text() -> String {
    let values = [evil()];
    let fields = [Field { name: "from", label: "From", example: "10.0.0.1" }];
    let page = Framed {
        title: EVIL,
        about: EVIL,
        path: "/debug/explain",
        fields: &fields,
        values: &values,
        text: EVIL,
        failed: false,
        columns: false,
        live: true,
    };
    framed(&page, EVIL, &[], "1", |_, _| true)
        + &framed(&Framed { failed: true, ..page }, EVIL, &[], "1", |_, _| false)
}

/// The page without our own script and style.
fn without_ours(page: &str) -> String {
    assert!(page.contains(SCRIPT) && page.contains(STYLE));
    page.replacen(SCRIPT, "", 1).replacen(STYLE, "", 1).replacen(&html! { (ICON) }.into_string(), "", 1)
}

#[test]
fn nothing_of_others_becomes_markup() {
    let pages = [service(&view(), &[], "1"), front(&evil_front())];
    let texts = evil_text();
    let (text, failed) = texts.split_at(texts.rfind("<!DOCTYPE").unwrap());
    for page in pages.iter().map(String::as_str).chain([text, failed]) {
        let page = without_ours(page);
        assert!(page.contains("&lt;img"));
        assert!(!page.contains("<img") && !page.contains("\"'&<"), "{page}");
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert_eq!(page.matches("</script").count(), 1, "{page}");
        assert!(!page.contains(" onerror=alert(1)>"), "{page}");
    }
}

#[test]
fn nothing_comes_from_elsewhere() {
    for page in [service(&view(), &[], "1"), front(&evil_front())] {
        let page = without_ours(&page);
        for word in ["http:", "https:", " src=", "@import", "url(", " style="] {
            assert!(!page.replace("src=x", "").contains(word), "{word}");
        }
    }
    assert!(!STYLE.contains("url(") && !SCRIPT.contains("</script") && !SCRIPT.contains("innerHTML = "));
    assert!(super::policy().starts_with("default-src 'none'; script-src 'sha256-"));
    assert!(!super::policy().contains("unsafe"));
}

#[test]
fn the_policy_names_what_is_there() {
    // printf abc | openssl dgst -sha256 -binary | base64
    assert_eq!(sha256("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

#[test]
fn numbers_for_people() {
    for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(grouped(n), text);
    }
    assert_eq!((count(1, "Service"), count(2, "Service")), ("1 Service".into(), "2 Services".into()));
}
