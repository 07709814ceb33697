use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::access::{AuthenticationMethod, GroupKey};

const OWN_PREFIX: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::uploads/home/{username}/*"}]}"#;

fn person(username: &str) -> Identity {
    Identity {
        connector: "corp".parse().unwrap(),
        subject: format!("subject of {username}"),
        username: username.to_owned(),
        display_name: None,
        email: None,
        groups: Vec::new(),
        asserted_roles: Vec::new(),
        entry_dn: None,
        groups_read_at: time::macros::datetime!(2026-11-24 09:00 UTC),
        authenticated_at: time::macros::datetime!(2026-11-24 09:00 UTC),
        method: AuthenticationMethod::Password,
        authentication_context: None,
    }
}

fn group(name: &str) -> Group {
    Group {
        key: GroupKey::from_stored(format!("corp:{}", name.to_lowercase())),
        name: name.to_owned(),
        stable_id: None,
        through: None,
    }
}

fn role() -> TargetArn {
    "arn:aws:iam::111122223333:role/team/Upload"
        .parse()
        .unwrap()
}

fn filled(template: &str, identity: &Identity) -> Result<String, NotEntitled> {
    let target = role();
    let values = Values {
        identity,
        target: &target,
    };
    values.policy(template, &[])
}

fn tag(template: &str, identity: &Identity) -> Result<String, NotEntitled> {
    let target = role();
    let values = Values {
        identity,
        target: &target,
    };
    let tags = BTreeMap::from([("t".to_owned(), template.to_owned())]);
    values.tags(&tags).map(|filled| filled["t"].clone())
}

/// A policy with this resource.
fn on(resource: &Value) -> String {
    json!({"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": resource}]}).to_string()
}

/// A policy with this condition.
fn when(condition: &Value) -> String {
    let statement = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*",
        "Condition": condition});
    json!({"Statement": statement}).to_string()
}

/// The resources that a policy names.
fn resources(policy: &str) -> Vec<String> {
    let policy: Value = serde_json::from_str(policy).unwrap();
    match &policy["Statement"][0]["Resource"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => several
            .iter()
            .map(|one| one.as_str().unwrap().to_owned())
            .collect(),
        other => panic!("{other}"),
    }
}

/// Whether a pattern of IAM's takes a text: `*` any characters, `?` one. Variables are none here.
fn takes(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=text.len()).any(|skipped| takes(rest, &text[skipped..])),
        (Some(('?', rest)), Some((_, text))) => takes(rest, text),
        (Some((one, rest)), Some((other, text))) => one == other && takes(rest, text),
        _ => false,
    }
}

fn may(policy: &str, object: &str) -> bool {
    let object: Vec<char> = object.chars().collect();
    resources(policy).iter().any(|pattern| {
        let pattern: Vec<char> = pattern.chars().collect();
        takes(&pattern, &object)
    })
}

fn decoded(form: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = form.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'=' {
            let digits = std::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_person_uploads_to_their_own_prefix_alone() {
    let policy = filled(OWN_PREFIX, &person("ada@example.com")).unwrap();
    assert!(may(
        &policy,
        "arn:aws:s3:::uploads/home/ada@example.com/a/b.txt"
    ));
    assert!(!may(&policy, "arn:aws:s3:::uploads/home/bob/b.txt"));
    assert!(!may(
        &policy,
        "arn:aws:s3:::uploads/home/ada@example.com.evil/b.txt"
    ));
}

#[test]
fn values_have_one_legal_form() {
    for (value, form) in [
        ("ada.lovelace+x@example.com", "ada.lovelace+x@example.com"),
        ("a/b", "a=2Fb"),
        ("*", "=2A"),
        ("${aws:username}", "=24=7Baws=3Ausername=7D"),
        ("a=b", "a=3Db"),
        ("..", "=2E=2E"),
        ("...a", "...a"),
        ("zoë", "zo=C3=AB"),
        ("\0\"\\", "=00=22=5C"),
    ] {
        assert_eq!(encoded(value), form);
    }
}

#[test]
fn groups_by_their_short_names_are_several_texts() {
    let mut ada = person("ada");
    ada.groups = [
        "CN=Team/A,OU=groups,DC=x",
        "aws-dev",
        "cn=b",
        "CN=Team/A,OU=others,DC=x",
    ]
    .map(group)
    .to_vec();
    let policy = filled(
        &on(&json!(["arn:aws:s3:::b/x", "arn:aws:s3:::b/{groups}/*"])),
        &ada,
    );
    assert_eq!(
        resources(&policy.unwrap()),
        [
            "arn:aws:s3:::b/x",
            "arn:aws:s3:::b/Team=2FA/*",
            "arn:aws:s3:::b/aws-dev/*",
            "arn:aws:s3:::b/cn=3Db/*",
        ]
    );
    let policy = when(&json!({"StringEquals": {"s3:ExistingObjectTag/team": ["{groups}", "all"]}}));
    let policy: Value = serde_json::from_str(&filled(&policy, &ada).unwrap()).unwrap();
    let tags = &policy["Statement"]["Condition"]["StringEquals"]["s3:ExistingObjectTag/team"];
    assert_eq!(*tags, json!(["Team=2FA", "aws-dev", "cn=3Db", "all"]));
    assert_eq!(
        tag(":{groups}:", &ada).unwrap(),
        ":Team=2FA:aws-dev:cn=3Db:"
    );
}

#[test]
fn a_value_that_is_missing_gives_nothing_and_is_named() {
    let refused = filled(
        &on(&json!("arn:aws:s3:::b/{email}/{subject}/*")),
        &person("ada"),
    );
    assert_eq!(
        refused.unwrap_err().to_string(),
        "session_policy needs {email}, and the person has none"
    );
    let refused = filled(&on(&json!("arn:aws:s3:::b/{groups}/*")), &person("ada")).unwrap_err();
    assert_eq!(refused.code(), "template_unfilled");
    assert_eq!(
        refused.to_string(),
        "session_policy needs {groups}, and the person is in no group"
    );
    let refused = tag("{display_name}", &person("ada")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "session_tags needs {display_name}, and the person has none"
    );
}

#[test]
fn what_is_too_long_for_aws_is_refused_before_it_is_asked() {
    let long = person(&"ö".repeat(400));
    assert_eq!(
        filled(OWN_PREFIX, &long).unwrap_err().to_string(),
        "session_policy needs {username}, and has 2523 characters with it, policy_arns included, \
         of which AWS takes 2048"
    );
    assert_eq!(
        tag("u:{username}", &long).unwrap_err().to_string(),
        "session_tags needs {username}, with which the tag t has 2402 characters, and AWS takes 256"
    );
    let target = role();
    let values = Values {
        identity: &person("ada"),
        target: &target,
    };
    let arns = vec!["a".repeat(200); 10];
    assert!(values.policy(OWN_PREFIX, &arns).is_err());
    assert!(values.policy(OWN_PREFIX, &arns[..9]).is_ok());
}

#[test]
fn a_policy_without_placeholders_stays_as_it_is_written() {
    let written = "{ \"Statement\": [],\n \"Id\": \"\\u20ac ${aws:username}\" }";
    assert_eq!(filled(written, &person("ada")).unwrap(), written);
}

#[test]
fn a_placeholder_that_is_written_with_an_escape_is_one_too() {
    let written = OWN_PREFIX.replace("{username}", "\\u007busername}");
    assert_eq!(check_session_policy(&written), Ok(()));
    let policy = filled(&written, &person("ada")).unwrap();
    assert!(may(&policy, "arn:aws:s3:::uploads/home/ada/x"));
}

#[test]
fn texts_that_are_safe_to_fill_are_taken() {
    for resource in [
        "arn:aws:s3:::b/{connector}/{subject}/*",
        "arn:aws:s3:::b/home-{username}",
        "arn:aws:s3:::{username}/*",
        "arn:aws:s3:::b/{display_name}/{username}/a/*/b",
        "arn:aws:s3:::b/${aws:PrincipalTag/team}/{username}/*",
        "arn:aws:logs:eu-west-1:{account}:log-group:/{role}/{username}:*",
        "arn:aws:s3:::b/{groups}/{username}/*",
        "arn:aws:s3:::b/{}/{ not one }/${*}",
    ] {
        assert_eq!(
            check_session_policy(&on(&json!(resource))),
            Ok(()),
            "{resource}"
        );
    }
    for value in [
        "{username}",
        "{username}/*",
        "{email}",
        "{connector}:{subject}",
    ] {
        let policy = when(&json!({"StringLike": {"aws:ResourceTag/owner": [value]}}));
        assert_eq!(check_session_policy(&policy), Ok(()), "{value}");
    }
}

#[test]
fn texts_that_would_reach_what_is_anothers_are_refused_in_words() {
    let refused = |resource: &str| check_session_policy(&on(&json!(resource))).unwrap_err();
    insta::assert_snapshot!(
        [
            "arn:aws:s3:::b/{username}*",
            "arn:aws:s3:::b/{username}.txt",
            "arn:aws:s3:::b/{connector}-{username}/*",
            "arn:aws:s3:::b/{connector}{username}/*",
            "arn:aws:s3:::b/{username}{role}/*",
            "arn:aws:s3:::b/*{username}/*",
            "arn:aws:s3:::b*/x/{username}/*",
            "arn:aws:s3:::b/?/{username}/*",
            "arn:aws:s3:::b/${aws:userid}{username}/*",
            "{username}/*",
            "arn:aws:s3:::b/{groups}/{groups}/*",
            "arn:aws:s3:::b/{email}/*",
            "arn:aws:s3:::b/{display_name}",
            "arn:aws:s3:::b/{user}/*",
            "arn:aws:s3:::b/${username}/*",
            "arn:aws:s3:::b/${aws:{username}}/*",
        ]
        .map(refused)
        .join("\n"),
        @r#"
        "arn:aws:s3:::b/{username}*": {username} has to be followed by / or by nothing, as in home/{username}/*, so that it does not reach what other names begin with
        "arn:aws:s3:::b/{username}.txt": {username} has to be followed by / or by nothing, as in home/{username}/*, so that it does not reach what other names begin with
        "arn:aws:s3:::b/{connector}-{username}/*": {connector} has to be followed by / or by nothing, as in home/{connector}/*, so that it does not reach what other names begin with
        "arn:aws:s3:::b/{connector}{username}/*": {username} shares a part of the path with another value, so that two people could share it; put / between them
        "arn:aws:s3:::b/{username}{role}/*": {username} has to be followed by / or by nothing, as in home/{username}/*, so that it does not reach what other names begin with
        "arn:aws:s3:::b/*{username}/*": {username} cannot stand behind * or ?, which reach into what is another's
        "arn:aws:s3:::b*/x/{username}/*": {username} cannot stand behind * or ?, which reach into what is another's
        "arn:aws:s3:::b/?/{username}/*": {username} cannot stand behind * or ?, which reach into what is another's
        "arn:aws:s3:::b/${aws:userid}{username}/*": {username} shares a part of the path with another value, so that two people could share it; put / between them
        "{username}/*": {username} cannot stand at the beginning; write the ARN before it
        "arn:aws:s3:::b/{groups}/{groups}/*": {groups} can stand once in a text
        "arn:aws:s3:::b/{email}/*": two people may have the same {email}; write {subject} or {username}, or put one of them behind it as {email}/{subject}
        "arn:aws:s3:::b/{display_name}": two people may have the same {display_name}; write {subject} or {username}, or put one of them behind it as {display_name}/{subject}
        "arn:aws:s3:::b/{user}/*": there is no {user}; there are {username}, {email}, {subject}, {connector}, {display_name}, {groups}, {account}, {role}
        "arn:aws:s3:::b/${username}/*": ${username} would be a variable of AWS's; write {username}
        "arn:aws:s3:::b/${aws:{username}}/*": a placeholder cannot stand within ${…}, whose inside is AWS's
        "#
    );
}

#[test]
fn placeholders_stand_where_they_mean_something() {
    let policies = [
        json!({"Statement": {"Action": "s3:{role}", "Resource": "*"}}),
        json!({"Statement": {"Sid": "{username}", "Resource": "*"}}),
        json!({"Id": "{username}", "Statement": []}),
        json!({"Resource": "arn:aws:s3:::b/{username}/*"}),
        json!({"Statement": {"Condition": {"StringEquals": {"{username}": "x"}}}}),
        json!({"Statement": {"Condition": {"StringEqualsIgnoreCase": {"aws:x": "{username}"}}}}),
        json!({"Statement": {"Condition": {"StringLike": {"s3:prefix": "{email}/*"}}}}),
        json!({"Statement": {"resource": "arn:aws:s3:::b/{username}/*"}}),
    ];
    let refused = policies.map(|policy| check_session_policy(&policy.to_string()).unwrap_err());
    insta::assert_snapshot!(refused.join("\n"), @r#"
    "s3:{role}": {role} can stand in Resource, NotResource and the values of Condition alone
    "{username}": {username} can stand in Resource, NotResource and the values of Condition alone
    "{username}": {username} can stand in Resource, NotResource and the values of Condition alone
    "arn:aws:s3:::b/{username}/*": {username} can stand in Resource, NotResource and the values of Condition alone
    "{username}": {username} can stand in Resource, NotResource and the values of Condition alone
    "{username}": {username} cannot stand where AWS ignores case, for two people may differ in case alone; use StringEquals or StringLike
    "{email}/*": two people may have the same {email}; write {subject} or {username}, or put one of them behind it as {email}/{subject}
    "arn:aws:s3:::b/{username}/*": {username} can stand in Resource, NotResource and the values of Condition alone
    "#);
}

#[test]
fn with_several_connectors_a_path_names_the_connector() {
    let refused = |policy: &str| check_for_many_connectors(policy);
    assert_eq!(
        refused(OWN_PREFIX).unwrap_err(),
        "\"arn:aws:s3:::uploads/home/{username}/*\": {username} may be the same for two people of \
         different connectors; put {connector}/ before it"
    );
    assert!(refused(&on(&json!("arn:aws:s3:::b/{groups}/*"))).is_err());
    let listing = when(&json!({"StringLike": {"s3:prefix": ["{subject}/*"]}}));
    assert!(refused(&listing).is_err());
    for fine in [
        on(&json!("arn:aws:s3:::b/{connector}/{subject}/*")),
        on(&json!("arn:aws:s3:::b/{account}/{role}/*")),
        when(&json!({"StringEquals": {"aws:ResourceTag/owner": "{email}"}})),
    ] {
        assert_eq!(refused(&fine), Ok(()), "{fine}");
    }
}

#[test]
fn tags_keep_values_apart_and_legal() {
    assert_eq!(check_session_tag("team", "{connector}/{username}"), Ok(()));
    assert_eq!(check_session_tag("team", "a:{groups}:b"), Ok(()));
    for value in [
        "{connector}-{username}",
        "{user}",
        "a{b",
        "${username}",
        "a;{role}",
    ] {
        assert!(check_session_tag("team", value).is_err(), "{value}");
    }
    let full = person("ada/b");
    assert_eq!(
        tag("{connector}/{username}", &full).unwrap(),
        "corp/ada=2Fb"
    );
    assert_eq!(
        tag("{account} {role}", &full).unwrap(),
        "111122223333 Upload"
    );
}

/// Names as hostile as a directory lets them be.
fn name() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "a",
        "b",
        "/",
        "*",
        "?",
        "${",
        "}",
        "{",
        "=",
        "=2F",
        ".",
        "\"",
        "\\",
        "\n",
        "\0",
        "𝒳",
        "\u{202e}",
        "\u{200f}",
        "é",
        "A",
        " ",
        ":",
        "-",
        "{username}",
        "'",
        "<",
        "&",
        ",",
    ]);
    prop_oneof![
        prop::collection::vec(odd, 1..6).prop_map(|parts| parts.concat()),
        any::<String>().prop_filter("nobody is called nothing", |name| !name.is_empty()),
    ]
}

fn template() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "arn:aws:s3:::uploads/home/{username}/*",
        "arn:aws:s3:::uploads/{username}",
        "arn:aws:s3:::uploads/home-{username}/*",
        "arn:aws:s3:::uploads/{role}/{connector}/{username}/*",
        "arn:aws:s3:::uploads/{username}/{subject}/*/x/*",
        "arn:aws:logs:eu-west-1:{account}:log-group:{username}:*",
    ])
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/",
        "/",
        "x",
        "*",
        "?",
        ":",
        "{username}",
        "{connector}",
        "{role}",
        "${aws:a}",
        "-",
        "/*",
    ])
}

proptest! {
    #[test]
    fn the_form_of_a_value_is_legal_its_own_and_can_be_read_back(a in name(), b in name()) {
        let form = encoded(&a);
        prop_assert_eq!(decoded(&form), a.clone());
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@+-=".contains(&byte);
        prop_assert!(form.bytes().all(is_legal));
        prop_assert!(form.bytes().any(|byte| byte != b'.'));
        prop_assert_eq!(form == encoded(&b), a == b);
    }

    #[test]
    fn a_policy_stays_well_formed_whatever_people_are_called(name in name()) {
        let policy = filled(OWN_PREFIX, &person(&name));
        if let Ok(policy) = policy {
            let read: Value = serde_json::from_str(&policy).unwrap();
            let mut written: Value = serde_json::from_str(OWN_PREFIX).unwrap();
            let resource = format!("arn:aws:s3:::uploads/home/{}/*", encoded(&name));
            written["Statement"][0]["Resource"] = resource.into();
            prop_assert_eq!(read, written);
        } else {
            prop_assert!(encoded(&name).len() > 1_800);
        }
    }

    /// Neither reaches the other's own objects, nor what lies below them by either spelling.
    #[test]
    fn two_people_share_nothing(
        template in template(),
        a in name(),
        b in name(),
        below in "[a-b/*?.]{0,4}",
    ) {
        prop_assume!(a != b);
        let policy = on(&json!(template));
        prop_assert_eq!(check_session_policy(&policy), Ok(()));
        let of = |name: &str| filled(&policy, &person(name));
        let (Ok(one), Ok(other)) = (of(&a), of(&b)) else { return Ok(()) };
        let object = resources(&other)[0].replace("/*", &format!("/{below}"));
        prop_assert!(may(&other, &object), "{object}");
        prop_assert!(!may(&one, &object), "{one} {object}");
        // A wildcard of the name's own would be one in the pattern.
        let stars = |policy: &str| resources(policy)[0].matches(['*', '?', '$']).count();
        prop_assert_eq!(stars(&one), template.matches(['*', '?', '$']).count());
    }

    #[test]
    fn neither_below_nor_beside_a_name_is_it(name in name(), more in name()) {
        let policy = on(&json!("arn:aws:s3:::uploads/{username}/*"));
        let of = |name: &str| filled(&policy, &person(name));
        let longer = [format!("{name}/{more}"), format!("{name}{more}"), format!("{more}{name}")];
        for longer in longer {
            let (Ok(one), Ok(other)) = (of(&name), of(&longer)) else { continue };
            let object = resources(&other)[0].replace("/*", "/x");
            prop_assert!(!may(&one, &object), "{name:?} {longer:?}");
        }
    }

    #[test]
    fn no_text_makes_the_check_panic(text in "\\PC{0,30}", name in name()) {
        let _ = check_session_policy(&text);
        let policy = on(&json!(text));
        if check_session_policy(&policy).is_ok() {
            // Whatever passes can be filled, or says what is missing.
            if let Err(refused) = filled(&policy, &person(&name)) {
                prop_assert!(!refused.to_string().contains("what it is not"));
            }
        }
        let _ = check_session_tag(&text, &name);
    }

    /// What passes the check keeps people apart, whatever its shape.
    #[test]
    fn what_is_taken_keeps_people_apart(
        before in prop::collection::vec(piece(), 0..3),
        after in prop::collection::vec(piece(), 0..3),
        a in name(),
        b in name(),
    ) {
        prop_assume!(a != b);
        let (before, after) = (before.concat(), after.concat());
        let policy = on(&json!(format!("arn:aws:s3:::b/{before}{{username}}{after}")));
        if check_session_policy(&policy).is_err() {
            return Ok(());
        }
        let of = |name: &str| filled(&policy, &person(name));
        let (Ok(one), Ok(other)) = (of(&a), of(&b)) else { return Ok(()) };
        for stars in ["", "x", "/x/", &encoded(&a), &format!("{}/", encoded(&a))] {
            let object = resources(&other)[0].replace(['*', '?'], stars);
            prop_assert!(!(may(&one, &object) && may(&other, &object)), "{one} {object}");
        }
    }
}

#[test]
fn of_two_conditions_of_one_name_neither_is_dropped_in_silence() {
    let statement = |condition: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/{{username}}/*","Condition":{{{condition}}}}}]}}"#
        )
    };
    let (vpc, region) = (
        r#""StringEquals":{"aws:SourceVpc":"vpc-1"}"#,
        r#""StringEquals":{"aws:RequestedRegion":"eu-west-1"}"#,
    );
    let both = statement(&format!("{vpc},{region}"));
    let told = check_session_policy(&both).unwrap_err();
    assert!(told.contains("\"StringEquals\" is there twice"), "{told}");
    assert!(filled(&both, &person("ada")).is_err());
    let one = filled(&statement(vpc), &person("ada")).unwrap();
    assert!(one.contains("vpc-1"), "{one}");
}

#[test]
fn public_values_are_told_in_the_form_that_policies_have_and_never_with_a_gap() {
    let mut ada = person("a/b");
    let templates = BTreeMap::from(
        [
            ("bucket", "uploads"),
            ("prefix", "home/{connector}/{username}/"),
            ("teams", "{groups}"),
            ("mail", "to/{email}"),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned())),
    );
    let target = role();
    let told = |identity: &Identity| {
        let values = Values {
            identity,
            target: &target,
        };
        let told = values.public_values(&templates).into_iter();
        told.map(|(name, text)| format!("{name}={text}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&ada), ["bucket=uploads", "prefix=home/corp/a=2Fb/"]);
    ada.groups = [group("cn=x,dc=y"), group("cn=w,dc=y")].to_vec();
    ada.email = Some("a@b.example".to_owned());
    assert_eq!(
        told(&ada)[1..],
        [
            "mail=to/a@b.example",
            "prefix=home/corp/a=2Fb/",
            "teams=w:x"
        ]
    );
}

#[test]
fn a_public_value_that_cannot_be_used_is_told_with_what_would_be_right() {
    assert_eq!(check_public_value("k", ""), Ok(()));
    assert_eq!(
        check_public_value(&"k".repeat(40), &"é".repeat(500)),
        Ok(())
    );
    for (name, value, told) in [
        ("", "x", "cannot name a public value"),
        ("Bucket", "x", "cannot name a public value"),
        ("0k", "x", "cannot name a public value"),
        ("a-b", "x", "cannot name a public value"),
        (&*"k".repeat(41), "x", "40 characters at most"),
        ("k", &*"x".repeat(501), "more than 500 characters"),
        ("k", "a\nb", "write one line"),
        ("k", "{user}", "there is no {user}"),
        ("k", "{username}{email}", "need one of / :"),
    ] {
        let refused = check_public_value(name, value).unwrap_err();
        assert!(refused.contains(told), "{name:?} {value:?}: {refused}");
    }
}
