//! `flows-ipvs.yaml`: what `flows.yaml` means in mode ipvs.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::flows::{BackendDefaults, Expect, FlowCase, FlowTable, Mode};

/// What mode ipvs has otherwise than the others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Differences {
    defaults: BackendDefaults,
    /// Cases of one other mode that hold here too; those of both modes hold anyway.
    also: Vec<String>,
    differences: Vec<Difference>,
    /// Cases of its own.
    cases: Vec<FlowCase>,
}

/// One flow of which something else becomes here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    case: String,
    flow: String,
    why: String,
    expect: Expect,
}

impl Differences {
    /// Puts mode ipvs into the table. Errors: a name that the table does not have, a difference without a reason.
    pub(super) fn apply(self, table: &mut FlowTable) -> Result<()> {
        table.backend_defaults.insert(Mode::Ipvs, self.defaults);
        let both =
            |case: &FlowCase| [Mode::Nftables, Mode::Iptables].iter().all(|m| case.backends.contains(m));
        for case in table.cases.iter_mut().filter(|case| both(case)) {
            case.backends.push(Mode::Ipvs);
        }
        for id in &self.also {
            let case = find(table, id)?;
            ensure!(!case.backends.contains(&Mode::Ipvs), "{id} is listed twice, or is of both modes");
            case.backends.push(Mode::Ipvs);
        }
        table.cases.extend(self.cases);
        self.differences.into_iter().try_for_each(|difference| difference.apply(table))
    }
}

impl Difference {
    fn apply(self, table: &mut FlowTable) -> Result<()> {
        let Self { case, flow, why, expect } = self;
        ensure!(!why.is_empty(), "{case}, {flow:?}: no reason");
        let mut flows = find(table, &case)?.flows_mut().filter(|found| found.name == flow);
        let found = flows.next().with_context(|| format!("no flow {flow:?} in {case}"))?;
        ensure!(flows.next().is_none(), "two flows {flow:?} in {case}");
        found.expect_ipvs = Some(expect);
        Ok(())
    }
}

fn find<'a>(table: &'a mut FlowTable, id: &str) -> Result<&'a mut FlowCase> {
    table.cases.iter_mut().find(|case| case.id == id).with_context(|| format!("no case {id}"))
}
