//! What `nft` stores beside a set so that it can print it.
//!
//! A key component of type `integer` (our slot number) has no byte order of its own; nft 1.0.6 aborts or prints it
//! swapped unless the set carries the `typeof` of its key. The format is nft's: type, length, value in one byte each
//! for type and length, nested; numbers in host byte order. Read off `nft --debug=mnl` (1.0.6).

use model::IpFamily;

use crate::ids::SetId;

const KEY_BYTEORDER: u8 = 0;
const DATA_BYTEORDER: u8 = 1;
const KEY_TYPEOF: u8 = 3;
const DATA_TYPEOF: u8 = 4;
const DATA_INTERVAL: u8 = 6;

const PAYLOAD: u32 = 7;
const META: u32 = 9;
const CONCAT: u32 = 13;
const NUMGEN: u32 = 23;

const TRANSPORT_HEADER: u32 = 11;
const DESTINATION_PORT: u32 = 2;
const META_L4PROTO: u32 = 16;

/// The modulus in the printed `typeof`: more slots than any Service has. It limits nothing.
const PRINTED_MODULUS: u32 = 65_536;

/// The user data of a set; empty where nft needs none.
pub fn of(set: SetId, family: IpFamily) -> Vec<u8> {
    let key = match set {
        SetId::VipSlots(_) => vec![destination(family), protocol(), port(), slot()],
        SetId::PortSlots(_) => vec![protocol(), port(), slot()],
        _ => return Vec::new(),
    };
    let mut out = number(KEY_BYTEORDER, 0);
    out.extend(number(DATA_BYTEORDER, 0));
    out.extend(field(KEY_TYPEOF, &concat(&key)));
    out.extend(field(DATA_TYPEOF, &concat(&[destination(family), port()])));
    out.extend(number(DATA_INTERVAL, 0));
    out
}

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, value.len() as u8];
    out.extend_from_slice(value);
    out
}

fn number(kind: u8, value: u32) -> Vec<u8> {
    field(kind, &value.to_ne_bytes())
}

/// An expression: its kind and its description.
fn expression(kind: u32, description: &[u8]) -> Vec<u8> {
    let mut out = number(0, kind);
    out.extend(field(1, description));
    out
}

fn concat(parts: &[Vec<u8>]) -> Vec<u8> {
    let parts: Vec<u8> = parts.iter().enumerate().flat_map(|(i, part)| field(i as u8, part)).collect();
    expression(CONCAT, &parts)
}

fn payload(header: u32, template: u32) -> Vec<u8> {
    expression(PAYLOAD, &[number(0, header), number(1, template)].concat())
}

fn destination(family: IpFamily) -> Vec<u8> {
    match family {
        IpFamily::V4 => payload(12, 12),
        IpFamily::V6 => payload(13, 9),
    }
}

fn port() -> Vec<u8> {
    payload(TRANSPORT_HEADER, DESTINATION_PORT)
}

fn protocol() -> Vec<u8> {
    expression(META, &number(0, META_L4PROTO))
}

fn slot() -> Vec<u8> {
    expression(NUMGEN, &[number(0, 1), number(1, PRINTED_MODULUS), number(2, 0)].concat())
}
