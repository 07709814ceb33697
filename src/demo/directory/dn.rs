//! Distinguished names in comparable form (RFC 4514 strings, matched ignoring case and spacing).

/// A distinguished name normalised for comparison; the first element is the entry's own RDN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Dn(Vec<Vec<(String, String)>>);

impl Dn {
    /// Reads the string form; `None` when it is not a DN. The empty string is the root.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self(Vec::new()));
        }
        split_unescaped(text, ',')
            .into_iter()
            .map(parse_rdn)
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    /// Whether this is `ancestor` itself or lies anywhere below it.
    pub(super) fn is_within(&self, ancestor: &Self) -> bool {
        self.0.ends_with(&ancestor.0)
    }

    /// Whether this lies exactly one level below `parent`.
    pub(super) fn is_child_of(&self, parent: &Self) -> bool {
        self.0.len() == parent.0.len() + 1 && self.is_within(parent)
    }

    /// One string per name: equal names give equal strings.
    pub(super) fn key(&self) -> String {
        format!("{:?}", self.0)
    }
}

fn parse_rdn(text: &str) -> Option<Vec<(String, String)>> {
    let mut parts = split_unescaped(text, '+')
        .into_iter()
        .map(|part| {
            let (name, value) = part.split_once('=')?;
            let name = name.trim().to_ascii_lowercase();
            let is_name = !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
            is_name.then_some(())?;
            Some((name, fold(&unescape(value.trim_start())?)))
        })
        .collect::<Option<Vec<_>>>()?;
    parts.sort();
    Some(parts)
}

/// Lower case with runs of spaces reduced to one: `caseIgnoreMatch` of RFC 4518, near enough.
pub(super) fn fold(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

fn split_unescaped(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (index, character) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if character == '\\' {
            is_escaped = true;
        } else if character == separator {
            parts.push(&text[start..index]);
            start = index + character.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Resolves `\,` and `\2c` escapes (RFC 4514 section 2.4).
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let first = rest.next()?;
        match char::from(first).to_digit(16) {
            Some(high) => {
                let low = char::from(rest.next()?).to_digit(16)?;
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            None => bytes.push(first),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::Dn;

    #[test]
    fn spellings_of_one_name_are_equal() {
        let name = Dn::parse("cn=Smith\\, Ann,ou=People,dc=example,dc=com").unwrap();
        assert_eq!(
            name,
            Dn::parse("CN = smith\\2c  ann, OU=people ,DC=Example, dc=com").unwrap()
        );
        assert_ne!(
            name,
            Dn::parse("cn=Smith,ou=People,dc=example,dc=com").unwrap()
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["ada", "=x", "cn=a\\", "cn=a\\2", "cn=a,,dc=b"] {
            assert_eq!(Dn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_escaped_comma_does_not_make_a_level() {
        let base = Dn::parse("dc=example,dc=com").unwrap();
        assert!(
            Dn::parse("cn=a\\,b,dc=example,dc=com")
                .unwrap()
                .is_child_of(&base)
        );
        assert!(
            !Dn::parse("cn=a,ou=b,dc=example,dc=com")
                .unwrap()
                .is_child_of(&base)
        );
        assert!(base.is_within(&base));
    }
}
