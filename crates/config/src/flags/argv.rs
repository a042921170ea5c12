//! Arguments as pflag reads them, for clap.

use std::ffi::OsString;

/// Makes the underscores in the names of flags dashes, as kube-proxy does: `--proxy_mode=x` is
/// `--proxy-mode=x`. Values stay, and so does all after a bare `--`.
///
/// Long flags with a single dash are left alone: pflag refuses them too.
pub fn normalize(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut is_over = false;
    let fix = |arg: OsString| {
        is_over |= arg == "--";
        match arg.to_str() {
            Some(text) if !is_over && text.starts_with("--") => dashes(text).into(),
            _ => arg,
        }
    };
    args.into_iter().map(fix).filter(|arg| !UNSET.iter().any(|unset| arg == unset)).collect()
}

/// Paths that are given as nothing, as templates of unit files have them: for pflag they are not given.
const UNSET: [&str; 3] = ["--config=", "--kubeconfig=", "--write-config-to="];

fn dashes(arg: &str) -> String {
    match arg.split_once('=') {
        Some((name, value)) => format!("{}={value}", name.replace('_', "-")),
        None => arg.replace('_', "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underscores_in_names_only() {
        let args = ["kube_proxy", "--proxy_mode=a_b", "--log_dir", "x_y", "-v", "-x_y", "--", "--a_b"];
        let want = ["kube_proxy", "--proxy-mode=a_b", "--log-dir", "x_y", "-v", "-x_y", "--", "--a_b"];
        assert_eq!(normalize(args.map(OsString::from)), want.map(OsString::from));
    }

    #[test]
    fn empty_paths_are_not_given() {
        let args = ["x", "--kubeconfig=", "--write_config_to=", "--config=", "--cluster-cidr="];
        assert_eq!(normalize(args.map(OsString::from)), ["x", "--cluster-cidr="].map(OsString::from));
    }
}
