//! Accounts, roles, mappings, rules, and the audit rows of their edits.

use std::sync::Arc;

use rolegate::{
    access::{Conditions, MappingId, MappingRule, Origin, SessionDuration},
    audit::Action,
    store::{AuditFilter, AuditLog as _, ChainStatus, Change, PolicyStore as _, StoreError},
};
use time::macros::datetime;
use uuid::Uuid;

use super::{Backend, account, arn, context, mapping, put_role, read_only_arn, role};

fn rule() -> MappingRule {
    MappingRule {
        id: MappingId("file:9".to_owned()),
        connector: "corp".parse().unwrap(),
        group_pattern: "^cn=aws-(?<account>[0-9]{12})-(?<role>[a-z]+),dc=x$".to_owned(),
        role: "arn:aws:iam::{account}:role/{role}".to_owned(),
        conditions: Conditions::default(),
        allow_protected: true,
        ticket: Some("HD-9".to_owned()),
        origin: Origin::File { line: 9 },
    }
}

pub(super) async fn an_empty_store_has_a_version_and_nothing_else(backend: &impl Backend) {
    let store = backend.open().await;
    let tables = store.tables().await.unwrap();
    assert_eq!(tables.version, store.policy_version().await.unwrap());
    assert!(tables.accounts.is_empty() && tables.roles.is_empty());
    assert!(tables.mappings.is_empty() && tables.rules.is_empty());
}

pub(super) async fn what_is_put_is_read_back_as_it_was(backend: &impl Backend) {
    let mut full_account = account("000022223333", "Payments “production”");
    full_account.alias = Some("payments".to_owned());
    full_account.environment = Some("production".to_owned());
    full_account.description = Some("'; DROP TABLE role; --".to_owned());
    full_account.protected = true;
    full_account.role_defaults.external_id = Some("ext-1".to_owned());
    full_account.role_defaults.max_duration = Some(SessionDuration::HOUR);
    let mut full_role = role(arn("arn:aws-cn:iam::000022223333:role/a/b/Ops"));
    full_role.description = Some("Äüß 日本".to_owned());
    full_role.own.region = Some("cn-north-1".to_owned());
    full_role.own.source_identity = Some("{username}".parse().unwrap());
    full_role.session_policy = Some("{\"Version\":\"2012-10-17\"}".to_owned());
    full_role.policy_arns = vec!["arn:aws-cn:iam::aws:policy/ReadOnlyAccess".to_owned()];
    full_role
        .session_tags
        .insert("team".to_owned(), "payments".to_owned());
    full_role.protected = true;
    full_role.disabled = true;
    let mut full_mapping = mapping("cn=ops", full_role.arn.clone());
    full_mapping.conditions = Conditions {
        expires: Some(datetime!(2027-01-31 00:00:00 +1)),
        max_duration: Some(SessionDuration::SHORTEST),
        read_only: true,
        require_mfa: true,
        require_reason: true,
        require_approval_by: Some("corp:cn=leads".to_owned()),
    };
    full_mapping.ticket = Some("HD-1042".to_owned());
    let store = backend.open().await;
    let changes = vec![
        Change::PutAccount(full_account.clone()),
        Change::PutRole(Box::new(full_role.clone())),
        Change::PutMapping(full_mapping.clone()),
        Change::PutRule(rule()),
    ];
    let applied = store.apply(changes, &context()).await.unwrap();
    drop(store);
    let tables = backend.open().await.tables().await.unwrap();
    assert_eq!((applied.changed, applied.version), (4, tables.version));
    assert_eq!(tables.accounts, [full_account]);
    assert_eq!(tables.roles, [full_role]);
    // Ids are the store's own, and so is the origin from now on.
    full_mapping.id = tables.mappings[0].id.clone();
    full_mapping.origin = Origin::Store;
    assert_eq!(tables.mappings, [full_mapping]);
    let stored_rule = MappingRule {
        id: tables.rules[0].id.clone(),
        origin: Origin::Store,
        ..rule()
    };
    assert_eq!(tables.rules, [stored_rule]);
    for id in [&tables.mappings[0].id, &tables.rules[0].id] {
        assert_eq!(Uuid::parse_str(&id.0).unwrap().get_version_num(), 7);
    }
}

pub(super) async fn every_edit_writes_before_and_after_and_raises_the_version_once(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    let start = store.policy_version().await.unwrap();
    let mut given = mapping("cn=dev", read_only_arn());
    given.ticket = Some("HD-1".to_owned());
    let changes = vec![
        Change::PutAccount(account("111122223333", "Payments")),
        put_role(read_only_arn()),
        Change::PutMapping(given.clone()),
    ];
    let first = store.apply(changes, &context()).await.unwrap();
    assert_eq!((first.version, first.changed), (start + 1, 3));
    given.conditions.read_only = true;
    given.ticket = Some("HD-2".to_owned());
    let second = store
        .apply(vec![Change::PutMapping(given)], &context())
        .await
        .unwrap();
    assert_eq!((second.version, second.changed), (start + 2, 1));
    let filter = AuditFilter {
        actions: vec![Action::MappingChange],
        limit: 10,
        ..AuditFilter::default()
    };
    let rows = store.audit_rows(&filter).await.unwrap();
    assert_eq!(rows.len(), 2);
    let (edit, addition) = (&rows[0].event, &rows[1].event);
    assert_eq!(edit.actor, context().actor);
    assert_eq!(edit.role.as_deref(), Some(read_only_arn().as_str()));
    assert_eq!(edit.account.as_deref(), Some("111122223333"));
    assert_eq!(edit.request_id, context().request_id);
    assert_eq!(edit.details["ticket"], "HD-2");
    assert_eq!(edit.details["reason"], "quarterly review");
    assert_eq!(edit.details["before"]["ticket"], "HD-1");
    assert_eq!(edit.details["before"]["conditions"]["read_only"], false);
    assert_eq!(edit.details["after"]["conditions"]["read_only"], true);
    assert!(!addition.details.contains_key("before"));
    let id = store.tables().await.unwrap().mappings[0].id.clone();
    let ended = store
        .apply(vec![Change::EndMapping(id)], &context())
        .await
        .unwrap();
    assert_eq!(ended.version, start + 3);
    let rows = store.audit_rows(&filter).await.unwrap();
    assert_eq!(rows[0].event.details["before"]["ticket"], "HD-2");
    assert!(!rows[0].event.details.contains_key("after"));
}

pub(super) async fn a_row_put_as_it_was_changes_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    let mut dated = mapping("cn=dev", read_only_arn());
    dated.conditions.expires = Some(datetime!(2027-01-31 00:00:00.000_000_7 +1));
    let changes = vec![
        Change::PutAccount(account("111122223333", "Payments")),
        put_role(read_only_arn()),
        Change::PutMapping(dated),
        Change::PutRule(rule()),
    ];
    let first = store.apply(changes.clone(), &context()).await.unwrap();
    let again = store.apply(changes, &context()).await.unwrap();
    assert_eq!((again.version, again.changed), (first.version, 0));
    let filter = AuditFilter {
        limit: 100,
        ..AuditFilter::default()
    };
    assert_eq!(store.audit_rows(&filter).await.unwrap().len(), 4);
}

pub(super) async fn one_refused_change_undoes_the_others(backend: &impl Backend) {
    let store = backend.open().await;
    let before = store.policy_version().await.unwrap();
    let changes = vec![
        put_role(read_only_arn()),
        Change::EndMapping(MappingId("no such".to_owned())),
    ];
    let error = store.apply(changes, &context()).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "{error}");
    let tables = store.tables().await.unwrap();
    assert!(tables.roles.is_empty());
    assert_eq!(tables.version, before);
    let filter = AuditFilter {
        limit: 100,
        ..AuditFilter::default()
    };
    assert!(store.audit_rows(&filter).await.unwrap().is_empty());
}

pub(super) async fn a_mapping_with_the_same_group_and_role_is_replaced_and_keeps_its_id(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    let changes = vec![
        put_role(read_only_arn()),
        Change::PutMapping(mapping("cn=dev", read_only_arn())),
    ];
    store.apply(changes, &context()).await.unwrap();
    let first = store.tables().await.unwrap().mappings.remove(0);
    let mut second = mapping("cn=dev", read_only_arn());
    second.id = MappingId(Uuid::now_v7().to_string());
    second.ticket = Some("HD-2".to_owned());
    store
        .apply(vec![Change::PutMapping(second)], &context())
        .await
        .unwrap();
    let mappings = store.tables().await.unwrap().mappings;
    assert_eq!(mappings.len(), 1);
    assert_eq!(mappings[0].id, first.id);
    assert_eq!(mappings[0].ticket.as_deref(), Some("HD-2"));
}

pub(super) async fn a_mapping_can_be_moved_but_not_onto_another(backend: &impl Backend) {
    let store = backend.open().await;
    let changes = vec![
        put_role(read_only_arn()),
        Change::PutMapping(mapping("cn=one", read_only_arn())),
        Change::PutMapping(mapping("cn=two", read_only_arn())),
    ];
    store.apply(changes, &context()).await.unwrap();
    let mut moved = store.tables().await.unwrap().mappings.remove(0);
    moved.group = super::group("cn=three");
    store
        .apply(vec![Change::PutMapping(moved.clone())], &context())
        .await
        .unwrap();
    assert!(store.tables().await.unwrap().mappings.contains(&moved));
    let other = store.tables().await.unwrap().mappings.remove(1);
    moved.group = other.group.clone();
    let error = store
        .apply(vec![Change::PutMapping(moved)], &context())
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&other.id.0), "{error}");
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
}

pub(super) async fn a_rule_with_the_same_content_is_replaced_and_keeps_its_id(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    store
        .apply(vec![Change::PutRule(rule())], &context())
        .await
        .unwrap();
    let first = store.tables().await.unwrap().rules.remove(0);
    let mut again = rule();
    again.allow_protected = false;
    store
        .apply(vec![Change::PutRule(again)], &context())
        .await
        .unwrap();
    let rules = store.tables().await.unwrap().rules;
    assert_eq!((rules.len(), &rules[0].id), (1, &first.id));
    assert!(!rules[0].allow_protected);
    store
        .apply(vec![Change::EndRule(first.id)], &context())
        .await
        .unwrap();
    assert!(store.tables().await.unwrap().rules.is_empty());
}

pub(super) async fn a_rule_that_cannot_match_is_refused(backend: &impl Backend) {
    let store = backend.open().await;
    let open = MappingRule {
        group_pattern: "cn=aws-.*".to_owned(),
        ..rule()
    };
    let error = store
        .apply(vec![Change::PutRule(open)], &context())
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
}

pub(super) async fn role_names_are_unique_within_their_account_ignoring_case(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    store
        .apply(vec![put_role(read_only_arn())], &context())
        .await
        .unwrap();
    let twin = arn("arn:aws:iam::111122223333:role/other/READONLY");
    let error = store
        .apply(vec![put_role(twin)], &context())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "arn:aws:iam::111122223333:role/other/READONLY has the same name as \
         arn:aws:iam::111122223333:role/team/ReadOnly: names are unique within an account, \
         ignoring case"
    );
    let elsewhere = arn("arn:aws:iam::444455556666:role/ReadOnly");
    store
        .apply(vec![put_role(elsewhere)], &context())
        .await
        .unwrap();
}

pub(super) async fn roles_stand_without_an_account_and_keep_theirs_from_being_removed(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    store
        .apply(vec![put_role(read_only_arn())], &context())
        .await
        .unwrap();
    let payments = account("111122223333", "Payments");
    let id = payments.id.clone();
    store
        .apply(vec![Change::PutAccount(payments)], &context())
        .await
        .unwrap();
    let remove = vec![Change::RemoveAccount(id.clone())];
    let error = store.apply(remove.clone(), &context()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "account 111122223333 still has 1 role: remove them first"
    );
    let both = vec![
        Change::RemoveRole(read_only_arn()),
        Change::RemoveAccount(id),
    ];
    assert_eq!(store.apply(both, &context()).await.unwrap().changed, 2);
}

pub(super) async fn a_role_with_mappings_stays(backend: &impl Backend) {
    let store = backend.open().await;
    let changes = vec![
        put_role(read_only_arn()),
        Change::PutMapping(mapping("cn=one", read_only_arn())),
        Change::PutMapping(mapping("cn=two", read_only_arn())),
    ];
    store.apply(changes, &context()).await.unwrap();
    let remove = vec![Change::RemoveRole(read_only_arn())];
    let error = store.apply(remove, &context()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 mappings give role arn:aws:iam::111122223333:role/team/ReadOnly: end them first"
    );
}

pub(super) async fn what_does_not_exist_cannot_be_removed_or_named(backend: &impl Backend) {
    let store = backend.open().await;
    let nothing = MappingId(Uuid::now_v7().to_string());
    for change in [
        Change::RemoveAccount("111122223333".parse().unwrap()),
        Change::RemoveRole(read_only_arn()),
        Change::EndMapping(nothing.clone()),
        Change::EndRule(nothing),
        Change::PutMapping(mapping("cn=dev", read_only_arn())),
    ] {
        let error = store
            .apply(vec![change.clone()], &context())
            .await
            .unwrap_err();
        assert!(
            matches!(error, StoreError::NotFound(_)),
            "{change:?}: {error}"
        );
        assert!(error.to_string().ends_with("does not exist"), "{error}");
    }
}

pub(super) async fn edits_at_the_same_time_all_count(backend: &impl Backend) {
    let store = Arc::new(backend.open().await);
    let start = store.policy_version().await.unwrap();
    let edits: Vec<_> = (0..20)
        .map(|number| {
            let store = Arc::clone(&store);
            let role = arn(&format!("arn:aws:iam::111122223333:role/Role{number}"));
            tokio::spawn(async move { store.apply(vec![put_role(role)], &context()).await })
        })
        .collect();
    let mut versions = Vec::new();
    for edit in edits {
        versions.push(edit.await.unwrap().unwrap().version);
    }
    versions.sort_unstable();
    assert_eq!(versions, (start + 1..=start + 20).collect::<Vec<_>>());
    let status = store.verify_chain().await.unwrap();
    assert!(
        matches!(status, ChainStatus::Holds { rows: 20, .. }),
        "{status:?}"
    );
}
