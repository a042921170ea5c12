//! JSON schemas of what pages and commands print: files in `docs/schemas`, made of the types that print it.
//!
//! ```text
//! #[cfg_attr(test, derive(schemars::JsonSchema))]      on the type (serde's attributes count, doc comments describe)
//! struct FlowsView { ... }
//!
//! testkit::schema::current::<FlowsView>("flows")?;     a unit test of its crate: the file is what the type says
//! testkit::schema::conforms("flows", &printed)?;       any test: what was really printed is what the file says
//! ```
//!
//! `TOWPATH_BLESS=1 cargo test schema` writes the files anew; read the difference before you commit it, since the
//! files are a contract: a field may come, none goes or changes its meaning.
//!
//! A type of another crate inside a view: give that field `#[cfg_attr(test, schemars(with = "..."))]`, or the other crate
//! a feature by which it derives too.

mod check;

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Set to have files written in the place of compared.
const BLESS: &str = "TOWPATH_BLESS";

/// Compares `docs/schemas/NAME.schema.json` with the type. An error says how to write it anew.
pub fn current<T: JsonSchema>(name: &str) -> Result<()> {
    let file = path(name);
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let text = serde_json::to_string_pretty(&generator.into_root_schema_for::<T>())? + "\n";
    if env::var_os(BLESS).is_some() {
        return fs::write(&file, text).with_context(|| format!("writing {}", file.display()));
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    ensure!(
        found == text,
        "docs/schemas/{name}.schema.json is not what the type says: run the test again with {BLESS}=1, and read the difference"
    );
    Ok(())
}

/// Checks a value that was printed against `docs/schemas/NAME.schema.json`: what the schema asks for is there, and nothing
/// is there that it does not name. An error lists all that is wrong.
pub fn conforms(name: &str, value: &Value) -> Result<()> {
    let file = path(name);
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let schema: Value = serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
    let complaints = check::complaints(&schema, value);
    ensure!(
        complaints.is_empty(),
        "this does not conform to {name}.schema.json:\n{}\n{value:#}",
        complaints.join("\n")
    );
    Ok(())
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas").join(format!("{name}.schema.json"))
}
