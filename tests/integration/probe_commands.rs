//! Probing, discovery and the accounts of the organization, through the built program.

use std::process::Output;

use rolegate::demo::{
    aws::{Account, AccountStatus, Role, Trust},
    sample,
};
use serde_json::Value;

use super::process::{Installation, SHOP_READER};

const SHOP: &str = "222233334444";
const READING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetRole","iam:ListRoles"],"Resource":"*"}]}"#;

/// How a run of the program ended: its code, and what it printed.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn rows(&self) -> Vec<Value> {
        assert!(self.code < 2, "{}{}", self.out, self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// Runs a command with the stand-in in the place of IAM and Organizations.
fn run(installation: &Installation, arguments: &[&str]) -> Ended {
    let mut command = installation.process.command();
    let aws = installation.aws.url().to_string();
    command
        .env("ROLEGATE_AWS__IAM_ENDPOINT", &aws)
        .env("ROLEGATE_AWS__ORGANIZATIONS_ENDPOINT", &aws)
        .env("ROLEGATE_AWS__READ_ROLE", "RolegateRead")
        .args(arguments);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        code: status.code().unwrap(),
        out: text(stdout),
        err: text(stderr),
    }
}

fn shop(name: &str) -> String {
    format!("arn:aws:iam::{SHOP}:role/{name}")
}

fn by_us() -> Trust {
    Trust::of([sample::BROKER_ARN])
}

fn foreign() -> Trust {
    Trust::of(["arn:aws:iam::999999999999:root"])
}

#[tokio::test(flavor = "multi_thread")]
async fn check_live_prints_what_mends_a_broken_role_and_ends_well_once_it_is_pasted() {
    let installation = Installation::start();
    let check = ["check", "--live", "--output", "json"];
    let sound = run(&installation, &check);
    assert_eq!(sound.code, 0, "{}", sound.out);
    (installation.aws).update(|catalogue| assert!(catalogue.set_trust(SHOP_READER, foreign())));

    let spoken = run(&installation, &["check", "--live"]);
    assert_eq!(spoken.code, 1, "{}", spoken.out);
    let line = format!("error    {SHOP_READER}: ");
    assert!(spoken.out.contains(&line), "{}", spoken.out);
    let explained = run(&installation, &["explain", "ada", SHOP_READER]);
    let words = "AWS does not open it, as the last probe found on 20";
    assert!(explained.out.contains(words), "{}", explained.out);

    let broken = run(&installation, &check);
    assert_eq!(broken.code, 1);
    let rows = broken.rows();
    let errors: Vec<&Value> = rows.iter().filter(|row| row["level"] == "error").collect();
    let [error] = errors.as_slice() else {
        panic!("one role is broken: {}", broken.out);
    };
    assert_eq!(error["about"], SHOP_READER);
    let message = error["message"].as_str().unwrap();
    let (_, printed) = message
        .split_once("Add to the role's trust policy: ")
        .unwrap();
    let mut printed = serde_json::Deserializer::from_str(printed).into_iter::<Value>();
    let statement = printed.next().unwrap().unwrap().to_string();
    installation.aws.update(|catalogue| {
        let mended = foreign().with_statement(&statement).unwrap();
        assert!(catalogue.set_trust(SHOP_READER, mended));
    });
    let mended = run(&installation, &check);
    assert_eq!(mended.code, 0, "{}", mended.out);
    let explained = run(&installation, &["explain", "ada", SHOP_READER]);
    assert!(!explained.out.contains(words), "{}", explained.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_trust_us_are_discovered_over_all_pages() {
    let installation = Installation::start();
    let refused = run(&installation, &["role", "discover", SHOP]);
    assert_eq!(
        (refused.code, refused.out.as_str()),
        (1, ""),
        "{}",
        refused.err
    );
    assert!(
        refused.err.contains("The read role cannot be opened"),
        "{}",
        refused.err
    );

    installation.aws.update(|catalogue| {
        let reader = Role::new(&shop("RolegateRead"), by_us()).with_policy(READING);
        let mut all = std::mem::take(catalogue).with_role(reader.unwrap());
        for number in 0..1_050 {
            // IAM lists a thousand at once, by name: the last one is on the second page.
            let trust = if number == 1_049 { by_us() } else { foreign() };
            let role = Role::new(&shop(&format!("Z{number:04}")), trust);
            all = all.with_role(role.with_description("Found"));
        }
        let whole = Trust::of(["arn:aws:iam::444455556666:root"]);
        *catalogue = all
            .with_role(Role::new(&shop("team/Whole"), whole))
            .with_role(Role::new(
                &shop("aws-service-role/x.amazonaws.com/Own"),
                by_us(),
            ));
    });
    let calls = installation.aws.iam_calls();
    let found = run(
        &installation,
        &["role", "discover", SHOP, "--output", "json"],
    );
    assert_eq!(found.code, 0, "{}", found.err);
    assert_eq!(installation.aws.iam_calls() - calls, 2, "two pages");
    let rows = found.rows();
    let arns: Vec<&str> = rows.iter().filter_map(|row| row["arn"].as_str()).collect();
    assert_eq!(arns, [shop("Z1049"), shop("team/Whole")], "{}", found.out);
    assert_eq!(rows[0]["description"], "Found");
    assert_eq!(
        (&rows[0]["is_named"], &rows[1]["is_named"]),
        (&true.into(), &false.into())
    );
    let table = run(&installation, &["role", "discover", SHOP]);
    assert!(
        table.out.contains(&shop("Z1049")) && table.out.contains("perhaps"),
        "{}",
        table.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_the_organization_are_imported_over_all_pages() {
    let installation = Installation::start();
    installation.aws.update(|catalogue| {
        let mut all = std::mem::take(catalogue);
        for number in 0..45 {
            let name = format!("Team {number}");
            let account = Account::new(&format!("8000000000{number:02}"), &name);
            let status = match number {
                7 => AccountStatus::Suspended,
                44 => AccountStatus::PendingClosure,
                _ => AccountStatus::Active,
            };
            all = all.with_account(account.with_status(status));
        }
        *catalogue = all;
    });
    let accounts = || {
        let listed = run(&installation, &["account", "list", "--output", "json"]);
        listed.rows().len()
    };
    let before = accounts();
    let import = ["account", "import", "--from", "organizations"];
    let tried = run(&installation, &[&import[..], &["--dry-run"]].concat());
    assert_eq!(tried.code, 0, "{}", tried.err);
    assert!(tried.out.contains("800000000043"), "{}", tried.out);
    assert_eq!(accounts(), before);

    let done = run(&installation, &import);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(accounts(), before + 43);
    for id in ["800000000007", "800000000044"] {
        let sentence = format!("account {id}, Team ");
        assert!(done.err.contains(&sentence), "{}", done.err);
        assert!(!done.out.contains(id), "{}", done.out);
    }
    let again = run(&installation, &import);
    assert_eq!((again.code, again.out.as_str()), (0, ""), "{}", again.err);
    assert_eq!(accounts(), before + 43);

    let foreign = ["--credential-source", "nowhere"];
    let unknown = run(&installation, &[&import[..], &foreign].concat());
    assert_eq!(unknown.code, 2, "{}", unknown.err);
}
