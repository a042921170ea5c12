//! What is made of a table that cannot be read.

use super::*;
use crate::names::Tree;

const TABLE: (IpFamily, Table) = (IpFamily::V4, Table::Nat);

fn jump_to(target: &str, comment: Option<&str>) -> Jump {
    let comment = comment.map(str::to_owned);
    Jump { chain: "OUTPUT".into(), handle: 7, target: target.into(), comment }
}

fn seen(chains: &[&str], written: &Shadow, stuck: &Stuck) -> FxHashMap<Key, Value> {
    let jumps = vec![jump_to("TOWPATH-SERVICES", Some("towpath: Services")), jump_to("TOWPATH-X", None)];
    let look = Look { chains: chains.iter().map(|name| (*name).to_owned()).collect(), jumps };
    let mut out = FxHashMap::default();
    observe(TABLE, &look, written, stuck, &mut out);
    out
}

fn lines(objects: &FxHashMap<Key, Value>) -> Vec<String> {
    let mut objects: Vec<_> = objects.iter().collect();
    objects.sort();
    objects.iter().map(|(key, value)| format!("{} {:?} {value}", key.place.chain, key.entry)).collect()
}

#[test]
fn at_first_only_names_and_jumps_are_known() {
    let objects = seen(&["TOWPATH-SERVICES", "TOWPATH-POSTROUTING"], &Shadow::default(), &Stuck::default());
    let want = [
        "OUTPUT Jump -m comment --comment \"towpath: Services\" -j TOWPATH-SERVICES\n-j TOWPATH-X".to_owned(),
        format!("TOWPATH-POSTROUTING Whole {UNREAD}"),
        "TOWPATH-SERVICES Head ".to_owned(),
        format!("TOWPATH-SERVICES Stray(4294967295, {UNREAD:?}) "),
    ];
    assert_eq!(lines(&objects), want);
}

#[test]
fn then_what_was_written_counts_as_long_as_its_chain_is_there() {
    let names = ["TOWPATH-SERVICES", "TOWPATH-POSTROUTING", "TOWPATH-NODEPORTS"];
    let observed = seen(&names, &Shadow::default(), &Stuck::default());
    let mut shadow = Shadow::new(observed.iter(), vec![TABLE]);
    let key = |chain, entry| Key::new(IpFamily::V4, chain, entry);
    let root = ChainId::Root(Tree::Served);
    let digit: Value = Arc::from("-d 0.0.0.1/0.0.0.15 -j TOWPATH-VIP-1");
    let rules: Value = Arc::from("-j RETURN");
    let steps = [
        (key(root.clone(), Entry::Digit(1)), Step::Create(digit.clone())),
        (key(root.clone(), Entry::unread()), Step::Delete(Arc::from(""))),
        (key(ChainId::Postrouting, Entry::Whole), Step::Create(rules)),
    ];
    let draft = shadow.draft(steps.iter());
    let text = draft.text(IpFamily::V4);
    assert_eq!(
        text,
        "*nat\n:TOWPATH-POSTROUTING - [0:0]\n:TOWPATH-SERVICES - [0:0]\n-A TOWPATH-POSTROUTING -j RETURN\n\
         -A TOWPATH-SERVICES -d 0.0.0.1/0.0.0.15 -j TOWPATH-VIP-1\nCOMMIT\n"
    );
    shadow.commit(draft);
    let objects =
        seen(&["TOWPATH-SERVICES", "TOWPATH-POSTROUTING", "TOWPATH-NEW"], &shadow, &Stuck::default());
    let want = [
        "TOWPATH-POSTROUTING Whole -j RETURN".to_owned(),
        "TOWPATH-SERVICES Head ".to_owned(),
        "TOWPATH-SERVICES Digit(1) -d 0.0.0.1/0.0.0.15 -j TOWPATH-VIP-1".to_owned(),
        format!("TOWPATH-NEW Whole {UNREAD}"),
    ];
    assert_eq!(lines(&objects)[1..], want);
    let objects = seen(&["TOWPATH-POSTROUTING"], &shadow, &Stuck::default());
    assert_eq!(lines(&objects)[1..], want[..1]);
    // Refused, perhaps half of it was taken: it has to be written again.
    let draft = shadow.draft(steps.iter());
    shadow.doubt(&draft);
    let objects = seen(&["TOWPATH-SERVICES", "TOWPATH-POSTROUTING"], &shadow, &Stuck::default());
    assert_eq!(lines(&objects)[1], format!("TOWPATH-POSTROUTING Whole {UNREAD}"));
    assert!(objects.contains_key(&key(root, Entry::unread())), "{objects:?}");
}

#[test]
fn a_chain_that_cannot_go_is_passed_over() {
    let mut stuck = Stuck::default();
    stuck.insert(Place::new(IpFamily::V4, ChainId::Postrouting));
    let objects = seen(&["TOWPATH-POSTROUTING"], &Shadow::default(), &stuck);
    assert_eq!(lines(&objects).len(), 1);
}

#[test]
fn rules_come_before_those_that_could_not_be_read_go() {
    let observed = seen(&["TOWPATH-VIP-14"], &Shadow::default(), &Stuck::default());
    let shadow = Shadow::new(observed.iter(), vec![TABLE]);
    let chain = ChainId::Vips { tree: Tree::Served, low: 4, high: Some(1) };
    let entry = Entry::Vip([10, 96, 0, 20].into(), model::Protocol::Tcp, 80);
    let step = (Key::new(IpFamily::V4, chain, entry), Step::Create(Arc::from("-j X")));
    let text = shadow.draft([step].iter()).text(IpFamily::V4);
    assert_eq!(text, "*nat\n-A TOWPATH-VIP-14 -j X\nCOMMIT\n");
}

#[test]
fn a_chain_whose_removal_was_refused_once_can_still_go() {
    let observed = seen(&["TOWPATH-VIP-14"], &Shadow::default(), &Stuck::default());
    let mut shadow = Shadow::new(observed.iter(), vec![TABLE]);
    let chain = ChainId::Vips { tree: Tree::Served, low: 4, high: Some(1) };
    let step = (Key::new(IpFamily::V4, chain, Entry::Head), Step::Delete(Arc::from("")));
    let draft = shadow.draft([&step].into_iter());
    shadow.doubt(&draft);
    let draft = shadow.draft([&step].into_iter());
    let text = draft.text(IpFamily::V4);
    assert_eq!(text, "*nat\n:TOWPATH-VIP-14 - [0:0]\n-X TOWPATH-VIP-14\nCOMMIT\n");
    shadow.commit(draft);
    assert_eq!(shadow.places(TABLE.0, TABLE.1).count(), 0);
}
