//! The size of legacy iptables tables, from the real kernel. Needs root and the legacy iptables tools.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod netns;

use netns::{in_netns, run};
use towpath_netlink::xt::{digests, info, name_digest};

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

#[test]
fn digests_change_with_our_chains_and_with_nothing_else() {
    const OURS: &str = "*nat\n:OUR-A - [0:0]\n:OUR-B - [0:0]\n-A OUR-A -p tcp -m comment --comment x -m tcp --dport 80 -j OUR-B\n-A OUR-B -p tcp -j REDIRECT --to-ports 8080\n-A OUTPUT -j OUR-A\nCOMMIT\n";
    in_netns(|| {
        for (v6, tool) in [(false, "iptables-legacy-restore"), (true, "ip6tables-legacy-restore")] {
            assert_eq!(digests(v6, "nat", "OUR-").unwrap(), []);
            rules(tool, OURS);
            let first = digests(v6, "nat", "OUR-").unwrap();
            let names: Vec<u64> = first.iter().map(|chain| chain.name).collect();
            let mut wanted = ["OUR-A", "OUR-B", "OUTPUT"].map(name_digest);
            wanted.sort_unstable();
            assert_eq!(names, wanted);
            for foreign in [
                "-N AAA\n-I OUTPUT 1 -j AAA\n-A AAA -m limit --limit 3/min -j RETURN",
                "-F AAA\n-A OUTPUT -m comment --comment y",
                "-D OUTPUT 1\n-X AAA",
            ] {
                rules(tool, &format!("*nat\n{foreign}\nCOMMIT\n"));
                assert_eq!(digests(v6, "nat", "OUR-").unwrap(), first, "{foreign}");
            }
            for (ours, undo) in [
                // Of the same size.
                (
                    "-R OUR-B 1 -p tcp -j REDIRECT --to-ports 8081",
                    "-R OUR-B 1 -p tcp -j REDIRECT --to-ports 8080",
                ),
                (
                    "-R OUR-B 1 -p udp -j REDIRECT --to-ports 8080",
                    "-R OUR-B 1 -p tcp -j REDIRECT --to-ports 8080",
                ),
                ("-A OUR-B -j RETURN", "-D OUR-B 2"),
                ("-D OUTPUT -j OUR-A", "-A OUTPUT -j OUR-A"),
                ("-A OUTPUT -j OUR-A", "-D OUTPUT -j OUR-A"),
                ("-N OUR-C", "-X OUR-C"),
            ] {
                rules(tool, &format!("*nat\n{ours}\nCOMMIT\n"));
                assert_ne!(digests(v6, "nat", "OUR-").unwrap(), first, "{ours}");
                rules(tool, &format!("*nat\n{undo}\nCOMMIT\n"));
                assert_eq!(digests(v6, "nat", "OUR-").unwrap(), first, "{undo}");
            }
        }
    });
}
