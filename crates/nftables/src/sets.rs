//! What kind each set is.

use model::IpFamily;
use netlink::nft::{SetData, SetFlags, SetSpec, data_type};

use crate::ids::SetId;
use crate::userdata;

/// Most clients that one affinity map remembers. Beyond it, new clients are balanced without memory.
pub const AFFINITY_SIZE: u32 = 131_072;

/// The components of a set's key: data type and length in bytes, padded.
pub fn key_parts(set: SetId, family: IpFamily) -> Vec<(u32, u32)> {
    let addr = address_part(family);
    let (proto, port, number) = ((data_type::PROTOCOL, 4), (data_type::SERVICE, 4), (data_type::INTEGER, 4));
    match set {
        SetId::ClusterIps | SetId::NodePortIps | SetId::RoutedVips => vec![addr],
        SetId::Hairpin | SetId::Affinity(_) => vec![addr, addr, proto, port],
        SetId::AllowedSources => vec![addr, proto, port, addr],
        SetId::NodePortSources => vec![proto, port, addr],
        SetId::VipSlots(_) => vec![addr, proto, port, number],
        SetId::PortSlots(_) => vec![proto, port, number],
        SetId::NodePorts
        | SetId::RestrictedNodePorts
        | SetId::HealthPorts
        | SetId::PodNodePorts
        | SetId::NodeNodePorts
        | SetId::OutsideNodePorts
        | SetId::IdleNodePorts
        | SetId::AffinityNodePorts => vec![proto, port],
        SetId::RestrictedVips
        | SetId::ShadowingVips
        | SetId::VirtualServers
        | SetId::Vips
        | SetId::PodVips
        | SetId::NodeVips
        | SetId::OutsideVips
        | SetId::IdleVips
        | SetId::AffinityVips => vec![addr, proto, port],
    }
}

/// What a set's elements lead to.
pub fn set_data(set: SetId, family: IpFamily) -> SetData {
    match set {
        SetId::ClusterIps
        | SetId::NodePortIps
        | SetId::Hairpin
        | SetId::RestrictedVips
        | SetId::AllowedSources
        | SetId::RestrictedNodePorts
        | SetId::NodePortSources
        | SetId::ShadowingVips
        | SetId::VirtualServers
        | SetId::RoutedVips
        | SetId::HealthPorts => SetData::None,
        SetId::VipSlots(_) | SetId::PortSlots(_) | SetId::Affinity(_) => {
            let (kind, len) = address_part(family);
            SetData::Value { kind: data_type::concat(&[kind, data_type::SERVICE]), len: len + 4 }
        }
        _ => SetData::Verdict,
    }
}

/// The definition of a set.
pub fn set_spec(set: SetId, family: IpFamily) -> SetSpec {
    let parts = key_parts(set, family);
    let types: Vec<u32> = parts.iter().map(|(kind, _)| *kind).collect();
    let (flags, size) = match set {
        SetId::AllowedSources | SetId::NodePortSources => (SetFlags::INTERVAL | SetFlags::CONCAT, 0),
        SetId::Affinity(_) => (SetFlags::DYNAMIC | SetFlags::TIMEOUT, AFFINITY_SIZE),
        _ => (0, 0),
    };
    let interval = matches!(set, SetId::AllowedSources | SetId::NodePortSources);
    SetSpec {
        name: set.to_string(),
        flags,
        key_type: data_type::concat(&types),
        key_len: parts.iter().map(|(_, len)| len).sum(),
        data: set_data(set, family),
        size,
        fields: parts.iter().filter(|_| interval).map(|(kind, len)| field_len(*kind, *len)).collect(),
        userdata: userdata::of(set, family),
    }
}

/// The length of a key's component as nft describes it: without padding.
fn field_len(kind: u32, padded: u32) -> u32 {
    match kind {
        data_type::PROTOCOL => 1,
        data_type::SERVICE => 2,
        _ => padded,
    }
}

fn address_part(family: IpFamily) -> (u32, u32) {
    match family {
        IpFamily::V4 => (data_type::IPV4, 4),
        IpFamily::V6 => (data_type::IPV6, 16),
    }
}
