//! The annotations of a Service that say how its connections are spread.
//!
//! An annotation that cannot be read is not used at all, the Service is served with the default in its place: half of
//! a list of weights would spread connections in a way that nobody has asked for.

use std::collections::BTreeMap;

use ipnet::IpNet;
use model::{Balance, Scheduler, parse_ip, parse_net};

use super::field::FieldError;
use super::types::Annotations;

const SCHEDULER: &str = "metadata.annotations[towpath.dev/scheduler]";
const WEIGHTS: &str = "metadata.annotations[towpath.dev/weights]";
/// Most entries of `towpath.dev/weights`: each endpoint's address is looked up in all of them.
const WEIGHT_LIMIT: usize = 1_024;
/// How much of a bad value is shown, in characters.
const SHOWN: usize = 64;

/// Reads both annotations.
pub(super) fn read(annotations: Option<&Annotations>, warnings: &mut Vec<FieldError>) -> Balance {
    let Some(annotations) = annotations else { return Balance::default() };
    let mut warn = |field, message: String| warnings.push(FieldError::new(field, message));
    let scheduler = given(annotations.scheduler.as_deref()).map(scheduler).transpose();
    let weights = given(annotations.weights.as_deref()).map(weights).transpose();
    Balance {
        scheduler: scheduler.unwrap_or_else(|message| {
            warn(SCHEDULER, format!("{message}; until then the node's default is used"));
            None
        }),
        weights: weights
            .unwrap_or_else(|message| {
                warn(WEIGHTS, format!("{message}; until then every endpoint has weight 1"));
                None
            })
            .unwrap_or_default()
            .into(),
    }
}

/// What an annotation says; an empty one says nothing.
pub(super) fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn scheduler(text: &str) -> Result<Scheduler, String> {
    text.parse().map_err(|error| format!("{}: {error}", shown(text)))
}

/// `ADDRESS=WEIGHT, CIDR=WEIGHT`, in canonical order: what is written differently and means the same is the same.
fn weights(text: &str) -> Result<Vec<(IpNet, u16)>, String> {
    let count = text.split(',').count();
    if count > WEIGHT_LIMIT {
        return Err(format!(
            "{count} entries are too many: give at most {WEIGHT_LIMIT}, prefixes in the place of addresses"
        ));
    }
    let mut found = BTreeMap::new();
    for entry in text.split(',').map(str::trim) {
        let (net, weight) = self::entry(entry)?;
        if found.insert(net, weight).is_some_and(|earlier| earlier != weight) {
            return Err(format!("{} is the second weight of {net}: keep one of them", shown(entry)));
        }
    }
    Ok(found.into_iter().collect())
}

fn entry(text: &str) -> Result<(IpNet, u16), String> {
    let form = || format!("{}: write ADDRESS=WEIGHT or CIDR=WEIGHT, with commas between", shown(text));
    let (net, weight) = text.split_once('=').ok_or_else(form)?;
    let range = || format!("{}: give a weight of 1 to 65535", shown(text));
    Ok((self::net(net.trim())?, self::weight(weight.trim()).ok_or_else(range)?))
}

/// An address, or a prefix without bits behind it: `10.244.1.5/24` may be meant for the one or for the other.
fn net(text: &str) -> Result<IpNet, String> {
    if !text.contains('/') {
        return parse_ip(text)
            .map(IpNet::from)
            .map_err(|_| format!("{} is not an IP address or a CIDR", shown(text)));
    }
    let net = parse_net(text).map_err(|_| format!("{} is not a CIDR", shown(text)))?;
    let address = text.split('/').next().and_then(|ip| parse_ip(ip).ok()).unwrap_or(net.addr());
    if address == net.addr() {
        return Ok(net);
    }
    Err(format!("{} has bits behind its prefix: write {net} or {address}", shown(text)))
}

fn weight(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|weight| digits && *weight != 0)
}

/// A value in quotes, as much as fits into a line.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scheduler: Option<&str>, weights: Option<&str>) -> (Balance, Vec<String>) {
        let annotations = Annotations {
            scheduler: scheduler.map(str::to_owned),
            weights: weights.map(str::to_owned),
            ..Annotations::default()
        };
        let mut warnings = Vec::new();
        let balance = read(Some(&annotations), &mut warnings);
        (balance, warnings.iter().map(ToString::to_string).collect())
    }

    fn good(weights: &str) -> String {
        let (balance, warnings) = of(None, Some(weights));
        assert!(warnings.is_empty(), "{weights:?}: {warnings:?}");
        balance.weights.iter().map(|(net, weight)| format!("{net}={weight} ")).collect()
    }

    #[test]
    fn schedulers() {
        for text in [None, Some(""), Some("  ")] {
            assert_eq!(of(text, None), (Balance::default(), vec![]), "{text:?}");
        }
        for one in Scheduler::ALL {
            for text in [one.as_str().to_owned(), format!(" {one}\n")] {
                let (balance, warnings) = of(Some(&text), None);
                assert_eq!((balance.scheduler, warnings), (Some(one), vec![]), "{text:?}");
            }
        }
        for bad in ["LC", "ip_vs_lc", "lc,rr", "least", "7", "{\"a\":1}"] {
            let (balance, warnings) = of(Some(bad), Some("10.0.0.1=2"));
            assert_eq!((balance.scheduler, balance.weights.len()), (None, 1), "{bad:?}");
            let [warning] = &warnings[..] else { panic!("{bad:?}: {warnings:?}") };
            assert!(warning.starts_with("metadata.annotations[towpath.dev/scheduler]: "), "{warning}");
            assert!(warning.contains("use one of rr, wrr, lc, "), "{warning}");
            assert!(warning.ends_with("; until then the node's default is used"), "{warning}");
        }
    }

    #[test]
    fn weights_that_can_be_read() {
        for (text, want) in [
            ("", ""),
            (" \n ", ""),
            ("10.244.1.5=3", "10.244.1.5/32=3 "),
            ("10.244.1.5=3, 10.244.2.0/24=2", "10.244.1.5/32=3 10.244.2.0/24=2 "),
            ("10.244.2.0/24=2,10.244.1.5=3", "10.244.1.5/32=3 10.244.2.0/24=2 "),
            ("  10.0.0.1 =\t1 ,\n fd00::1 = 65535 ", "10.0.0.1/32=1 fd00::1/128=65535 "),
            ("0.0.0.0/0=1,::/0=2", "0.0.0.0/0=1 ::/0=2 "),
            ("10.0.0.1=3,10.0.0.1/32=3,010.0.0.1=3", "10.0.0.1/32=3 "),
            ("::ffff:10.0.0.1=3", "10.0.0.1/32=3 "),
            ("10.0.0.1=007", "10.0.0.1/32=7 "),
        ] {
            assert_eq!(good(text), want, "{text:?}");
        }
    }

    #[test]
    fn weights_that_cannot() {
        let form = "write ADDRESS=WEIGHT or CIDR=WEIGHT";
        let range = "give a weight of 1 to 65535";
        for (text, want) in [
            (",", form),
            ("10.0.0.1=3,", form),
            ("10.0.0.1=3,,10.0.0.2=1", form),
            ("10.0.0.1", form),
            ("10.0.0.1:3", form),
            ("10.0.0.1=3 10.0.0.2=4", range),
            ("10.0.0.1=0", range),
            ("10.0.0.1=65536", range),
            ("10.0.0.1=99999999999999999999", range),
            ("10.0.0.1=+3", range),
            ("10.0.0.1=-3", range),
            ("10.0.0.1=1.5", range),
            ("10.0.0.1=", range),
            ("10.0.0.1==3", range),
            ("10.0.0.1=\u{664}", range),
            ("=3", "\"\" is not an IP address or a CIDR"),
            ("web-0=3", "\"web-0\" is not an IP address or a CIDR"),
            ("10.0.0.256=3", "\"10.0.0.256\" is not an IP address or a CIDR"),
            ("10.0.0.0/33=3", "\"10.0.0.0/33\" is not a CIDR"),
            ("10.0.0.0/=3", "\"10.0.0.0/\" is not a CIDR"),
            ("fd00::/129=3", "\"fd00::/129\" is not a CIDR"),
            (
                "10.244.1.5/24=3",
                "\"10.244.1.5/24\" has bits behind its prefix: write 10.244.1.0/24 or 10.244.1.5",
            ),
            ("fd00::1/64=3", "\"fd00::1/64\" has bits behind its prefix: write fd00::/64 or fd00::1"),
            ("10.0.0.1=3, 10.0.0.1/32=4", "\"10.0.0.1/32=4\" is the second weight of 10.0.0.1/32"),
            ("10.0.0.1=3, 10.0.0.2=x", "\"10.0.0.2=x\": give a weight"),
        ] {
            let (balance, warnings) = of(Some("lc"), Some(text));
            assert_eq!((balance.scheduler, balance.weights.len()), (Some(Scheduler::Lc), 0), "{text:?}");
            let [warning] = &warnings[..] else { panic!("{text:?}: {warnings:?}") };
            assert!(warning.starts_with("metadata.annotations[towpath.dev/weights]: "), "{warning}");
            assert!(warning.contains(want), "{text:?}: {warning}");
            assert!(warning.ends_with("; until then every endpoint has weight 1"), "{warning}");
        }
    }

    #[test]
    fn long_lists_and_long_words() {
        let list = |count: u32| {
            let ip = |n| std::net::Ipv4Addr::from(0x0a00_0000 + n);
            (0..count).map(|n| format!("{}={}", ip(n), n + 1)).collect::<Vec<_>>().join(",")
        };
        assert_eq!(good(&list(1_024)).matches('=').count(), 1_024);
        let (balance, warnings) = of(None, Some(&list(1_025)));
        assert!(balance.weights.is_empty());
        assert!(warnings[0].contains("1025 entries are too many: give at most 1024"), "{warnings:?}");
        for word in ["x".repeat(200_000), "é".repeat(100_000), format!("{}=1", "1".repeat(100_000))] {
            for (scheduler, weights) in [(Some(&*word), None), (None, Some(&*word))] {
                let (balance, warnings) = of(scheduler, weights);
                assert_eq!(balance, Balance::default());
                assert!(warnings[0].len() < 400, "{}", warnings[0].len());
                assert!(!warnings[0].contains('\n'));
            }
        }
    }
}
