//! The picker's search: which roles a few typed letters mean, best first.
//!
//! `static/picker.js` ranks by the same rules in the browser; both are held to
//! `search_cases.json`. Every word of the query must be found in the account's name, id, alias or
//! description or in the role's name or description. Equal beats beginning, beginning beats
//! inside, and letters with gaps between them come last. Entry point: [`Query::score`].

/// Words beyond these are ignored, so that a pasted page costs nothing.
const MOST_WORDS: usize = 8;
/// Letters with more gaps than this between them are no match.
const WIDEST_GAPS: usize = 12;
/// What a favourite is ahead of its equals.
const FAVOURITE_BONUS: u32 = 3;

/// A field to search, lower-cased once.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    text: String,
    bonus: u32,
    allows_gaps: bool,
}

impl Field {
    /// The account's name.
    pub(crate) fn account_name(text: &str) -> Self {
        Self::new(text, 6, true)
    }

    /// The role's name.
    pub(crate) fn role_name(text: &str) -> Self {
        Self::new(text, 5, true)
    }

    /// The account's alias.
    pub(crate) fn alias(text: &str) -> Self {
        Self::new(text, 4, true)
    }

    /// The account's id.
    pub(crate) fn account_id(text: &str) -> Self {
        Self::new(text, 3, false)
    }

    /// A line for people.
    pub(crate) fn description(text: &str) -> Self {
        Self::new(text, 0, false)
    }

    fn new(text: &str, bonus: u32, allows_gaps: bool) -> Self {
        Self {
            text: text.to_lowercase(),
            bonus,
            allows_gaps,
        }
    }

    fn score(&self, word: &str) -> u32 {
        let base = if self.text == word {
            100
        } else {
            match place(&self.text, word) {
                Some(Place::Start) => 80,
                Some(Place::WordStart) => 60,
                Some(Place::Inside) => 40,
                None if self.allows_gaps => match letters_with_gaps(&self.text, word) {
                    Some((gaps, _)) => 20 - to_u32(gaps),
                    None => return 0,
                },
                None => return 0,
            }
        };
        let surplus = self
            .text
            .chars()
            .count()
            .saturating_sub(word.chars().count());
        base + self.bonus + 9 - to_u32((surplus / 8).min(9))
    }
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

enum Place {
    Start,
    WordStart,
    Inside,
}

fn place(text: &str, word: &str) -> Option<Place> {
    if text.starts_with(word) {
        return Some(Place::Start);
    }
    let mut found = None;
    for (at, _) in text.match_indices(word) {
        if starts_word(text, at) {
            return Some(Place::WordStart);
        }
        found = Some(Place::Inside);
    }
    found
}

fn starts_word(text: &str, at: usize) -> bool {
    text[..at]
        .chars()
        .next_back()
        .is_none_or(|before| !before.is_alphanumeric())
}

/// The letters of `word` in order, from the start of some word of `text` on: the number of letters
/// between them and their places, counted in characters.
fn letters_with_gaps(text: &str, word: &str) -> Option<(usize, Vec<usize>)> {
    if word.len() > text.len() {
        return None;
    }
    let letters: Vec<char> = word.chars().collect();
    if letters.len() < 2 {
        return None;
    }
    let text: Vec<char> = text.chars().collect();
    let mut best: Option<(usize, Vec<usize>)> = None;
    for start in 0..text.len() {
        if text[start] != letters[0] || (start > 0 && text[start - 1].is_alphanumeric()) {
            continue;
        }
        let mut places = Vec::with_capacity(letters.len());
        let mut wanted = letters.iter();
        let mut next = wanted.next();
        for (at, letter) in text.iter().enumerate().skip(start) {
            if Some(letter) == next {
                places.push(at);
                next = wanted.next();
            }
            if next.is_none() {
                break;
            }
        }
        if next.is_some() {
            continue;
        }
        let gaps = places[places.len() - 1] + 1 - start - letters.len();
        if gaps <= WIDEST_GAPS && best.as_ref().is_none_or(|(least, _)| gaps < *least) {
            best = Some((gaps, places));
        }
    }
    best
}

/// What a person typed, taken apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    words: Vec<String>,
}

impl Query {
    /// Splits at white space and ignores case.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            words: text
                .to_lowercase()
                .split_whitespace()
                .take(MOST_WORDS)
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Whether nothing was typed.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The best score of each word in an account's fields; the account's roles share it.
    pub(crate) fn word_scores(&self, fields: &[Field]) -> Vec<u32> {
        self.words
            .iter()
            .map(|word| {
                fields
                    .iter()
                    .map(|field| field.score(word))
                    .max()
                    .unwrap_or(0)
            })
            .collect()
    }

    /// How well a role fits, or none where a word is found nowhere.
    pub(crate) fn score(&self, account: &[u32], role: &[Field], is_favourite: bool) -> Option<u32> {
        let mut total = if is_favourite { FAVOURITE_BONUS } else { 0 };
        for (place, word) in self.words.iter().enumerate() {
            let best = role
                .iter()
                .map(|field| field.score(word))
                .chain(account.get(place).copied())
                .max()
                .unwrap_or(0);
            if best == 0 {
                return None;
            }
            total += best;
        }
        Some(total)
    }

    /// The text with the parts that the query means marked.
    pub(crate) fn mark(&self, text: &str, allows_gaps: bool) -> Vec<Part> {
        let characters: Vec<char> = text.chars().collect();
        let lower: Vec<char> = text.to_lowercase().chars().collect();
        // Where lower-casing changes the length, places do not line up: nothing is marked.
        if self.is_empty() || lower.len() != characters.len() {
            return vec![Part::plain(text)];
        }
        let lower_text: String = lower.iter().collect();
        let mut is_marked = vec![false; characters.len()];
        for word in &self.words {
            let length = word.chars().count();
            let found = lower_text
                .match_indices(word.as_str())
                .min_by_key(|(at, _)| !starts_word(&lower_text, *at))
                .map(|(at, _)| lower_text[..at].chars().count());
            if let Some(start) = found {
                is_marked[start..start + length].fill(true);
            } else if allows_gaps && let Some((_, places)) = letters_with_gaps(&lower_text, word) {
                for at in places {
                    is_marked[at] = true;
                }
            }
        }
        parts(&characters, &is_marked)
    }
}

fn parts(characters: &[char], is_marked: &[bool]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (letter, is_match) in characters.iter().zip(is_marked) {
        match parts.last_mut() {
            Some(part) if part.is_match == *is_match => part.text.push(*letter),
            _ => parts.push(Part {
                text: letter.to_string(),
                is_match: *is_match,
            }),
        }
    }
    parts
}

/// A piece of a text, marked or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The letters.
    pub(crate) text: String,
    /// Whether the query means them.
    pub(crate) is_match: bool,
}

impl Part {
    /// A piece that is not marked.
    pub(crate) fn plain(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            is_match: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_one_of_the_shared_cases() {
        let table: serde_json::Value =
            serde_json::from_str(include_str!("search_cases.json")).unwrap();
        let text =
            |role: &serde_json::Value, key: &str| role[key].as_str().unwrap_or_default().to_owned();
        for case in table["cases"].as_array().unwrap() {
            let query = Query::new(case["query"].as_str().unwrap());
            let mut found: Vec<(u32, usize)> = Vec::new();
            for (place, role) in table["roles"].as_array().unwrap().iter().enumerate() {
                let account = query.word_scores(&[
                    Field::account_name(&text(role, "account")),
                    Field::account_id(&text(role, "id")),
                    Field::alias(&text(role, "alias")),
                    Field::description(&text(role, "about_account")),
                ]);
                let fields = [
                    Field::role_name(&text(role, "role")),
                    Field::description(&text(role, "about_role")),
                ];
                let is_favourite = role["favourite"].as_bool().unwrap_or(false);
                if let Some(score) = query.score(&account, &fields, is_favourite) {
                    found.push((score, place));
                }
            }
            found.sort_by_key(|(score, place)| (std::cmp::Reverse(*score), *place));
            let order: Vec<usize> = found.into_iter().map(|(_, place)| place).collect();
            let wanted: Vec<usize> = serde_json::from_value(case["order"].clone()).unwrap();
            assert_eq!(order, wanted, "{}", case["query"]);
        }
    }

    #[test]
    fn matches_are_marked_where_a_word_starts() {
        let marked = |query: &str, text: &str| -> String {
            Query::new(query)
                .mark(text, true)
                .into_iter()
                .map(|part| {
                    if part.is_match {
                        format!("[{}]", part.text)
                    } else {
                        part.text
                    }
                })
                .collect()
        };
        assert_eq!(
            marked("prod", "Payments production"),
            "Payments [prod]uction"
        );
        assert_eq!(
            marked("pp", "Payments production"),
            "[P]ayments [p]roduction"
        );
        assert_eq!(marked("on", "Readonly on"), "Readonly [on]");
        assert_eq!(marked("é", "É"), "[É]");
        assert_eq!(marked("i", "İi"), "İi");
    }
}
