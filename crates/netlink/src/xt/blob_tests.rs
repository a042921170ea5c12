use super::*;

/// Writes entries as the kernel would.
struct Table {
    shape: Shape,
    blob: Vec<u8>,
    hooks: [Option<u32>; 5],
}

impl Table {
    fn new(shape: Shape) -> Self {
        Self { shape, blob: Vec::new(), hooks: [None; 5] }
    }

    fn at(&self) -> usize {
        self.blob.len()
    }

    /// `ip` is the first byte of what is matched; returns the place after the entry.
    fn entry(&mut self, ip: u8, matches: &[u8], target: &str, data: &[u8]) -> usize {
        let target_offset = self.shape.head + matches.len();
        let next = (target_offset + TARGET + data.len()).next_multiple_of(8);
        let mut entry = vec![0; next];
        entry[0] = ip;
        let cache = self.shape.ip;
        entry[cache + 4..cache + 6].copy_from_slice(&(target_offset as u16).to_ne_bytes());
        entry[cache + 6..cache + 8].copy_from_slice(&(next as u16).to_ne_bytes());
        entry[self.shape.head..target_offset].copy_from_slice(matches);
        entry[target_offset + 2..target_offset + 2 + target.len()].copy_from_slice(target.as_bytes());
        entry[target_offset + TARGET..target_offset + TARGET + data.len()].copy_from_slice(data);
        self.blob.extend(entry);
        self.at()
    }

    fn jump(&mut self, to: usize) {
        self.entry(0, &[], "", &(to as i32).to_ne_bytes());
    }

    fn ends(&mut self) {
        self.entry(0, &[], "", &(-5i32).to_ne_bytes());
    }

    fn chain(&mut self, name: &str) -> usize {
        let mut data = name.as_bytes().to_vec();
        data.resize(32, 0);
        self.entry(0, &[], "ERROR", &data)
    }

    fn digest(&self) -> Result<Vec<ChainDigest>, NetlinkError> {
        digest(&self.blob, self.shape, &self.hooks, "OUR-")
    }
}

/// PREROUTING: a foreign rule with `filler` bytes, the jump; chains of theirs and of ours.
fn table(shape: Shape, filler: usize, address: u8, theirs: u8) -> Table {
    let mut places = (0, 0);
    // The second time the places are known.
    let mut table = Table::new(shape);
    for _ in 0..2 {
        table = Table::new(shape);
        table.hooks[0] = Some(0);
        table.entry(theirs, &vec![7; filler], "DROP", &[]);
        table.jump(places.0);
        table.ends();
        table.hooks[4] = Some(table.at() as u32);
        table.ends();
        table.chain("THEIRS");
        table.entry(theirs, &[], "MARK", &[theirs]);
        table.ends();
        places.0 = table.chain("OUR-ROOT");
        table.entry(address, &[1; 16], "", &(places.1 as i32).to_ne_bytes());
        table.ends();
        places.1 = table.chain("OUR-LEAF");
        table.entry(address, &[2; 8], "DNAT", &[address, 0, 0, 0]);
        table.ends();
        table.chain("ERROR");
    }
    table
}

#[test]
fn what_others_do_outside_of_our_chains_changes_nothing() {
    for shape in [Shape::V4, Shape::V6] {
        let before = table(shape, 0, 1, 1).digest().unwrap();
        assert_eq!(before.len(), 3, "PREROUTING and two chains");
        assert!(before.iter().any(|chain| chain.name == name_digest("PREROUTING")));
        assert_eq!(table(shape, 48, 1, 1).digest().unwrap(), before, "every place has moved");
        assert_eq!(table(shape, 0, 1, 9).digest().unwrap(), before);
    }
}

#[test]
fn counters_and_what_the_kernel_notes_change_nothing() {
    let (table, shape) = (table(Shape::V4, 0, 1, 1), Shape::V4);
    let mut counted = Table { blob: table.blob.clone(), ..table };
    let first = counted.blob.clone();
    let mut at = 0;
    while at < first.len() {
        counted.blob[at + shape.ip..at + shape.ip + 4].fill(0xff);
        counted.blob[at + shape.ip + 8..at + shape.head].fill(0xff);
        at += number(&first[at..], shape.ip + 6);
    }
    assert_eq!(counted.digest().unwrap(), digest(&first, shape, &counted.hooks, "OUR-").unwrap());
}

#[test]
fn a_rule_that_differs_in_one_byte_is_seen_in_its_chain_alone() {
    let before = table(Shape::V4, 0, 1, 1).digest().unwrap();
    let mut table = table(Shape::V4, 0, 1, 1);
    let leaf = table.blob.windows(4).rposition(|bytes| bytes == b"DNAT").unwrap();
    table.blob[leaf - 2 - 8] ^= 1;
    let after = table.digest().unwrap();
    let differ: Vec<u64> = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.name).collect();
    assert_eq!(differ, [name_digest("OUR-LEAF")]);
}

#[test]
fn a_jump_to_another_chain_and_a_second_jump_are_seen() {
    let build = |jumps: &[usize]| {
        let mut places = [0, 0];
        let mut table = Table::new(Shape::V6);
        for _ in 0..2 {
            table = Table::new(Shape::V6);
            table.hooks[1] = Some(0);
            jumps.iter().for_each(|jump| table.jump(places[*jump]));
            table.ends();
            for (place, name) in places.iter_mut().zip(["OUR-A", "OUR-B"]) {
                *place = table.chain(name);
                table.ends();
            }
        }
        table.digest().unwrap()
    };
    let all: std::collections::BTreeSet<_> =
        [&[0][..], &[1], &[0, 0], &[0, 1], &[1, 0], &[]].map(build).into();
    assert_eq!(all.len(), 6);
}

#[test]
fn broken_entries_are_an_error() {
    let good = table(Shape::V4, 0, 1, 1);
    for (at, value) in [(88, 0u16), (88, 500), (90, 0), (90, 100), (90, u16::MAX)] {
        let mut blob = good.blob.clone();
        blob[at..at + 2].copy_from_slice(&value.to_ne_bytes());
        assert!(digest(&blob, Shape::V4, &good.hooks, "OUR-").is_err(), "{value} at {at}");
    }
    for length in 1..good.blob.len().min(300) {
        let _ = digest(&good.blob[..length], Shape::V4, &good.hooks, "OUR-");
    }
    assert_eq!(digest(&[], Shape::V4, &good.hooks, "OUR-").unwrap(), []);
}
