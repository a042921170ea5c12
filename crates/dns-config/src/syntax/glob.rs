//! Patterns of `import`: `*`, `?` and `[...]` in the parts of a path, as Go's `filepath.Glob` reads them.

use std::path::{Component, Path, PathBuf};

use crate::env::Env;

/// Whether a path has wildcards at all.
pub fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// The paths that fit, sorted, and the directories that were looked into.
pub fn expand(pattern: &Path, env: &dyn Env) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut paths = vec![PathBuf::new()];
    let mut directories = Vec::new();
    for part in pattern.components() {
        match part {
            Component::Normal(part) if is_pattern(Path::new(part)) => {
                let part = part.to_string_lossy();
                let found = paths.iter().flat_map(|path| inside(path, &part, env)).collect();
                directories.append(&mut paths);
                paths = found;
            }
            part => paths.iter_mut().for_each(|path| path.push(part)),
        }
    }
    (paths, directories)
}

fn inside(directory: &Path, pattern: &str, env: &dyn Env) -> Vec<PathBuf> {
    let pattern: Vec<char> = pattern.chars().collect();
    let mut names = env.directory(directory);
    names.retain(|name| fits(&pattern, &name.chars().collect::<Vec<_>>()));
    names.sort();
    names.iter().map(|name| directory.join(name)).collect()
}

/// Whether a name fits. Goes back to the last `*` only, so the cost is pattern times name.
fn fits(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(used) = one(&pattern[p..], name[n]) {
            p += used;
            n += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, n) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How many characters of the pattern `c` fits, if it does.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '\\' => (pattern.get(1) == Some(&c)).then_some(2),
        '[' => class(pattern, c),
        first => (*first == c).then_some(1),
    }
}

fn class(pattern: &[char], c: char) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|c| *c == ']')? + 2;
    let negated = pattern[1] == '^';
    let inside = &pattern[if negated { 2 } else { 1 }..end];
    let hit = inside.contains(&c) || inside.windows(3).any(|w| w[1] == '-' && (w[0]..=w[2]).contains(&c));
    (hit != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        let cases = [
            ("*.override", "a.override", true),
            ("*.override", ".override", true),
            ("*.override", "a.overrid", false),
            ("*.override", "a.override.bak", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[", "[", false),
            ("[]", "]", false),
            ("\\*", "*", true),
            ("*", "", true),
        ];
        for (pattern, name, want) in cases {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(fits(&chars(pattern), &chars(name)), want, "{pattern} {name}");
        }
    }
}
