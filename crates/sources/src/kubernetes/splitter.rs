//! Cutting a list into its elements while it comes in.

use super::pieces::{Capture, Piece};
use super::scan::ValueScan;

/// What a list says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListHead {
    /// `kind`.
    pub(super) kind: Option<String>,
    /// `metadata.resourceVersion`.
    pub(super) version: Option<String>,
    /// `metadata.continue`: there is more.
    pub(super) more: Option<String>,
}

/// Cuts the elements of `items` out of a list; keys may come in any order.
#[derive(Debug)]
pub(super) struct ListSplitter {
    place: Place,
    scan: ValueScan,
    capture: Capture,
    offset: usize,
    head: ListHead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing but spaces so far.
    Before,
    KeyOrEnd,
    Key,
    Colon(Field),
    Value(Field),
    CommaOrEnd,
    /// The value of `items` comes.
    Items,
    ItemOrEnd,
    Item,
    ItemCommaOrEnd,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Kind,
    Metadata,
    Items,
    Other,
}

/// What came is no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotAList {
    /// After how many bytes.
    pub(super) offset: usize,
    /// What was expected there.
    pub(super) expected: &'static str,
}

impl ListSplitter {
    /// Elements above `limit` bytes are too large.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            place: Place::Before,
            scan: ValueScan::default(),
            capture: Capture::new(limit),
            offset: 0,
            head: ListHead::default(),
        }
    }

    /// Takes bytes, hands out every element that is complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Piece<'_>)) -> Result<(), NotAList> {
        while !bytes.is_empty() {
            let used = match self.place {
                Place::Key | Place::Item => self.value(bytes, true, &mut each),
                Place::Value(field) => self.value(bytes, field != Field::Other, &mut each),
                _ => self.between(bytes)?,
            };
            self.offset += used;
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// What the list said about itself, once all of it was there.
    pub(super) fn finish(self) -> Result<ListHead, NotAList> {
        if self.place == Place::After {
            Ok(self.head)
        } else {
            Err(self.expected("more: the list is cut off"))
        }
    }

    /// Goes on in a value; the number of bytes used.
    fn value(&mut self, bytes: &[u8], keep: bool, each: &mut impl FnMut(Piece<'_>)) -> usize {
        let Some(end) = self.scan.feed(bytes) else {
            if keep {
                self.capture.add(bytes);
            }
            return bytes.len();
        };
        self.scan = ValueScan::default();
        let (place, head) = (self.place, &mut self.head);
        if keep {
            self.place = self.capture.finish(&bytes[..end], |piece| ended(place, piece, head, each));
        } else {
            self.place = Place::CommaOrEnd;
        }
        end
    }

    /// One byte between values; 0 when the value that it begins is to be scanned from it.
    fn between(&mut self, bytes: &[u8]) -> Result<usize, NotAList> {
        let byte = bytes[0];
        if byte.is_ascii_whitespace() {
            return Ok(1);
        }
        let (next, used) = match (self.place, byte) {
            (Place::Before, b'{') => (Place::KeyOrEnd, 1),
            (Place::KeyOrEnd, b'"') => (Place::Key, 0),
            (Place::KeyOrEnd | Place::CommaOrEnd, b'}') => (Place::After, 1),
            (Place::Colon(Field::Items), b':') => (Place::Items, 1),
            (Place::Colon(field), b':') => (Place::Value(field), 1),
            (Place::CommaOrEnd, b',') => (Place::KeyOrEnd, 1),
            (Place::Items, b'[') => (Place::ItemOrEnd, 1),
            (Place::Items, _) => (Place::Value(Field::Other), 0),
            (Place::ItemOrEnd | Place::ItemCommaOrEnd, b']') => (Place::CommaOrEnd, 1),
            (Place::ItemOrEnd, _) => (Place::Item, 0),
            (Place::ItemCommaOrEnd, b',') => (Place::ItemOrEnd, 1),
            (place, _) => return Err(self.expected(wanted(place))),
        };
        self.place = next;
        Ok(used)
    }

    fn expected(&self, expected: &'static str) -> NotAList {
        NotAList { offset: self.offset, expected }
    }
}

fn wanted(place: Place) -> &'static str {
    match place {
        Place::Before => "a JSON object",
        Place::KeyOrEnd => "a key or '}'",
        Place::Colon(_) => "':'",
        Place::CommaOrEnd => "',' or '}'",
        Place::ItemCommaOrEnd => "',' or ']'",
        _ => "nothing more",
    }
}

/// Uses a value that has ended, and says what comes next.
fn ended(place: Place, piece: Piece<'_>, head: &mut ListHead, each: &mut impl FnMut(Piece<'_>)) -> Place {
    let bytes = match (&piece, place) {
        (_, Place::Item) => {
            each(piece);
            return Place::ItemCommaOrEnd;
        }
        (Piece::Whole(bytes), _) => *bytes,
        (Piece::TooLarge { .. }, _) => b"",
    };
    match place {
        Place::Key => Place::Colon(match bytes {
            br#""items""# => Field::Items,
            br#""metadata""# => Field::Metadata,
            br#""kind""# => Field::Kind,
            _ => Field::Other,
        }),
        Place::Value(Field::Kind) => {
            head.kind = serde_json::from_slice(bytes).ok();
            Place::CommaOrEnd
        }
        Place::Value(Field::Metadata) => {
            let metadata: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
            let text = |key: &str| metadata[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            (head.version, head.more) = (text("resourceVersion"), text("continue"));
            Place::CommaOrEnd
        }
        _ => Place::CommaOrEnd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#" {"kind":"ServiceList", "items" : [{"a":"]}\"{"},{},
        {"metadata":{"name":"\\"}} ],"x":[{"items":[1]}],"n":-1.5e3,"metadata":{"resourceVersion":"225","continue":"t,]"},"z":null} "#;

    fn split(chunks: &[&[u8]], limit: usize) -> Result<(Vec<String>, ListHead), NotAList> {
        let (mut splitter, mut found) = (ListSplitter::new(limit), Vec::new());
        for chunk in chunks {
            splitter.feed(chunk, |piece| {
                found.push(match piece {
                    Piece::Whole(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    Piece::TooLarge { head, size } => format!("{size}: {}", String::from_utf8_lossy(head)),
                });
            })?;
        }
        Ok((found, splitter.finish()?))
    }

    #[test]
    fn every_cut_gives_the_same_elements() {
        let bytes = LIST.as_bytes();
        let whole = split(&[bytes], 1000).unwrap();
        assert_eq!(whole.0, [r#"{"a":"]}\"{"}"#, "{}", r#"{"metadata":{"name":"\\"}}"#]);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(whole.1, ListHead { kind: text("ServiceList"), version: text("225"), more: text("t,]") });
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let chunks = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(split(&chunks, 1000).unwrap(), whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_no_list_is_refused() {
        let bytes = LIST.trim_end().as_bytes();
        for end in 0..bytes.len() {
            assert!(split(&[&bytes[..end]], 1000).is_err(), "cut off at {end}");
        }
        for (text, offset) in [
            ("<html>", 0),
            ("[]", 0),
            (r#"{"items":[{} {}]}"#, 13),
            (r#"{"items":{}}}"#, 12),
            (r#"{"a" 1}"#, 5),
            ("{1}", 1),
        ] {
            assert_eq!(split(&[text.as_bytes()], 1000).map_err(|e| e.offset), Err(offset), "{text}");
        }
        for (text, count) in
            [(r#"{"items":null}"#, 0), ("{}", 0), (r#"{"items":[]}"#, 0), (r#"{"items":[1,"a"]}"#, 2)]
        {
            assert_eq!(split(&[text.as_bytes()], 1000).unwrap().0.len(), count, "{text}");
        }
    }

    #[test]
    fn what_is_too_large_is_skipped() {
        let list = r#"{"items":[{"a":1},{"name":"large","b":"0123456789"},{"c":2}]}"#;
        let expected = [r#"{"a":1}"#, r#"33: {"name":"large","b":"0"#, r#"{"c":2}"#];
        assert_eq!(split(&[list.as_bytes()], 24).unwrap().0[1].len(), "33: ".len() + 24);
        for end in 0..list.len() {
            let found = split(&[&list.as_bytes()[..end], &list.as_bytes()[end..]], 24).unwrap().0;
            assert_eq!((&*found[0], &*found[2]), (expected[0], expected[2]));
            assert!(found[1].starts_with("33: {"), "{found:?}");
        }
    }
}
