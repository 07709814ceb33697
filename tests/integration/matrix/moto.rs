//! The same five calls against moto, which other people wrote.

use rolegate::{
    access::{GrantMethod, Role, Voucher},
    aws::{Proof, Sts as _, sts::SdkSts},
};

use crate::{
    issuer::issuer,
    sts_methods::{grant, role, sts_at, token},
    support::{
        moto::{self, Moto},
        saml::keys::KeyPair,
    },
};

const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;

fn of_issuer(method: GrantMethod) -> Role {
    let mut role = role(moto::ROLE_ARN, method);
    role.own.vouched_by = Some(Voucher::Issuer);
    role
}

async fn assumed(sts: &SdkSts, role: Role, proof: &Proof) -> (String, u32) {
    let issued = sts.issue(&grant(role, 3_600), proof).await.unwrap();
    assert!(!issued.credentials.access_key_id.is_empty());
    (issued.assumed_role_arn, issued.duration.seconds())
}

#[tokio::test]
async fn moto_answers_each_of_the_five_calls() {
    let moto = Moto::start();
    let keys = moto.broker_keys();
    let sts = sts_at(&moto.url(), &keys.id, &keys.secret).await;
    let account = moto::ACCOUNT_ID;
    let session = format!("arn:aws:sts::{account}:assumed-role/rolegate-target/ada");
    let federated = format!("arn:aws:sts::{account}:federated-user/uploads");
    let user = format!("arn:aws:iam::{account}:user/{}", moto::BROKER_USER);

    let vouched = of_issuer(GrantMethod::AssumeRoleWithSaml);
    let pair = KeyPair::rsa("issuer", 1);
    let recipient = "https://signin.aws.amazon.com/saml".parse().unwrap();
    let minted = issuer(&[&pair], &[])
        .assertion(&grant(vouched.clone(), 3_600), &recipient)
        .await
        .unwrap();
    let mut narrowed = role(&federated, GrantMethod::FederationToken);
    narrowed.session_policy = Some(POLICY.to_owned());

    for (role, proof, arn) in [
        (
            role(moto::ROLE_ARN, GrantMethod::AssumeRole),
            Proof::Own,
            session.clone(),
        ),
        (
            vouched,
            Proof::SamlResponse(minted.response),
            session.clone(),
        ),
        (
            of_issuer(GrantMethod::AssumeRoleWithWebIdentity),
            token("a.b.c", None),
            session,
        ),
        (
            narrowed,
            Proof::Own,
            format!("arn:aws:sts::{account}:federated-user/ada"),
        ),
        (
            role(&user, GrantMethod::SessionToken),
            Proof::Own,
            user.clone(),
        ),
    ] {
        let method = role.own.grant_method;
        let given = assumed(&sts, role, &proof).await;
        assert_eq!(given, (arn, 3_600), "{method:?}");
    }
}
