//! Renders every page from sample rows into `target/preview`, with the assets beside them, for
//! looking at without a server, and holds them to what is fixed.

use std::{collections::BTreeMap, fs, path::PathBuf};

use askama::Template;
use time::{OffsetDateTime, macros::datetime};

use super::{
    Layout, Theme,
    audit::{AuditInput, AuditQuery, AuditView},
    console::{ConsoleInput, ConsoleView},
    credentials::{CredentialsInput, CredentialsView},
    departure::DepartureView,
    error::{AskedRole, ErrorView},
    helpdesk::{
        Desk, Section,
        explanation::OwnMiss,
        groups::GroupsView,
        people::PeopleView,
        reviews::{NewReview, ReviewsView},
    },
    picker::{OpenRoleSession, Pasted, PickerInput, PickerView, ViewAs, picker_json},
    role::{RoleInput, RoleView},
    sessions::{DeviceSession, RoleSession, SessionsInput, SessionsView, SignInSession},
    sign_in::{SignInInput, SignInMessage, SignInView, Way},
    signed_in::{ConfirmSignInInput, ConfirmSignInView, SignedInView},
    signed_out::{ProviderEnd, SignedOutView},
    tokens::{NewTokenInput, NewTokenView, TokenMadeInput, TokenMadeView, Typed},
};
use crate::{
    access::{
        Account, AuthenticationMethod, Clipped, Conditions, ConnectorId, ConsoleWay, Delivery,
        Entitlement, GrantMethod, Group, GroupKey, GroupKeyForm, Identity, Limit, Mapping,
        MappingId, NameTemplate, Origin, Policy, PolicySettings, PolicyTables, Role, RoleDefaults,
        SessionDuration, TargetArn,
    },
    broker::{ChainCheck, ChainHead, CodeTrouble},
    web::assets,
};

const NOW: OffsetDateTime = datetime!(2026-11-24 10:42 UTC);

/// Rules as the configuration has them by default, in short.
fn environments() -> std::sync::Arc<[crate::web::EnvironmentRule]> {
    [
        ("production", "prod", "red"),
        ("test", "test|staging", "amber"),
        ("development", "dev", "green"),
    ]
    .into_iter()
    .map(|(name, pattern, colour)| crate::web::EnvironmentRule {
        name: name.to_owned(),
        pattern: regex::Regex::new(&format!("(?i){pattern}")).unwrap(),
        colour: colour.to_owned(),
    })
    .collect()
}

pub(super) fn layout() -> Layout {
    Layout {
        organisation: "Example Corp".to_owned(),
        person: Some("Ada Lovelace".to_owned()),
        rights: crate::web::views::Rights::default(),
        csrf_token: "c2FtcGxlLXRva2Vu".to_owned(),
        theme: None,
        help_url: Some("https://help.example.com/new?text={summary}&ref={request_id}".to_owned()),
        request_id: "7F3A-21C0".to_owned(),
        environments: environments(),
    }
}

fn signed_out() -> Layout {
    Layout {
        person: None,
        ..layout()
    }
}

fn connector() -> ConnectorId {
    "corp".parse().unwrap()
}

fn group(name: &str) -> Group {
    Group {
        key: GroupKey::new(
            &connector(),
            &format!("cn={name},ou=groups,dc=example,dc=com"),
            GroupKeyForm::DistinguishedName,
        )
        .unwrap(),
        name: format!("cn={name},ou=groups,dc=example,dc=com"),
        stable_id: None,
        through: None,
    }
}

fn identity() -> Identity {
    Identity {
        connector: connector(),
        subject: "4f1c".to_owned(),
        username: "ada".to_owned(),
        display_name: Some("Ada Lovelace".to_owned()),
        email: None,
        entry_dn: None,
        groups: vec![group("engineers"), group("payments-dev")],
        groups_read_at: NOW,
        authenticated_at: NOW,
        method: AuthenticationMethod::Password,
        authentication_context: None,
        asserted_roles: Vec::new(),
    }
}

fn account(id: u64, name: &str, alias: Option<&str>, environment: Option<&str>) -> Account {
    Account {
        colour: None,
        owner: None,
        id: format!("{id:012}").parse().unwrap(),
        name: name.to_owned(),
        alias: alias.map(str::to_owned),
        environment: environment.map(str::to_owned),
        description: None,
        protected: false,
        role_defaults: RoleDefaults::default(),
    }
}

fn role(account: &Account, name: &str, about: Option<&str>) -> Role {
    Role {
        owner: None,
        arn: format!("arn:aws:iam::{}:role/{name}", account.id)
            .parse()
            .unwrap(),
        description: about.map(str::to_owned),
        own: RoleDefaults {
            max_duration: SessionDuration::from_seconds(28_800).ok(),
            region: Some("eu-west-1".to_owned()),
            ..RoleDefaults::default()
        },
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: BTreeMap::new(),
        protected: false,
        disabled: false,
    }
}

fn mapping(place: usize, role: &Role, conditions: Conditions) -> Mapping {
    Mapping {
        id: MappingId(format!("file:{}", place + 10)),
        group: group("engineers").key,
        role: role.arn.clone(),
        conditions,
        ticket: None,
        origin: Origin::File { line: place + 10 },
    }
}

fn policy(accounts: Vec<Account>, roles: Vec<Role>, mappings: Vec<Mapping>) -> Policy {
    let tables = PolicyTables {
        version: 1,
        accounts,
        roles,
        mappings,
        ..PolicyTables::default()
    };
    let settings = PolicySettings {
        role_defaults: RoleDefaults::default(),
        session_name: "{username}".parse::<NameTemplate>().unwrap(),
        ..PolicySettings::default()
    };
    Policy::new(tables, settings)
}

/// Forty roles in twelve accounts, with every mark somewhere.
fn forty_roles() -> Policy {
    let accounts = [
        ("Payments production", Some("pay-prod"), Some("production")),
        ("Payments test", Some("pay-test"), Some("test")),
        ("Data platform", None, Some("development")),
        ("Data warehouse production", Some("dwh"), None),
        ("Shared networking", None, None),
        ("Identity & security", Some("idsec"), Some("prod")),
        ("Sandbox Ada", None, None),
        ("Web shop live", Some("shop"), None),
        ("Web shop staging", Some("shop-stg"), None),
        (
            "Machine learning research with an unusually long account name",
            None,
            Some("development"),
        ),
        ("Billing", Some("billing"), Some("management")),
        ("Log archive", None, Some("prod")),
    ];
    let accounts: Vec<Account> = (0u64..)
        .zip(accounts)
        .map(|(place, (name, alias, word))| {
            account(111_122_223_333 + place * 30_303_011, name, alias, word)
        })
        .collect();
    let names = [
        ("ReadOnly", Some("Look at everything, change nothing")),
        ("Operator", Some("Restart and scale")),
        ("Admin", None),
        ("Deploy-Pipeline_Support.Engineer", None),
    ];
    let roles: Vec<Role> = accounts
        .iter()
        .enumerate()
        .flat_map(|(place, account)| {
            let count = if place % 3 == 0 { 4 } else { 3 };
            names[..count]
                .iter()
                .map(|(name, about)| role(account, name, *about))
        })
        .collect();
    let mappings = roles
        .iter()
        .enumerate()
        .map(|(place, role)| {
            let conditions = Conditions {
                require_reason: place % 7 == 1,
                read_only: place % 11 == 4,
                expires: (place % 13 == 6).then_some(NOW + time::Duration::hours(30)),
                ..Conditions::default()
            };
            mapping(place, role, conditions)
        })
        .collect();
    policy(accounts, roles, mappings)
}

fn ten_thousand_roles() -> Policy {
    let areas = ["payments", "search", "logistics", "identity", "media"];
    let stages = ["prod", "test", "dev", "sandbox"];
    let accounts: Vec<Account> = (0..1_000)
        .map(|place| {
            let name = format!(
                "{}-{}-{place:03}",
                areas[place % areas.len()],
                stages[place / areas.len() % stages.len()]
            );
            account(200_000_000_000 + place as u64 * 7_919, &name, None, None)
        })
        .collect();
    let roles: Vec<Role> = accounts
        .iter()
        .flat_map(|account| {
            (0..10).map(move |place| {
                let name = [
                    "ReadOnly",
                    "Operator",
                    "Admin",
                    "Billing",
                    "Auditor",
                    "Deployer",
                    "Support",
                    "NetworkAdmin",
                    "DatabaseAdmin",
                    "IncidentResponder",
                ][place];
                role(account, name, None)
            })
        })
        .collect();
    let mappings = roles
        .iter()
        .enumerate()
        .map(|(place, role)| mapping(place, role, Conditions::default()))
        .collect();
    policy(accounts, roles, mappings)
}

fn favourites(entitlements: &[Entitlement<'_>]) -> Vec<String> {
    [0, 14]
        .into_iter()
        .filter_map(|place: usize| Some(entitlements.get(place)?.role.arn.to_string()))
        .collect()
}

fn picker(entitlements: &[Entitlement<'_>], query: &str, pasted: Option<Pasted>) -> PickerView {
    let favourites = favourites(entitlements);
    let recents: Vec<String> = entitlements
        .iter()
        .skip(20)
        .step_by(7)
        .take(2)
        .map(|entitlement| entitlement.role.arn.to_string())
        .collect();
    let open: Vec<OpenRoleSession> = entitlements
        .first()
        .map(|entitlement| OpenRoleSession {
            role: entitlement.role.arn.clone(),
            account: entitlement.account_name(),
            ends_at: NOW + time::Duration::minutes(42),
        })
        .into_iter()
        .collect();
    let warnings: Vec<(TargetArn, String)> = entitlements
        .get(8)
        .map(|entitlement| {
            (
                entitlement.role.arn.clone(),
                "the last try to open it failed".to_owned(),
            )
        })
        .into_iter()
        .collect();
    let groups: Vec<Group> = (1..=14).map(|n| group(&format!("team-{n}"))).collect();
    PickerView::new(PickerInput {
        layout: layout(),
        entitlements,
        favourites: &favourites,
        recents: &recents,
        open: &open,
        warnings: &warnings,
        groups: &groups,
        groups_read_at: NOW,
        provider: "Example SSO",
        now: NOW,
        query,
        pasted,
        from: 0,
        misses: &[],
        view_as: None,
    })
}

const FORMS: [(&str, &str); 2] = [("corp", "Example Corp directory"), ("partner", "Partners")];

fn sign_in(message: Option<SignInMessage>, username: &str, forms: usize) -> String {
    let ways = FORMS[..forms].iter().map(|(id, name)| way(id, name, false));
    sign_in_by(ways.collect(), None, message, username)
}

fn way(id: &str, name: &str, is_provider: bool) -> Way {
    Way {
        connector: id.parse().unwrap(),
        name: name.to_owned(),
        is_provider,
    }
}

fn sign_in_by(
    ways: Vec<Way>,
    last_used: Option<&str>,
    message: Option<SignInMessage>,
    username: &str,
) -> String {
    SignInView::new(SignInInput {
        layout: signed_out(),
        notice: Some("Maintenance on Saturday from 08:00 to 09:00 UTC.".to_owned()),
        ways,
        last_used: last_used.map(|id| id.parse().unwrap()),
        next: "/".to_owned(),
        message,
        username: username.to_owned(),
    })
    .render()
    .unwrap()
}

fn role_page(entitlement: &Entitlement<'_>) -> String {
    role_page_of(entitlement, false)
}

fn role_page_of(entitlement: &Entitlement<'_>, is_back: bool) -> String {
    let list = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    RoleView::new(RoleInput {
        layout: layout(),
        entitlement,
        is_favourite: false,
        destination: "",
        region: "",
        services: &list(&["s3", "ec2", "cloudwatch"]),
        regions: &list(&["eu-west-1", "us-east-1"]),
        deep_link: "https://aws.example.com/console/111122223333/Operator".to_owned(),
        switch_role_link: Some(
            "https://signin.aws.amazon.com/switchrole?account=111122223333&roleName=Operator"
                .to_owned(),
        ),
        multi_session_link: Some("https://us-east-1.signin.aws.amazon.com/".to_owned()),
        warning: None,
        provider: "Example IdP",
        is_back,
        now: NOW,
    })
    .render()
    .unwrap()
}

fn sessions_page(entitlements: &[Entitlement<'_>]) -> String {
    let role_sessions: Vec<RoleSession> = entitlements
        .iter()
        .step_by(9)
        .enumerate()
        .map(|(place, entitlement)| RoleSession {
            id: format!("session-{place}"),
            role: entitlement.role.arn.clone(),
            account: entitlement.account_name(),
            delivery: match place % 2 {
                0 => Delivery::Console,
                _ => Delivery::Credentials,
            },
            session_name: "ada@example.com".to_owned(),
            is_read_only: place == 1,
            started_at: NOW - time::Duration::hours(i64::try_from(place).unwrap() * 5),
            ends_at: NOW + time::Duration::minutes(42)
                - time::Duration::hours(i64::try_from(place).unwrap() * 4),
        })
        .collect();
    let sign_in_sessions = [
        ("10.0.4.17", "Firefox on Linux", true),
        ("2001:db8:85a3::8a2e:370:7334", "Chrome on macOS", false),
    ]
    .map(|(address, browser, is_this_one)| SignInSession {
        handle: "0192".to_owned(),
        address: address.to_owned(),
        browser: browser.to_owned(),
        signed_in_at: NOW - time::Duration::hours(26),
        last_seen_at: NOW - time::Duration::minutes(5),
        is_this_one,
    });
    let devices = [
        ("AWS CLI (botocore-client-dev)", "sso:account:access", None),
        ("backup on db1", "credentials", entitlements.first()),
    ]
    .map(|(name, scopes, limit)| DeviceSession {
        handle: "0193".to_owned(),
        name: name.to_owned(),
        scopes: scopes.parse().unwrap(),
        role: limit.map(|held| (held.role.arn.clone(), held.account_name())),
        address: "10.0.4.17".to_owned(),
        made_at: NOW - time::Duration::hours(50),
        last_seen_at: NOW - time::Duration::minutes(3),
        ends_at: NOW + time::Duration::days(5),
    });
    SessionsView::new(SessionsInput {
        layout: layout(),
        role_sessions: &role_sessions,
        sign_in_sessions: &sign_in_sessions,
        devices: &devices,
        provider: Some("Example IdP"),
        ended: Vec::new(),
        now: NOW,
    })
    .render()
    .unwrap()
}

fn new_token(entitlements: &[Entitlement<'_>], problem: Option<&str>) -> String {
    let roles: Vec<&Entitlement<'_>> = entitlements.iter().collect();
    NewTokenView::new(NewTokenInput {
        layout: layout(),
        roles: &roles,
        typed: Typed {
            name: problem
                .map(|_| "backup on db1")
                .unwrap_or_default()
                .to_owned(),
            ..Typed::default()
        },
        longest: std::time::Duration::from_hours(30 * 24),
        problem: problem.map(str::to_owned),
    })
    .render()
    .unwrap()
}

fn token_made(entitlement: &Entitlement<'_>) -> String {
    TokenMadeView::new(TokenMadeInput {
        layout: layout(),
        name: "backup on db1",
        token: "rgk_4d7yq1V0cXk2hZ8sT3uWb6nM9pLrJfEaGiYoCxQvBzS",
        role: &entitlement.role.arn,
        account: &entitlement.account_name(),
        address: "https://aws.example.com/api/v1/container/111122223333/ReadOnly",
        ends_at: NOW + time::Duration::days(7),
        now: NOW,
    })
    .render()
    .unwrap()
}

fn credentials_page() -> String {
    CredentialsView::new(CredentialsInput {
        layout: layout(),
        account: "Payments production",
        account_id: "111122223333",
        arn: "arn:aws:iam::111122223333:role/ReadOnly",
        role: "ReadOnly",
        access_key_id: "ASIAEXAMPLEEXAMPLE00",
        secret_access_key: "sample/secret+key/of/forty/characters0000",
        session_token: &"SampleTokenText/".repeat(24),
        region: "eu-west-1",
        is_read_only: true,
        expires: NOW + time::Duration::minutes(59),
        now: NOW,
        public_url: &"https://aws.example.com".parse().unwrap(),
    })
    .render()
    .unwrap()
}

fn console_page(entitlement: &Entitlement<'_>, at_once: bool) -> String {
    ConsoleView::new(ConsoleInput {
        layout: layout(),
        entitlement,
        destination: "https://eu-west-1.console.aws.amazon.com/s3/buckets/reports",
        region: "eu-west-1",
        may_open_at_once: at_once,
    })
    .render()
    .unwrap()
}

/// What people read of roles that an identity provider has its say in.
fn asserted_role_pages(asked: &AskedRole) -> Vec<(&'static str, ErrorView)> {
    vec![
        (
            "setting-cannot-hold",
            ErrorView::setting_cannot_hold(layout(), asked, "session_tags"),
        ),
        (
            "saml-sign-in-required",
            ErrorView::saml_needed(layout(), asked),
        ),
        ("not-asserted", ErrorView::not_asserted(layout(), asked)),
        ("console-only", ErrorView::console_only(layout(), asked)),
        ("no-hand-over", ErrorView::no_hand_over(layout(), asked)),
        (
            "hand-over-length",
            ErrorView::hand_over_as_is(layout(), asked, true),
        ),
        (
            "hand-over-read-only",
            ErrorView::hand_over_as_is(layout(), asked, false),
        ),
    ]
}

fn error_pages() -> Vec<(&'static str, String)> {
    let asked = AskedRole {
        account: "Payments production".to_owned(),
        role: "Operator".to_owned(),
    };
    let longest = Clipped {
        longest: SessionDuration::HOUR,
        limit: Limit::RoleChaining,
    };
    let fields = || vec![("role".to_owned(), "arn:aws:iam::1:role/x".to_owned())];
    let past = NOW - time::Duration::hours(3);
    let soon = NOW + time::Duration::minutes(6);
    [
        (
            "not-entitled",
            ErrorView::not_entitled(layout(), &asked, 14),
        ),
        (
            "access-expired",
            ErrorView::access_expired(layout(), &asked, past, NOW),
        ),
        (
            "ends-too-soon",
            ErrorView::access_ends_too_soon(layout(), &asked, soon, NOW),
        ),
        (
            "unenforceable",
            ErrorView::condition_unenforceable(layout(), &asked, "require_mfa"),
        ),
        (
            "reason-required",
            ErrorView::reason_required(layout(), &asked, "/console", fields()),
        ),
        (
            "too-long",
            ErrorView::too_long(layout(), &asked, longest, "/console", fields()),
        ),
        (
            "read-only-unavailable",
            ErrorView::read_only_unavailable(layout(), &asked),
        ),
        (
            "bad-input",
            ErrorView::bad_input(layout(), "`99h` is longer than AWS allows: 15 min to 12 h."),
        ),
        ("form-expired", ErrorView::form_expired(layout())),
        ("not-found", ErrorView::not_found(signed_out())),
        ("method", ErrorView::method_not_allowed(layout())),
        ("too-large", ErrorView::too_large(layout())),
        (
            "sign-in-endpoint",
            ErrorView::sign_in_endpoint_failed(layout(), &asked),
        ),
        (
            "role-refused",
            ErrorView::role_refused(layout(), &asked, "The role does not trust Rolegate."),
        ),
        ("aws", ErrorView::aws_unavailable(layout())),
        ("directory", ErrorView::directory_unavailable(layout())),
        ("store", ErrorView::store_unavailable(layout())),
    ]
    .into_iter()
    .map(|(name, view)| (name, view.render().unwrap()))
    .collect()
}

fn provider_error_pages() -> Vec<(&'static str, String)> {
    let asked = AskedRole {
        account: "Payments production".to_owned(),
        role: "Operator".to_owned(),
    };
    [
        ("answer-refused", ErrorView::answer_refused(signed_out())),
        ("start-here", ErrorView::start_here(signed_out())),
        ("other-browser", ErrorView::other_browser(signed_out())),
        ("groups-overage", ErrorView::groups_overage(signed_out())),
        ("unknown-person", ErrorView::unknown_person(signed_out())),
        ("groups-unread", ErrorView::groups_unread(signed_out())),
        ("logout-refused", ErrorView::logout_refused(signed_out())),
        (
            "too-many-sign-ins",
            ErrorView::too_many_sign_ins(signed_out(), 90),
        ),
        (
            "provider-unavailable",
            ErrorView::provider_unavailable(signed_out()),
        ),
        (
            "assertion-too-old",
            ErrorView::assertion_too_old(layout(), &asked),
        ),
        ("no-assertion", ErrorView::no_assertion(layout(), &asked)),
        (
            "opens-at-provider-alone",
            ErrorView::opens_at_provider_alone(layout(), &asked),
        ),
    ]
    .into_iter()
    .chain(asserted_role_pages(&asked))
    .chain(grant_method_error_pages(&asked))
    .map(|(name, view)| (name, view.render().unwrap()))
    .collect()
}

fn sign_in_pages() -> Vec<(&'static str, String)> {
    use SignInMessage::{
        DirectoryUnavailable, PasswordExpired, PasswordMustChange, Refused, SessionExpired,
        Throttled,
    };
    let change_at = Some("https://password.example.com".to_owned());
    vec![
        ("sign-in", sign_in(None, "", 1)),
        ("sign-in-two", sign_in(None, "", 2)),
        ("sign-in-refused", sign_in(Some(Refused), "ada", 2)),
        ("sign-in-expired", sign_in(Some(SessionExpired), "", 1)),
        (
            "sign-in-throttled",
            sign_in(Some(Throttled { retry_after_s: 240 }), "ada", 1),
        ),
        (
            "sign-in-directory",
            sign_in(Some(DirectoryUnavailable), "ada", 1),
        ),
        (
            "sign-in-password-expired",
            sign_in(Some(PasswordExpired { change_at }), "ada", 1),
        ),
        (
            "sign-in-must-change",
            sign_in(Some(PasswordMustChange { change_at: None }), "ada", 1),
        ),
    ]
}

/// Ways to sign in of both kinds, the words on the way to a provider and back, and roles that it
/// opens itself.
fn provider_pages() -> Vec<(&'static str, String)> {
    let both = || {
        vec![
            way("corp", "Example Corp directory", false),
            way("okta", "Example IdP", true),
            way("partner-idp", "Partner Universities' Federation", true),
        ]
    };
    let signed_out_page = |end| {
        SignedOutView::new(signed_out(), true, Some(end))
            .render()
            .unwrap()
    };
    let departure = DepartureView::new(
        signed_out(),
        "https://idp.example.com/sso?x=1&y=2".parse().unwrap(),
        vec![
            ("SAMLRequest", "PD94".to_owned()),
            ("RelayState", "\"r".to_owned()),
        ],
    );
    let confirm = ConfirmSignInView::new(ConfirmSignInInput {
        layout: signed_out(),
        name: "Ada Lovelace".to_owned(),
        provider: "Example IdP".to_owned(),
        connector: "okta".parse().unwrap(),
        message: "PD94".to_owned(),
    });
    let next = "/console/111122223333/Operator?destination=a%26b".to_owned();
    let table = roles_at_provider();
    let roles = table.entitlements(&identity(), NOW);
    vec![
        ("sign-in-both", sign_in_by(both(), None, None, "")),
        (
            "sign-in-provider-first",
            sign_in_by(both(), Some("okta"), None, ""),
        ),
        (
            "sign-in-provider-alone",
            sign_in_by(
                both().split_off(1),
                None,
                Some(SignInMessage::FormExpired),
                "",
            ),
        ),
        (
            "sign-in-one-provider",
            sign_in_by(vec![way("okta", "Example IdP", true)], None, None, ""),
        ),
        ("departure", departure.render().unwrap()),
        ("confirm-sign-in", confirm.render().unwrap()),
        (
            "signed-in",
            SignedInView::new(layout(), next).render().unwrap(),
        ),
        ("signed-out-ended", signed_out_page(ProviderEnd::Ended)),
        ("signed-out-open", signed_out_page(ProviderEnd::Open)),
        (
            "picker-provider",
            picker(&roles, "", None).render().unwrap(),
        ),
        ("role-provider", role_page(&roles[0])),
        (
            "role-back",
            role_page_of(&forty_roles().entitlements(&identity(), NOW)[0], true),
        ),
    ]
}

/// What people read of roles that AWS opens in its other ways.
fn grant_method_error_pages(asked: &AskedRole) -> Vec<(&'static str, ErrorView)> {
    let serial = "arn:aws:iam::111122223333:mfa/operations";
    let fields = || vec![("role".to_owned(), "arn:aws:iam::1:role/x".to_owned())];
    let code =
        |trouble| ErrorView::code_needed(layout(), asked, (serial, trouble), "/console", fields());
    vec![
        ("code", code(None)),
        ("code-digits", code(Some(CodeTrouble::NotSixDigits))),
        ("code-refused", code(Some(CodeTrouble::Refused))),
        ("code-used", code(Some(CodeTrouble::Used))),
        (
            "credentials-only",
            ErrorView::credentials_only(layout(), asked, "/role?arn=x".to_owned()),
        ),
        ("no-issuer", ErrorView::no_issuer(layout(), asked)),
        (
            "oidc-sign-in-required",
            ErrorView::oidc_needed(layout(), asked),
        ),
        (
            "template-unfilled",
            ErrorView::template_unfilled(layout(), asked, "email"),
        ),
    ]
}

/// Roles that ask for a code, and one that gives credentials alone.
fn roles_with_keys() -> Policy {
    let account = account(
        111_122_223_333,
        "Payments production",
        None,
        Some("production"),
    );
    let serial = || Some("arn:aws:iam::111122223333:mfa/operations".to_owned());
    let mut operator = role(&account, "Operator", Some("Restart and scale"));
    operator.own.mfa_serial = serial();
    let mut support = role(&account, "Support", None);
    support.own.mfa_serial = serial();
    let mut uploads = role(&account, "uploads", Some("The upload tool's own user"));
    uploads.arn = "arn:aws:iam::111122223333:user/tools/uploads"
        .parse()
        .unwrap();
    uploads.own.grant_method = Some(GrantMethod::SessionToken);
    let reason = Conditions {
        require_reason: true,
        ..Conditions::default()
    };
    let mappings = vec![
        mapping(0, &operator, Conditions::default()),
        mapping(1, &support, reason),
        mapping(2, &uploads, Conditions::default()),
    ];
    policy(vec![account], vec![operator, support, uploads], mappings)
}

fn grant_method_pages() -> Vec<(&'static str, String)> {
    let table = roles_with_keys();
    let roles = table.entitlements(&identity(), NOW);
    let named = |name: &str| {
        let mut roles = roles.iter();
        roles.find(|role| role.role.arn.name() == name).unwrap()
    };
    vec![
        ("picker-codes", picker(&roles, "", None).render().unwrap()),
        ("role-code", role_page(named("Operator"))),
        ("role-code-reason", role_page(named("Support"))),
        ("role-credentials-only", role_page(named("uploads"))),
        ("console-code", console_page(named("Operator"), true)),
    ]
}

fn roles_at_provider() -> Policy {
    let account = account(
        111_122_223_333,
        "Payments production",
        None,
        Some("production"),
    );
    let roles: Vec<Role> = ["Operator", "ReadOnly", "Support"]
        .into_iter()
        .enumerate()
        .map(|(place, name)| {
            let mut role = role(&account, name, None);
            role.own.console = (place != 1).then_some(ConsoleWay::IdpInitiated);
            role
        })
        .collect();
    let mappings = roles
        .iter()
        .enumerate()
        .map(|(place, role)| mapping(place, role, Conditions::default()))
        .collect();
    policy(vec![account], roles, mappings)
}

/// Pages of the helpdesk and the audit log that need no server to be looked at.
fn lookup_pages() -> Vec<(&'static str, String)> {
    let desk = || Desk {
        section: Section::People,
        pending: 2,
        may_edit_mappings: true,
        is_admin: true,
        file_trouble: None,
    };
    let miss = OwnMiss {
        role: "Operator".to_owned(),
        account: "Payments production".to_owned(),
        words: "Your access has ended. Ask for it to be extended.".to_owned(),
        owner: Some("payments@example.com".to_owned()),
    };
    let asked = AskedRole {
        account: "Payments production".to_owned(),
        role: "Operator".to_owned(),
    };
    let explained = ErrorView::access_expired(layout(), &asked, NOW, NOW).explained(miss);
    let people = PeopleView {
        layout: layout(),
        desk: desk(),
        query: "ada".to_owned(),
        found: Some(Vec::new()),
        missing: vec!["Example directory does not answer.".to_owned()],
    };
    let groups = GroupsView {
        layout: layout(),
        desk: desk(),
        query: String::new(),
        found: None,
        missing: Vec::new(),
    };
    let reviews = ReviewsView {
        layout: layout(),
        desk: desk(),
        reviews: Vec::new(),
        new: NewReview::default(),
    };
    let head = ChainHead {
        seq: 12_345,
        hash: "0f".repeat(32),
    };
    let audit = AuditView::new(AuditInput {
        layout: layout(),
        query: AuditQuery::default(),
        problem: None,
        rows: &[],
        next: None,
        is_later: false,
        account_name: &ToOwned::to_owned,
        head: &head,
        check: &ChainCheck::default(),
        now: NOW,
    });
    let table = forty_roles();
    let roles = table.entitlements(&identity(), NOW);
    vec![
        ("access-explained", explained.render().unwrap()),
        ("lookup-people", people.render().unwrap()),
        ("lookup-groups", groups.render().unwrap()),
        ("lookup-reviews", reviews.render().unwrap()),
        ("audit", audit.render().unwrap()),
        ("lookup-view-as", view_as(&roles).render().unwrap()),
        ("lookup-view-as-empty", view_as(&[]).render().unwrap()),
    ]
}

fn view_as(entitlements: &[Entitlement<'_>]) -> PickerView {
    PickerView::new(PickerInput {
        layout: layout(),
        entitlements,
        favourites: &[],
        recents: &[],
        open: &[],
        warnings: &[],
        groups: &identity().groups,
        groups_read_at: NOW,
        provider: "Example SSO",
        now: NOW,
        query: "",
        pasted: None,
        from: 0,
        misses: &[],
        view_as: Some(ViewAs {
            name: "Grace Hopper".to_owned(),
            href: "/helpdesk/people/corp/4f1c".to_owned(),
        }),
    })
}

#[test]
fn somebody_elses_picker_opens_nothing() {
    let table = forty_roles();
    let roles = table.entitlements(&identity(), NOW);
    for text in [view_as(&roles), view_as(&[])].map(|view| view.render().unwrap()) {
        for opens in [
            "/console",
            "/credentials",
            "/refresh",
            "picker.js",
            "form=\"open\"",
        ] {
            assert!(!text.contains(opens), "{opens}");
        }
        assert!(text.contains("You are looking at the roles of Grace Hopper"));
    }
}

fn pages() -> Vec<(&'static str, String)> {
    let table = forty_roles();
    let roles = table.entitlements(&identity(), NOW);
    let large = ten_thousand_roles();
    let many = large.entitlements(&identity(), NOW);
    let pasted = |roles: Vec<TargetArn>| {
        Some(Pasted {
            about: "S3 bucket reports".to_owned(),
            account: roles.first().map(TargetArn::account),
            destination: Some("https://s3.console.aws.amazon.com/s3/buckets/reports".to_owned()),
            region: Some("eu-west-1".to_owned()),
            roles,
        })
    };
    let found: Vec<TargetArn> = roles
        .iter()
        .filter(|entitlement| !entitlement.requires_reason())
        .take(3)
        .map(|entitlement| entitlement.role.arn.clone())
        .collect();
    let arn = "arn:aws:s3:::reports";
    let rendered = |view: PickerView| view.render().unwrap();
    let reason = roles.iter().find(|e| e.requires_reason()).unwrap();
    let plain = roles.iter().find(|e| !e.requires_reason()).unwrap();
    let mut pages = vec![
        ("picker", rendered(picker(&roles, "", None))),
        ("picker-query", rendered(picker(&roles, "pay op", None))),
        ("picker-nothing", rendered(picker(&roles, "zzz", None))),
        (
            "picker-pasted",
            rendered(picker(&roles, arn, pasted(found))),
        ),
        (
            "picker-pasted-none",
            rendered(picker(&roles, arn, pasted(Vec::new()))),
        ),
        ("picker-empty", rendered(picker(&[], "", None))),
        ("picker-large", rendered(picker(&many, "", None))),
        (
            "picker.json",
            picker_json(
                &many,
                &favourites(&many),
                &[],
                (&environments(), "Example SSO"),
                NOW,
            )
            .unwrap(),
        ),
        ("role", role_page(&roles[0])),
        ("role-reason", role_page(reason)),
        ("console", console_page(plain, false)),
        ("console-reason", console_page(reason, true)),
        ("console-at-once", console_page(plain, true)),
        ("credentials", credentials_page()),
        ("sessions", sessions_page(&roles)),
        ("token-new", new_token(&roles, None)),
        (
            "token-new-problem",
            new_token(&roles, Some("Choose the role.")),
        ),
        ("token-new-none", new_token(&[], None)),
        ("token-new-many", new_token(&many, None)),
        ("token-made", token_made(plain)),
        (
            "signed-out",
            SignedOutView::new(signed_out(), true, None)
                .render()
                .unwrap(),
        ),
    ];
    pages.extend(sign_in_pages());
    pages.extend(provider_pages());
    pages.extend(grant_method_pages());
    pages.extend(error_pages());
    pages.extend(provider_error_pages());
    pages.extend(super::helpdesk::preview_tests::pages(layout()));
    pages.extend(lookup_pages());
    pages
}

#[test]
fn every_page_is_rendered_for_looking_at() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/preview");
    fs::create_dir_all(folder.join("assets")).unwrap();
    for (url, asset) in assets::all() {
        fs::write(folder.join(url.trim_start_matches('/')), &asset.bytes).unwrap();
    }
    for (name, text) in pages() {
        let name = if name.contains('.') {
            name.to_owned()
        } else {
            format!("{name}.html")
        };
        fs::write(folder.join(name), text).unwrap();
    }
}

#[test]
fn no_page_holds_what_the_content_security_policy_forbids() {
    for (name, text) in pages() {
        for forbidden in [
            "<style",
            " style=\"",
            "javascript:",
            " onclick",
            "/assets/missing",
        ] {
            assert!(!text.contains(forbidden), "{name} holds {forbidden}");
        }
        for script in text.split("<script").skip(1) {
            assert!(
                script.starts_with(" type=\"module\" src=\"/assets/")
                    && script.contains("\"></script>"),
                "{name} holds a script of its own"
            );
        }
        let posts = text.matches("method=\"post\"").count();
        let abroad = text.matches("method=\"post\" action=\"https:").count();
        let tokens = text.matches("name=\"csrf_token\"").count();
        assert_eq!(
            posts - abroad,
            tokens,
            "{name}: each form that posts to us carries one token, and no other one"
        );
    }
}

#[test]
fn what_people_and_directories_write_is_escaped() {
    let mut layout = layout();
    layout.person = Some("<script>alert(1)</script>".to_owned());
    layout.theme = Theme::from_cookie("dark\" onload=\"x");
    let asked = AskedRole {
        account: "<b>\"A\" & B</b>".to_owned(),
        role: "x'y".to_owned(),
    };
    let text = ErrorView::not_entitled(layout, &asked, 0).render().unwrap();
    assert!(!text.contains("<script>alert") && !text.contains("<b>"));
    assert!(text.contains("&#60;b&#62;"));
    let table = forty_roles();
    let roles = table.entitlements(&identity(), NOW);
    let text = picker(&roles, "<i>\"pay", None).render().unwrap();
    assert!(!text.contains("<i>"));
    assert!(text.contains("value=\"&#60;i&#62;&#34;pay\""));
}

#[test]
fn a_picker_of_forty_roles_offers_each_role_and_a_large_one_the_first_screen() {
    let table = forty_roles();
    let roles = table.entitlements(&identity(), NOW);
    let text = picker(&roles, "", None).render().unwrap();
    assert!(text.contains("data-complete"));
    for entitlement in &roles {
        assert!(text.contains(&format!("data-role-arn=\"{}\"", entitlement.role.arn)));
    }
    let large = ten_thousand_roles();
    let many = large.entitlements(&identity(), NOW);
    let text = picker(&many, "", None).render().unwrap();
    assert!(!text.contains("data-complete"));
    assert!(text.contains("Next 60 accounts"));
    assert!(text.matches("data-account-id=").count() < 70);
}

#[test]
fn the_picker_data_holds_every_role_once() {
    let table = forty_roles();
    let roles = table.entitlements(&identity(), NOW);
    let favourite = roles.iter().find(|e| !e.requires_reason()).unwrap();
    let text = picker_json(
        &roles,
        &[favourite.role.arn.to_string()],
        &[],
        (&environments(), "Example SSO"),
        NOW,
    )
    .unwrap();
    let data: serde_json::Value = serde_json::from_str(&text).unwrap();
    let accounts = data["accounts"].as_array().unwrap();
    let count: usize = accounts
        .iter()
        .map(|account| account[7].as_array().unwrap().len())
        .sum();
    assert_eq!(count, roles.len());
    let flags: Vec<u64> = accounts
        .iter()
        .flat_map(|account| account[7].as_array().unwrap())
        .map(|role| role[2].as_u64().unwrap() & 1)
        .collect();
    assert_eq!(flags.iter().sum::<u64>(), 1, "one favourite is flagged");
}

#[test]
fn server_side_search_finds_without_script() {
    let table = forty_roles();
    let roles = table.entitlements(&identity(), NOW);
    let text = picker(&roles, "payments prod read", None).render().unwrap();
    assert!(text.contains("1 role in 1 account"));
    assert!(text.contains("<mark>Read</mark>Only"));
}

#[test]
fn an_empty_picker_says_which_groups_were_seen_and_whom_to_ask() {
    let text = picker(&[], "", None).render().unwrap();
    assert!(text.contains("You are signed in as Ada Lovelace. None of your 14 groups gives"));
    assert!(text.contains("cn=team-14,ou=groups,dc=example,dc=com"));
    assert!(text.contains("https://help.example.com/new?text=None%20of%20my%2014%20groups"));
    assert!(text.contains("action=\"/refresh\""));
}

#[test]
fn a_role_that_asks_for_a_reason_leads_to_its_options_and_the_others_to_the_console() {
    let table = forty_roles();
    let roles = table.entitlements(&identity(), NOW);
    let text = picker(&roles, "", None).render().unwrap();
    for entitlement in &roles {
        let (form, name) = if entitlement.requires_reason() {
            ("ask", "arn")
        } else {
            ("open", "role")
        };
        let arn = &entitlement.role.arn;
        assert!(text.contains(&format!("form=\"{form}\" name=\"{name}\" value=\"{arn}\"")));
    }
}

#[test]
fn a_pasted_address_goes_along_with_every_role_that_it_offers() {
    let table = forty_roles();
    let roles = table.entitlements(&identity(), NOW);
    let pasted = Pasted {
        about: "S3 bucket reports".to_owned(),
        account: None,
        destination: Some("https://console.aws.amazon.com/s3/?a=1&b=2".to_owned()),
        region: None,
        roles: vec![roles[3].role.arn.clone(), roles[0].role.arn.clone()],
    };
    let text = picker(&roles, "arn:aws:s3:::reports", Some(pasted))
        .render()
        .unwrap();
    let hidden = "name=\"destination\" value=\"https://console.aws.amazon.com/s3/?a=1&#38;b=2\"";
    assert_eq!(text.matches(hidden).count(), 2, "both forms carry it");
    let places = [3, 0].map(|place: usize| {
        text.rfind(&format!("data-role-arn=\"{}\"", roles[place].role.arn))
            .unwrap()
    });
    assert!(places[0] < places[1], "the best role comes first");
    assert!(!text.contains("All accounts"));
}

#[test]
fn a_refused_sign_in_keeps_the_name_and_asks_for_the_password_alone() {
    let text = sign_in(Some(SignInMessage::Refused), "ada", 2);
    assert!(text.contains(super::words::REFUSED) && text.contains("7F3A-21C0"));
    assert_eq!(text.matches("value=\"ada\"").count(), 1);
    let focus = text.find("autofocus").unwrap();
    let password = text.find("id=\"password-corp\"").unwrap();
    assert!(focus > password && text.matches("autofocus").count() == 1);
}

#[test]
fn the_form_of_the_connector_used_last_comes_first() {
    let text = SignInView::new(SignInInput {
        layout: signed_out(),
        notice: None,
        ways: ["corp", "partner", "third"]
            .map(|id| way(id, id, id == "third"))
            .to_vec(),
        last_used: Some("third".parse().unwrap()),
        next: "/console/111122223333/ReadOnly".to_owned(),
        message: None,
        username: String::new(),
    })
    .render()
    .unwrap();
    let place = |id: &str| text.find(&format!("action=\"/login/{id}\"")).unwrap();
    assert!(place("third") < place("corp") && place("corp") < place("partner"));
    assert_eq!(
        text.matches("value=\"/console/111122223333/ReadOnly\"")
            .count(),
        3
    );
}

#[test]
fn a_deep_link_waits_for_a_click_where_a_reason_is_asked() {
    let table = forty_roles();
    let roles = table.entitlements(&identity(), NOW);
    let plain = roles.iter().find(|role| !role.requires_reason()).unwrap();
    assert!(console_page(plain, true).contains("data-auto-submit"));
    assert!(!console_page(plain, false).contains("data-auto-submit"));
    let reason = roles.iter().find(|role| role.requires_reason()).unwrap();
    assert!(!console_page(reason, true).contains("data-auto-submit"));
    let table = roles_with_keys();
    let roles = table.entitlements(&identity(), NOW);
    let code = roles.iter().find(|role| role.role.arn.name() == "Operator");
    assert!(!console_page(code.unwrap(), true).contains("data-auto-submit"));
}
