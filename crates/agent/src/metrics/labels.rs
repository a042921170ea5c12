//! Labels.

use model::IpFamily;
use prometheus_client::encoding::EncodeLabelSet;

/// An HTTP status code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CodeLabel {
    pub(crate) code: u16,
}

/// `IPv4` or `IPv6`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FamilyLabel {
    pub(crate) ip_family: &'static str,
}

impl FamilyLabel {
    /// The label of a family.
    pub(crate) fn of(family: IpFamily) -> Self {
        Self { ip_family: family.as_str() }
    }

    /// Both.
    pub(crate) fn both() -> [Self; 2] {
        IpFamily::ALL.map(Self::of)
    }
}

/// Which traffic a policy is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PolicyLabel {
    pub(crate) ip_family: &'static str,
    /// `internal` or `external`.
    pub(crate) traffic_policy: &'static str,
}

/// What another program had done with an object of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RepairLabel {
    /// `deleted`, `changed` or `added`.
    pub(crate) done: &'static str,
}

/// What was repaired.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RepairedLabel {
    /// `rules`, `dns` or `settings`.
    pub(crate) of: &'static str,
}

impl RepairedLabel {
    /// The dataplane's objects in the kernel.
    pub(crate) const RULES: &str = "rules";
    /// What the node has for DNS: link, addresses, routes, tables.
    pub(crate) const DNS: &str = "dns";
    /// Settings of the kernel that a mode needs.
    pub(crate) const SETTINGS: &str = "settings";
    /// All of them.
    pub(crate) const ALL: [&str; 3] = [Self::RULES, Self::DNS, Self::SETTINGS];
}

/// A kind of object, as the API names its collection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ResourceLabel {
    pub(crate) resource: &'static str,
}

/// What went wrong with which kind of object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ErrorLabel {
    pub(crate) resource: &'static str,
    pub(crate) reason: &'static str,
}

/// Which program this is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct BuildLabel {
    pub(crate) version: &'static str,
    pub(crate) mode: &'static str,
}
