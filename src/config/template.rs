//! Templates in values: text with `{placeholder}`s that are filled later, elsewhere.
//!
//! Entry point: [`check`].

/// Refuses braces that are not one of `allowed`.
pub(super) fn check(template: &str, allowed: &[&str]) -> Result<(), String> {
    let names = || {
        allowed
            .iter()
            .map(|name| format!("{{{name}}}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut rest = template;
    while let Some(brace) = rest.find(['{', '}']) {
        let name = rest[brace..]
            .strip_prefix('{')
            .and_then(|opened| opened.split_once('}'));
        match name {
            Some((name, after)) if allowed.contains(&name) => rest = after,
            Some((name, _)) => {
                return Err(format!(
                    "unknown placeholder {{{name}}}; expected {}",
                    names()
                ));
            }
            None => {
                return Err(format!(
                    "a brace stands alone; placeholders are {}",
                    names()
                ));
            }
        }
    }
    Ok(())
}

/// Refuses a template without `{name}`.
pub(super) fn demand(template: &str, name: &str) -> Result<(), String> {
    if template.contains(&format!("{{{name}}}")) {
        return Ok(());
    }
    Err(format!("does not contain {{{name}}}"))
}
