//! What every page shares: whose it is, who is signed in, and whom to ask.

use std::{fmt, sync::Arc};

use crate::web::{EnvironmentRule, assets};

/// Light or dark, where the person has chosen; otherwise the device decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// The cookie in which `static/theme.js` remembers the choice.
    pub(crate) const COOKIE: &'static str = "rolegate_theme";

    /// Reads the cookie's value; anything unknown leaves it to the device.
    pub(crate) fn from_cookie(value: &str) -> Option<Self> {
        match value {
            "light" => Some(Self::Light),
            "dark" => Some(Self::Dark),
            _ => None,
        }
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Light => "light",
            Self::Dark => "dark",
        })
    }
}

/// Which pages of the organisation a person may see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    /// `/helpdesk`
    pub(crate) helpdesk: bool,
    /// `/audit`
    pub(crate) audit: bool,
}

/// What the frame around every page needs. No `Debug`: it carries the CSRF token.
#[derive(Clone)]
pub(crate) struct Layout {
    /// `[organisation] name`; may be empty.
    pub(crate) organisation: String,
    /// The signed-in person's display name.
    pub(crate) person: Option<String>,
    /// Which pages beside their own the person may see.
    pub(crate) rights: Rights,
    /// The token for the hidden field of every form.
    pub(crate) csrf_token: String,
    /// The person's choice, where there is one.
    pub(crate) theme: Option<Theme>,
    /// `[organisation] help_url` with `{summary}` and `{request_id}` in it.
    pub(crate) help_url: Option<String>,
    /// The id of this request, to quote.
    pub(crate) request_id: String,
    /// How accounts get their environment.
    pub(crate) environments: Arc<[EnvironmentRule]>,
}

impl Layout {
    /// The address of an asset.
    #[expect(
        clippy::unused_self,
        reason = "templates reach it through the layout that every page has"
    )]
    pub(crate) fn asset(&self, name: &str) -> &'static str {
        assets::url(name)
    }

    /// The help address with the question filled in. Only web and mail addresses are linked.
    pub(crate) fn help(&self, summary: &str) -> Option<String> {
        let template = self.help_url.as_deref()?;
        let scheme = template.split(':').next()?.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "https" | "http" | "mailto") {
            return None;
        }
        Some(
            template
                .replace("{summary}", &percent_encoded(summary))
                .replace("{request_id}", &percent_encoded(&self.request_id)),
        )
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters: mail programs show `+` as is.
fn percent_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(help_url: &str) -> Layout {
        Layout {
            organisation: String::new(),
            person: None,
            rights: Rights::default(),
            csrf_token: String::new(),
            theme: None,
            help_url: Some(help_url.to_owned()),
            request_id: "7F3A".to_owned(),
            environments: Arc::default(),
        }
    }

    #[test]
    fn the_help_address_carries_the_question() {
        assert_eq!(
            layout("https://help.example.com/new?text={summary}&ref={request_id}")
                .help("no role & why")
                .unwrap(),
            "https://help.example.com/new?text=no%20role%20%26%20why&ref=7F3A"
        );
    }

    #[test]
    fn an_address_that_would_run_script_is_not_linked() {
        assert!(layout("javascript:alert(1)").help("x").is_none());
        assert!(layout("nonsense").help("x").is_none());
    }
}
