//! What `aws-setup` writes: cfn-lint and python-hcl2 take it, and what they make of it opens every
//! role at the stand-in, and nothing else.

use std::{collections::BTreeMap, fmt::Write as _};

use rolegate::{
    access::{AccountId, TargetArn},
    audit::Actor,
    broker::{RevokeOrder, RevokedBy, SetUp, SetUpOrder, Whom},
    demo::{
        aws::{Account, Catalogue, OidcProvider, Principal, Role, SamlProvider, Trust},
        sample::group_dn,
    },
    store::PolicyStore as _,
};
use serde_json::{Value, json};

use crate::{
    helpdesk::{Form, attribute},
    issuer::issuer_toml,
    support::{
        app::{Options, TestApp},
        cookie_browser::CookieBrowser,
        editing::Desk,
        temporary_dir,
        verifiers::{SetupCase, SetupVerdict, templates},
    },
};

const ACCOUNT: &str = "999900001111";
const GOVERNMENT: &str = "999900002222";
const CHINA: &str = "999900003333";
const ISSUER: &str = "https://id.example.com";
const LEAST: &str = "arn:aws:iam::444455556666:user/least";
const HOSTILE: &str =
    "Look, \"do not\" ${touch} %{this} $${that} \\\\ </b> 'é' # // EOT \u{202e}\u{1f980}";

/// Each way to a role that takes a set-up, with the keys of its row.
const WAYS: [(&str, &str); 7] = [
    ("Plain", ""),
    ("team/deep/Guarded", "external_id = \"rolegate-x1\"\n"),
    (
        "Marked",
        "external_id = \"rolegate-x2\"\nsource_identity = \"{username}\"\n\
         session_tags = { team = \"payments\" }\n",
    ),
    ("odd,=.@+-_1", "session_tags = { team = \"payments\" }\n"),
    (
        "posted/By-Saml",
        "grant_method = \"assume-role-with-saml\"\nvouched_by = \"issuer\"\n\
         source_identity = \"{username}\"\nsession_tags = { team = \"payments\" }\n",
    ),
    (
        "BySaml",
        "grant_method = \"assume-role-with-saml\"\nvouched_by = \"issuer\"\n",
    ),
    (
        "ByToken",
        "grant_method = \"assume-role-with-web-identity\"\nvouched_by = \"issuer\"\n\
         source_identity = \"{username}\"\nsession_tags = { team = \"payments\" }\n",
    ),
];

fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

struct Scene {
    app: TestApp,
    _keys: tempfile::TempDir,
}

/// An application with an issuer, whose own user may nothing at AWS yet.
async fn scene(overrides: &[(&str, String)]) -> Scene {
    let keys = temporary_dir("setup");
    let least = keys.path().join("least.env");
    let text = "AWS_ACCESS_KEY_ID=AKIALEAST00000000001\nAWS_SECRET_ACCESS_KEY=least\n";
    std::fs::write(&least, text).unwrap();
    let mut toml = String::new();
    for (id, name) in [(ACCOUNT, "Payments"), (GOVERNMENT, "Gov"), (CHINA, "China")] {
        write!(toml, "[[account]]\nid = \"{id}\"\nname = \"{name}\"\n\n").unwrap();
    }
    for (name, keys) in WAYS {
        let (arn, description) = (arn(name), json!(HOSTILE));
        write!(
            toml,
            "[[role]]\narn = \"{arn}\"\ndescription = {description}\n{keys}\n[[mapping]]\n\
             group = \"corp:{}\"\nrole = \"{arn}\"\n\n",
            group_dn("everyone")
        )
        .unwrap();
    }
    for (partition, account) in [("aws-us-gov", GOVERNMENT), ("aws-cn", CHINA)] {
        for (name, keys) in WAYS {
            let arn = format!("arn:{partition}:iam::{account}:role/{name}");
            write!(toml, "[[role]]\narn = \"{arn}\"\n{keys}\n").unwrap();
        }
    }
    let mut all = vec![(
        "AWS__CREDENTIAL_SOURCE__DEFAULT__PATH".to_owned(),
        least.display().to_string(),
    )];
    all.extend(
        overrides
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone())),
    );
    let catalogue = Catalogue::sample()
        .with_account(Account::new(ACCOUNT, "Payments"))
        .with_principal(least_user());
    let app = TestApp::start_with(Options {
        more_toml: format!("{}url = \"{ISSUER}\"\n", issuer_toml(keys.path())),
        mapping_toml: Some(toml),
        catalogue: Some(catalogue),
        overrides: all,
        ..Options::default()
    })
    .await;
    Scene { app, _keys: keys }
}

fn least_user() -> Principal {
    Principal::user(LEAST, "AKIALEAST00000000001", "least")
}

async fn set_up(app: &TestApp, account: &str, principal: Option<&str>) -> SetUp {
    let account: AccountId = account.parse().unwrap();
    let principal: Option<TargetArn> = principal.map(|arn| arn.parse().unwrap());
    let order = SetUpOrder {
        account: &account,
        only: &[],
        principal: principal.as_ref(),
    };
    app.broker.account_setup(order).await.unwrap()
}

fn cases(set_up: &SetUp, partition: &'static str, region: &'static str) -> [SetupCase; 2] {
    let account = &set_up.account;
    [
        ("cloudformation", account.cloudformation()),
        ("terraform", account.terraform()),
    ]
    .map(|(format, text)| SetupCase {
        format,
        partition,
        region,
        account: account.account.to_string(),
        text,
    })
}

/// Makes at the stand-in what a template makes.
fn make(app: &TestApp, made: &SetupVerdict, policies: &[String]) {
    app.aws.update(|catalogue| {
        let mut own = least_user();
        for policy in policies {
            own = own.with_policy(policy).expect("IAM takes it");
        }
        let mut next = std::mem::take(catalogue).with_principal(own);
        if let Some((name, metadata)) = &made.saml {
            let arn = format!("arn:aws:iam::{ACCOUNT}:saml-provider/{name}");
            next = next.with_saml_provider(SamlProvider::new(&arn, metadata).unwrap());
        }
        if let Some((url, clients)) = &made.oidc {
            let place = url.strip_prefix("https://").unwrap();
            let arn = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{place}");
            let clients = clients.iter().map(String::as_str);
            let provider = OidcProvider::new(&arn, clients).unwrap();
            let keys = app.broker.issuer().unwrap().jwks().unwrap();
            next = next.with_oidc_provider(provider.with_keys(&keys).unwrap());
        }
        for (name, role) in &made.roles {
            let arn = arn(&format!("{}{name}", &role.path[1..]));
            let trust = Trust::document(&role.trust.to_string()).expect("IAM takes it");
            let mut made = Role::new(&arn, trust);
            for permissions in &role.permissions {
                made = made.with_policy(&permissions.to_string()).unwrap();
            }
            next = next.with_role(made);
        }
        *catalogue = next;
    });
}

/// Whether a click opens the role.
async fn opens(app: &TestApp, browser: &mut CookieBrowser, role: &str) -> bool {
    let before = app.aws.issued().len();
    browser.open_console(&[("role", role)]).await;
    app.aws.issued().len() > before
}

/// Every trust that differs from this one in one value, or lacks one action.
fn altered(trust: &Value) -> Vec<Value> {
    let statement = &trust["Statement"][0];
    let mut all = Vec::new();
    let mut with = |path: String, value: Value| {
        let mut other = trust.clone();
        *other.pointer_mut(&format!("/Statement/0{path}")).unwrap() = value;
        all.push(other);
    };
    for (kind, principal) in statement["Principal"].as_object().unwrap() {
        let other = principal.as_str().unwrap().replace("least", "most");
        let other = other
            .replace("/rolegate", "/other")
            .replace("id.example.com", "x.example.com");
        with(format!("/Principal/{kind}"), other.into());
    }
    for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
        for (key, value) in keys.as_object().unwrap() {
            let other = format!("x{}", value.as_str().unwrap());
            with(format!("/Condition/{operator}/{key}"), other.into());
        }
    }
    let actions = statement["Action"].as_array().unwrap();
    for place in 0..actions.len() {
        let mut fewer = actions.clone();
        // In its place one that is there already, or does not suffice.
        let other = match fewer[place].as_str() {
            Some("sts:SetSourceIdentity") => "sts:TagSession",
            _ => "sts:SetSourceIdentity",
        };
        fewer[place] = other.into();
        with("/Action".to_owned(), fewer.into());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_opens_every_role_and_nothing_that_differs_from_it_does() {
    let scene = scene(&[]).await;
    let app = &scene.app;
    let set_up = set_up(app, ACCOUNT, None).await;
    assert!(set_up.left_out.is_empty(), "{:?}", set_up.left_out);
    let cases = cases(&set_up, "aws", "eu-west-1");
    assert!(
        !cases[0].text.contains(ACCOUNT),
        "no stack set could use it"
    );
    let made = templates(&cases);
    let mut ada = app.signed_in("ada").await;
    for (name, _) in WAYS {
        assert!(
            !opens(app, &mut ada, &arn(name)).await,
            "{name}: there is nothing yet"
        );
    }
    for made in &made {
        assert_eq!(made.findings, Vec::<String>::new());
        make(app, made, &set_up.broker_policies);
        for (name, _) in WAYS {
            assert!(opens(app, &mut ada, &arn(name)).await, "{name}: {made:?}");
        }
    }
    let same = |made: &SetupVerdict| {
        let roles = made.roles.iter();
        let roles =
            roles.map(|(name, role)| (name.clone(), (role.path.clone(), role.trust.clone())));
        (
            made.saml.clone(),
            made.oidc.clone(),
            roles.collect::<BTreeMap<_, _>>(),
        )
    };
    assert_eq!(same(&made[0]), same(&made[1]));
    for (name, role) in &made[0].roles {
        let arn = arn(&format!("{}{name}", &role.path[1..]));
        for other in altered(&role.trust) {
            let trust = Trust::document(&other.to_string()).unwrap();
            app.aws
                .update(|catalogue| assert!(catalogue.set_trust(&arn, trust)));
            assert!(!opens(app, &mut ada, &arn).await, "{other:#}");
        }
    }
    // With the trust alone, and without the policy, nothing is opened with our own credentials.
    make(app, &made[0], &[]);
    for (name, keys) in WAYS {
        let is_vouched = keys.contains("vouched_by");
        assert_eq!(opens(app, &mut ada, &arn(name)).await, is_vouched, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_allows_to_the_broker_is_no_other_role() {
    let scene = scene(&[]).await;
    let set_up = set_up(&scene.app, ACCOUNT, None).await;
    let mut made = templates(&cases(&set_up, "aws", "eu-west-1"));
    let mut made = made.remove(0);
    for role in made.roles.values_mut() {
        // As one that trusts everybody in everything.
        role.trust = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:*" }],
        });
    }
    let stranger = made.roles["Plain"].clone();
    made.roles.insert("Plain2".to_owned(), stranger);
    make(&scene.app, &made, &set_up.broker_policies);
    let mut ada = scene.app.signed_in("ada").await;
    assert!(opens(&scene.app, &mut ada, &arn("Plain")).await);
    let policies: Vec<Value> = (set_up.broker_policies.iter())
        .map(|policy| serde_json::from_str(policy).unwrap())
        .collect();
    let text = json!(policies).to_string();
    assert!(!text.contains('*') && !text.contains("Plain2"), "{text}");
    for vouched in ["BySaml", "By-Saml", "ByToken"] {
        assert!(!text.contains(vouched), "it needs no permission: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_partitions_have_names_of_their_own() {
    let scene = scene(&[]).await;
    // The stand-in's, as it is for every partition.
    let audience = scene.app.aws.saml_url();
    let places = [
        (GOVERNMENT, "aws-us-gov", "us-gov-west-1"),
        (CHINA, "aws-cn", "cn-north-1"),
    ];
    for (account, partition, region) in places {
        let broker = format!("arn:{partition}:iam::444455556666:role/service/rolegate");
        let set_up = set_up(&scene.app, account, Some(&broker)).await;
        assert!(set_up.left_out.is_empty(), "{:?}", set_up.left_out);
        for made in templates(&cases(&set_up, partition, region)) {
            assert_eq!(made.findings, Vec::<String>::new());
            assert_eq!(made.roles.len(), WAYS.len());
            for (name, role) in &made.roles {
                Trust::document(&role.trust.to_string()).expect("IAM takes it");
                let statement = &role.trust["Statement"][0];
                let principal = &statement["Principal"];
                let provider = |kind: &str, name: &str| json!({ "Federated": format!("arn:{partition}:iam::{account}:{kind}/{name}") });
                match name.as_str() {
                    "BySaml" | "By-Saml" => {
                        assert_eq!(*principal, provider("saml-provider", "rolegate"));
                        let condition = &statement["Condition"]["StringEquals"];
                        assert_eq!(condition["SAML:aud"], audience.as_str());
                        assert_eq!(
                            condition["SAML:iss"],
                            format!("{ISSUER}/issuer/saml/metadata")
                        );
                        assert_eq!(role.waits_for.len(), 1);
                    }
                    "ByToken" => {
                        assert_eq!(*principal, provider("oidc-provider", "id.example.com"));
                        assert_eq!(role.waits_for.len(), 1);
                    }
                    _ => {
                        assert_eq!(*principal, json!({ "AWS": broker }));
                        assert!(role.waits_for.is_empty());
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_is_the_same_text_in_every_format() {
    let scene = scene(&[]).await;
    let set_up = set_up(&scene.app, ACCOUNT, None).await;
    // IAM takes nothing beyond Latin-1.
    let expected = HOSTILE.replace(['\u{202e}', '\u{1f980}'], "");
    for made in templates(&cases(&set_up, "aws", "eu-west-1")) {
        for role in made.roles.values() {
            assert_eq!(role.description.as_deref(), Some(expected.as_str()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_of_rolegate_s_own_may_what_it_does_with_them() {
    let scene = scene(&[
        ("AWS__READ_ROLE", "own/rolegate-read".to_owned()),
        ("AWS__REVOKER_ROLE", "rolegate-revoker".to_owned()),
    ])
    .await;
    let app = &scene.app;
    let set_up = set_up(app, ACCOUNT, None).await;
    assert_eq!(set_up.account.roles.len(), WAYS.len() + 2);
    let found = templates(&cases(&set_up, "aws", "eu-west-1"));
    for made in &found {
        assert_eq!(made.findings, Vec::<String>::new());
        assert_eq!(made.roles["rolegate-revoker"].permissions.len(), 1);
    }
    assert_eq!(
        found[0].roles["rolegate-revoker"].permissions,
        found[1].roles["rolegate-revoker"].permissions
    );
    make(app, &found[0], &set_up.broker_policies);

    // A role that is in no row yet trusts the broker.
    app.aws.update(|catalogue| {
        let newcomer = Role::new(&arn("Newcomer"), Trust::of([LEAST]));
        *catalogue = std::mem::take(catalogue).with_role(newcomer);
    });
    let account = ACCOUNT.parse().unwrap();
    let discovered = app.broker.discover_roles(&account, Actor::System).await;
    let discovered = discovered.unwrap();
    let names: Vec<&str> = discovered.iter().map(|role| role.arn.name()).collect();
    assert_eq!(names, ["Newcomer"]);

    let mut ada = app.signed_in("ada").await;
    assert!(opens(app, &mut ada, &arn("Plain")).await);
    let order = RevokeOrder {
        whom: Whom::Role(arn("Plain").parse().unwrap()),
        reason: None,
    };
    let host = RevokedBy::Host(Actor::Host { uid: 0 });
    app.broker.revoke(&order, host, None).await.unwrap();
    assert_eq!(app.aws.role_policies(&arn("Plain")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_to_paste_and_hands_out_the_templates() {
    let scene = scene(&[]).await;
    let app = &scene.app;
    let mut grace = app.signed_in("grace").await;
    let path = format!("/helpdesk/accounts/{ACCOUNT}/setup");
    let account = grace.get(&format!("/helpdesk/accounts/{ACCOUNT}")).await;
    assert!(
        account.body.contains(&format!("href=\"{path}\"")),
        "{}",
        account.body
    );
    let page = grace.get(&path).await;
    assert_eq!(
        (page.status, page.header("cache-control")),
        (200, "no-store")
    );
    let set_up = set_up(app, ACCOUNT, None).await;
    let areas = page.body.matches("<textarea").count();
    assert_eq!(areas, WAYS.len() + set_up.broker_policies.len());
    assert_eq!(page.body.matches(" readonly data-copy").count(), areas);
    for words in [
        "sts:ExternalId",
        "rolegate-x1",
        "SAML:aud",
        "id.example.com:sub",
    ] {
        assert!(page.body.contains(words), "{words}");
    }
    for (file, media_type, text) in [
        (
            "cloudformation.json",
            "application/json",
            set_up.account.cloudformation(),
        ),
        (
            "terraform.tf",
            "text/plain; charset=utf-8",
            set_up.account.terraform(),
        ),
    ] {
        let answer = grace.get(&format!("{path}/{file}")).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, media_type)
        );
        let ending = file.rsplit('.').next().unwrap();
        assert_eq!(
            answer.header("content-disposition"),
            format!("attachment; filename=\"rolegate-{ACCOUNT}.{ending}\"")
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.body, text);
    }
    let mut linus = app.signed_in("linus").await;
    for unknown in ["123456789012", "x", "%22%0d%0aX:%20y"] {
        for file in ["", "/cloudformation.json", "/terraform.tf"] {
            let address = format!("/helpdesk/accounts/{unknown}/setup{file}");
            let answer = grace.get(&address).await;
            assert_eq!(answer.status, 404, "{address}");
            assert_eq!(answer.header("content-disposition"), "");
            let answer = linus.get(&address.replace(unknown, ACCOUNT)).await;
            assert_eq!(answer.status, 403, "linus is none of the staff");
        }
    }
}

fn is_fresh(external_id: &str) -> bool {
    let random = external_id.strip_prefix("rolegate-").unwrap_or_default();
    random.len() == 32 && random.chars().all(|c| c.is_ascii_hexdigit())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_id_is_made_on_the_page_and_shown_to_be_copied() {
    let desk = Desk::start().await;
    let mut amy = desk.app.signed_in("amy").await;
    let account = desk.tables().await.accounts[0].id.clone();
    let page = format!("/helpdesk/accounts/{account}");
    let form = Form::of(&amy.get(&page).await);
    let fresh = form.value("fresh_external_id").to_owned();
    assert!(is_fresh(&fresh), "{fresh}");
    assert_ne!(
        Form::of(&amy.get(&page).await).value("fresh_external_id"),
        fresh
    );
    let shown = form
        .set("generate_external_id", "yes")
        .set("reason", "HD-1")
        .preview(&mut amy)
        .await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    let shown = Form::of(&shown);
    assert_eq!(shown.value("external_id"), fresh, "it stands in the field");
    let saved = shown.save(&mut amy).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    let after = amy.get(saved.location()).await;
    let area = after.body.find("id=\"external-id\"").expect("it is shown");
    assert!(after.body[area..].contains(&fresh));
    let tables = desk.app.store.tables().await.unwrap();
    let account = tables
        .accounts
        .iter()
        .find(|one| one.id == account)
        .unwrap();
    assert_eq!(account.role_defaults.external_id.as_ref(), Some(&fresh));
    let again = amy.get(&page).await;
    assert!(!again.body.contains("id=\"external-id\""), "shown once");
    // The trust policy asks for it.
    let set_up = amy.get(&format!("{page}/setup")).await;
    assert!(set_up.body.contains(&fresh));
    assert!(attribute(&again.body, "action").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_an_external_id_and_writes_the_trust_that_asks_for_it() {
    let desk = Desk::start().await;
    let run = |arguments: &[&str]| {
        let output = desk.command(arguments);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let add = [
        "account",
        "add",
        "999900001111",
        "--name",
        "Theirs",
        "--generate-external-id",
    ];
    let (status, out, err) = run(&add);
    assert_eq!(status, Some(0), "{err}");
    let made = out
        .lines()
        .find_map(|line| line.strip_prefix("ExternalId: "))
        .unwrap();
    assert!(is_fresh(made), "{made}");
    assert!(err.contains("rolegate aws-setup 999900001111"), "{err}");
    let (status, ..) = run(&["role", "add", "arn:aws:iam::999900001111:role/Ops"]);
    assert_eq!(status, Some(0));
    let broker = "arn:aws:iam::444455556666:role/service/rolegate";
    let setup = ["aws-setup", "999900001111", "--principal", broker];
    let (status, out, err) = run(&setup);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains(made) && out.contains(broker), "{out}");
    let (_, out, _) = run(&[&setup[..], &["--format", "json"]].concat());
    let answer: Value = serde_json::from_str(&out).unwrap();
    let condition = &answer["roles"][0]["trust_policy"]["Statement"][0]["Condition"];
    assert_eq!(condition["StringEquals"]["sts:ExternalId"], made);
    assert_eq!(answer["broker_policies"].as_array().unwrap().len(), 1);
    let (status, out, err) = run(&[&setup[..], &["--broker-on", "ecs"]].concat());
    assert_eq!(status, Some(0), "{err}");
    for words in [
        "ecs-tasks.amazonaws.com",
        "\"aws:SourceAccount\": \"444455556666\"",
        "role/Ops",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let both = [&add[..], &["--external-id", "x"]].concat();
    assert_eq!(run(&both).0, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_wrongly_is_told() {
    let desk = Desk::start().await;
    let told = |arguments: &[&str]| {
        let output = desk.command(&[&["aws-setup"][..], arguments].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.stdout, b"", "{arguments:?}");
        format!("{:?} {text}", output.status.code())
    };
    let elsewhere = "arn:aws:iam::222233334444:role/ReadOnly";
    for (arguments, code, words) in [
        (&[][..], 2, "<ACCOUNT>"),
        (&["12"], 2, "twelve digits"),
        (
            &["123456789012"],
            1,
            "account 123456789012 is not in the table",
        ),
        (&["111122223333", "--format", "yaml"], 2, "cloudformation"),
        (
            &["111122223333", "--broker-on", "azure"],
            2,
            "there are: ec2, ecs, lambda",
        ),
        (
            &["111122223333", "--principal", "me"],
            2,
            "arn:aws:iam::444455556666:role/rolegate",
        ),
        (
            &["111122223333", "--role", elsewhere],
            2,
            "in none of the accounts",
        ),
        (&["111122223333", "--role", "Nobody"], 2, "ACCOUNT/ROLE"),
        (
            &["111122223333", "222233334444", "--format", "terraform"],
            2,
            "one Terraform configuration is for one account",
        ),
    ] {
        let answer = told(arguments);
        assert!(
            answer.starts_with(&format!("Some({code})")),
            "{arguments:?}: {answer}"
        );
        assert!(answer.contains(words), "{arguments:?}: {answer}");
    }
}
