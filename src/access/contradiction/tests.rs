use std::{collections::BTreeMap, fmt::Write as _};

use super::*;
use crate::access::{SessionDuration, TargetArn};

const ROLE: &str = "arn:aws:iam::111122223333:role/Ops";
const FEDERATED: &str = "arn:aws:sts::111122223333:federated-user/uploads";
const USER: &str = "arn:aws:iam::111122223333:user/rolegate";

/// The ways to STS, with who vouches.
const WAYS: [(&str, GrantMethod, Option<Voucher>); 7] = [
    (ROLE, GrantMethod::AssumeRole, None),
    (
        ROLE,
        GrantMethod::AssumeRoleWithSaml,
        Some(Voucher::Provider),
    ),
    (ROLE, GrantMethod::AssumeRoleWithSaml, Some(Voucher::Issuer)),
    (
        ROLE,
        GrantMethod::AssumeRoleWithWebIdentity,
        Some(Voucher::Provider),
    ),
    (
        ROLE,
        GrantMethod::AssumeRoleWithWebIdentity,
        Some(Voucher::Issuer),
    ),
    (FEDERATED, GrantMethod::FederationToken, None),
    (USER, GrantMethod::SessionToken, None),
];

fn role((arn, method, voucher): (&str, GrantMethod, Option<Voucher>)) -> Role {
    let needed = (method == GrantMethod::FederationToken)
        .then(|| "arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned());
    Role {
        arn: arn.parse::<TargetArn>().unwrap(),
        description: None,
        owner: None,
        own: RoleDefaults {
            grant_method: Some(method),
            vouched_by: voucher,
            ..RoleDefaults::default()
        },
        session_policy: None,
        policy_arns: needed.into_iter().collect(),
        session_tags: BTreeMap::new(),
        protected: false,
        disabled: false,
    }
}

fn found(role: &Role) -> Option<Contradiction> {
    let found = role.contradiction(&EffectiveRole::from(role.own.clone()));
    assert_eq!(role.contradicts_itself(), found, "all is said");
    found
}

type Change = fn(&mut Role);

const SETTINGS: [(&str, Change); 10] = [
    ("external_id", |role| {
        role.own.external_id = Some("x1".to_owned());
    }),
    ("source_identity", |role| {
        role.own.source_identity = "{username}".parse().ok();
    }),
    ("session_tags", |role| {
        role.session_tags = BTreeMap::from([("team".to_owned(), "{username}".to_owned())]);
    }),
    ("audit_tag", |role| role.own.audit_tag = Some(true)),
    ("session_policy", |role| {
        role.session_policy = Some("{}".to_owned());
    }),
    ("policy_arns", |role| {
        role.policy_arns = vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()];
    }),
    ("mfa_serial", |role| {
        role.own.mfa_serial = Some("arn:aws:iam::111122223333:mfa/broker".to_owned());
    }),
    ("max_duration", |role| {
        role.own.max_duration = SessionDuration::from_seconds(50_000).ok();
    }),
    ("federation", |role| {
        role.own.console = Some(ConsoleWay::Federation);
    }),
    ("saml-post", |role| {
        role.own.console = Some(ConsoleWay::SamlPost);
    }),
];

#[test]
fn each_way_carries_what_aws_takes_by_it() {
    let mut table = String::new();
    for way in WAYS {
        let carried = SETTINGS.iter().filter(|(_, change)| {
            let mut role = role(way);
            change(&mut role);
            found(&role).is_none()
        });
        let carried: Vec<&str> = carried.map(|(name, _)| *name).collect();
        let voucher = way.2.map_or("", Voucher::as_str);
        writeln!(table, "{} {voucher}: {}", way.1, carried.join(" ")).unwrap();
    }
    insta::assert_snapshot!(table, @"
    assume-role : external_id source_identity session_tags audit_tag session_policy policy_arns mfa_serial federation
    assume-role-with-saml provider: session_policy policy_arns federation
    assume-role-with-saml issuer: source_identity session_tags audit_tag session_policy policy_arns federation saml-post
    assume-role-with-web-identity provider: session_policy policy_arns federation
    assume-role-with-web-identity issuer: source_identity session_tags audit_tag session_policy policy_arns federation
    federation-token : session_tags audit_tag session_policy policy_arns max_duration federation
    session-token : mfa_serial max_duration
    ");
}

#[test]
fn each_contradiction_has_its_sentence() {
    let mut sentences = Vec::new();
    for way in WAYS {
        for (_, change) in SETTINGS {
            let mut role = role(way);
            change(&mut role);
            sentences.extend(found(&role).map(|found| found.message));
        }
        for arn in [ROLE, FEDERATED, USER] {
            let other = role((arn, way.1, way.2));
            sentences.extend(found(&other).map(|found| found.message));
        }
    }
    let mut role = role(WAYS[5]);
    role.policy_arns.clear();
    sentences.extend(found(&role).map(|found| found.message));
    let mut role = super::tests::role(WAYS[0]);
    role.own.vouched_by = Some(Voucher::Issuer);
    sentences.extend(found(&role).map(|found| found.message));
    let mut role = super::tests::role(WAYS[2]);
    role.own.console = Some(ConsoleWay::SamlPost);
    role.session_policy = Some("{}".to_owned());
    sentences.extend(found(&role).map(|found| found.message));
    sentences.sort();
    sentences.dedup();
    insta::assert_snapshot!(sentences.join("\n"), @r#"
    assume-role gives sessions of 12 h at most; longer ones, up to 36 h, come by federation-token and session-token alone
    assume-role goes by Rolegate's own credentials, so that nobody vouches: remove vouched_by, or use assume-role-with-saml or assume-role-with-web-identity
    assume-role opens arn:aws:iam::111122223333:role/Name, and this is the ARN of a federated user: write such an ARN, or grant_method = "federation-token"
    assume-role opens arn:aws:iam::111122223333:role/Name, and this is the ARN of an IAM user: write such an ARN, or grant_method = "session-token"
    assume-role-with-saml cannot send audit_tag, for AWS goes by what the person's provider says alone: remove it, or let Rolegate vouch (vouched_by = "issuer")
    assume-role-with-saml cannot send external_id, for AWS goes by an identity provider's word and asks for no id beside it: remove it, or use assume-role
    assume-role-with-saml cannot send session_tags, for AWS goes by what the person's provider says alone: remove it, or let Rolegate vouch (vouched_by = "issuer")
    assume-role-with-saml cannot send source_identity, for AWS goes by what the person's provider says alone: remove it, or let Rolegate vouch (vouched_by = "issuer")
    assume-role-with-saml gives sessions of 12 h at most; longer ones, up to 36 h, come by federation-token and session-token alone
    assume-role-with-saml opens arn:aws:iam::111122223333:role/Name, and this is the ARN of a federated user: write such an ARN, or grant_method = "federation-token"
    assume-role-with-saml opens arn:aws:iam::111122223333:role/Name, and this is the ARN of an IAM user: write such an ARN, or grant_method = "session-token"
    assume-role-with-saml takes no code of an MFA device: remove mfa_serial, or use assume-role or session-token
    assume-role-with-web-identity cannot send audit_tag, for AWS goes by what the person's provider says alone: remove it, or let Rolegate vouch (vouched_by = "issuer")
    assume-role-with-web-identity cannot send external_id, for AWS goes by an identity provider's word and asks for no id beside it: remove it, or use assume-role
    assume-role-with-web-identity cannot send session_tags, for AWS goes by what the person's provider says alone: remove it, or let Rolegate vouch (vouched_by = "issuer")
    assume-role-with-web-identity cannot send source_identity, for AWS goes by what the person's provider says alone: remove it, or let Rolegate vouch (vouched_by = "issuer")
    assume-role-with-web-identity gives sessions of 12 h at most; longer ones, up to 36 h, come by federation-token and session-token alone
    assume-role-with-web-identity opens arn:aws:iam::111122223333:role/Name, and this is the ARN of a federated user: write such an ARN, or grant_method = "federation-token"
    assume-role-with-web-identity opens arn:aws:iam::111122223333:role/Name, and this is the ARN of an IAM user: write such an ARN, or grant_method = "session-token"
    assume-role-with-web-identity takes no code of an MFA device: remove mfa_serial, or use assume-role or session-token
    console = "saml-post" cannot carry session_policy, for the browser that posts the assertion could get credentials without it: remove it, or let the console open by federation
    console = "saml-post" posts an assertion of Rolegate's own: it needs grant_method = "assume-role-with-saml" and vouched_by = "issuer"
    federation-token cannot send external_id, for GetFederationToken takes none: remove it, or use assume-role
    federation-token cannot send source_identity, for GetFederationToken takes none: remove it, or use assume-role
    federation-token needs a session_policy or policy_arns: without one the session may do nothing
    federation-token opens arn:aws:sts::111122223333:federated-user/Name, and this is the ARN of a role: write such an ARN, or grant_method = "assume-role"
    federation-token opens arn:aws:sts::111122223333:federated-user/Name, and this is the ARN of an IAM user: write such an ARN, or grant_method = "session-token"
    federation-token takes no code of an MFA device: remove mfa_serial, or use assume-role or session-token
    session-token cannot carry policy_arns, for its sessions may do all that the IAM user may: remove it, or use federation-token
    session-token cannot carry session_policy, for its sessions may do all that the IAM user may: remove it, or use federation-token
    session-token cannot send audit_tag, for GetSessionToken takes none: remove it, or use assume-role
    session-token cannot send external_id, for GetSessionToken takes none: remove it, or use assume-role
    session-token cannot send session_tags, for GetSessionToken takes none: remove it, or use assume-role
    session-token cannot send source_identity, for GetSessionToken takes none: remove it, or use assume-role
    session-token gives credentials and opens no console: remove console, or use federation-token
    session-token opens arn:aws:iam::111122223333:user/Name, and this is the ARN of a federated user: write such an ARN, or grant_method = "federation-token"
    session-token opens arn:aws:iam::111122223333:user/Name, and this is the ARN of a role: write such an ARN, or grant_method = "assume-role"
    "#);
}

#[test]
fn a_row_that_leaves_it_to_its_account_is_not_judged_early() {
    let unsaid = |arn: &str| {
        let mut role = role((arn, GrantMethod::AssumeRole, None));
        role.own.grant_method = None;
        role
    };
    // Any of these is right by some defaults.
    let mut tagged = unsaid(ROLE);
    tagged.own.external_id = Some("x1".to_owned());
    assert_eq!(tagged.contradicts_itself(), None);
    assert_eq!(unsaid(USER).contradicts_itself(), None);
    let mut posted = unsaid(ROLE);
    posted.own.console = Some(ConsoleWay::SamlPost);
    assert_eq!(posted.contradicts_itself(), None);
    let mut vouched = role((ROLE, GrantMethod::AssumeRoleWithSaml, None));
    vouched.session_tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    assert_eq!(vouched.contradicts_itself(), None);

    // And these by none.
    let mut narrowed = unsaid(USER);
    narrowed.session_policy = Some("{}".to_owned());
    assert_eq!(narrowed.contradicts_itself().unwrap().key, "session_policy");
    let mut long = unsaid(ROLE);
    long.own.max_duration = SessionDuration::from_seconds(50_000).ok();
    assert_eq!(long.contradicts_itself().unwrap().key, "max_duration");
    let mut filled = unsaid(ROLE);
    filled.session_tags = BTreeMap::from([("a".to_owned(), "{nobody}".to_owned())]);
    assert_eq!(filled.contradicts_itself().unwrap().key, "session_tags");
    let mut posted = unsaid(FEDERATED);
    posted.own.console = Some(ConsoleWay::SamlPost);
    assert!(posted.contradicts_itself().is_some());
}

#[test]
fn what_is_merely_inherited_and_cannot_be_used_is_ignored() {
    let defaults = RoleDefaults {
        external_id: Some("x1".to_owned()),
        source_identity: "{username}".parse().ok(),
        max_duration: Some(SessionDuration::LONGEST_TOKEN),
        console: Some(ConsoleWay::SamlPost),
        vouched_by: Some(Voucher::Provider),
        mfa_serial: Some("arn:aws:iam::111122223333:mfa/broker".to_owned()),
        audit_tag: Some(true),
        ..RoleDefaults::default()
    };
    for way in WAYS {
        let role = role(way);
        let settings = EffectiveRole::from(role.own.or(&defaults));
        assert_eq!(role.contradiction(&settings), None, "{way:?}");
        assert!(settings.max_duration <= way.1.longest());
        let posts = way.1 == GrantMethod::AssumeRoleWithSaml && way.2 == Some(Voucher::Issuer);
        assert_eq!(settings.console == ConsoleWay::SamlPost, posts);
        assert_eq!(settings.mfa_serial.is_some(), way.1.takes_code());
    }
}
