//! The busiest Services.

use serde::{Deserialize, Serialize};

use crate::text::columns;

/// By what Services are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// New connections.
    #[default]
    New,
    /// Live connections.
    Live,
    /// Bytes, both ways together.
    Bytes,
}

impl Order {
    /// From its name: `new`, `live` or `bytes`.
    pub fn parse(text: &str) -> Option<Self> {
        [("new", Self::New), ("live", Self::Live), ("bytes", Self::Bytes)]
            .into_iter()
            .find_map(|(name, order)| (name == text).then_some(order))
    }
}

/// The busiest Services.
// The fields are a contract: programs read them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TopView {
    /// This node.
    pub node: String,
    /// The mode that is in force.
    pub mode: String,
    /// The time between the two looks that are compared, in milliseconds.
    pub interval_ms: u64,
    /// How long ago the last look was, in milliseconds.
    pub age_ms: u64,
    /// What a reader should know, a sentence each.
    pub notes: Vec<String>,
    /// Services that have connections or had some meanwhile.
    pub busy: u64,
    /// The busiest, in order.
    pub services: Vec<TopRow>,
}

/// How busy one Service is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TopRow {
    /// NAMESPACE/NAME.
    pub service: String,
    /// New connections in a second.
    pub new_per_second: f64,
    /// Connections that live.
    pub live: u64,
    /// Bytes from clients in a second; 0 where the kernel does not count (`nf_conntrack_acct`).
    pub bytes_in_per_second: f64,
    /// Bytes to clients in a second; as above.
    pub bytes_out_per_second: f64,
}

impl TopRow {
    fn key(&self, order: Order) -> f64 {
        match order {
            Order::New => self.new_per_second,
            Order::Live => self.live as f64,
            Order::Bytes => self.bytes_in_per_second + self.bytes_out_per_second,
        }
    }
}

/// The first of them in this order; equal ones by what else makes them busy, then by name.
pub fn busiest_first(rows: &mut Vec<TopRow>, order: Order, limit: usize) {
    let keys = |row: &TopRow| [order, Order::New, Order::Live, Order::Bytes].map(|order| row.key(order));
    let greater = |a: &TopRow, b: &TopRow| keys(b).partial_cmp(&keys(a)).unwrap_or(std::cmp::Ordering::Equal);
    rows.sort_unstable_by(|a, b| greater(a, b).then_with(|| a.service.cmp(&b.service)));
    rows.truncate(limit);
}

impl TopView {
    /// As text. What is no row begins with `#`.
    pub fn text(&self) -> String {
        let mut out = format!(
            "# towpath on {}, mode {}: {} busy Service{}; over {:.1} s, {:.1} s ago\n",
            self.node,
            self.mode,
            self.busy,
            if self.busy == 1 { "" } else { "s" },
            self.interval_ms as f64 / 1000.0,
            self.age_ms as f64 / 1000.0,
        );
        self.notes.iter().for_each(|note| out += &format!("# {note}\n"));
        out + &columns(["SERVICE", "NEW/S", "LIVE", "IN/S", "OUT/S"], self.services.iter().map(row))
    }
}

fn row(row: &TopRow) -> [String; 5] {
    [
        row.service.clone(),
        format!("{:.1}", row.new_per_second),
        row.live.to_string(),
        bytes(row.bytes_in_per_second),
        bytes(row.bytes_out_per_second),
    ]
}

/// With a unit of 1,000: `999B`, `1.2kB`, `34MB`.
fn bytes(number: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut number, mut unit) = (number, 0);
    while number >= 999.5 && unit + 1 < units.len() {
        number /= 1000.0;
        unit += 1;
    }
    if unit > 0 && number < 9.95 {
        format!("{number:.1}{}", units[unit])
    } else {
        format!("{number:.0}{}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(service: &str, new_per_second: f64, live: u64, bytes: f64) -> TopRow {
        let service = service.into();
        TopRow { service, new_per_second, live, bytes_in_per_second: bytes, bytes_out_per_second: 1.0 }
    }

    #[test]
    fn the_busiest_come_first() {
        let rows = || {
            vec![row("a", 1.0, 9, 5.0), row("b", 3.0, 1, 5.0), row("c", 0.0, 9, 7.0), row("d", 1.0, 9, 5.0)]
        };
        for (order, expected) in [(Order::New, "bad"), (Order::Live, "adc"), (Order::Bytes, "cba")] {
            let mut rows = rows();
            busiest_first(&mut rows, order, 3);
            assert_eq!(
                rows.iter().map(|row| row.service.as_str()).collect::<String>(),
                expected,
                "{order:?}"
            );
        }
        assert_eq!([Order::parse("live"), Order::parse("x")], [Some(Order::Live), None]);
    }

    #[test]
    fn schema_of_top() {
        testkit::schema::current::<TopView>("top").unwrap();
        let view = TopView { services: vec![row("ns/web", 1.0, 2, 3.0)], ..TopView::default() };
        testkit::schema::conforms("top", &serde_json::to_value(view).unwrap()).unwrap();
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0B"),
            (999.4, "999B"),
            (999.6, "1.0kB"),
            (1234.0, "1.2kB"),
            (9960.0, "10kB"),
            (34_400_000.0, "34MB"),
            (5e15, "5000TB"),
        ] {
            assert_eq!(bytes(number), text, "{number}");
        }
    }

    #[test]
    fn text_of_it() {
        let view = TopView {
            node: "n".into(),
            mode: "ipvs".into(),
            interval_ms: 2_000,
            age_ms: 500,
            notes: vec!["a note".into()],
            busy: 1,
            services: vec![row("ns/web", 12.5, 3, 1500.0)],
        };
        let expected = "\
# towpath on n, mode ipvs: 1 busy Service; over 2.0 s, 0.5 s ago
# a note
SERVICE  NEW/S  LIVE  IN/S   OUT/S
ns/web   12.5   3     1.5kB  1B
";
        assert_eq!(view.text(), expected);
    }
}
