//! The report for people.

use std::fmt::Write;

use crate::report::{Finding, Report, Severity};

/// Columns of a line.
const WIDTH: usize = 110;
/// Subjects that are named; of more, their number is given.
const NAMED: usize = 20;

impl Report {
    /// The report for people. Notes are their titles only.
    pub fn text(&self) -> String {
        let mut out = self.header();
        let (notes, others): (Vec<_>, Vec<_>) =
            self.findings.iter().partition(|finding| finding.severity == Severity::Note);
        others.into_iter().for_each(|finding| out += &entry(finding));
        out += if notes.is_empty() { "" } else { "\n" };
        notes.into_iter().for_each(|finding| out += &entry(finding));
        if !self.not_checked.is_empty() {
            out += "\nNot checked:\n";
            self.not_checked.iter().for_each(|line| out += &wrapped("  - ", line));
        }
        out
    }

    fn header(&self) -> String {
        let given = if self.from.given.is_empty() { " (the default before Kubernetes 1.40)" } else { "" };
        let (from, to) = (&self.from.mode, self.to);
        let [breaks, differs, notes] =
            [Severity::Breaks, Severity::Differs, Severity::Note].map(|severity| self.count(severity));
        let mut out = String::new();
        let _ = writeln!(out, "from kube-proxy, mode {from}{given}, to towpath, mode {to}");
        let _ =
            writeln!(out, "{} Services read: {breaks} break, {differs} differ, {notes} notes", self.services);
        out
    }
}

fn entry(finding: &Finding) -> String {
    let word = match finding.severity {
        Severity::Breaks => "BREAKS ",
        Severity::Differs => "differs",
        Severity::Note => "note   ",
    };
    let title = format!("{}: {}{}", finding.id, finding.title, count(finding));
    let mut out = wrapped(&format!("{word} "), &title);
    if finding.severity == Severity::Note {
        return out;
    }
    out.insert(0, '\n');
    if !finding.subjects.is_empty() {
        out += &wrapped("        ", &named(&finding.subjects));
    }
    out += &wrapped("        why: ", finding.why);
    if !finding.remedy.is_empty() {
        out += &wrapped("        do:  ", finding.remedy);
    }
    out
}

fn count(finding: &Finding) -> String {
    match finding.subjects.len() {
        0 => String::new(),
        n => format!(" ({n})"),
    }
}

fn named(subjects: &[String]) -> String {
    let more = subjects.len().saturating_sub(NAMED);
    let list = subjects[..subjects.len() - more].join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}

/// `text` in lines of at most [`WIDTH`] columns where its words allow that; the first begins with `prefix`.
fn wrapped(prefix: &str, text: &str) -> String {
    let (mut out, mut line) = (String::new(), prefix.to_owned());
    let mut is_empty = true;
    for word in text.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out += &line;
            out.push('\n');
            line = " ".repeat(prefix.len());
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line += word;
        is_empty = false;
    }
    out + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_filled_and_aligned() {
        let text = wrapped("  - ", &"word ".repeat(40));
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        assert!(text.lines().skip(1).all(|line| line.starts_with("    word")));
        assert_eq!(text.lines().count(), 2);
        assert_eq!(wrapped("- ", &"x".repeat(200)), format!("- {}\n", "x".repeat(200)));
    }

    #[test]
    fn of_many_subjects_twenty_are_named() {
        let subjects: Vec<String> = (10..45).map(|i| format!("shop/{i}")).collect();
        let text = named(&subjects);
        assert!(text.ends_with("shop/29 and 15 more"), "{text}");
        assert_eq!(named(&subjects[..2]), "shop/10, shop/11");
    }
}
