//! Where the next page of a list begins, as an opaque text that says which list it is of.
//!
//! It says where to go on within what the caller holds, and nothing else: a made-up one shows nothing
//! that the list would not.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::refusal::Refusal;
use crate::broker::ListPlace;

/// A place in the list of that name, as text.
pub(super) fn written(list: &str, (words, key): &ListPlace) -> String {
    let parts = serde_json::json!([list, words, key]).to_string();
    URL_SAFE_NO_PAD.encode(parts)
}

/// Reads it back.
///
/// # Errors
/// Where it is of another list, or none at all.
pub(super) fn read(list: &str, text: &str) -> Result<ListPlace, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let parts = bytes.and_then(|bytes| serde_json::from_slice::<[String; 3]>(&bytes).ok());
    match parts {
        Some([of, words, key]) if of == list => Ok((words, key)),
        _ => Err(Refusal::invalid_parameter(
            "next_token is none of this list: leave it out to begin anew.".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_in_its_own_list_alone() {
        let place = ("payments — \"live\"".to_owned(), "111122223333".to_owned());
        let text = written("accounts", &place);
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        );
        assert_eq!(read("accounts", &text).unwrap(), place);
        assert!(read("roles 111122223333", &text).is_err());
        for junk in [
            "",
            "x",
            "null",
            "W10",
            "WyJhY2NvdW50cyJd",
            &"A".repeat(9_000),
        ] {
            assert!(read("accounts", junk).is_err(), "{junk}");
        }
    }
}
