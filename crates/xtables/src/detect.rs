//! Which variant this node uses.

use std::path::PathBuf;

use model::IpFamily;

use crate::error::ToolError;
use crate::find::{directories, first, plain_variant};
use crate::saved::{chain_line, rule_line};
use crate::tools::Tools;
use crate::variant::Variant;

/// Chains that kubelet makes in the mangle table of the variant that it uses.
const HINTS: [&str; 2] = ["KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY"];

/// A variant, and why it is that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// Which one.
    pub variant: Variant,
    /// A sentence for the log.
    pub why: String,
}

/// Finds the variant that this node uses: where kubelet's hint chains are (legacy is looked at first), else where
/// more rules are, else what the plain `iptables` is, else what is installed. Creates nothing.
/// Errors: neither variant is installed.
pub fn detect() -> Result<Detected, ToolError> {
    detect_in(&directories())
}

pub(crate) fn detect_in(directories: &[PathBuf]) -> Result<Detected, ToolError> {
    let found = Variant::ALL.map(|variant| Tools::find_in(directories, variant).ok());
    if let Some(tools) = found.iter().flatten().find(|tools| has_hint(tools)) {
        return Ok(hinted(tools.variant()));
    }
    let [legacy, nft] = found.map(|tools| tools.and_then(|tools| count_rules(&tools)));
    let plain = first(directories, "iptables").and_then(|program| plain_variant(&program));
    let missing = || ToolError::Missing { program: "iptables-restore".to_owned() };
    choose(legacy, nft, plain).ok_or_else(missing)
}

fn hinted(variant: Variant) -> Detected {
    let why = format!("kubelet has made its hint chain in the {variant} variant");
    Detected { variant, why }
}

/// The choice without a hint: each variant's number of rules (`None`: not installed, or not in the kernel), and what
/// `iptables` is.
fn choose(legacy: Option<usize>, nft: Option<usize>, plain: Option<Variant>) -> Option<Detected> {
    let (variant, why) = match (legacy, nft) {
        (None, None) => return None,
        (Some(_), None) => (Variant::Legacy, "only the legacy variant works here".to_owned()),
        (None, Some(_)) => (Variant::Nft, "only the nft variant works here".to_owned()),
        (Some(legacy), Some(nft)) if legacy > nft => (Variant::Legacy, more_rules(legacy, nft)),
        (Some(legacy), Some(nft)) if nft > legacy => (Variant::Nft, more_rules(nft, legacy)),
        (Some(_), Some(_)) => match plain {
            Some(variant) => (variant, format!("the program iptables is of the {variant} variant")),
            None => (Variant::Nft, "both variants are installed, and nothing tells them apart".to_owned()),
        },
    };
    Some(Detected { variant, why })
}

fn more_rules(these: usize, others: usize) -> String {
    format!("this variant has {these} rules, the other one {others}")
}

fn has_hint(tools: &Tools) -> bool {
    let has = |family| tools.save_text(family, "mangle").is_ok_and(|text| is_hinted(&text));
    IpFamily::ALL.into_iter().any(has)
}

fn is_hinted(text: &str) -> bool {
    text.lines().filter_map(chain_line).any(|(name, _)| HINTS.contains(&name))
}

/// `None` where the kernel does not have this variant: the tool for IPv4 cannot read it.
fn count_rules(tools: &Tools) -> Option<usize> {
    let count = |text: String| text.lines().filter(|line| rule_line(line).is_some()).count();
    let ipv4 = tools.save_all(IpFamily::V4).ok().map(count)?;
    Some(ipv4 + tools.save_all(IpFamily::V6).map_or(0, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_without_a_hint() {
        use Variant::{Legacy, Nft};
        let cases = [
            (None, None, None, None),
            (None, None, Some(Nft), None),
            (Some(0), None, None, Some((Legacy, "only the legacy variant works here"))),
            (None, Some(0), Some(Legacy), Some((Nft, "only the nft variant works here"))),
            (Some(3), Some(2), Some(Nft), Some((Legacy, "this variant has 3 rules, the other one 2"))),
            (Some(2), Some(3), Some(Legacy), Some((Nft, "this variant has 3 rules, the other one 2"))),
            (Some(0), Some(0), Some(Legacy), Some((Legacy, "the program iptables is of the legacy variant"))),
            (Some(0), Some(0), Some(Nft), Some((Nft, "the program iptables is of the nft variant"))),
            (
                Some(0),
                Some(0),
                None,
                Some((Nft, "both variants are installed, and nothing tells them apart")),
            ),
        ];
        for (legacy, nft, plain, expected) in cases {
            let expected = expected.map(|(variant, why)| Detected { variant, why: why.to_owned() });
            assert_eq!(choose(legacy, nft, plain), expected, "{legacy:?} {nft:?} {plain:?}");
        }
    }

    #[test]
    fn hints_are_chains_of_exactly_these_names() {
        let cases = [
            (":KUBE-IPTABLES-HINT - [0:0]\n", true),
            (":PREROUTING ACCEPT [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\n", true),
            (":KUBE-PROXY-CANARY - [0:0]\n", false),
            ("-A X -j KUBE-IPTABLES-HINT\n", false),
            ("", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_hinted(text), expected, "{text}");
        }
    }

    #[test]
    fn no_program_at_all_is_an_error() {
        let error = detect_in(&[]).unwrap_err();
        assert!(error.to_string().starts_with("iptables-restore is not installed"), "{error}");
    }
}
