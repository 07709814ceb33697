//! Query strings for links on our own pages.

/// `path?name=value&…`, percent-encoded as forms are; pairs with an empty value are left out.
pub(crate) fn query_string(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        encoded.append_pair(name, value);
    }
    let query = encoded.finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_encoded_and_leave_out_what_is_empty() {
        assert_eq!(
            query_string("/role", &[("arn", "a:b/c d&e"), ("region", "")]),
            "/role?arn=a%3Ab%2Fc+d%26e"
        );
        assert_eq!(query_string("/", &[("q", "")]), "/");
    }
}
