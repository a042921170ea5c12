//! An engine with its dataplane, whichever that is: what the sync thread drives.

use std::net::IpAddr;

use dataplane::{ApplyError, Engine, Ground, Operate, SyncReport};
use model::{Change, Problem, Store};
use resolve::ProxyConfig;

use crate::modes::{Opened, Place};
use crate::rules_view::{Rules, RulesView};

/// An engine, whichever dataplane it has.
pub(crate) trait Driver: Send {
    /// Where its rules are.
    fn place(&self) -> Place;
    /// An engine for another dataplane that begins where this one is.
    fn successor(&self, config: ProxyConfig, opened: Opened) -> Box<dyn Driver>;
    /// As [`Engine::handle`].
    fn handle(&mut self, change: Change);
    /// As [`Engine::set_config`].
    fn set_config(&mut self, config: ProxyConfig);
    /// As [`Engine::set_bind_address`].
    fn set_bind_address(&mut self, ip: Option<IpAddr>);
    /// As [`Engine::touch_ground`].
    fn touch_ground(&mut self);
    /// As [`Engine::store`].
    fn store(&self) -> &Store;
    /// As [`Engine::config`].
    fn config(&self) -> &ProxyConfig;
    /// As [`Engine::is_ready`].
    fn is_ready(&self) -> bool;
    /// As [`Engine::has_work`].
    fn has_work(&self) -> bool;
    /// As [`Engine::request_full`].
    fn request_full(&mut self);
    /// As [`Engine::sync`].
    fn sync(&mut self) -> Result<SyncReport, ApplyError>;
    /// As [`Engine::problems`].
    fn problems(&self) -> Vec<Problem>;
    /// As [`Engine::problem_count`].
    fn problem_count(&self) -> usize;
    /// As [`Engine::has_refusals`].
    fn has_refusals(&self) -> bool;
    /// As [`Engine::object_count`].
    fn object_count(&self) -> usize;
    /// As [`Operate::touched_by_others`].
    fn touched_by_others(&mut self) -> bool;
    /// As [`Operate::remove`].
    fn remove(&mut self) -> Result<usize, ApplyError>;
    /// A copy of the rules, for pages.
    fn rules(&self) -> Box<dyn RulesView>;
}

/// An engine, and where its rules are.
pub(crate) struct Held<D: Operate> {
    pub(crate) engine: Engine<D>,
    pub(crate) place: Place,
}

impl<D> Driver for Held<D>
where
    D: Operate + Send + 'static,
    D::Key: Send,
    D::Value: Send,
{
    fn place(&self) -> Place {
        self.place
    }

    fn successor(&self, config: ProxyConfig, opened: Opened) -> Box<dyn Driver> {
        let place = opened.place();
        match opened {
            Opened::Nftables(dataplane) => {
                Box::new(Held { engine: self.engine.successor(config, *dataplane), place })
            }
            Opened::Iptables(dataplane, _) => {
                Box::new(Held { engine: self.engine.successor(config, *dataplane), place })
            }
        }
    }

    fn handle(&mut self, change: Change) {
        self.engine.handle(change);
    }

    fn set_config(&mut self, config: ProxyConfig) {
        self.engine.set_config(config);
    }

    fn set_bind_address(&mut self, ip: Option<IpAddr>) {
        self.engine.set_bind_address(ip);
    }

    fn touch_ground(&mut self) {
        self.engine.touch_ground();
    }

    fn store(&self) -> &Store {
        self.engine.store()
    }

    fn config(&self) -> &ProxyConfig {
        self.engine.config()
    }

    fn is_ready(&self) -> bool {
        self.engine.is_ready()
    }

    fn has_work(&self) -> bool {
        self.engine.has_work()
    }

    fn request_full(&mut self) {
        self.engine.request_full();
    }

    fn sync(&mut self) -> Result<SyncReport, ApplyError> {
        self.engine.sync()
    }

    fn problems(&self) -> Vec<Problem> {
        self.engine.problems()
    }

    fn problem_count(&self) -> usize {
        self.engine.problem_count()
    }

    fn has_refusals(&self) -> bool {
        self.engine.has_refusals()
    }

    fn object_count(&self) -> usize {
        self.engine.object_count()
    }

    fn touched_by_others(&mut self) -> bool {
        self.engine.dataplane_mut().touched_by_others()
    }

    fn remove(&mut self) -> Result<usize, ApplyError> {
        self.engine.dataplane_mut().remove()
    }

    fn rules(&self) -> Box<dyn RulesView> {
        // Without a second look at the kernel there is still something to print.
        let mut printer = self.engine.dataplane().reader().unwrap_or_else(|_| D::offline());
        let store = self.engine.store();
        let service_cidrs = store.service_cidrs();
        let config = self.engine.config();
        printer.ground(&Ground { config, facts: store.facts(), service_cidrs: &service_cidrs });
        let objects = self.engine.objects().map(|(key, value)| (key.clone(), value.clone())).collect();
        Box::new(Rules::new(printer, objects))
    }
}
