//! The size of legacy iptables tables, from the real kernel. Needs root and the legacy iptables tools.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod netns;

use netns::{in_netns, run};
use towpath_netlink::xt::info;

fn rules(tool: &str, text: &str) {
    run(&[tool, "--noflush", "-w", "5"], text);
}

#[test]
fn a_table_that_does_not_exist_is_not_made_by_asking() {
    in_netns(|| {
        for v6 in [false, true] {
            assert_eq!(info(v6, "nat").unwrap(), None);
            assert_eq!(info(v6, &"x".repeat(40)).unwrap(), None);
        }
        for list in ["ip_tables_names", "ip6_tables_names"] {
            assert_eq!(
                std::fs::read_to_string(format!("/proc/thread-self/net/{list}")).unwrap_or_default(),
                ""
            );
        }
    });
}

#[test]
fn a_change_moves_the_numbers_and_its_undoing_moves_them_back() {
    in_netns(|| {
        for (v6, tool) in [(false, "iptables-legacy-restore"), (true, "ip6tables-legacy-restore")] {
            rules(tool, "*nat\n:A - [0:0]\nCOMMIT\n");
            let before = info(v6, "nat").unwrap().unwrap();
            rules(tool, "*nat\n-A A -j RETURN\nCOMMIT\n");
            let after = info(v6, "nat").unwrap().unwrap();
            assert_eq!(after.entries, before.entries + 1);
            assert!(after.size > before.size);
            rules(tool, "*nat\n-D A -j RETURN\nCOMMIT\n");
            assert_eq!(info(v6, "nat").unwrap(), Some(before));
            assert_eq!(info(v6, "mangle").unwrap(), None);
        }
    });
}
