//! The forms of a page, as far as sign-in pages need it.

use regex::Regex;
use url::Url;

use crate::support::cookie_browser::Answer;

/// A page that a browser has come to.
#[derive(Debug)]
pub struct Page {
    /// Its address.
    pub url: Url,
    /// The answer that it came with.
    pub answer: Answer,
}

/// A form with what it would send as it stands.
#[derive(Debug, Clone)]
pub struct Form {
    /// Where to.
    pub action: Url,
    /// Whether by POST.
    pub is_post: bool,
    /// Names and values, in order.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// The value of a field.
    pub fn value(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(field, _)| field == name)?;
        Some(&field.1)
    }

    /// Fills a field in.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.fields.iter_mut().find(|(field, _)| field == name) {
            Some(field) => value.clone_into(&mut field.1),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Whether it hands a SAML message on, which pages do without being asked.
    pub fn carries_message(&self) -> bool {
        self.value("SAMLResponse").is_some() || self.value("SAMLRequest").is_some()
    }

    /// What it holds, as an HTTP body or query.
    pub fn encoded(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.fields)
            .finish()
    }
}

impl Page {
    /// The forms in order.
    pub fn forms(&self) -> Vec<Form> {
        let form = Regex::new(r"(?is)<form\b([^>]*)>(.*?)</form>").unwrap();
        form.captures_iter(&self.answer.body)
            .map(|found| self.form(&found[1], &found[2]))
            .collect()
    }

    /// The form with a field of this name.
    pub fn form_with(&self, field: &str) -> Option<Form> {
        let mut forms = self.forms().into_iter();
        forms.find(|form| form.value(field).is_some())
    }

    /// Where the page goes by itself, without a script.
    pub fn refreshes_to(&self) -> Option<Url> {
        let refresh = Regex::new(r"(?is)<meta\b([^>]*\brefresh\b[^>]*)>").unwrap();
        let tag = refresh.captures(&self.answer.body)?;
        let content = attribute(&tag[1], "content")?;
        let (_, target) = content.split_once("url=")?;
        self.url.join(target).ok()
    }

    /// The roles that a page of Rolegate offers, sorted.
    pub fn offered_roles(&self) -> Vec<String> {
        let offer = Regex::new(r#"data-role-arn="?([^" >]+)"#).unwrap();
        let found = offer.captures_iter(&self.answer.body);
        let mut roles: Vec<String> = found.map(|found| found[1].to_owned()).collect();
        roles.sort();
        roles.dedup();
        roles
    }

    fn form(&self, start: &str, content: &str) -> Form {
        let input = Regex::new(r"(?is)<input\b([^>]*)>").unwrap();
        let action = attribute(start, "action").unwrap_or_default();
        let method = attribute(start, "method").unwrap_or_default();
        let fields = input.captures_iter(content).filter_map(|found| {
            let tag = &found[1];
            let value = attribute(tag, "value").unwrap_or_default();
            Some((attribute(tag, "name")?, value))
        });
        Form {
            action: self.url.join(&action).unwrap(),
            is_post: method.eq_ignore_ascii_case("post"),
            fields: fields.collect(),
        }
    }
}

/// The value of an attribute in a start tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let pattern = format!(r#"(?is)(?:^|\s){name}\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))"#);
    let found = Regex::new(&pattern).unwrap().captures(tag)?;
    let value = (1..=3).find_map(|group| found.get(group))?;
    Some(unescaped(value.as_str()))
}

/// The text behind the character references that HTML writers use.
fn unescaped(text: &str) -> String {
    let reference = Regex::new(r"&(?:#x([0-9a-fA-F]+)|#([0-9]+)|(amp|lt|gt|quot|apos));").unwrap();
    let replaced = reference.replace_all(text, |found: &regex::Captures<'_>| {
        let code = |group: usize, radix: u32| {
            let digits = found.get(group)?.as_str();
            char::from_u32(u32::from_str_radix(digits, radix).ok()?)
        };
        let named = || match found.get(3)?.as_str() {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            _ => Some('\''),
        };
        let character = code(1, 16).or_else(|| code(2, 10)).or_else(named);
        character.unwrap_or('\u{fffd}').to_string()
    });
    replaced.into_owned()
}
