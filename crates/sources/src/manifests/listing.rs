//! The manifest files of a directory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path};
use std::sync::Arc;
use std::{fs, io};

use rustc_hash::FxHashSet;

use super::file;

/// The manifest files of a directory in path order, and the names in it that they are links through.
pub(super) fn list(directory: &Path) -> io::Result<(BTreeSet<Arc<Path>>, FxHashSet<OsString>)> {
    let mut files = BTreeSet::new();
    let mut through = FxHashSet::default();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !file::is_manifest(&entry.file_name()) {
            continue;
        }
        if entry.file_type()?.is_symlink() {
            through.extend(link_through(&entry.path()));
        }
        files.insert(Arc::from(entry.path()));
    }
    Ok((files, through))
}

/// The name in its own directory that a relative link leads through (`..data` for `..data/a.yaml`).
pub(super) fn link_through(path: &Path) -> Option<OsString> {
    let target = fs::read_link(path).ok()?;
    match target.components().find(|part| *part != Component::CurDir)? {
        Component::Normal(name) => Some(name.to_owned()),
        _ => None,
    }
}
