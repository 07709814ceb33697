//! The lines that leave for log collectors: one JSON object to a row of the audit log.
//!
//! `{"type":"audit","seq":…,"event":{…},"hash":"…"}`. The program's own log lines have no `type`.
//! Never here: I/O. Entry points: [`line()`], [`syslog`].

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The longest message to syslog, in bytes: the usual limit of its daemons, which cut the rest.
pub const LONGEST_MESSAGE: usize = 8_000;
/// Facility `authpriv`, severity `informational`.
const PRIORITY: u8 = 10 * 8 + 6;

/// The line of a row, without an ending. `payload` is the event as it is kept, none where it was
/// erased; one that is no JSON any more is carried as text under `unreadable`.
pub fn line(seq: i64, payload: Option<&str>, hash: &str) -> String {
    let Some(payload) = payload else {
        return json!({ "type": "audit", "seq": seq, "event": null, "hash": hash }).to_string();
    };
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(payload).is_ok();
    if is_json && !payload.contains(['\n', '\r']) {
        // Exactly what was hashed, down to the order of its keys.
        let hash = Value::from(hash);
        return format!(r#"{{"type":"audit","seq":{seq},"event":{payload},"hash":{hash}}}"#);
    }
    json!({ "type": "audit", "seq": seq, "event": null, "unreadable": payload, "hash": hash })
        .to_string()
}

/// The line of a row that is too long for its way: without the details, and with `cut`, the number
/// of bytes that the whole line has. The row itself is whole in the store.
fn cut(line: &str) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap_or_default();
    if let Some(event) = value.get_mut("event").and_then(Value::as_object_mut) {
        event.remove("details");
    }
    if let Some(object) = value.as_object_mut() {
        object.insert("cut".to_owned(), Value::from(line.len()));
        if object.remove("unreadable").is_some() {
            object.insert("unreadable".to_owned(), Value::from(""));
        }
    }
    let text = value.to_string();
    if text.len() <= LONGEST_MESSAGE {
        return text;
    }
    let (seq, hash) = (value.get("seq"), value.get("hash"));
    json!({ "type": "audit", "seq": seq, "event": null, "hash": hash, "cut": line.len() })
        .to_string()
}

/// The line as an RFC 5424 message of `process`; a line that is too long is cut, and says so.
pub fn syslog(line: &str, at: OffsetDateTime, process: u32) -> String {
    let line = if line.len() > LONGEST_MESSAGE {
        cut(line)
    } else {
        line.to_owned()
    };
    let at = at
        .replace_nanosecond(at.nanosecond() / 1_000_000 * 1_000_000)
        .unwrap_or(at)
        .format(&Rfc3339)
        .unwrap_or_else(|_| "-".to_owned());
    format!("<{PRIORITY}>1 {at} - rolegate {process} audit - {line}")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_line_has_the_payload_as_it_is_kept() {
        let told = line(7, Some(r#"{"b":1,"a":2}"#), "ab");
        assert_eq!(
            told,
            r#"{"type":"audit","seq":7,"event":{"b":1,"a":2},"hash":"ab"}"#
        );
        for payload in [None, Some("no json"), Some("{\n}")] {
            let told = line(7, payload, "ab");
            assert!(!told.contains('\n'), "{told}");
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!(told["event"], Value::Null);
            assert_eq!(told.get("unreadable").and_then(Value::as_str), payload);
        }
    }

    #[test]
    fn a_long_message_is_cut_and_says_so() {
        let at = datetime!(2027-01-31 08:00:00.123456789 UTC);
        let short = syslog(&line(7, Some("{}"), "ab"), at, 42);
        let begins = "<86>1 2027-01-31T08:00:00.123Z - rolegate 42 audit - {\"type\":\"audit\"";
        assert!(short.starts_with(begins), "{short}");
        let long = "x".repeat(LONGEST_MESSAGE);
        for payload in [
            format!(r#"{{"action":"sign_in","details":{{"reason":"{long}"}}}}"#),
            format!(r#"{{"action":"{long}"}}"#),
            long.clone(),
        ] {
            let whole = line(7, Some(&payload), "ab");
            let message = syslog(&whole, at, 42);
            assert!(message.len() < LONGEST_MESSAGE + 100);
            let told: Value = serde_json::from_str(message.split(" - ").last().unwrap()).unwrap();
            assert_eq!(told["cut"], whole.len());
            assert_eq!(
                (&told["seq"], &told["hash"]),
                (&Value::from(7), &Value::from("ab"))
            );
        }
    }
}
