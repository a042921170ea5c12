//! Who balances: our own rules, or IPVS.

use std::fmt;

/// What the tables are for. Both kinds may be loaded side by side: their tables have different names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Style {
    /// nf_tables does everything: it chooses an endpoint and translates to it.
    #[default]
    Dnat,
    /// IPVS balances; nf_tables marks for masquerade, limits sources, refuses. Only the short circuit of
    /// `externalTrafficPolicy: Local` still chooses here, before IPVS sees the packet.
    Ipvs,
}

impl Style {
    /// Name of the table, the same in both families.
    pub fn table(self) -> &'static str {
        match self {
            Style::Dnat => crate::TABLE,
            Style::Ipvs => "towpath-ipvs",
        }
    }
}

/// Both tables by name, for messages.
impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table();
        write!(f, "`ip {table}` and `ip6 {table}`")
    }
}
