use proptest::prelude::*;

use super::pattern::Pattern;
use super::{Claimant, Context, Decision, Document, Malformed, Question, Subject};

fn identity(text: &str) -> Document {
    Document::identity(text).unwrap_or_else(|Malformed(message)| panic!("{message}: {text}"))
}

/// A document with one statement that allows or denies, with more elements.
fn statement(effect: &str, elements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}",{elements}}}]}}"#)
}

fn context(pairs: &[(&str, &str)]) -> Context {
    let mut context = Context::default();
    for (key, value) in pairs {
        context.set(key, value);
    }
    context
}

fn decide(document: &str, action: &str, resource: &str, context: &Context) -> Decision {
    identity(document).decide(&Question {
        action,
        subject: Subject::Resource(resource),
        context,
    })
}

/// Whether a condition lets an allow apply.
fn holds(condition: &str, context: &Context) -> bool {
    let elements = format!(r#""Action":"*","Resource":"*","Condition":{condition}"#);
    decide(&statement("Allow", &elements), "s3:GetObject", "*", context) == Decision::Allowed
}

#[test]
fn actions_and_resources_are_matched_as_iam_does() {
    let object = "arn:aws:s3:::bucket/a/b.txt";
    for (elements, action, resource, expected) in [
        (
            r#""Action":"*","Resource":"*""#,
            "s3:GetObject",
            object,
            true,
        ),
        (
            r#""Action":"S3:getobject","Resource":"*""#,
            "s3:GetObject",
            object,
            true,
        ),
        (
            r#""Action":["ec2:*","s3:Get*"],"Resource":"*""#,
            "s3:GetObject",
            object,
            true,
        ),
        (
            r#""Action":"s3:Get?bject","Resource":"*""#,
            "s3:GetObject",
            object,
            true,
        ),
        (
            r#""Action":"s3:Put*","Resource":"*""#,
            "s3:GetObject",
            object,
            false,
        ),
        (
            r#""NotAction":"iam:*","Resource":"*""#,
            "s3:GetObject",
            object,
            true,
        ),
        (
            r#""NotAction":"s3:*","Resource":"*""#,
            "s3:GetObject",
            object,
            false,
        ),
        (
            r#""Action":"*","Resource":"arn:aws:s3:::bucket/*""#,
            "s3:GetObject",
            object,
            true,
        ),
        (
            r#""Action":"*","Resource":"arn:aws:s3:::bucket/a/?.txt""#,
            "s3:GetObject",
            object,
            true,
        ),
        (
            r#""Action":"*","Resource":"arn:aws:s3:::bucket/A/*""#,
            "s3:GetObject",
            object,
            false,
        ),
        (
            r#""Action":"*","Resource":"arn:aws:s3:::bucket""#,
            "s3:GetObject",
            object,
            false,
        ),
        (
            r#""Action":"*","NotResource":"arn:aws:s3:::bucket/*""#,
            "s3:GetObject",
            object,
            false,
        ),
        (
            r#""Action":"*","NotResource":"arn:aws:s3:::other/*""#,
            "s3:GetObject",
            object,
            true,
        ),
    ] {
        let document = statement("Allow", elements);
        let decision = decide(&document, action, resource, &Context::default());
        assert_eq!(decision == Decision::Allowed, expected, "{elements}");
    }
}

#[test]
fn a_deny_wins_and_silence_is_no() {
    let document = r#"{"Version":"2012-10-17","Statement":[
        {"Sid":"1","Effect":"Deny","Action":"s3:DeleteObject","Resource":"*"},
        {"Sid":"2","Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    let at = |action| decide(document, action, "*", &Context::default());
    assert_eq!(at("s3:GetObject"), Decision::Allowed);
    assert_eq!(at("s3:DeleteObject"), Decision::Denied);
    assert_eq!(at("ec2:RunInstances"), Decision::Silent);
}

#[test]
fn variables_stand_for_what_the_request_says_and_never_for_wildcards() {
    let with = |pairs: &[(&str, &str)], resource: &str, pattern: &str| {
        let elements = format!(r#""Action":"*","Resource":"arn:aws:s3:::b/{pattern}""#);
        let resource = format!("arn:aws:s3:::b/{resource}");
        let document = statement("Allow", &elements);
        decide(&document, "s3:GetObject", &resource, &context(pairs)) == Decision::Allowed
    };
    let ada: &[(&str, &str)] = &[("aws:PrincipalTag/Team", "pay"), ("aws:username", "ada")];
    assert!(with(ada, "ada/x", "${aws:username}/*"));
    assert!(with(ada, "pay-x", "${aws:principaltag/team}-?"));
    assert!(!with(ada, "eve/x", "${aws:username}/*"));
    assert!(!with(&[], "/x", "${aws:username}/*"));
    assert!(with(&[], "all/x", "${aws:username, 'all'}/*"));
    assert!(!with(
        &[("aws:username", "*")],
        "eve/x",
        "${aws:username}/*"
    ));
    assert!(!with(
        &[("aws:username", "${*}")],
        "*/x",
        "${aws:username}/*"
    ));
    assert!(with(&[], "*?$", "${*}${?}${$}"));
    assert!(!with(&[], "abc", "${*}"));
    let older = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username}"}}"#;
    let older = |resource| decide(older, "s3:ListBucket", resource, &context(ada));
    assert_eq!(older("arn:aws:s3:::ada"), Decision::Silent);
    assert_eq!(older("arn:aws:s3:::${aws:username}"), Decision::Allowed);
}

#[test]
fn a_variable_without_value_widens_nothing() {
    let excluded = r#""Action":"*","NotResource":"arn:aws:s3:::${aws:username}/*""#;
    let at = |effect| {
        let document = statement(effect, excluded);
        decide(
            &document,
            "s3:GetObject",
            "arn:aws:s3:::x/y",
            &Context::default(),
        )
    };
    assert_eq!(at("Allow"), Decision::Silent);
    assert_eq!(at("Deny"), Decision::Denied);
    let condition = r#"{"StringNotEquals":{"aws:PrincipalTag/a":"${aws:username}"}}"#;
    assert!(!holds(condition, &context(&[("aws:PrincipalTag/a", "x")])));
}

fn known() -> Context {
    context(&[
        ("aws:userid", "AROAX:ada"),
        ("aws:TokenIssueTime", "2026-11-24T12:00:00Z"),
        ("aws:MultiFactorAuthAge", "300"),
        ("aws:SecureTransport", "true"),
        (
            "aws:PrincipalArn",
            "arn:aws:iam::111122223333:role/team/Reader",
        ),
        ("aws:SourceIp", "10.1.2.3"),
    ])
}

#[test]
fn every_operator_compares_in_its_own_way() {
    let known = known();
    for (condition, expected) in [
        (r#"{"StringEquals":{"AWS:UserId":"AROAX:ada"}}"#, true),
        (r#"{"StringEquals":{"aws:userid":["x","AROAX:ada"]}}"#, true),
        (r#"{"StringEquals":{"aws:userid":"AROAX:*"}}"#, false),
        (r#"{"StringEquals":{"aws:userid":"aroax:ADA"}}"#, false),
        (
            r#"{"StringNotEquals":{"aws:userid":["x","AROAX:ada"]}}"#,
            false,
        ),
        (r#"{"StringNotEquals":{"aws:userid":["x","y"]}}"#, true),
        (
            r#"{"StringEqualsIgnoreCase":{"aws:userid":"aroax:ADA"}}"#,
            true,
        ),
        (
            r#"{"StringNotEqualsIgnoreCase":{"aws:userid":"aroax:ADA"}}"#,
            false,
        ),
        (r#"{"StringLike":{"aws:userid":"*:ada"}}"#, true),
        (r#"{"StringLike":{"aws:userid":"*:ad"}}"#, false),
        (r#"{"StringNotLike":{"aws:userid":"*:ada"}}"#, false),
        (
            r#"{"DateLessThan":{"aws:TokenIssueTime":"2026-11-24T12:00:01Z"}}"#,
            true,
        ),
        (
            r#"{"DateLessThan":{"aws:TokenIssueTime":"2026-11-24T12:00:00Z"}}"#,
            false,
        ),
        (
            r#"{"DateLessThanEquals":{"aws:TokenIssueTime":"2026-11-24T12:00Z"}}"#,
            true,
        ),
        (
            r#"{"DateGreaterThan":{"aws:TokenIssueTime":"2026-11-24"}}"#,
            true,
        ),
        (
            r#"{"DateGreaterThanEquals":{"aws:TokenIssueTime":1795521600}}"#,
            true,
        ),
        (
            r#"{"DateEquals":{"aws:TokenIssueTime":"2026-11-24T13:00:00+01:00"}}"#,
            true,
        ),
        (
            r#"{"DateNotEquals":{"aws:TokenIssueTime":"2026-11-24T12:00:00Z"}}"#,
            false,
        ),
        (
            r#"{"NumericLessThan":{"aws:MultiFactorAuthAge":"301"}}"#,
            true,
        ),
        (
            r#"{"NumericGreaterThanEquals":{"aws:MultiFactorAuthAge":301}}"#,
            false,
        ),
        (
            r#"{"NumericEquals":{"aws:MultiFactorAuthAge":"300.0"}}"#,
            true,
        ),
        (
            r#"{"NumericNotEquals":{"aws:MultiFactorAuthAge":"300"}}"#,
            false,
        ),
        (r#"{"Bool":{"aws:SecureTransport":"True"}}"#, true),
        (r#"{"Bool":{"aws:SecureTransport":false}}"#, false),
    ] {
        assert_eq!(holds(condition, &known), expected, "{condition}");
    }
}

#[test]
fn arns_addresses_and_absence_have_operators_of_their_own() {
    let known = known();
    for (condition, expected) in [
        (
            r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/team/*"}}"#,
            true,
        ),
        (
            r#"{"ArnEquals":{"aws:PrincipalArn":"arn:*:iam::111122223333:role/*/Reader"}}"#,
            true,
        ),
        (
            r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:*:role/team/Reader"}}"#,
            false,
        ),
        (
            r#"{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/team/*"}}"#,
            false,
        ),
        (r#"{"IpAddress":{"aws:SourceIp":"10.1.0.0/16"}}"#, true),
        (
            r#"{"IpAddress":{"aws:SourceIp":["10.2.0.0/16","::/0"]}}"#,
            false,
        ),
        (r#"{"NotIpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#, false),
        (r#"{"Null":{"aws:SourceIdentity":"true"}}"#, true),
        (r#"{"Null":{"aws:userid":true}}"#, false),
        (r#"{"Null":{"aws:userid":"false"}}"#, true),
        (
            r#"{"StringEquals":{"aws:userid":"AROAX:ada","aws:SourceIp":"x"}}"#,
            false,
        ),
        (
            r#"{"StringLike":{"aws:userid":"*"},"Bool":{"aws:SecureTransport":"false"}}"#,
            false,
        ),
    ] {
        assert_eq!(holds(condition, &known), expected, "{condition}");
    }
}

#[test]
fn missing_keys_are_told_from_others() {
    let none = Context::default();
    for (context, condition, expected) in [
        (
            &none,
            r#"{"StringEquals":{"aws:SourceIdentity":"ada"}}"#,
            false,
        ),
        (
            &none,
            r#"{"StringNotEquals":{"aws:SourceIdentity":"ada"}}"#,
            true,
        ),
        (
            &none,
            r#"{"StringEqualsIfExists":{"aws:SourceIdentity":"ada"}}"#,
            true,
        ),
        (
            &none,
            r#"{"DateLessThan":{"aws:TokenIssueTime":"2030-01-01"}}"#,
            false,
        ),
        (
            &none,
            r#"{"Bool":{"aws:MultiFactorAuthPresent":"false"}}"#,
            false,
        ),
        (
            &none,
            r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}"#,
            true,
        ),
        (
            &none,
            r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"team"}}"#,
            false,
        ),
        (
            &none,
            r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":"team"}}"#,
            false,
        ),
        (
            &none,
            r#"{"ForAllValues:StringEquals":{"aws:TagKeys":"team"}}"#,
            true,
        ),
    ] {
        assert_eq!(holds(condition, context), expected, "{condition}");
    }
}

#[test]
fn keys_with_many_values_are_asked_for_any_or_all() {
    let mut many = Context::default();
    many.set_all("aws:TagKeys", ["team", "cost"]);
    for (context, condition, expected) in [
        (
            &many,
            r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"team"}}"#,
            true,
        ),
        (
            &many,
            r#"{"ForAllValues:StringEquals":{"aws:TagKeys":"team"}}"#,
            false,
        ),
        (
            &many,
            r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["cost","team","x"]}}"#,
            true,
        ),
        (
            &many,
            r#"{"ForAllValues:StringLike":{"aws:TagKeys":["c*","te?m"]}}"#,
            true,
        ),
        (
            &many,
            r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":"team"}}"#,
            true,
        ),
        (
            &many,
            r#"{"ForAllValues:StringNotEquals":{"aws:TagKeys":"x"}}"#,
            true,
        ),
    ] {
        assert_eq!(holds(condition, context), expected, "{condition}");
    }
}

#[test]
fn what_iam_would_not_take_is_malformed() {
    let all = r#""Action":"*","Resource":"*""#;
    let allow = |elements: &str| statement("Allow", elements);
    for (document, words) in [
        ("{", "invalid Json"),
        ("[]", "Syntax errors"),
        (r#"{"Version":"2012-10-17"}"#, "Syntax errors"),
        (
            r#"{"Version":"2012-10-17","Statement":[]}"#,
            "at least one statement",
        ),
        (
            r#"{"Version":"2012-10-18","Statement":[]}"#,
            "valid version",
        ),
        (
            r#"{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}"#,
            "invalid Json",
        ),
        (&statement("allow", all), "Syntax errors"),
        (&allow(&format!(r#"{all},"Effect":"Deny""#)), "invalid Json"),
        (&allow(&format!(r#"{all},"Subject":"x""#)), "Syntax errors"),
        (&allow(&format!(r#"{all},"Sid":"not so""#)), "alpha-numeric"),
        (
            &allow(&format!(r#"{all},"Principal":"*""#)),
            "not specify a principal",
        ),
        (
            &allow(r#""Action":[],"Resource":"*""#),
            "must contain actions",
        ),
        (&allow(r#""Resource":"*""#), "must contain actions"),
        (&allow(r#""Action":"*""#), "must contain resources"),
        (
            &allow(r#""Action":"*","NotAction":"*","Resource":"*""#),
            "Syntax errors",
        ),
        (
            &allow(r#""Action":"GetObject","Resource":"*""#),
            "prefaced by a vendor",
        ),
        (
            &allow(r#""Action":"s*:Get","Resource":"*""#),
            "Vendor s* is not valid",
        ),
        (
            &allow(r#""Action":"s3:Get Object","Resource":"*""#),
            "is not valid",
        ),
        (
            &allow(r#""Action":"*","Resource":"bucket/*""#),
            "must be in ARN format",
        ),
        (
            &allow(r#""Action":"*","Resource":"arn:aws:s3*""#),
            "fully qualified",
        ),
        (
            &allow(r#""Action":"*","Resource":"arn:amazon:s3:::b""#),
            "Partition",
        ),
        (
            &allow(r#""Action":"*","Resource":"arn:aws:s3:::${aws:username""#),
            "incomplete",
        ),
        (
            &allow(&format!(
                r#"{all},"Condition":{{"StringIs":{{"aws:a":"b"}}}}"#
            )),
            "Invalid Condition type : StringIs",
        ),
        (
            &allow(&format!(
                r#"{all},"Condition":{{"NullIfExists":{{"aws:a":"true"}}}}"#
            )),
            "Invalid Condition type",
        ),
        (
            &allow(&format!(
                r#"{all},"Condition":{{"stringequals":{{"aws:a":"b"}}}}"#
            )),
            "Invalid Condition type",
        ),
        (
            &allow(&format!(
                r#"{all},"Condition":{{"ForOneValue:StringLike":{{"aws:a":"b"}}}}"#
            )),
            "Invalid Condition type",
        ),
        (
            &allow(&format!(
                r#"{all},"Condition":{{"DateLessThan":{{"aws:a":"tomorrow"}}}}"#
            )),
            "Invalid value tomorrow",
        ),
        (
            &allow(&format!(
                r#"{all},"Condition":{{"NumericEquals":{{"aws:a":"many"}}}}"#
            )),
            "Invalid value many",
        ),
        (
            &allow(&format!(
                r#"{all},"Condition":{{"Bool":{{"aws:a":"yes"}}}}"#
            )),
            "Invalid value yes",
        ),
        (
            &allow(&format!(
                r#"{all},"Condition":{{"IpAddress":{{"aws:a":"10.0.0.0/33"}}}}"#
            )),
            "Invalid value",
        ),
        (
            &allow(&format!(
                r#"{all},"Condition":{{"StringLike":{{"userid":"b"}}}}"#
            )),
            "prefaced by a vendor",
        ),
        (
            &allow(&format!(
                r#"{all},"Condition":{{"StringLike":{{"aws:a":{{}}}}}}"#
            )),
            "Syntax errors",
        ),
    ] {
        let Malformed(message) = Document::identity(document).expect_err(document);
        assert!(message.contains(words), "{document}: {message}");
    }
    let twice = r#"{"Statement":[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},
        {"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let Malformed(message) = Document::identity(twice).expect_err("the same id twice");
    assert!(message.contains("must be unique"), "{message}");
}

#[test]
fn trust_policies_name_principals_and_speak_of_sts_alone() {
    let trust = |elements: &str| Document::trust(&statement("Allow", elements));
    let action = r#""Action":"sts:AssumeRole""#;
    for (elements, words) in [
        (action.to_owned(), "Missing required field Principal"),
        (
            format!(r#"{action},"Principal":"*","Resource":"*""#),
            "prohibited field Resource",
        ),
        (
            format!(r#"{action},"Principal":"ada""#),
            "Invalid principal",
        ),
        (
            format!(r#"{action},"Principal":{{"AWS":"arn:aws:iam::111122223333:role/*"}}"#),
            "Invalid principal in policy: \"AWS\"",
        ),
        (
            format!(r#"{action},"Principal":{{"AWS":"arn:aws:iam::1234:root"}}"#),
            "Invalid principal",
        ),
        (
            format!(r#"{action},"Principal":{{"AWS":"arn:aws:iam::111122223333:group/a"}}"#),
            "Invalid principal",
        ),
        (
            format!(r#"{action},"Principal":{{"AWS":[]}}"#),
            "Syntax errors",
        ),
        (
            format!(r#"{action},"Principal":{{"Human":"ada"}}"#),
            "Syntax errors",
        ),
        (
            format!(
                r#"{action},"Principal":{{"Federated":"arn:aws:iam::111122223333:saml-provider/"}}"#
            ),
            "\"FEDERATED\"",
        ),
        (
            r#""Action":"*","Principal":"*""#.to_owned(),
            "only specify STS AssumeRole",
        ),
        (
            r#""Action":"s3:GetObject","Principal":"*""#.to_owned(),
            "only specify STS AssumeRole",
        ),
        (
            r#""Action":"sts:GetCallerIdentity","Principal":"*""#.to_owned(),
            "only specify",
        ),
    ] {
        let Malformed(message) = trust(&elements).expect_err(&elements);
        assert!(message.contains(words), "{elements}: {message}");
    }
    let user = Claimant::Aws {
        arn: "arn:aws:iam::111122223333:user/ada",
        caller_arn: "arn:aws:iam::111122223333:user/ada",
    };
    let session = Claimant::Aws {
        arn: "arn:aws:iam::111122223333:role/team/Broker",
        caller_arn: "arn:aws:sts::111122223333:assumed-role/Broker/b",
    };
    let provider = "arn:aws:iam::111122223333:saml-provider/Corp";
    let federated = Claimant::Federated(provider);
    for (principal, claimant, expected) in [
        (r#""*""#, user, Decision::Allowed),
        (r#"{"AWS":"*"}"#, session, Decision::Allowed),
        (r#"{"AWS":"*"}"#, federated, Decision::Silent),
        (
            r#"{"AWS":"111122223333"}"#,
            user,
            Decision::AllowedToAccount,
        ),
        (
            r#"{"AWS":"arn:aws:iam::111122223333:root"}"#,
            session,
            Decision::AllowedToAccount,
        ),
        (
            r#"{"AWS":"arn:aws-cn:iam::111122223333:root"}"#,
            user,
            Decision::Silent,
        ),
        (
            r#"{"AWS":"arn:aws:iam::444455556666:root"}"#,
            user,
            Decision::Silent,
        ),
        (
            r#"{"AWS":["444455556666","arn:aws:iam::111122223333:user/ada"]}"#,
            user,
            Decision::Allowed,
        ),
        (
            r#"{"AWS":"arn:aws:iam::111122223333:user/Ada"}"#,
            user,
            Decision::Silent,
        ),
        (
            r#"{"AWS":"arn:aws:iam::111122223333:role/team/Broker"}"#,
            session,
            Decision::Allowed,
        ),
        (
            r#"{"AWS":"arn:aws:iam::111122223333:role/Broker"}"#,
            session,
            Decision::Silent,
        ),
        (
            r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/Broker/b"}"#,
            session,
            Decision::Allowed,
        ),
        (
            r#"{"Federated":"arn:aws:iam::111122223333:saml-provider/Corp"}"#,
            federated,
            Decision::Allowed,
        ),
        (
            r#"{"Federated":"arn:aws:iam::111122223333:saml-provider/Other"}"#,
            federated,
            Decision::Silent,
        ),
        (
            r#"{"Service":"ec2.amazonaws.com"}"#,
            session,
            Decision::Silent,
        ),
    ] {
        let document = trust(&format!(r#"{action},"Principal":{principal}"#)).expect(principal);
        let decision = document.decide(&Question {
            action: "sts:AssumeRole",
            subject: Subject::Claimant(claimant),
            context: &Context::default(),
        });
        assert_eq!(decision, expected, "{principal} {claimant:?}");
    }
}

/// The plainest matcher there is: every way to split.
fn matches_naively(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|taken| matches_naively(rest, &text[taken..])),
        Some((wanted, rest)) => text.split_first().is_some_and(|(first, others)| {
            (*wanted == '?' || wanted == first) && matches_naively(rest, others)
        }),
    }
}

proptest! {
    #[test]
    fn wildcards_match_as_the_plainest_matcher_says(
        pattern in "[abä*?]{0,10}",
        text in "[abä]{0,14}",
    ) {
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = matches_naively(&characters(&pattern), &characters(&text));
        let read = Pattern::with_wildcards(&pattern, None).expect("has no variable");
        prop_assert_eq!(read.matches(&text), expected);
        prop_assert_eq!(read.matches_ignoring_case(&text.to_uppercase()), expected);
    }

    #[test]
    fn no_text_breaks_the_reading(text in "\\PC{0,60}", name in "[A-Za-z:]{0,12}") {
        let _ = Document::identity(&text);
        let elements = format!(r#""Action":"*","Resource":"*","Condition":{{"{name}":{{"a:b":"c"}}}}"#);
        let _ = Document::trust(&statement("Allow", &elements));
        let _ = Pattern::with_wildcards(&text, Some(&Context::default()));
    }

    #[test]
    fn a_value_reaches_nothing_but_itself(value in "[a/*?$:{}-]{1,8}", other in "[a/*?$:{}-]{1,8}") {
        let mut known = Context::default();
        known.set("aws:PrincipalTag/prefix", &value);
        let pattern = Pattern::with_wildcards("b/${aws:PrincipalTag/prefix}/*", Some(&known));
        let pattern = pattern.expect("has a value");
        let own = format!("b/{value}/x");
        prop_assert!(pattern.matches(&own));
        let foreign = format!("b/{other}/x");
        let begins = foreign.starts_with(&format!("b/{value}/"));
        prop_assert_eq!(pattern.matches(&foreign), begins);
    }
}
