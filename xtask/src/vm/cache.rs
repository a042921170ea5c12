//! Where all that is got and made for machines lies. Several runs may go on at once.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result};

/// Directories under the target directory.
#[derive(Debug)]
pub struct Cache {
    /// What all runs share.
    pub root: PathBuf,
    /// What is this run's own: programs, scripts, logs. The next run removes it.
    pub run: PathBuf,
}

impl Cache {
    /// `vm` beside this program's own directory, whatever target directory cargo was told to use.
    pub fn open() -> Result<Self> {
        let own = env::current_exe().context("where this program is")?;
        let target = own.ancestors().nth(2).context("this program is in no target directory")?;
        Self::under(&target.join("vm"))
    }

    fn under(root: &Path) -> Result<Self> {
        let runs = root.join("runs");
        let run = runs.join(process::id().to_string());
        remove_old(&runs)?;
        fs::create_dir_all(&run).with_context(|| format!("making {}", run.display()))?;
        Ok(Self { root: root.to_owned(), run })
    }

    /// What is shared may be changed until this is dropped.
    pub fn lock(&self) -> Result<File> {
        let path = self.root.join("lock");
        let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
        file.lock().with_context(|| format!("locking {}", path.display()))?;
        Ok(file)
    }
}

/// Removes what runs have left that do not go on.
fn remove_old(runs: &Path) -> Result<()> {
    let Ok(found) = runs.read_dir() else { return Ok(()) };
    for run in found.filter_map(Result::ok) {
        let goes_on = Path::new("/proc").join(run.file_name()).exists() && !is_own(&run.path());
        if !goes_on {
            fs::remove_dir_all(run.path()).with_context(|| format!("removing {}", run.path().display()))?;
        }
    }
    Ok(())
}

/// An old run had our number.
fn is_own(run: &Path) -> bool {
    run.file_name().is_some_and(|name| *name == *process::id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_runs_go_and_others_that_go_on_stay() {
        let root = env::temp_dir().join(format!("xtask-vm-cache-{}", process::id()));
        let old = root.join("runs/4194305");
        let other = root.join("runs/1");
        fs::create_dir_all(&old).unwrap();
        fs::create_dir_all(&other).unwrap();
        let cache = Cache::under(&root).unwrap();
        assert!(!old.exists() && other.exists() && cache.run.is_dir());
        drop(cache.lock().unwrap());
        fs::remove_dir_all(&root).unwrap();
    }
}
