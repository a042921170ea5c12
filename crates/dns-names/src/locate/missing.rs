//! Why a name does not exist.

use std::fmt;

/// The rule by which a name does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The label next to the zone is none of ours.
    Tree,
    /// More labels than any name has.
    TooDeep,
    /// No such namespace, or it is not shown.
    Namespace,
    /// No such Service or ServiceImport.
    Object,
    /// Its labels are not selected.
    Hidden,
    /// Headless without a ready endpoint.
    NotReady,
    /// `ignore empty_service`.
    Ignored,
    /// `externalName` is neither a name nor an address.
    BadAlias,
    /// An ExternalName Service has nothing below its name.
    BelowAlias,
    /// No ready endpoint is called so.
    Endpoint,
    /// No port of this name and protocol.
    Port,
    /// Neither `pin` nor `prefer`, not headless, or zonal names are off.
    Zonal,
    /// Pod names are off.
    PodsDisabled,
    /// The label or reverse name is no address.
    NoAddress,
    /// No living pod of the namespace has the address.
    Pod,
    /// No Service has the address.
    Reverse,
    /// The Service has no external address.
    Inside,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tree => "the label next to the zone is none of svc, pod, dns and dns-version",
            Self::TooDeep => "the name has more labels than any name of its kind",
            Self::Namespace => "there is no such namespace, or the settings do not show it",
            Self::Object => "there is no such Service in the namespace",
            Self::Hidden => "the settings show only objects with other labels",
            Self::NotReady => "the Service is headless, and none of its endpoints is ready",
            Self::Ignored => {
                "none of its endpoints is ready, and such Services are ignored (ignore empty_service)"
            }
            Self::BadAlias => "its externalName is no name",
            Self::BelowAlias => "an ExternalName Service has no names below its own",
            Self::Endpoint => "no ready endpoint of the Service is called so",
            Self::Port => "the Service has no port of this name and protocol",
            Self::Zonal => "there is no such zonal name",
            Self::PodsDisabled => "names of pods are switched off",
            Self::NoAddress => "it is no address",
            Self::Pod => "no living pod of the namespace has the address",
            Self::Reverse => "no Service has the address",
            Self::Inside => "the Service has no external address",
        })
    }
}
