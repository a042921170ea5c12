//! What the machine runs: the programs one after another, with marks between them that `console` reads.

use std::fmt::Write as _;
use std::path::Path;

use crate::vm::build::Built;

/// A program that runs longer is stopped, so that the others get their turn.
const PROGRAM_SECONDS: u32 = 840;
/// The same of a measurement, whose size was chosen by whoever asked for it: a machine's own limit comes first.
const MEASUREMENT_SECONDS: u32 = 24 * 3600;

/// Reading a program's pages over 9p each time is twice as slow as a copy in memory.
/// Tests that only ask whether there are ipsets or IPVS do not have the kernel load them: loaded at the start, no program
/// needs another before it.
/// The machine may stand still for seconds: a story that fails is told once more, and the report says so.
/// What goes to standard error is told only when a program fails: else it would cut lines of results in two.
const HEAD: &str = r#"#!/bin/bash
exec 2>&1
dmesg -n 1
ip link set lo up
modprobe -a ip_set ip_vs
export TOWPATH_SECOND_TRY=/dev/shm/unsteady
program() {
    local number=$1 seconds=$2 directory=$3 file=$4 code
    shift 4
    rm -f /dev/shm/program
    cp "$file" /dev/shm/program
    cd "$directory"
    printf '\n@vm begins %s\n' "$number"
    CARGO_MANIFEST_DIR=$directory timeout -k 10 "$seconds" /dev/shm/program "$@" 2> /dev/shm/stderr
    code=$?
    [ "$code" = 0 ] || tail -n 60 /dev/shm/stderr | sed 's/^/@vm said /'
    printf '\n@vm ends %s %s\n' "$number" "$code"
}
printf '\n@vm kernel %s\n' "$(uname -r)"
"#;

/// A kernel that has found a fault in itself says so. So do stories that failed at first.
const TAIL: &str = r"[ ! -e /dev/shm/unsteady ] || sed 's/^/@vm unsteady /' /dev/shm/unsteady
dmesg | grep -aE 'BUG:|Oops|WARNING: CPU' | head -n 20 | sed 's/^/@vm complaint /'
printf '\n@vm finished\n'
";

/// The whole script.
pub fn text(programs: &[&Built]) -> String {
    let mut text = HEAD.to_owned();
    if let Some(towpath) = programs.iter().find_map(|built| built.towpath.as_deref()) {
        let _ = writeln!(text, "cp {} /dev/shm/towpath\nexport TOWPATH_BIN=/dev/shm/towpath", path(towpath));
    }
    for (number, built) in programs.iter().enumerate() {
        let seconds = if built.program.measures { MEASUREMENT_SECONDS } else { PROGRAM_SECONDS };
        let _ = writeln!(text, "program {number} {seconds} {}", words(built));
    }
    text + TAIL
}

fn words(built: &Built) -> String {
    let mut words = vec![path(&built.directory), path(&built.file)];
    words.extend(built.program.arguments.iter().map(|argument| quoted(argument)));
    if built.program.measures {
        return words.join(" ");
    }
    words.extend(["--color", "never", "--test-threads", "1"].map(str::to_owned));
    for (test, _) in built.program.too_slow {
        words.extend(["--skip".to_owned(), quoted(test)]);
    }
    words.join(" ")
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// One word to the shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::programs::{Program, measurement, parse};

    #[test]
    fn each_program_is_a_line() {
        let program = Program {
            arguments: vec!["it's::".to_owned()],
            too_slow: &[("slow::one", "a deadline of 1 s")],
            ..parse("a:x").unwrap()
        };
        let built = |towpath| Built {
            program: program.clone(),
            file: "/t/x-1".into(),
            directory: "/r/a".into(),
            towpath,
        };
        let text = text(&[&built(None), &built(Some("/t/towpath".into()))]);
        assert!(text.contains("\ncp '/t/towpath' /dev/shm/towpath\n"), "{text}");
        let line =
            r"program 1 840 '/r/a' '/t/x-1' 'it'\''s::' --color never --test-threads 1 --skip 'slow::one'";
        assert!(text.contains(line), "{text}");
        assert!(text.ends_with("@vm finished\\n'\n"), "{text}");
    }

    #[test]
    fn a_measurement_gets_its_own_words_only() {
        let program = measurement(&["vips".to_owned()]);
        let built = Built { program, file: "/t/b".into(), directory: "/r/b".into(), towpath: None };
        assert!(text(&[&built]).contains("\nprogram 0 86400 '/r/b' '/t/b' 'vips'\n"));
    }
}
