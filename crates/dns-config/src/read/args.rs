//! Arguments of directives, checked as CoreDNS does.

use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use dns_wire::{Name, rtype};

use crate::place::Problem;
use crate::syntax::{Directive, Token};
use crate::text::{duration, lower_name};
use crate::zone::{MAX_ZONES, zones};

impl Token {
    /// What is wrong with this word.
    pub(crate) fn problem(&self, message: impl fmt::Display) -> Problem {
        Problem::new(&self.at, message)
    }

    /// A whole number within a range.
    pub(crate) fn number(&self, what: &str, range: RangeInclusive<u32>) -> Result<u32, Problem> {
        let number = self.text.parse().ok().filter(|number| range.contains(number));
        let (least, most) = (range.start(), range.end());
        number.ok_or_else(|| {
            self.problem(format!("{what}: {} is not a number from {least} to {most}", self.text))
        })
    }

    /// A duration in Go's form, not negative.
    pub(crate) fn duration(&self, what: &str) -> Result<Duration, Problem> {
        let message = || format!("{what}: {} is not a duration: write for example 30s or 500ms", self.text);
        duration(&self.text).ok_or_else(|| self.problem(message()))
    }

    /// A name, in lower case.
    pub(crate) fn domain(&self) -> Result<Name, Problem> {
        lower_name(&self.text).ok_or_else(|| self.problem(format!("{} is not a domain name", self.text)))
    }

    /// A zone or a network.
    pub(crate) fn zones(&self) -> Result<Vec<Name>, Problem> {
        zones(&self.text).ok_or_else(|| self.problem(format!("{} is not a zone", self.text)))
    }

    /// A type of records.
    pub(crate) fn rtype(&self) -> Result<u16, Problem> {
        rtype::from_name(&self.text)
            .ok_or_else(|| self.problem(format!("{} is not a type of records", self.text)))
    }
}

impl Directive {
    /// What is wrong with this directive.
    pub(crate) fn problem(&self, message: impl fmt::Display) -> Problem {
        self.name.problem(format!("{}: {message}", self.name.text))
    }

    /// There must be no argument.
    pub(crate) fn no_args(&self) -> Result<(), Problem> {
        self.at_most(0)
    }

    /// There must be no more arguments than these.
    pub(crate) fn at_most(&self, most: usize) -> Result<(), Problem> {
        match self.args.get(most) {
            None => Ok(()),
            Some(arg) => Err(arg.problem(format!("{}: unexpected argument {}", self.name.text, arg.text))),
        }
    }

    /// The only argument.
    pub(crate) fn one_arg(&self) -> Result<&Token, Problem> {
        self.at_most(1)?;
        self.args.first().ok_or_else(|| self.problem("an argument is missing"))
    }

    /// The arguments, at least one.
    pub(crate) fn some_args(&self) -> Result<&[Token], Problem> {
        if self.args.is_empty() { Err(self.problem("an argument is missing")) } else { Ok(&self.args) }
    }

    /// There must be no braces.
    pub(crate) fn no_body(&self) -> Result<(), Problem> {
        match self.body.first() {
            None => Ok(()),
            Some(option) => Err(option.problem(format!("{} takes no options", self.name.text))),
        }
    }

    /// Zones as arguments of `fallthrough`, `disable` and the like: none means the root.
    pub(crate) fn zones_or_root(&self) -> Result<Vec<Name>, Problem> {
        zones_or(&self.args, &[Name::root()])
    }
}

/// The zones of these arguments without repetition (RKE2 names the cluster domain twice), or `default` if there is none.
pub fn zones_or(args: &[Token], default: &[Name]) -> Result<Vec<Name>, Problem> {
    if args.is_empty() {
        return Ok(default.to_vec());
    }
    let mut zones = Vec::new();
    for arg in args {
        zones.extend(arg.zones()?);
        if zones.len() > MAX_ZONES {
            return Err(arg.problem(format!("more than {MAX_ZONES} zones in one directive")));
        }
    }
    let mut seen = HashSet::new();
    zones.retain(|zone| seen.insert(zone.clone()));
    Ok(zones)
}
