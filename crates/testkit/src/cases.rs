//! The case tables as Rust types. Every type is strict: an unknown field is an error.

mod flows;
mod ipvs;
mod topology;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use flows::{
    BackendDefaults, Defaults, EndpointSpec, Expect, Flow, FlowCase, FlowTable, Ingress, IpMode, Mode,
    NodeConfig, NodeIp, Overrides, Phase, Policy, PortSpec, Proto, ServiceSpec, SliceSpec, Step, Verdict,
};
pub use topology::{
    TopologyCase, TopologyEndpoint, TopologyExpect, TopologyNode, TopologyService, TopologyTable,
};

/// Reads `flows.yaml`, and beside it `flows-annotations.yaml`: more cases, and `flows-ipvs.yaml`: what all of them mean in
/// mode ipvs.
pub fn load_flows(path: &Path) -> Result<FlowTable> {
    let mut table: FlowTable = load(path)?;
    table.cases.extend(load::<More>(&path.with_file_name("flows-annotations.yaml"))?.cases);
    let beside = path.with_file_name("flows-ipvs.yaml");
    load::<ipvs::Differences>(&beside)?
        .apply(&mut table)
        .with_context(|| format!("in {}", beside.display()))?;
    Ok(table)
}

/// Cases for a table that says itself what the node is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct More {
    cases: Vec<FlowCase>,
}

/// Reads `topology.yaml`.
pub fn load_topology(path: &Path) -> Result<TopologyTable> {
    load(path)
}

/// Where the tables of this workspace are: `tests/cases/<name>`.
pub fn table_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases").join(name)
}

fn load<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_load_whole() {
        let table = load_flows(&table_path("flows.yaml")).unwrap();
        assert_eq!(table.defaults.node_ip.v6.unwrap().to_string(), "2001:db8::1");
        let flows: usize = table.cases.iter().flat_map(FlowCase::phases).map(|p| p.flows.len()).sum();
        assert!(table.cases.len() >= 36 && flows >= 235, "{} cases, {flows} flows", table.cases.len());
        for case in &table.cases {
            assert!(case.steps.is_empty() || case.flows.is_empty(), "{} has both", case.id);
        }
    }

    #[test]
    fn mode_ipvs_has_the_cases_of_both_modes_and_more() {
        let table = load_flows(&table_path("flows.yaml")).unwrap();
        let of = |mode| table.cases.iter().filter(move |case| case.backends.contains(&mode));
        let flows: usize = of(Mode::Ipvs).map(|case| case.flows_for(Mode::Ipvs).count()).sum();
        assert!(of(Mode::Ipvs).count() > of(Mode::Nftables).count() && flows >= 190, "{flows} flows");
        let loopback = |case: &&FlowCase| case.flows_for(Mode::Ipvs).any(|flow| flow.dst.is_loopback());
        assert!(
            of(Mode::Ipvs).filter(loopback).all(|case| case.flows_for(Mode::Ipvs).all(|flow| {
                !flow.dst.is_loopback() || flow.expected(Mode::Ipvs).result == Verdict::None
            }))
        );
    }

    #[test]
    fn topology_loads_whole() {
        let table = load_topology(&table_path("topology.yaml")).unwrap();
        let empty = table.cases.iter().find(|c| c.id == "no-endpoints").unwrap();
        assert_eq!((empty.expect.cluster.as_ref(), empty.expect.any), (None, false));
        let dry = table.cases.iter().find(|c| c.id == "cluster-none-ready").unwrap();
        assert_eq!(dry.expect.cluster.as_deref(), Some([].as_slice()));
    }

    #[test]
    fn unknown_fields_are_refused() {
        let flow = "{name: f, src: 10.0.0.1, dst: 10.0.0.2, port: 1, expect: {result: none}, tos: 3}";
        let error = serde_saphyr::from_str::<Flow>(flow).unwrap_err().to_string();
        assert!(error.contains("tos"), "{error}");
    }
}
