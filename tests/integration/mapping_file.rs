//! Mapping files: what is read, what is refused, and that an export reads back as it was.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use proptest::prelude::*;
use rolegate::{
    access::{
        Account, Conditions, ConnectorId, ConsoleWay, GrantMethod, GroupKey, GroupKeyForm, Mapping,
        MappingId, MappingRule, Origin, PolicyTables, Role, RoleDefaults, SessionDuration,
    },
    audit::Actor,
    config::mapping_file::{MappingFile, to_json_lines, to_toml},
    store::{Change, EditContext, PolicyStore as _, sql::SqlStore},
};
use time::{OffsetDateTime, macros::datetime};

fn forms() -> HashMap<ConnectorId, GroupKeyForm> {
    HashMap::from([
        ("corp".parse().unwrap(), GroupKeyForm::DistinguishedName),
        ("claims".parse().unwrap(), GroupKeyForm::Exact),
    ])
}

fn parse(text: &str) -> Result<MappingFile, String> {
    MappingFile::parse(text, Path::new("mappings.toml"), &forms())
        .map_err(|findings| findings.to_string())
}

const WHOLE_FILE: &str = r#"
[[account]]
id = "111122223333"
name = "Payments production"
environment = "production"
protected = true
role_defaults = { max_duration = "4h", region = "eu-west-1", external_id = "ext-1" }

[[role]]
arn = "arn:aws:iam::111122223333:role/team/ReadOnly"
description = "Look, do not touch"
grant_method = "assume-role"
credential_source = "default"
max_duration = 3600
session_policy = '{"Version": "2012-10-17", "Statement": []}'
policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
session_tags = { team = "payments", cost-centre = "" }

[[mapping]]
group = "corp:CN=Payments-Dev, OU=groups,DC=example,DC=com"
role = "arn:aws:iam::111122223333:role/team/ReadOnly"
ticket = "HD-1042"
expires = 2027-01-31T00:00:00+01:00
require_reason = true

[[mapping_rule]]
connector = "corp"
group_pattern = "^cn=aws-(?<account>[0-9]{12})-(?<role>[a-z]+),dc=x$"
role = "arn:aws:iam::{account}:role/{role}"
"#;

#[test]
fn a_whole_file_is_read() {
    let file = parse(WHOLE_FILE).unwrap();
    let defaults = &file.accounts[0].role_defaults;
    assert_eq!(defaults.max_duration.unwrap().seconds(), 14_400);
    let role = &file.roles[0];
    assert_eq!(role.own.grant_method, Some(GrantMethod::AssumeRole));
    assert_eq!(role.own.max_duration, Some(SessionDuration::HOUR));
    assert_eq!(role.session_tags["team"], "payments");
    let mapping = &file.mappings[0];
    assert_eq!(
        mapping.group.as_str(),
        "corp:cn=payments-dev,ou=groups,dc=example,dc=com"
    );
    assert_eq!(
        mapping.conditions.expires,
        Some(datetime!(2027-01-30 23:00 UTC))
    );
    assert_eq!(mapping.id, MappingId("file:19".to_owned()));
    assert_eq!(mapping.origin, Origin::File { line: 19 });
    assert_eq!(file.rules[0].origin, Origin::File { line: 26 });
    assert!(!file.rules[0].allow_protected);
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let text = r#"
[[acount]]
id = "111122223333"
[[account]]
id = "11112222333"
nam = "Payments"
[[role]]
arn = "arn:aws:iam::111122223333:role/Ops"
max_duration = "37h"
session_policy = "{"
policy_arns = ["ReadOnlyAccess"]
session_tags = { "aws:x" = "y" }
mfa_serial = "my phone"
grant_method = "assume-rol"
external_id = "x"
[[role]]
arn = "arn:aws:iam::111122223333:role/other/OPS"
console = "saml-redirect"
[[mapping]]
group = "corp:not a dn"
role = "Ops"
expires = 2027-01-31T00:00:00
[[mapping]]
group = "okta:x"
role = "arn:aws:iam::111122223333:role/Ops"
expires = 2027-01-31
require_approval_by = "leads"
[[mapping]]
group = "claims:x"
role = "arn:aws:iam::111122223333:role/Ops"
[[mapping]]
group = "claims:x"
role = "arn:aws:iam::111122223333:role/Ops"
[[mapping_rule]]
connector = "crop"
group_pattern = "cn=x"
role = "arn:aws:iam::{account}:role/x"
[[mapping_rule]]
connector = "claims"
group_pattern = "cn=x"
role = "arn:aws:iam::111122223333:role/x"
"#;
    insta::assert_snapshot!(parse(text).unwrap_err(), @r#"
    mappings.toml:2: acount: unknown key; did you mean "account"?
    mappings.toml:5: account.11112222333.id: `11112222333` is not an AWS account id: it has twelve digits, such as 111122223333
    mappings.toml:6: account.11112222333.nam: unknown key; did you mean "name"?
    mappings.toml:9: role.arn:aws:iam::111122223333:role/Ops.max_duration: expected a duration from 15m to 1day 12h, found 1day 13h
    mappings.toml:10: role.arn:aws:iam::111122223333:role/Ops.session_policy: expected a policy in JSON: EOF while parsing an object at line 1 column 1
    mappings.toml:11: role.arn:aws:iam::111122223333:role/Ops.policy_arns[0]: expected arn:aws:iam::ACCOUNT:policy/NAME, found "ReadOnlyAccess"
    mappings.toml:12: role.arn:aws:iam::111122223333:role/Ops.session_tags: the tag "aws:x" begins with aws:, which AWS keeps for itself
    mappings.toml:13: role.arn:aws:iam::111122223333:role/Ops.mfa_serial: expected the ARN of an MFA device, such as arn:aws:iam::111122223333:mfa/rolegate, or its serial number: 9 to 256 letters, digits or characters of _+=/:,.@-
    mappings.toml:14: role.arn:aws:iam::111122223333:role/Ops.grant_method: expected one of assume-role, assume-role-with-saml, assume-role-with-web-identity, federation-token, session-token, found "assume-rol"; did you mean "assume-role"?
    mappings.toml:15: role.arn:aws:iam::111122223333:role/Ops.external_id: expected 2 to 1224 letters, digits or characters of _+=,.@:/-
    mappings.toml:17: role.arn:aws:iam::111122223333:role/other/OPS.arn: has the same name as arn:aws:iam::111122223333:role/Ops; names are unique within an account, ignoring case
    mappings.toml:18: role.arn:aws:iam::111122223333:role/other/OPS.console: expected federation, saml-post or idp-initiated, found "saml-redirect"
    mappings.toml:20: mapping[0].group: `not a dn` is not a distinguished name: `not a dn` has no attribute=value
    mappings.toml:21: mapping[0].role: `Ops` is not the ARN of a role: it looks like arn:aws:iam::111122223333:role/Name
    mappings.toml:22: mapping[0].expires: expected a date with time and zone such as 2027-01-31T00:00:00Z, found 2027-01-31T00:00:00
    mappings.toml:24: mapping[1].group: no connector `okta` is configured; there are: claims, corp
    mappings.toml:26: mapping[1].expires: expected a date with time and zone such as 2027-01-31T00:00:00Z, found 2027-01-31
    mappings.toml:27: mapping[1].require_approval_by: `leads` is not a group: write connector:name, such as corp:cn=dev,ou=groups,dc=x
    mappings.toml:32: mapping[3].group: gives the same role as line 28
    mappings.toml:35: mapping_rule[0].connector: no connector `crop` is configured; there are: claims, corp
    mappings.toml:40: mapping_rule[1].group_pattern: the pattern `cn=x` is open: it must start with ^ and end with $
    "#);
}

#[test]
fn roles_say_nothing_that_the_way_they_are_opened_cannot_carry() {
    let text = r#"
[[role]]
arn = "arn:aws:iam::111122223333:role/Tagged"
grant_method = "assume-role-with-saml"
vouched_by = "provider"
saml_provider_arn = "arn:aws:iam::{acount}:saml-provider/corp"
session_tags = { team = "payments" }
[[role]]
arn = "arn:aws:iam::111122223333:role/HandedOver"
console = "idp-initiated"
[[role]]
arn = "arn:aws:iam::111122223333:role/Elsewhere"
saml_provider_arn = "arn:aws:iam::111122224444:saml-provider/corp"
[[mapping]]
group = "claims:y"
role = "arn:aws:iam::111122223333:role/HandedOver"
read_only = true
[[mapping]]
group = "claims:x"
role = "arn:aws:iam::111122223333:role/HandedOver"
"#;
    insta::assert_snapshot!(parse(text).unwrap_err(), @r#"
    mappings.toml:6: role.arn:aws:iam::111122223333:role/Tagged.saml_provider_arn: `arn:aws:iam::{acount}:saml-provider/corp` is not the ARN of an IAM SAML provider: it looks like arn:aws:iam::111122223333:saml-provider/Name, and {account} may stand for the account
    mappings.toml:7: role.arn:aws:iam::111122223333:role/Tagged.session_tags: assume-role-with-saml cannot send session_tags, for AWS goes by what the person's provider says alone: remove it, or let Rolegate vouch (vouched_by = "issuer")
    mappings.toml:13: role.arn:aws:iam::111122223333:role/Elsewhere.saml_provider_arn: arn:aws:iam::111122224444:saml-provider/corp is not in the role's account, where IAM wants it
    mappings.toml:17: mapping[0].read_only: cannot hold: the identity provider opens this role itself (console = "idp-initiated"); remove it, or let the console open by federation
    "#);
}

#[test]
fn impossible_combinations_are_refused_with_the_reason() {
    let refused = |arn: &str, keys: &str| {
        let text = format!("[[role]]\narn = \"arn:aws:{arn}\"\n{keys}");
        parse(&text).expect_err(keys).trim_end().to_owned()
    };
    let role = "iam::111122223333:role/Ops";
    let posted = "console = \"saml-post\"\ngrant_method = \"assume-role-with-saml\"\n";
    let narrow = r#"policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]"#;
    let upload = |resource: &str| {
        format!(
            r#"session_policy = '{{"Statement": {{"Resource": "arn:aws:s3:::b/{resource}"}}}}'"#
        )
    };
    let of_role = [
        "grant_method = \"federation-token\"",
        "grant_method = \"session-token\"",
        "vouched_by = \"issuer\"\ngrant_method = \"assume-role\"",
        "vouched_by = \"somebody\"",
        "console = \"saml-post\"\ngrant_method = \"assume-role-with-web-identity\"",
        &format!("{posted}vouched_by = \"provider\""),
        &format!("{posted}vouched_by = \"issuer\"\n{narrow}"),
        "mfa_serial = \"arn:aws:iam::111122223333:mfa/x\"\ngrant_method = \"assume-role-with-saml\"",
        "external_id = \"x1\"\nvouched_by = \"issuer\"\ngrant_method = \"assume-role-with-saml\"",
        "max_duration = \"13h\"",
        "max_duration = \"37h\"",
        &upload("{username}*"),
        &upload("{nobody}/*"),
        r#"session_tags = { team = "{connector}{username}" }"#,
    ]
    .map(|keys| refused(role, keys));
    let federated = "sts::111122223333:federated-user/uploads";
    let user = "iam::111122223333:user/rolegate";
    let of_others = [
        refused(federated, "grant_method = \"federation-token\""),
        refused(
            federated,
            &format!("source_identity = \"{{username}}\"\n{narrow}"),
        ),
        refused(user, narrow),
        refused(user, "console = \"federation\""),
        refused(user, "audit_tag = true"),
    ];
    let defaults = "[[account]]\nid = \"111122223333\"\nname = \"x\"\n[account.role_defaults]\n";
    let of_account = [
        "console = \"idp-initiated\"",
        "max_duration = \"13h\"\ngrant_method = \"assume-role\"",
    ]
    .map(|keys| {
        parse(&format!("{defaults}{keys}"))
            .expect_err(keys)
            .trim_end()
            .to_owned()
    });
    let all = [&of_role[..], &of_others[..], &of_account[..]].concat();
    insta::assert_snapshot!(all.join("\n"), @r#"
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.grant_method: federation-token opens arn:aws:sts::111122223333:federated-user/Name, and this is the ARN of a role: write such an ARN, or grant_method = "assume-role"
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.grant_method: session-token opens arn:aws:iam::111122223333:user/Name, and this is the ARN of a role: write such an ARN, or grant_method = "assume-role"
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.vouched_by: assume-role goes by Rolegate's own credentials, so that nobody vouches: remove vouched_by, or use assume-role-with-saml or assume-role-with-web-identity
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.vouched_by: expected provider or issuer, found "somebody"
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.console: console = "saml-post" posts an assertion of Rolegate's own: it needs grant_method = "assume-role-with-saml" and vouched_by = "issuer"
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.console: console = "saml-post" posts an assertion of Rolegate's own: it needs grant_method = "assume-role-with-saml" and vouched_by = "issuer"
    mappings.toml:6: role.arn:aws:iam::111122223333:role/Ops.policy_arns: console = "saml-post" cannot carry policy_arns, for the browser that posts the assertion could get credentials without it: remove it, or let the console open by federation
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.mfa_serial: assume-role-with-saml takes no code of an MFA device: remove mfa_serial, or use assume-role or session-token
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.external_id: assume-role-with-saml cannot send external_id, for AWS goes by an identity provider's word and asks for no id beside it: remove it, or use assume-role
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.max_duration: assume-role gives sessions of 12 h at most; longer ones, up to 36 h, come by federation-token and session-token alone
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.max_duration: expected a duration from 15m to 1day 12h, found 1day 13h
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.session_policy: "arn:aws:s3:::b/{username}*": {username} has to be followed by / or by nothing, as in home/{username}/*, so that it does not reach what other names begin with
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.session_policy: "arn:aws:s3:::b/{nobody}/*": there is no {nobody}; there are {username}, {email}, {subject}, {connector}, {display_name}, {groups}, {account}, {role}
    mappings.toml:3: role.arn:aws:iam::111122223333:role/Ops.session_tags: the tag "team": {connector} and {username} need one of / : or a space between them, for two people could share the value otherwise
    mappings.toml:1: role.arn:aws:sts::111122223333:federated-user/uploads.session_policy: federation-token needs a session_policy or policy_arns: without one the session may do nothing
    mappings.toml:3: role.arn:aws:sts::111122223333:federated-user/uploads.source_identity: federation-token cannot send source_identity, for GetFederationToken takes none: remove it, or use assume-role
    mappings.toml:3: role.arn:aws:iam::111122223333:user/rolegate.policy_arns: session-token cannot carry policy_arns, for its sessions may do all that the IAM user may: remove it, or use federation-token
    mappings.toml:3: role.arn:aws:iam::111122223333:user/rolegate.console: session-token gives credentials and opens no console: remove console, or use federation-token
    mappings.toml:3: role.arn:aws:iam::111122223333:user/rolegate.audit_tag: session-token cannot send audit_tag, for GetSessionToken takes none: remove it, or use assume-role
    mappings.toml:5: account.111122223333.role_defaults.console: idp-initiated is for single roles: write it in [[role]]
    mappings.toml:5: account.111122223333.role_defaults.max_duration: assume-role gives sessions of 12 h at most
    "#);
}

#[test]
fn every_way_to_aws_can_be_written() {
    let text = r#"
[[account]]
id = "111122223333"
name = "Payments"
role_defaults = { grant_method = "assume-role-with-saml", vouched_by = "issuer", console = "saml-post" }
[[role]]
arn = "arn:aws:iam::111122223333:role/Posted"
[[role]]
arn = "arn:aws:iam::111122223333:role/Upload"
session_policy = '{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::b/{connector}/{username}/*"}}'
session_tags = { team = ":{groups}:" }
[[role]]
arn = "arn:aws:sts::111122223333:federated-user/uploads"
grant_method = "federation-token"
max_duration = "36h"
policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
audit_tag = true
[[role]]
arn = "arn:aws:iam::111122223333:user/rolegate"
grant_method = "session-token"
mfa_serial = "arn:aws:iam::111122223333:mfa/rolegate"
[[role]]
arn = "arn:aws:iam::111122223333:role/Workload"
grant_method = "assume-role-with-web-identity"
vouched_by = "issuer"
source_identity = "{username}"
"#;
    let file = parse(text).unwrap();
    let again = parse(&to_toml(&file.clone().into_tables(1))).unwrap();
    assert_eq!(again.roles, file.roles);
    assert_eq!(again.accounts, file.accounts);
}

#[test]
fn limits_of_aws_are_told_before_anybody_clicks() {
    let role = "[[role]]\narn = \"arn:aws:iam::111122223333:role/Ops\"\n";
    let refused = |keys: &str| parse(&format!("{role}{keys}")).unwrap_err();
    let long = format!("session_policy = '{{\"a\": \"{}\"}}'", "x".repeat(2_048));
    assert!(
        refused(&long).contains("at most 2048"),
        "{}",
        refused(&long)
    );
    let wide = "session_policy = '{\"a\": \"€\"}'";
    assert!(refused(wide).contains("'€'"), "{}", refused(wide));
    let arns = ["\"arn:aws:iam::aws:policy/x\""; 11].join(", ");
    let many = format!("policy_arns = [{arns}]");
    assert!(refused(&many).contains("at most 10"), "{}", refused(&many));
    let tags: Vec<String> = (0..51).map(|n| format!("k{n} = \"v\"")).collect();
    let many = format!("session_tags = {{ {} }}", tags.join(", "));
    assert!(refused(&many).contains("at most 50"), "{}", refused(&many));
    for tags in [
        "{ Team = \"a\", team = \"b\" }".to_owned(),
        "{ team = \"a;b\" }".to_owned(),
        "{ team = 1 }".to_owned(),
        format!("{{ {} = \"a\" }}", "k".repeat(129)),
        format!("{{ k = \"{}\" }}", "v".repeat(257)),
        "\"team\"".to_owned(),
    ] {
        let refused = refused(&format!("session_tags = {tags}"));
        assert!(refused.contains("session_tags"), "{refused}");
    }
}

#[test]
fn public_values_are_checked_where_they_are_written() {
    let refused = |values: &str| {
        let role = "[[role]]\narn = \"arn:aws:iam::111122223333:role/Ops\"\n";
        parse(&format!("{role}public_values = {values}")).unwrap_err()
    };
    let many: Vec<String> = (0..21).map(|n| format!("k{n} = \"v\"")).collect();
    for (values, told) in [
        (
            format!("{{ {} }}", many.join(", ")),
            "21 values; there may be 20",
        ),
        (
            "{ Bucket = \"x\" }".to_owned(),
            "cannot name a public value",
        ),
        ("{ k = \"{nobody}\" }".to_owned(), "there is no {nobody}"),
        ("{ k = 1 }".to_owned(), "expected a table of strings"),
        ("\"k\"".to_owned(), "expected a table of strings"),
    ] {
        let refused = refused(&values);
        assert!(refused.contains("Ops.public_values: "), "{refused}");
        assert!(refused.contains(told), "{refused}");
    }
}

#[tokio::test]
async fn an_import_of_the_stores_own_export_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/rolegate.db", folder.path().display());
    let store = SqlStore::open(&url).await.unwrap();
    let context = EditContext::new(
        Actor::File {
            hash: "0".repeat(64),
        },
        datetime!(2026-11-24 09:00 UTC),
    );
    let first = store.apply(changes(WHOLE_FILE), &context).await.unwrap();
    assert_eq!(first.changed, 4);
    let exported = to_toml(&store.tables().await.unwrap());
    let again = store.apply(changes(&exported), &context).await.unwrap();
    assert_eq!((again.changed, again.version), (0, first.version));
}

fn changes(text: &str) -> Vec<Change> {
    let file = parse(text).unwrap();
    (file.accounts.into_iter().map(Change::PutAccount))
        .chain((file.roles.into_iter()).map(|role| Change::PutRole(Box::new(role))))
        .chain(file.mappings.into_iter().map(Change::PutMapping))
        .chain(file.rules.into_iter().map(Change::PutRule))
        .collect()
}

#[test]
fn json_lines_have_one_row_each() {
    let mut tables = PolicyTables::default();
    tables.roles.push(Role {
        owner: None,
        arn: "arn:aws:iam::111122223333:role/Ops".parse().unwrap(),
        description: Some("two\nlines".to_owned()),
        own: RoleDefaults::default(),
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: BTreeMap::new(),
        protected: true,
        disabled: false,
    });
    let text = to_json_lines(&tables);
    assert_eq!(
        text,
        "{\"arn\":\"arn:aws:iam::111122223333:role/Ops\",\"description\":\"two\\nlines\",\
         \"kind\":\"role\",\"protected\":true}\n"
    );
}

fn text() -> impl Strategy<Value = String> {
    // Anything that is not blank, quotes, controls and all.
    "\\PC{0,5}[\"'\\\\\n\t\u{7f}\u{1}a-zé日#=]{1,9}x"
}

fn settings() -> impl Strategy<Value = RoleDefaults> {
    let of_roles = GrantMethod::ALL[..3].to_vec();
    let method = proptest::option::of(proptest::sample::select(of_roles));
    let duration = proptest::option::of(900..=43_200_u32);
    (
        method,
        duration,
        proptest::option::of(text()),
        any::<bool>(),
    )
        .prop_map(
            |(grant_method, duration, credential_source, rest)| RoleDefaults {
                grant_method,
                credential_source,
                external_id: rest.then(|| "ext/1".to_owned()),
                max_duration: duration.map(|seconds| SessionDuration::try_from(seconds).unwrap()),
                region: rest.then(|| "eu-west-1".to_owned()),
                source_identity: rest.then(|| "{connector}-{username}".parse().unwrap()),
                saml_provider_arn: rest
                    .then(|| "arn:aws:iam::{account}:saml-provider/corp".to_owned()),
                console: None,
                vouched_by: rest.then_some(rolegate::access::Voucher::Issuer),
                mfa_serial: rest.then(|| "arn:aws:iam::111122223333:mfa/x".to_owned()),
                audit_tag: rest.then_some(duration.is_some()),
                public_values: rest
                    .then(|| ("prefix".to_owned(), "h/{subject}/\"$(x)'é".to_owned()))
                    .into_iter()
                    .collect(),
            },
        )
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let expires = proptest::option::of(0..253_402_300_799_000_i64);
    let duration = proptest::option::of(900..=43_200_u32);
    (expires, duration, any::<[bool; 4]>()).prop_map(|(expires, duration, claims)| Conditions {
        expires: expires.map(|milliseconds| {
            let nanoseconds = i128::from(milliseconds) * 1_000_000;
            OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap()
        }),
        max_duration: duration.map(|seconds| SessionDuration::try_from(seconds).unwrap()),
        read_only: claims[0],
        require_mfa: claims[1],
        require_reason: claims[2],
        require_approval_by: claims[3].then(|| "corp:cn=leads,dc=x".to_owned()),
    })
}

fn group() -> impl Strategy<Value = GroupKey> {
    let exact = text().prop_map(|name| ("claims", name));
    let dn = "[a-z \"\\\\,+é]{0,8}x".prop_map(|value| {
        let escaped: String = value
            .chars()
            .flat_map(|c| match c {
                ' ' | '"' | '\\' | ',' | '+' => vec!['\\', c],
                other => vec![other],
            })
            .collect();
        ("corp", format!("cn={escaped},dc=x"))
    });
    prop_oneof![exact, dn].prop_map(|(connector, name)| {
        let connector = connector.parse::<ConnectorId>().unwrap();
        GroupKey::new(&connector, &name, forms()[&connector]).unwrap()
    })
}

fn role_arn(number: usize) -> String {
    format!("arn:aws:iam::{:012}:role/team/Role{number}", number / 3)
}

const COLOURS: [&str; 5] = ["red", "amber", "green", "blue", "grey"];

fn accounts() -> impl Strategy<Value = Vec<Account>> {
    let account = (
        text(),
        proptest::option::of(text()),
        any::<bool>(),
        settings(),
        proptest::option::of(proptest::sample::select(COLOURS.to_vec())),
        proptest::option::of(text()),
    );
    proptest::collection::vec(account, 0..3).prop_map(|rows| {
        let numbered = rows.into_iter().enumerate();
        numbered
            .map(
                |(number, (name, note, protected, role_defaults, colour, owner))| Account {
                    colour: colour.map(str::to_owned),
                    owner,
                    id: format!("{number:012}").parse().unwrap(),
                    name,
                    description: note.clone(),
                    environment: note.clone(),
                    alias: note,
                    protected,
                    role_defaults,
                },
            )
            .collect()
    })
}

fn roles() -> impl Strategy<Value = Vec<Role>> {
    let tags = proptest::collection::btree_map("[a-z é.:/=+@-]{1,9}", "[a-zA-Z é]{0,9}", 0..3);
    let note = proptest::option::of(text());
    let console = proptest::option::of(proptest::sample::select(ConsoleWay::ALL.to_vec()));
    let note = (note, proptest::option::of(text()));
    let role = (note, (settings(), console), any::<[bool; 3]>(), tags);
    proptest::collection::vec(role, 0..4).prop_map(|rows| {
        let numbered = rows.into_iter().enumerate();
        numbered
            .map(
                |(number, ((description, owner), (own, console), claims, session_tags))| Role {
                    owner,
                    arn: role_arn(number).parse().unwrap(),
                    description,
                    own: RoleDefaults { console, ..own },
                    session_policy: claims[2].then(|| "{\"Statement\":\"\\n\"}".to_owned()),
                    policy_arns: vec![
                        "arn:aws:iam::aws:policy/x".to_owned();
                        usize::from(claims[2])
                    ],
                    session_tags,
                    protected: claims[0],
                    disabled: claims[1],
                },
            )
            .map(without_contradiction)
            .collect()
    })
}

/// The role without what its own way of being opened cannot carry, which no file may say.
fn without_contradiction(role: Role) -> Role {
    if role.contradicts_itself().is_none() {
        return role;
    }
    Role {
        own: RoleDefaults {
            grant_method: role.own.grant_method,
            saml_provider_arn: role.own.saml_provider_arn,
            ..RoleDefaults::default()
        },
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: BTreeMap::new(),
        ..role
    }
}

fn mappings() -> impl Strategy<Value = Vec<Mapping>> {
    let ticket = proptest::option::of(text());
    let mapping = (group(), 0..5_usize, conditions(), ticket);
    proptest::collection::vec(mapping, 0..4).prop_map(|rows| {
        let mut pairs = HashSet::new();
        rows.into_iter()
            .filter(|(group, number, ..)| pairs.insert((group.clone(), *number)))
            .map(|(group, number, conditions, ticket)| Mapping {
                id: MappingId(String::new()),
                group,
                role: role_arn(number).parse().unwrap(),
                conditions,
                ticket,
                origin: Origin::Store,
            })
            .collect()
    })
}

fn rules() -> impl Strategy<Value = Vec<MappingRule>> {
    let row = (conditions(), any::<bool>(), proptest::option::of(text()));
    proptest::collection::vec(row, 0..3).prop_map(|rows| {
        let numbered = rows.into_iter().enumerate();
        numbered
            .map(
                |(number, (conditions, allow_protected, ticket))| MappingRule {
                    id: MappingId(String::new()),
                    connector: "corp".parse().unwrap(),
                    group_pattern: format!("^cn=(?<role>[a-z\\d\"]+)-{number},dc=x$"),
                    role: "arn:aws:iam::111122223333:role/{role}".to_owned(),
                    conditions,
                    allow_protected,
                    ticket,
                    origin: Origin::Store,
                },
            )
            .collect()
    })
}

fn tables() -> impl Strategy<Value = PolicyTables> {
    (accounts(), roles(), mappings(), rules()).prop_map(|(accounts, roles, mut mappings, rules)| {
        for mapping in &mut mappings {
            let is_handed_over = |role: &&Role| {
                role.arn == mapping.role && role.own.console == Some(ConsoleWay::IdpInitiated)
            };
            if roles.iter().any(|role| is_handed_over(&role)) {
                mapping.conditions = Conditions::default();
            }
        }
        PolicyTables {
            version: 1,
            accounts,
            roles,
            mappings,
            rules,
            ..PolicyTables::default()
        }
    })
}

/// The rows without what a file cannot know: ids and origins.
fn bare(mut file: MappingFile) -> MappingFile {
    for mapping in &mut file.mappings {
        mapping.id = MappingId(String::new());
        mapping.origin = Origin::Store;
    }
    for rule in &mut file.rules {
        rule.id = MappingId(String::new());
        rule.origin = Origin::Store;
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_export_reads_back_as_it_was(tables in tables()) {
        let text = to_toml(&tables);
        let read = parse(&text).map_err(|findings| {
            TestCaseError::fail(format!("{findings}\n{text}"))
        })?;
        let written = MappingFile {
            accounts: tables.accounts,
            roles: tables.roles,
            mappings: tables.mappings,
            rules: tables.rules,
        };
        prop_assert_eq!(bare(read), written);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[\\[(account|role|mapping)\\]\\]\n)?\\PC{0,60}") {
        let _ = parse(&text);
    }
}
