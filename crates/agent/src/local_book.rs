//! What the Services have on this node, kept up to date by what each sync says of those it resolved.

use model::NamespacedName;
use resolve::{HealthCheck, LocalView};
use rustc_hash::FxHashMap;

/// A change of one Service's health check, to be told to the server of its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthNews {
    /// Whose.
    pub(crate) service: NamespacedName,
    /// What it is now; `None` = it has none any more.
    pub(crate) check: Option<HealthCheck>,
}

/// Only Services that have something to say are kept, so that it is small.
#[derive(Debug, Default)]
pub(crate) struct LocalBook {
    views: FxHashMap<NamespacedName, LocalView>,
    internal_dropped: [usize; 2],
    external_dropped: [usize; 2],
}

impl LocalBook {
    /// Takes in what a sync resolved, and says which health checks changed.
    pub(crate) fn update(&mut self, services: Vec<(NamespacedName, LocalView)>) -> Vec<HealthNews> {
        services.into_iter().filter_map(|(service, view)| self.set(service, view)).collect()
    }

    fn set(&mut self, service: NamespacedName, view: LocalView) -> Option<HealthNews> {
        // How many endpoints there are is the catalogue's to keep.
        let view = LocalView { known: 0, usable: 0, ..view };
        let old = if view == LocalView::default() {
            self.views.remove(&service)
        } else {
            self.views.insert(service.clone(), view)
        };
        let old = old.unwrap_or_default();
        for i in 0..2 {
            self.internal_dropped[i] += view.internal_dropped[i];
            self.internal_dropped[i] -= old.internal_dropped[i];
            self.external_dropped[i] += view.external_dropped[i];
            self.external_dropped[i] -= old.external_dropped[i];
        }
        (old.health != view.health).then_some(HealthNews { service, check: view.health })
    }

    /// Ports whose traffic to the ClusterIP is dropped for want of a local endpoint, by family.
    pub(crate) fn internal_dropped(&self) -> [usize; 2] {
        self.internal_dropped
    }

    /// The same for traffic from outside.
    pub(crate) fn external_dropped(&self) -> [usize; 2] {
        self.external_dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(port: u16, ready: usize, dropped: usize) -> LocalView {
        let health = (port != 0).then_some(HealthCheck { port, endpoints: [Some(ready), None] });
        LocalView {
            health,
            internal_dropped: [dropped, 0],
            external_dropped: [0, dropped],
            ..LocalView::default()
        }
    }

    #[test]
    fn only_news_are_told_and_sums_follow() {
        let mut book = LocalBook::default();
        let name = NamespacedName::new("a", "b");
        let mut step = |new: LocalView| {
            let news = book.update(vec![(name.clone(), new)]);
            (news.len(), book.internal_dropped()[0], book.external_dropped()[1])
        };
        assert_eq!(step(view(0, 0, 2)), (0, 2, 2));
        assert_eq!(step(view(30_000, 1, 2)), (1, 2, 2));
        assert_eq!(step(view(30_000, 1, 1)), (0, 1, 1));
        assert_eq!(step(view(30_000, 0, 0)), (1, 0, 0));
        assert_eq!(step(LocalView::default()), (1, 0, 0));
        assert_eq!(step(LocalView::default()), (0, 0, 0));
        assert!(book.views.is_empty());
    }
}
