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
