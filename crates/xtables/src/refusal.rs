//! What a tool's complaint means.

use model::IpFamily;

use crate::error::RestoreError;
use crate::find::base;
use crate::tools::TABLES;

/// Longest message that is kept, in characters.
const MESSAGE_LIMIT: usize = 400;

/// A failed restore of `text`, by what the tool printed. `holder` is asked who holds the lock.
pub(crate) fn refusal(
    stderr: &str,
    text: &str,
    family: IpFamily,
    holder: impl FnOnce() -> Option<String>,
) -> RestoreError {
    // Exit code 4 alone does not tell: the nf_tables variant has it for every rule that the kernel refuses.
    if stderr.contains("holding the xtables lock") {
        return RestoreError::Locked { holder: holder() };
    }
    let message = with_advice(message(stderr), family);
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

/// Says what to do where the legacy kernel has no such table: ``unable to initialize table 'nat'``, ``can't initialize
/// ip6tables table `nat': Table does not exist``. A tool in a container cannot load the module by itself.
pub(crate) fn with_advice(message: String, family: IpFamily) -> String {
    let complaints = ["unable to initialize table", "Table does not exist"];
    let quoted = |table: &&str| message.contains(&format!("{table}'"));
    let table = complaints.iter().any(|c| message.contains(c)).then(|| TABLES.into_iter().find(quoted));
    let Some(table) = table.flatten() else { return message };
    let tables = base(family).trim_end_matches('s');
    let modules = format!("{}_tables and {tables}_{table}", tables.trim_end_matches("table"));
    format!("{message}; load the kernel modules {modules} on the node, by a file in /etc/modules-load.d")
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
                "iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'nat'\n\nError occurred at line: 1\n",
                "line 1 was refused: unable to initialize table 'nat'; load the kernel modules ip_tables and iptable_nat on the node, by a file in /etc/modules-load.d",
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
            let error = refusal(stderr, "*nat\n:FOO - [0:0]\n-A FOO -j X\n", IpFamily::V4, || {
                Some("cat (pid 7)".to_owned())
            });
            assert_eq!(error.to_string(), expected, "{stderr}");
        }
    }

    #[test]
    fn a_table_that_is_not_there_names_its_modules() {
        let cases = [
            (
                "can't initialize ip6tables table `filter': Table does not exist (do you need to insmod?)",
                "ip6_tables and ip6table_filter",
            ),
            ("unable to initialize table 'bogus'", ""),
            ("Chain 'nat' does not exist", ""),
        ];
        for (message, modules) in cases {
            let advised = with_advice(message.to_owned(), IpFamily::V6);
            let advice = advised.strip_prefix(message).unwrap();
            assert_eq!(advice.is_empty(), modules.is_empty(), "{advised}");
            assert!(advice.contains(modules), "{advised}");
        }
    }
}
