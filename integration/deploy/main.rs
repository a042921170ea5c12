//! What is in `deploy/`: that the manifests say what the program needs, and nothing more, and that the program works
//! in the image as the manifests start it.
//!
//! ```text
//! deploy/*.yaml ----> objects, pod, rbac        text against text, and against the code
//!               \---> arguments                 the container's arguments against the real parser
//! deploy/Containerfile + static program + deploy/tools.sh --buildah--> image, tools
//! image + DaemonSet --container--> life, modes   a small kubelet: its mounts, its capabilities, its probes
//!       + kubeadm's files --container--> swap    the image in the place of kube-proxy's
//! ```
//!
//! ```text
//! cargo test -p towpath-integration --test deploy             # all
//! cargo test -p towpath-integration --test deploy -- rbac::   # some
//! ```
//!
//! `TOWPATH_BIN` names the program for the tests of arguments. The image has a program of its own, linked statically: it is
//! built here, in `target/image`, unless `TOWPATH_STATIC_BIN` names one. Debian's packages of the iptables tools are
//! fetched once, to the same place.

mod arguments;
mod cluster;
mod container;
mod dns;
#[path = "../kernel/http.rs"]
mod http;
mod image;
mod life;
mod manifest;
mod modes;
mod objects;
mod pod;
mod program;
mod rbac;
mod swap;
mod tools;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::image::Image;

/// What a test needs beside the files.
enum Needs {
    /// Nothing.
    Text(fn() -> Result<()>),
    /// The program that was built, or the reason why there is none.
    Program(fn() -> Result<()>),
    /// The image, which is built once.
    Image(fn(&Image) -> Result<()>),
}

/// A test, by name.
type Test = (&'static str, Needs);

const THEMES: &[(&str, &[Test])] = &[
    ("objects", objects::TESTS),
    ("pod", pod::TESTS),
    ("rbac", rbac::TESTS),
    ("arguments", arguments::TESTS),
    ("image", image::TESTS),
    ("tools", tools::TESTS),
    ("life", life::TESTS),
    ("modes", modes::TESTS),
    ("swap", swap::TESTS),
];

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let program = program::obstacle()?;
    let image = Arc::new(image::Lazy::default());
    let mut trials = Vec::new();
    for (theme, tests) in THEMES {
        for (name, needs) in *tests {
            trials.push(trial(format!("{theme}::{name}"), needs, program.clone(), Arc::clone(&image)));
        }
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

fn trial(name: String, needs: &'static Needs, program: Option<String>, image: Arc<image::Lazy>) -> Trial {
    Trial::ignorable_test(name, move || match needs {
        Needs::Text(run) => unless(None, run),
        Needs::Program(run) => unless(program, run),
        Needs::Image(run) => unless(image::obstacle(), || run(image.get()?)),
    })
}

fn unless(obstacle: Option<String>, run: impl FnOnce() -> Result<()>) -> Result<Completion, Failed> {
    match obstacle {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => run().map(|()| Completion::Completed).map_err(|error| Failed::from(format!("{error:#}"))),
    }
}
