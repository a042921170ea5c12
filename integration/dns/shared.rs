//! A server that several tests ask; the first starts it, it ends with the last.

use std::sync::{Arc, OnceLock};

use anyhow::{Result, anyhow};

use crate::place::Place;
use crate::table::Table;

pub(crate) struct Shared {
    table: Arc<Table>,
    corefile: String,
    synced: bool,
    place: OnceLock<Result<Place, String>>,
}

impl Shared {
    /// With the fixtures and this Corefile; not synced: it knows them by a snapshot only.
    pub(crate) fn new(table: &Arc<Table>, corefile: String, synced: bool) -> Arc<Self> {
        Arc::new(Self { table: Arc::clone(table), corefile, synced, place: OnceLock::new() })
    }

    fn start(&self) -> Result<Place> {
        if self.synced {
            return Place::start(&self.table, &self.corefile);
        }
        Place::unsynced(&self.table, &self.corefile, true)
    }

    /// The server, that answers.
    pub(crate) fn place(&self) -> Result<&Place> {
        let start = || self.start().map_err(|error| format!("{error:#}"));
        self.place.get_or_init(start).as_ref().map_err(|error| anyhow!("the server did not start: {error}"))
    }
}
