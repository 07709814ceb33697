//! Condition operators, and what they make of keys that are missing or have several values.

use std::cmp::Ordering;
use std::net::IpAddr;

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use super::pattern::{Pattern, is_well_formed};
use super::{Context, Malformed};

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const MINUTE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]Z");

/// One key under one operator.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    operator: Operator,
    key: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Operator {
    quantifier: Quantifier,
    test: Test,
    is_negated: bool,
    is_lenient: bool,
}

/// What is asked of a key with several values.
#[derive(Clone, Copy, Debug)]
enum Quantifier {
    Plain,
    ForAnyValue,
    ForAllValues,
}

type Compare = fn(Ordering) -> bool;

#[derive(Clone, Copy, Debug)]
enum Test {
    Exact,
    IgnoringCase,
    Like,
    Arn,
    Number(Compare),
    Date(Compare),
    Bool,
    Address,
    Null,
}

impl Operator {
    fn read(name: &str) -> Option<Self> {
        let (quantifier, rest) = match name.split_once(':') {
            None => (Quantifier::Plain, name),
            Some(("ForAnyValue", rest)) => (Quantifier::ForAnyValue, rest),
            Some(("ForAllValues", rest)) => (Quantifier::ForAllValues, rest),
            Some(_) => return None,
        };
        let (rest, is_lenient) = match rest.strip_suffix("IfExists") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (test, is_negated) = test(rest)?;
        let is_bare = matches!(quantifier, Quantifier::Plain) && !is_lenient;
        (is_bare || !matches!(test, Test::Null)).then_some(Self {
            quantifier,
            test,
            is_negated,
            is_lenient,
        })
    }
}

fn test(name: &str) -> Option<(Test, bool)> {
    let comparison = |name: &str| -> Option<(Compare, bool)> {
        Some(match name {
            "Equals" => (Ordering::is_eq, false),
            "NotEquals" => (Ordering::is_eq, true),
            "LessThan" => (Ordering::is_lt, false),
            "LessThanEquals" => (Ordering::is_le, false),
            "GreaterThan" => (Ordering::is_gt, false),
            "GreaterThanEquals" => (Ordering::is_ge, false),
            _ => return None,
        })
    };
    if let Some(rest) = name.strip_prefix("Numeric") {
        return comparison(rest).map(|(compare, is_negated)| (Test::Number(compare), is_negated));
    }
    if let Some(rest) = name.strip_prefix("Date") {
        return comparison(rest).map(|(compare, is_negated)| (Test::Date(compare), is_negated));
    }
    Some(match name {
        "StringEquals" | "BinaryEquals" => (Test::Exact, false),
        "StringNotEquals" => (Test::Exact, true),
        "StringEqualsIgnoreCase" => (Test::IgnoringCase, false),
        "StringNotEqualsIgnoreCase" => (Test::IgnoringCase, true),
        "StringLike" => (Test::Like, false),
        "StringNotLike" => (Test::Like, true),
        "ArnEquals" | "ArnLike" => (Test::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Test::Arn, true),
        "Bool" => (Test::Bool, false),
        "IpAddress" => (Test::Address, false),
        "NotIpAddress" => (Test::Address, true),
        "Null" => (Test::Null, false),
        _ => return None,
    })
}

impl Condition {
    /// Reads one condition; values that the operator cannot compare are refused.
    pub(super) fn read(name: &str, key: &str, values: Vec<String>) -> Result<Self, Malformed> {
        let operator = Operator::read(name)
            .ok_or_else(|| Malformed(format!("Invalid Condition type : {name}")))?;
        if !key.contains(':') || key.starts_with(':') || key.ends_with(':') {
            let message =
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
            return Err(Malformed(message.to_owned()));
        }
        for value in &values {
            let is_comparable = match operator.test {
                Test::Exact | Test::IgnoringCase | Test::Like | Test::Arn => is_well_formed(value),
                Test::Number(_) => number(value).is_some(),
                Test::Date(_) => instant(value).is_some(),
                Test::Bool | Test::Null => truth(value).is_some(),
                Test::Address => Network::read(value).is_some(),
            };
            if !is_comparable {
                return Err(Malformed(format!("Invalid value {value} for {name}.")));
            }
        }
        Ok(Self {
            operator,
            key: key.to_owned(),
            values,
        })
    }

    /// Whether it holds. What a negated operator should compare with a variable that has no value
    /// holds for a deny alone.
    pub(super) fn holds(&self, context: &Context, has_variables: bool, is_deny: bool) -> bool {
        let found = context.values(&self.key);
        let Operator {
            quantifier,
            test,
            is_negated,
            is_lenient,
        } = self.operator;
        if matches!(test, Test::Null) {
            let is_missing = found.is_empty();
            return self
                .values
                .iter()
                .any(|value| truth(value) == Some(is_missing));
        }
        let variables = has_variables.then_some(context);
        let is_unknown = |wanted: &String| Pattern::exact(wanted, variables).is_none();
        if is_negated && !found.is_empty() && self.values.iter().any(is_unknown) {
            return is_deny;
        }
        let is_hit = |value: &String| {
            let mut wanted = self.values.iter();
            wanted.any(|wanted| test.compares(value, wanted, variables)) != is_negated
        };
        match quantifier {
            _ if found.is_empty() && is_lenient => true,
            Quantifier::ForAllValues => found.iter().all(is_hit),
            Quantifier::Plain if is_negated => found.iter().all(is_hit),
            Quantifier::ForAnyValue | Quantifier::Plain => found.iter().any(is_hit),
        }
    }
}

impl Test {
    fn compares(self, value: &str, wanted: &str, variables: Option<&Context>) -> bool {
        let exact = || Pattern::exact(wanted, variables);
        let like = || Pattern::with_wildcards(wanted, variables);
        match self {
            Self::Exact => exact().is_some_and(|pattern| pattern.matches(value)),
            Self::IgnoringCase => {
                exact().is_some_and(|pattern| pattern.matches_ignoring_case(value))
            }
            Self::Like => like().is_some_and(|pattern| pattern.matches(value)),
            Self::Arn => like().is_some_and(|pattern| pattern.matches_arn(value)),
            Self::Number(compare) => {
                let ordering = number(value)
                    .zip(number(wanted))
                    .and_then(|(value, wanted)| value.partial_cmp(&wanted));
                ordering.is_some_and(compare)
            }
            Self::Date(compare) => (instant(value).zip(instant(wanted)))
                .is_some_and(|(value, wanted)| compare(value.cmp(&wanted))),
            Self::Bool => truth(value).is_some_and(|value| truth(wanted) == Some(value)),
            Self::Address => {
                let address = value.parse::<IpAddr>().ok().zip(Network::read(wanted));
                address.is_some_and(|(address, network)| network.contains(address))
            }
            Self::Null => false,
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn truth(text: &str) -> Option<bool> {
    text.to_ascii_lowercase().parse().ok()
}

/// A moment as the W3C's ISO 8601 profile writes it, or seconds of the Unix epoch.
fn instant(text: &str) -> Option<OffsetDateTime> {
    if let Ok(seconds) = text.parse() {
        return OffsetDateTime::from_unix_timestamp(seconds).ok();
    }
    let day = || {
        Date::parse(text, DAY)
            .ok()
            .map(|day| day.midnight().assume_utc())
    };
    let minute = || {
        PrimitiveDateTime::parse(text, MINUTE)
            .ok()
            .map(PrimitiveDateTime::assume_utc)
    };
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .or_else(minute)
        .or_else(day)
}

/// Addresses with a common prefix.
struct Network {
    address: u128,
    is_version_4: bool,
    prefix: u32,
}

impl Network {
    fn read(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(most);
        (prefix <= most).then_some(Self {
            address: bits(address),
            is_version_4: address.is_ipv4(),
            prefix: prefix + 128 - most,
        })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let differing = self.address ^ bits(address);
        self.is_version_4 == address.is_ipv4() && differing.leading_zeros() >= self.prefix
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}
