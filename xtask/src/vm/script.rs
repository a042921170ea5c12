//! What the machine runs: the programs one after another, with marks between them that `console` reads.

use std::fmt::Write as _;
use std::path::Path;

use crate::vm::build::Built;

/// A program that runs longer is stopped, so that the others get their turn.
const PROGRAM_SECONDS: u32 = 420;

/// Reading a program's pages over 9p each time is twice as slow as a copy in memory.
/// What goes to standard error is told only when a program fails: else it would cut lines of results in two.
const HEAD: &str = r#"#!/bin/bash
exec 2>&1
dmesg -n 1
ip link set lo up
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

/// A kernel that has found a fault in itself says so.
const TAIL: &str = r"dmesg | grep -aE 'BUG:|Oops|WARNING: CPU' | head -n 20 | sed 's/^/@vm complaint /'
printf '\n@vm finished\n'
";

/// The whole script.
pub fn text(programs: &[Built]) -> String {
    let mut text = HEAD.to_owned();
    if let Some(towpath) = programs.iter().find_map(|built| built.towpath.as_deref()) {
        let _ = writeln!(text, "cp {} /dev/shm/towpath\nexport TOWPATH_BIN=/dev/shm/towpath", path(towpath));
    }
    for (number, built) in programs.iter().enumerate() {
        let _ = writeln!(text, "program {number} {PROGRAM_SECONDS} {}", words(built));
    }
    text + TAIL
}

fn words(built: &Built) -> String {
    let mut words = vec![path(&built.directory), path(&built.file)];
    words.extend(built.program.arguments.iter().map(|argument| quoted(argument)));
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
    use crate::vm::programs::{Program, parse};

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
        let text = text(&[built(None), built(Some("/t/towpath".into()))]);
        assert!(text.contains("\ncp '/t/towpath' /dev/shm/towpath\n"), "{text}");
        let line =
            r"program 1 420 '/r/a' '/t/x-1' 'it'\''s::' --color never --test-threads 1 --skip 'slow::one'";
        assert!(text.contains(line), "{text}");
        assert!(text.ends_with("@vm finished\\n'\n"), "{text}");
    }
}
