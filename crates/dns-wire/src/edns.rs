//! The OPT record of a query (RFC 6891).

/// What an OPT record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns<'a> {
    /// The UDP payload that the sender takes, in octets, as sent.
    pub payload: u16,
    /// The version; [`crate::parse_query`] lets only 0 pass.
    pub version: u8,
    /// The DO bit: the sender wants DNSSEC records.
    pub dnssec_ok: bool,
    /// The options in wire form; each is whole.
    pub options: &'a [u8],
}

impl<'a> Edns<'a> {
    /// The data of the first option with this code.
    #[must_use]
    pub fn option(&self, code: u16) -> Option<&'a [u8]> {
        self.options().find(|&(found, _)| found == code).map(|(_, data)| data)
    }

    /// All options: code and data.
    pub fn options(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            let (option, after) = split_option(rest)?;
            rest = after;
            Some(option)
        })
    }

    /// From the fields of an OPT record: its class, its TTL, its data. `None`: an option is cut off.
    pub(crate) fn read(class: u16, ttl: u32, data: &'a [u8]) -> Option<Self> {
        let [_, version, high, _] = ttl.to_be_bytes();
        let mut rest = data;
        while !rest.is_empty() {
            rest = split_option(rest)?.1;
        }
        Some(Self { payload: class, version, dnssec_ok: high & 0x80 != 0, options: data })
    }
}

/// Code and data of an option.
type One<'a> = (u16, &'a [u8]);

/// The first option, and what follows it.
fn split_option(octets: &[u8]) -> Option<(One<'_>, &[u8])> {
    let (&[code_high, code_low, length_high, length_low], after) = octets.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    let (data, rest) = after.split_at_checked(length)?;
    Some(((u16::from_be_bytes([code_high, code_low]), data), rest))
}

/// Writes an OPT record: `rcode` gives the upper bits of the response code, `options` is in wire form.
pub(crate) fn write_opt(out: &mut Vec<u8>, payload: u16, rcode: u16, dnssec_ok: bool, options: &[u8]) {
    let [class_high, class_low] = payload.to_be_bytes();
    let extended = (rcode >> 4).to_be_bytes()[1];
    let [length_high, length_low] = u16::try_from(options.len()).unwrap_or(0).to_be_bytes();
    let bits = if dnssec_ok { 0x80 } else { 0 };
    out.extend_from_slice(&[0, 0, 41, class_high, class_low, extended, 0, bits, 0, length_high, length_low]);
    out.extend_from_slice(options);
}

/// Octets of an OPT record without options.
pub(crate) const BARE_OPT: usize = 11;
