//! The grid as data: what each way of signing in, each way to STS and each way out come to.

use std::fmt;

use rolegate::demo::aws::StsAction;

use super::stage::{BROKER, OWN_OIDC, OWN_SAML, THEIR_OIDC};
use crate::support::company::PROVIDER;

/// How somebody signs in to Rolegate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignIn {
    Ldap,
    Saml,
    Oidc,
}

impl SignIn {
    pub(super) const ALL: [Self; 3] = [Self::Ldap, Self::Saml, Self::Oidc];

    /// The connector's id.
    pub(super) fn connector(self) -> &'static str {
        match self {
            Self::Ldap => "corp",
            Self::Saml => "campus",
            Self::Oidc => "idp",
        }
    }
}

/// How AWS is asked, and by whose word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    AssumeRole,
    AssumeRoleWithCode,
    SamlOfIssuer,
    SamlOfProvider,
    WebOfIssuer,
    WebOfProvider,
    FederationToken,
    SessionToken,
}

impl Way {
    pub(super) const ALL: [Self; 8] = [
        Self::AssumeRole,
        Self::AssumeRoleWithCode,
        Self::SamlOfIssuer,
        Self::SamlOfProvider,
        Self::WebOfIssuer,
        Self::WebOfProvider,
        Self::FederationToken,
        Self::SessionToken,
    ];

    /// Whether a code is typed with it.
    pub(super) fn takes_code(self) -> bool {
        matches!(self, Self::AssumeRoleWithCode | Self::SessionToken)
    }
}

/// How the session reaches the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    ConsoleByUrl,
    ConsoleByPost,
    Credentials,
}

impl Delivery {
    pub(super) const ALL: [Self; 3] = [Self::ConsoleByUrl, Self::ConsoleByPost, Self::Credentials];

    /// `console` of a role that is opened so, where it matters.
    pub(super) fn console(self) -> Option<&'static str> {
        match self {
            Self::ConsoleByUrl => Some("federation"),
            Self::ConsoleByPost => Some("saml-post"),
            Self::Credentials => None,
        }
    }
}

/// What a session is called at AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// As `session_name` says: connector and user name.
    ByUs,
    /// As the provider's assertion says.
    ByProvider,
    /// The IAM user's own, which has no name.
    Nothing,
}

/// What AWS gives, and by what.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a row of the grid, as wide as what AWS records"
)]
pub(super) struct Arrival {
    pub(super) action: StsAction,
    /// Who signed, or the provider that vouched.
    pub(super) caller: &'static str,
    pub(super) named: Named,
    pub(super) seconds: u32,
    /// The console's `SessionDuration`; none has to be left out.
    pub(super) console_seconds: Option<&'static str>,
    pub(super) has_external_id: bool,
    pub(super) has_source_identity: bool,
    pub(super) has_tags: bool,
    pub(super) has_policy: bool,
    pub(super) has_mfa: bool,
    /// `vouched_by` in the audit log.
    pub(super) vouched_by: Option<&'static str>,
}

/// What a combination comes to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell {
    /// A session.
    Opens(Arrival),
    /// No such role can be written down: the reason, by mapping file and role page.
    NotConfigured(&'static str),
    /// The same, and where nobody wrote it down the click is refused: status, code, sentence.
    NotConfiguredNorOpened(&'static str, Refusal),
    /// The role is there for others; for this person the click is refused.
    Refused(Refusal),
}

/// Status, code in the audit log, and words on the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal(
    pub(super) u16,
    pub(super) &'static str,
    pub(super) &'static str,
);

const ASSUMED: Arrival = Arrival {
    action: StsAction::AssumeRole,
    caller: BROKER,
    named: Named::ByUs,
    seconds: 7_200,
    console_seconds: Some("7200"),
    has_external_id: true,
    has_source_identity: true,
    has_tags: true,
    has_policy: true,
    has_mfa: false,
    vouched_by: None,
};
const WITH_CODE: Arrival = Arrival {
    has_external_id: false,
    has_policy: false,
    has_mfa: true,
    ..ASSUMED
};
const VOUCHED: Arrival = Arrival {
    action: StsAction::AssumeRoleWithSaml,
    caller: OWN_SAML,
    has_external_id: false,
    vouched_by: Some("issuer"),
    ..ASSUMED
};
/// Twelve hours, whatever the role's own limit is.
const POSTED: Arrival = Arrival {
    seconds: 43_200,
    console_seconds: Some("43200"),
    has_policy: false,
    ..VOUCHED
};
const PASSED: Arrival = Arrival {
    action: StsAction::AssumeRoleWithSaml,
    caller: PROVIDER,
    named: Named::ByProvider,
    has_external_id: false,
    has_source_identity: false,
    has_tags: false,
    vouched_by: Some("provider"),
    ..ASSUMED
};
const TOKEN: Arrival = Arrival {
    action: StsAction::AssumeRoleWithWebIdentity,
    caller: OWN_OIDC,
    ..VOUCHED
};
const PASSED_TOKEN: Arrival = Arrival {
    action: StsAction::AssumeRoleWithWebIdentity,
    caller: THEIR_OIDC,
    named: Named::ByUs,
    ..PASSED
};
const FEDERATED: Arrival = Arrival {
    action: StsAction::GetFederationToken,
    seconds: 129_600,
    console_seconds: None,
    has_external_id: false,
    has_source_identity: false,
    ..ASSUMED
};
const SESSION: Arrival = Arrival {
    action: StsAction::GetSessionToken,
    named: Named::Nothing,
    seconds: 72_000,
    console_seconds: None,
    has_external_id: false,
    has_source_identity: false,
    has_tags: false,
    has_policy: false,
    has_mfa: true,
    ..ASSUMED
};

const NEEDS_ISSUER: Cell = Cell::NotConfigured(
    "console = \"saml-post\" posts an assertion of Rolegate's own: it needs grant_method = \
     \"assume-role-with-saml\" and vouched_by = \"issuer\"",
);
const NO_CONSOLE: &str = "session-token gives credentials and opens no console: remove console, or \
                          use federation-token";
const CREDENTIALS_ONLY: Refusal = Refusal(
    400,
    "credentials_only",
    "gives credentials for the command line, and AWS opens no console with them",
);
const NO_SAML: Cell = Cell::Refused(Refusal(
    403,
    "saml_needed",
    "opens only for people who signed in through a SAML identity provider",
));
const NO_TOKEN: Cell = Cell::Refused(Refusal(
    403,
    "oidc_needed",
    "opens only for people who signed in through an identity provider whose tokens AWS takes",
));

/// A way and a delivery, and what they come to after each sign-in in the order of [`SignIn::ALL`].
type Line = (Way, Delivery, [Cell; 3]);

const fn all(arrival: Arrival) -> [Cell; 3] {
    [Cell::Opens(arrival); 3]
}

/// Every combination once.
#[rustfmt::skip]
pub(super) const GRID: [Line; 24] = [
    (Way::AssumeRole,         Delivery::ConsoleByUrl,  all(ASSUMED)),
    (Way::AssumeRole,         Delivery::ConsoleByPost, [NEEDS_ISSUER; 3]),
    (Way::AssumeRole,         Delivery::Credentials,   all(ASSUMED)),
    (Way::AssumeRoleWithCode, Delivery::ConsoleByUrl,  all(WITH_CODE)),
    (Way::AssumeRoleWithCode, Delivery::ConsoleByPost, [NEEDS_ISSUER; 3]),
    (Way::AssumeRoleWithCode, Delivery::Credentials,   all(WITH_CODE)),
    (Way::SamlOfIssuer,       Delivery::ConsoleByUrl,  all(VOUCHED)),
    (Way::SamlOfIssuer,       Delivery::ConsoleByPost, all(POSTED)),
    (Way::SamlOfIssuer,       Delivery::Credentials,   all(VOUCHED)),
    (Way::SamlOfProvider,     Delivery::ConsoleByUrl,  [NO_SAML, Cell::Opens(PASSED), NO_SAML]),
    (Way::SamlOfProvider,     Delivery::ConsoleByPost, [NEEDS_ISSUER; 3]),
    (Way::SamlOfProvider,     Delivery::Credentials,   [NO_SAML, Cell::Opens(PASSED), NO_SAML]),
    (Way::WebOfIssuer,        Delivery::ConsoleByUrl,  all(TOKEN)),
    (Way::WebOfIssuer,        Delivery::ConsoleByPost, [NEEDS_ISSUER; 3]),
    (Way::WebOfIssuer,        Delivery::Credentials,   all(TOKEN)),
    (Way::WebOfProvider,      Delivery::ConsoleByUrl,  [NO_TOKEN, NO_TOKEN, Cell::Opens(PASSED_TOKEN)]),
    (Way::WebOfProvider,      Delivery::ConsoleByPost, [NEEDS_ISSUER; 3]),
    (Way::WebOfProvider,      Delivery::Credentials,   [NO_TOKEN, NO_TOKEN, Cell::Opens(PASSED_TOKEN)]),
    (Way::FederationToken,    Delivery::ConsoleByUrl,  all(FEDERATED)),
    (Way::FederationToken,    Delivery::ConsoleByPost, [NEEDS_ISSUER; 3]),
    (Way::FederationToken,    Delivery::Credentials,   all(FEDERATED)),
    (Way::SessionToken,       Delivery::ConsoleByUrl,  [Cell::NotConfiguredNorOpened(NO_CONSOLE, CREDENTIALS_ONLY); 3]),
    (Way::SessionToken,       Delivery::ConsoleByPost, [Cell::NotConfigured(NO_CONSOLE); 3]),
    (Way::SessionToken,       Delivery::Credentials,   all(SESSION)),
];

/// One combination.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) sign_in: SignIn,
    pub(super) way: Way,
    pub(super) delivery: Delivery,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sign_in,
            way,
            delivery,
        } = self;
        write!(f, "{sign_in:?} × {way:?} × {delivery:?}")
    }
}

/// What the grid expects of a combination; panics where it is not there exactly once.
pub(super) fn expected(place: Place) -> Cell {
    let is_here = |line: &&Line| line.0 == place.way && line.1 == place.delivery;
    let mut lines = GRID.iter().filter(is_here);
    let line = lines.next();
    let line = line.unwrap_or_else(|| panic!("nothing is expected of {place}"));
    assert!(lines.next().is_none(), "{place} is there twice");
    let column = SignIn::ALL.iter().position(|known| *known == place.sign_in);
    line.2[column.unwrap()]
}
