//! What a search returned, read without trusting its shape: ldap3's own `SearchEntry` panics on
//! malformed entries.

use ldap3::asn1::{PL, StructureTag};
use uuid::Uuid;

use super::template::escaped_bytes;

/// An entry of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its distinguished name, as received.
    pub(super) dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// The part of an attribute's values that Active Directory sent at once, as in
/// `member;range=0-1499` ([MS-ADTS] section 3.1.1.3.1.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// The position of the first value.
    pub(super) first: usize,
    /// The position of the last value; none when there are no more.
    pub(super) last: Option<usize>,
}

impl Entry {
    /// Reads a `SearchResultEntry` (RFC 4511 section 4.5.2); none when it is malformed.
    pub(super) fn parse(tag: StructureTag) -> Option<Self> {
        let mut parts = tag.expect_constructed()?.into_iter();
        let dn = text(parts.next()?)?;
        let mut attributes = Vec::new();
        for attribute in parts.next()?.expect_constructed()? {
            let mut parts = attribute.expect_constructed()?.into_iter();
            let name = text(parts.next()?)?;
            let values = parts
                .next()?
                .expect_constructed()?
                .into_iter()
                .map(StructureTag::expect_primitive)
                .collect::<Option<Vec<_>>>()?;
            attributes.push((name, values));
        }
        Some(Self { dn, attributes })
    }

    /// The values of an attribute that are text.
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// The smallest value that is text and not empty: directories keep no order.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).filter(|value| !value.is_empty()).min()
    }

    /// The one value of an attribute that identifies an entry; none when there are none or more.
    pub(super) fn stable_id(&self, name: &str) -> Option<String> {
        let mut values = self.values(name);
        let (value, None) = (values.next()?, values.next()) else {
            return None;
        };
        if is_guid(name) {
            return Uuid::from_slice_le(value).ok().map(|id| id.to_string());
        }
        std::str::from_utf8(value)
            .ok()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    }

    /// The values of an attribute that are text; none when the server sent only a part of them.
    pub(super) fn all_texts(&self, name: &str) -> Option<Vec<String>> {
        let is_partial = self
            .partial_attribute()
            .is_some_and(|(partial, _)| partial.eq_ignore_ascii_case(name));
        (!is_partial).then(|| self.texts(name).map(str::to_owned).collect())
    }

    /// The attribute of which only a part was sent, and which part.
    pub(super) fn partial_attribute(&self) -> Option<(String, Range)> {
        self.attributes.iter().find_map(|(name, _)| {
            let (name, options) = name.split_once(';')?;
            options
                .split(';')
                .find_map(Range::parse)
                .filter(|range| range.last.is_some())
                .map(|range| (name.to_owned(), range))
        })
    }

    /// Adds the next part of a partial attribute. False when `next` does not continue at `first`.
    pub(super) fn extend_partial(&mut self, name: &str, first: usize, next: Self) -> bool {
        let continued = next.attributes.into_iter().find_map(|(received, values)| {
            let (base, options) = received.split_once(';')?;
            let range = options.split(';').find_map(Range::parse)?;
            (base.eq_ignore_ascii_case(name) && range.first == first).then_some((received, values))
        });
        let Some((received, mut values)) = continued else {
            return false;
        };
        let partial = self.attributes.iter_mut().find(|(held, _)| {
            held.split_once(';')
                .is_some_and(|(base, _)| base.eq_ignore_ascii_case(name))
        });
        let Some((held, all)) = partial else {
            return false;
        };
        *held = received;
        all.append(&mut values);
        true
    }

    /// The values of an attribute, whatever options its description carries.
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.attributes
            .iter()
            .filter(move |(received, _)| {
                let base = received.split(';').next().unwrap_or_default();
                base.eq_ignore_ascii_case(name)
            })
            .flat_map(|(_, values)| values.iter().map(Vec::as_slice))
    }
}

impl Range {
    /// Reads an attribute option such as `range=0-1499` or `range=1500-*`.
    pub(super) fn parse(option: &str) -> Option<Self> {
        let (key, range) = option.split_once('=')?;
        if !key.eq_ignore_ascii_case("range") {
            return None;
        }
        let (first, last) = range.split_once('-')?;
        let first = first.parse().ok()?;
        let last = match last {
            "*" => None,
            number => Some(number.parse().ok().filter(|last| *last >= first)?),
        };
        Some(Self { first, last })
    }
}

/// A stable id as a filter compares it; none when the text is not an id of that attribute.
pub(super) fn stable_id_filter(attribute: &str, id: &str) -> Option<String> {
    let value = if is_guid(attribute) {
        escaped_bytes(&Uuid::parse_str(id).ok()?.to_bytes_le())
    } else {
        ldap3::ldap_escape(id).into_owned()
    };
    Some(format!("({attribute}={value})"))
}

/// Whether an attribute holds a GUID in Microsoft's byte order.
fn is_guid(attribute: &str) -> bool {
    attribute.eq_ignore_ascii_case("objectGUID")
}

fn text(tag: StructureTag) -> Option<String> {
    match tag.payload {
        PL::P(bytes) => String::from_utf8(bytes).ok(),
        PL::C(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(attributes: &[(&str, &[&[u8]])]) -> Entry {
        Entry {
            dn: "cn=x".to_owned(),
            attributes: attributes
                .iter()
                .map(|(name, values)| {
                    (
                        (*name).to_owned(),
                        values.iter().map(|value| value.to_vec()).collect(),
                    )
                })
                .collect(),
        }
    }

    #[test]
    fn guids_are_written_as_windows_writes_them() {
        let bytes = [
            0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
            0xee, 0xff,
        ];
        let id = entry(&[("objectguid", &[&bytes])])
            .stable_id("objectGUID")
            .unwrap();
        assert_eq!(id, "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(
            stable_id_filter("objectGUID", &id).unwrap(),
            r"(objectGUID=\33\22\11\00\55\44\77\66\88\99\aa\bb\cc\dd\ee\ff)"
        );
        assert_eq!(stable_id_filter("objectGUID", "alice"), None);
        assert_eq!(
            stable_id_filter("entryUUID", "a*").unwrap(),
            r"(entryUUID=a\2a)"
        );
    }

    #[test]
    fn an_id_has_one_value_that_is_text() {
        assert_eq!(entry(&[]).stable_id("entryUUID"), None);
        assert_eq!(
            entry(&[("entryUUID", &[b"a", b"b"])]).stable_id("entryUUID"),
            None
        );
        assert_eq!(
            entry(&[("entryUUID", &[b"\xff"])]).stable_id("entryUUID"),
            None
        );
        assert_eq!(entry(&[("entryUUID", &[b""])]).stable_id("entryUUID"), None);
        assert_eq!(
            entry(&[("objectGUID", &[b"short"])]).stable_id("objectGUID"),
            None
        );
    }

    #[test]
    fn the_order_of_values_does_not_matter() {
        assert_eq!(entry(&[("uid", &[b"b", b"a", b""])]).text("UID"), Some("a"));
        assert_eq!(entry(&[("uid", &[b""])]).text("uid"), None);
    }

    #[test]
    fn parts_of_an_attribute_are_joined() {
        let mut whole = entry(&[("memberOf", &[]), ("memberOf;range=0-1", &[b"a", b"b"])]);
        assert_eq!(
            whole.partial_attribute(),
            Some((
                "memberOf".to_owned(),
                Range {
                    first: 0,
                    last: Some(1)
                }
            ))
        );
        let gap = entry(&[("memberOf;range=3-*", &[b"d"])]);
        assert!(!whole.extend_partial("memberOf", 2, gap));
        let next = entry(&[("memberOf;range=2-*", &[b"c"])]);
        assert!(whole.extend_partial("memberOf", 2, next));
        assert_eq!(whole.partial_attribute(), None);
        assert_eq!(whole.texts("memberof").collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn broken_ranges_are_none() {
        for option in [
            "",
            "range",
            "range=",
            "range=1",
            "range=5-2",
            "range=a-b",
            "binary",
        ] {
            assert_eq!(Range::parse(option), None, "{option}");
        }
    }

    fn any_tag() -> impl Strategy<Value = StructureTag> {
        let leaf = prop::collection::vec(any::<u8>(), 0..8).prop_map(PL::P);
        let tag = |payload| StructureTag {
            class: ldap3::asn1::TagClass::Universal,
            id: 4,
            payload,
        };
        leaf.prop_map(tag).prop_recursive(4, 24, 4, move |inner| {
            prop::collection::vec(inner, 0..4)
                .prop_map(PL::C)
                .prop_map(tag)
        })
    }

    proptest! {
        #[test]
        fn reading_entries_never_panics(tag in any_tag()) {
            let _ = Entry::parse(tag);
        }

        #[test]
        fn reading_ranges_never_panics(option in "(range=)?[-0-9*]*|\\PC*") {
            let _ = Range::parse(&option);
        }
    }
}
