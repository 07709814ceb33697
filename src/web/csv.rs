//! Rows as CSV (RFC 4180), fit for spreadsheets that run what looks like a formula.

/// One line, with its line end.
pub(super) fn line<'f>(fields: impl IntoIterator<Item = &'f str>) -> String {
    let fields: Vec<String> = fields.into_iter().map(field).collect();
    format!("{}\r\n", fields.join(","))
}

/// A field, quoted where that is needed. What a spreadsheet would run gets an apostrophe in front.
fn field(text: &str) -> String {
    let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if runs {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_and_formulas_are_text() {
        assert_eq!(
            line(["a", "b,c", "say \"x\"", "=1+1", "two\nlines", ""]),
            "a,\"b,c\",\"say \"\"x\"\"\",'=1+1,\"two\nlines\",\r\n"
        );
    }
}
