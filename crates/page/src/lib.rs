//! What an operator sees of a node: its state, the list of Services, one Service.
//!
//! ```text
//! sync --what it resolved--> Catalogue --list()--> ListView --+
//! agent: board, resolve, rules ------> Overview, ServiceView --+--> JSON (serde), text, html
//! ```
//!
//! Invariants:
//! * values in, text out: no I/O, no clock, no thread;
//! * whatever comes from objects of the cluster is escaped in HTML ([`maud`] does it; the only parts that are not escaped are
//!   this crate's own style and script), and nothing but these can run there ([`html::policy`]);
//! * nothing is of unbounded length: each list has its constant, and says how much it leaves out;
//! * a page is one file: no font, image, style or script from elsewhere; without JavaScript it says the same, but does not move.

mod catalogue;
pub mod html;
mod list;
mod overview;
mod service;
pub mod text;

pub use catalogue::{Catalogue, Entry};
pub use list::{ListView, MAX_QUERY, Marks, PAGE, RowView, Search, Sort, kind, list, policy};
pub use overview::{Front, Link, Overview, PROBLEMS, ProblemsView, SyncView};
pub use service::{
    CHANGED, CHANGES, ChangeView, ConnectionsView, DIFFERENCE, DRAINS, Difference, DrainView, ENDPOINTS,
    EndpointView, FrontendView, LoadView, MAX_ENDPOINTS, PORTS, PortView, RULES, RulesText, ServiceView,
    Setting, Share, StandingView, UnfitView, WayView,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_of_the_list() {
        testkit::schema::current::<Front>("services").unwrap();
    }

    #[test]
    fn schema_of_a_service() {
        testkit::schema::current::<ServiceView>("service").unwrap();
    }
}
