//! What this node's kernel needs beside rules.
//!
//! ```text
//! conntrack(...)  oom_score_adj(...)                       --> Vec<Setting>       (pure)
//! Vec<Setting> + what the files say now  --plan-->             Vec<Write>         (pure)
//! Vec<Write>  --apply-->                                       Report { done, refused }
//! ```
//!
//! Invariants:
//! * a file is written only when its value is not the wanted one; doing it twice writes nothing the second time;
//! * what the kernel refuses is reported and nothing else: rules matter more than sysctls, so nothing here is fatal
//!   (kube-proxy 1.36 ends when it cannot write a conntrack sysctl);
//! * no file is created, and every path is below a root that the caller chooses (`/`, or a directory of a test);
//! * nothing is logged here.

mod conntrack;
mod cpus;
mod setting;

pub use conntrack::{ConntrackSettings, MAX_SCALED, conntrack, conntrack_accounting};
pub use cpus::cpu_count;
pub use setting::{Done, Read, Refused, Report, Rule, Setting, Write, apply, plan, reader, settle};

/// How willingly the kernel kills this process when memory runs out: -1000 (never) to 1000 (first), 0 by default.
/// Another value is refused by the kernel, as `EINVAL`.
pub fn oom_score_adj(value: i32) -> Setting {
    Setting {
        path: "/proc/self/oom_score_adj".into(),
        value: value.into(),
        rule: Rule::Exactly,
        needs: "CAP_SYS_RESOURCE, if the score is to become lower",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn now(setting: &Setting) -> i64 {
        std::fs::read_to_string(&setting.path).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn a_higher_oom_score_needs_no_privilege_and_an_impossible_one_is_refused() {
        let root = Path::new("/");
        let before = now(&oom_score_adj(0));
        let higher = oom_score_adj(i32::try_from(before).unwrap().max(1));
        assert!(settle(root, std::slice::from_ref(&higher)).refused.is_empty());
        assert_eq!(now(&higher), higher.value);

        let impossible = settle(root, &[oom_score_adj(1001)]);
        let text = impossible.refused[0].to_string();
        assert!(text.starts_with("cannot set /proc/self/oom_score_adj to 1001 (it is "), "{text}");
        assert!(text.contains("the kernel does not take this value"), "{text}");
    }
}
