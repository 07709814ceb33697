//! People and groups for those who keep the table: the directory as it is, and who was seen here.

use std::{collections::BTreeSet, sync::Arc};

use rolegate::{
    access::{
        Conditions, ConnectorId, GroupKey, GroupKeyForm, Identity, Mapping, MappingId, Origin,
        explain::Basis,
    },
    broker::{Connector, Crowd, Progress},
    demo::{
        directory::{Entry, Fault},
        sample::{group_dn, person_dn},
    },
    store::Change,
};

use crate::support::app::TestApp;

fn corp() -> ConnectorId {
    "corp".parse().unwrap()
}

fn group(name: &str) -> GroupKey {
    GroupKey::new(&corp(), &group_dn(name), GroupKeyForm::DistinguishedName).unwrap()
}

async fn look_up(app: &TestApp, username: &str) -> Identity {
    let Some(Connector::Password(directory)) = app.broker.connectors().first() else {
        panic!("the first connector is a directory");
    };
    directory.look_up(username).await.unwrap().unwrap()
}

/// As a page would call it: in a task of its own.
async fn crowd(app: &TestApp, groups: &[GroupKey], progress: &Progress) -> Crowd {
    let (broker, groups) = (Arc::clone(&app.broker), groups.to_vec());
    let progress = progress.clone();
    tokio::spawn(async move { broker.crowd(&groups, &progress).await })
        .await
        .unwrap()
        .unwrap()
}

fn member_names(crowd: &Crowd, key: &GroupKey) -> BTreeSet<String> {
    let has = |person: &&Identity| person.groups.iter().any(|group| group.key == *key);
    let members = crowd.people.iter().filter(has);
    members.map(|person| person.username.clone()).collect()
}

#[tokio::test]
async fn people_are_found_in_the_directory_and_among_those_who_signed_in() {
    let app = TestApp::start().await;
    let found = app.broker.find_people("love").await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].username, "ada");
    assert_eq!(found.items[0].seen_at, None);
    assert_eq!(found.items[0].is_in_directory, Some(true));
    assert!(found.missing.is_empty());

    app.signed_in("linus").await;
    let found = app.broker.find_people("LINUS").await.unwrap().items;
    assert_eq!(found.len(), 1);
    assert!(found[0].seen_at.is_some());
    assert_eq!(found[0].is_in_directory, Some(true));
    let subject = found[0].subject.clone();
    let by_subject = app.broker.find_people(&subject).await.unwrap().items;
    assert_eq!(by_subject.len(), 1);
    assert_eq!(by_subject[0].username, "linus");

    app.directory.remove_entry(&person_dn("linus"));
    let found = app.broker.find_people("linus").await.unwrap().items;
    assert_eq!(found[0].is_in_directory, Some(false));
    assert!(app.broker.find_people(" ").await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_directory_that_is_down_is_said_to_be_and_those_who_are_known_are_shown() {
    let app = TestApp::start().await;
    app.signed_in("linus").await;
    app.directory.set_fault(Some(Fault::CloseConnections));
    let found = app.broker.find_people("linus").await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].is_in_directory, None);
    assert_eq!(
        found.missing,
        ["Example directory does not answer. Try again in a minute."]
    );
    let found = app.broker.find_groups("readers").await.unwrap();
    assert_eq!(found.missing.len(), 1);
    assert_eq!(found.items[0].key, group("webshop-readers"));
    let found = app.broker.group(&group("webshop-readers")).await.unwrap();
    assert_eq!((found.members, found.missing.len()), (None, 1));
    assert_eq!(found.seen[0].username, "linus");
    let found = crowd(&app, &[group("webshop-readers")], &Progress::default()).await;
    assert_eq!(found.people.len(), 1);
    assert_eq!(found.unresolved.len(), 1);
    assert!(!member_names(&found, &group("webshop-readers")).is_empty());
}

#[tokio::test]
async fn a_person_is_read_now_or_shown_as_last_seen() {
    let app = TestApp::start().await;
    let found = app.broker.person(None, "ada").await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].basis, Basis::Live);
    assert_eq!(found.items[0].seen_at, None);
    let ada = look_up(&app, "ada").await;
    assert_eq!(found.items[0].identity.groups, ada.groups);

    app.signed_in("linus").await;
    let linus = look_up(&app, "linus").await;
    for name in ["linus", "LINUS", &linus.subject] {
        let found = app.broker.person(Some(&corp()), name).await.unwrap();
        assert_eq!(found.items.len(), 1, "{name}");
        assert_eq!(found.items[0].identity.subject, linus.subject);
        assert_eq!(found.items[0].basis, Basis::Live);
        assert!(found.items[0].seen_at.is_some());
    }
    let elsewhere: ConnectorId = "elsewhere".parse().unwrap();
    let found = app.broker.person(Some(&elsewhere), "linus").await.unwrap();
    assert!(found.items.is_empty());
    let nobody = app.broker.person(None, "nobody").await.unwrap();
    assert!(nobody.items.is_empty() && nobody.missing.is_empty());

    app.directory.remove_entry(&person_dn("linus"));
    let found = app.broker.person(None, "linus").await.unwrap();
    assert!(matches!(found.items[0].basis, Basis::LastSeen { .. }));
    assert_eq!(
        found.items[0].missing,
        ["Example directory has nobody of this name any more. The groups are as last seen."]
    );
    app.directory.set_fault(Some(Fault::CloseConnections));
    let found = app.broker.person(None, &linus.subject).await.unwrap();
    assert!(matches!(found.items[0].basis, Basis::LastSeen { .. }));
    assert_eq!(found.items[0].identity.groups, linus.groups);
    assert!(!found.items[0].missing.is_empty());
}

#[tokio::test]
async fn somebody_else_of_the_same_name_is_not_the_person_who_was_seen() {
    let app = TestApp::start().await;
    app.signed_in("linus").await;
    let before = look_up(&app, "linus").await;
    app.directory.add_entry(
        Entry::new(person_dn("linus"))
            .with("objectClass", ["inetOrgPerson"])
            .with("uid", ["linus"])
            .with("cn", ["Linus the Second"])
            .with("entryUUID", ["5ce6bb1e-7d0e-4a5b-9d5f-0123456789ab"]),
    );
    let found = app.broker.person(None, "linus").await.unwrap().items;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].basis, Basis::Live);
    assert_ne!(found[0].identity.subject, before.subject);
    assert_eq!(found[0].seen_at, None);
    assert_eq!(found[1].identity.subject, before.subject);
    assert!(matches!(found[1].basis, Basis::LastSeen { .. }));
}

#[tokio::test]
async fn groups_are_found_in_the_directory_and_in_the_table() {
    let app = TestApp::start().await;
    let found = app.broker.find_groups("platform").await.unwrap();
    let keys: Vec<_> = found.items.into_iter().map(|group| group.key).collect();
    assert_eq!(keys, [group("platform-core"), group("platform-oncall")]);
    let planned = group("planned-team");
    app.edit(vec![Change::PutMapping(Mapping {
        id: MappingId("new".to_owned()),
        group: planned.clone(),
        role: "arn:aws:iam::222233334444:role/ReadOnly".parse().unwrap(),
        conditions: Conditions::default(),
        ticket: None,
        origin: Origin::Store,
    })])
    .await;
    let found = app.broker.find_groups("Planned").await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].key, planned);
    let gone = app.broker.group(&planned).await.unwrap();
    assert_eq!(gone.members, None);
    assert_eq!(
        gone.missing,
        ["Example directory has no group cn=planned-team,ou=groups,dc=example,dc=com."]
    );
}

#[tokio::test]
async fn a_group_shows_who_is_in_it_and_who_was_seen_with_it() {
    let app = TestApp::start().await;
    app.signed_in("linus").await;
    app.directory
        .remove_member(&group_dn("webshop-readers"), &person_dn("linus"));
    let found = app.broker.group(&group("webshop-readers")).await.unwrap();
    let members = found.members.unwrap();
    let names: Vec<_> = members
        .people
        .iter()
        .map(|member| &member.person.username)
        .collect();
    assert_eq!(names, ["ada"]);
    assert_eq!(members.people[0].through, [group("webshop-dev")]);
    assert_eq!(found.seen.len(), 1);
    assert_eq!(found.seen[0].username, "linus");
    assert!(found.missing.is_empty());
}

#[tokio::test]
async fn a_crowd_has_the_groups_in_question_as_the_directory_says_now() {
    let app = TestApp::start().await;
    app.signed_in("linus").await;
    app.signed_in("grace").await;
    let readers = group("webshop-readers");
    app.directory
        .remove_member(&group_dn("webshop-readers"), &person_dn("linus"));
    app.directory
        .add_member(&group_dn("webshop-readers"), &person_dn("grace"));
    app.directory
        .add_member(&group_dn("webshop-readers"), &person_dn("margaret"));
    let progress = Progress::default();
    let asked = [readers.clone(), group("engineering"), readers.clone()];
    let found = crowd(&app, &asked, &progress).await;
    assert_eq!(progress.counts(), (2, 2));
    assert!(found.unresolved.is_empty());
    let names: BTreeSet<_> = found
        .people
        .iter()
        .map(|person| person.username.as_str())
        .collect();
    assert!(names.is_superset(&BTreeSet::from(["ada", "grace", "linus", "margaret"])));
    for person in &found.people {
        let now = look_up(&app, &person.username).await;
        assert_eq!(person.subject, now.subject);
        for key in &asked {
            let in_crowd = person.groups.iter().find(|group| group.key == *key);
            let live = now.groups.iter().find(|group| group.key == *key);
            assert_eq!(
                in_crowd.is_some(),
                live.is_some(),
                "{} {key}",
                person.username
            );
            if let (Some(in_crowd), Some(live)) = (in_crowd, live) {
                assert_eq!(in_crowd.name, live.name);
                assert_eq!(in_crowd.stable_id, live.stable_id);
                assert_eq!(in_crowd.through.is_some(), live.through.is_some());
            }
        }
    }
    // Who never signed in has no other groups; who did keeps them.
    let groups_of = |name: &str| {
        let person = found.people.iter().find(|person| person.username == name);
        person.unwrap().groups.len()
    };
    assert_eq!(groups_of("margaret"), 1);
    assert_eq!(groups_of("ada"), 2);
    assert!(groups_of("grace") > 1);
}

#[tokio::test]
async fn what_a_crowd_cannot_know_is_said() {
    let app = TestApp::start().await;
    app.signed_in("linus").await;
    app.directory.remove_entry(&group_dn("webshop-readers"));
    let readers = group("webshop-readers");
    let claim: ConnectorId = "elsewhere".parse().unwrap();
    let claim = GroupKey::new(&claim, "staff", GroupKeyForm::Exact).unwrap();
    let progress = Progress::default();
    let found = crowd(&app, &[readers.clone(), claim], &progress).await;
    assert_eq!(
        found.unresolved,
        [
            "Example directory has no group cn=webshop-readers,ou=groups,dc=example,dc=com.",
            "No connector of elsewhere:staff is configured.",
        ]
    );
    assert!(member_names(&found, &readers).is_empty());
    assert_eq!(found.people.len(), 1);
    assert_eq!(progress.counts(), (2, 2));
}
