//! The dataplanes under test, and where the program reads from in each: not every mode times every source.

use std::cell::Cell;

use testkit::cases::Mode;

use crate::case::Through;

/// A mode with the flags that pick it.
#[derive(Debug)]
pub(crate) struct Backend {
    /// What tests of it are called.
    pub(crate) name: &'static str,
    /// What the case table calls it.
    pub(crate) mode: Mode,
    /// Flags beside those of the case.
    flags: &'static [&'static str],
    /// Where cases of the table are read from.
    pub(crate) through: &'static [Through],
}

/// Mode nftables.
pub(crate) static NFTABLES: Backend = Backend {
    name: "nftables",
    mode: Mode::Nftables,
    flags: &["--proxy-mode", "nftables"],
    through: &[Through::Manifests, Through::Api],
};

/// Mode iptables over the kernel's x_tables.
pub(crate) static LEGACY: Backend = Backend {
    name: "iptables-legacy",
    mode: Mode::Iptables,
    flags: &["--proxy-mode", "iptables", "--iptables-variant", "legacy"],
    through: &[Through::Manifests],
};

/// Mode iptables over nf_tables.
pub(crate) static NFT_VARIANT: Backend = Backend {
    name: "iptables-nft",
    mode: Mode::Iptables,
    flags: &["--proxy-mode", "iptables", "--iptables-variant", "nft"],
    through: &[Through::Api],
};

/// All of them.
pub(crate) static BACKENDS: [&Backend; 3] = [&NFTABLES, &LEGACY, &NFT_VARIANT];
/// Those of mode iptables.
pub(crate) static IPTABLES: [&Backend; 2] = [&LEGACY, &NFT_VARIANT];

thread_local! {
    /// The backend of the test that runs in this thread.
    static CURRENT: Cell<Option<&'static Backend>> = const { Cell::new(None) };
}

impl Backend {
    /// The flags that pick it.
    pub(crate) fn flags(&self) -> impl Iterator<Item = String> {
        self.flags.iter().map(|flag| (*flag).to_owned())
    }

    /// Lets the plans of this thread have it while `work` runs.
    pub(crate) fn during<T>(&'static self, work: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(Some(self));
        let result = work();
        CURRENT.set(before);
        result
    }
}

/// The backend that plans of this thread have; without one they leave the choice to the program.
pub(crate) fn current() -> Option<&'static Backend> {
    CURRENT.get()
}
