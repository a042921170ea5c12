//! The programs of one variant.

use std::path::{Path, PathBuf};
use std::process::Command;

use model::IpFamily;

use crate::error::{RestoreError, ToolError};
use crate::exec::{Ended, LIMIT, run};
use crate::find::{base, directories, program, version};
use crate::kernel::legacy_tables;
use crate::lock::{LOCK_FILE, WAIT_SECONDS, holder};
use crate::lock_watch::LockWatch;
use crate::refusal::{message, refusal, with_advice};
use crate::saved::SavedTable;
use crate::variant::Variant;

/// The tables that are of interest, in the order in which a packet meets them.
pub const TABLES: [&str; 4] = ["raw", "mangle", "nat", "filter"];

/// `iptables-restore` and `-save` of one variant, for both families. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tools {
    variant: Variant,
    version: String,
    ipv4: Pair,
    /// None where IPv6's tools are not installed.
    ipv6: Option<Pair>,
    lock_file: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct Pair {
    restore: PathBuf,
    save: PathBuf,
}

impl Tools {
    /// Finds the programs on PATH, then in the usual directories. Those of IPv6 may be missing; using them is an error
    /// then. Errors: a program for IPv4 is not installed in this variant.
    pub fn find(variant: Variant) -> Result<Tools, ToolError> {
        Self::find_in(&directories(), variant)
    }

    pub(crate) fn find_in(directories: &[PathBuf], variant: Variant) -> Result<Tools, ToolError> {
        let ipv4 = pair(directories, variant, IpFamily::V4)?;
        let ipv6 = pair(directories, variant, IpFamily::V6).ok();
        let version = version(&ipv4.restore);
        let lock_file = std::env::var_os("XTABLES_LOCKFILE").map(PathBuf::from);
        Ok(Tools { variant, version, ipv4, ipv6, lock_file })
    }

    /// The same tools with another lock file than the system's, for tests. iptables 1.8.6 and later know
    /// `XTABLES_LOCKFILE`; the nf_tables variant takes no lock.
    pub fn with_lock_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.lock_file = Some(path.into());
        self
    }

    /// Whose programs these are.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// What `iptables-restore --version` says: `1.8.9`. Empty if it does not say.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether the programs of a family are installed.
    pub fn has(&self, family: IpFamily) -> bool {
        self.pair(family).is_some()
    }

    /// Applies a text of one or more tables, each atomically at its `COMMIT`; chains that it does not name stay.
    /// Waits up to [`WAIT_SECONDS`] for the xtables lock. Errors: see [`RestoreError`].
    pub fn restore(&self, family: IpFamily, text: &str) -> Result<(), RestoreError> {
        let program = &self.required(family, "restore")?.restore;
        let mut command = self.command(program);
        command.args(["--noflush", "-w", &WAIT_SECONDS.to_string()]);
        let ended = run(&mut command, text, LIMIT).map_err(|source| exec_error(program, source))?;
        match ended {
            None => Err(RestoreError::TimedOut),
            Some(ended) if ended.status.success() => Ok(()),
            Some(ended) if ended.status.code().is_none() => Err(failed(program, &ended, family).into()),
            Some(ended) => Err(refusal(&ended.stderr, text, family, || holder(self.lock_file()))),
        }
    }

    /// What one table has. A table that does not exist is empty, and is not made by asking.
    /// Errors: the tool is missing or fails; the table has rules that it cannot show; the kernel's list of tables
    /// cannot be read.
    pub fn save(&self, family: IpFamily, table: &str) -> Result<SavedTable, ToolError> {
        self.save_text(family, table).map(|text| SavedTable::parse(&text))
    }

    /// The same, as the tool printed it; empty for a table that does not exist.
    pub fn save_text(&self, family: IpFamily, table: &str) -> Result<String, ToolError> {
        let program = &self.required(family, "save")?.save;
        if self.variant == Variant::Legacy && !self.legacy_tables(family)?.iter().any(|name| name == table) {
            return Ok(String::new());
        }
        readable(program, self.print(program, &["-t", table], family)?)
    }

    /// Which of [`TABLES`] exist. Nothing is made by asking; none where the tool fails. The nf_tables variant prints
    /// all its rules for that, so it takes as long as saving them.
    pub fn tables(&self, family: IpFamily) -> Vec<String> {
        let names = match self.variant {
            Variant::Legacy => legacy_tables(family).unwrap_or_default(),
            Variant::Nft => self.save_all(family).map(|text| table_names(&text)).unwrap_or_default(),
        };
        TABLES
            .iter()
            .filter(|table| names.iter().any(|name| name == *table))
            .map(|t| (*t).to_owned())
            .collect()
    }

    /// Every table that exists, in one text. Of one that cannot be shown a comment tells.
    pub(crate) fn save_all(&self, family: IpFamily) -> Result<String, ToolError> {
        let program = &self.required(family, "save")?.save;
        // The legacy tool walks the kernel's list by itself, and makes nothing.
        self.print(program, &[], family)
    }

    fn print(&self, program: &Path, arguments: &[&str], family: IpFamily) -> Result<String, ToolError> {
        let ended = run(self.command(program).args(arguments), "", LIMIT);
        match ended.map_err(|source| exec_error(program, source))? {
            Some(ended) if ended.status.success() => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
            // Its other way to say that a table has rules of nft's that it has no words for.
            Some(ended) if ended.stderr.contains(UNPRINTABLE) => {
                let message = message(&ended.stderr);
                Err(ToolError::Incompatible { program: name(program), message })
            }
            Some(ended) => Err(failed(program, &ended, family)),
            None => {
                let message = format!("did not end within {} s and was stopped", LIMIT.as_secs());
                Err(ToolError::Failed { program: name(program), message })
            }
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(path) = &self.lock_file {
            command.env("XTABLES_LOCKFILE", path);
        }
        command
    }

    /// Notices who opens the lock file from the first time that it is asked.
    pub fn watch_lock(&self) -> LockWatch {
        LockWatch::new(self.lock_file())
    }

    fn lock_file(&self) -> &Path {
        self.lock_file.as_deref().unwrap_or(Path::new(LOCK_FILE))
    }

    fn legacy_tables(&self, family: IpFamily) -> Result<Vec<String>, ToolError> {
        legacy_tables(family).map_err(|error| ToolError::Failed {
            program: base(family).to_owned(),
            message: format!("cannot read the kernel's list of tables: {error}"),
        })
    }

    fn pair(&self, family: IpFamily) -> Option<&Pair> {
        match family {
            IpFamily::V4 => Some(&self.ipv4),
            IpFamily::V6 => self.ipv6.as_ref(),
        }
    }

    fn required(&self, family: IpFamily, job: &str) -> Result<&Pair, ToolError> {
        self.pair(family).ok_or_else(|| missing(self.variant, family, job))
    }
}

fn pair(directories: &[PathBuf], variant: Variant, family: IpFamily) -> Result<Pair, ToolError> {
    let find = |job| program(directories, variant, family, job).ok_or_else(|| missing(variant, family, job));
    Ok(Pair { restore: find("restore")?, save: find("save")? })
}

/// What a tool has printed of one table. The nf_tables variant passes over a table with rules that it has no words for,
/// and ends well; taken for an empty table, that would be a mistake.
fn readable(program: &Path, text: String) -> Result<String, ToolError> {
    match text.lines().find(|line| incompatible(line).is_some()) {
        None => Ok(text),
        Some(line) => Err(ToolError::Incompatible { program: name(program), message: line[2..].to_owned() }),
    }
}

/// What `iptables-nft-save` 1.8.9 says of a rule with, say, `meta cpu`: it does not end well then.
const UNPRINTABLE: &str = "Parsing nftables rule failed";

/// The table that cannot be shown: ``# Table `nat' is incompatible, use 'nft' tool.``
fn incompatible(line: &str) -> Option<&str> {
    let (table, rest) = line.strip_prefix("# Table `")?.split_once('\'')?;
    rest.starts_with(" is incompatible").then_some(table)
}

/// The tables that a text of `iptables-save` tells of: lines `*name`, and those that cannot be shown.
fn table_names(text: &str) -> Vec<String> {
    let name = |line| str::strip_prefix(line, '*').or_else(|| incompatible(line));
    text.lines().filter_map(name).map(str::to_owned).collect()
}

fn missing(variant: Variant, family: IpFamily, job: &str) -> ToolError {
    ToolError::Missing { program: format!("{}-{variant}-{job}", base(family)) }
}

fn failed(program: &Path, ended: &Ended, family: IpFamily) -> ToolError {
    let message = match ended.status.code() {
        None => ended.status.to_string(),
        Some(_) => with_advice(message(&ended.stderr), family),
    };
    ToolError::Failed { program: name(program), message }
}

fn exec_error(program: &Path, source: std::io::Error) -> ToolError {
    ToolError::Exec { program: name(program), source }
}

fn name(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_cannot_be_shown_are_tables() {
        let text = "# Table `nat' is incompatible, use 'nft' tool.\n\
                    # Table `raw' contains incompatible base-chains, use 'nft' tool to list them.\n*raw\n*filter\n";
        assert_eq!(table_names(text), ["nat", "raw", "filter"]);
        let error = readable(Path::new("/sbin/iptables-nft-save"), text.to_owned()).unwrap_err().to_string();
        assert!(error.starts_with("iptables-nft-save: Table `nat' is incompatible"), "{error}");
        assert_eq!(readable(Path::new("x"), "*nat\n".to_owned()).unwrap(), "*nat\n");
    }
}
