//! People, groups and their members looked up in real directories.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use rolegate::{
    access::{ConnectorId, Dn, GroupKey, GroupKeyForm},
    demo::directory::{Directory, Entry, Fault},
    identity::{
        GroupMembers, Listing, LocatedEntry, LookUpError, PasswordConnector as _,
        ldap::{Bind, GroupStrategy, LdapConnector, Settings},
    },
};
use secrecy::SecretString;

use crate::{
    ldap::{connector, direct_bind, member_of, settings},
    ldap_active_directory as active_directory,
    support::{
        samba::{self, Samba},
        slapd::{CROWD, GROUPS_OF_GRACE, SUFFIX, Slapd, group_dn, person_dn},
    },
};

const PEOPLE: [&str; 20] = [
    "alice",
    "bob",
    "carol",
    "dave",
    "erin",
    "frank",
    "grace",
    "norole",
    "locked",
    "mustchange",
    "zoë",
    "u5",
    "pat.o'brien",
    "sam+ops@example.org",
    "j.r-smith_2",
    "star*",
    "paren(t)",
    "comma, jr",
    r"back\slash",
    "user007",
];

const GROUPS: [&str; 18] = [
    "aws-111111111111-admin",
    "aws-111111111111-readonly",
    "team-leaf",
    "team-mid",
    "aws-222222222222-dev",
    "loop-a",
    "loop-b",
    "diamond-bottom",
    "diamond-left",
    "diamond-right",
    "diamond-top",
    r"comma\, inc (x)*",
    "odd-names",
    "everyone",
    "grace-07",
    "unique-ops",
    "posix-ops",
    "posix-people",
];

fn key(dn: &str) -> GroupKey {
    let corp: ConnectorId = "corp".parse().unwrap();
    GroupKey::new(&corp, dn, GroupKeyForm::DistinguishedName).unwrap()
}

fn group(cn: &str) -> GroupKey {
    key(&group_dn(cn))
}

fn posix(slapd: &Slapd) -> Settings {
    Settings {
        group_strategy: GroupStrategy::Posix,
        group_filter: "(&(objectClass=posixGroup)(memberUid={username}))".to_owned(),
        ..settings(slapd)
    }
}

fn filtered(slapd: &Slapd, filter: &str) -> Settings {
    Settings {
        group_filter: filter.to_owned(),
        ..settings(slapd)
    }
}

fn usernames(people: &[LocatedEntry]) -> Vec<&str> {
    people
        .iter()
        .map(|person| person.username.as_str())
        .collect()
}

/// User names of the members, each with the names of the groups on the way.
fn ways(members: &GroupMembers) -> Vec<(String, Vec<String>)> {
    let short = |key: &GroupKey| {
        let dn: Dn = key.value().parse().unwrap();
        dn.leading_value().to_owned()
    };
    let mut ways: Vec<_> = members
        .people
        .iter()
        .map(|member| {
            let through = member.through.iter().map(short).collect();
            (member.person.username.clone(), through)
        })
        .collect();
    ways.sort();
    ways
}

fn way(person: &str, through: &[&str]) -> (String, Vec<String>) {
    let through = through.iter().map(|name| (*name).to_owned()).collect();
    (person.to_owned(), through)
}

async fn members(connector: &LdapConnector, group: &GroupKey) -> GroupMembers {
    let found = connector.members(group, 1_000).await.unwrap();
    found.unwrap_or_else(|| panic!("{group} was not found"))
}

async fn people(connector: &LdapConnector, text: &str) -> Listing<LocatedEntry> {
    connector.find_people(text, 50).await.unwrap()
}

/// A person is a member of exactly the groups that a sign-in would find.
async fn check_members(settings: Settings, people: &[&str], groups: &[GroupKey]) {
    let about = format!(
        "{:?} {} {}",
        settings.group_strategy, settings.group_filter, settings.nested_groups
    );
    let connector = connector(settings);
    let mut at_sign_in = BTreeSet::new();
    let mut people = people.to_vec();
    for person in people.clone() {
        // Whoever is in too many levels of groups cannot sign in, whatever the group.
        let Ok(found) = connector.look_up(person).await else {
            people.retain(|other| *other != person);
            continue;
        };
        let identity = found.unwrap();
        let found = identity.groups.into_iter().map(|group| group.key);
        at_sign_in.extend(found.map(|group| (group, person.to_owned())));
    }
    let mut by_group = BTreeSet::new();
    for group in groups {
        let Some(found) = connector.members(group, 1_000).await.unwrap() else {
            continue;
        };
        let names = found.people.into_iter().map(|found| found.person.username);
        let names = names.filter(|name| people.contains(&name.as_str()));
        by_group.extend(names.map(|name| (group.clone(), name)));
    }
    at_sign_in.retain(|(group, _)| groups.contains(group));
    assert_eq!(by_group, at_sign_in, "{about}");
}

// Members

#[tokio::test]
async fn members_are_exactly_those_who_get_the_group_at_a_sign_in() {
    let slapd = Slapd::shared();
    let groups: Vec<GroupKey> = GROUPS.iter().map(|name| group(name)).collect();
    let flat = |settings| Settings {
        nested_groups: false,
        ..settings
    };
    let shallow = Settings {
        nesting_limit: 1,
        ..settings(slapd)
    };
    let narrow = Settings {
        group_base: Some(group_dn("team-mid")),
        ..settings(slapd)
    };
    for settings in [
        settings(slapd),
        flat(settings(slapd)),
        shallow,
        narrow,
        member_of(slapd),
        flat(member_of(slapd)),
        posix(slapd),
        filtered(
            slapd,
            "(&(objectClass=groupOfUniqueNames)(uniqueMember={dn}))",
        ),
        filtered(
            slapd,
            "(|(member={dn})(uniqueMember={dn})(memberUid={username}))",
        ),
        filtered(slapd, "(&(member={dn})(!(cn=team-mid)))"),
    ] {
        check_members(settings, &PEOPLE, &groups).await;
    }
}

#[tokio::test]
async fn the_way_from_a_member_to_the_group_is_told() {
    let slapd = Slapd::shared();
    for settings in [settings(slapd), member_of(slapd)] {
        let connector = connector(settings);
        let found = members(&connector, &group("aws-222222222222-dev")).await;
        assert_eq!(
            ways(&found),
            [way("carol", &["team-leaf", "team-mid"]), way("dave", &[])]
        );
        assert!(!found.is_cut);
        assert_eq!(found.group.name, group_dn("aws-222222222222-dev"));
        assert_eq!(found.group.stable_id.as_ref().map(String::len), Some(36));
        let loop_b = members(&connector, &group("loop-b")).await;
        assert_eq!(ways(&loop_b), [way("erin", &["loop-a"])]);
        let top = members(&connector, &group("diamond-top")).await;
        let (person, through) = ways(&top).remove(0);
        assert_eq!((person.as_str(), through.len()), ("frank", 2));
        assert_eq!(through[0], "diamond-bottom");
    }
}

#[tokio::test]
async fn a_crowd_is_read_whole_or_said_to_be_cut() {
    let slapd = Slapd::shared();
    for settings in [settings(slapd), member_of(slapd)] {
        let connector = connector(settings);
        let all = members(&connector, &group("everyone")).await;
        assert_eq!((all.people.len(), all.is_cut), (CROWD, false));
        assert_eq!(all.people[0].person.username, "user000");
        for limit in [1, 10, CROWD - 1] {
            let found = connector.members(&group("everyone"), limit).await.unwrap();
            let found = found.unwrap();
            assert_eq!((found.people.len(), found.is_cut), (limit, true));
        }
        let exactly = connector.members(&group("everyone"), CROWD).await.unwrap();
        assert!(!exactly.unwrap().is_cut);
    }
    let shallow = connector(Settings {
        nesting_limit: 1,
        ..settings(slapd)
    });
    assert!(
        members(&shallow, &group("aws-222222222222-dev"))
            .await
            .is_cut
    );
}

#[tokio::test]
async fn a_group_that_is_not_there_has_no_members() {
    let slapd = Slapd::shared();
    let usual = connector(settings(slapd));
    for missing in [
        group("no-such-group"),
        // Another class than the filter wants, another base, a person.
        group("unique-ops"),
        key(&format!("ou=people,{SUFFIX}")),
        key(&person_dn("alice")),
    ] {
        let found = usual.members(&missing, 10).await.unwrap();
        assert_eq!(found, None, "{missing}");
    }
}

// People

#[tokio::test]
async fn people_are_found_by_name_and_mail() {
    let slapd = Slapd::shared();
    let usual = connector(settings(slapd));
    for (text, expected) in [
        ("alice", &["alice"][..]),
        ("ALI", &["alice"]),
        ("  lic ", &["alice"]),
        ("grace@example.org", &["grace"]),
        ("smith_2@", &["j.r-smith_2"]),
        ("zoë", &["zoë"]),
        ("ar*", &["star*"]),
        ("n(t", &["paren(t)"]),
        ("a, j", &["comma, jr"]),
        (r"k\s", &[r"back\slash"]),
        ("*)(uid=*", &[]),
        ("**", &[]),
        ("a", &[]),
        (" ", &[]),
        ("svc", &[]),
    ] {
        let found = people(&usual, text).await;
        assert_eq!(usernames(&found.items), expected, "{text}");
        assert!(!found.is_cut, "{text}");
    }
    let alice = people(&usual, "alice").await.items.remove(0);
    let identity = usual.look_up("alice").await.unwrap().unwrap();
    assert_eq!(alice.subject, identity.subject);
    assert_eq!(alice.dn, person_dn("alice"));
    assert_eq!(alice.email.as_deref(), Some("alice@example.org"));
}

#[tokio::test]
async fn many_people_come_in_order_and_are_said_to_be_cut() {
    let slapd = Slapd::shared();
    let usual = connector(settings(slapd));
    let found = people(&usual, "user").await;
    assert_eq!((found.items.len(), found.is_cut), (50, true));
    let names = usernames(&found.items);
    assert!(names.is_sorted());
    let all = usual.find_people("user", CROWD + 5).await.unwrap();
    assert_eq!((all.items.len(), all.is_cut), (CROWD, false));
    // Whoever is called exactly so comes first, however many others are found.
    let found = usual.find_people("ser123", 1).await.unwrap();
    assert_eq!(usernames(&found.items), ["user123"]);
    let found = usual.find_people("u5", 1).await.unwrap();
    assert_eq!(usernames(&found.items), ["u5"]);
    let found = usual.find_people("er", 400).await.unwrap();
    assert_eq!(usernames(&found.items)[0], "erin");
}

#[tokio::test]
async fn nobody_is_found_who_could_not_sign_in() {
    let slapd = Slapd::shared();
    let narrow = connector(Settings {
        user_filter:
            "(&(objectClass=inetOrgPerson)(!(uid=bob))(|(uid={username})(mail={username})))"
                .to_owned(),
        ..settings(slapd)
    });
    assert_eq!(usernames(&people(&narrow, "bob").await.items), [""; 0]);
    assert_eq!(usernames(&people(&narrow, "alice").await.items), ["alice"]);
    let readers = members(&narrow, &group("aws-111111111111-readonly")).await;
    let names: Vec<_> = ways(&readers).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["alice", "u5", "zoë"]);
}

// Groups

#[tokio::test]
async fn groups_are_found_by_name() {
    let slapd = Slapd::shared();
    let usual = connector(settings(slapd));
    for (text, expected) in [
        ("DIAMOND-b", &["cn=diamond-bottom"][..]),
        ("team", &["cn=team-leaf", "cn=team-mid"]),
        (" mid", &["cn=team-mid"]),
        ("c (x)*", &[r"cn=comma\2C inc (x)*"]),
        (&group_dn("loop-a"), &["cn=loop-a"]),
        ("unique", &[]),
        ("x", &[]),
        ("alice", &[]),
    ] {
        let found = usual.find_groups(text, 20).await.unwrap();
        let names: Vec<_> = found.items.iter().map(|group| group.name.clone()).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|name| format!("{name},ou=groups,{SUFFIX}"))
            .collect();
        assert_eq!(names, expected, "{text}");
        assert!(found.items.iter().all(|group| group.stable_id.is_some()));
        assert!(!found.is_cut, "{text}");
    }
    let found = usual.find_groups("grace", 7).await.unwrap();
    assert_eq!((found.items.len(), found.is_cut), (7, true));
    let found = usual.find_groups("grace", 100).await.unwrap();
    assert_eq!((found.items.len(), found.is_cut), (GROUPS_OF_GRACE, false));
    // An empty group can be mapped as well.
    let posix = connector(posix(slapd));
    let found = posix.find_groups("posix-people", 5).await.unwrap();
    assert_eq!(found.items.len(), 1);
    let everywhere = connector(Settings {
        group_base: None,
        nested_groups: false,
        ..member_of(slapd)
    });
    let found = everywhere.find_groups("unique-ops", 5).await.unwrap();
    assert_eq!(found.items[0].key, group("unique-ops"));
}

#[tokio::test]
async fn relations_go_one_step_up_and_down_whatever_is_followed() {
    let slapd = Slapd::shared();
    let flat = |settings| Settings {
        nested_groups: false,
        ..settings
    };
    for settings in [
        settings(slapd),
        flat(settings(slapd)),
        flat(member_of(slapd)),
    ] {
        let connector = connector(settings);
        let found = connector.relations(&group("team-mid")).await.unwrap();
        assert!(found.exists);
        assert_eq!(found.name, Some(group_dn("team-mid")));
        assert_eq!(found.stable_id.as_ref().map(String::len), Some(36));
        assert_eq!(found.member_groups, [group("team-leaf")]);
        assert_eq!(found.parent_groups, [group("aws-222222222222-dev")]);
        let found = connector.relations(&group("gone")).await.unwrap();
        assert!(!found.exists);
        assert_eq!((found.name, found.stable_id), (None, None));
    }
    let usual = connector(settings(slapd));
    let found = usual.relations(&group("loop-a")).await.unwrap();
    assert_eq!(found.member_groups, [group("loop-b")]);
    assert_eq!(found.parent_groups, [group("loop-b")]);
    let found = connector(posix(slapd)).relations(&group("posix-ops")).await;
    let found = found.unwrap();
    assert!(found.exists && found.member_groups.is_empty() && found.parent_groups.is_empty());
}

// What cannot be looked up

#[tokio::test]
async fn a_connector_without_a_service_account_looks_nobody_up() {
    let slapd = Slapd::shared();
    let own_bind = connector(direct_bind(slapd));
    let a_group = group("team-mid");
    assert!(is_not_supported(&own_bind.find_people("alice", 5).await));
    assert!(is_not_supported(&own_bind.find_groups("team", 5).await));
    assert!(is_not_supported(&own_bind.members(&a_group, 5).await));
    assert!(is_not_supported(&own_bind.relations(&a_group).await));
}

fn is_not_supported<T>(result: &Result<T, LookUpError>) -> bool {
    matches!(result, Err(LookUpError::NotSupported))
}

#[tokio::test]
async fn a_directory_that_is_down_is_told_from_one_without_such_people() {
    let slapd = Slapd::start();
    let usual = connector(settings(&slapd));
    assert!(!people(&usual, "alice").await.items.is_empty());
    slapd.stop();
    let a_group = group("team-mid");
    assert!(is_unavailable(&usual.find_people("alice", 5).await));
    assert!(is_unavailable(&usual.find_groups("team", 5).await));
    assert!(is_unavailable(&usual.members(&a_group, 5).await));
    assert!(is_unavailable(&usual.relations(&a_group).await));
}

fn is_unavailable<T>(result: &Result<T, LookUpError>) -> bool {
    matches!(result, Err(LookUpError::Unavailable(_)))
}

#[tokio::test]
async fn a_list_that_the_server_cuts_is_said_to_be_cut() {
    let people = (0..30).map(|number| {
        Entry::new(format!(
            "uid=p{number:02},{}",
            rolegate::demo::sample::PEOPLE_BASE
        ))
        .with("objectClass", ["inetOrgPerson"])
        .with("uid", [format!("p{number:02}")])
        .with("cn", [format!("Person {number:02}")])
        .with("memberOf", ["cn=all,ou=groups,dc=example,dc=com"])
    });
    let directory = Directory::sample();
    for person in people {
        directory.add_entry(person);
    }
    let all = "cn=all,ou=groups,dc=example,dc=com";
    let members = (0..30).map(|number| format!("uid=p{number:02},ou=people,dc=example,dc=com"));
    directory.add_entry(
        Entry::new(all)
            .with("objectClass", ["groupOfNames"])
            .with("cn", ["all"])
            .with("description", ["Everybody of the test"])
            .with("member", members),
    );
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let running = directory.start(address).unwrap();
    let sample = connector(sample_settings(&running.url()));
    let whole = sample.members(&key(all), 100).await.unwrap().unwrap();
    assert_eq!((whole.people.len(), whole.is_cut), (30, false));
    let description = whole.group.description.as_deref();
    assert_eq!(description, Some("Everybody of the test"));
    running.set_fault(Some(Fault::SizeLimitPartial));
    let found = sample.find_people("Person", 100).await.unwrap();
    assert_eq!((found.items.len(), found.is_cut), (15, true));
    let found = sample.members(&key(all), 100).await.unwrap_err();
    assert!(matches!(found, LookUpError::Unavailable(_)), "{found}");
    running.set_fault(Some(Fault::Busy));
    assert!(is_unavailable(&sample.find_people("Person", 100).await));
}

fn sample_settings(url: &str) -> Settings {
    use rolegate::demo::sample;
    let limit = Duration::from_secs(20);
    Settings {
        urls: vec![url.parse().unwrap()],
        ca_pem: None,
        bind: Bind::Service {
            dn: sample::SERVICE_DN.to_owned(),
            password: SecretString::from(sample::SERVICE_PASSWORD),
        },
        user_base: sample::PEOPLE_BASE.to_owned(),
        group_base: Some(sample::GROUPS_BASE.to_owned()),
        connect_timeout: limit,
        operation_timeout: limit,
        sign_in_timeout: limit * 2,
        ..settings(Slapd::shared())
    }
}

#[tokio::test]
async fn the_sample_directory_is_looked_up_like_any_other() {
    use rolegate::demo::sample;
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let running = Directory::sample().start(address).unwrap();
    let names = ["ada", "grace", "linus", "margaret", "locked"];
    let groups = [
        "everyone",
        "engineering",
        "payments-dev",
        "payments-leads",
        "webshop-dev",
        "webshop-readers",
        "data-analysts",
        "platform-core",
        "platform-oncall",
        "helpdesk",
        "book-club",
        "aws-333344445555-DataExplorer",
    ];
    let groups: Vec<_> = groups
        .iter()
        .map(|name| key(&sample::group_dn(name)))
        .collect();
    check_members(sample_settings(&running.url()), &names, &groups).await;
    let sample = connector(sample_settings(&running.url()));
    assert_eq!(usernames(&people(&sample, "love").await.items), ["ada"]);
    let found = sample.find_groups("platform", 10).await.unwrap();
    assert_eq!(found.items.len(), 2);
}

// Active Directory

#[tokio::test]
async fn members_in_a_domain_are_those_who_get_the_group_at_a_sign_in() {
    if !Samba::available() {
        return;
    }
    let samba = Samba::shared();
    let names = [
        "alice",
        "bob",
        "carol",
        "dave",
        "norole",
        "zoë",
        "pat.o'brien",
    ];
    let groups = [
        "aws-111111111111-admin",
        "aws-111111111111-readonly",
        "team-leaf",
        "team-mid",
        "loop-a",
        "loop-b",
        r"comma\, inc (x)",
        "Domain Users",
        "no such group",
    ];
    let groups: Vec<_> = groups
        .iter()
        .map(|name| key(&samba::group_dn(name)))
        .collect();
    for settings in [
        active_directory::settings(samba),
        active_directory::by_search(samba),
        active_directory::by_member_of(samba),
    ] {
        check_members(settings, &names, &groups).await;
    }
}

#[tokio::test]
async fn a_domain_is_searched_with_every_strategy() {
    if !Samba::available() {
        return;
    }
    let samba = Samba::shared();
    for settings in [
        active_directory::settings(samba),
        active_directory::by_search(samba),
        active_directory::by_member_of(samba),
    ] {
        let strategy = settings.group_strategy;
        let connector = connector(settings);
        let admin = key(&samba::group_dn("aws-111111111111-admin"));
        let found = members(&connector, &admin).await;
        assert_eq!(
            ways(&found),
            [way("alice", &[]), way("carol", &["team-leaf", "team-mid"])],
            "{strategy:?}"
        );
        let cut = connector.members(&admin, 1).await.unwrap().unwrap();
        assert_eq!((cut.people.len(), cut.is_cut), (1, true), "{strategy:?}");
        let found = people(&connector, "alice@example").await;
        assert_eq!(usernames(&found.items), ["alice"], "{strategy:?}");
        let id: uuid::Uuid = found.items[0].subject.parse().unwrap();
        assert_eq!(id.get_version_num(), 4);
        let found = connector.find_groups("TEAM-", 10).await.unwrap();
        let names: Vec<_> = found.items.iter().map(|group| group.name.clone()).collect();
        let expected = ["team-leaf", "team-mid"].map(samba::group_dn);
        assert_eq!(names, expected, "{strategy:?}");
        let mid = key(&samba::group_dn("team-mid"));
        let found = connector.relations(&mid).await.unwrap();
        assert_eq!(found.member_groups, [key(&samba::group_dn("team-leaf"))]);
        assert_eq!(found.parent_groups, [admin], "{strategy:?}");
        let gone = key(&samba::group_dn("gone"));
        assert!(!connector.relations(&gone).await.unwrap().exists);
    }
}
