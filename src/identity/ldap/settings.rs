//! What a connector is made from, and the checks that need no network.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ldap3::parse_filter;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use url::Url;

use super::template::{Template, TemplateError, Value};
use crate::access::{ConnectorId, Dn};

/// The matching rule that makes Active Directory follow nested groups by itself
/// (`LDAP_MATCHING_RULE_IN_CHAIN`, [MS-ADTS] section 3.1.1.3.4.4.3).
const IN_CHAIN_RULE: &str = ":1.2.840.113556.1.4.1941:=";

/// Everything a connector needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The connector's id.
    pub id: ConnectorId,
    /// What people see on the sign-in page.
    pub label: String,
    /// `ldaps://host[:port]` or `ldap://host[:port]`, tried in this order, healthiest first.
    pub urls: Vec<Url>,
    /// Whether `ldap://` connections are encrypted with StartTLS before anything else is said.
    pub start_tls: bool,
    /// The authorities that may sign the servers' certificates, as PEM; none means those that the
    /// operating system trusts.
    pub ca_pem: Option<Vec<u8>>,
    /// How people's entries are found and their passwords tried.
    pub bind: Bind,
    /// Below which DN people are.
    pub user_base: String,
    /// Which entry a typed name means; contains `{username}`.
    pub user_filter: String,
    /// Which attributes of the entry are read.
    pub attributes: Attributes,
    /// How a person's groups are found.
    pub group_strategy: GroupStrategy,
    /// Below which DN groups are. With [`GroupStrategy::MemberOf`] other groups do not count.
    pub group_base: Option<String>,
    /// Which entries are a person's groups; contains `{dn}` or `{username}`. Not used with
    /// [`GroupStrategy::MemberOf`].
    pub group_filter: String,
    /// Whether groups in groups count, for [`GroupStrategy::Search`] and
    /// [`GroupStrategy::MemberOf`]; the other strategies have nothing to follow.
    pub nested_groups: bool,
    /// How many levels above a person's own groups may exist; one more is an error.
    pub nesting_limit: usize,
    /// How many groups a person may be in; one more is an error.
    pub group_limit: usize,
    /// Entries per page of a paged search (RFC 2696).
    pub page_size: i32,
    /// How many connections search at the same time, and how many try passwords.
    pub pool_size: usize,
    /// How long one server may take to accept a connection and finish its TLS handshake.
    pub connect_timeout: Duration,
    /// How long one server may take to answer one request.
    pub operation_timeout: Duration,
    /// How long a whole sign-in may take, whatever the number of servers.
    pub sign_in_timeout: Duration,
    /// Whose dialect the servers speak.
    pub flavour: Flavour,
}

/// How people's entries are found and their passwords tried.
#[derive(Debug, Clone)]
pub enum Bind {
    /// A service account finds the entry; the password is tried with the entry's DN.
    Service {
        /// The service account's DN.
        dn: String,
        /// The service account's password.
        password: SecretString,
    },
    /// The name is bound as typed, in a DN template, as UPN or as `DOMAIN\user`.
    Direct {
        /// Contains `{username}`: `uid={username},ou=people,dc=x`, `{username}@example.com`.
        template: String,
    },
}

/// The names of the attributes of a person's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The stable id: `entryUUID`, `objectGUID`.
    pub subject: String,
    /// The canonical user name: `uid`, `sAMAccountName`. Of several values the smallest is taken,
    /// because directories keep no order.
    pub username: String,
    /// What to call the person.
    pub display_name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
}

/// How a person's groups are found. The primary group of Active Directory (`Domain Users`) is not
/// among them: no `member` or `memberOf` tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupStrategy {
    /// Search for groups that name the person.
    Search,
    /// Read `memberOf` of the person's entry.
    MemberOf,
    /// Search for groups that list the person's user name (`memberUid`).
    Posix,
    /// One search by Active Directory's in-chain matching rule.
    InChain,
}

/// Whose dialect a directory speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Active Directory, or Samba in its place.
    ActiveDirectory,
    /// OpenLDAP, 389 Directory Server and their kin.
    Other,
}

impl Flavour {
    /// The attribute that holds an entry's stable id.
    pub(super) fn stable_id_attribute(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "objectGUID",
            Self::Other => "entryUUID",
        }
    }

    /// The attribute by which a search finds entries by their DN.
    pub(super) fn dn_attribute(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "distinguishedName",
            Self::Other => "entryDN",
        }
    }
}

/// Why settings make no connector.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// No server is named.
    #[error("urls is empty: name at least one, such as ldaps://ldap.example.com")]
    NoUrls,
    /// A URL that names no LDAP server.
    #[error("`{url}` is not the URL of a directory: {problem}")]
    Url {
        /// What was written.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Passwords would cross the network in clear.
    #[error(
        "`{url}` is not encrypted: use ldaps:// or start_tls = true (only this machine may be \
         spoken to in clear)"
    )]
    Unencrypted {
        /// What was written.
        url: String,
    },
    /// The authorities cannot be used.
    #[error("the certificate authority cannot be used: {0}")]
    Authority(String),
    /// A base that is no distinguished name.
    #[error("{key} `{value}` is not a distinguished name")]
    Base {
        /// `user_base` or `group_base`.
        key: &'static str,
        /// What was written.
        value: String,
    },
    /// A filter or a bind template that cannot be used.
    #[error("{key} cannot be used")]
    Template {
        /// `user_filter`, `group_filter` or `bind_template`.
        key: &'static str,
        /// What is wrong with it.
        #[source]
        source: TemplateError,
    },
    /// The service account has no name or no password, which would be an anonymous bind.
    #[error("the service account needs a DN and a password: without them the bind is anonymous")]
    AnonymousBind,
    /// A strategy that the other settings do not fit.
    #[error("group_strategy does not fit: {0}")]
    Strategy(&'static str),
    /// A number out of range.
    #[error("{key} is {value}: it must be at least 1")]
    Zero {
        /// The key.
        key: &'static str,
        /// What was written.
        value: i64,
    },
}

/// The templates of checked settings.
#[derive(Debug)]
pub(super) struct Templates {
    pub(super) user_filter: Template,
    pub(super) group_filter: Template,
    pub(super) bind: Option<BindTemplate>,
}

/// How a typed name becomes the name of a direct bind.
#[derive(Debug)]
pub(super) enum BindTemplate {
    /// A DN: the name is escaped, and the DN is the entry's own.
    Dn(Template),
    /// A UPN or `DOMAIN\user`: the server finds the entry.
    Name(Template),
}

impl Settings {
    /// Checks all that can be checked without a network.
    pub(super) fn checked(&self) -> Result<Templates, SettingsError> {
        if self.urls.is_empty() {
            return Err(SettingsError::NoUrls);
        }
        for url in &self.urls {
            check_url(url, self.start_tls)?;
        }
        self.check_numbers()?;
        check_base("user_base", &self.user_base)?;
        if let Some(base) = &self.group_base {
            check_base("group_base", base)?;
        }
        let user_filter = filter("user_filter", &self.user_filter, &["username"])?;
        let group_filter = match self.group_strategy {
            GroupStrategy::MemberOf => Template::default(),
            _ => filter("group_filter", &self.group_filter, &["username", "dn"])?,
        };
        self.check_strategy(&group_filter)?;
        let bind = match &self.bind {
            Bind::Service { dn, password } => {
                if dn.trim().is_empty() || password.expose_secret().is_empty() {
                    return Err(SettingsError::AnonymousBind);
                }
                None
            }
            Bind::Direct { template } => Some(bind_template(template)?),
        };
        Ok(Templates {
            user_filter,
            group_filter,
            bind,
        })
    }

    fn check_numbers(&self) -> Result<(), SettingsError> {
        let zero = |key, value| Err(SettingsError::Zero { key, value });
        if self.page_size < 1 {
            return zero("page_size", self.page_size.into());
        }
        if self.pool_size == 0 {
            return zero("pool_size", 0);
        }
        if self.group_limit == 0 {
            return zero("group_limit", 0);
        }
        for (key, value) in [
            ("connect_timeout", self.connect_timeout),
            ("operation_timeout", self.operation_timeout),
            ("sign_in_timeout", self.sign_in_timeout),
        ] {
            if value.is_zero() {
                return zero(key, 0);
            }
        }
        Ok(())
    }

    fn check_strategy(&self, group_filter: &Template) -> Result<(), SettingsError> {
        let problem = match self.group_strategy {
            GroupStrategy::Search if self.nested_groups && !group_filter.names("dn") => {
                "nested_groups needs a group_filter with {dn}"
            }
            GroupStrategy::InChain if self.flavour != Flavour::ActiveDirectory => {
                "in-chain works on Active Directory alone; other servers answer with nothing"
            }
            GroupStrategy::InChain if !self.group_filter.contains(IN_CHAIN_RULE) => {
                "in-chain needs a group_filter with (member:1.2.840.113556.1.4.1941:={dn})"
            }
            GroupStrategy::MemberOf if self.nested_groups && self.group_base.is_none() => {
                "member-of with nested_groups needs a group_base"
            }
            GroupStrategy::MemberOf => return Ok(()),
            _ if self.group_base.is_none() => "this strategy needs a group_base",
            _ => return Ok(()),
        };
        Err(SettingsError::Strategy(problem))
    }

    /// Whether some URL needs certificates to be checked.
    pub(super) fn uses_tls(&self) -> bool {
        self.start_tls || self.urls.iter().any(|url| url.scheme() == "ldaps")
    }

    /// The TLS client that trusts the configured authorities and nobody else.
    pub(super) fn tls_client(&self) -> Result<Arc<ClientConfig>, SettingsError> {
        let mut roots = RootCertStore::empty();
        match &self.ca_pem {
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let added = certificate
                        .map_err(|error| SettingsError::Authority(error.to_string()))
                        .map(|certificate| roots.add(certificate))?;
                    added.map_err(|error| SettingsError::Authority(error.to_string()))?;
                }
            }
            None if self.uses_tls() => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            None => {}
        }
        if roots.is_empty() && (self.ca_pem.is_some() || self.uses_tls()) {
            let problem = match self.ca_pem {
                Some(_) => "the file holds no PEM certificate",
                None => "none is named, and the operating system trusts none",
            };
            return Err(SettingsError::Authority(problem.to_owned()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| SettingsError::Authority(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

/// ldap3 panics on a URL without a host, and takes IPv6 addresses with their brackets for names of
/// certificates.
fn check_url(url: &Url, start_tls: bool) -> Result<(), SettingsError> {
    let refused = |problem| {
        Err(SettingsError::Url {
            url: url.to_string(),
            problem,
        })
    };
    let is_ldaps = match url.scheme() {
        "ldaps" => true,
        "ldap" => false,
        _ => return refused("it begins with neither ldaps:// nor ldap://"),
    };
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return refused("it has no host");
    };
    let has_more = !url.username().is_empty()
        || url.password().is_some()
        || !matches!(url.path(), "" | "/")
        || url.query().is_some()
        || url.fragment().is_some();
    if has_more {
        return refused("it has more than a scheme, a host and a port");
    }
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let is_name = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if address.is_none() && !is_name {
        return refused("its host is neither a name nor an address");
    }
    if (is_ldaps || start_tls) && matches!(address, Some(IpAddr::V6(_))) {
        return refused("an IPv6 address cannot be encrypted to; write the host's name");
    }
    let is_loopback = address.map_or_else(
        || host.eq_ignore_ascii_case("localhost"),
        |ip| ip.is_loopback(),
    );
    if !is_ldaps && !start_tls && !is_loopback {
        return Err(SettingsError::Unencrypted {
            url: url.to_string(),
        });
    }
    Ok(())
}

fn check_base(key: &'static str, value: &str) -> Result<(), SettingsError> {
    match value.parse::<Dn>() {
        Ok(_) => Ok(()),
        Err(_) => Err(SettingsError::Base {
            key,
            value: value.to_owned(),
        }),
    }
}

fn filter(
    key: &'static str,
    text: &str,
    names: &'static [&'static str],
) -> Result<Template, SettingsError> {
    let refused = |source| SettingsError::Template { key, source };
    let template = Template::new(text, names).map_err(refused)?;
    // A refresh asks for anybody's name: the filter must stand with `*` in its place too.
    for value in [Value::Filter("x"), Value::Verbatim("*")] {
        let rendered = template.render(&[("username", value), ("dn", Value::Filter("cn=x"))]);
        if parse_filter(&rendered).is_err() {
            return Err(refused(TemplateError::Filter(text.to_owned())));
        }
    }
    Ok(template)
}

fn bind_template(text: &str) -> Result<BindTemplate, SettingsError> {
    let template =
        Template::new(text, &["username"]).map_err(|source| SettingsError::Template {
            key: "bind_template",
            source,
        })?;
    let is_dn = template
        .render(&[("username", Value::Dn("x"))])
        .parse::<Dn>()
        .is_ok();
    Ok(if is_dn {
        BindTemplate::Dn(template)
    } else {
        BindTemplate::Name(template)
    })
}
