//! The LDAP connector against Samba as an Active Directory domain controller.

use std::{fs, sync::Arc, time::Duration};

use rolegate::{
    clock::SystemClock,
    identity::{
        PasswordConnector, RefreshError, Refusal, SignInError,
        ldap::{Attributes, Bind, Flavour, GroupStrategy, LdapConnector, Settings},
    },
};
use secrecy::SecretString;

use crate::{
    ldap::{direct, nested, reached, refusal, sign_in},
    support::samba::{BIND_DN, BIND_PASSWORD, SUFFIX, Samba, UPN_SUFFIX, password_of, person_dn},
};

pub(crate) fn settings(samba: &Samba) -> Settings {
    let limit = Duration::from_secs(30);
    Settings {
        id: "corp".parse().unwrap(),
        label: "Active Directory".to_owned(),
        urls: vec![samba.ldaps_url().parse().unwrap()],
        start_tls: false,
        ca_pem: Some(fs::read(samba.ca_pem_path()).unwrap()),
        bind: Bind::Service {
            dn: BIND_DN.to_owned(),
            password: SecretString::from(BIND_PASSWORD),
        },
        // The whole domain: the answer has continuation references to other partitions.
        user_base: SUFFIX.to_owned(),
        user_filter: "(&(objectCategory=person)(sAMAccountName={username}))".to_owned(),
        attributes: Attributes {
            subject: "objectGUID".to_owned(),
            username: "sAMAccountName".to_owned(),
            display_name: Some("cn".to_owned()),
            email: Some("mail".to_owned()),
        },
        group_strategy: GroupStrategy::InChain,
        group_base: Some(SUFFIX.to_owned()),
        group_filter: "(&(objectClass=group)(member:1.2.840.113556.1.4.1941:={dn}))".to_owned(),
        nested_groups: true,
        nesting_limit: 10,
        group_limit: 200,
        page_size: 50,
        pool_size: 4,
        connect_timeout: limit,
        operation_timeout: limit,
        sign_in_timeout: limit * 2,
        flavour: Flavour::ActiveDirectory,
    }
}

fn connector(settings: Settings) -> LdapConnector {
    LdapConnector::new(settings, Arc::new(SystemClock)).unwrap()
}

pub(crate) fn by_search(samba: &Samba) -> Settings {
    Settings {
        group_strategy: GroupStrategy::Search,
        group_filter: "(&(objectClass=group)(member={dn}))".to_owned(),
        ..settings(samba)
    }
}

pub(crate) fn by_member_of(samba: &Samba) -> Settings {
    Settings {
        group_strategy: GroupStrategy::MemberOf,
        ..settings(samba)
    }
}

#[tokio::test]
async fn people_of_a_domain_sign_in_with_a_canonical_subject() {
    if !Samba::available() {
        return;
    }
    let samba = Samba::shared();
    let by_service = connector(settings(samba));
    let start_tls = connector(Settings {
        urls: vec![samba.ldap_url().parse().unwrap()],
        start_tls: true,
        ..settings(samba)
    });
    let identity = sign_in(&by_service, "ALICE", &password_of("alice"))
        .await
        .unwrap();
    assert_eq!(identity.username, "alice");
    assert_eq!(identity.entry_dn, Some(person_dn("alice")));
    assert_eq!(identity.email.as_deref(), Some("alice@example.test"));
    let id: uuid::Uuid = identity.subject.parse().unwrap();
    // Samba's ids are random (RFC 9562): in the wrong byte order they would not look like it.
    assert_eq!(id.get_version_num(), 4);
    assert_eq!(
        reached(&identity.groups),
        [
            direct("aws-111111111111-admin"),
            direct("aws-111111111111-readonly"),
            direct("comma, inc (x)"),
        ]
    );
    let same = sign_in(&start_tls, " alice", &password_of("alice"))
        .await
        .unwrap();
    assert_eq!(same.subject, identity.subject);
    for name in ["zoë", "pat.o'brien"] {
        let identity = sign_in(&by_service, name, &password_of(name))
            .await
            .unwrap();
        assert_eq!(identity.username, name);
    }
}

#[tokio::test]
async fn every_strategy_finds_the_same_nested_groups() {
    if !Samba::available() {
        return;
    }
    let samba = Samba::shared();
    for settings in [settings(samba), by_search(samba), by_member_of(samba)] {
        let strategy = settings.group_strategy;
        let connector = connector(settings);
        let groups = async |name: &str| {
            let identity = sign_in(&connector, name, &password_of(name)).await.unwrap();
            assert!(
                identity
                    .groups
                    .iter()
                    .all(|group| group.stable_id.is_some())
            );
            reached(&identity.groups)
        };
        assert_eq!(
            groups("carol").await,
            [
                nested("aws-111111111111-admin", "team-mid"),
                direct("team-leaf"),
                nested("team-mid", "team-leaf"),
            ],
            "{strategy:?}"
        );
        assert_eq!(
            groups("dave").await,
            [direct("loop-a"), nested("loop-b", "loop-a")],
            "{strategy:?}"
        );
        assert_eq!(groups("norole").await, [], "{strategy:?}");
    }
}

#[tokio::test]
async fn windows_error_codes_are_told_apart_after_the_right_password_alone() {
    if !Samba::available() {
        return;
    }
    let samba = Samba::shared();
    let by_upn = connector(Settings {
        bind: Bind::Direct {
            template: format!("{{username}}@{UPN_SUFFIX}"),
        },
        ..settings(samba)
    });
    for connector in [connector(settings(samba)), by_upn] {
        for name in ["alice", "mustchange", "expired"] {
            assert_eq!(
                refusal(sign_in(&connector, name, "wrong").await),
                Refusal::WrongPassword,
                "{name}"
            );
        }
        for (name, cause) in [
            ("disabled", Refusal::Disabled),
            ("locked", Refusal::Locked),
            ("accountexpired", Refusal::AccountExpired),
        ] {
            assert_eq!(
                refusal(sign_in(&connector, name, &password_of(name)).await),
                cause,
                "{name}"
            );
        }
        for (name, expected) in [("mustchange", false), ("expired", true)] {
            match sign_in(&connector, name, &password_of(name)).await {
                Err(SignInError::PasswordChangeRequired { is_expired, .. }) => {
                    assert_eq!(is_expired, expected, "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn people_of_a_domain_sign_in_with_their_own_bind() {
    if !Samba::available() {
        return;
    }
    let samba = Samba::shared();
    let by_service = connector(settings(samba));
    for template in [
        format!("{{username}}@{UPN_SUFFIX}"),
        r"EXAMPLE\{username}".to_owned(),
        format!("CN={{username}},CN=Users,{SUFFIX}"),
    ] {
        let connector = connector(Settings {
            bind: Bind::Direct {
                template: template.clone(),
            },
            ..settings(samba)
        });
        for name in ["alice", "carol", "zoë"] {
            let own = sign_in(&connector, name, &password_of(name)).await.unwrap();
            let known = sign_in(&by_service, name, &password_of(name))
                .await
                .unwrap();
            assert_eq!(
                (own.subject, own.groups),
                (known.subject, known.groups),
                "{template}"
            );
        }
        for typed in ["nobody", "alice@example.test", r"EXAMPLE\alice", "*", ""] {
            let result = sign_in(&connector, typed, &password_of("alice")).await;
            assert!(
                matches!(
                    refusal(result),
                    Refusal::WrongPassword | Refusal::UnknownUser
                ),
                "{template} {typed}"
            );
        }
        let result = sign_in(&connector, "alice", "").await;
        assert_eq!(refusal(result), Refusal::EmptyPassword);
    }
}

#[tokio::test]
async fn a_name_that_means_one_account_to_the_bind_and_another_to_the_search_is_refused() {
    if !Samba::available() {
        return;
    }
    let samba = Samba::shared();
    // Everybody binds as themselves, and is looked for as alice.
    let confused = connector(Settings {
        bind: Bind::Direct {
            template: format!("{{username}}@{UPN_SUFFIX}"),
        },
        user_filter: "(&(sAMAccountName=alice)(!(description={username})))".to_owned(),
        ..settings(samba)
    });
    assert!(
        sign_in(&confused, "alice", &password_of("alice"))
            .await
            .is_ok()
    );
    assert_eq!(
        refusal(sign_in(&confused, "carol", &password_of("carol")).await),
        Refusal::WrongPassword
    );
}

#[tokio::test]
async fn shut_accounts_of_a_domain_lose_access_at_the_next_refresh() {
    if !Samba::available() {
        return;
    }
    let samba = Samba::shared();
    let connector = connector(settings(samba));
    let identity = connector.look_up("carol").await.unwrap().unwrap();
    let refreshed = connector.refresh(&identity).await.unwrap();
    assert_eq!(refreshed.groups, identity.groups);
    assert_eq!(refreshed.subject, identity.subject);
    for name in ["disabled", "accountexpired"] {
        let identity = connector.look_up(name).await.unwrap().unwrap();
        assert!(
            matches!(connector.refresh(&identity).await, Err(RefreshError::Gone)),
            "{name}"
        );
    }
    let findings = connector.probe().await;
    assert!(!findings[0].is_error, "{}", findings[0].message);
}
