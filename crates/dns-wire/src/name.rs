//! Domain names in wire form: owned ([`Name`]) and borrowed ([`NameRef`]).

/// Most octets of a name in wire form, the root label included (RFC 1035 section 2.3.4).
pub const MAX_NAME: usize = 255;
/// Most octets of one label (RFC 1035 section 2.3.4).
pub const MAX_LABEL: usize = 63;

/// An owned name: uncompressed wire form, letter case kept, root label included, 1 to 255 octets.
///
/// `Eq`, `Ord` and `Hash` compare octets. Use [`NameRef::eq_ignore_case`] to compare as DNS does, [`Name::lower`] for keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

/// A borrowed name: uncompressed wire form, letter case kept, root label included, 1 to 255 octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameRef<'a>(&'a [u8]);

impl Name {
    /// The root.
    #[must_use]
    pub fn root() -> Self {
        NameRef::ROOT.to_owned()
    }

    /// The same, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef(&self.0)
    }

    /// The octets, root label included.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The name with ASCII letters in lower case: the form for keys.
    #[must_use]
    pub fn lower(&self) -> Self {
        Self(self.0.to_ascii_lowercase().into())
    }
}

impl<'a> From<NameRef<'a>> for Name {
    fn from(name: NameRef<'a>) -> Self {
        name.to_owned()
    }
}

impl<'a> From<&'a Name> for NameRef<'a> {
    fn from(name: &'a Name) -> Self {
        name.as_ref()
    }
}

impl<'a> NameRef<'a> {
    /// The root.
    pub const ROOT: NameRef<'static> = NameRef(&[0]);

    /// Reads an uncompressed name at the beginning of `octets`; what follows it is left alone (`wire().len()` octets are the name).
    /// `None`: it is cut off, too long, or has a pointer or a reserved label type.
    #[must_use]
    #[inline]
    pub fn read(octets: &'a [u8]) -> Option<Self> {
        let mut at = 0;
        loop {
            match *octets.get(at)? {
                0 => return (at < MAX_NAME).then(|| Self(&octets[..=at])),
                length if usize::from(length) > MAX_LABEL => return None,
                length => at += 1 + usize::from(length),
            }
        }
    }

    /// The octets, root label included.
    #[must_use]
    #[inline]
    pub fn wire(self) -> &'a [u8] {
        self.0
    }

    /// The labels from the left, the root label excluded.
    #[must_use]
    #[inline]
    pub fn labels(self) -> Labels<'a> {
        Labels(self.0)
    }

    /// How many labels there are, the root label excluded: 0 to 127.
    #[must_use]
    pub fn label_count(self) -> usize {
        self.labels().count()
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(self) -> bool {
        self.0.len() == 1
    }

    /// The leftmost label; `None` for the root.
    #[must_use]
    pub fn first_label(self) -> Option<&'a [u8]> {
        self.labels().next()
    }

    /// The name without its leftmost label; `None` for the root.
    #[must_use]
    #[inline]
    pub fn parent(self) -> Option<NameRef<'a>> {
        let length = usize::from(*self.0.first()?);
        if length == 0 { None } else { self.0.get(1 + length..).map(NameRef) }
    }

    /// Whether the name is `zone` or below it, by whole labels, ignoring ASCII case.
    #[must_use]
    #[inline]
    pub fn ends_with(self, zone: NameRef<'_>) -> bool {
        self.strip(zone).is_some()
    }

    /// How many octets are left of `zone`, 0 if the name is the zone itself; `None` if the name is not below it.
    #[must_use]
    #[inline]
    pub fn strip(self, zone: NameRef<'_>) -> Option<usize> {
        let left = self.0.len().checked_sub(zone.0.len())?;
        if !self.0[left..].eq_ignore_ascii_case(zone.0) {
            return None;
        }
        let mut at = 0;
        while at < left {
            at += 1 + usize::from(self.0[at]);
        }
        (at == left).then_some(left)
    }

    /// The labels left of `zone`, from the left; `None` if the name is not the zone or below it.
    #[must_use]
    pub fn labels_below(self, zone: NameRef<'_>) -> Option<Labels<'a>> {
        self.strip(zone).map(|left| Labels(&self.0[..left]))
    }

    /// Whether both are the same name as DNS sees it: ignoring ASCII case.
    #[must_use]
    #[inline]
    pub fn eq_ignore_case(self, other: NameRef<'_>) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }

    /// Writes the name with ASCII letters in lower case into `buffer` and returns what was written.
    #[inline]
    pub fn lower_into(self, buffer: &mut [u8; MAX_NAME]) -> &[u8] {
        let lower = &mut buffer[..self.0.len()];
        lower.copy_from_slice(self.0);
        lower.make_ascii_lowercase();
        lower
    }

    /// An owned copy, letter case kept.
    #[must_use]
    pub fn to_owned(self) -> Name {
        Name(self.0.into())
    }

    /// An owned copy with ASCII letters in lower case: the form for keys.
    #[must_use]
    pub fn to_lower(self) -> Name {
        Name(self.0.to_ascii_lowercase().into())
    }

    /// What the caller knows to be a name in wire form.
    pub(crate) fn trusted(wire: &'a [u8]) -> Self {
        debug_assert_eq!(Self::read(wire).map(|name| name.0.len()), Some(wire.len()));
        Self(wire)
    }
}

/// The labels of a name from the left, the root label excluded. Each is 1 to 63 octets of any value.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a>(&'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(*self.0.first()?);
        if length == 0 {
            return None;
        }
        let label = self.0.get(1..=length)?;
        self.0 = &self.0[1 + length..];
        Some(label)
    }
}
