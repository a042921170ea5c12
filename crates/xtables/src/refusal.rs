//! What a tool's complaint means.

use crate::error::RestoreError;

/// Longest message that is kept, in characters.
const MESSAGE_LIMIT: usize = 400;

/// A failed restore of `text`, by what the tool printed. `holder` is asked who holds the lock.
pub(crate) fn refusal(stderr: &str, text: &str, holder: impl FnOnce() -> Option<String>) -> RestoreError {
    // Exit code 4 alone does not tell: the nf_tables variant has it for every rule that the kernel refuses.
    if stderr.contains("holding the xtables lock") {
        return RestoreError::Locked { holder: holder() };
    }
    let message = message(stderr);
    match line_number(stderr) {
        Some(number) => RestoreError::Line { number, message: reason(message, number, text) },
        None => RestoreError::Refused { message },
    }
}

/// The message without the number; the line itself where the tool gives no reason, as for what the kernel refuses.
fn reason(message: String, number: usize, text: &str) -> String {
    match message.strip_prefix(&format!("line {number}")) {
        None => message,
        Some(" failed") => {
            let line = text.lines().nth(number.saturating_sub(1)).unwrap_or_default();
            format!("the kernel does not take {line:?}")
        }
        Some(rest) => rest.trim_start_matches([':', ' ']).to_owned(),
    }
}

/// A tool's complaint in one line: without its own name, without the advice to try `--help`.
pub(crate) fn message(stderr: &str) -> String {
    let useful = |line: &&str| {
        let noise = ["Error occurred at line", "Try `", "# Warning"];
        !line.is_empty() && !noise.iter().any(|start| line.starts_with(start))
    };
    let lines: Vec<&str> =
        stderr.lines().map(|line| without_program(line).trim()).filter(useful).take(3).collect();
    let message: String = lines.join("; ").chars().take(MESSAGE_LIMIT).collect();
    if message.is_empty() { "it failed without saying why".to_owned() } else { message }
}

/// Cuts `iptables-nft-restore v1.8.9 (nf_tables): ` and `iptables-restore: `.
fn without_program(line: &str) -> &str {
    let Some((head, rest)) = line.split_once(':') else { return line };
    let program = head.split(' ').next().unwrap_or_default();
    let is_program = program.contains("tables") && head.split(' ').count() <= 3;
    if is_program { without_program(rest.trim_start()) } else { line }
}

/// The first line number that is named: `line 3 failed`, `line 3: …`, `Error occurred at line: 3`.
fn line_number(stderr: &str) -> Option<usize> {
    stderr.match_indices("line").find_map(|(at, word)| {
        let rest = stderr[at + word.len()..].trim_start_matches([':', ' ']);
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_of_both_variants() {
        let cases = [
            (
                "iptables-restore v1.8.9 (legacy): Couldn't load target `NOPE':No such file or directory\n\n\
                 Error occurred at line: 3\nTry `iptables-restore -h' or 'iptables-restore --help' for more information.\n",
                "line 3 was refused: Couldn't load target `NOPE':No such file or directory",
            ),
            (
                "iptables-nft-restore v1.8.9 (nf_tables): Chain 'NOPE' does not exist\nError occurred at line: 4\n",
                "line 4 was refused: Chain 'NOPE' does not exist",
            ),
            (
                "iptables-restore: line 3 failed\n",
                "line 3 was refused: the kernel does not take \"-A FOO -j X\"",
            ),
            (
                "iptables-nft-restore v1.8.9 (nf_tables): \nline 3: RULE_APPEND failed (Invalid argument): rule in chain FOO\n",
                "line 3 was refused: RULE_APPEND failed (Invalid argument): rule in chain FOO",
            ),
            (
                "iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'bogus'\nError occurred at line: 1\n",
                "line 1 was refused: unable to initialize table 'bogus'",
            ),
            (
                "iptables-restore: COMMIT expected at line 3\n",
                "line 3 was refused: COMMIT expected at line 3",
            ),
            (
                "Fatal: can't open lock file /run/xtables.lock: Permission denied\n",
                "the rules were refused: Fatal: can't open lock file /run/xtables.lock: Permission denied",
            ),
            ("", "the rules were refused: it failed without saying why"),
            (
                "Another app is currently holding the xtables lock. Stopped waiting after 5s.\n",
                "the xtables lock was held for 5 s by cat (pid 7)",
            ),
        ];
        for (stderr, expected) in cases {
            let error =
                refusal(stderr, "*nat\n:FOO - [0:0]\n-A FOO -j X\n", || Some("cat (pid 7)".to_owned()));
            assert_eq!(error.to_string(), expected, "{stderr}");
        }
    }
}
