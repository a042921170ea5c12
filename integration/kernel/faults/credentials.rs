//! Tokens, CAs, RBAC.

use anyhow::{Context, Result};
use apiserver::{Fault as Wrong, Grant, Rule, Tls};

use super::relists::list_again;
use super::{Fault, server};
use crate::Test;
use crate::cluster::TOKEN;
use crate::stage::Stage;

pub(crate) const TESTS: &[Test] = &[
    Test::new("a_token_that_is_not_accepted_any_more", || {
        Fault::lasting(another_token, |stage| stage.cluster()?.write_token("another"))
            .says_of_the_connection(&["401 Unauthorized", "does not accept the token in", "/token: renew"])
            .counts("services", "unauthorized", 3)
            .play()
    }),
    Test::new("a_token_that_is_renewed_in_time", || {
        Fault::passing(|stage| {
            stage.cluster()?.write_token("another")?;
            another_token(stage)
        })
        .play()
    }),
    Test::new("a_wrong_token_at_the_first_start", || {
        Fault::lasting(
            |stage| stage.cluster()?.write_token("wrong"),
            |stage| stage.cluster()?.write_token(TOKEN),
        )
        .at_first_start()
        .says_of_the_connection(&["401 Unauthorized", "/token: renew"])
        .counts("services", "unauthorized", 2)
        .play()
    }),
    Test::new("a_token_file_that_is_empty_at_a_restart", || {
        Fault::lasting(|stage| stage.cluster()?.write_token(""), |stage| stage.cluster()?.write_token(TOKEN))
            .at_restart()
            .says_of_the_connection(&["the token in", "the file is empty"])
            .counts("services", "unauthorized", 2)
            .play()
    }),
    Test::new("a_ca_that_the_server_does_not_use_any_more", || {
        Fault::lasting(another_ca, mend_ca)
            .says_of_the_connection(&["certificate is not signed by the CA in", "/ca.crt"])
            .counts("services", "tls", 3)
            .play()
    }),
    Test::new("a_ca_that_is_renewed_in_time", || {
        Fault::passing(|stage| {
            tls(stage)?.rotate_ca()?;
            mend_ca(stage)?;
            server(stage)?.faults().drop_connections();
            Ok(())
        })
        .play()
    }),
    Test::new("a_certificate_that_is_renewed_by_the_same_ca", || {
        Fault::passing(|stage| {
            tls(stage)?.rotate_certificate()?;
            server(stage)?.faults().drop_connections();
            Ok(())
        })
        .play()
    }),
    Test::new("a_wrong_ca_at_the_first_start", || {
        Fault::lasting(another_ca, mend_ca)
            .at_first_start()
            .says_of_the_connection(&["certificate is not signed by the CA in", "/ca.crt"])
            .counts("services", "tls", 2)
            .play()
    }),
    Test::new("rbac_without_list_of_services", || {
        Fault::partial(no_list_of_services, grant_all)
            .says(
                1,
                &["cannot list Services", "403 Forbidden", "allow [\"list\", \"watch\"] on \"services\""],
            )
            .counts("services", "forbidden", 2)
            .play()
    }),
    Test::new("rbac_without_watch_of_endpointslices", || {
        let begin = |stage: &Stage| deny(stage, &[("watch", "discovery.k8s.io", "endpointslices")]);
        Fault::partial(begin, grant_all)
            .says(1, &["cannot watch EndpointSlices", "403 Forbidden", "on \"endpointslices\" in API group"])
            .counts("endpointslices", "forbidden", 2)
            .play()
    }),
    Test::new("rbac_without_watch_of_nodes", || {
        Fault::partial(|stage| deny(stage, &[("watch", "", "nodes")]), grant_all)
            .says(1, &["cannot watch the Node", "403 Forbidden", "on \"nodes\" in API group"])
            .counts("nodes", "forbidden", 2)
            .play()
    }),
    Test::new("rbac_without_servicecidrs_and_namespaces", || {
        Fault::passing(no_optional_kinds)
            .says(2, &["cannot watch ServiceCIDRs", "403 Forbidden", "on \"servicecidrs\"", "done without"])
            .counts("servicecidrs", "forbidden", 1)
            .play()
    }),
    Test::new("rbac_without_servicecidrs_and_namespaces_at_the_first_start", || {
        Fault::passing(no_optional_kinds)
            .at_first_start()
            .says(2, &["cannot watch Namespaces", "403 Forbidden", "on \"namespaces\"", "done without"])
            .counts("namespaces", "forbidden", 1)
            .play()
    }),
    Test::new("rbac_without_events_at_the_first_start", || {
        Fault::passing(|stage| deny(stage, &[("create", "", "events")]))
            .at_first_start()
            .says(1, &["Events cannot be written", "allow [\"create\"] on \"events\""])
            .play()
    }),
];

fn another_token(stage: &Stage) -> Result<()> {
    server(stage)?.tokens().set(&["another"]);
    server(stage)?.faults().drop_connections();
    Ok(())
}

fn tls(stage: &Stage) -> Result<&Tls> {
    server(stage)?.tls().context("the server has HTTPS")
}

fn another_ca(stage: &Stage) -> Result<()> {
    tls(stage)?.rotate_ca()?;
    server(stage)?.faults().drop_connections();
    Ok(())
}

fn mend_ca(stage: &Stage) -> Result<()> {
    stage.cluster()?.write_kubeconfig().map(drop)
}

/// Takes rights away, and lets everything be asked for again.
fn deny(stage: &Stage, rights: &[(&str, &str, &str)]) -> Result<()> {
    let all = Grant::everything("system:serviceaccount:kube-system:towpath");
    let grant = rights.iter().fold(all, |grant, (verb, group, resource)| grant.deny(verb, group, resource));
    server(stage)?.tokens().grant(TOKEN, grant);
    server(stage)?.faults().drop_connections();
    Ok(())
}

fn no_list_of_services(stage: &Stage) -> Result<()> {
    server(stage)?.faults().add(Rule::new(Wrong::RefuseWatchList { code: 422 }));
    list_again(stage)?;
    deny(stage, &[("list", "", "services")])
}

fn no_optional_kinds(stage: &Stage) -> Result<()> {
    deny(stage, &[("*", "networking.k8s.io", "servicecidrs"), ("*", "", "namespaces")])
}

fn grant_all(stage: &Stage) -> Result<()> {
    server(stage)?.tokens().add(TOKEN);
    Ok(())
}
