//! A story that fails where the machine itself is not to be trusted is told once more, and that is reported.
//!
//! An emulated machine may stand still for longer than a story's patience. `cargo xtask vm` names a file by the
//! environment; what failed at first is written there and shown at the end of the run, whatever the second try
//! gave. Without the variable, as on a machine of its own, there is one try.

use std::fs::File;
use std::io::Write;

use anyhow::{Context, Result};

/// Names the file to which failures of first tries are appended, a line each.
const VARIABLE: &str = "TOWPATH_SECOND_TRY";

/// Runs a story, and again if that is allowed.
pub(crate) fn run(name: &str, story: &impl Fn() -> Result<()>) -> Result<()> {
    let Err(error) = story() else { return Ok(()) };
    let Some(file) = std::env::var_os(VARIABLE) else { return Err(error) };
    let mut file = File::options().create(true).append(true).open(&file).context(VARIABLE)?;
    let last = format!("{error:#}").lines().last().unwrap_or_default().to_owned();
    writeln!(file, "{name}: {last}").context(VARIABLE)?;
    story()
}
