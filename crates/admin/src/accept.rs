//! Which text format of metrics a scraper takes.

/// Whether metrics are to be written as OpenMetrics (`application/openmetrics-text; version=1.0.0`) for somebody who
/// sent this `Accept` header; otherwise as `text/plain; version=0.0.4`, which every scraper reads.
///
/// Only who names OpenMetrics gets it, in a version that exists (`1.0.0`, `0.0.1`, or none named), and if text is not
/// named with a higher `q`, or with the same and earlier: what Go's `expfmt.NegotiateIncludingOpenMetrics` does. `*/*`
/// counts for nothing.
pub fn wants_openmetrics(accept: Option<&str>) -> bool {
    let mut best: Option<(f32, bool)> = None;
    for (q, is_openmetrics) in accept.unwrap_or_default().split(',').filter_map(known_format) {
        if best.is_none_or(|(best, _)| q > best) {
            best = Some((q, is_openmetrics));
        }
    }
    best.is_some_and(|(_, is_openmetrics)| is_openmetrics)
}

/// The weight of a format that can be written, above 0, and whether it is OpenMetrics.
fn known_format(range: &str) -> Option<(f32, bool)> {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let (mut q, mut version) = (1.0, "");
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => q = value.trim().parse().unwrap_or(1.0),
            "version" => version = value.trim().trim_matches('"'),
            _ => {}
        }
    }
    let is_openmetrics = match media_type.as_str() {
        "application/openmetrics-text" if matches!(version, "" | "0.0.1" | "1.0.0") => true,
        "text/plain" => false,
        _ => return None,
    };
    (q > 0.0).then_some((q, is_openmetrics))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_headers() {
        for (accept, openmetrics) in [
            (None, false),
            (Some(""), false),
            (Some("*/*"), false),
            (Some("text/plain"), false),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), false),
            (Some("application/openmetrics-text"), true),
            (Some("Application/OpenMetrics-Text; Version=\"1.0.0\""), true),
            (Some("application/openmetrics-text; version=0.0.1"), true),
            (Some("application/openmetrics-text; version=2.0.0"), false),
            (Some("application/openmetrics-text;q=0"), false),
            (Some("application/openmetrics-text;q=0.5,text/plain;q=0.6"), false),
            (Some("application/openmetrics-text;q=0.5,text/plain;q=0.4,*/*;q=0.9"), true),
            (Some("text/plain,application/openmetrics-text"), false),
            (Some("application/openmetrics-text,text/plain"), true),
            (Some("application/openmetrics-text;q=lots,text/plain;q=0.9"), true),
            (Some(",;=,application/openmetrics-text"), true),
            // Prometheus 2 and 3, and what VictoriaMetrics' agent sends.
            (
                Some(
                    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;\
                     q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                ),
                true,
            ),
            (
                Some(
                    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;\
                     q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                     text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                ),
                true,
            ),
            (Some("text/plain;version=0.0.4;q=1,*/*;q=0.1"), false),
        ] {
            assert_eq!(wants_openmetrics(accept), openmetrics, "{accept:?}");
        }
    }
}
