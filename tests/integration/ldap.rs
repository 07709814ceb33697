//! The LDAP connector against real slapd.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rolegate::{
    access::{Group, Identity},
    clock::SystemClock,
    identity::{
        PasswordConnector, RefreshError, Refusal, SignInError,
        ldap::{Attributes, Bind, Flavour, GroupStrategy, LdapConnector, Settings, SettingsError},
    },
};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::pem::PemObject};
use secrecy::SecretString;

use crate::support::{
    slapd::{
        BIND_DN, BIND_PASSWORD, GROUPS_OF_GRACE, SUFFIX, Slapd, SlapdOptions, group_dn,
        password_of, person_dn,
    },
    tcp_proxy::TcpProxy,
    tls::Authority,
};

/// Long enough for a loaded machine; what must end sooner is given its own limits.
const PATIENCE: Duration = Duration::from_secs(20);
const IMPATIENCE: Duration = Duration::from_millis(400);

pub(crate) fn settings(slapd: &Slapd) -> Settings {
    Settings {
        id: "corp".parse().unwrap(),
        label: "Corporate directory".to_owned(),
        urls: vec![slapd.ldaps_url().parse().unwrap()],
        start_tls: false,
        ca_pem: Some(fs::read(slapd.ca_pem_path()).unwrap()),
        bind: Bind::Service {
            dn: BIND_DN.to_owned(),
            password: SecretString::from(BIND_PASSWORD),
        },
        user_base: format!("ou=people,{SUFFIX}"),
        user_filter: "(&(objectClass=inetOrgPerson)(uid={username}))".to_owned(),
        attributes: Attributes {
            subject: "entryUUID".to_owned(),
            username: "uid".to_owned(),
            display_name: Some("cn".to_owned()),
            email: Some("mail".to_owned()),
        },
        group_strategy: GroupStrategy::Search,
        group_base: Some(format!("ou=groups,{SUFFIX}")),
        group_filter: "(&(objectClass=groupOfNames)(member={dn}))".to_owned(),
        nested_groups: true,
        nesting_limit: 10,
        group_limit: 200,
        page_size: 50,
        pool_size: 4,
        connect_timeout: PATIENCE,
        operation_timeout: PATIENCE,
        sign_in_timeout: PATIENCE * 3,
        flavour: Flavour::Other,
    }
}

pub(crate) fn connector(settings: Settings) -> LdapConnector {
    LdapConnector::new(settings, Arc::new(SystemClock)).unwrap()
}

fn usual(slapd: &Slapd) -> LdapConnector {
    connector(settings(slapd))
}

pub(crate) async fn sign_in(
    connector: &LdapConnector,
    username: &str,
    password: &str,
) -> Result<Identity, SignInError> {
    let candidate = connector.locate(username).await?;
    let password = SecretString::from(password);
    connector.verify(candidate, &password).await
}

/// Signs in with the right password.
async fn signed_in(connector: &LdapConnector, uid: &str) -> Identity {
    sign_in(connector, uid, &password_of(uid))
        .await
        .unwrap_or_else(|error| panic!("{uid} was not signed in: {error:?}"))
}

pub(crate) fn refusal(result: Result<Identity, SignInError>) -> Refusal {
    match result {
        Err(SignInError::Refused { cause, .. }) => cause,
        other => panic!("not a refusal: {other:?}"),
    }
}

/// Group names, and through which each was reached.
pub(crate) fn reached(groups: &[Group]) -> Vec<(String, Option<String>)> {
    let short = |dn: &str| {
        let dn: rolegate::access::Dn = dn.parse().unwrap();
        dn.leading_value().to_owned()
    };
    let mut reached: Vec<_> = groups
        .iter()
        .map(|group| {
            let through = group.through.as_ref().map(|key| short(key.value()));
            (short(&group.name), through)
        })
        .collect();
    reached.sort();
    reached
}

pub(crate) fn direct(name: &str) -> (String, Option<String>) {
    (name.to_owned(), None)
}

pub(crate) fn nested(name: &str, through: &str) -> (String, Option<String>) {
    (name.to_owned(), Some(through.to_owned()))
}

pub(crate) fn direct_bind(slapd: &Slapd) -> Settings {
    Settings {
        bind: Bind::Direct {
            template: format!("uid={{username}},ou=people,{SUFFIX}"),
        },
        ..settings(slapd)
    }
}

pub(crate) fn member_of(slapd: &Slapd) -> Settings {
    Settings {
        group_strategy: GroupStrategy::MemberOf,
        ..settings(slapd)
    }
}

/// Every wait is as short as a test may wait.
fn impatient(settings: Settings) -> Settings {
    Settings {
        connect_timeout: IMPATIENCE,
        operation_timeout: IMPATIENCE,
        sign_in_timeout: PATIENCE,
        ..settings
    }
}

/// Pauses the server and waits until every thread of it stands still: the signal is delivered to
/// one of them, and on a busy machine the others go on answering for a while.
fn pause(slapd: &Slapd) {
    slapd.pause();
    let address = slapd.ldaps_url();
    let processes: Vec<_> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|process| process.path())
        .filter(|path| {
            let command = fs::read(path.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(&address)
        })
        .collect();
    assert_eq!(processes.len(), 1, "one server has this address");
    let stands_still = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.contains("State:\tT")
    };
    let tasks = processes[0].join("task");
    while !fs::read_dir(&tasks).unwrap().flatten().all(stands_still) {
        thread::yield_now();
    }
}

/// Binds that the server has seen, whoever made them.
fn binds(slapd: &Slapd) -> usize {
    slapd.log().matches(" method=128").count()
}

// Encryption

#[tokio::test]
async fn people_sign_in_over_ldaps_and_start_tls() {
    let slapd = Slapd::shared();
    let identity = signed_in(&usual(slapd), "alice").await;
    assert_eq!(identity.connector.as_str(), "corp");
    assert_eq!(identity.username, "alice");
    assert_eq!(identity.display_name.as_deref(), Some("alice"));
    assert_eq!(identity.email.as_deref(), Some("alice@example.org"));
    assert_eq!(identity.entry_dn, Some(person_dn("alice")));
    assert_eq!(identity.subject.len(), 36, "an entryUUID");
    assert_eq!(
        reached(&identity.groups),
        [
            direct("aws-111111111111-admin"),
            direct("aws-111111111111-readonly"),
            direct("comma, inc (x)*"),
        ]
    );
    assert!(
        identity.groups.iter().all(|group| {
            group.key.as_str().starts_with("corp:cn=") && group.stable_id.is_some()
        })
    );

    let start_tls = connector(Settings {
        urls: vec![slapd.ldap_url().parse().unwrap()],
        start_tls: true,
        ..settings(slapd)
    });
    assert_eq!(
        signed_in(&start_tls, "alice").await.subject,
        identity.subject
    );
}

#[tokio::test]
async fn a_server_certificate_of_another_authority_is_refused() {
    let slapd = Slapd::shared();
    for (url, start_tls) in [(slapd.ldaps_url(), false), (slapd.ldap_url(), true)] {
        let distrustful = connector(Settings {
            urls: vec![url.parse().unwrap()],
            start_tls,
            ca_pem: Some(Authority::new().pem().as_bytes().to_vec()),
            ..settings(slapd)
        });
        let error = sign_in(&distrustful, "alice", &password_of("alice"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, SignInError::Unavailable(_)),
            "{url}: {error:?}"
        );
        let findings = distrustful.probe().await;
        assert!(findings[0].is_error);
        assert!(
            findings[0].message.contains("invalid peer certificate"),
            "{}",
            findings[0].message
        );
    }
}

#[tokio::test]
async fn a_server_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let (certificate, key) = authority.sign(&["other.example.org"], &[]);
    let certificate =
        rustls::pki_types::CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        acceptor.accept(stream).await.map(|_| ())
    });

    let misled = connector(Settings {
        urls: vec![format!("ldaps://127.0.0.1:{port}").parse().unwrap()],
        ca_pem: Some(authority.pem().as_bytes().to_vec()),
        ..settings(Slapd::shared())
    });
    let result = sign_in(&misled, "alice", "secret").await;
    assert!(
        matches!(result, Err(SignInError::Unavailable(_))),
        "{result:?}"
    );
    assert!(server.await.unwrap().is_err(), "the handshake must fail");
}

#[tokio::test]
async fn nothing_is_said_in_clear_when_start_tls_is_declined() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 256];
        let length = stream.read(&mut request).unwrap();
        // LDAPMessage 1, ExtendedResponse, unavailable (52).
        stream
            .write_all(b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00")
            .unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        (request[..length].to_vec(), rest)
    });
    let stripped = connector(Settings {
        urls: vec![format!("ldap://127.0.0.1:{port}").parse().unwrap()],
        start_tls: true,
        ..settings(Slapd::shared())
    });
    let result = sign_in(&stripped, "alice", "secret").await;
    assert!(
        matches!(result, Err(SignInError::Unavailable(_))),
        "{result:?}"
    );
    drop(stripped);
    let (request, rest) = server.join().unwrap();
    let asked = String::from_utf8_lossy(&request).into_owned();
    assert!(asked.contains("1.3.6.1.4.1.1466.20037"), "{asked:?}");
    assert_eq!(rest, b"", "nothing follows the refusal");
}

#[test]
fn settings_that_cannot_work_are_refused_with_the_reason() {
    let slapd = Slapd::shared();
    let refused = |settings: Settings| {
        let error = LdapConnector::new(settings, Arc::new(SystemClock)).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error} {}", source.unwrap_or_default())
    };
    let url = |url: &str| {
        refused(Settings {
            urls: vec![url.parse().unwrap()],
            ..settings(slapd)
        })
    };
    assert!(url("ldap://ldap.example.com").contains("use ldaps:// or start_tls = true"));
    assert!(url("ldap://10.0.0.1").contains("use ldaps://"));
    assert!(url("https://ldap.example.com").contains("ldaps:// nor ldap://"));
    assert!(url("ldaps:foo").contains("no host"));
    assert!(url("ldaps://u:p@ldap.example.com").contains("more than a scheme"));
    assert!(url("ldaps://ldap.example.com/dc=x").contains("more than a scheme"));
    assert!(url("ldaps://[2001:db8::1]").contains("write the host's name"));
    assert!(url("ldaps://a%00b").contains("neither a name nor an address"));

    let with = |change: fn(&mut Settings)| {
        let mut settings = settings(slapd);
        change(&mut settings);
        refused(settings)
    };
    assert!(with(|s| s.urls.clear()).contains("urls is empty"));
    assert!(with(|s| s.ca_pem = Some(b"no PEM".to_vec())).contains("no PEM certificate"));
    assert!(with(|s| s.user_base = "people".to_owned()).contains("user_base `people`"));
    assert!(with(|s| s.user_filter = "(uid=alice)".to_owned()).contains("{username}"));
    assert!(with(|s| s.user_filter = "(uid={username}".to_owned()).contains("not a search filter"));
    assert!(with(|s| s.user_filter = "(uid={user})".to_owned()).contains("`{user}`"));
    assert!(with(|s| s.group_base = None).contains("group_base"));
    assert!(with(|s| s.group_strategy = GroupStrategy::InChain).contains("Active Directory alone"));
    assert!(with(|s| s.page_size = 0).contains("page_size is 0"));
    assert!(with(|s| s.pool_size = 0).contains("pool_size is 0"));
    let anonymous = LdapConnector::new(
        Settings {
            bind: Bind::Service {
                dn: BIND_DN.to_owned(),
                password: SecretString::from(""),
            },
            ..settings(slapd)
        },
        Arc::new(SystemClock),
    );
    assert!(matches!(anonymous, Err(SettingsError::AnonymousBind)));
}

// Who is meant

#[tokio::test]
async fn every_spelling_of_a_name_is_the_same_person() {
    let connector = usual(Slapd::shared());
    let identity = signed_in(&connector, "u5").await;
    for typed in [" u5", "u5 ", "U5", " U5 "] {
        let candidate = connector.locate(typed).await.unwrap();
        assert_eq!(candidate.throttle_key, identity.subject, "{typed:?}");
        let same = sign_in(&connector, typed, &password_of("u5"))
            .await
            .unwrap();
        assert_eq!(
            (same.subject, same.username),
            (identity.subject.clone(), "u5".to_owned())
        );
    }
}

#[tokio::test]
async fn odd_names_of_real_people_sign_in() {
    let connector = usual(Slapd::shared());
    for uid in [
        "pat.o'brien",
        "sam+ops@example.org",
        "star*",
        "paren(t)",
        "comma, jr",
        r"back\slash",
    ] {
        let identity = signed_in(&connector, uid).await;
        assert_eq!(identity.username, uid);
        assert_eq!(reached(&identity.groups), [direct("odd-names")], "{uid}");
    }
    assert_eq!(
        reached(&signed_in(&connector, "zoë").await.groups),
        [direct("aws-111111111111-readonly")]
    );
    assert_eq!(signed_in(&connector, "j.r-smith_2").await.groups, []);
}

#[tokio::test]
async fn an_injection_is_one_escaped_search_that_finds_nobody() {
    let slapd = Slapd::start();
    let connector = usual(&slapd);
    let mut searches = slapd.searches();
    for (typed, logged) in [
        ("*", r"(uid=\2A)"),
        ("alice*", r"(uid=alice\2A)"),
        ("a)(uid=*", r"(uid=a\29\28uid=\2A)"),
        ("*)(|(uid=*", r"(uid=\2A\29\28|\28uid=\2A)"),
        (r"al\69ce", r"(uid=al\5C69ce)"),
        ("{dn}", "(uid={dn})"),
    ] {
        let result = sign_in(&connector, typed, "alice-pw").await;
        assert_eq!(refusal(result), Refusal::UnknownUser, "{typed}");
        searches += 1;
        assert_eq!(slapd.searches(), searches, "{typed}");
        let log = slapd.log();
        assert!(log.contains(logged), "{typed}: {log}");
    }
    let result = sign_in(&connector, "alice\0", "alice-pw").await;
    assert_eq!(refusal(result), Refusal::UnknownUser);
}

#[tokio::test]
async fn a_name_of_two_people_and_an_entry_without_a_name_are_refused() {
    let slapd = Slapd::start();
    let by_surname = connector(Settings {
        user_filter: "(sn={username})".to_owned(),
        ..settings(&slapd)
    });
    let before = binds(&slapd);
    let result = sign_in(&by_surname, "Example", "alice-pw").await;
    assert_eq!(refusal(result), Refusal::Ambiguous);
    assert_eq!(binds(&slapd) - before, 2, "the service account and nobody");

    let nameless = connector(Settings {
        attributes: Attributes {
            username: "employeeNumber".to_owned(),
            ..settings(&slapd).attributes
        },
        ..settings(&slapd)
    });
    let result = sign_in(&nameless, "alice", "alice-pw").await;
    assert_eq!(refusal(result), Refusal::IncompleteEntry);
}

#[tokio::test]
async fn an_unknown_name_costs_what_a_wrong_password_costs() {
    let slapd = Slapd::start();
    let connector = usual(&slapd);
    signed_in(&connector, "alice").await;

    let (searches, all) = (slapd.searches(), binds(&slapd));
    let result = sign_in(&connector, "alice", "wrong").await;
    assert_eq!(refusal(result), Refusal::WrongPassword);
    let of_known = (slapd.searches() - searches, binds(&slapd) - all);

    let (searches, all) = (slapd.searches(), binds(&slapd));
    let result = sign_in(&connector, "nobody", "wrong").await;
    assert_eq!(refusal(result), Refusal::UnknownUser);
    let of_unknown = (slapd.searches() - searches, binds(&slapd) - all);

    assert_eq!(of_known, (1, 1));
    assert_eq!(of_unknown, (1, 1));
}

#[tokio::test]
async fn a_sign_in_costs_two_searches_and_one_bind() {
    let slapd = Slapd::start();
    let connector = connector(Settings {
        nested_groups: false,
        ..settings(&slapd)
    });
    signed_in(&connector, "alice").await;
    let (searches, all) = (slapd.searches(), binds(&slapd));
    signed_in(&connector, "bob").await;
    assert_eq!((slapd.searches() - searches, binds(&slapd) - all), (2, 1));
}

// Passwords

#[tokio::test]
async fn an_empty_password_is_never_tried() {
    let slapd = Slapd::start_with(SlapdOptions {
        accepts_empty_passwords: true,
        ..SlapdOptions::default()
    });
    let (driver, mut ldap) = ldap3::LdapConnAsync::new(&slapd.ldap_url()).await.unwrap();
    ldap3::drive!(driver);
    let accepted = ldap.simple_bind(&person_dn("alice"), "").await.unwrap();
    assert_eq!(accepted.rc, 0, "this server takes it for an anonymous bind");

    let (by_service, direct) = (usual(&slapd), connector(direct_bind(&slapd)));
    let before = slapd.binds_as(&person_dn("alice"));
    for connector in [&by_service, &direct] {
        for password in ["", "\0", "\0alice-pw"] {
            let result = sign_in(connector, "alice", password).await;
            assert_eq!(refusal(result), Refusal::EmptyPassword, "{password:?}");
        }
    }
    assert_eq!(slapd.binds_as(&person_dn("alice")), before);
}

#[tokio::test]
async fn the_password_policy_is_told_after_the_right_password_alone() {
    let slapd = Slapd::start();
    let connector = usual(&slapd);
    assert_eq!(
        refusal(sign_in(&connector, "locked", "locked-pw").await),
        Refusal::Locked
    );
    assert_eq!(
        refusal(sign_in(&connector, "expired", "wrong").await),
        Refusal::WrongPassword
    );
    assert!(matches!(
        sign_in(&connector, "expired", "expired-pw").await,
        Err(SignInError::PasswordChangeRequired {
            is_expired: true,
            ..
        })
    ));
    assert_eq!(
        refusal(sign_in(&connector, "mustchange", "wrong").await),
        Refusal::WrongPassword
    );
    assert!(matches!(
        sign_in(&connector, "mustchange", "mustchange-pw").await,
        Err(SignInError::PasswordChangeRequired {
            is_expired: false,
            ..
        })
    ));
    // A connection on which a restricted person was bound serves the next one.
    signed_in(&connector, "alice").await;
    for _ in 0..3 {
        let result = sign_in(&connector, "bob", "wrong").await;
        assert_eq!(refusal(result), Refusal::WrongPassword);
    }
    assert_eq!(
        refusal(sign_in(&connector, "bob", "bob-pw").await),
        Refusal::Locked,
        "three failures lock"
    );
}

#[tokio::test]
async fn a_wrong_service_password_is_a_misconfiguration() {
    let slapd = Slapd::start();
    let connector = connector(Settings {
        bind: Bind::Service {
            dn: BIND_DN.to_owned(),
            password: SecretString::from("wrong"),
        },
        ..settings(&slapd)
    });
    let error = sign_in(&connector, "alice", "alice-pw").await.unwrap_err();
    assert!(matches!(error, SignInError::Misconfigured(_)), "{error:?}");
    assert!(
        connector.probe().await[0]
            .message
            .contains("service account")
    );
}

// Direct binds

#[tokio::test]
async fn people_sign_in_with_their_own_bind() {
    let slapd = Slapd::start();
    let connector = connector(direct_bind(&slapd));
    for uid in [
        "alice",
        "zoë",
        "sam+ops@example.org",
        "comma, jr",
        r"back\slash",
    ] {
        let candidate = connector.locate(uid).await.unwrap();
        assert_eq!((&candidate.entry, candidate.refusal), (&None, None));
        let identity = signed_in(&connector, uid).await;
        assert_eq!(identity.username, uid);
        assert!(!identity.groups.is_empty(), "{uid}");
    }
    assert_eq!(slapd.binds_as(BIND_DN), 0);
    assert_eq!(
        reached(&signed_in(&connector, "carol").await.groups),
        [
            nested("aws-222222222222-dev", "team-mid"),
            direct("team-leaf"),
            nested("team-mid", "team-leaf"),
        ]
    );
    let identity = signed_in(&connector, "alice").await;
    assert!(matches!(
        connector.refresh(&identity).await,
        Err(RefreshError::NotSupported)
    ));
    for typed in [
        "nobody",
        "",
        "alice,ou=people",
        "*",
        "alice,ou=people,dc=example,dc=org+uid=bob",
    ] {
        let refused = refusal(sign_in(&connector, typed, "alice-pw").await);
        assert!(
            matches!(refused, Refusal::WrongPassword | Refusal::UnknownUser),
            "{typed:?}: {refused}"
        );
    }
    assert!(matches!(
        sign_in(&connector, "mustchange", "mustchange-pw").await,
        Err(SignInError::PasswordChangeRequired { .. })
    ));
}

// Groups

#[tokio::test]
async fn nested_groups_are_followed_through_levels_cycles_and_diamonds() {
    let slapd = Slapd::shared();
    let connectors = [usual(slapd), connector(direct_bind(slapd))];
    for connector in &connectors {
        assert_eq!(
            reached(&signed_in(connector, "carol").await.groups),
            [
                nested("aws-222222222222-dev", "team-mid"),
                direct("team-leaf"),
                nested("team-mid", "team-leaf"),
            ]
        );
        assert_eq!(
            reached(&signed_in(connector, "erin").await.groups),
            [direct("loop-a"), nested("loop-b", "loop-a")]
        );
        let diamond = reached(&signed_in(connector, "frank").await.groups);
        assert_eq!(diamond.len(), 4, "{diamond:?}");
        assert_eq!(diamond[0], direct("diamond-bottom"));
        assert!(
            diamond[3] == nested("diamond-top", "diamond-left")
                || diamond[3] == nested("diamond-top", "diamond-right")
        );
    }
}

#[tokio::test]
async fn without_nesting_only_direct_groups_count() {
    let slapd = Slapd::shared();
    for settings in [settings(slapd), member_of(slapd)] {
        let connector = connector(Settings {
            nested_groups: false,
            ..settings
        });
        let groups = signed_in(&connector, "carol").await.groups;
        assert_eq!(reached(&groups), [direct("team-leaf")]);
        assert!(groups[0].stable_id.is_some());
    }
}

#[tokio::test]
async fn the_group_through_which_one_is_reached_is_the_right_one() {
    let slapd = Slapd::start();
    slapd.modify(&format!(
        "dn: {above}\nchangetype: add\nobjectClass: groupOfNames\ncn: above\nmember: {member}\n",
        above = group_dn("above"),
        member = group_dn("aws-111111111111-readonly"),
    ));
    for settings in [settings(&slapd), member_of(&slapd)] {
        let groups = signed_in(&connector(settings), "alice").await.groups;
        assert_eq!(
            reached(&groups)[0],
            nested("above", "aws-111111111111-readonly")
        );
        assert!(groups.iter().all(|group| group.stable_id.is_some()));
    }
}

#[tokio::test]
async fn member_of_gives_the_same_groups_as_a_search() {
    let slapd = Slapd::shared();
    let (by_search, by_member_of) = (usual(slapd), connector(member_of(slapd)));
    for uid in ["alice", "carol", "frank", "grace", "norole", "zoë", "star*"] {
        let keys = |identity: Identity| {
            let mut keys: Vec<_> = identity
                .groups
                .into_iter()
                .map(|group| (group.key, group.stable_id))
                .collect();
            keys.sort();
            keys
        };
        assert_eq!(
            keys(signed_in(&by_search, uid).await),
            keys(signed_in(&by_member_of, uid).await),
            "{uid}"
        );
    }
    let without_base = connector(Settings {
        group_base: None,
        nested_groups: false,
        ..member_of(slapd)
    });
    assert_eq!(
        reached(&signed_in(&without_base, "carol").await.groups),
        [direct("team-leaf")]
    );
    let elsewhere = connector(Settings {
        group_base: Some(format!("ou=policies,{SUFFIX}")),
        ..member_of(slapd)
    });
    assert_eq!(signed_in(&elsewhere, "carol").await.groups, []);
}

#[tokio::test]
async fn posix_groups_are_found_by_user_name() {
    let slapd = Slapd::shared();
    let connector = connector(Settings {
        group_strategy: GroupStrategy::Posix,
        group_filter: "(&(objectClass=posixGroup)(memberUid={username}))".to_owned(),
        ..settings(slapd)
    });
    assert_eq!(
        reached(&signed_in(&connector, "bob").await.groups),
        [direct("posix-ops")]
    );
    assert_eq!(signed_in(&connector, "carol").await.groups, []);
    assert_eq!(signed_in(&connector, "star*").await.groups, []);
}

#[tokio::test]
async fn many_groups_come_in_pages() {
    let slapd = Slapd::shared();
    let connector = connector(Settings {
        page_size: 7,
        group_limit: GROUPS_OF_GRACE,
        ..settings(slapd)
    });
    assert_eq!(
        signed_in(&connector, "grace").await.groups.len(),
        GROUPS_OF_GRACE
    );
}

#[tokio::test]
async fn half_a_group_list_is_none() {
    let slapd = Slapd::start();
    let unavailable = async |settings: Settings, uid: &str| -> String {
        match sign_in(&connector(settings), uid, &password_of(uid)).await {
            Err(SignInError::GroupsUnavailable { cause, .. }) => {
                let source = cause.source().map(ToString::to_string);
                format!("{cause}: {}", source.unwrap_or_default())
            }
            other => panic!("not a failure of the group search: {other:?}"),
        }
    };
    // More groups, or levels, than are allowed.
    let reason = unavailable(
        Settings {
            group_limit: GROUPS_OF_GRACE - 1,
            ..settings(&slapd)
        },
        "grace",
    )
    .await;
    assert!(reason.contains("more than 59"), "{reason}");
    for settings in [settings(&slapd), member_of(&slapd)] {
        let reason = unavailable(
            Settings {
                nesting_limit: 1,
                ..settings
            },
            "carol",
        )
        .await;
        assert!(reason.contains("more than 1 levels"), "{reason}");
    }
    let enough = connector(Settings {
        nesting_limit: 2,
        ..settings(&slapd)
    });
    assert_eq!(signed_in(&enough, "carol").await.groups.len(), 3);

    // A larger page than the server gives.
    let reason = unavailable(
        Settings {
            page_size: 5_000,
            ..settings(&slapd)
        },
        "grace",
    )
    .await;
    assert!(reason.contains("answered 11"), "{reason}");
    // A base that is not there.
    let reason = unavailable(
        Settings {
            group_base: Some(format!("ou=nowhere,{SUFFIX}")),
            ..settings(&slapd)
        },
        "alice",
    )
    .await;
    assert!(reason.contains("answered 32"), "{reason}");

    // Ordinary people get 500 entries, page by page, and then the limit is exceeded.
    let mut groups = String::new();
    for number in 0..450 {
        let dn = group_dn(&format!("more-{number}"));
        let member = person_dn("grace");
        writeln!(
            groups,
            "dn: {dn}\nchangetype: add\nobjectClass: groupOfNames\nmember: {member}\n"
        )
        .unwrap();
    }
    slapd.modify(&groups);
    let reason = unavailable(
        Settings {
            group_limit: 1_000,
            ..direct_bind(&slapd)
        },
        "grace",
    )
    .await;
    assert!(reason.contains("answered 4 "), "{reason}");
}

// Reading again

#[tokio::test]
async fn a_removed_member_and_a_deleted_person_are_seen() {
    let slapd = Slapd::start();
    let connector = usual(&slapd);
    let identity = signed_in(&connector, "alice").await;

    slapd.remove_member("aws-111111111111-readonly", "alice");
    let refreshed = connector.refresh(&identity).await.unwrap();
    assert_eq!(
        reached(&refreshed.groups),
        [direct("aws-111111111111-admin"), direct("comma, inc (x)*")]
    );
    assert_eq!(refreshed.authenticated_at, identity.authenticated_at);
    assert!(refreshed.groups_read_at > identity.groups_read_at);

    slapd.add_member("aws-111111111111-readonly", "alice");
    assert_eq!(connector.refresh(&identity).await.unwrap().groups.len(), 3);

    // The same person under another name.
    slapd.modify(&format!(
        "dn: {}\nchangetype: modrdn\nnewrdn: uid=alison\ndeleteoldrdn: 1\n",
        person_dn("alice")
    ));
    let renamed = connector.refresh(&identity).await.unwrap();
    assert_eq!(
        (renamed.subject, renamed.username.as_str()),
        (identity.subject.clone(), "alison")
    );

    slapd.modify(&format!(
        "dn: {}\nchangetype: delete\n",
        person_dn("alison")
    ));
    assert!(matches!(
        connector.refresh(&identity).await,
        Err(RefreshError::Gone)
    ));

    let identity = signed_in(&connector, "bob").await;
    slapd.modify(&format!(
        "dn: {}\nchangetype: modify\nreplace: pwdAccountLockedTime\npwdAccountLockedTime: \
         000001010000Z\n",
        person_dn("bob")
    ));
    assert!(matches!(
        connector.refresh(&identity).await,
        Err(RefreshError::Gone)
    ));
}

#[tokio::test]
async fn people_are_looked_up_without_their_password() {
    let slapd = Slapd::shared();
    let connector = usual(slapd);
    let identity = connector.look_up(" Carol").await.unwrap().unwrap();
    assert_eq!(identity.username, "carol");
    assert_eq!(identity.groups.len(), 3);
    assert_eq!(connector.look_up("nobody").await.unwrap(), None);
    assert_eq!(connector.look_up("*").await.unwrap(), None);
}

#[tokio::test]
async fn a_probe_says_what_works() {
    let slapd = Slapd::shared();
    let findings = usual(slapd).probe().await;
    assert_eq!(findings.len(), 1);
    let finding = &findings[0];
    assert!(!finding.is_error, "{}", finding.message);
    assert_eq!(finding.about, slapd.ldaps_url());
    assert!(finding.message.contains("certificate valid for"));

    let lost = connector(Settings {
        user_base: format!("ou=nowhere,{SUFFIX}"),
        ..settings(slapd)
    });
    let finding = &lost.probe().await[0];
    assert!(finding.is_error);
    assert!(
        finding.message.contains("`ou=nowhere,"),
        "{}",
        finding.message
    );
}

// What operators see

#[tokio::test]
async fn metrics_and_logs_tell_of_failures_and_neither_names_nor_passwords() {
    let slapd = Slapd::start();
    let connector = connector(impatient(settings(&slapd)));
    let fail_once = async || {
        signed_in(&connector, "alice").await;
        let _ = sign_in(&connector, "typed-name", "typed-password").await;
        slapd.stop();
        let error = sign_in(&connector, "typed-name", "typed-password").await;
        slapd.restart();
        signed_in(&connector, "alice").await;
        error
    };
    // A place that logs for the first time asks the subscriber of its own thread whether it is
    // wanted, for all threads; other tests have none. So it logs once before it is asked again.
    let _ = fail_once().await;

    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    tracing::callsite::rebuild_interest_cache();
    let error = fail_once().await;

    let metrics = recorder.handle().render();
    let url = slapd.ldaps_url();
    for expected in [
        format!("rolegate_ldap_up{{connector=\"corp\",url=\"{url}\"}} 1"),
        "operation=\"search\",outcome=\"ok\"".to_owned(),
        "operation=\"search\",outcome=\"unreachable\"".to_owned(),
        "operation=\"user_bind\",outcome=\"ok\"".to_owned(),
        "rolegate_ldap_operation_seconds".to_owned(),
    ] {
        assert!(
            metrics.contains(&expected),
            "{expected} is not in {metrics}"
        );
    }
    let log = log.text();
    assert_eq!(log.matches("a directory server failed").count(), 1, "{log}");
    assert!(log.contains("a directory server answers again"), "{log}");
    let said = format!("{log}{metrics}{error:?}{connector:?}");
    for secret in ["typed-name", "typed-password", "alice-pw", BIND_PASSWORD] {
        assert!(!said.contains(secret), "{secret} is in {said}");
    }
}

/// What was logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// Faults

/// The usual connector with a proxy in front of the server.
fn behind(proxy: &TcpProxy, slapd: &Slapd) -> Settings {
    Settings {
        urls: vec![format!("ldaps://{}", proxy.address()).parse().unwrap()],
        ..settings(slapd)
    }
}

#[tokio::test]
async fn connections_are_kept_and_replaced_when_they_were_cut() {
    let slapd = Slapd::start();
    let proxy = TcpProxy::to(slapd.ldaps_address());
    let connector = connector(behind(&proxy, &slapd));
    for _ in 0..5 {
        signed_in(&connector, "alice").await;
    }
    assert_eq!(proxy.accepted(), 2, "one to search, one to bind");
    for _ in 0..3 {
        proxy.cut();
        signed_in(&connector, "alice").await;
    }
}

#[tokio::test]
async fn a_dead_directory_is_unavailable_until_it_is_back() {
    let slapd = Slapd::start();
    let connector = usual(&slapd);
    let identity = signed_in(&connector, "alice").await;
    for _ in 0..2 {
        slapd.stop();
        let result = sign_in(&connector, "alice", "alice-pw").await;
        assert!(
            matches!(result, Err(SignInError::Unavailable(_))),
            "{result:?}"
        );
        assert!(matches!(
            connector.refresh(&identity).await,
            Err(RefreshError::Unavailable(_))
        ));
        slapd.restart();
        signed_in(&connector, "alice").await;
        connector.refresh(&identity).await.unwrap();
    }
}

#[tokio::test]
async fn a_silent_directory_is_given_up_and_found_again() {
    let slapd = Slapd::start();
    let connector = connector(impatient(settings(&slapd)));
    signed_in(&connector, "alice").await;
    let candidate = connector.locate("alice").await.unwrap();
    pause(&slapd);
    let result = sign_in(&connector, "alice", "alice-pw").await;
    assert!(
        matches!(result, Err(SignInError::Unavailable(_))),
        "{result:?}"
    );
    let password = SecretString::from("alice-pw");
    let result = connector.verify(candidate, &password).await;
    assert!(
        matches!(result, Err(SignInError::Unavailable(_))),
        "{result:?}"
    );
    slapd.resume();
    signed_in(&connector, "alice").await;
}

#[tokio::test]
async fn all_waiting_ends_with_the_time_for_a_sign_in() {
    let slapd = Slapd::start();
    let connector = Arc::new(connector(Settings {
        pool_size: 1,
        connect_timeout: PATIENCE * 100,
        operation_timeout: PATIENCE * 100,
        sign_in_timeout: IMPATIENCE,
        ..settings(&slapd)
    }));
    pause(&slapd);
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let connector = Arc::clone(&connector);
            tokio::spawn(async move { sign_in(&connector, "alice", "alice-pw").await })
        })
        .collect();
    for sign_in in waiting {
        let result = tokio::time::timeout(PATIENCE, sign_in)
            .await
            .expect("the sign-in ends");
        assert!(matches!(result.unwrap(), Err(SignInError::Unavailable(_))));
    }
}

#[tokio::test]
async fn the_next_server_takes_over_and_gives_back() {
    let slapd = Slapd::start();
    let first = TcpProxy::to(slapd.ldaps_address());
    let connector = connector(impatient(Settings {
        urls: vec![
            format!("ldaps://{}", first.address()).parse().unwrap(),
            slapd.ldaps_url().parse().unwrap(),
        ],
        ..settings(&slapd)
    }));
    signed_in(&connector, "alice").await;
    assert_eq!(first.accepted(), 2, "the first in order comes first");

    first.refuse();
    signed_in(&connector, "alice").await;
    first.hang();
    for _ in 0..3 {
        signed_in(&connector, "alice").await;
    }
    let findings = connector.probe().await;
    assert_eq!(
        findings.iter().map(|f| f.is_error).collect::<Vec<_>>(),
        [true, false]
    );

    first.heal();
    let carried = first.bytes_to_client();
    let returned = async {
        while first.bytes_to_client() == carried {
            signed_in(&connector, "alice").await;
        }
    };
    tokio::time::timeout(PATIENCE * 3, returned)
        .await
        .expect("the first server is used again");
}

#[tokio::test]
async fn a_group_search_that_breaks_refuses_the_sign_in() {
    let slapd = Slapd::start();
    let connector = connector(impatient(settings(&slapd)));
    let candidate = connector.locate("alice").await.unwrap();
    signed_in(&connector, "alice").await;
    // The bind still works; the service account does not.
    slapd.modify(&format!(
        "dn: {BIND_DN}\nchangetype: modify\nreplace: userPassword\nuserPassword: changed\n"
    ));
    slapd.restart();
    let password = SecretString::from("alice-pw");
    let result = connector.verify(candidate, &password).await;
    assert!(
        matches!(result, Err(SignInError::GroupsUnavailable { .. })),
        "{result:?}"
    );
}
