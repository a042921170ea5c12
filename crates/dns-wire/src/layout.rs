//! Where record data has names. Only these types may be compressed when they are received (RFC 3597 section 4).

use crate::codes::rtype;

/// The shape of record data: `head` octets, then `names` names, then the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) head: usize,
    pub(crate) names: usize,
    /// Whether the names may be compressed when they are sent: only the types of RFC 1035.
    pub(crate) compress: bool,
}

/// The layout of a type's data; `None`: there are no names in it which anybody may compress.
pub(crate) fn layout(rtype: u16) -> Option<Layout> {
    let (head, names, compress) = match rtype {
        rtype::NS | rtype::MD | rtype::MF | rtype::CNAME | rtype::MB | rtype::MG | rtype::MR | rtype::PTR => {
            (0, 1, true)
        }
        rtype::SOA | rtype::MINFO => (0, 2, true),
        rtype::MX => (2, 1, true),
        rtype::RP => (0, 2, false),
        rtype::AFSDB | rtype::RT | rtype::KX => (2, 1, false),
        rtype::SIG => (18, 1, false),
        rtype::PX => (2, 2, false),
        rtype::NXT | rtype::DNAME => (0, 1, false),
        rtype::SRV => (6, 1, false),
        _ => return None,
    };
    Some(Layout { head, names, compress })
}
