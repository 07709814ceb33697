//! A `[[connector]]` of type `ldap`.
//!
//! Only checks what can be known without asking a directory; what a preset fills in is in
//! `preset.rs`. Entry point: [`Ldap`].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::address::{self, AddressError};
use super::preset::Preset;
use super::reader::Section;
use super::template;

/// A connector of type `ldap`, with the defaults of its preset filled in.
#[derive(Clone, Debug)]
pub struct Ldap {
    /// What the preset says the directory is.
    pub directory_kind: DirectoryKind,
    /// Tried in turn; at least one.
    pub urls: Vec<LdapUrl>,
    /// Whether `ldap://` connections are raised to TLS before anything is said.
    pub start_tls: bool,
    /// PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How a person's entry is found and their password tried.
    pub bind: Bind,
    /// Below which people are.
    pub user_base: String,
    /// Finds a person; contains `{username}`, to be filled escaped (RFC 4515).
    pub user_filter: String,
    /// Which attributes tell about a person.
    pub user_attributes: UserAttributes,
    /// How a person's groups are found.
    pub group_strategy: GroupStrategy,
    /// Below which groups are; there for every strategy but [`GroupStrategy::MemberOf`].
    pub group_base: Option<String>,
    /// Finds a member's groups; contains `{dn}`, or `{username}` with [`GroupStrategy::Posix`].
    pub group_filter: String,
    /// Whether groups of groups count.
    pub nested_groups: bool,
    /// The most levels of groups in groups.
    pub nesting_limit: usize,
    /// The most groups a person may have; a sign-in with more is refused, never cut.
    pub group_limit: usize,
    /// The deadline of one connection, TLS included.
    pub connect_timeout: Duration,
    /// The deadline of one operation.
    pub operation_timeout: Duration,
    /// The deadline of a whole sign-in, over all `urls`.
    pub sign_in_timeout: Duration,
    /// The most service connections kept open.
    pub pool_size: usize,
    /// Entries asked for at a time (RFC 2696).
    pub page_size: u32,
    /// Where a person whose password has expired can change it.
    pub password_change_url: Option<Url>,
}

impl Ldap {
    /// `None` when something it cannot do without was reported.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let preset = Preset::of(section.choice("preset", &DirectoryKind::PRESETS));
        section.demand(
            "urls",
            "at least one URL such as \"ldaps://ldap1.example.com\"",
        );
        section.demand("user_base", "the DN below which people are");
        let start_tls = section.boolean("start_tls").unwrap_or(false);
        let urls = section.non_empty_list("urls", |text| ldap_url(text, start_tls));
        let bind = Bind::read(section);
        let user_base = section.parsed("user_base", base);
        let user_filter = section.parsed("user_filter", |text| filter(text, &["username"]));
        let user_attributes = section.table("user_attributes", |section| {
            UserAttributes::read(section, &preset)
        });
        let groups = Groups::read(section, &preset);
        let limits = Limits::read(section);
        Some(Self {
            directory_kind: preset.kind,
            urls: urls?,
            start_tls,
            ca_file: section.readable_file("ca_file"),
            bind: bind?,
            user_base: user_base?,
            user_filter: user_filter.unwrap_or_else(|| preset.user_filter.to_owned()),
            user_attributes,
            group_strategy: groups.strategy,
            group_base: groups.base,
            group_filter: groups.filter,
            nested_groups: groups.nested,
            nesting_limit: limits.nesting,
            group_limit: limits.groups,
            connect_timeout: limits.connect_timeout,
            operation_timeout: limits.operation_timeout,
            sign_in_timeout: limits.sign_in_timeout,
            pool_size: limits.pool_size,
            page_size: limits.page_size,
            password_change_url: section.parsed("password_change_url", address::upstream),
        })
    }
}

fn ldap_url(text: &str, start_tls: bool) -> Result<LdapUrl, String> {
    let url: LdapUrl = text
        .parse()
        .map_err(|error: AddressError| error.to_string())?;
    if url.is_ldaps() && start_tls {
        return Err("start_tls is for ldap:// URLs; ldaps:// is TLS from the start".to_owned());
    }
    if !url.is_ldaps() && !start_tls && !url.is_loopback() {
        return Err(
            "passwords would travel in clear; expected ldaps://, or start_tls = true".into(),
        );
    }
    Ok(url)
}

fn base(text: &str) -> Result<String, String> {
    let is_component = |part: &str| {
        part.split_once('=')
            .is_some_and(|(name, _)| !name.is_empty())
    };
    if text.split(',').next().is_some_and(is_component) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected a DN such as \"ou=people,dc=example,dc=com\", found {text:?}"
    ))
}

/// A filter (RFC 4515) with exactly the placeholders of `names`.
fn filter(text: &str, names: &[&str]) -> Result<String, String> {
    template::check(text, names)?;
    let mut filled = text.to_owned();
    for name in names {
        template::demand(text, name)?;
        filled = filled.replace(&format!("{{{name}}}"), "x");
    }
    if ldap3::parse_filter(&filled).is_err() {
        return Err(format!(
            "not an LDAP filter such as \"(uid={{username}})\": {text:?}"
        ));
    }
    Ok(text.to_owned())
}

/// What an LDAP connector reads about groups.
struct Groups {
    strategy: GroupStrategy,
    base: Option<String>,
    filter: String,
    nested: bool,
}

impl Groups {
    fn read(section: &mut Section<'_>, preset: &Preset) -> Self {
        let strategy = section
            .choice("group_strategy", &GroupStrategy::NAMES)
            .unwrap_or(preset.group_strategy);
        let is_in_chain = strategy == GroupStrategy::InChain;
        match preset.kind {
            DirectoryKind::OpenLdap | DirectoryKind::FreeIpa if is_in_chain => {
                // They answer the rule with nothing instead of an error.
                let message = "in-chain works with Active Directory alone; expected \"search\"";
                section.refuse("group_strategy", message);
            }
            DirectoryKind::Other if is_in_chain => {
                let message = "in-chain works with Active Directory alone, and other directories \
                               answer with no group; say preset = \"active-directory\"";
                section.warn("group_strategy", message);
            }
            _ => {}
        }
        let nested = section.boolean("nested_groups");
        let follows_groups = nested.unwrap_or(preset.nested_groups);
        if strategy != GroupStrategy::MemberOf || follows_groups {
            section.demand("group_base", "the DN below which groups are");
        }
        if is_in_chain && nested == Some(false) {
            let message = "in-chain always finds nested groups; expected true, or \
                           group_strategy = \"search\"";
            section.refuse("nested_groups", message);
        }
        let placeholder = if strategy == GroupStrategy::Posix {
            "username"
        } else {
            "dn"
        };
        let filter = section.parsed("group_filter", |text| filter(text, &[placeholder]));
        Self {
            strategy,
            base: section.parsed("group_base", base),
            filter: filter.unwrap_or_else(|| preset.group_filter(strategy)),
            nested: follows_groups,
        }
    }
}

/// The limits of an LDAP connector.
struct Limits {
    nesting: usize,
    groups: usize,
    connect_timeout: Duration,
    operation_timeout: Duration,
    sign_in_timeout: Duration,
    pool_size: usize,
    page_size: u32,
}

impl Limits {
    fn read(section: &mut Section<'_>) -> Self {
        let (least, most) = (Duration::from_millis(100), Duration::from_mins(1));
        let mut timeout = |key, seconds| {
            section
                .duration(key, least..=most)
                .unwrap_or(Duration::from_secs(seconds))
        };
        let connect_timeout = timeout("connect_timeout", 3);
        let operation_timeout = timeout("operation_timeout", 5);
        let sign_in_timeout = timeout("sign_in_timeout", 15);
        if sign_in_timeout < connect_timeout.max(operation_timeout) {
            let message = "is shorter than connect_timeout or operation_timeout, which it covers";
            section.refuse("sign_in_timeout", message);
        }
        let mut limit = |key, most, default| section.integer(key, 1..=most).unwrap_or(default);
        Self {
            nesting: limit("nesting_limit", 100, 20) as usize,
            groups: limit("group_limit", 100_000, 5000) as usize,
            connect_timeout,
            operation_timeout,
            sign_in_timeout,
            pool_size: limit("pool_size", 256, 8) as usize,
            page_size: limit("page_size", 10_000, 500),
        }
    }
}

/// The address of one directory server: `ldap` or `ldaps`, a host, perhaps a port, nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct LdapUrl(Url);

impl LdapUrl {
    /// The address as ldap3 takes it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the connection is TLS from its first byte.
    pub fn is_ldaps(&self) -> bool {
        self.0.scheme() == "ldaps"
    }

    /// Whether the host can only be this machine.
    pub fn is_loopback(&self) -> bool {
        address::is_loopback(&self.0)
    }

    /// The host as written.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port, 389 or 636 where none is written.
    pub fn port(&self) -> u16 {
        self.0
            .port()
            .unwrap_or(if self.is_ldaps() { 636 } else { 389 })
    }
}

impl FromStr for LdapUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = address::absolute(text, &["ldaps", "ldap"])?;
        address::nothing_after_host(&url)?;
        Ok(Self(url))
    }
}

impl fmt::Display for LdapUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for LdapUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// How a person's entry is found and their password tried.
#[derive(Clone, Debug)]
pub enum Bind {
    /// A service account searches, then the person's own DN is bound.
    Service {
        /// The name of the service account, as the directory takes it in a bind.
        dn: String,
        /// Its password.
        password: SecretString,
    },
    /// The person is bound at once under a name made from what they typed.
    Direct {
        /// Contains `{username}`: a DN, `{username}@example.com` or `EXAMPLE\{username}`.
        template: String,
    },
}

impl Bind {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        if !section.has("user_bind") {
            let expected = "the service account that searches, or user_bind instead";
            section.demand("bind_dn", expected);
            if !section.has("bind_password_file") {
                section.demand(
                    "bind_password",
                    "the password of bind_dn, or bind_password_file",
                );
            }
        }
        let service_keys = ["bind_dn", "bind_password", "bind_password_file"];
        let service_key = service_keys.into_iter().find(|key| section.has(key));
        if let Some(key) = service_key.filter(|_| section.has("user_bind")) {
            section.refuse(
                "user_bind",
                format!("is given beside {key}; give one of the two"),
            );
        }
        let dn = section.string("bind_dn");
        let password = section.secret("bind_password");
        let template = section.parsed("user_bind", |text| {
            template::check(text, &["username"])?;
            template::demand(text, "username").map(|()| text.to_owned())
        });
        match template {
            Some(template) => Some(Self::Direct { template }),
            None => Some(Self::Service {
                dn: dn?,
                password: password?,
            }),
        }
    }
}

/// Which attributes tell about a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAttributes {
    /// Stable and never used again: `entryUUID`, `objectGUID`, `ipaUniqueID`.
    pub subject: String,
    /// What role session names are made of.
    pub username: String,
    /// Shown on the pages.
    pub display_name: String,
    /// The mail address.
    pub email: String,
}

impl UserAttributes {
    fn read(section: &mut Section<'_>, preset: &Preset) -> Self {
        let [subject, username, display_name, email] = preset.user_attributes;
        let mut name = |key, default: &str| {
            section
                .parsed(key, attribute)
                .unwrap_or_else(|| default.to_owned())
        };
        Self {
            subject: name("subject", subject),
            username: name("username", username),
            display_name: name("display_name", display_name),
            email: name("email", email),
        }
    }
}

fn attribute(text: &str) -> Result<String, String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "-.;".contains(c);
    if text.chars().all(is_legal) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected the name of an attribute such as \"mail\", found {text:?}"
    ))
}

/// How a person's groups are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupStrategy {
    /// Groups that name the person's DN.
    Search,
    /// The person's own `memberOf`.
    MemberOf,
    /// `posixGroup` entries that name the person's `uid`.
    Posix,
    /// Groups by `LDAP_MATCHING_RULE_IN_CHAIN` (Active Directory), nested ones included.
    InChain,
}

impl GroupStrategy {
    const NAMES: [(&'static str, Self); 4] = [
        ("search", Self::Search),
        ("member-of", Self::MemberOf),
        ("posix", Self::Posix),
        ("in-chain", Self::InChain),
    ];
}

/// Which directory a preset speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryKind {
    /// Active Directory or Samba.
    ActiveDirectory,
    /// OpenLDAP.
    OpenLdap,
    /// FreeIPA or 389 Directory Server.
    FreeIpa,
    /// No preset was named.
    Other,
}

impl DirectoryKind {
    const PRESETS: [(&'static str, Self); 3] = [
        ("active-directory", Self::ActiveDirectory),
        ("openldap", Self::OpenLdap),
        ("freeipa", Self::FreeIpa),
    ];
}
