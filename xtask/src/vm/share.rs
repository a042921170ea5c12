//! How the programs are shared out among machines that run side by side.

use std::fs;
use std::thread;

use crate::vm::build::Built;

/// Memory of a machine, and what QEMU takes beside it, in KiB.
const MACHINE_KIB: u64 = (3 * 1024 + 512) * 1024;
/// More machines than this were never tried.
const MOST: usize = 2;

/// How many machines this one bears: one for each processor and 3.5 GiB of free memory, two at most.
pub fn machines() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text)).unwrap_or(0);
    let fit = usize::try_from(memory / MACHINE_KIB).unwrap_or(MOST);
    processors.min(fit).clamp(1, MOST)
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// For each machine its programs, in their order: the longest first to whichever machine has least to do.
pub fn share(programs: &[Built], machines: usize) -> Vec<Vec<&Built>> {
    let seconds: Vec<u32> = programs.iter().map(|built| built.program.seconds).collect();
    let shares = shares(&seconds, machines);
    let of = |share: Vec<usize>| share.into_iter().filter_map(|place| programs.get(place)).collect();
    shares.into_iter().filter(|share| !share.is_empty()).map(of).collect()
}

fn shares(seconds: &[u32], machines: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..seconds.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(seconds[*place]));
    let mut shares = vec![(0, Vec::new()); machines.max(1)];
    for place in order {
        if let Some((load, share)) = shares.iter_mut().min_by_key(|(load, _)| *load) {
            *load += seconds[place].max(1);
            share.push(place);
        }
    }
    let sorted = |(_, mut share): (u32, Vec<usize>)| {
        share.sort_unstable();
        share
    };
    shares.into_iter().map(sorted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_shared_by_its_length() {
        let cases = [
            (vec![10, 20, 100, 50, 30], 2, vec![vec![0, 2], vec![1, 3, 4]]),
            (vec![10, 20, 30], 1, vec![vec![0, 1, 2]]),
            (vec![10, 20], 0, vec![vec![0, 1]]),
            (vec![10], 2, vec![vec![0], vec![]]),
            (vec![0, 0, 0, 0], 2, vec![vec![0, 2], vec![1, 3]]),
        ];
        for (seconds, machines, expected) in cases {
            assert_eq!(shares(&seconds, machines), expected, "{seconds:?} among {machines}");
        }
    }

    #[test]
    fn free_memory_is_read() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:   7000000 kB\n";
        assert_eq!((available(text), available("MemTotal: 1 kB")), (Some(7_000_000), None));
        assert!((1..=MOST).contains(&machines()));
    }
}
