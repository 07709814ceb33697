//! Whoever has signed in, and the groups that they were seen with.

use rolegate::{
    access::Group,
    store::{KnownPeople, KnownPerson, SeenGroups, SignInSession, SignInSessions},
};
use time::{Duration, OffsetDateTime};

use super::{Backend, NOW, Store, group, sessions::session};

/// The session of somebody else.
fn session_of(letter: char, username: &str) -> SignInSession {
    let mut session = session(letter);
    session.identity.subject = format!("subject-of-{letter}");
    username.clone_into(&mut session.identity.username);
    session.identity.display_name = None;
    session
}

fn minutes(minutes: i64) -> OffsetDateTime {
    NOW + Duration::minutes(minutes)
}

pub(super) async fn whoever_signs_in_is_known(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = session('a');
    let nobody = store.known_person("corp", "subject-of-ada").await.unwrap();
    assert_eq!(nobody, None);
    store.save_session(&ada).await.unwrap();
    let known = KnownPerson {
        identity: ada.identity.clone(),
        first_seen_at: ada.identity.authenticated_at,
        seen_at: ada.identity.groups_read_at,
    };
    let found = store.known_person("corp", "subject-of-ada").await.unwrap();
    assert_eq!(found.as_ref(), Some(&known));
    // She signs in again, with another name and address, and the session ends.
    let mut again = session('b');
    again.identity.email = Some("ada@example.org".to_owned());
    again.identity.display_name = Some("Ada King".to_owned());
    again.identity.authenticated_at = minutes(60);
    again.identity.groups_read_at = minutes(60);
    store.save_session(&again).await.unwrap();
    let ended = store.end_sessions_of("corp", "subject-of-ada").await;
    assert_eq!(ended.unwrap(), 2);
    let known = KnownPerson {
        identity: again.identity,
        first_seen_at: known.first_seen_at,
        seen_at: minutes(60),
    };
    assert_eq!(
        store.known_person("corp", "subject-of-ada").await.unwrap(),
        Some(known.clone())
    );
    // What was read before changes nothing.
    store.save_session(&ada).await.unwrap();
    let found = store.known_person("corp", "subject-of-ada").await.unwrap();
    assert_eq!(found, Some(known));
}

pub(super) async fn what_is_read_anew_of_a_session_that_is_there_is_known(backend: &impl Backend) {
    let store = backend.open().await;
    let mut read_anew = session('a').identity;
    read_anew.groups.pop();
    read_anew.groups_read_at = minutes(5);
    let id_hash = session('a').id_hash;
    assert!(!store.renew_session(&id_hash, &read_anew).await.unwrap());
    assert!(store.known_people().await.unwrap().is_empty());
    store.save_session(&session('a')).await.unwrap();
    assert!(store.renew_session(&id_hash, &read_anew).await.unwrap());
    let known = store.known_people().await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].identity, read_anew);
    assert_eq!(known[0].seen_at, minutes(5));
}

pub(super) async fn people_are_listed_by_connector_and_user_name(backend: &impl Backend) {
    let store = backend.open().await;
    let mut elsewhere = session_of('c', "ada");
    elsewhere.identity.connector = "another".parse().unwrap();
    for session in [session_of('a', "zoe"), session_of('b', "bob"), elsewhere] {
        store.save_session(&session).await.unwrap();
    }
    let known = store.known_people().await.unwrap();
    let names: Vec<_> = known
        .iter()
        .map(|known| (known.identity.connector.as_str(), &*known.identity.username))
        .collect();
    assert_eq!(
        names,
        [("another", "ada"), ("corp", "bob"), ("corp", "zoe")]
    );
}

fn held(name: &str) -> Group {
    Group {
        key: group(name),
        name: name.to_owned(),
        stable_id: None,
        through: None,
    }
}

pub(super) async fn what_changes_between_two_readings_is_seen(backend: &impl Backend) {
    let (store, other) = (backend.open().await, backend.open().await);
    let (mut ada, mut zoe) = (session_of('a', "ada"), session_of('e', "zoe"));
    ada.identity.groups = vec![held("dev"), held("ops")];
    zoe.identity.groups = vec![held("dev")];
    store.save_session(&ada).await.unwrap();
    let names = |people: Vec<KnownPerson>| {
        let names = people.into_iter().map(|person| person.identity.username);
        names.collect::<Vec<_>>()
    };
    let (dev, ops) = (group("dev"), group("ops"));
    assert_eq!(names(store.known_people().await.unwrap()), ["ada"]);
    // Another process has somebody sign in, and somebody lose a group.
    other.save_session(&zoe).await.unwrap();
    let with_dev = store.known_people_with(&dev).await.unwrap();
    assert_eq!(names(with_dev), ["ada", "zoe"]);
    ada.identity.groups = vec![held("dev")];
    ada.identity.groups_read_at = minutes(5);
    other.save_session(&ada).await.unwrap();
    assert_eq!(store.known_groups().await.unwrap(), [held("dev")]);
    assert!(store.known_people_with(&ops).await.unwrap().is_empty());
    let known = store.known_people().await.unwrap();
    assert_eq!(known[0].identity, ada.identity);
    assert_eq!(known, other.known_people().await.unwrap());
    // Whoever is deleted by hand is not known.
    let deleted = "DELETE FROM known_person WHERE subject = 'subject-of-e'";
    backend.tamper(deleted).await;
    assert_eq!(names(store.known_people().await.unwrap()), ["ada"]);
}

async fn found(store: &impl KnownPeople, text: &str) -> Vec<String> {
    let people = store.find_known_people(text, 100).await.unwrap();
    people
        .into_iter()
        .map(|known| known.identity.username)
        .collect()
}

async fn five_people(store: &impl Store) {
    let mut names = session_of('a', "ann");
    names.identity.display_name = Some("Ännchen ÖZTÜRK".to_owned());
    names.identity.email = Some("Ann@Example.ORG".to_owned());
    let mut others = vec![names];
    others.push(session_of('b', "joanna"));
    others.push(session_of('c', "100%_sure"));
    others.push(session_of('d', r"CORP\dave"));
    others.push(session_of('e', "1000 sure"));
    for session in &others {
        store.save_session(session).await.unwrap();
    }
}

pub(super) async fn people_are_found_by_a_part_of_their_names_ignoring_case(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    five_people(&store).await;
    let cases: [(&str, &[&str]); 12] = [
        // Whoever is called so comes first.
        ("ANN", &["ann", "joanna"]),
        ("anna", &["joanna"]),
        ("öztürk", &["ann"]),
        ("ÄNNCHEN Ö", &["ann"]),
        ("ann@example.org", &["ann"]),
        ("%", &["100%_sure"]),
        ("0%_s", &["100%_sure"]),
        ("_", &["100%_sure"]),
        (r"\", &[r"CORP\dave"]),
        (r"corp\D", &[r"CORP\dave"]),
        ("' OR 1=1 --", &[]),
        ("subject-of", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(found(&store, text).await, expected, "{text}");
    }
    assert_eq!(found(&store, &"n".repeat(100_000)).await, [""; 0]);
    assert_eq!(found(&store, "").await.len(), 5);
    let one = store.find_known_people("sure", 1).await.unwrap();
    assert_eq!(one.len(), 1);
}

pub(super) async fn whoever_has_exactly_this_user_name_or_subject_comes_first(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    let mut namesake = session_of('b', "zoe");
    namesake.identity.display_name = Some("not subject-of-a".to_owned());
    for session in [
        session_of('a', "dev"),
        namesake,
        session_of('c', "a-dev"),
        session_of('d', "dev-2"),
    ] {
        store.save_session(&session).await.unwrap();
    }
    assert_eq!(found(&store, "dev").await, ["dev", "a-dev", "dev-2"]);
    assert_eq!(found(&store, "subject-of-a").await, ["dev", "zoe"]);
    assert_eq!(found(&store, "subject-of-d").await, ["dev-2"]);
}

async fn seen(store: &impl KnownPeople, at: i64) -> Option<(usize, i64, i64)> {
    let seen = store
        .groups_seen_at("corp", "subject-of-ada", minutes(at))
        .await
        .unwrap();
    seen.map(
        |SeenGroups {
             groups,
             from,
             until,
         }| {
            let since = |at: OffsetDateTime| (at - NOW).whole_minutes();
            (groups.len(), since(from), since(until))
        },
    )
}

/// Sees the person at `at` with `groups`.
async fn sign_in(store: &impl SignInSessions, at: i64, groups: &[Group]) {
    let mut session = session('a');
    session.identity.groups = groups.to_vec();
    session.identity.groups_read_at = minutes(at);
    store.save_session(&session).await.unwrap();
}

pub(super) async fn groups_are_remembered_for_as_long_as_they_were_the_same(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    let groups = session('a').identity.groups;
    assert_eq!(seen(&store, 0).await, None);
    sign_in(&store, 0, &groups).await;
    sign_in(&store, 10, &groups).await;
    // In another order and by another way they are the same set.
    let mut turned: Vec<_> = groups.iter().cloned().rev().collect();
    turned[0].through = None;
    sign_in(&store, 20, &turned).await;
    assert_eq!(seen(&store, -1).await, None);
    for at in [0, 5, 20, 500] {
        assert_eq!(seen(&store, at).await, Some((2, 0, 20)), "{at}");
    }
    sign_in(&store, 30, &groups[..1]).await;
    sign_in(&store, 40, &groups[..1]).await;
    sign_in(&store, 50, &[]).await;
    sign_in(&store, 60, &groups).await;
    // A reading that comes late is not the latest.
    sign_in(&store, 55, &groups[..1]).await;
    let cases = [
        (-1, None),
        (0, Some((2, 0, 20))),
        (29, Some((2, 0, 20))),
        (30, Some((1, 30, 40))),
        (45, Some((1, 30, 40))),
        (50, Some((0, 50, 50))),
        (59, Some((0, 50, 50))),
        (60, Some((2, 60, 60))),
        (9_999, Some((2, 60, 60))),
    ];
    for (at, expected) in cases {
        assert_eq!(seen(&store, at).await, expected, "{at}");
    }
    let other = store.groups_seen_at("other", "subject-of-ada", NOW).await;
    assert_eq!(other.unwrap(), None);
}

pub(super) async fn a_group_that_was_made_again_is_another_group(backend: &impl Backend) {
    let store = backend.open().await;
    let mut groups = session('a').identity.groups;
    sign_in(&store, 0, &groups).await;
    groups[0].stable_id = Some("uuid-2".to_owned());
    sign_in(&store, 10, &groups).await;
    assert_eq!(seen(&store, 5).await, Some((2, 0, 0)));
    assert_eq!(seen(&store, 10).await, Some((2, 10, 10)));
    // Twice within a millisecond: the last reading counts.
    groups.push(Group {
        key: group("cn=new"),
        name: "new".to_owned(),
        stable_id: None,
        through: None,
    });
    sign_in(&store, 10, &groups).await;
    assert_eq!(seen(&store, 10).await, Some((3, 10, 10)));
    sign_in(&store, 11, &groups[..1]).await;
    assert_eq!(seen(&store, 10).await, Some((3, 10, 10)));
    assert_eq!(seen(&store, 9).await, Some((2, 0, 0)));
}
