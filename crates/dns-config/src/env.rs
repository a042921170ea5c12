//! What reading a configuration needs of the world: environment variables and files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Environment variables and files, as the reader of a Corefile sees them.
pub trait Env {
    /// The value of an environment variable.
    fn var(&self, name: &str) -> Option<String>;

    /// The text of a file.
    ///
    /// # Errors
    /// It cannot be read.
    fn file(&self, path: &Path) -> io::Result<String>;

    /// The names (not paths) of what is in a directory, in any order; empty if it cannot be read.
    fn directory(&self, path: &Path) -> Vec<String>;
}

/// Most octets of a file that [`SystemEnv`] reads: 32 MiB, room for a hosts file with a million names.
pub const MAX_FILE_BYTES: u64 = 32 << 20;

/// The environment and the files of this process. A file larger than [`MAX_FILE_BYTES`] is an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnv;

impl Env for SystemEnv {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let mut bytes = Vec::new();
        let size = File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        match u64::try_from(size) {
            Ok(size) if size <= MAX_FILE_BYTES => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            _ => Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than 32 MiB")),
        }
    }

    fn directory(&self, path: &Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

/// Fixed texts in the place of files and environment: for a Corefile that came out of a ConfigMap, and for tests.
#[derive(Clone, Debug, Default)]
pub struct FixedEnv {
    /// Environment variables.
    pub vars: BTreeMap<String, String>,
    /// Files by their full path.
    pub files: BTreeMap<PathBuf, String>,
}

impl FixedEnv {
    /// The same, with one more file.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// The same, with one more variable.
    #[must_use]
    pub fn with_var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }
}

impl Env for FixedEnv {
    fn var(&self, name: &str) -> Option<String> {
        self.vars.get(name).cloned()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn directory(&self, path: &Path) -> Vec<String> {
        let below = self.files.keys().filter_map(|file| file.strip_prefix(path).ok());
        let mut names: Vec<String> = below
            .filter_map(|rest| rest.components().next())
            .map(|first| first.as_os_str().to_string_lossy().into_owned())
            .collect();
        names.dedup();
        names
    }
}
