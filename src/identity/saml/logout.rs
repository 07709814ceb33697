//! Single logout in the front channel, both ways (SAML core 3.7, profiles 4.4).
//!
//! A message that ends sessions is signed, or is refused. Never here: which sessions end. Entry
//! points: [`request`], [`response`], [`read`].

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    document::{Element, escaped},
    gate::{self, Allowances, Root},
    provider_metadata::{PROTOCOL, ProviderMetadata},
    redirect_binding::{self, Kind},
    refusal::{Reason, Refused},
    request::{ASSERTION, Addressed, Outgoing, head, instant},
    settings::Settings,
    signature, verify,
};
use crate::{
    access::ProviderSession,
    identity::{Cause, Logout, LogoutMessage},
};

/// How long a message about logout is taken, and how long ours holds.
const LIFETIME: Duration = Duration::from_mins(5);
/// SAML core 3.2.2.2.
const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const RESPONDER: &str = "urn:oasis:names:tc:SAML:2.0:status:Responder";
const PARTIAL: &str = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout";
/// The most sessions that one request may name.
const MOST_SESSIONS: usize = 100;

/// Writes a request to end the provider's session with a person.
pub(super) fn request<'a>(
    settings: &Settings,
    id: &'a str,
    addressed: &Addressed<'_>,
    session: &ProviderSession,
) -> Result<Outgoing<'a>, Cause> {
    let attributes = format!(" NotOnOrAfter=\"{}\"", instant(addressed.now + LIFETIME)?);
    let qualifiers: String = [
        ("Format", &session.format),
        ("NameQualifier", &session.name_qualifier),
        ("SPNameQualifier", &session.sp_name_qualifier),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(format!(" {name}=\"{}\"", escaped(value.as_ref()?))))
    .collect();
    let index = session
        .session_index
        .as_ref()
        .map_or_else(String::new, |index| {
            format!(
                "<samlp:SessionIndex>{}</samlp:SessionIndex>",
                escaped(index)
            )
        });
    Ok(Outgoing {
        kind: Kind::Request,
        id,
        head: head(settings, "LogoutRequest", id, addressed, &attributes)?,
        tail: format!(
            "<saml:NameID{qualifiers}>{}</saml:NameID>{index}</samlp:LogoutRequest>",
            escaped(&session.name_id)
        ),
        relay_state: None,
    })
}

/// Writes the answer to the provider's request.
pub(super) fn response<'a>(
    settings: &Settings,
    id: &'a str,
    addressed: &Addressed<'_>,
    answered: &Answered<'a>,
) -> Result<Outgoing<'a>, Cause> {
    let attributes = format!(" InResponseTo=\"{}\"", escaped(answered.request_id));
    let status = if answered.is_done { SUCCESS } else { RESPONDER };
    Ok(Outgoing {
        kind: Kind::Response,
        id,
        head: head(settings, "LogoutResponse", id, addressed, &attributes)?,
        tail: format!(
            "<samlp:Status><samlp:StatusCode Value=\"{status}\"/></samlp:Status>\
             </samlp:LogoutResponse>"
        ),
        relay_state: answered.relay_state,
    })
}

/// What an answer says.
pub(super) struct Answered<'a> {
    pub(super) request_id: &'a str,
    pub(super) relay_state: Option<&'a str>,
    pub(super) is_done: bool,
}

/// Verifies a message about logout. Blocks.
///
/// # Errors
/// [`Refused`] with the first rule that it breaks; one without a signature of the provider's is
/// [`Reason::Unsigned`].
pub(super) fn read(
    message: &LogoutMessage,
    provider: &ProviderMetadata,
    settings: &Settings,
    now: OffsetDateTime,
) -> Result<Logout, Refused> {
    let opened = match message {
        LogoutMessage::Query(query) => redirected(query, provider)?,
        LogoutMessage::Token(_) => {
            return Err(Refused::new(
                Reason::WrongMessage,
                "a logout token is not of this protocol",
            ));
        }
        LogoutMessage::Form {
            request,
            response,
            relay_state,
        } => {
            let (kind, field) = match (request, response) {
                (Some(request), None) => (Kind::Request, request),
                (None, Some(response)) => (Kind::Response, response),
                _ => {
                    return Err(Refused::new(
                        Reason::WrongMessage,
                        "expected either a SAMLRequest or a SAMLResponse",
                    ));
                }
            };
            posted(kind, field, relay_state.clone(), provider)?
        }
    };
    let root = Element::parse(&opened.xml)
        .map_err(|problem| Refused::new(Reason::Malformed, format!("the message {problem}")))?;
    let name = match opened.kind {
        Kind::Request => "LogoutRequest",
        Kind::Response => "LogoutResponse",
    };
    if !root.is(PROTOCOL, name) {
        return Err(Refused::new(
            Reason::WrongMessage,
            format!("what is signed is no {name}"),
        ));
    }
    let issued_at = check(&root, provider, settings, now)?;
    match opened.kind {
        Kind::Request => requested(&root, opened.relay_state, issued_at, settings, now),
        Kind::Response => Ok(answered(&root)),
    }
}

/// A message whose signature is the provider's.
struct Opened {
    kind: Kind,
    xml: String,
    relay_state: Option<String>,
}

fn root_of(kind: Kind) -> Root {
    match kind {
        Kind::Request => Root::LogoutRequest,
        Kind::Response => Root::LogoutResponse,
    }
}

fn redirected(query: &str, provider: &ProviderMetadata) -> Result<Opened, Refused> {
    let message = redirect_binding::parse(query)?;
    if !message.is_signed() {
        return Err(unsigned());
    }
    message.verify(&provider.certificates)?;
    let (xml, _) = gate::inspect(&message.xml, root_of(message.kind), Allowances::default())?;
    Ok(Opened {
        kind: message.kind,
        xml: xml.to_owned(),
        relay_state: message.relay_state.clone(),
    })
}

fn posted(
    kind: Kind,
    field: &str,
    relay_state: Option<String>,
    provider: &ProviderMetadata,
) -> Result<Opened, Refused> {
    let bytes = verify::decode(field)?;
    let (xml, shape) = gate::inspect(&bytes, root_of(kind), Allowances::default())?;
    if !shape.is_signed {
        return Err(unsigned());
    }
    let xml = signature::verified(xml, &provider.certificates, Allowances::default())?;
    Ok(Opened {
        kind,
        xml,
        relay_state,
    })
}

fn unsigned() -> Refused {
    Refused::new(
        Reason::Unsigned,
        "a message about logout has to be signed by the provider",
    )
}

/// The rules of every message about logout. Returns when it was issued.
fn check(
    root: &Element,
    provider: &ProviderMetadata,
    settings: &Settings,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, Refused> {
    let issuer = root.child(ASSERTION, "Issuer").map(Element::text);
    if issuer != Some(&provider.entity_id) {
        return Err(Refused::new(
            Reason::Issuer,
            format!("expected {:?}, found {issuer:?}", provider.entity_id),
        ));
    }
    let destination = root.attribute("Destination");
    if destination != Some(settings.slo_url.as_str()) {
        return Err(Refused::new(
            Reason::Destination,
            format!(
                "expected {:?}, found {destination:?}",
                settings.slo_url.as_str()
            ),
        ));
    }
    let issued_at = moment(root, "IssueInstant")?
        .ok_or_else(|| Refused::new(Reason::Instant, "there is no IssueInstant"))?;
    if issued_at > now + settings.clock_skew {
        return Err(Refused::new(
            Reason::NotYetValid,
            "it was issued in the future",
        ));
    }
    let ends = moment(root, "NotOnOrAfter")?.unwrap_or(issued_at + LIFETIME);
    if now >= ends.min(issued_at + LIFETIME) + settings.clock_skew {
        return Err(Refused::new(Reason::Expired, "it was issued too long ago"));
    }
    Ok(issued_at)
}

fn moment(root: &Element, name: &str) -> Result<Option<OffsetDateTime>, Refused> {
    let Some(text) = root.attribute(name) else {
        return Ok(None);
    };
    OffsetDateTime::parse(text, &Rfc3339)
        .map(Some)
        .map_err(|_| Refused::new(Reason::Instant, format!("{name} is no time: {text:?}")))
}

fn requested(
    root: &Element,
    relay_state: Option<String>,
    issued_at: OffsetDateTime,
    settings: &Settings,
    now: OffsetDateTime,
) -> Result<Logout, Refused> {
    let name_id = root
        .child(ASSERTION, "NameID")
        .filter(|name| name.is_text() && !name.text().is_empty())
        .ok_or_else(|| Refused::new(Reason::NameId, "there is no NameID that can be read"))?;
    let session_indexes: Vec<String> = root
        .children(PROTOCOL, "SessionIndex")
        // A blank one stays and names no session: without any, all of them are meant.
        .map(|index| index.text().to_owned())
        .collect();
    if session_indexes.len() > MOST_SESSIONS {
        return Err(Refused::new(
            Reason::TooComplex,
            format!("it names over {MOST_SESSIONS} sessions"),
        ));
    }
    Ok(Logout::Requested {
        request_id: root.attribute("ID").unwrap_or_default().to_owned(),
        name_id: Some(name_id.exact_text().to_owned()),
        session_indexes,
        relay_state,
        replay_until: issued_at.max(now) + LIFETIME + settings.clock_skew,
    })
}

fn answered(root: &Element) -> Logout {
    let code = root
        .child(PROTOCOL, "Status")
        .and_then(|status| status.child(PROTOCOL, "StatusCode"));
    let is_partial = |code: &Element| {
        let below = code.child(PROTOCOL, "StatusCode");
        below.and_then(|below| below.attribute("Value")) == Some(PARTIAL)
    };
    Logout::Answered {
        request_id: root.attribute("InResponseTo").map(str::to_owned),
        is_done: code
            .is_some_and(|code| code.attribute("Value") == Some(SUCCESS) && !is_partial(code)),
    }
}
