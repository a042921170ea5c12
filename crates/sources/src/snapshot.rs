//! The last known good state as a file, for a start without an API server.
//!
//! ```text
//! {"towpath":"snapshot","version":1,"node":"node-a","time":1795266367}
//! {"apiVersion":"v1","kind":"Service",...}        one object a line, with only the fields that are read
//! {"objects":1,"checksum":"e6b1c8a0f3d2..."}       of all bytes before it
//! ```
//!
//! A snapshot is whole or it is not used. It is written beside the earlier one, forced to the disk, and then takes its
//! place, so that a crash or a full disk leaves the earlier one.

mod file;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Change;
use serde::{Deserialize, Serialize};

use crate::k8s::{self, Decoder, Kept, Kind};

/// The format that is written, and the newest that is read.
const VERSION: u32 = 1;

/// Why a snapshot cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file, or the directory that it is in.
    #[error("snapshot {path}: cannot {what} it: {source}", path = path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// What is in it.
    #[error("snapshot {path}: {why}; it is ignored", path = path.display())]
    Content {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// What a snapshot says.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// When it was written.
    pub time: SystemTime,
    /// One upsert for each object.
    pub changes: Vec<Change>,
}

#[derive(Deserialize, Serialize)]
struct Header {
    towpath: String,
    version: u32,
    node: String,
    time: u64,
}

#[derive(Deserialize, Serialize)]
struct Footer {
    objects: usize,
    checksum: String,
}

/// Writes a snapshot of all objects in the place of an earlier one: either wholly or not at all. Changes that are no
/// upsert of an object are left out. Only its owner may read it.
///
/// # Errors
/// When a file cannot be written; the earlier snapshot is there still.
pub fn write(path: &Path, node: &str, objects: impl Iterator<Item = Change>) -> Result<(), SnapshotError> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = Header { towpath: "snapshot".into(), version: VERSION, node: node.into(), time };
    file::replace(path, |out| {
        let mut objects_written = 0;
        out.line(&serde_json::to_string(&header)?)?;
        for object in objects.filter_map(|change| k8s::encode(&change)) {
            out.line(&object.to_string())?;
            objects_written += 1;
        }
        let footer = Footer { objects: objects_written, checksum: out.checksum() };
        out.line(&serde_json::to_string(&footer)?)
    })
    .map_err(|(what, source)| SnapshotError::File { path: path.to_owned(), what, source })
}

/// Reads a snapshot, line by line. `kept`: what is kept of its objects for DNS.
///
/// # Errors
/// When it cannot be read, or is damaged, incomplete, another node's, or of a newer format.
pub fn read(path: &Path, node: &str, kept: Kept) -> Result<Saved, SnapshotError> {
    let unreadable = |source| SnapshotError::File { path: path.to_owned(), what: "read", source };
    let file = File::open(path).map_err(unreadable)?;
    match parse(BufReader::new(file), node, kept) {
        Ok(saved) => Ok(saved),
        Err(Bad::Read(source)) if source.kind() != io::ErrorKind::InvalidData => Err(unreadable(source)),
        Err(Bad::Read(_)) => Err(content(path, "it is damaged: not UTF-8".into())),
        Err(Bad::Content(why)) => Err(content(path, why)),
    }
}

fn content(path: &Path, why: String) -> SnapshotError {
    SnapshotError::Content { path: path.to_owned(), why }
}

/// Why a text is no snapshot.
#[derive(Debug)]
enum Bad {
    Read(io::Error),
    Content(String),
}

impl From<&str> for Bad {
    fn from(why: &str) -> Self {
        Self::Content(why.to_owned())
    }
}

fn parse(mut from: impl BufRead, node: &str, kept: Kept) -> Result<Saved, Bad> {
    let mut reader = file::Reader::default();
    let first = reader.line(&mut from).map_err(Bad::Read)?.ok_or("it is cut off")?;
    let header = header(first, node)?;
    let (mut changes, mut decoder) = (Vec::new(), Decoder::new(kept));
    loop {
        let before = reader.checksum();
        let line = reader.line(&mut from).map_err(Bad::Read)?.ok_or("it is cut off")?;
        if let Ok(footer) = serde_json::from_str::<Footer>(line) {
            finish(&footer, &before, changes.len())?;
            break;
        }
        // What is wrong with one object is said only if the file is whole.
        changes.push(object(line, &mut decoder));
    }
    if reader.line(&mut from).map_err(Bad::Read)?.is_some() {
        return Err("it goes on after its end".into());
    }
    let time = UNIX_EPOCH + Duration::from_secs(header.time);
    let changes = changes.into_iter().collect::<Result<_, String>>().map_err(Bad::Content)?;
    Ok(Saved { time, changes })
}

fn header(line: &str, node: &str) -> Result<Header, Bad> {
    let header: Header = serde_json::from_str(line).map_err(|_| "it does not begin as a snapshot does")?;
    let (version, theirs) = (header.version, &header.node);
    if version > VERSION {
        let why = format!("its format {version} is newer than this program, which reads {VERSION}");
        return Err(Bad::Content(why));
    }
    if theirs != node {
        return Err(Bad::Content(format!("it is of the node {theirs:?}, and this is {node:?}")));
    }
    Ok(header)
}

fn finish(footer: &Footer, checksum: &str, objects: usize) -> Result<(), Bad> {
    if checksum != footer.checksum {
        return Err("it is damaged: the checksum does not fit".into());
    }
    if objects != footer.objects {
        return Err(Bad::Content(format!("it has {objects} objects and says {}", footer.objects)));
    }
    Ok(())
}

fn object(line: &str, decoder: &mut Decoder) -> Result<Change, String> {
    #[derive(Deserialize)]
    struct Named {
        kind: String,
    }
    let bad = |why: String| format!("it has an object that cannot be read: {why}");
    let named: Named = serde_json::from_str(line).map_err(|e| bad(e.to_string()))?;
    let kind = Kind::of(None, &named.kind).map_err(|e| bad(e.to_string()))?;
    let kind = kind.ok_or_else(|| bad(format!("kind {:?}", named.kind)))?;
    let decoded = k8s::decode(kind, line, decoder).map_err(|e| bad(e.to_string()))?;
    decoded.change.ok_or_else(|| bad(decoded.key.to_string()))
}

#[cfg(test)]
mod tests;
