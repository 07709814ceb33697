//! Shows that the servers the tests start are real and answer as the real ones do.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sts::config::Credentials;
use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapResult, Scope, SearchEntry,
    adapters::{Adapter, EntriesOnly, PagedResults},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    browser::run_browser_script,
    moto::{self, AccessKey, Moto},
    samba::{self, Samba},
    slapd::{self, Slapd, SlapdOptions},
    tcp_proxy::TcpProxy,
    tls::{self, Authority},
};

const INVALID_CREDENTIALS: u32 = 49;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const UNWILLING_TO_PERFORM: u32 = 53;

async fn connect(url: &str, ca_pem_path: &std::path::Path) -> ldap3::result::Result<Ldap> {
    let settings = LdapConnSettings::new()
        .set_conn_timeout(Duration::from_secs(10))
        .set_starttls(url.starts_with("ldap:"))
        .set_config(tls::client_trusting(ca_pem_path));
    let (connection, ldap) = LdapConnAsync::with_settings(settings, url).await?;
    ldap3::drive!(connection);
    Ok(ldap)
}

async fn slapd_bind(slapd: &Slapd, dn: &str, password: &str) -> LdapResult {
    let mut ldap = connect(&slapd.ldaps_url(), slapd.ca_pem_path())
        .await
        .expect("slapd answers");
    ldap.with_controls(ldap3::controls::RawControl {
        ctype: "1.3.6.1.4.1.42.2.27.8.5.1".to_owned(),
        crit: false,
        val: None,
    })
    .simple_bind(dn, password)
    .await
    .expect("slapd answers the bind")
}

/// The error number of the password policy's control; `None` when it reports no error.
fn policy_error(result: &LdapResult) -> Option<u8> {
    let control = result
        .ctrls
        .iter()
        .find(|control| control.1.ctype.ends_with("42.2.27.8.5.1"))?;
    let value = control.1.val.as_deref()?;
    // PasswordPolicyResponseValue ::= SEQUENCE { warning [0] …, error [1] ENUMERATED OPTIONAL }
    value
        .windows(3)
        .find(|bytes| bytes[..2] == [0x81, 1])
        .map(|bytes| bytes[2])
}

async fn service_connection(slapd: &Slapd) -> Ldap {
    let mut ldap = connect(&slapd.ldaps_url(), slapd.ca_pem_path())
        .await
        .expect("slapd answers");
    ldap.simple_bind(slapd::BIND_DN, slapd::BIND_PASSWORD)
        .await
        .and_then(LdapResult::success)
        .expect("the service account binds");
    ldap
}

async fn names(ldap: &mut Ldap, base: &str, filter: &str) -> Vec<String> {
    let (entries, _) = ldap
        .search(base, Scope::Subtree, filter, ["cn"])
        .await
        .expect("the directory answers")
        .success()
        .expect("the search succeeds");
    let mut names: Vec<String> = entries
        .into_iter()
        .filter(|entry| !entry.is_ref())
        .map(|entry| {
            SearchEntry::construct(entry)
                .attrs
                .remove("cn")
                .expect("cn")
                .remove(0)
        })
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn slapd_binds_a_person_over_ldaps_and_start_tls() {
    let slapd = Slapd::shared();
    for url in [slapd.ldaps_url(), slapd.ldap_url()] {
        let mut ldap = connect(&url, slapd.ca_pem_path())
            .await
            .expect("slapd answers");
        let bound = ldap
            .simple_bind(&slapd::person_dn("alice"), "alice-pw")
            .await
            .expect("bind");
        assert_eq!(bound.rc, 0, "over {url}");
    }
}

#[tokio::test]
async fn slapd_is_not_trusted_under_another_authority() {
    let slapd = Slapd::shared();
    let dir = tempfile::tempdir().expect("a folder");
    let other = Authority::new().write_server_files(dir.path(), &[]);
    assert!(connect(&slapd.ldaps_url(), &other.ca).await.is_err());
}

#[tokio::test]
async fn slapd_knows_every_person_by_an_escaped_name() {
    let slapd = Slapd::shared();
    let mut ldap = service_connection(slapd).await;
    for uid in [
        "zoë",
        "pat.o'brien",
        "sam+ops@example.org",
        "star*",
        "paren(t)",
        "comma, jr",
        r"back\slash",
    ] {
        let filter = format!("(uid={})", ldap3::ldap_escape(uid));
        let (entries, _) = ldap
            .search(slapd::SUFFIX, Scope::Subtree, &filter, ["uid"])
            .await
            .expect("slapd answers")
            .success()
            .expect("the search succeeds");
        assert_eq!(entries.len(), 1, "{uid}");
        let dn = SearchEntry::construct(entries.into_iter().next().expect("one")).dn;
        assert_eq!(
            slapd_bind(slapd, &dn, &slapd::password_of(uid)).await.rc,
            0,
            "{dn}"
        );
    }
}

#[tokio::test]
async fn slapd_tells_the_state_of_a_password_in_a_control() {
    let slapd = Slapd::start();
    let (password_expired, account_locked, change_after_reset) = (Some(0), Some(1), Some(2));
    let mut seen = Vec::new();
    for uid in ["alice", "locked", "mustchange", "expired"] {
        let bound = slapd_bind(&slapd, &slapd::person_dn(uid), &slapd::password_of(uid)).await;
        seen.push((uid, bound.rc, policy_error(&bound)));
    }
    assert_eq!(
        seen,
        [
            ("alice", 0, None),
            ("locked", INVALID_CREDENTIALS, account_locked),
            ("mustchange", 0, change_after_reset),
            ("expired", INVALID_CREDENTIALS, password_expired),
        ]
    );
    let wrong = slapd_bind(&slapd, &slapd::person_dn("bob"), "wrong").await;
    assert_eq!(
        (wrong.rc, policy_error(&wrong)),
        (INVALID_CREDENTIALS, None)
    );
}

#[tokio::test]
async fn slapd_limits_searches_without_paging_alone() {
    let slapd = Slapd::shared();
    let mut ldap = service_connection(slapd).await;
    let filter = format!("(member={})", slapd::person_dn("grace"));

    let unpaged = ldap
        .search(slapd::SUFFIX, Scope::Subtree, &filter, ["cn"])
        .await
        .expect("answer");
    assert_eq!(
        (unpaged.1.rc, unpaged.0.len()),
        (SIZE_LIMIT_EXCEEDED, slapd::UNPAGED_SIZE_LIMIT)
    );

    let adapters: Vec<Box<dyn Adapter<_, _>>> = vec![
        Box::new(EntriesOnly::new()),
        Box::new(PagedResults::new(25)),
    ];
    let mut paged = ldap
        .streaming_search_with(adapters, slapd::SUFFIX, Scope::Subtree, &filter, ["cn"])
        .await
        .expect("slapd answers");
    let mut count = 0;
    while paged.next().await.expect("slapd answers").is_some() {
        count += 1;
    }
    assert_eq!(
        (paged.finish().await.rc, count),
        (0, slapd::GROUPS_OF_GRACE)
    );
}

#[tokio::test]
async fn slapd_has_direct_groups_of_every_kind() {
    let slapd = Slapd::shared();
    let mut ldap = service_connection(slapd).await;
    let alice = slapd::person_dn("alice");
    let direct = names(&mut ldap, slapd::SUFFIX, &format!("(member={alice})")).await;
    assert_eq!(
        direct,
        [
            "aws-111111111111-admin",
            "aws-111111111111-readonly",
            "comma, inc (x)*"
        ]
    );
    assert_eq!(
        names(&mut ldap, slapd::SUFFIX, "(memberUid=alice)").await,
        ["posix-ops"]
    );
    let unique = format!("(uniqueMember={})", slapd::person_dn("bob"));
    assert_eq!(
        names(&mut ldap, slapd::SUFFIX, &unique).await,
        ["unique-ops"]
    );
    let member_of = format!(
        "(&(uid=alice)(memberOf={}))",
        slapd::group_dn("aws-111111111111-admin")
    );
    assert_eq!(names(&mut ldap, slapd::SUFFIX, &member_of).await, ["alice"]);
    let (everyone, _) = ldap
        .search(
            &slapd::group_dn("everyone"),
            Scope::Base,
            "(cn=*)",
            ["member"],
        )
        .await
        .expect("slapd answers")
        .success()
        .expect("the search succeeds");
    let members =
        &SearchEntry::construct(everyone.into_iter().next().expect("one")).attrs["member"];
    assert_eq!(members.len(), slapd::CROWD);
}

#[tokio::test]
async fn slapd_changes_a_group_and_counts_searches() {
    let slapd = Slapd::start();
    let mut ldap = service_connection(&slapd).await;
    slapd.remove_member("aws-111111111111-readonly", "alice");
    slapd.add_member("team-leaf", "alice");
    let before = slapd.searches();
    let filter = format!("(member={})", slapd::person_dn("alice"));
    let direct = names(&mut ldap, slapd::SUFFIX, &filter).await;
    assert_eq!(
        direct,
        ["aws-111111111111-admin", "comma, inc (x)*", "team-leaf"]
    );
    assert_eq!(slapd.searches() - before, 1);
    assert_eq!(slapd.binds_as(slapd::BIND_DN), 1);
}

#[tokio::test]
async fn slapd_refuses_an_empty_password_unless_told_to_accept_it() {
    let alice = slapd::person_dn("alice");
    let usual = slapd_bind(Slapd::shared(), &alice, "").await;
    assert_eq!(usual.rc, UNWILLING_TO_PERFORM);
    let careless = Slapd::start_with(SlapdOptions {
        accepts_empty_passwords: true,
        ..SlapdOptions::default()
    });
    assert_eq!(slapd_bind(&careless, &alice, "").await.rc, 0);
}

#[tokio::test]
async fn slapd_comes_back_on_the_same_port_with_the_same_data() {
    let slapd = Slapd::start();
    slapd.add_member("team-leaf", "dave");
    slapd.stop();
    assert!(
        connect(&slapd.ldaps_url(), slapd.ca_pem_path())
            .await
            .is_err()
    );
    slapd.restart();
    let mut ldap = service_connection(&slapd).await;
    let filter = format!("(&(cn=team-leaf)(member={}))", slapd::person_dn("dave"));
    assert_eq!(
        names(&mut ldap, slapd::SUFFIX, &filter).await,
        ["team-leaf"]
    );
}

#[tokio::test]
async fn slapd_answers_nothing_while_it_is_paused() {
    let slapd = Slapd::start();
    let mut ldap = service_connection(&slapd).await;
    slapd.pause();
    let bounded = ldap
        .with_timeout(Duration::from_millis(200))
        .search(slapd::SUFFIX, Scope::Base, "(objectClass=*)", ["dc"])
        .await;
    assert!(bounded.is_err());
    slapd.resume();
    service_connection(&slapd).await;
}

async fn samba_bind(name: &str, password: &str) -> LdapResult {
    let samba = Samba::shared();
    let mut ldap = connect(&samba.ldaps_url(), samba.ca_pem_path())
        .await
        .expect("Samba answers");
    ldap.simple_bind(name, password)
        .await
        .expect("Samba answers the bind")
}

#[tokio::test]
async fn samba_binds_by_dn_principal_name_and_account_name() {
    if !Samba::available() {
        return;
    }
    for name in [
        &samba::person_dn("alice"),
        "alice@example.test",
        r"EXAMPLE\alice",
    ] {
        assert_eq!(samba_bind(name, "alice-pw").await.rc, 0, "{name}");
    }
    let samba = Samba::shared();
    let mut ldap = connect(&samba.ldap_url(), samba.ca_pem_path())
        .await
        .expect("StartTLS");
    assert_eq!(
        ldap.simple_bind("bob@example.test", "bob-pw")
            .await
            .expect("bind")
            .rc,
        0
    );
}

#[tokio::test]
async fn samba_gives_the_reason_of_a_refusal_as_a_sub_code() {
    if !Samba::available() {
        return;
    }
    for (name, password, sub_code) in [
        ("alice", "wrong", "52e"),
        ("nobody", "nobody-pw", "52e"),
        ("disabled", "disabled-pw", "533"),
        ("expired", "expired-pw", "532"),
        ("accountexpired", "accountexpired-pw", "701"),
        ("mustchange", "mustchange-pw", "773"),
        ("locked", "locked-pw", "775"),
    ] {
        let refused = samba_bind(&format!("{name}@example.test"), password).await;
        assert_eq!(refused.rc, INVALID_CREDENTIALS, "{name}");
        let marker = format!("data {sub_code},");
        assert!(
            refused.text.contains(&marker),
            "{name}: {} has no {marker}",
            refused.text
        );
    }
}

#[tokio::test]
async fn samba_follows_nested_groups_in_one_search() {
    if !Samba::available() {
        return;
    }
    let samba = Samba::shared();
    let mut ldap = connect(&samba.ldaps_url(), samba.ca_pem_path())
        .await
        .expect("Samba answers");
    ldap.simple_bind(samba::BIND_DN, samba::BIND_PASSWORD)
        .await
        .and_then(LdapResult::success)
        .expect("the service account binds");
    let in_chain = |name| {
        format!(
            "(member:1.2.840.113556.1.4.1941:={})",
            samba::person_dn(name)
        )
    };
    let groups = names(&mut ldap, samba::SUFFIX, &in_chain("carol")).await;
    assert_eq!(groups, ["aws-111111111111-admin", "team-leaf", "team-mid"]);
    assert_eq!(
        names(&mut ldap, samba::SUFFIX, &in_chain("dave")).await,
        ["loop-a", "loop-b"]
    );
}

async fn sts(moto: &Moto, key: &AccessKey) -> aws_sdk_sts::Client {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(moto.url())
        .credentials_provider(Credentials::new(&key.id, &key.secret, None, None, "test"))
        .load()
        .await;
    aws_sdk_sts::Client::new(&config)
}

#[tokio::test]
async fn moto_checks_signatures_and_identity_policies() {
    let moto = Moto::start_with_signatures();

    let broker = sts(&moto, moto.broker_keys()).await;
    let caller = broker
        .get_caller_identity()
        .send()
        .await
        .expect("the key is known");
    let user_arn = format!(
        "arn:aws:iam::{}:user/{}",
        moto::ACCOUNT_ID,
        moto::BROKER_USER
    );
    assert_eq!(caller.arn(), Some(user_arn.as_str()));

    let assume = |client: &aws_sdk_sts::Client, role: &str| {
        client
            .assume_role()
            .role_arn(role)
            .role_session_name("alice")
    };
    let session = assume(&broker, moto::ROLE_ARN)
        .send()
        .await
        .expect("trusted");
    assert!(
        session
            .credentials()
            .expect("credentials")
            .access_key_id()
            .starts_with("ASIA")
    );
    let guarded = assume(&broker, moto::GUARDED_ROLE_ARN).external_id(moto::EXTERNAL_ID);
    guarded.send().await.expect("trusted with the external id");

    let powerless = sts(&moto, moto.powerless_keys()).await;
    let forged = AccessKey {
        secret: "wrong".to_owned(),
        ..moto.broker_keys().clone()
    };
    let unknown = AccessKey {
        id: "AKIAUNKNOWN".to_owned(),
        secret: "any".to_owned(),
    };
    let wrong_id = assume(&broker, moto::GUARDED_ROLE_ARN)
        .external_id("wrong")
        .send()
        .await;
    assert_eq!(
        wrong_id
            .expect_err("a wrong id")
            .raw_response()
            .expect("an answer")
            .status()
            .as_u16(),
        403
    );
    for (client, role, code) in [
        (&powerless, moto::ROLE_ARN, "AccessDenied"),
        (
            &sts(&moto, &forged).await,
            moto::ROLE_ARN,
            "SignatureDoesNotMatch",
        ),
        (
            &sts(&moto, &unknown).await,
            moto::ROLE_ARN,
            "InvalidClientTokenId",
        ),
    ] {
        let refused = assume(client, role).send().await.expect_err(code);
        let answer = refused.raw_response().expect("an answer");
        assert_eq!(answer.status().as_u16(), 403);
        let body = String::from_utf8_lossy(answer.body().bytes().expect("read")).into_owned();
        assert!(body.contains(&format!("<Code>{code}</Code>")), "{body}");
    }
}

#[tokio::test]
async fn moto_believes_every_caller_by_default() {
    let moto = Moto::start();
    let unknown = AccessKey {
        id: "AKIAUNKNOWN".to_owned(),
        secret: "any".to_owned(),
    };
    sts(&moto, &unknown)
        .await
        .get_caller_identity()
        .send()
        .await
        .expect("believed");
    assert!(moto.log().contains("POST / HTTP/1.1"));
}

#[tokio::test]
async fn browser_is_driven_and_judged() {
    assert_eq!(
        run_browser_script("self_test", &[]).await,
        "the browser works\n"
    );
}

async fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"ping").await?;
    stream.read_exact(&mut [0; 4]).await.map(drop)
}

#[tokio::test]
async fn proxy_breaks_and_heals_connections() {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let proxy = TcpProxy::to(upstream.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = upstream.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });

    let mut healthy = TcpStream::connect(proxy.address()).await.expect("healthy");
    echo(&mut healthy).await.expect("carried");
    assert_eq!((proxy.accepted(), proxy.open()), (1, 1));
    assert_eq!((proxy.bytes_to_upstream(), proxy.bytes_to_client()), (4, 4));

    proxy.cut();
    assert!(echo(&mut healthy).await.is_err());

    proxy.hang();
    let mut hanging = TcpStream::connect(proxy.address()).await.expect("accepted");
    let limit = Duration::from_millis(100);
    hanging.write_all(b"pi").await.expect("the kernel takes it");
    assert!(
        tokio::time::timeout(limit, hanging.read_u8())
            .await
            .is_err()
    );
    proxy.heal();
    assert_eq!(hanging.read_u8().await.expect("delivered late"), b'p');

    proxy.refuse();
    let refused = TcpStream::connect(proxy.address())
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.heal();
    let mut healed = TcpStream::connect(proxy.address()).await.expect("healed");
    echo(&mut healed).await.expect("carried");
}
