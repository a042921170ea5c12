//! `route_localnet`: nodePorts on 127.0.0.0/8 need it, and it goes back to what it was.

use crate::host;

/// Whether the node routes packets to 127.0.0.0/8, and whose doing that is.
#[derive(Clone, Debug, Default)]
pub struct Loopback {
    /// It was not so before this program, or an earlier run of it; unknown before the tables were read.
    was_off: Option<bool>,
    /// This program, or an earlier run of it, has set it to 1.
    opened: bool,
    /// What the last attempt to have it at 1 came to.
    in_force: Option<bool>,
    /// It was set to 1 again since somebody asked.
    set_again: bool,
    /// Nothing is ever written.
    reads_only: bool,
}

impl Loopback {
    /// The same knowledge, for somebody who only reads.
    pub fn reader(&self) -> Self {
        Self { reads_only: true, ..self.clone() }
    }

    /// Whether it was 0 before this program set it.
    pub fn was_off(&self) -> bool {
        self.was_off == Some(true)
    }

    /// Whether that is known yet.
    pub fn is_known(&self) -> bool {
        self.was_off.is_some()
    }

    /// Looks how it is, before it is touched, unless rules have told of it.
    pub fn look(&mut self) {
        self.was_off.get_or_insert_with(|| !host::routes_localnet());
    }

    /// Rules say that an earlier run has set it to 1.
    pub fn was_opened(&mut self) {
        self.was_off.get_or_insert(true);
        self.opened = true;
    }

    /// The rule that keeps others off loopback is in force: nodePorts may be reached there now.
    pub fn open(&mut self) {
        if self.reads_only {
            return;
        }
        if self.is_closed_by_others() {
            tracing::warn!(
                "another program has set net.ipv4.conf.all.route_localnet to 0; nodePorts on 127.0.0.1 need it: setting it to 1 again"
            );
        }
        self.opened |= self.was_off();
        let closed = self.is_closed_by_others();
        let result = host::route_localnet(true);
        self.set_again |= closed && result.is_ok();
        if let Err(error) = &result
            && self.in_force != Some(false)
        {
            tracing::warn!(
                %error,
                "cannot set net.ipv4.conf.all.route_localnet to 1: nodePorts on 127.0.0.1 need it; set it, or give --iptables-localhost-nodeports=false"
            );
        }
        self.in_force = Some(result.is_ok());
    }

    /// That rule is about to go, if it was there.
    pub fn close(&mut self) {
        self.in_force = None;
        if std::mem::take(&mut self.opened)
            && !self.reads_only
            && let Err(error) = host::route_localnet(false)
        {
            tracing::warn!(%error, "cannot set net.ipv4.conf.all.route_localnet back to 0: do it by hand");
        }
    }

    /// It is no longer ours: somebody else needs it, or it was 1 before.
    pub fn leave(&mut self) {
        self.opened = false;
    }

    /// The setting's name, if it was set to 1 again since this was last asked.
    pub fn set_again(&mut self) -> Option<String> {
        std::mem::take(&mut self.set_again).then(|| "net.ipv4.conf.all.route_localnet".to_owned())
    }

    /// Whether somebody else has set it to 0 while it is needed. Reads one file.
    pub fn is_closed_by_others(&self) -> bool {
        self.in_force == Some(true) && !host::routes_localnet()
    }
}
