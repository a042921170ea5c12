//! Numbers of the protocol that this program names. Source: the IANA registry "Domain Name System (DNS) Parameters".

/// Types of records and of questions.
pub mod rtype {
    macro_rules! types {
        ($($name:ident = $value:literal, $text:literal;)*) => {
            $(
                #[doc = concat!("Type ", $text, ".")]
                pub const $name: u16 = $value;
            )*
            /// The usual name of a type; `None` for one that has no constant here.
            #[must_use]
            pub fn name(rtype: u16) -> Option<&'static str> {
                match rtype { $($name => Some($text),)* _ => None }
            }
            /// The type of a name (in any letter case), or of `TYPE123` (RFC 3597 section 5).
            #[must_use]
            pub fn from_name(name: &str) -> Option<u16> {
                $(if name.eq_ignore_ascii_case($text) { return Some($name); })*
                let (head, number) = name.split_at_checked(4)?;
                if head.eq_ignore_ascii_case("TYPE") { number.parse().ok() } else { None }
            }
        };
    }
    types! {
        A = 1, "A"; NS = 2, "NS"; MD = 3, "MD"; MF = 4, "MF"; CNAME = 5, "CNAME"; SOA = 6, "SOA"; MB = 7, "MB"; MG = 8, "MG";
        MR = 9, "MR"; NULL = 10, "NULL"; PTR = 12, "PTR"; HINFO = 13, "HINFO"; MINFO = 14, "MINFO"; MX = 15, "MX";
        TXT = 16, "TXT"; RP = 17, "RP"; AFSDB = 18, "AFSDB"; RT = 21, "RT"; SIG = 24, "SIG"; PX = 26, "PX"; AAAA = 28, "AAAA";
        NXT = 30, "NXT"; SRV = 33, "SRV"; NAPTR = 35, "NAPTR"; KX = 36, "KX"; DNAME = 39, "DNAME"; OPT = 41, "OPT"; DS = 43, "DS";
        RRSIG = 46, "RRSIG"; NSEC = 47, "NSEC"; DNSKEY = 48, "DNSKEY"; NSEC3 = 50, "NSEC3"; SVCB = 64, "SVCB";
        HTTPS = 65, "HTTPS"; TKEY = 249, "TKEY"; TSIG = 250, "TSIG"; IXFR = 251, "IXFR"; AXFR = 252, "AXFR"; ANY = 255, "ANY";
        CAA = 257, "CAA";
    }
}

/// Classes.
pub mod class {
    /// The Internet: the one class that is answered.
    pub const IN: u16 = 1;
    /// Chaos: `version.bind` and the like.
    pub const CH: u16 = 3;
    /// Any class, in questions only.
    pub const ANY: u16 = 255;
}

/// Response codes; those above 15 need an OPT record.
pub mod rcode {
    /// No error; without answers it is "NODATA".
    pub const NOERROR: u16 = 0;
    /// The query could not be read.
    pub const FORMERR: u16 = 1;
    /// The server failed.
    pub const SERVFAIL: u16 = 2;
    /// The name does not exist.
    pub const NXDOMAIN: u16 = 3;
    /// The kind of request is not implemented.
    pub const NOTIMP: u16 = 4;
    /// Refused by policy.
    pub const REFUSED: u16 = 5;
    /// EDNS version not supported (RFC 6891 section 6.1.3).
    pub const BADVERS: u16 = 16;

    /// The usual name of a response code; `None` for one that has no constant here.
    #[must_use]
    pub fn name(rcode: u16) -> Option<&'static str> {
        Some(match rcode {
            NOERROR => "NOERROR",
            FORMERR => "FORMERR",
            SERVFAIL => "SERVFAIL",
            NXDOMAIN => "NXDOMAIN",
            NOTIMP => "NOTIMP",
            REFUSED => "REFUSED",
            BADVERS => "BADVERS",
            _ => return None,
        })
    }
}

/// Bits of the header's third and fourth octets, read as one number.
pub mod flag {
    /// This is a response.
    pub const QR: u16 = 0x8000;
    /// The four bits of the opcode.
    pub const OPCODE: u16 = 0x7800;
    /// Authoritative answer.
    pub const AA: u16 = 0x0400;
    /// Truncated.
    pub const TC: u16 = 0x0200;
    /// Recursion desired.
    pub const RD: u16 = 0x0100;
    /// Recursion available.
    pub const RA: u16 = 0x0080;
    /// Authentic data (RFC 4035).
    pub const AD: u16 = 0x0020;
    /// Checking disabled (RFC 4035).
    pub const CD: u16 = 0x0010;
    /// The lower four bits of the response code.
    pub const RCODE: u16 = 0x000f;
}

/// Codes of EDNS options.
pub mod edns_option {
    /// Name server identifier (RFC 5001).
    pub const NSID: u16 = 3;
    /// Client subnet (RFC 7871): never sent on.
    pub const CLIENT_SUBNET: u16 = 8;
    /// Cookie (RFC 7873).
    pub const COOKIE: u16 = 10;
    /// Padding (RFC 7830).
    pub const PADDING: u16 = 12;
    /// Extended error (RFC 8914): two octets of code, then text.
    pub const EXTENDED_ERROR: u16 = 15;
}
