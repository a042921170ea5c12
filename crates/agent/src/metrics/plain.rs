//! Prometheus' text format 0.0.4, made of OpenMetrics text: counters are declared under the names of their samples, and
//! there are no units and no end mark.

use std::collections::HashSet;
use std::fmt::Write;

/// Rewrites the lines that differ.
pub(super) fn from_openmetrics(text: &str) -> String {
    let declared = |line: &str| Some(line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?.to_owned());
    let counters: HashSet<String> = text.lines().filter_map(declared).collect();
    let mut out = String::with_capacity(text.len() + 16 * counters.len());
    for line in text.lines() {
        let described =
            ["# HELP ", "# TYPE "].iter().find_map(|word| Some((*word, line.strip_prefix(word)?)));
        match described.and_then(|(word, rest)| Some((word, rest.split_once(' ')?))) {
            Some((word, (name, rest))) if counters.contains(name) => {
                let _ = writeln!(out, "{word}{name}_total {rest}");
            }
            _ if line.starts_with("# EOF") || line.starts_with("# UNIT") => {}
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_declared_by_their_samples() {
        let text = "# HELP a Some.\n# TYPE a counter\na_total 1\n# HELP a_b Other.\n# TYPE a_b gauge\na_b 2\n# EOF\n";
        let expected = "# HELP a_total Some.\n# TYPE a_total counter\na_total 1\n# HELP a_b Other.\n# TYPE a_b gauge\na_b 2\n";
        assert_eq!(from_openmetrics(text), expected);
    }
}
