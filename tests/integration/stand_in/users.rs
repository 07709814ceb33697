//! What the stand-in gives to IAM users without a role, MFA, and what goes on along a chain.

use aws_sdk_sts::operation::get_federation_token::builders::GetFederationTokenFluentBuilder;
use aws_sdk_sts::types::Credentials as Given;
use rolegate::demo::aws::{MfaDevice, StsAction};

use super::*;

const USER: &str = "arn:aws:iam::111111111111:user/tool";
const USER_KEY: &str = "AKIATOOL000000000000";
const OPEN: &str = "arn:aws:iam::111111111111:role/Open";
const GUARDED: &str = "arn:aws:iam::111111111111:role/Guarded";
const LAST: &str = "arn:aws:iam::111111111111:role/Last";
const DEVICE: &str = "arn:aws:iam::111111111111:mfa/tool";
const HARDWARE: &str = "GAHT12345678";
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;

fn virtual_device() -> MfaDevice {
    MfaDevice::Totp(b"a seed of twenty byt".to_vec())
}

fn user_catalogue() -> Catalogue {
    let codes = ["111111", "222222"].map(str::to_owned).to_vec();
    let trust = || Trust::of([USER, OPEN, GUARDED]).with_session_tags();
    let plain = "arn:aws:iam::111111111111:user/plain";
    Catalogue::default()
        .with_account(Account::new("111111111111", "One").without_region("eu-north-1"))
        .with_role(Role::new(OPEN, trust()))
        .with_role(Role::new(GUARDED, trust().with_mfa_required()))
        .with_role(Role::new(LAST, Trust::of([OPEN])))
        .with_principal(
            Principal::user(USER, USER_KEY, SECRET)
                .which_may_federate()
                .with_mfa_device(DEVICE, virtual_device())
                .with_mfa_device(HARDWARE, MfaDevice::Codes(codes)),
        )
        .with_principal(Principal::user(plain, "AKIAPLAIN00000000000", SECRET))
}

fn user_stand_in() -> StandIn {
    StandIn::start(user_catalogue(), ANY_PORT).expect("a free port on 127.0.0.1")
}

fn user(stand_in: &StandIn) -> Client {
    client(stand_in, keys(USER_KEY, SECRET, None), "eu-west-1")
}

fn holder(stand_in: &StandIn, given: &Given) -> Client {
    let token = Some(given.session_token());
    let keys = keys(given.access_key_id(), given.secret_access_key(), token);
    client(stand_in, keys, "eu-west-1")
}

async fn assumed(stand_in: &StandIn, caller: &Client, role: &str) -> Client {
    let answer = assume(caller, role).send().await.expect("is allowed");
    holder(stand_in, answer.credentials().expect("credentials"))
}

async fn federation_refusal(request: GetFederationTokenFluentBuilder) -> (u16, String, String) {
    describe(&request.send().await.expect_err("is refused"))
}

async fn console_of(stand_in: &StandIn, issued: &Issued, duration: Option<&str>) -> Page {
    match signin_token(stand_in, issued, duration).await {
        Ok(token) => {
            let browser = Browser::default();
            browser.open(login(stand_in, &token, CONSOLE)).await
        }
        Err((status, text)) => Page {
            status,
            hops: Vec::new(),
            text,
        },
    }
}

#[tokio::test]
async fn a_federated_user_opens_the_console_and_nothing_else_of_sts() {
    let stand_in = user_stand_in();
    let tag = Tag::builder().key("team").value("payments").build();
    let answer = user(&stand_in)
        .get_federation_token()
        .name("ada")
        .policy(POLICY)
        .tags(tag.expect("a tag"))
        .send()
        .await
        .expect("is allowed");
    let arn = "arn:aws:sts::111111111111:federated-user/ada";
    let federated = answer.federated_user().expect("a user");
    assert_eq!(federated.arn(), arn);
    assert_eq!(federated.federated_user_id(), "111111111111:ada");
    #[expect(deprecated, reason = "what stands in its place is not documented yet")]
    let packed = answer.packed_policy_size();
    assert!(packed.is_some_and(|size| size > 0));
    let issued = stand_in.issued().pop().expect("one session");
    assert_eq!(issued.action, StsAction::GetFederationToken);
    assert_eq!(issued.duration_seconds, 43_200);
    assert_eq!(
        (issued.arn.as_str(), issued.caller_arn.as_str()),
        (arn, USER)
    );
    assert!(issued.has_permissions && issued.role_arn.is_empty());

    let holder = holder(&stand_in, answer.credentials().expect("credentials"));
    let identity = holder.get_caller_identity().send().await.expect("is known");
    assert_eq!(identity.arn(), Some(arn));
    assert_eq!(identity.user_id(), Some("111111111111:ada"));
    assert_eq!(refusal(assume(&holder, OPEN)).await.1, "AccessDenied");
    let refused = federation_refusal(holder.get_federation_token().name("bob")).await;
    assert_eq!((refused.0, refused.1.as_str()), (403, "AccessDenied"));

    assert_eq!(
        console_of(&stand_in, &issued, Some("3600")).await.status,
        400
    );
    let page = console_of(&stand_in, &issued, None).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(page.element("role"), "federated user");
    assert_eq!(page.element("session-name"), "ada");
    assert_eq!(stand_in.sts_calls_of("GetFederationToken"), 2);
    assert_eq!(stand_in.sts_calls_of("AssumeRole"), 1);
}

#[tokio::test]
async fn a_federation_token_is_held_to_its_limits() {
    let stand_in = user_stand_in();
    let user = user(&stand_in);
    let named = |name: &str| user.get_federation_token().name(name);
    let tag = |key: &str| Tag::builder().key(key).value("v".repeat(200)).build();
    let many = (0..50)
        .map(|n| tag(&format!("k{n}")).expect("a tag"))
        .collect();
    let foreign = PolicyDescriptorType::builder().arn("arn:aws:iam::999999999999:policy/A");
    for (request, code, words) in vec![
        (user.get_federation_token(), "ValidationError", "'name'"),
        (named("a"), "ValidationError", "'name'"),
        (named("ada lovelace"), "ValidationError", "'name'"),
        (named(&"a".repeat(33)), "ValidationError", "'name'"),
        (named("ada").duration_seconds(899), "ValidationError", "900"),
        (
            named("ada").duration_seconds(129_601),
            "ValidationError",
            "129600",
        ),
        (named("ada").policy("{"), "MalformedPolicyDocument", ""),
        (
            named("ada").policy(" ".repeat(2_049)),
            "ValidationError",
            "'policy'",
        ),
        (
            named("ada").policy_arns(foreign.build()),
            "ValidationError",
            "not valid",
        ),
        (
            named("ada").set_tags(Some(many)),
            "PackedPolicyTooLarge",
            "%",
        ),
    ] {
        let (status, seen, message) = federation_refusal(request).await;
        assert_eq!((status, seen.as_str()), (400, code), "{message}");
        assert!(message.contains(words), "{message}");
    }
    named("ada")
        .duration_seconds(129_600)
        .send()
        .await
        .expect("36 hours");
    let issued = stand_in.issued().pop().expect("one session");
    assert!(!issued.has_permissions, "there was no policy");

    let plain = keys("AKIAPLAIN00000000000", SECRET, None);
    let plain = client(&stand_in, plain, "eu-west-1");
    let (_, code, message) = federation_refusal(plain.get_federation_token().name("ada")).await;
    assert_eq!(code, "AccessDenied");
    assert!(message.contains("sts:GetFederationToken"), "{message}");
    let north = client(&stand_in, keys(USER_KEY, SECRET, None), "eu-north-1");
    let refused = federation_refusal(north.get_federation_token().name("ada")).await;
    assert_eq!(refused.1, "RegionDisabledException");
    let role = assumed(&stand_in, &user, OPEN).await;
    let (status, code, message) = federation_refusal(role.get_federation_token().name("ada")).await;
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    assert_eq!(
        message,
        "Cannot call GetFederationToken with session credentials"
    );
}

#[tokio::test]
async fn a_users_session_assumes_roles_and_opens_no_console() {
    let stand_in = user_stand_in();
    let user = user(&stand_in);
    let answer = user.get_session_token().send().await.expect("is allowed");
    let issued = stand_in.issued().pop().expect("one session");
    assert_eq!(
        (issued.arn.as_str(), issued.duration_seconds),
        (USER, 43_200)
    );
    assert_eq!(console_of(&stand_in, &issued, None).await.status, 400);
    let session = holder(&stand_in, answer.credentials().expect("credentials"));
    let identity = session
        .get_caller_identity()
        .send()
        .await
        .expect("is known");
    assert_eq!(identity.arn(), Some(USER));

    assume(&session, OPEN).send().await.expect("is allowed");
    let chained = stand_in.issued().pop().expect("a second session");
    assert!(chained.is_chained, "the console has to know");
    assert_eq!(
        console_of(&stand_in, &chained, Some("900")).await.status,
        400
    );
    assert_eq!(console_of(&stand_in, &chained, None).await.status, 200);

    let role = assumed(&stand_in, &user, OPEN).await;
    for caller in [&session, &role] {
        let refused = caller.get_session_token().send().await;
        let (status, code, message) = describe(&refused.expect_err("is refused"));
        assert_eq!((status, code.as_str()), (403, "AccessDenied"));
        assert_eq!(
            message,
            "Cannot call GetSessionToken with session credentials"
        );
    }
    for seconds in [899, 129_601] {
        let refused = user
            .get_session_token()
            .duration_seconds(seconds)
            .send()
            .await;
        assert_eq!(
            describe(&refused.expect_err("is refused")).1,
            "ValidationError"
        );
    }
}

#[tokio::test]
async fn a_role_that_requires_mfa_takes_each_code_once() {
    let stand_in = user_stand_in();
    let user = user(&stand_in);
    let with = |serial: &str, code: &str| {
        let request = assume(&user, GUARDED).serial_number(serial);
        request.token_code(code)
    };
    let denied = async |request: AssumeRoleFluentBuilder, words: &str| {
        let (status, code, message) = refusal(request).await;
        assert_eq!((status, code.as_str()), (403, "AccessDenied"), "{message}");
        assert!(message.contains(words), "{message}");
    };
    denied(assume(&user, GUARDED), "sts:AssumeRole").await;
    denied(
        with(HARDWARE, "333333"),
        "with invalid MFA one time pass code. ",
    )
    .await;
    with(HARDWARE, "111111")
        .send()
        .await
        .expect("the code is right");
    assert!(stand_in.issued().pop().expect("one session").has_mfa);
    denied(
        with(HARDWARE, "111111"),
        "with invalid MFA one time pass code. ",
    )
    .await;
    with(HARDWARE, "222222")
        .send()
        .await
        .expect("the code is right");
    denied(
        with("GAHT99999999", "222222"),
        "unable to validate MFA code",
    )
    .await;
    denied(
        assume(&user, GUARDED).serial_number(HARDWARE),
        "must provide both",
    )
    .await;
    for code in ["12345", "12345x", "1234567"] {
        assert_eq!(refusal(with(HARDWARE, code)).await.1, "ValidationError");
    }
    let role = assumed(&stand_in, &user, OPEN).await;
    let of_role = assume(&role, OPEN).serial_number(HARDWARE);
    denied(of_role.token_code("111111"), "unable to validate MFA code").await;

    let shown = virtual_device().code_at(now());
    with(DEVICE, &shown)
        .send()
        .await
        .expect("the code is right");
    denied(
        with(DEVICE, &shown),
        "with invalid MFA one time pass code. ",
    )
    .await;
    let old = virtual_device().code_at(now() - Duration::minutes(5));
    denied(with(DEVICE, &old), "with invalid MFA one time pass code. ").await;
}

#[tokio::test]
async fn mfa_that_a_users_session_was_got_with_counts() {
    let stand_in = user_stand_in();
    let user = user(&stand_in);
    let without = user.get_session_token().send().await.expect("is allowed");
    let without = holder(&stand_in, without.credentials().expect("credentials"));
    assert_eq!(refusal(assume(&without, GUARDED)).await.1, "AccessDenied");
    let call = || user.get_session_token().serial_number(HARDWARE);
    let with = call().token_code("111111").send().await;
    let with = with.expect("the code is right");
    let with = holder(&stand_in, with.credentials().expect("credentials"));
    assume(&with, GUARDED).send().await.expect("MFA was proven");
    let again = call().token_code("111111").send().await;
    let (_, code, message) = describe(&again.expect_err("each code works once"));
    assert_eq!(code, "AccessDenied");
    assert!(message.contains("one time pass code"), "{message}");
}

#[tokio::test]
async fn transitive_tags_go_on_to_the_next_role_and_stay_as_they_are() {
    let stand_in = user_stand_in();
    let tag = |key: &str| Tag::builder().key(key).value("x").build().expect("a tag");
    let first = assume(&user(&stand_in), OPEN)
        .tags(tag("Team"))
        .tags(tag("desk"))
        .transitive_tag_keys("Team");
    let first = first.send().await.expect("is allowed");
    let first = holder(&stand_in, first.credentials().expect("credentials"));
    assume(&first, OPEN).send().await.expect("is allowed");
    let issued = stand_in.issued().pop().expect("a second session");
    assert_eq!(issued.tags, [("Team".to_owned(), "x".to_owned())]);
    let (_, code, message) = refusal(assume(&first, OPEN).tags(tag("team"))).await;
    assert_eq!(code, "ValidationError");
    assert!(message.contains("transitive tag"), "{message}");
    let (_, _, message) = refusal(assume(&first, LAST)).await;
    assert!(message.contains("sts:TagSession"), "{message}");
}

#[tokio::test]
async fn a_fraction_of_the_calls_or_those_for_one_role_can_fail() {
    let stand_in = user_stand_in();
    let user = user(&stand_in);
    stand_in.set_fault(Fault::Sts(StsFault::ThrottleEvery(3)));
    let mut throttled = Vec::new();
    for _ in 0..7 {
        let answer = assume(&user, OPEN).send().await;
        throttled.push(answer.is_err_and(|error| describe(&error).1 == "Throttling"));
    }
    assert_eq!(throttled, [false, false, true, false, false, true, false]);
    stand_in.set_fault(Fault::Sts(StsFault::AccessDenied));
    let refused = federation_refusal(user.get_federation_token().name("ada")).await;
    assert_eq!(refused.1, "AccessDenied");
    stand_in.clear_faults();
    stand_in.update(|catalogue| {
        let faulty = Role::new(GUARDED, Trust::of([USER]));
        let faulty = faulty.with_fault(StsFault::Throttle(1));
        *catalogue = std::mem::take(catalogue).with_role(faulty);
    });
    for _ in 0..2 {
        assert_eq!(refusal(assume(&user, GUARDED)).await.1, "Throttling");
        assume(&user, OPEN).send().await.expect("is another role");
    }
}
