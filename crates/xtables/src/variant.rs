//! Which of the kernel's two rule systems the tools write to.

use std::fmt;
use std::str::FromStr;

/// A variant of the iptables tools. Both can be installed side by side, and their rules are in force side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variant {
    /// `iptables-legacy`: the kernel's `ip_tables`. Each change swaps a whole table.
    Legacy,
    /// `iptables-nft`: rules in nf_tables tables named `filter`, `nat`, ….
    Nft,
}

impl Variant {
    /// Both, in the order in which they are looked for.
    pub const ALL: [Variant; 2] = [Variant::Legacy, Variant::Nft];

    /// `legacy` or `nft`, as the program names have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Variant::Legacy => "legacy",
            Variant::Nft => "nft",
        }
    }

    /// The variant that a program's `--version` line tells: `iptables v1.8.9 (nf_tables)`. Versions before 1.8 have
    /// only the legacy variant and do not name it. `None` if it is no such line.
    pub(crate) fn of_version_line(line: &str) -> Option<Self> {
        version_of(line)?;
        Some(if line.contains("(nf_tables)") { Variant::Nft } else { Variant::Legacy })
    }
}

/// The version in a `--version` line: `1.8.9`.
pub(crate) fn version_of(line: &str) -> Option<&str> {
    let word = line.split_whitespace().find_map(|word| word.strip_prefix('v'))?;
    word.starts_with(|c: char| c.is_ascii_digit()).then_some(word)
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Variant::ALL.into_iter().find(|variant| variant.as_str() == text);
        found.ok_or_else(|| format!("unknown iptables variant {text:?}: use legacy or nft"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for variant in Variant::ALL {
            assert_eq!(variant.to_string().parse(), Ok(variant));
        }
        let error = "nf_tables".parse::<Variant>().unwrap_err();
        assert_eq!(error, r#"unknown iptables variant "nf_tables": use legacy or nft"#);
    }

    #[test]
    fn version_lines() {
        let cases = [
            ("iptables v1.8.9 (nf_tables)", Some((Variant::Nft, "1.8.9"))),
            ("iptables-restore v1.8.7 (legacy)", Some((Variant::Legacy, "1.8.7"))),
            ("iptables v1.6.1", Some((Variant::Legacy, "1.6.1"))),
            ("something very different", None),
            ("", None),
        ];
        for (line, expected) in cases {
            let found = Variant::of_version_line(line).zip(version_of(line));
            assert_eq!(found, expected, "{line}");
        }
    }
}
