//! Search requests against the entries: scope, filter, attribute choice, paging and limits.

use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapMsg, LdapOp, LdapPartialAttribute, LdapResultCode, LdapSearchRequest,
    LdapSearchResultEntry, LdapSearchScope,
};

use super::connection::result;
use super::dn::Dn;
use super::entry::Entry;
use super::filter::Filter;
use super::{Entries, Fault};

/// Everything to send back: the entries found and the closing result.
pub(super) fn answer(
    entries: &Entries,
    message_id: i32,
    request: &LdapSearchRequest,
    controls: &[LdapControl],
    fault: Option<Fault>,
) -> Vec<LdapMsg> {
    let mut outcome = find(entries, request);
    let page = controls.iter().find_map(|control| match control {
        LdapControl::SimplePagedResults { size, cookie } => Some((*size, cookie.as_slice())),
        _ => None,
    });
    let mut response_controls = Vec::new();
    if let Some((size, cookie)) = page {
        let cookie = cut_page(&mut outcome, size, cookie);
        response_controls.push(LdapControl::SimplePagedResults { size: 0, cookie });
    }
    let limit = usize::try_from(request.sizelimit).unwrap_or(0);
    if limit > 0 && outcome.entries.len() > limit {
        outcome.entries.truncate(limit);
        outcome.refuse(LdapResultCode::SizeLimitExceeded, "size limit exceeded");
    }
    if fault == Some(Fault::SizeLimitPartial) && !outcome.entries.is_empty() {
        let half = outcome.entries.len().div_ceil(2);
        outcome.entries.truncate(half);
        outcome.refuse(LdapResultCode::SizeLimitExceeded, "size limit exceeded");
        response_controls.clear();
    }
    let done = LdapOp::SearchResultDone(result(outcome.code, outcome.message));
    outcome
        .entries
        .iter()
        .map(|entry| LdapOp::SearchResultEntry(shown(entry, request)))
        .map(|op| LdapMsg::new(message_id, op))
        .chain([LdapMsg::new_with_ctrls(message_id, done, response_controls)])
        .collect()
}

struct Outcome<'a> {
    entries: Vec<&'a Entry>,
    code: LdapResultCode,
    message: &'static str,
}

impl Outcome<'_> {
    fn refused(code: LdapResultCode, message: &'static str) -> Self {
        Self {
            entries: Vec::new(),
            code,
            message,
        }
    }

    fn refuse(&mut self, code: LdapResultCode, message: &'static str) {
        self.code = code;
        self.message = message;
    }
}

fn find<'a>(entries: &'a Entries, request: &LdapSearchRequest) -> Outcome<'a> {
    let Some(base) = Dn::parse(&request.base) else {
        return Outcome::refused(LdapResultCode::InvalidDNSyntax, "invalid DN");
    };
    let is_root = request.base.trim().is_empty();
    if is_root && request.scope == LdapSearchScope::Base {
        return Outcome {
            entries: vec![&entries.root],
            code: LdapResultCode::Success,
            message: "",
        };
    }
    if !entries.contains(&base) {
        return Outcome::refused(LdapResultCode::NoSuchObject, "");
    }
    let filter = Filter::from(&request.filter);
    let is_in_scope = |dn: &Dn| match request.scope {
        LdapSearchScope::Base => *dn == base,
        LdapSearchScope::OneLevel => dn.is_child_of(&base),
        LdapSearchScope::Subtree => dn.is_within(&base),
        LdapSearchScope::Children => dn.is_within(&base) && *dn != base,
    };
    let found = entries
        .iter()
        .filter(|(dn, entry)| is_in_scope(dn) && filter.evaluate(entry) == Some(true))
        .map(|(_, entry)| entry)
        .collect();
    Outcome {
        entries: found,
        code: LdapResultCode::Success,
        message: "",
    }
}

/// Leaves one page (RFC 2696) and returns the cookie for the next, empty after the last. The
/// cookie is the offset; a cookie that this server did not give is refused.
fn cut_page(outcome: &mut Outcome<'_>, size: i64, cookie: &[u8]) -> Vec<u8> {
    let offset = match std::str::from_utf8(cookie) {
        Ok("") => Some(0),
        Ok(text) => text.parse::<usize>().ok(),
        Err(_) => None,
    };
    let Some(offset) = offset.filter(|offset| *offset <= outcome.entries.len()) else {
        *outcome = Outcome::refused(LdapResultCode::UnwillingToPerform, "unknown paging cookie");
        return Vec::new();
    };
    let size = usize::try_from(size).unwrap_or(0);
    let end = outcome.entries.len().min(offset.saturating_add(size));
    let is_last = size == 0 || end == outcome.entries.len();
    outcome.entries.truncate(end);
    outcome.entries.drain(..offset);
    if is_last {
        Vec::new()
    } else {
        end.to_string().into_bytes()
    }
}

fn shown(entry: &Entry, request: &LdapSearchRequest) -> LdapSearchResultEntry {
    let wanted: Vec<String> = request
        .attrs
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    let asks_for = |name: &str| wanted.iter().any(|wanted| wanted == name);
    let attributes = entry
        .attributes
        .iter()
        .filter(|attribute| !attribute.is_hidden())
        .filter(|attribute| {
            asks_for(&attribute.key)
                || if attribute.is_operational() {
                    asks_for("+")
                } else {
                    wanted.is_empty() || asks_for("*")
                }
        })
        .map(|attribute| LdapPartialAttribute {
            atype: attribute.name.clone(),
            vals: if request.typesonly {
                Vec::new()
            } else {
                attribute
                    .values
                    .iter()
                    .map(|value| value.clone().into_bytes())
                    .collect()
            },
        })
        .collect();
    LdapSearchResultEntry {
        dn: entry.dn.clone(),
        attributes,
    }
}
