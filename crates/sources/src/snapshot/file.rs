//! Replacing a file as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Takes the lines of the new file.
pub(super) struct Lines {
    to: BufWriter<File>,
    sum: Fnv,
}

impl Lines {
    /// Adds one line.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        for part in [text.as_bytes(), b"\n"] {
            self.sum.add(part);
            self.to.write_all(part)?;
        }
        Ok(())
    }

    /// The checksum of every line so far.
    pub(super) fn checksum(&self) -> String {
        self.sum.text()
    }
}

/// Writes a new file beside the old one and puts it in its place. The error names what was tried.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut Lines) -> io::Result<()>,
) -> Result<(), (&'static str, io::Error)> {
    let beside = beside(path);
    let result = write_beside(&beside, write).and_then(|()| {
        fs::rename(&beside, path).map_err(|error| ("put the new one in the place of", error))?;
        // Without this the old name may come back after a power failure; the file is whole either way.
        let directory = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
        Ok(())
    });
    if result.is_err() {
        let _ = fs::remove_file(&beside);
    }
    result
}

fn write_beside(
    beside: &Path,
    write: impl FnOnce(&mut Lines) -> io::Result<()>,
) -> Result<(), (&'static str, io::Error)> {
    // What an earlier try left may have other permissions.
    let _ = fs::remove_file(beside);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside);
    let file = opened.map_err(|error| ("create", error))?;
    let mut lines = Lines { to: BufWriter::new(file), sum: Fnv::default() };
    let written = write(&mut lines).and_then(|()| lines.to.flush());
    written.and_then(|()| lines.to.get_ref().sync_all()).map_err(|error| ("write", error))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// Reads lines and sums them up.
#[derive(Default)]
pub(super) struct Reader {
    line: String,
    sum: Fnv,
}

impl Reader {
    /// The next line; `None` at the end, and for a line that has no end.
    pub(super) fn line(&mut self, from: &mut impl BufRead) -> io::Result<Option<&str>> {
        self.line.clear();
        from.read_line(&mut self.line)?;
        self.sum.add(self.line.as_bytes());
        Ok(self.line.strip_suffix('\n'))
    }

    /// The checksum of every line so far.
    pub(super) fn checksum(&self) -> String {
        self.sum.text()
    }
}

/// FNV-1a, 64 bits: tells damage by accident, and stays the same in every version of this program.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn text(self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_fnv_1a() {
        let checksum = |bytes: &[u8]| {
            let mut sum = super::Fnv::default();
            sum.add(bytes);
            sum.text()
        };
        assert_eq!(checksum(b""), "cbf29ce484222325");
        assert_eq!(checksum(b"foobar"), "85944171f73967e8");
    }
}
