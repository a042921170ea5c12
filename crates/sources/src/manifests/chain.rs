//! Every name that a path is resolved through: what has to be watched to notice that it leads elsewhere.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

/// Symbolic links that are followed before a path counts as a loop; the kernel has the same limit.
const MAX_LINKS: usize = 40;

/// What a path leads through, and to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// Directory and name of every symbolic link, and of the last component (or of the first missing one).
    pub(super) links: Vec<(PathBuf, OsString)>,
    /// Where it ends, if there is something.
    pub(super) target: Option<PathBuf>,
}

/// Follows a path step by step.
///
/// # Errors
/// Only when the current directory is not known and the path is a relative one.
pub(super) fn resolve(path: &Path) -> io::Result<Chain> {
    let mut chain = Chain::default();
    let mut current = PathBuf::from("/");
    let mut steps = names(&std::path::absolute(path)?);
    while let Some(step) = steps.pop_front() {
        if step == OsStr::new("..") {
            current.pop();
            continue;
        }
        let next = current.join(&step);
        let found = fs::symlink_metadata(&next).ok();
        let is_link = found.as_ref().is_some_and(|found| found.is_symlink());
        if is_link || found.is_none() || steps.is_empty() {
            chain.links.push((current.clone(), step));
        }
        if found.is_none() || chain.links.len() > MAX_LINKS {
            return Ok(chain);
        }
        if is_link {
            let Ok(target) = fs::read_link(&next) else {
                return Ok(chain);
            };
            current = if target.is_absolute() { PathBuf::from("/") } else { current };
            names(&target).into_iter().rev().for_each(|name| steps.push_front(name));
        } else {
            current = next;
        }
    }
    chain.target = Some(current);
    Ok(chain)
}

/// The names in a path, `..` included.
fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_in_the_middle_and_at_the_end() {
        let root = std::env::temp_dir().join(format!("towpath-chain-{}", std::process::id()));
        let root = {
            fs::create_dir_all(root.join("v1")).unwrap();
            fs::canonicalize(root).unwrap()
        };
        fs::write(root.join("v1/x.yaml"), "").unwrap();
        symlink("v1", root.join("..data")).unwrap();
        symlink("..data/x.yaml", root.join("x.yaml")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let chain = resolve(&root.join("x.yaml")).unwrap();
        let links: Vec<_> = chain.links.iter().map(|(dir, name)| dir.join(name)).collect();
        assert_eq!(links, [root.join("x.yaml"), root.join("..data"), root.join("v1/x.yaml")]);
        assert_eq!(chain.target, Some(root.join("v1/x.yaml")));
        assert_eq!(resolve(&root.join("loop")).unwrap().target, None);
        let missing = resolve(&root.join("none/y")).unwrap();
        assert_eq!(missing, Chain { links: vec![(root.clone(), "none".into())], target: None });
        fs::remove_dir_all(root).unwrap();
    }
}
