//! When the node counts as broken: pure.

use std::time::Duration;

use model::IpFamily;

/// So many failures in a row are a verdict.
pub(super) const FAILURES: u32 = 3;

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The packets went there and back, in this time.
    Works(Duration),
    /// They did not.
    Fails(String),
    /// It could not be tried, which says nothing about the rules.
    Unknown(String),
}

/// What is worth a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It fails, again and again.
    Failing(String),
    /// It works again.
    Working,
    /// It cannot be tried.
    Untried(String),
}

/// One family's record.
#[derive(Clone, Debug, Default)]
struct Record {
    failures: u32,
    /// Why it counts as broken.
    broken: Option<String>,
    /// It was said that it cannot be tried.
    untried: bool,
}

/// The records of both families.
#[derive(Clone, Debug, Default)]
pub(super) struct Judge {
    records: [Record; 2],
}

impl Judge {
    /// Takes in an outcome; says what changes with it.
    pub(super) fn note(&mut self, family: IpFamily, outcome: &Outcome) -> Option<News> {
        let record = &mut self.records[family as usize];
        match outcome {
            Outcome::Works(_) => {
                let was_broken = std::mem::take(record).broken.is_some();
                was_broken.then_some(News::Working)
            }
            Outcome::Fails(why) => {
                record.untried = false;
                record.failures = record.failures.saturating_add(1);
                if record.failures < FAILURES || record.broken.is_some() {
                    return None;
                }
                record.broken = Some(why.clone());
                Some(News::Failing(why.clone()))
            }
            Outcome::Unknown(why) => {
                // What was broken stays so until it is seen to work.
                record.failures = 0;
                let news = !std::mem::replace(&mut record.untried, true);
                news.then(|| News::Untried(why.clone()))
            }
        }
    }

    /// The node has no address of a family any more.
    pub(super) fn forget(&mut self, family: IpFamily) {
        self.records[family as usize] = Record::default();
    }

    /// Why the node counts as broken, if it does.
    pub(super) fn verdict(&self) -> Option<String> {
        let of =
            |(family, record): (IpFamily, &Record)| Some(format!("{family}: {}", record.broken.as_ref()?));
        let reasons: Vec<String> = IpFamily::ALL.into_iter().zip(&self.records).filter_map(of).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(letter: char) -> Outcome {
        match letter {
            'w' => Outcome::Works(Duration::from_millis(1)),
            'f' => Outcome::Fails("lost".into()),
            _ => Outcome::Unknown("no route".into()),
        }
    }

    #[test]
    fn three_failures_in_a_row_are_a_verdict_until_it_works() {
        for (course, news, broken) in [
            ("w", "", false),
            ("ff", "", false),
            ("fff", "F", true),
            ("ffwff", "", false),
            ("fffff", "F", true),
            ("fffw", "FW", false),
            ("fffwfff", "FWF", true),
            ("uuu", "U", false),
            ("ffuff", "U", false),
            ("fffuu", "FU", true),
            ("fffuuw", "FUW", false),
            ("ufu", "UU", false),
        ] {
            let mut judge = Judge::default();
            let said: String = course
                .chars()
                .filter_map(|letter| judge.note(IpFamily::V6, &outcome(letter)))
                .map(|news| match news {
                    News::Failing(_) => 'F',
                    News::Working => 'W',
                    News::Untried(_) => 'U',
                })
                .collect();
            let expected = broken.then(|| "IPv6: lost".to_owned());
            assert_eq!((said.as_str(), judge.verdict()), (news, expected), "{course}");
        }
    }

    #[test]
    fn families_are_judged_apart() {
        let mut judge = Judge::default();
        for _ in 0..FAILURES {
            judge.note(IpFamily::V4, &outcome('f'));
            judge.note(IpFamily::V6, &outcome('f'));
        }
        assert_eq!(judge.verdict().as_deref(), Some("IPv4: lost; IPv6: lost"));
        judge.note(IpFamily::V4, &outcome('w'));
        assert_eq!(judge.verdict().as_deref(), Some("IPv6: lost"));
        judge.forget(IpFamily::V6);
        assert_eq!(judge.verdict(), None);
    }
}
