//! Where the programs are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use model::IpFamily;

use crate::exec::run;
use crate::variant::{Variant, version_of};

/// Directories that are searched after PATH.
const USUAL: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin"];

/// Longest time that a `--version` may take.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// PATH and the usual directories.
pub(crate) fn directories() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(USUAL.iter().map(PathBuf::from)).filter(|dir| dir.is_absolute()).collect()
}

/// `iptables` or `ip6tables`.
pub(crate) fn base(family: IpFamily) -> &'static str {
    match family {
        IpFamily::V4 => "iptables",
        IpFamily::V6 => "ip6tables",
    }
}

/// The program for a job (`restore`, `save`): by its exact name, else the plain one if it is of this variant.
pub(crate) fn program(
    directories: &[PathBuf],
    variant: Variant,
    family: IpFamily,
    job: &str,
) -> Option<PathBuf> {
    let base = base(family);
    let exact = first(directories, &format!("{base}-{variant}-{job}"));
    exact.or_else(|| {
        let plain = first(directories, &format!("{base}-{job}"))?;
        (plain_variant(&plain) == Some(variant)).then_some(plain)
    })
}

/// The first file of this name.
pub(crate) fn first(directories: &[PathBuf], name: &str) -> Option<PathBuf> {
    directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// The variant that a program says it is.
pub(crate) fn plain_variant(program: &Path) -> Option<Variant> {
    Variant::of_version_line(&version_line(program)?)
}

/// The version that a program says it has: `1.8.9`; empty if it does not say.
pub(crate) fn version(program: &Path) -> String {
    version_line(program).as_deref().and_then(version_of).unwrap_or_default().to_owned()
}

fn version_line(program: &Path) -> Option<String> {
    let ended = run(Command::new(program).arg("--version"), "", VERSION_LIMIT).ok()??;
    Some(String::from_utf8_lossy(&ended.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use testkit::scratch::Scratch;

    use super::*;
    use crate::detect::detect_in;
    use crate::error::ToolError;
    use crate::tools::Tools;

    /// A directory with only the plain names, as distributions with one variant have them.
    fn plain(variant: Variant, bases: &[&str]) -> Scratch {
        let scratch = Scratch::new().unwrap();
        for (base, job) in bases.iter().flat_map(|base| [(base, ""), (base, "-restore"), (base, "-save")]) {
            let exact = first(&directories(), &format!("{base}-{variant}{job}")).unwrap();
            let program = exact.canonicalize().unwrap();
            symlink(program, scratch.path().join(format!("{base}{job}"))).unwrap();
        }
        scratch
    }

    #[test]
    fn plain_names_count_by_what_they_say_they_are() {
        for variant in Variant::ALL {
            let scratch = plain(variant, &["iptables", "ip6tables"]);
            let directories = [scratch.path().to_owned()];
            let other = Variant::ALL.into_iter().find(|other| *other != variant).unwrap();
            let tools = Tools::find_in(&directories, variant).unwrap();
            assert!(tools.has(IpFamily::V6) && tools.version().starts_with("1."), "{tools:?}");
            let error = Tools::find_in(&directories, other).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("iptables-{other}-restore is not installed")),
                "{error}"
            );
            assert_eq!(
                detect_in(&directories).unwrap().why,
                format!("only the {variant} variant works here")
            );
        }
    }

    #[test]
    fn without_the_tools_of_ipv6_those_of_ipv4_are_found() {
        let scratch = plain(Variant::Nft, &["iptables"]);
        let tools = Tools::find_in(&[scratch.path().to_owned()], Variant::Nft).unwrap();
        assert!(!tools.has(IpFamily::V6));
        let error = tools.save(IpFamily::V6, "nat").unwrap_err();
        assert!(
            matches!(&error, ToolError::Missing { program } if program == "ip6tables-nft-save"),
            "{error}"
        );
    }
}
