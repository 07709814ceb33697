//! `[aws]` and `[role_defaults]`: how AWS is reached and what holds for roles that do not say.
//!
//! No AWS client is made here. Entry points: [`Aws`], [`RoleDefaults`].

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::reader::Section;
use super::{address, template};
use crate::access::{
    ConsoleWay, GrantMethod, NameTemplate, SamlProviderArn, SessionDuration, TargetArn,
    TemplateError, Voucher,
};

/// `[aws]`: how AWS is reached.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The region of STS calls for roles that name none.
    pub default_region: String,
    /// Instead of the regional STS endpoint.
    pub sts_endpoint: Option<Url>,
    /// Instead of the partition's federation endpoint.
    pub sign_in_endpoint: Option<Url>,
    /// Instead of the partition's console.
    pub console_url: Option<Url>,
    /// Instead of the partition's SAML sign-in address, to which browsers post assertions.
    pub saml_endpoint: Option<Url>,
    /// Instead of the partition's IAM endpoint.
    pub iam_endpoint: Option<Url>,
    /// Instead of the partition's Organizations endpoint.
    pub organizations_endpoint: Option<Url>,
    /// The name of a role in each account by which Rolegate may read IAM; none: it does not read.
    pub read_role: Option<String>,
    /// The name of a role in each account by which Rolegate may write the inline policies that end
    /// sessions; none: they are printed.
    pub revoker_role: Option<String>,
    /// Template of `RoleSessionName`, over [`TEMPLATE_PLACEHOLDERS`].
    pub session_name: NameTemplate,
    /// Template of `SourceIdentity`, over [`TEMPLATE_PLACEHOLDERS`]; `None`: not sent.
    pub source_identity: Option<NameTemplate>,
    /// Where Rolegate's own credentials come from; at least one, the first is the default.
    pub credential_sources: Vec<CredentialSource>,
    /// The deadline of one call to STS or the federation endpoint.
    pub call_timeout: Duration,
    /// How often an STS call is tried in all.
    pub attempts: u32,
}

/// What `session_name` and `source_identity` may contain in braces.
pub const TEMPLATE_PLACEHOLDERS: [&str; 2] = ["username", "connector"];

impl Aws {
    /// `None` when something it cannot do without was reported.
    pub(super) fn read(section: &mut Section<'_>, connector_count: usize) -> Option<Self> {
        section.demand("default_region", "a region such as \"eu-west-1\"");
        if connector_count > 1 {
            section.demand(
                "session_name",
                "\"{connector}-{username}\", to tell connectors apart",
            );
        }
        let name = |text: &str| session_template(text, connector_count);
        let default_region = section.parsed("default_region", region);
        let sts_endpoint = section.parsed("sts_endpoint", address::upstream);
        let sign_in_endpoint = section.parsed("sign_in_endpoint", address::upstream);
        let console_url = section.parsed("console_url", address::upstream);
        let saml_endpoint = section.parsed("saml_endpoint", address::upstream);
        let iam_endpoint = section.parsed("iam_endpoint", address::upstream);
        let organizations_endpoint = section.parsed("organizations_endpoint", address::upstream);
        let read_role = section.parsed("read_role", role_name);
        let revoker_role = section.parsed("revoker_role", role_name);
        let session_name = section.parsed("session_name", name);
        let source_identity = section.parsed("source_identity", name);
        let (least, most) = (Duration::from_millis(100), Duration::from_mins(1));
        let call_timeout = section.duration("call_timeout", least..=most);
        let attempts = section.integer("attempts", 1..=10);
        let credential_sources = CredentialSource::read_all(section);
        Some(Self {
            default_region: default_region?,
            sts_endpoint,
            sign_in_endpoint,
            console_url,
            saml_endpoint,
            iam_endpoint,
            organizations_endpoint,
            read_role,
            revoker_role,
            session_name: session_name.unwrap_or_default(),
            source_identity,
            credential_sources,
            call_timeout: call_timeout.unwrap_or(Duration::from_secs(10)),
            attempts: attempts.unwrap_or(2),
        })
    }
}

impl Aws {
    /// The ids of the credential sources.
    pub(super) fn source_ids(&self) -> Vec<String> {
        self.credential_sources
            .iter()
            .map(|source| source.id.clone())
            .collect()
    }
}

fn session_template(text: &str, connector_count: usize) -> Result<NameTemplate, String> {
    template::check(text, &TEMPLATE_PLACEHOLDERS)?;
    template::demand(text, "username")?;
    if connector_count > 1 {
        // Two people may have one name in two directories.
        template::demand(text, "connector")
            .map_err(|message| format!("{message}, which more than one connector needs"))?;
    }
    text.parse()
        .map_err(|error: TemplateError| error.to_string())
}

pub(super) fn region(text: &str) -> Result<String, String> {
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let is_region = text.rsplit_once('-').is_some_and(|(area, number)| {
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        is_number && area.contains('-') && area.split('-').all(is_part)
    });
    if is_region {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected a region such as \"eu-west-1\", found {text:?}"
    ))
}

pub(super) fn external_id(text: &str) -> Result<String, String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    // The limits of sts:AssumeRole.
    if (2..=1224).contains(&text.len()) && text.chars().all(is_legal) {
        return Ok(text.to_owned());
    }
    Err("expected 2 to 1224 letters, digits or characters of _+=,.@:/-".to_owned())
}

/// A role's name, with its path where it has one: `rolegate-read` or `brokers/rolegate-read`.
fn role_name(text: &str) -> Result<String, String> {
    let arn = format!("arn:aws:iam::000000000000:role/{text}");
    match arn.parse::<TargetArn>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!(
            "expected the name of a role, such as \"rolegate-read\", found {text:?}"
        )),
    }
}

fn role_arn(text: &str) -> Result<String, String> {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let is_role = matches!(parts[..], ["arn", partition, "iam", "", account, resource]
        if partition.starts_with("aws")
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty()));
    if is_role {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected arn:aws:iam::ACCOUNT:role/NAME, found {text:?}"
    ))
}

/// `[[aws.credential_source]]`: where Rolegate's own credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialSource {
    /// What roles call it; unique.
    pub id: String,
    /// What it is.
    pub kind: CredentialSourceKind,
}

/// The kinds of credential sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSourceKind {
    /// The default chain of the SDK.
    DefaultChain,
    /// A profile of the shared AWS configuration files.
    Profile {
        /// Its name there.
        name: String,
    },
    /// A role assumed with another source.
    AssumeRole {
        /// The id of the other source; chains end at one that is not `AssumeRole`.
        source: String,
        /// The role.
        role_arn: String,
        /// What the role's trust policy asks for.
        external_id: Option<String>,
    },
    /// A file of `AWS_ACCESS_KEY_ID=…` lines, read again when it changes.
    EnvironmentFile {
        /// The file.
        path: PathBuf,
    },
}

impl CredentialSource {
    /// What the file says, or the default chain when it says nothing.
    fn read_all(section: &mut Section<'_>) -> Vec<Self> {
        let mut ids = Vec::new();
        let mut places = Vec::new();
        let mut sources = section.array_of_tables("credential_source", "id", |section| {
            let source = Self::read(section, &mut ids)?;
            places.push(section.place("source"));
            Some(source)
        });
        if ids.is_empty() {
            let id = "default".to_owned();
            sources.push(Self {
                id,
                kind: CredentialSourceKind::DefaultChain,
            });
        }
        for (source, place) in sources.iter().zip(&places) {
            if let Err(message) = ends(source, &sources, &ids) {
                section.refuse_at(place, message);
            }
        }
        sources
    }

    fn read(section: &mut Section<'_>, ids: &mut Vec<String>) -> Option<Self> {
        section.demand(
            "type",
            "default-chain, profile, assume-role or environment-file",
        );
        let id = section.identifier("id", ids);
        let kind = section
            .choice("type", &KINDS)
            .and_then(|kind| kind(section));
        Some(Self {
            id: id?,
            kind: kind?,
        })
    }
}

type KindReader = fn(&mut Section<'_>) -> Option<CredentialSourceKind>;

const KINDS: [(&str, KindReader); 4] = [
    ("default-chain", |_| {
        Some(CredentialSourceKind::DefaultChain)
    }),
    ("profile", |section| {
        section.demand("name", "a profile of ~/.aws/config");
        Some(CredentialSourceKind::Profile {
            name: section.string("name")?,
        })
    }),
    ("assume-role", |section| {
        section.demand(
            "source",
            "the id of the credential source that may assume the role",
        );
        section.demand("role_arn", "arn:aws:iam::ACCOUNT:role/NAME");
        let source = section.string("source");
        let role_arn = section.parsed("role_arn", role_arn);
        let external_id = section.parsed("external_id", external_id);
        Some(CredentialSourceKind::AssumeRole {
            source: source?,
            role_arn: role_arn?,
            external_id,
        })
    }),
    ("environment-file", |section| {
        section.demand("path", "a file of AWS_ACCESS_KEY_ID=… lines");
        Some(CredentialSourceKind::EnvironmentFile {
            path: section.readable_file("path")?,
        })
    }),
];

/// Whether a chain of assumed roles ends at credentials.
fn ends(
    first: &CredentialSource,
    sources: &[CredentialSource],
    ids: &[String],
) -> Result<(), String> {
    let mut current = first;
    // More steps than sources means that one came twice.
    for _ in 0..sources.len() {
        let CredentialSourceKind::AssumeRole { source, .. } = &current.kind else {
            return Ok(());
        };
        if !ids.contains(source) {
            // Told once, at the source that names it.
            return if current.id == first.id {
                Err(unknown_source(source, ids))
            } else {
                Ok(())
            };
        }
        match sources.iter().find(|candidate| candidate.id == *source) {
            Some(next) => current = next,
            // It is there but was reported.
            None => return Ok(()),
        }
    }
    Err("the roles assume each other in a circle; one has to start from other credentials".into())
}

fn unknown_source(id: &str, ids: &[String]) -> String {
    format!(
        "there is no credential source {id:?}; known are {}",
        ids.join(", ")
    )
}

/// `[role_defaults]`: what holds for roles that do not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleDefaults {
    /// One of [`GRANT_METHODS`].
    pub grant_method: String,
    /// The longest role session, 15 minutes to what the grant method gives.
    pub max_duration: Option<Duration>,
    /// The id of a credential source; `None`: the first one.
    pub credential_source: Option<String>,
    /// What the roles' trust policies ask for.
    pub external_id: Option<String>,
    /// The region a console opens in.
    pub region: Option<String>,
    /// The IAM SAML provider for `assume-role-with-saml`: an ARN, `{account}` in it standing for
    /// the role's account.
    pub saml_provider_arn: Option<String>,
    /// How the console is reached; never by the identity provider alone.
    pub console: Option<ConsoleWay>,
    /// Who vouches for people, for the federated grant methods.
    pub vouched_by: Option<Voucher>,
    /// Whether sessions carry the tag that makes CloudTrail a witness of the audit log.
    pub audit_tag: Option<bool>,
}

/// How credentials for a role can be obtained from STS.
pub const GRANT_METHODS: [&str; 5] = [
    "assume-role",
    "assume-role-with-saml",
    "assume-role-with-web-identity",
    "federation-token",
    "session-token",
];

impl RoleDefaults {
    /// `source_ids`: of the credential sources, where those could be read.
    pub(super) fn read(section: &mut Section<'_>, source_ids: Option<&[String]>) -> Self {
        let methods = GRANT_METHODS.map(|name| (name, name));
        let grant_method = section
            .choice("grant_method", &methods)
            .unwrap_or("assume-role");
        let longest = (grant_method.parse::<GrantMethod>())
            .map_or(SessionDuration::LONGEST, GrantMethod::longest);
        let limits = SessionDuration::SHORTEST.into()..=longest.into();
        let max_duration = section.duration("max_duration", limits);
        let credential_source = section.parsed("credential_source", |id| match source_ids {
            Some(ids) if !ids.iter().any(|known| known == id) => Err(unknown_source(id, ids)),
            _ => Ok(id.to_owned()),
        });
        Self {
            grant_method: grant_method.to_owned(),
            max_duration,
            credential_source,
            external_id: section.parsed("external_id", external_id),
            region: section.parsed("region", region),
            saml_provider_arn: section.parsed("saml_provider_arn", saml_provider_arn),
            console: section.parsed("console", console),
            vouched_by: section.parsed("vouched_by", str::parse::<Voucher>),
            audit_tag: section.boolean("audit_tag"),
        }
    }
}

/// A way to the console that roles may inherit.
fn console(text: &str) -> Result<ConsoleWay, String> {
    match text.parse()? {
        // What nothing can be limited on is not to be inherited unseen.
        ConsoleWay::IdpInitiated => Err("idp-initiated is for single roles".to_owned()),
        way => Ok(way),
    }
}

/// An IAM SAML provider's ARN in which `{account}` may stand for the account.
pub(super) fn saml_provider_arn(text: &str) -> Result<String, String> {
    match SamlProviderArn::from_template(text, "000000000000") {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!(
            "{error}, and {{account}} may stand for the account"
        )),
    }
}
