//! IAM and Organizations, asked through the production adapter at moto, which checks signatures.

use std::{sync::Arc, time::Duration};

use rolegate::{
    access::{Errand, Policy, PolicySettings, PolicyTables, SessionDuration, TargetArn},
    aws::{
        Iam as _, IamError, Proof, SessionCredentials, Sts as _,
        iam::{IamClient, Settings},
        sts::{self, SdkSts, SourceKind, SourceSettings},
    },
    clock::SystemClock,
};
use url::Url;

use crate::support::moto::{self, AccessKey, Moto};

const EVERYTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
/// Every character that an encoding could lose.
const DOCUMENT: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:userid":["*:a+b%20c@d","*:&=?é"]}}}]}"#;

async fn clients(url: &str, key: &AccessKey) -> (Arc<SdkSts>, IamClient) {
    let url: Url = url.parse().unwrap();
    let settings = sts::Settings {
        default_region: "eu-west-1".to_owned(),
        endpoint: Some(url.clone()),
        call_timeout: Duration::from_secs(30),
        attempts: 1,
        sources: vec![SourceSettings {
            id: "default".to_owned(),
            kind: SourceKind::Static {
                access_key_id: key.id.clone(),
                secret: key.secret.clone().into(),
                session_token: None,
            },
        }],
    };
    let sts = Arc::new(SdkSts::new(settings).await.unwrap());
    let settings = Settings {
        iam_endpoint: Some(url.clone()),
        organizations_endpoint: Some(url),
        default_region: "eu-west-1".to_owned(),
        call_timeout: Duration::from_secs(30),
        attempts: 2,
    };
    let iam = IamClient::new(settings, Arc::clone(&sts), Arc::new(SystemClock)).unwrap();
    (sts, iam)
}

/// A session of a role of moto's.
async fn session(sts: &SdkSts, role: &str) -> SessionCredentials {
    let policy = Policy::new(PolicyTables::default(), PolicySettings::default());
    let role = role.parse().unwrap();
    let leave = policy.errand(Errand::Read, &role, EVERYTHING.to_owned());
    let issued = sts.issue(leave.unwrap().grant(), &Proof::Own).await;
    issued.unwrap().credentials
}

fn arn(name: &str) -> TargetArn {
    format!("arn:aws:iam::{}:role/{name}", moto::ACCOUNT_ID)
        .parse()
        .unwrap()
}

/// A moto with a role that has something to tell, and signatures required.
fn moto() -> Moto {
    let moto = Moto::start();
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"a+b c/d"}}}]}"#;
    moto.iam(&[
        ("Action", "CreateRole"),
        ("RoleName", "Told"),
        ("Path", "/team/"),
        ("MaxSessionDuration", "14400"),
        ("Description", "Reads <everything> & more"),
        ("AssumeRolePolicyDocument", trust),
    ]);
    moto.iam(&[
        ("Action", "PutRolePolicy"),
        ("RoleName", "rolegate-target"),
        ("PolicyName", "everything"),
        ("PolicyDocument", EVERYTHING),
    ]);
    moto.iam(&[
        ("Action", "PutUserPolicy"),
        ("UserName", moto::BROKER_USER),
        ("PolicyName", "organizations"),
        ("PolicyDocument", EVERYTHING),
    ]);
    moto.organizations("CreateOrganization", r#"{"FeatureSet":"ALL"}"#);
    for name in ["Payments", "Shop & co"] {
        let body = format!(r#"{{"AccountName":"{name}","Email":"aws@example.org"}}"#);
        moto.organizations("CreateAccount", &body);
    }
    moto.require_signatures();
    moto
}

#[tokio::test]
async fn roles_are_read_as_iam_has_them() {
    let moto = moto();
    let (sts, iam) = clients(&moto.url(), moto.broker_keys()).await;
    let credentials = session(&sts, moto::ROLE_ARN).await;
    let role = iam.role(&credentials, &arn("team/Told")).await.unwrap();
    let role = role.expect("moto has it");
    assert_eq!(role.arn, arn("team/Told"));
    assert_eq!(
        role.max_duration,
        SessionDuration::from_seconds(14_400).unwrap()
    );
    assert_eq!(
        role.description.as_deref(),
        Some("Reads <everything> & more")
    );
    assert!(role.trust.contains("\"a+b c/d\""), "{}", role.trust);
    assert!(role.created_at.is_some());
    assert_eq!(iam.role(&credentials, &arn("Nobody")).await.unwrap(), None);

    let roles = iam.roles(&credentials, &arn("Told")).await.unwrap();
    let mut names: Vec<&str> = roles.iter().map(|role| role.arn.name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Told", "rolegate-guarded", "rolegate-target"]);
}

#[tokio::test]
async fn inline_policies_are_written_read_and_deleted() {
    let moto = moto();
    let (sts, iam) = clients(&moto.url(), moto.broker_keys()).await;
    let credentials = session(&sts, moto::ROLE_ARN).await;
    let role = arn("team/Told");
    let name = "RolegateRevocations";
    assert_eq!(
        iam.role_policy(&credentials, &role, name).await.unwrap(),
        None
    );
    let put = iam
        .put_role_policy(&credentials, &role, name, DOCUMENT)
        .await;
    put.unwrap();
    let read = iam.role_policy(&credentials, &role, name).await.unwrap();
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(parsed(&read.unwrap()), parsed(DOCUMENT));
    iam.delete_role_policy(&credentials, &role, name)
        .await
        .unwrap();
    // Nothing happens where there is none.
    iam.delete_role_policy(&credentials, &role, name)
        .await
        .unwrap();
    assert_eq!(
        iam.role_policy(&credentials, &role, name).await.unwrap(),
        None
    );
    let nobody = iam
        .put_role_policy(&credentials, &arn("Nobody"), name, DOCUMENT)
        .await;
    assert!(matches!(nobody, Err(IamError::Invalid { code, .. }) if code == "NoSuchEntity"));
    let broken = iam.put_role_policy(&credentials, &role, name, "{").await;
    let code = "MalformedPolicyDocument";
    assert!(matches!(broken, Err(IamError::Invalid { code: found, .. }) if found == code));
}

#[tokio::test]
async fn refusals_are_told_and_hold_no_secret() {
    let moto = moto();
    let (sts, iam) = clients(&moto.url(), moto.broker_keys()).await;
    // This role may do nothing.
    let powerless = session(&sts, moto::GUARDED_ROLE_ARN).await;
    let denied = iam.role(&powerless, &arn("team/Told")).await.unwrap_err();
    assert!(
        matches!(denied, IamError::AccessDenied { .. }),
        "{denied:?}"
    );
    let mut forged = session(&sts, moto::ROLE_ARN).await;
    forged.secret_access_key = "wrong-secret".to_owned().into();
    let refused = iam.role(&forged, &arn("team/Told")).await.unwrap_err();
    assert!(
        matches!(&refused, IamError::Invalid { code, .. } if code == "SignatureDoesNotMatch"),
        "{refused:?}"
    );
    assert!(!format!("{refused:?} {iam:?}").contains("wrong-secret"));
}

#[tokio::test]
async fn accounts_of_the_organization_are_listed() {
    let moto = moto();
    let (_, iam) = clients(&moto.url(), moto.broker_keys()).await;
    let accounts = iam.organization_accounts("default").await.unwrap();
    let mut names: Vec<&str> = accounts
        .iter()
        .map(|account| account.name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["Payments", "Shop & co", "master"]);
    assert!(accounts.iter().all(|account| account.is_active));
    let unknown = iam.organization_accounts("nowhere").await.unwrap_err();
    assert!(matches!(unknown, IamError::Unavailable(_)));
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let moto = moto();
    let (sts, _) = clients(&moto.url(), moto.broker_keys()).await;
    let credentials = session(&sts, moto::ROLE_ARN).await;
    moto.stop();
    let (_, iam) = clients(&moto.url(), moto.broker_keys()).await;
    let gone = iam.role(&credentials, &arn("team/Told")).await.unwrap_err();
    assert!(matches!(gone, IamError::Unavailable(_)), "{gone:?}");
}
