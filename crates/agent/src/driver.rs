//! An engine with its dataplane, whichever that is: what the sync thread drives.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use config::Settings;
use dataplane::{ApplyError, Engine, Ground, Leaver, Start, SyncReport};
use model::{Change, FrontendKey, NamespacedName, Problem, Store};
use netlink::ipvs::Key;
use resolve::ProxyConfig;

use crate::modes::Place;
use crate::opened::{Opened, Plane};
use crate::rules_view::{Rules, RulesView};

/// An engine, whichever dataplane it has.
pub(crate) trait Driver: Send {
    /// Where its rules are.
    fn place(&self) -> Place;
    /// As [`Engine::handover`].
    fn handover(&self) -> Start;
    /// As [`Engine::handle`].
    fn handle(&mut self, change: Change);
    /// As [`Engine::set_config`].
    fn set_config(&mut self, config: ProxyConfig);
    /// As [`Plane::set`].
    fn set_own(&mut self, settings: &Settings);
    /// As [`Plane::virtual_servers`].
    fn virtual_servers(&self) -> BTreeSet<Key>;
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
    /// As [`Engine::settle_as_found`].
    fn settle(&mut self) -> Result<(), ApplyError>;
    /// As [`Engine::problems`].
    fn problems(&self) -> Vec<Problem>;
    /// As [`Engine::each_problem`].
    fn visit_problems(&self, visit: &mut dyn FnMut(&Problem));
    /// As [`Engine::problem_count`].
    fn problem_count(&self) -> usize;
    /// As [`Engine::has_refusals`].
    fn has_refusals(&self) -> bool;
    /// As [`Engine::object_count`].
    fn object_count(&self) -> usize;
    /// As [`Engine::tend`].
    fn tend(&mut self) -> Result<Option<Duration>, ApplyError>;
    /// As [`dataplane::Operate::touched_by_others`].
    fn touched_by_others(&mut self) -> bool;
    /// As [`dataplane::Operate::settings_set_again`].
    fn settings_set_again(&mut self) -> Vec<String>;
    /// As [`dataplane::Operate::end_drain`].
    fn end_drain(&mut self, who: &Leaver, frontends: &[FrontendKey]);
    /// As [`dataplane::Operate::touched_by`].
    fn touched_by(&self) -> Option<String>;
    /// Its dataplane alone.
    fn into_opened(self: Box<Self>) -> Opened;
    /// A copy of the rules, for pages; only those of some Services, if these are given.
    fn rules(&self, of: Option<&[NamespacedName]>) -> Box<dyn RulesView>;
}

/// An engine, and where its rules are.
pub(crate) struct Held<D: Plane> {
    pub(crate) engine: Engine<D>,
    pub(crate) place: Place,
}

impl<D: Plane> Driver for Held<D> {
    fn place(&self) -> Place {
        self.place
    }

    fn handover(&self) -> Start {
        self.engine.handover()
    }

    fn handle(&mut self, change: Change) {
        self.engine.handle(change);
    }

    fn set_config(&mut self, config: ProxyConfig) {
        self.engine.set_config(config);
    }

    fn set_own(&mut self, settings: &Settings) {
        self.engine.dataplane_mut().set(settings);
    }

    fn virtual_servers(&self) -> BTreeSet<Key> {
        self.engine.dataplane().virtual_servers()
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

    fn settle(&mut self) -> Result<(), ApplyError> {
        self.engine.settle_as_found()
    }

    fn problems(&self) -> Vec<Problem> {
        self.engine.problems()
    }

    fn visit_problems(&self, visit: &mut dyn FnMut(&Problem)) {
        self.engine.each_problem().for_each(visit);
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

    fn tend(&mut self) -> Result<Option<Duration>, ApplyError> {
        self.engine.tend()
    }

    fn touched_by_others(&mut self) -> bool {
        self.engine.dataplane_mut().touched_by_others()
    }

    fn settings_set_again(&mut self) -> Vec<String> {
        self.engine.dataplane_mut().settings_set_again()
    }

    fn end_drain(&mut self, who: &Leaver, frontends: &[FrontendKey]) {
        self.engine.dataplane_mut().end_drain(who, frontends);
    }

    fn touched_by(&self) -> Option<String> {
        self.engine.dataplane().touched_by()
    }

    fn into_opened(self: Box<Self>) -> Opened {
        Opened::new(self.place, self.engine.into_dataplane())
    }

    fn rules(&self, of: Option<&[NamespacedName]>) -> Box<dyn RulesView> {
        // Without a second look at the kernel there is still something to print.
        let mut printer = self.engine.dataplane().reader().unwrap_or_else(|_| D::offline());
        let store = self.engine.store();
        let service_cidrs = store.service_cidrs();
        let config = self.engine.config();
        printer.ground(&Ground { config, facts: store.facts(), service_cidrs: &service_cidrs });
        let all = || self.engine.objects().map(|(key, value)| (key.clone(), value.clone())).collect();
        match of {
            None => Box::new(Rules::all(printer, all())),
            Some(names) => {
                let some = names.iter().flat_map(|name| self.engine.objects_of(name)).collect();
                Box::new(Rules::some(printer, some, self.engine.ground_objects()))
            }
        }
    }
}
