//! The dataplanes under test, and where the program reads from in each: not every mode times every source.

use std::cell::Cell;

use testkit::cases::Mode;

use crate::case::Through;
use crate::vs;

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
    /// What it needs of the kernel beyond what every test needs; otherwise what is missing.
    pub(crate) needs: fn() -> Result<(), String>,
}

/// Mode nftables.
pub(crate) static NFTABLES: Backend = Backend {
    name: "nftables",
    mode: Mode::Nftables,
    flags: &["--proxy-mode", "nftables"],
    through: &[Through::Manifests, Through::Api],
    needs: || Ok(()),
};

/// Mode iptables over the kernel's x_tables.
pub(crate) static LEGACY: Backend = Backend {
    name: "iptables-legacy",
    mode: Mode::Iptables,
    flags: &["--proxy-mode", "iptables", "--iptables-variant", "legacy"],
    through: &[Through::Manifests],
    needs: || Ok(()),
};

/// Mode iptables over nf_tables.
pub(crate) static NFT_VARIANT: Backend = Backend {
    name: "iptables-nft",
    mode: Mode::Iptables,
    flags: &["--proxy-mode", "iptables", "--iptables-variant", "nft"],
    through: &[Through::Api],
    needs: || Ok(()),
};

/// Mode ipvs.
pub(crate) static IPVS: Backend = Backend {
    name: "ipvs",
    mode: Mode::Ipvs,
    flags: &["--proxy-mode", "ipvs"],
    through: &[Through::Manifests],
    needs: vs::has_ipvs,
};

/// All of them.
pub(crate) static BACKENDS: [&Backend; 4] = [&NFTABLES, &LEGACY, &NFT_VARIANT, &IPVS];
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

/// Whether the plans of this thread have mode ipvs.
pub(crate) fn is_ipvs() -> bool {
    current().is_some_and(|backend| backend.mode == Mode::Ipvs)
}

/// The backend that plans of this thread have; without one they leave the choice to the program.
pub(crate) fn current() -> Option<&'static Backend> {
    CURRENT.get()
}

/// Whether the test has mode iptables, with either variant.
pub(crate) fn is_iptables() -> bool {
    current().is_some_and(|backend| backend.mode == Mode::Iptables)
}
