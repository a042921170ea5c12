//! How pflag reads values. No parser panics; each says what to write.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::address::parse_address;
use crate::duration::GoDuration;
use crate::logging::VModuleItem;

/// Go's `strconv.ParseBool`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("write true or false".into()),
    }
}

/// 32 bits, decimal or with Go's prefixes `0x`, `0o` and `0b`.
pub(super) fn integer(text: &str) -> Result<i32, String> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let digits = digits.strip_prefix('+').filter(|_| sign == 1).unwrap_or(digits);
    let lower = digits.to_ascii_lowercase();
    let parsed = match lower.get(..2) {
        Some("0x") => i64::from_str_radix(&lower[2..], 16),
        Some("0o") => i64::from_str_radix(&lower[2..], 8),
        Some("0b") => i64::from_str_radix(&lower[2..], 2),
        _ => lower.parse(),
    };
    // from_str_radix would take a sign after the prefix.
    let is_unsigned = lower.bytes().all(|b| b.is_ascii_alphanumeric());
    let number = parsed.ok().filter(|_| is_unsigned);
    let number = number.and_then(|number| i32::try_from(sign * number).ok());
    number.ok_or_else(|| "write a whole number of 32 bits".into())
}

/// A log level.
pub(super) fn level(text: &str) -> Result<u32, String> {
    let level = integer(text).ok().and_then(|number| u32::try_from(number).ok());
    level.ok_or_else(|| "write a level, a number from 0 up".into())
}

/// A Go duration.
pub(super) fn duration(text: &str) -> Result<GoDuration, String> {
    text.parse().map_err(|_| "write a duration, a number with a unit such as 30s or 1m30s".into())
}

/// An IP address; empty leaves the default.
pub(super) fn ip(text: &str) -> Result<String, String> {
    let good = text.is_empty() || model::parse_ip(text).is_ok();
    if good { Ok(text.into()) } else { Err("write an IP address".into()) }
}

/// `IP:PORT`, or an IP alone; empty = nowhere.
pub(super) fn bind_address(text: &str) -> Result<String, String> {
    let good = text.is_empty() || model::parse_ip(text).is_ok() || parse_address(text).is_ok();
    let message = "write IP:PORT with a port from 1 to 65535, as in 127.0.0.1:10249 or [::1]:10249";
    if good { Ok(text.into()) } else { Err(message.into()) }
}

/// One value of `--feature-gates`: `A=true,B=false`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureGates(pub BTreeMap<String, bool>);

impl FromStr for FeatureGates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let gates = items.map(|item| {
            let message = || format!("{item:?} is no gate: write Name=true or Name=false");
            let (name, value) = item.split_once('=').ok_or_else(message)?;
            let value = boolean(value.trim()).map_err(|_| message())?;
            Ok((name.trim().to_owned(), value))
        });
        gates.collect::<Result<_, String>>().map(Self)
    }
}

/// The value of `--vmodule`: `file=2,other*=4`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VModule(pub Vec<VModuleItem>);

impl FromStr for VModule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = text.split(',').filter(|item| !item.is_empty());
        let parsed = items.map(|item| {
            let message = || format!("{item:?} is no pattern: write name=N");
            let (pattern, verbosity) = item.split_once('=').ok_or_else(message)?;
            let verbosity = level(verbosity).map_err(|_| message())?;
            Ok(VModuleItem { file_pattern: pattern.to_owned(), verbosity })
        });
        parsed.collect::<Result<_, String>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_go_has_them() {
        for (text, number) in
            [("0", Some(0)), ("-998", Some(-998)), ("+5", Some(5)), ("0x10", Some(16)), ("-0b11", Some(-3))]
        {
            assert_eq!(integer(text).ok(), number, "{text}");
        }
        for text in ["", "-", "1.5", "2147483648", "ten", "--1", "+-1", "-+1", "0x-1", "é"] {
            assert!(integer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists() {
        let gates: FeatureGates = "A=true, B=false,".parse().unwrap();
        assert_eq!(gates.0, BTreeMap::from([("A".into(), true), ("B".into(), false)]));
        assert_eq!("".parse(), Ok(FeatureGates::default()));
        assert!("A".parse::<FeatureGates>().unwrap_err().contains("write Name=true"));
        assert!("A=yes".parse::<FeatureGates>().is_err());
        let item = VModuleItem { file_pattern: "gopher*".into(), verbosity: 3 };
        assert_eq!("gopher*=3".parse(), Ok(VModule(vec![item])));
        assert!("gopher".parse::<VModule>().is_err());
    }
}
