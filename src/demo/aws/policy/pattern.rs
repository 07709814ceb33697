//! Wildcards and policy variables: `*` for anything, `?` for one character, `${key}` for what the
//! request says, `${*}`, `${?}` and `${$}` for the characters themselves.

use super::Context;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Character(char),
    One,
    Many,
}

/// A text to compare with, variables filled in. What a variable stands for is never a wildcard.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Vec<Piece>);

impl Pattern {
    /// Reads a pattern. `None` where a variable has no value in `variables`; without them `${…}` is
    /// text.
    pub(super) fn with_wildcards(text: &str, variables: Option<&Context>) -> Option<Self> {
        Self::read(text, variables, true)
    }

    /// The same where `*` and `?` are themselves.
    pub(super) fn exact(text: &str, variables: Option<&Context>) -> Option<Self> {
        Self::read(text, variables, false)
    }

    fn read(text: &str, variables: Option<&Context>, has_wildcards: bool) -> Option<Self> {
        let mut pieces = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if let (Some(context), Some(inside)) = (variables, rest.strip_prefix("${")) {
                let (name, after) = inside.split_once('}')?;
                let value = resolved(name, context)?;
                pieces.extend(value.chars().map(Piece::Character));
                rest = after;
                continue;
            }
            pieces.push(match character {
                '*' if has_wildcards => Piece::Many,
                '?' if has_wildcards => Piece::One,
                other => Piece::Character(other),
            });
            rest = &rest[character.len_utf8()..];
        }
        Some(Self(pieces))
    }

    /// Whether the whole text is meant.
    pub(super) fn matches(&self, text: &str) -> bool {
        matches(&self.0, &text.chars().collect::<Vec<_>>())
    }

    pub(super) fn matches_ignoring_case(&self, text: &str) -> bool {
        let lower = |piece: &Piece| match piece {
            Piece::Character(character) => (character.to_lowercase())
                .map(Piece::Character)
                .collect::<Vec<_>>(),
            other => vec![*other],
        };
        let pieces: Vec<Piece> = self.0.iter().flat_map(lower).collect();
        matches(&pieces, &text.to_lowercase().chars().collect::<Vec<_>>())
    }

    /// Whether all six parts of an ARN match, each on its own: wildcards do not reach over a colon,
    /// but in the last part, which may contain some.
    pub(super) fn matches_arn(&self, text: &str) -> bool {
        let colon = Piece::Character(':');
        let pattern: Vec<&[Piece]> = self.0.splitn(6, |piece| *piece == colon).collect();
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        pattern.len() == 6
            && parts.len() == 6
            && (pattern.iter().zip(&parts))
                .all(|(pattern, part)| matches(pattern, &part.chars().collect::<Vec<_>>()))
    }
}

/// Where a star fails at a place, only the last one seen has to be tried one further: never more
/// than pattern times text.
fn matches(pattern: &[Piece], text: &[char]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(Piece::Many) => {
                star = Some((at, seen));
                at += 1;
            }
            Some(Piece::One) => (at, seen) = (at + 1, seen + 1),
            Some(Piece::Character(wanted)) if Some(wanted) == text.get(seen) => {
                (at, seen) = (at + 1, seen + 1);
            }
            _ => {
                let Some((after, begin)) = star else {
                    return false;
                };
                star = Some((after, begin + 1));
                (at, seen) = (after + 1, begin + 1);
            }
        }
    }
    (pattern.get(at..).unwrap_or_default().iter()).all(|piece| *piece == Piece::Many)
}

/// `key`, or `key, 'what stands in its place'`.
fn resolved<'a>(name: &'a str, context: &'a Context) -> Option<&'a str> {
    if matches!(name, "*" | "?" | "$") {
        return Some(name);
    }
    let (key, default) = match name.split_once(',') {
        None => (name, None),
        Some((key, default)) => {
            let default = default.trim();
            let quoted = default.strip_prefix('\'');
            (key, quoted.and_then(|quoted| quoted.strip_suffix('\'')))
        }
    };
    context.single(key.trim()).or(default)
}

/// Whether every `${` has its `}`, with something between them.
pub(super) fn is_well_formed(text: &str) -> bool {
    let mut openings = text.split("${");
    openings.next();
    openings.all(|opening| {
        opening
            .split_once('}')
            .is_some_and(|(name, _)| !name.trim().is_empty())
    })
}
