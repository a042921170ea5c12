//! Reading one file, and telling whether it is still the same.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::documents::Format;

/// Largest file that is read, in bytes.
pub(super) const SIZE_LIMIT: u64 = 1 << 30;

/// A change within this time before the reading may share its time stamp with another change: file systems
/// stamp with the granularity of a clock tick.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn new(found: &Metadata) -> Self {
        Self {
            inode: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// The stamp of what a path leads to now.
    pub(super) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::new)
    }

    /// Whether it was taken long enough after the last change to be trusted.
    fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let changed = Duration::from_secs(u64::try_from(self.changed.0).unwrap_or_default());
        now.saturating_sub(changed) > SETTLED_AFTER + Duration::from_secs(1)
    }
}

/// What became of reading a file.
#[derive(Debug)]
pub(super) enum Reading {
    /// Its text; and its stamp, unless it was changed too recently to trust one.
    Text(String, Option<Stamp>),
    /// It was written to while it was read: whoever writes will close it, which is an event of its own.
    Changing,
    /// There is no such file.
    Missing,
    /// It is there but cannot be used; why.
    Unusable(String),
}

/// Reads a whole manifest file.
pub(super) fn read(path: &Path) -> Reading {
    match try_read(path) {
        Ok(Reading::Changing) => try_read(path).unwrap_or(Reading::Changing),
        Ok(reading) => reading,
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::symlink_metadata(path) {
            Ok(_) => Reading::Unusable("a link to a file that is not there".to_owned()),
            Err(_) => Reading::Missing,
        },
        Err(error) => Reading::Unusable(format!("cannot be read: {error}")),
    }
}

fn try_read(path: &Path) -> io::Result<Reading> {
    let found = fs::metadata(path)?;
    if found.is_dir() {
        return Ok(Reading::Missing);
    }
    if !found.is_file() {
        return Ok(Reading::Unusable("not an ordinary file".to_owned()));
    }
    let now = SystemTime::now();
    let mut file = File::open(path)?;
    let stamp = Stamp::new(&file.metadata()?);
    let mut bytes = Vec::with_capacity(usize::try_from(stamp.size.min(SIZE_LIMIT)).unwrap_or_default());
    (&mut file).take(SIZE_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Ok(Reading::Unusable(format!("larger than {SIZE_LIMIT} bytes: split it")));
    }
    let after = Stamp::new(&file.metadata()?);
    if (after.size, after.modified) != (stamp.size, stamp.modified) {
        return Ok(Reading::Changing);
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Reading::Text(text, stamp.is_settled(now).then_some(stamp)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            Reading::Unusable(format!("not UTF-8 text (byte {at}): save it as UTF-8"))
        }
    })
}

/// Whether a directory entry of this name is read: `*.yaml`, `*.yml` and `*.json`, unless hidden.
pub(super) fn is_manifest(name: &OsStr) -> bool {
    let extension = Path::new(name).extension();
    !name.as_encoded_bytes().starts_with(b".")
        && extension.is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known))
}

/// How a file of this name is written.
pub(super) fn format(path: &Path) -> Format {
    if path.extension().is_some_and(|e| e == "json") { Format::Json } else { Format::Yaml }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("a.yaml", true),
            ("a.yml", true),
            ("a.json", true),
            ("a.b.yaml", true),
            (".a.yaml", false),
            ("..data", false),
            ("a.yaml~", false),
            ("a.yaml.swp", false),
            ("yaml", false),
            ("README.md", false),
        ] {
            assert_eq!(is_manifest(OsStr::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn a_fresh_stamp_is_not_trusted() {
        let path = std::env::temp_dir().join(format!("towpath-stamp-{}", std::process::id()));
        fs::write(&path, "x").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        assert!(!stamp.is_settled(SystemTime::now()));
        assert!(stamp.is_settled(SystemTime::now() + Duration::from_secs(5)));
        fs::remove_file(&path).unwrap();
    }
}
