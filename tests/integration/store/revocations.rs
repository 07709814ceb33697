//! Revocations, and how far they came.

use rolegate::{
    access::TargetArn,
    audit::{Action, AuditEvent, Outcome},
    store::{
        AuditLog as _, PolicyStore as _, Revocation, Revocations as _, Revoked, RevokedRole,
        StoreError,
    },
};
use time::Duration;

use super::{
    Backend, NOW, Store, ada, arn, audit_log::role_session, end_of, intent, read_only_arn,
};

const ADA: &str = "subject-of-ada";

fn other_arn() -> TargetArn {
    arn("arn:aws:iam::222233334444:role/Other")
}

fn person() -> Revoked {
    Revoked::Person {
        connector: "corp".to_owned(),
        subject: ADA.to_owned(),
    }
}

fn revocation(id: &str, whose: Revoked) -> Revocation {
    Revocation {
        id: id.to_owned(),
        whose,
        session_names: vec!["ada".to_owned(), "ada@example.com".to_owned()],
        source_identities: vec!["ada".to_owned()],
        issued_before: NOW + Duration::SECOND,
        created_at: NOW,
        expires_at: NOW + Duration::hours(12),
        by: "grace".to_owned(),
        reason: Some("lost laptop".to_owned()),
    }
}

fn at(revocation: &str, role: &TargetArn) -> RevokedRole {
    RevokedRole {
        revocation: revocation.to_owned(),
        role: role.to_string(),
        applied_at: None,
        failure: None,
        is_final: false,
    }
}

fn event() -> AuditEvent {
    AuditEvent::new(NOW, Action::SessionRevoke, Outcome::Ok, ada())
}

async fn revoke(store: &impl Store, revocation: &Revocation, roles: &[RevokedRole]) {
    store.revoke(revocation, roles, &event()).await.unwrap();
}

pub(super) async fn a_revocation_is_read_back_with_its_roles(backend: &impl Backend) {
    let store = backend.open().await;
    let first = revocation("r-1", person());
    let second = Revocation {
        created_at: NOW + Duration::MINUTE,
        session_names: Vec::new(),
        source_identities: Vec::new(),
        reason: None,
        ..revocation(
            "r-2",
            Revoked::Role {
                role: read_only_arn().to_string(),
            },
        )
    };
    let never = RevokedRole {
        failure: Some("it cannot be".to_owned()),
        is_final: true,
        ..at("r-1", &other_arn())
    };
    let roles = [at("r-1", &read_only_arn()), never];
    revoke(&store, &first, &roles).await;
    revoke(&store, &second, &[at("r-2", &read_only_arn())]).await;
    let listed = store.revocations(10).await.unwrap();
    assert_eq!(
        listed,
        [
            (second.clone(), vec![at("r-2", &read_only_arn())]),
            (first.clone(), roles.to_vec()),
        ]
    );
    assert_eq!(store.revocations(1).await.unwrap().len(), 1);
    let of = |role: TargetArn, now| {
        let store = &store;
        async move { store.revocations_of(&role, now).await.unwrap() }
    };
    assert_eq!(of(read_only_arn(), NOW).await, [first.clone(), second]);
    assert_eq!(of(read_only_arn(), first.expires_at).await, []);
    assert_eq!(
        of(other_arn(), NOW).await,
        [],
        "a final one is for the pages"
    );
    let error = store.revoke(&first, &roles, &event()).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    let filter = rolegate::store::AuditFilter {
        limit: 10,
        ..rolegate::store::AuditFilter::default()
    };
    let rows = store.audit_rows(&filter).await.unwrap();
    assert_eq!(rows.len(), 2, "one audit row for each");
}

pub(super) async fn roles_are_settled_when_written_and_again_when_expired(backend: &impl Backend) {
    let store = backend.open().await;
    let role = read_only_arn();
    let one = revocation("r-1", person());
    revoke(&store, &one, &[at("r-1", &role)]).await;
    assert_eq!(
        store.roles_to_settle(NOW).await.unwrap(),
        std::slice::from_ref(&role)
    );
    let ids = ["r-1".to_owned()];
    let failed = Err("AWS refused".to_owned());
    store.note_revoked(&role, &ids, failed).await.unwrap();
    assert_eq!(
        store.roles_to_settle(NOW).await.unwrap(),
        std::slice::from_ref(&role)
    );
    let (_, roles) = store.revocations(1).await.unwrap().remove(0);
    assert_eq!(roles[0].failure.as_deref(), Some("AWS refused"));
    store.note_revoked(&role, &ids, Ok(NOW)).await.unwrap();
    let (_, roles) = store.revocations(1).await.unwrap().remove(0);
    assert_eq!(
        (roles[0].applied_at, roles[0].failure.as_deref()),
        (Some(NOW), None)
    );
    assert_eq!(store.roles_to_settle(NOW).await.unwrap(), []);
    // The policy still holds what has expired, until it is written without.
    let end = one.expires_at;
    assert_eq!(
        store.roles_to_settle(end).await.unwrap(),
        std::slice::from_ref(&role)
    );
    store.note_revoked(&role, &[], Ok(end)).await.unwrap();
    assert_eq!(store.roles_to_settle(end).await.unwrap(), []);
}

pub(super) async fn what_was_never_written_is_not_settled_after_its_end(backend: &impl Backend) {
    let store = backend.open().await;
    let one = revocation("r-1", person());
    revoke(&store, &one, &[at("r-1", &read_only_arn())]).await;
    assert_eq!(store.roles_to_settle(one.expires_at).await.unwrap(), []);
}

pub(super) async fn a_person_s_roles_are_those_announced_and_those_issued(backend: &impl Backend) {
    let store = backend.open().await;
    let version = store.policy_version().await.unwrap();
    store.announce(&intent("i-1"), version).await.unwrap();
    let since = NOW - Duration::hours(12);
    let opened = store.roles_with_sessions("corp", ADA, since).await.unwrap();
    assert_eq!(opened.len(), 1, "what is on its way counts");
    assert_eq!(opened[0].session_names, ["ada"]);
    let session = rolegate::store::RoleSession {
        session_name: "ada@example.com".to_owned(),
        ..role_session("i-1", read_only_arn().as_str())
    };
    let end = end_of("i-1", Outcome::Ok);
    store.conclude(&end, Some(&session)).await.unwrap();
    let opened = store.roles_with_sessions("corp", ADA, since).await.unwrap();
    assert_eq!(opened.len(), 1);
    let mut names = opened[0].session_names.clone();
    names.sort_unstable();
    assert_eq!(names, ["ada", "ada@example.com"]);
    assert_eq!((&opened[0].role, opened[0].latest), (&read_only_arn(), NOW));
    for (connector, subject, since) in [
        ("other", ADA, since),
        ("corp", "somebody", since),
        ("corp", ADA, NOW + Duration::SECOND),
    ] {
        let opened = store.roles_with_sessions(connector, subject, since).await;
        assert_eq!(opened.unwrap(), []);
    }
    let found = store.role_session("i-1").await.unwrap();
    assert_eq!(found, Some(session));
    assert_eq!(store.role_session("i-2").await.unwrap(), None);
}

pub(super) async fn what_was_announced_before_a_revocation_is_not_handed_out(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    let version = store.policy_version().await.unwrap();
    let role = read_only_arn();
    for id in ["i-1", "i-2"] {
        store.announce(&intent(id), version).await.unwrap();
    }
    let unrelated = revocation(
        "r-0",
        Revoked::Person {
            connector: "corp".to_owned(),
            subject: "somebody".to_owned(),
        },
    );
    revoke(&store, &unrelated, &[]).await;
    let conclude = |id: &'static str| {
        let (store, role) = (&store, &role);
        async move {
            let session = role_session(id, role.as_str());
            let end = end_of(id, Outcome::Ok);
            store.conclude(&end, Some(&session)).await
        }
    };
    conclude("i-1").await.unwrap();
    revoke(&store, &revocation("r-1", person()), &[at("r-1", &role)]).await;
    let error = conclude("i-2").await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(store.role_session("i-2").await.unwrap(), None);
    store.announce(&intent("i-3"), version).await.unwrap();
    conclude("i-3").await.unwrap();
}

pub(super) async fn what_is_doubted_is_written_again(backend: &impl Backend) {
    let store = backend.open().await;
    let role = read_only_arn();
    revoke(&store, &revocation("r-1", person()), &[at("r-1", &role)]).await;
    let ids = ["r-1".to_owned()];
    store.note_revoked(&role, &ids, Ok(NOW)).await.unwrap();
    store
        .doubt_revoked(&other_arn(), "no answer", NOW)
        .await
        .unwrap();
    assert_eq!(store.roles_to_settle(NOW).await.unwrap(), []);
    store.doubt_revoked(&role, "no answer", NOW).await.unwrap();
    assert_eq!(store.roles_to_settle(NOW).await.unwrap(), [role]);
    let (_, roles) = store.revocations(1).await.unwrap().remove(0);
    assert_eq!(
        (roles[0].applied_at, roles[0].failure.as_deref()),
        (None, Some("no answer"))
    );
}
