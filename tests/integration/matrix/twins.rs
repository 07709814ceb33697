//! For each rule of AWS a twin of the good case that breaks it, and what the person is told.

use rolegate::demo::aws::{OidcProvider, Principal, SignInOutcome, Trust};
use serde_json::json;
use time::Duration;

use super::{
    click,
    grid::{Delivery, SignIn},
    post_on, roles,
    stage::{
        BROKER, BROKER_KEY, BROKER_SECRET, OWN_AUDIENCE, OWN_OIDC, OWN_SAML, Stage, THEIR_OIDC,
    },
};
use crate::support::company::PROVIDER;

const DENIED: Told = Told::Here(
    "aws_access_denied",
    "AWS does not let Rolegate open this role, although you may have it",
);
const NOT_TAKEN: Told = Told::Here(
    "aws_assertion_refused",
    "AWS did not take the word that was given for you",
);
const TOO_OLD: Told = Told::Here("aws_assertion_expired", "a clock is wrong");

/// Who tells the person, and what.
#[derive(Clone, Copy)]
enum Told {
    /// Our page: the code in the audit log and the sentence.
    Here(&'static str, &'static str),
    /// AWS's page, to which the browser brought our assertion.
    AtAws(&'static str),
}

/// One rule that is broken.
struct Twin {
    /// What is wrong, for whoever reads a failure.
    rule: &'static str,
    sign_in: SignIn,
    role: String,
    delivery: Delivery,
    break_it: Box<dyn Fn(&Stage)>,
    fields: Vec<(&'static str, &'static str)>,
    told: Told,
}

impl Twin {
    fn new(
        rule: &'static str,
        role: &'static str,
        break_it: impl Fn(&Stage) + 'static,
        told: Told,
    ) -> Self {
        Self {
            rule,
            sign_in: SignIn::Ldap,
            role: roles::role_arn(role),
            delivery: if role == "Posted" {
                Delivery::ConsoleByPost
            } else {
                Delivery::Credentials
            },
            break_it: Box::new(break_it),
            fields: Vec::new(),
            told,
        }
    }

    /// The same role with another trust.
    fn distrusting(
        rule: &'static str,
        role: &'static str,
        trust: fn(&Stage) -> Trust,
        told: Told,
    ) -> Self {
        Self::new(
            rule,
            role,
            move |stage| stage.distrust(role, trust(stage)),
            told,
        )
    }

    fn after(mut self, sign_in: SignIn) -> Self {
        self.sign_in = sign_in;
        self
    }

    fn asking(mut self, name: &'static str, value: &'static str) -> Self {
        self.fields.push((name, value));
        self
    }
}

fn nothing(_: &Stage) {}

fn later(seconds: i64) -> impl Fn(&Stage) {
    move |stage| stage.company.shift_aws_clock(Duration::seconds(seconds))
}

fn marked(trust: Trust) -> Trust {
    trust.with_session_tags().with_source_identity()
}

/// A trust in our assertions for an address.
fn own_saml(address: &str) -> Trust {
    Trust::default().with_saml(OWN_SAML, [address])
}

fn own_saml_here(stage: &Stage) -> Trust {
    own_saml(&stage.recipients()[1])
}

fn own_token(role: &str) -> Trust {
    let subject = roles::own_subjects(role);
    Trust::default().with_web_identity(OWN_OIDC, [OWN_AUDIENCE], [subject.as_str()])
}

fn of_broker() -> Trust {
    Trust::of([BROKER]).with_external_id(roles::EXTERNAL_ID)
}

/// What names the person who cannot be whom AWS trusts.
fn of_trust() -> Vec<Twin> {
    const AWS: &str = "https://signin.aws.amazon.com/saml";
    let refused = Told::AtAws("Not authorized to perform sts:AssumeRoleWithSAML");
    let twin = Twin::distrusting;
    vec![
        twin(
            "SAML:aud is another",
            "Vouched",
            |_| marked(own_saml(AWS)),
            DENIED,
        ),
        twin(
            "SAML:aud is another",
            "Posted",
            |_| marked(own_saml(AWS)),
            refused,
        ),
        twin(
            "the provider's assertion is not for AWS's own address",
            "Passed",
            |_| Trust::default().with_saml(PROVIDER, [AWS]),
            DENIED,
        )
        .after(SignIn::Saml),
        twin(
            "aud is another",
            "Token",
            |_| marked(Trust::default().with_web_identity(OWN_OIDC, ["another"], [])),
            DENIED,
        ),
        twin(
            "sub is of another role",
            "Token",
            |_| marked(own_token("Vouched")),
            DENIED,
        ),
        twin(
            "sub is of another person",
            "PassedToken",
            |_| Trust::default().with_web_identity(THEIR_OIDC, [], ["5f0e-grace"]),
            DENIED,
        )
        .after(SignIn::Oidc),
        twin(
            "the ExternalId is another",
            "Assume",
            |_| marked(Trust::of([BROKER])).with_external_id("another"),
            DENIED,
        ),
        twin("nobody is trusted", "Assume", |_| Trust::default(), DENIED),
    ]
}

/// What goes with the call and has to be allowed.
fn of_marks() -> Vec<Twin> {
    let refused = Told::AtAws("Not authorized to perform");
    let twin = Twin::distrusting;
    let (tag, source) = (
        "sts:TagSession is missing",
        "sts:SetSourceIdentity is missing",
    );
    vec![
        twin(
            tag,
            "Assume",
            |_| of_broker().with_source_identity(),
            DENIED,
        ),
        twin(
            source,
            "Assume",
            |_| of_broker().with_session_tags(),
            DENIED,
        ),
        twin(
            tag,
            "Vouched",
            |stage| own_saml_here(stage).with_source_identity(),
            DENIED,
        ),
        twin(
            source,
            "Vouched",
            |stage| own_saml_here(stage).with_session_tags(),
            DENIED,
        ),
        twin(
            tag,
            "Posted",
            |stage| own_saml_here(stage).with_source_identity(),
            refused,
        ),
        twin(
            source,
            "Posted",
            |stage| own_saml_here(stage).with_session_tags(),
            refused,
        ),
        twin(
            tag,
            "Token",
            |_| own_token("Token").with_source_identity(),
            DENIED,
        ),
        twin(
            source,
            "Token",
            |_| own_token("Token").with_session_tags(),
            DENIED,
        ),
    ]
}

/// What is signed, by whom and when.
fn of_proofs() -> Vec<Twin> {
    let strangers_token = |stage: &Stage| {
        let provider = OidcProvider::new(OWN_OIDC, ["another"]).unwrap();
        let base = stage.company.app.url.clone();
        let provider = provider.with_url(base.as_str()).fetched_from(base);
        change(stage, |catalogue| catalogue.with_oidc_provider(provider));
    };
    let broken = Told::Here(
        "aws_broker_credentials",
        "Rolegate itself could not sign in to AWS",
    );
    vec![
        Twin::new("the signature is wrong", "Forged", nothing, broken),
        Twin::new(
            "the metadata has other keys",
            "Vouched",
            Stage::forget_our_key,
            NOT_TAKEN,
        ),
        Twin::new(
            "the metadata has other keys",
            "Posted",
            Stage::forget_our_key,
            Told::AtAws("InvalidIdentityToken"),
        ),
        Twin::new(
            "the provider knows no such audience",
            "Token",
            strangers_token,
            NOT_TAKEN,
        ),
        Twin::new("too old", "Vouched", later(6 * 60), TOO_OLD),
        Twin::new("too old", "Token", later(11 * 60), TOO_OLD),
        Twin::new(
            "too old",
            "Posted",
            later(6 * 60),
            Told::AtAws("ExpiredTokenException"),
        ),
        Twin::new("too old", "Passed", later(6 * 60), TOO_OLD).after(SignIn::Saml),
        Twin::new("from the future", "Vouched", later(-6 * 60), NOT_TAKEN),
    ]
}

/// How long and how much.
fn of_limits() -> Vec<Twin> {
    let shorter = Told::Here(
        "aws_invalid_request",
        "This role gives shorter sessions than you asked for",
    );
    let chained = Told::Here("duration_too_long", "AWS allows 1 h at most here");
    let packed = Told::Here(
        "aws_invalid_request",
        "What Rolegate tells AWS about your session is too long for AWS",
    );
    let no_federation = |stage: &Stage| {
        let broker = Principal::user(BROKER, BROKER_KEY, BROKER_SECRET);
        change(stage, |catalogue| catalogue.with_principal(broker));
    };
    let federated = Twin {
        role: roles::FEDERATED.to_owned(),
        ..Twin::new(
            "sts:GetFederationToken is missing",
            "",
            no_federation,
            DENIED,
        )
    };
    let wrong_code = Told::Here("aws_code_refused", "AWS did not take that code");
    let no_code = Told::Here("code_needed", "Please enter a code");
    vec![
        Twin::new(
            "longer than the role",
            "Assume",
            |stage| stage.shorten("Assume"),
            shorter,
        )
        .asking("duration", "2h"),
        Twin::new(
            "longer than the role",
            "Vouched",
            |stage| stage.shorten("Vouched"),
            shorter,
        )
        .asking("duration", "2h"),
        Twin::new(
            "longer than the role",
            "Token",
            |stage| stage.shorten("Token"),
            shorter,
        )
        .asking("duration", "2h"),
        Twin::new("chained for more than an hour", "Chained", nothing, chained)
            .asking("duration", "2h"),
        Twin::new("tags beyond the packed size", "Packed", nothing, packed),
        federated,
        Twin::new("a code of another device", "Coded", nothing, wrong_code)
            .asking("mfa_code", "999999"),
        Twin::new("no code", "Coded", nothing, no_code),
    ]
}

fn change(
    stage: &Stage,
    change: impl FnOnce(rolegate::demo::aws::Catalogue) -> rolegate::demo::aws::Catalogue,
) {
    stage.company.app.aws.update(|catalogue| {
        *catalogue = change(std::mem::take(catalogue));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_of_aws_is_broken_once_and_the_person_is_told() {
    let stage = Stage::start().await;
    let all = [of_trust(), of_marks(), of_proofs(), of_limits()];
    for twin in all.into_iter().flatten() {
        let at = format!("{}: {}", twin.role, twin.rule);
        let mut browser = stage.signed_in(twin.sign_in).await;
        let issued = stage.company.app.aws.issued().len();
        (twin.break_it)(&stage);
        let mut fields = vec![("role", twin.role.as_str())];
        fields.extend(&twin.fields);
        let answer = click(&mut browser, twin.delivery, &fields).await;
        match twin.told {
            Told::Here(code, words) => {
                assert!((400..600).contains(&answer.status), "{at}: {}", answer.body);
                assert!(answer.body.contains(words), "{at}: {}", answer.body);
                let event = stage.company.app.last_audit_event().await;
                assert_eq!(event["reason"], code, "{at}: {event:#}");
                let failed = [json!("failed"), json!("refused")];
                assert!(failed.contains(&event["outcome"]), "{at}: {event:#}");
            }
            Told::AtAws(words) => {
                assert_eq!(answer.status, 200, "{at}: {}", answer.body);
                let (_, page) = post_on(&stage.company.app.url, &answer).await;
                assert!(page.contains(words), "{at}: {page}");
                let sign_ins = stage.company.app.aws.sign_ins();
                let outcome = &sign_ins.last().unwrap().outcome;
                assert!(
                    matches!(outcome, SignInOutcome::Refused(_)),
                    "{at}: {outcome:?}"
                );
            }
        }
        assert_eq!(stage.company.app.aws.issued().len(), issued, "{at}");
        stage.reset();
    }
}

/// An hour is given where nobody chose, and the console is told no length that AWS would refuse.
#[tokio::test(flavor = "multi_thread")]
async fn limits_shorten_what_nobody_chose() {
    let stage = Stage::start().await;
    let aws = &stage.company.app.aws;
    for (role, console_seconds) in [("Assume", Some("3600")), ("Chained", None)] {
        if role == "Assume" {
            stage.shorten(role);
        }
        let mut browser = stage.signed_in(SignIn::Ldap).await;
        let arn = roles::role_arn(role);
        let answer = click(&mut browser, Delivery::ConsoleByUrl, &[("role", &arn)]).await;
        assert_eq!(answer.status, 303, "{role}: {}", answer.body);
        let issued = aws.issued().pop().unwrap();
        assert_eq!(issued.duration_seconds, 3_600, "{role}");
        assert_eq!(issued.is_chained, role == "Chained", "{role}");
        let sign_in = aws.sign_ins().pop().unwrap();
        assert_eq!(
            sign_in.session_duration.as_deref(),
            console_seconds,
            "{role}"
        );
    }
}
