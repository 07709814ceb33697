//! URLs as the configuration takes them: what schemes, which hosts, nothing hidden inside.
//!
//! No name is resolved here. Entry points: the `FromStr` of [`PublicUrl`](super::PublicUrl) and
//! [`LdapUrl`](super::LdapUrl), and [`upstream`].

use std::net::IpAddr;

use url::Url;

/// Why an address cannot be used, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(pub(super) String);

/// Whether a host name or address can only mean this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// An absolute URL of one of `schemes` with a host and without user, password or fragment.
pub(super) fn absolute(text: &str, schemes: &[&str]) -> Result<Url, AddressError> {
    let wanted = schemes
        .iter()
        .map(|scheme| format!("{scheme}://HOST"))
        .collect::<Vec<_>>();
    let wanted = wanted.join(" or ");
    let url = Url::parse(text)
        .map_err(|error| AddressError(format!("not a URL ({error}); expected {wanted}")))?;
    if !schemes.contains(&url.scheme()) {
        let found = url.scheme();
        return Err(AddressError(format!(
            "scheme {found:?} is not taken; expected {wanted}"
        )));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(AddressError(format!("names no host; expected {wanted}")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError(
            "contains a user name or password; leave it out".to_owned(),
        ));
    }
    if url.fragment().is_some() {
        return Err(AddressError(
            "contains a fragment (#…); leave it out".to_owned(),
        ));
    }
    Ok(url)
}

/// An `https` URL, or an `http` one of a loopback host.
pub(super) fn upstream(text: &str) -> Result<Url, AddressError> {
    let url = absolute(text, &["https", "http"])?;
    if url.scheme() == "http" && !is_loopback(&url) {
        let message = "plain http is taken for loopback hosts alone; expected https://";
        return Err(AddressError(message.to_owned()));
    }
    Ok(url)
}

/// Refuses a path, a query, or both.
pub(super) fn nothing_after_host(url: &Url) -> Result<(), AddressError> {
    if matches!(url.path(), "" | "/") && url.query().is_none() {
        return Ok(());
    }
    let host = &url[..url::Position::BeforePath];
    Err(AddressError(format!(
        "nothing may follow the host; expected {host}"
    )))
}
