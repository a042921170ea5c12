//! `rewrite`: the question becomes another, and its answer is turned back.

use dns_config::{AnswerRewrite, Pattern, Rewrite, RewriteRule, Then, compile_regex};
use dns_wire::{Name, NameRef};
use regex::bytes::Regex;

use super::pattern::{Matcher, changed};

/// All rules of a block, ready.
#[derive(Debug)]
pub(crate) struct Rewriter(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    stop: bool,
    what: What,
}

#[derive(Debug)]
enum What {
    Name { matcher: Matcher, suffix: Option<String>, to: String, answer: Vec<Answer> },
    Type { from: u16, to: u16 },
    Ttl { matcher: Matcher, min: u32, max: u32 },
}

#[derive(Debug, Clone)]
enum Answer {
    Auto,
    Name(Regex, String),
    Value(Regex, String),
}

/// What a question became, and how its answer is turned back.
#[derive(Debug, Default)]
pub(crate) struct Rewritten {
    /// Another name to look up.
    pub(crate) name: Option<Name>,
    /// Another type to look up.
    pub(crate) qtype: Option<u16>,
    ttl: Option<(u32, u32)>,
    /// In the order in which the answer is turned back: the last rule first.
    back: Vec<Back>,
}

#[derive(Debug)]
enum Back {
    /// One whole name, in all places.
    Whole {
        from: String,
        to: String,
    },
    /// The end of a name, in all places.
    Suffix {
        from: String,
        to: String,
    },
    Owner(Regex, String),
    Value(Regex, String),
}

impl Rewriter {
    /// `None` without rules. A pattern that cannot be read is said in `notes`; its rule is left out.
    pub(crate) fn new(rules: &[Rewrite], notes: &mut Vec<String>) -> Option<Self> {
        let mut ready = Vec::new();
        for rule in rules {
            match Rule::new(rule) {
                Ok(rule) => ready.push(rule),
                Err(error) => notes.push(format!("{}: rewrite: {error}", rule.at)),
            }
        }
        (!ready.is_empty()).then_some(Self(ready))
    }

    /// Applies the rules; `None`: none is about this question.
    pub(crate) fn apply(&self, name: NameRef<'_>, qtype: u16) -> Option<Rewritten> {
        let asked = name.to_owned().lower().to_string();
        let (mut text, mut kind, mut matched) = (asked.clone(), qtype, false);
        let mut outcome = Rewritten::default();
        for rule in &self.0 {
            if rule.apply(&mut text, &mut kind, &mut outcome) {
                matched = true;
                if rule.stop {
                    break;
                }
            }
        }
        if !matched {
            return None;
        }
        outcome.name = if text == asked { None } else { Some(text.parse().ok()?) };
        outcome.qtype = Some(kind).filter(|kind| *kind != qtype);
        outcome.back.reverse();
        Some(outcome)
    }
}

impl Rule {
    fn new(rule: &Rewrite) -> Result<Self, regex::Error> {
        let what = match &rule.rule {
            RewriteRule::Name(rewrite) => What::Name {
                matcher: Matcher::new(&rewrite.pattern)?,
                suffix: match &rewrite.pattern {
                    Pattern::Suffix(suffix) => Some(suffix.clone()),
                    _ => None,
                },
                to: rewrite.to.clone(),
                answer: rewrite.answer.iter().map(Answer::new).collect::<Result<_, _>>()?,
            },
            RewriteRule::Type { from, to } => What::Type { from: *from, to: *to },
            RewriteRule::Ttl(ttl) => {
                What::Ttl { matcher: Matcher::new(&ttl.pattern)?, min: ttl.min, max: ttl.max }
            }
        };
        Ok(Self { stop: rule.then == Then::Stop, what })
    }

    fn apply(&self, name: &mut String, qtype: &mut u16, outcome: &mut Rewritten) -> bool {
        match &self.what {
            What::Name { matcher, suffix, to, answer } => {
                let Some(new) = matcher.replace(name, to) else { return false };
                let old = std::mem::replace(name, new.clone());
                let back = answer.iter().map(|answer| answer.back(&old, &new, suffix.as_deref(), to));
                outcome.back.extend(back);
                true
            }
            What::Type { from, to } => {
                let matches = qtype == from;
                if matches {
                    *qtype = *to;
                }
                matches
            }
            What::Ttl { matcher, min, max } => {
                let matches = matcher.matches(name);
                if matches {
                    outcome.ttl = Some((*min, *max));
                }
                matches
            }
        }
    }
}

impl Answer {
    fn new(answer: &AnswerRewrite) -> Result<Self, regex::Error> {
        Ok(match answer {
            AnswerRewrite::Auto => Self::Auto,
            AnswerRewrite::Name { from, to } => Self::Name(compile_regex(from)?, to.clone()),
            AnswerRewrite::Value { from, to } => Self::Value(compile_regex(from)?, to.clone()),
        })
    }

    fn back(&self, old: &str, new: &str, suffix: Option<&str>, to: &str) -> Back {
        match (self, suffix) {
            (Self::Auto, Some(suffix)) => Back::Suffix { from: to.to_owned(), to: suffix.to_owned() },
            (Self::Auto, None) => Back::Whole { from: new.to_owned(), to: old.to_owned() },
            (Self::Name(from, to), _) => Back::Owner(from.clone(), to.clone()),
            (Self::Value(from, to), _) => Back::Value(from.clone(), to.clone()),
        }
    }
}

impl Rewritten {
    /// Neither the question nor the answer is another.
    pub(crate) fn is_nothing(&self) -> bool {
        self.name.is_none() && self.qtype.is_none() && self.ttl.is_none() && self.back.is_empty()
    }

    /// An owner of the answer, turned back.
    pub(crate) fn owner(&self, name: &Name) -> Option<Name> {
        self.turn(name, |back, text| match back {
            Back::Owner(from, to) => changed(from, text, to),
            Back::Value(..) => None,
            both => both.in_all_places(text),
        })
    }

    /// A name in the data of a record, turned back.
    pub(crate) fn value(&self, name: &Name) -> Option<Name> {
        self.turn(name, |back, text| match back {
            Back::Value(from, to) => changed(from, text, to),
            Back::Owner(..) => None,
            both => both.in_all_places(text),
        })
    }

    /// A TTL of the answer, within what a rule allows.
    pub(crate) fn ttl(&self, ttl: u32) -> u32 {
        self.ttl.map_or(ttl, |(min, max)| ttl.max(min).min(max))
    }

    fn turn(&self, name: &Name, one: impl Fn(&Back, &str) -> Option<String>) -> Option<Name> {
        let before = name.lower().to_string();
        let mut text = before.clone();
        for back in &self.back {
            if let Some(new) = one(back, &text) {
                text = new;
            }
        }
        if text == before { None } else { text.parse().ok() }
    }
}

impl Back {
    fn in_all_places(&self, text: &str) -> Option<String> {
        match self {
            Self::Whole { from, to } => (text == from).then(|| to.clone()),
            Self::Suffix { from, to } => text.strip_suffix(from.as_str()).map(|rest| format!("{rest}{to}")),
            Self::Owner(..) | Self::Value(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use dns_config::{NameRewrite, Place, TtlRewrite};
    use dns_wire::rtype;

    use super::*;

    fn rule(pattern: Pattern, to: &str, answer: Vec<AnswerRewrite>, then: Then) -> Rewrite {
        let rule = RewriteRule::Name(NameRewrite { pattern, to: to.to_owned(), answer });
        Rewrite { at: Place::new("Corefile", 1), then, rule }
    }

    fn rewriter(rules: &[Rewrite]) -> Rewriter {
        let mut notes = Vec::new();
        let ready = Rewriter::new(rules, &mut notes).unwrap();
        assert_eq!(notes, Vec::<String>::new());
        ready
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn answer_auto_turns_names_back() {
        let suffix = Pattern::Suffix(".my.example.".into());
        let rules = [
            rule(
                Pattern::Exact("a.b.".into()),
                "web.ns.svc.cluster.local.",
                vec![AnswerRewrite::Auto],
                Then::Stop,
            ),
            rule(suffix, ".svc.cluster.local.", vec![AnswerRewrite::Auto], Then::Stop),
        ];
        let rewriter = rewriter(&rules);
        assert!(rewriter.apply(name("other.").as_ref(), rtype::A).is_none());
        let exact = rewriter.apply(name("A.b.").as_ref(), rtype::A).unwrap();
        assert_eq!(exact.name, Some(name("web.ns.svc.cluster.local.")));
        assert_eq!(exact.owner(&name("web.ns.svc.cluster.local.")), Some(name("a.b.")));
        assert_eq!(exact.owner(&name("other.")), None);
        let suffix = rewriter.apply(name("web.ns.my.example.").as_ref(), rtype::SRV).unwrap();
        assert_eq!(suffix.name, Some(name("web.ns.svc.cluster.local.")));
        assert_eq!(suffix.value(&name("x.web.ns.svc.cluster.local.")), Some(name("x.web.ns.my.example.")));
    }

    #[test]
    fn rules_follow_each_other_and_are_turned_back_in_reverse() {
        let auto = || vec![AnswerRewrite::Auto];
        let rules = [
            rule(Pattern::Exact("a.".into()), "b.", auto(), Then::Continue),
            rule(Pattern::Exact("b.".into()), "c.", auto(), Then::Stop),
            rule(Pattern::Exact("c.".into()), "d.", auto(), Then::Stop),
            Rewrite {
                at: Place::new("Corefile", 2),
                then: Then::Stop,
                rule: RewriteRule::Type { from: rtype::ANY, to: rtype::A },
            },
            Rewrite {
                at: Place::new("Corefile", 3),
                then: Then::Stop,
                rule: RewriteRule::Ttl(TtlRewrite { pattern: Pattern::Suffix("t.".into()), min: 5, max: 30 }),
            },
        ];
        let rewriter = rewriter(&rules);
        let found = rewriter.apply(name("a.").as_ref(), rtype::A).unwrap();
        assert_eq!((found.name.clone(), found.owner(&name("c."))), (Some(name("c.")), Some(name("a."))));
        let typed = rewriter.apply(name("x.").as_ref(), rtype::ANY).unwrap();
        assert_eq!((typed.name, typed.qtype), (None, Some(rtype::A)));
        let ttl = rewriter.apply(name("x.t.").as_ref(), rtype::A).unwrap();
        assert_eq!([1, 10, 100].map(|seconds| ttl.ttl(seconds)), [5, 10, 30]);
    }
}
