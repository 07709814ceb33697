//! The sections about the program itself: listeners, store, sign-in sessions, audit stream.
//!
//! Nothing here knows of people, directories or AWS. Entry points: the public structs.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::address::{self, AddressError};
use super::reader::Section;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The address browsers see: `https`, or `http` for a loopback host, with nothing after the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// The address, with `/` as its path.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether cookies can be `Secure` and carry `__Host-`.
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Scheme, host and port as a browser writes them in `Origin`, without a closing slash.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl FromStr for PublicUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = address::upstream(text)?;
        address::nothing_after_host(&url)?;
        Ok(Self(url))
    }
}

/// `[server]`: listeners and the limits of a request.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where the pages are served.
    pub listen: SocketAddr,
    /// Whose `X-Forwarded-*` headers count; nobody's by default.
    pub trusted_proxies: Vec<IpNet>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub operations_listen: SocketAddr,
    /// The certificate to serve `listen` with; `None` behind a TLS proxy.
    pub tls: Option<TlsFiles>,
    /// The most bytes a request body may have.
    pub body_limit: usize,
    /// How long a request may take, whatever it waits for.
    pub request_timeout: Duration,
    /// How long requests in flight may take to finish after a stop signal.
    pub drain_timeout: Duration,
}

impl Server {
    /// `sign_in_timeout`: the longest of any connector.
    pub(super) fn read(section: &mut Section<'_>, sign_in_timeout: Duration) -> Self {
        let listen = address(section, "listen", 8080);
        let operations_listen = address(section, "operations_listen", 9090);
        if listen == operations_listen && listen.port() != 0 {
            section.refuse(
                "operations_listen",
                format!("{listen} is what server.listen has too"),
            );
        }
        let tls = TlsFiles::read(section);
        if tls.is_none() && !listen.ip().is_loopback() {
            let message = "is not a loopback address and there is no tls_certificate: passwords \
                           arrive in clear unless a TLS proxy stands in front";
            section.warn("listen", message);
        }
        let request_timeout = section
            .duration("request_timeout", SECOND..=HOUR)
            .unwrap_or(30 * SECOND);
        if request_timeout <= sign_in_timeout {
            let least = humantime::format_duration(sign_in_timeout);
            let message =
                format!("has to be longer than the sign_in_timeout of a connector ({least})");
            section.refuse("request_timeout", message);
        }
        Self {
            listen,
            trusted_proxies: section.list("trusted_proxies", network).unwrap_or_default(),
            operations_listen,
            tls,
            body_limit: section
                .integer("body_limit", 1024..=16 * 1024 * 1024)
                .map_or(64 * 1024, |bytes| bytes as usize),
            request_timeout,
            drain_timeout: section
                .duration("drain_timeout", SECOND..=HOUR)
                .unwrap_or(10 * SECOND),
        }
    }
}

fn address(section: &mut Section<'_>, key: &str, port: u16) -> SocketAddr {
    let parse = |text: &str| {
        text.parse().map_err(|_| {
            format!("expected ADDRESS:PORT such as \"127.0.0.1:{port}\", found {text:?}")
        })
    };
    section
        .parsed(key, parse)
        .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port)))
}

fn network(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(alone).ok_or_else(|| {
        format!("expected a network such as \"10.0.0.0/8\" or an address, found {text:?}")
    })
}

/// The two PEM files of a TLS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key of the leaf.
    pub key: PathBuf,
}

impl TlsFiles {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        for (one, other) in [
            ("tls_certificate", "tls_key"),
            ("tls_key", "tls_certificate"),
        ] {
            if section.has(one) {
                section.demand(other, "the PEM file that belongs to the other");
            }
        }
        let certificate = section.readable_file("tls_certificate");
        let key = section.readable_file("tls_key");
        Some(Self {
            certificate: certificate?,
            key: key?,
        })
    }
}

/// `[store]`: where state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// A `sqlite:` URL that names a file.
    pub url: String,
}

impl Store {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let url = section.parsed("url", |text| {
            let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
            match scheme {
                "postgres" | "postgresql" => {
                    Err("PostgreSQL is not available in this version; expected sqlite:///PATH")
                }
                // Each connection of the pool would see a store of its own.
                "sqlite" if rest.contains(":memory:") || rest.contains("mode=memory") => {
                    Err("a store in memory forgets the audit log; expected sqlite:///PATH")
                }
                "sqlite" if !rest.trim_matches('/').is_empty() => Ok(text.to_owned()),
                // The URL is not repeated: it could hold a password.
                _ => Err("expected sqlite:///PATH, such as sqlite:///var/lib/rolegate/rolegate.db"),
            }
        });
        let default = || "sqlite:///var/lib/rolegate/rolegate.db".to_owned();
        Self {
            url: url.unwrap_or_else(default),
        }
    }
}

/// `[sign_in_session]`: how long a sign-in and its groups last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInSession {
    /// Without a request for this long a session ends.
    pub idle_timeout: Duration,
    /// A session ends this long after the sign-in; at least `idle_timeout`.
    pub absolute_timeout: Duration,
    /// Groups older than this are read again before the next grant.
    pub groups_refresh_after: Duration,
    /// How long old groups serve while the directory is unreachable; at least
    /// `groups_refresh_after`.
    pub groups_valid_for: Duration,
}

impl SignInSession {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let mut age = |key, range, default| section.duration(key, range).unwrap_or(default);
        let session = Self {
            idle_timeout: age("idle_timeout", MINUTE..=30 * DAY, 8 * HOUR),
            absolute_timeout: age("absolute_timeout", MINUTE..=30 * DAY, 12 * HOUR),
            // Nothing forbids reading groups at every grant.
            groups_refresh_after: age("groups_refresh_after", Duration::ZERO..=DAY, 5 * MINUTE),
            groups_valid_for: age("groups_valid_for", MINUTE..=DAY, HOUR),
        };
        if session.idle_timeout > session.absolute_timeout {
            let most = humantime::format_duration(session.absolute_timeout);
            section.refuse(
                "idle_timeout",
                format!("is longer than absolute_timeout ({most})"),
            );
        }
        if session.groups_refresh_after > session.groups_valid_for {
            let most = humantime::format_duration(session.groups_valid_for);
            let message = format!("is longer than groups_valid_for ({most})");
            section.refuse("groups_refresh_after", message);
        }
        session
    }
}
