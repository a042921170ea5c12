//! Others' commits, heard and told apart, on the running kernel. Needs root and `nft`.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod netns;

use netns::{in_netns, run};
use towpath_netlink::Socket;
use towpath_netlink::nft::{
    Element, ElementData, Family, Listener, NETLINK_NETFILTER, News, ObjectKind, ObjectNews, Sentry, SetData,
    SetSpec, Transaction, Writing, data_type, generation,
};

const OURS: &str = "ours";
const SETUP: &str = "
flush ruleset
add table ip ours
add set ip ours s { type ipv4_addr; }
add chain ip ours c
add rule ip ours c ip saddr @s drop
add chain ip ours d
add rule ip ours d jump c
add table ip6 ours
add table ip theirs
add chain ip theirs c";

fn nft(script: &str) {
    run(&["nft", "-f", "-"], script);
}

fn is_ours(news: &ObjectNews<'_>) -> bool {
    news.table == OURS && news.family == Family::Ip as u8
}

/// A sentry that knows everything, and the socket of its owner.
struct Watched {
    socket: Socket,
    sentry: Sentry,
}

impl Watched {
    fn new() -> Self {
        nft(SETUP);
        let mut socket = Socket::open(NETLINK_NETFILTER).unwrap();
        let mut sentry = Sentry::default();
        assert!(!sentry.is_touched(&mut socket, &is_ours), "nothing is known yet");
        sentry.know(&mut socket).unwrap();
        Self { socket, sentry }
    }

    fn is_touched(&mut self) -> bool {
        self.sentry.is_touched(&mut self.socket, &is_ours)
    }

    fn know(&mut self) {
        self.sentry.know(&mut self.socket).unwrap();
    }

    /// Two commits of others in a row.
    fn busy() -> Self {
        let mut watched = Self::new();
        for listens in [false, true] {
            nft("add chain ip theirs more; delete chain ip theirs more");
            assert!(watched.is_touched(), "it cannot know better");
            assert_eq!(watched.sentry.is_listening(), listens);
            watched.know();
            assert!(!watched.is_touched());
        }
        watched
    }

    /// Adds elements as our own doing.
    fn add(&mut self, count: u32) {
        self.sentry.before(Writing::Objects(count as usize), &is_ours);
        let mut transaction = Transaction::new(&mut self.socket, Family::Ip, OURS, None);
        for n in 0..count {
            let key = (0x0a00_0000 + n).to_be_bytes().to_vec();
            transaction.add_element("s", &Element { key, key_end: None, data: ElementData::None });
        }
        transaction.commit(&mut self.socket).unwrap();
    }

    fn after(&mut self) {
        self.sentry.after(&mut self.socket, Some(1));
    }
}

#[test]
fn a_quiet_sentry_knows_its_own_commits_from_others() {
    in_netns(|| {
        let mut watched = Watched::new();
        for count in [1, 1000] {
            watched.add(count);
            watched.after();
            assert!(!watched.is_touched());
        }
        nft("add chain ip theirs more");
        assert!(watched.is_touched());
        assert!(watched.is_touched(), "until it is looked at");
        assert_eq!(watched.sentry.culprit(), None);
        assert!(!watched.sentry.is_listening());
    });
}

#[test]
fn a_listening_sentry_hears_only_of_ours_and_who_it_was() {
    in_netns(|| {
        let mut watched = Watched::busy();
        for harmless in [
            "add chain ip theirs x; add rule ip theirs x drop",
            "add table inet ours; add chain inet ours c",
            "add chain ip6 ours c; delete table ip6 ours",
        ] {
            nft(harmless);
            assert!(!watched.is_touched(), "{harmless}");
        }
        for harmful in [
            "add element ip ours s { 192.0.2.1 }",
            "delete element ip ours s { 192.0.2.1 }",
            "flush set ip ours s; add rule ip ours c accept",
            "flush chain ip ours c",
            "add chain ip ours more",
            "delete chain ip ours more",
            "add counter ip ours n",
            "delete counter ip ours n",
            "add set ip ours t { type ipv4_addr; }",
            "delete set ip ours t",
            "delete table ip ours",
            "add table ip ours",
            "flush ruleset",
        ] {
            nft(harmful);
            assert!(watched.is_touched(), "{harmful}");
            let culprit = watched.sentry.culprit().unwrap();
            assert!(culprit.process == "nft" && culprit.pid > 0, "{culprit:?}");
            watched.know();
            assert!(!watched.is_touched(), "{harmful}");
            assert!(watched.sentry.is_listening());
        }
    });
}

#[test]
fn our_own_commits_are_no_news_and_large_ones_are_not_listened_to() {
    in_netns(|| {
        let mut watched = Watched::busy();
        for (count, listens) in [(1, true), (64, true), (65, false), (1000, false)] {
            watched.add(count);
            assert_eq!(watched.sentry.is_listening(), listens, "{count}");
            watched.after();
            assert!(!watched.is_touched(), "{count}");
            assert!(watched.sentry.is_listening(), "again");
        }
        nft("flush set ip ours s");
        assert!(watched.is_touched(), "it hears as before");
    });
}

#[test]
fn a_commit_among_our_own_is_not_missed() {
    in_netns(|| {
        for count in [1, 1000] {
            let mut watched = Watched::busy();
            watched.add(count);
            nft("add element ip ours s { 192.0.2.1 }");
            watched.after();
            assert!(watched.is_touched(), "{count}");
        }
        let mut watched = Watched::busy();
        nft("add element ip ours s { 192.0.2.1 }");
        watched.add(1000);
        watched.after();
        assert!(watched.is_touched(), "and one before it");
    });
}

#[test]
fn commits_of_a_program_in_our_name_are_counted() {
    in_netns(|| {
        for busy in [false, true] {
            for (commits, foreign, touched) in
                [(Some(1), "", false), (Some(1), "add chain ip theirs x", true), (None, "", true)]
            {
                let mut watched = if busy { Watched::busy() } else { Watched::new() };
                watched.sentry.before(Writing::ByProgram, &is_ours);
                nft("add element ip ours s { 192.0.2.1 }");
                if !foreign.is_empty() {
                    nft(foreign);
                }
                watched.sentry.after(&mut watched.socket, commits);
                assert_eq!(watched.is_touched(), touched, "{busy} {commits:?} {foreign}");
            }
        }
    });
}

#[test]
fn a_flood_ends_the_listening_and_is_no_excuse() {
    in_netns(|| {
        let mut watched = Watched::busy();
        let set = SetSpec {
            name: "big".into(),
            flags: 0,
            key_type: data_type::IPV4,
            key_len: 4,
            data: SetData::None,
            size: 0,
            fields: Vec::new(),
            userdata: Vec::new(),
        };
        let mut other = Socket::open(NETLINK_NETFILTER).unwrap();
        let mut transaction = Transaction::new(&mut other, Family::Ip, "theirs", None);
        transaction.add_set(&set);
        for n in 0..60_000u32 {
            let key = n.to_be_bytes().to_vec();
            transaction.add_element("big", &Element { key, key_end: None, data: ElementData::None });
        }
        transaction.commit(&mut other).unwrap();
        assert!(watched.is_touched(), "something may have been lost");
        assert!(!watched.sentry.is_listening());
        watched.know();
        assert!(!watched.is_touched());
        nft("delete set ip theirs big");
        nft("flush set ip ours s");
        assert!(watched.is_touched());
    });
}

#[test]
fn a_listener_tells_rules_with_their_targets_and_the_generation() {
    in_netns(|| {
        nft(SETUP);
        let mut listener = Listener::open().unwrap();
        nft("insert rule ip ours d position 0 goto c; flush chain ip ours d");
        let (mut targets, mut last) = (Vec::new(), 0);
        let heard = listener.read(1000, |news| match news {
            News::Object(object) if object.kind == ObjectKind::Rule => {
                targets.push((object.name.to_owned(), object.target(), object.is_gone));
            }
            News::Object(_) => {}
            News::Commit(commit) => last = commit.generation,
        });
        let heard = heard.unwrap();
        assert!(!heard.lost && !heard.more && heard.messages >= 4, "{heard:?}");
        let rule = |gone| ("d".to_owned(), Some("c".to_owned()), gone);
        assert_eq!(targets, [rule(false), rule(true), rule(true)]);
        assert_eq!(last, generation(&mut Socket::open(NETLINK_NETFILTER).unwrap()).unwrap());
    });
}
