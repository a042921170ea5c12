//! The sysctls of connection tracking, with kube-proxy's meaning (`pkg/proxy/conntrack/sysctls.go`, 1.36).

use std::time::Duration;

use crate::setting::{NEEDS_PRIVILEGE, Rule, Setting};

/// More entries than this are not asked for because of many CPUs (new in kube-proxy 1.36): 1 Mi entries, each about
/// 300 bytes of kernel memory.
pub const MAX_SCALED: u32 = 1_048_576;

const SYSCTLS: &str = "/proc/sys/net/netfilter/";
/// The same number as the module's parameter `hashsize`, which kube-proxy writes; writable since Linux 4.7. A container
/// that may write module parameters can get out.
const BUCKETS: &str = "nf_conntrack_buckets";

/// The `conntrack` part of kube-proxy's configuration. Zero means, each time, "leave it as it is".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConntrackSettings {
    /// Tracked connections per CPU of the machine. With zero, [`Self::min`] does not count either.
    pub max_per_core: u32,
    /// At least so many, however few the CPUs.
    pub min: u32,
    /// How long an idle established TCP connection is remembered. Whole seconds count.
    pub tcp_established_timeout: Duration,
    /// The same for one in state `CLOSE_WAIT`.
    pub tcp_close_wait_timeout: Duration,
    /// The same for a UDP flow that has not been answered.
    pub udp_timeout: Duration,
    /// The same for a UDP flow that has been answered more than once.
    pub udp_stream_timeout: Duration,
    /// TCP segments outside the window still belong to their connection. `false` leaves the sysctl as it is.
    pub tcp_be_liberal: bool,
}

impl Default for ConntrackSettings {
    /// kube-proxy's: 32768 for each CPU, at least 131072, a day, an hour, and the rest left as it is.
    fn default() -> Self {
        Self {
            max_per_core: 32_768,
            min: 131_072,
            tcp_established_timeout: Duration::from_secs(24 * 3600),
            tcp_close_wait_timeout: Duration::from_secs(3600),
            udp_timeout: Duration::ZERO,
            udp_stream_timeout: Duration::ZERO,
            tcp_be_liberal: false,
        }
    }
}

/// What the kernel should have. `cpus` is the number of CPUs of the machine, see [`cpu_count`](crate::cpu_count).
///
/// The table's size is one for the whole machine and is only ever raised, and so are its buckets, a quarter as many.
/// The rest belongs to the network namespace and is set exactly.
pub fn conntrack(settings: &ConntrackSettings, cpus: usize) -> Vec<Setting> {
    let mut wanted = Vec::new();
    if let max @ 1.. = max(settings, cpus) {
        wanted.push(sysctl("nf_conntrack_max", max.into(), Rule::AtLeast));
        wanted.push(sysctl(BUCKETS, (max / 4).into(), Rule::AtLeast));
    }
    for (name, timeout) in [
        ("nf_conntrack_tcp_timeout_established", settings.tcp_established_timeout),
        ("nf_conntrack_tcp_timeout_close_wait", settings.tcp_close_wait_timeout),
        ("nf_conntrack_udp_timeout", settings.udp_timeout),
        ("nf_conntrack_udp_timeout_stream", settings.udp_stream_timeout),
    ] {
        if let seconds @ 1.. = timeout.as_secs() {
            wanted.push(sysctl(name, seconds.try_into().unwrap_or(i64::MAX), Rule::Exactly));
        }
    }
    if settings.tcp_be_liberal {
        wanted.push(sysctl("nf_conntrack_tcp_be_liberal", 1, Rule::Exactly));
    }
    wanted
}

/// Bytes and packets of every connection that begins from then on are counted (`nf_conntrack_acct`), 16 bytes each way and
/// two additions for each packet.
pub fn conntrack_accounting() -> Setting {
    sysctl("nf_conntrack_acct", 1, Rule::Exactly)
}

fn sysctl(name: &str, value: i64, rule: Rule) -> Setting {
    Setting { path: format!("{SYSCTLS}{name}").into(), value, rule, needs: NEEDS_PRIVILEGE }
}

/// Only what the CPUs ask for is limited. kube-proxy lets the limit win over a larger `min` as well, if the CPUs ask
/// for more than the limit: there, a machine with more CPUs can get fewer entries than it was promised.
fn max(settings: &ConntrackSettings, cpus: usize) -> u32 {
    if settings.max_per_core == 0 {
        return 0;
    }
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    settings.max_per_core.saturating_mul(cpus).min(MAX_SCALED).max(settings.min)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;
    use crate::setting::{plan, reader, settle};

    const INSIDE: &str = "TOWPATH_TEST_IN_NETNS";

    fn nothing() -> ConntrackSettings {
        ConntrackSettings {
            max_per_core: 0,
            tcp_established_timeout: Duration::ZERO,
            tcp_close_wait_timeout: Duration::ZERO,
            ..ConntrackSettings::default()
        }
    }

    #[test]
    fn the_size_of_the_table() {
        for (max_per_core, min, cpus, max) in [
            (32_768, 131_072, 1, 131_072),
            (32_768, 131_072, 4, 131_072),
            (32_768, 131_072, 8, 262_144),
            (32_768, 131_072, 32, MAX_SCALED),
            (32_768, 131_072, 256, MAX_SCALED),
            (32_768, 2_000_000, 256, 2_000_000),
            (32_768, 0, 2, 65_536),
            (0, 131_072, 8, 0),
            (u32::MAX, 0, usize::MAX, MAX_SCALED),
        ] {
            let settings = ConntrackSettings { max_per_core, min, ..nothing() };
            let wanted = conntrack(&settings, cpus);
            let values: Vec<i64> = wanted.iter().map(|setting| setting.value).collect();
            let expected = if max == 0 { vec![] } else { vec![i64::from(max), i64::from(max / 4)] };
            assert_eq!(values, expected, "{max_per_core} x {cpus}, at least {min}");
        }
    }

    #[test]
    fn only_what_is_set_is_wanted() {
        let second = Duration::from_secs(1);
        let be = |name: &str, value| (format!("{SYSCTLS}{name}"), value, Rule::Exactly);
        for (settings, expected) in [
            (nothing(), vec![]),
            (ConntrackSettings { udp_timeout: Duration::from_millis(999), ..nothing() }, vec![]),
            (
                ConntrackSettings { udp_timeout: 30 * second, ..nothing() },
                vec![be("nf_conntrack_udp_timeout", 30)],
            ),
            (
                ConntrackSettings { udp_stream_timeout: 120 * second, tcp_be_liberal: true, ..nothing() },
                vec![be("nf_conntrack_udp_timeout_stream", 120), be("nf_conntrack_tcp_be_liberal", 1)],
            ),
            (
                ConntrackSettings::default(),
                vec![
                    (format!("{SYSCTLS}nf_conntrack_max"), 131_072, Rule::AtLeast),
                    (format!("{SYSCTLS}{BUCKETS}"), 32_768, Rule::AtLeast),
                    be("nf_conntrack_tcp_timeout_established", 86_400),
                    be("nf_conntrack_tcp_timeout_close_wait", 3600),
                ],
            ),
        ] {
            let wanted = conntrack(&settings, 2);
            let wanted: Vec<_> =
                wanted.into_iter().map(|s| (s.path.display().to_string(), s.value, s.rule)).collect();
            assert_eq!(wanted, expected);
        }
    }

    /// A directory with files as a kernel has them, removed when dropped.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = Self(std::env::temp_dir().join(format!("towpath-node-{name}-{}", std::process::id())));
            for (path, text) in files {
                let path = root.path(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            root
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.join(path.trim_start_matches('/'))
        }

        fn text(&self, path: &str) -> String {
            fs::read_to_string(self.path(path)).unwrap()
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_differs_is_written_and_what_is_missing_is_refused_and_not_made() {
        let (max, established) =
            (format!("{SYSCTLS}nf_conntrack_max"), format!("{SYSCTLS}nf_conntrack_tcp_timeout_established"));
        let buckets = format!("{SYSCTLS}{BUCKETS}");
        let root =
            Root::new("differs", &[(&max, "65536\n"), (&established, "432000\n"), (&buckets, "65536\n")]);
        let wanted = conntrack(&ConntrackSettings::default(), 2);

        let report = settle(&root.0, &wanted);
        let done: Vec<String> = report.done.iter().map(ToString::to_string).collect();
        let expected =
            [format!("set {max} to 131072 (was 65536)"), format!("set {established} to 86400 (was 432000)")];
        assert_eq!(done, expected);
        assert_eq!(report.refused.len(), 1, "{:?}", report.refused);
        assert!(report.refused[0].to_string().contains("tcp_timeout_close_wait to 3600 (it cannot be read)"));
        assert!(!root.path(&format!("{SYSCTLS}nf_conntrack_tcp_timeout_close_wait")).exists());
        assert_eq!((&*root.text(&max), &*root.text(&established)), ("131072\n", "86400\n"));

        let again = settle(&root.0, &wanted);
        assert_eq!((again.done.len(), again.refused.len()), (0, 1));
    }

    #[test]
    fn no_module() {
        let root = Root::new("module", &[("/proc/sys/net/core/somaxconn", "4096\n")]);
        let report = settle(&root.0, &conntrack(&ConntrackSettings::default(), 2));
        assert!(report.done.is_empty());
        assert_eq!(report.refused.len(), 4);
        assert!(report.refused.iter().all(|refused| refused.to_string().contains("modprobe nf_conntrack")));
    }

    /// The timeouts belong to the network namespace; the size of the table does not, and is not touched here.
    #[test]
    fn the_kernel_takes_the_values() {
        if std::env::var_os(INSIDE).is_none() {
            let mut again = Command::new("unshare");
            again.arg("--net").arg(std::env::current_exe().unwrap());
            again.args(["--exact", "conntrack::tests::the_kernel_takes_the_values", "--nocapture"]);
            assert!(again.env(INSIDE, "1").status().unwrap().success(), "failed inside, or this is not root");
            return;
        }
        let root = Path::new("/");
        let settings = ConntrackSettings {
            max_per_core: 0,
            udp_timeout: Duration::from_secs(17),
            udp_stream_timeout: Duration::from_secs(170),
            tcp_close_wait_timeout: Duration::from_secs(1700),
            tcp_be_liberal: true,
            ..ConntrackSettings::default()
        };
        let wanted = conntrack(&settings, 2);
        assert_eq!(plan(&wanted, &reader(root)).len(), 5);
        let report = settle(root, &wanted);
        assert!(report.refused.is_empty(), "{:?}", report.refused);
        assert_eq!(plan(&wanted, &reader(root)), []);

        let refused = settle(root, &[sysctl("nf_conntrack_tcp_be_liberal", 1 << 40, Rule::Exactly)]).refused;
        assert!(refused[0].to_string().contains("the kernel does not take this value"), "{}", refused[0]);
    }
}
