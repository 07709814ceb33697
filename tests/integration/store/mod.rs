//! What every store promises, as one list that each backend runs, and what is SQLite's alone.

mod audit_log;
mod conversations;
mod edits;
mod faults;
mod known_people;
mod migrated_file;
mod pending;
mod people;
mod reviews;
mod revocations;
mod sequences;
mod sessions;
mod sqlite_file;
mod tables;
mod tokens;

use rolegate::{
    access::{
        Account, AccountId, Conditions, GroupKey, GroupKeyForm, Mapping, MappingId, Origin, Role,
        RoleDefaults, TargetArn,
    },
    audit::{Action, Actor, AuditEvent, Outcome},
    store::{
        AccessReviews, AuditLog, BrokerTokens, Change, Conversations, EditContext, KnownPeople,
        PendingEdits, PersonStore, PolicyStore, ProviderDocuments, Revocations, SignInSessions,
        StoreHealth,
    },
};
use time::{OffsetDateTime, macros::datetime};

/// Everything that a backend implements.
trait Store:
    PolicyStore
    + SignInSessions
    + Conversations
    + ProviderDocuments
    + PersonStore
    + KnownPeople
    + PendingEdits
    + AccessReviews
    + Revocations
    + BrokerTokens
    + AuditLog
    + StoreHealth
    + Send
    + Sync
    + 'static
{
}

impl<S> Store for S where
    S: PolicyStore
        + SignInSessions
        + Conversations
        + ProviderDocuments
        + PersonStore
        + KnownPeople
        + PendingEdits
        + AccessReviews
        + Revocations
        + BrokerTokens
        + AuditLog
        + StoreHealth
        + Send
        + Sync
        + 'static
{
}

/// A database of its own for one test.
trait Backend {
    type Store: Store;

    /// An empty database.
    async fn empty() -> Self;

    /// Opens it, as often as wanted.
    async fn open(&self) -> Self::Store;

    /// Runs a statement behind the store's back.
    async fn tamper(&self, sql: &'static str);
}

/// Runs the list on a backend: `conformance!(Backend: module::test, …)`.
macro_rules! conformance {
    ($backend:ty: $($module:ident::$test:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                use super::Backend as _;
                super::$module::$test(&<$backend>::empty().await).await;
            }
        )+
    };
}

mod sqlite {
    conformance!(super::sqlite_file::SqliteFile:
        tables::an_empty_store_has_a_version_and_nothing_else,
        tables::what_is_put_is_read_back_as_it_was,
        tables::every_edit_writes_before_and_after_and_raises_the_version_once,
        tables::a_row_put_as_it_was_changes_nothing,
        tables::one_refused_change_undoes_the_others,
        tables::a_mapping_with_the_same_group_and_role_is_replaced_and_keeps_its_id,
        tables::a_mapping_can_be_moved_but_not_onto_another,
        tables::a_rule_with_the_same_content_is_replaced_and_keeps_its_id,
        tables::a_rule_that_cannot_match_is_refused,
        tables::role_names_are_unique_within_their_account_ignoring_case,
        tables::roles_stand_without_an_account_and_keep_theirs_from_being_removed,
        tables::a_role_with_mappings_stays,
        tables::what_does_not_exist_cannot_be_removed_or_named,
        tables::edits_at_the_same_time_all_count,
        audit_log::places_have_no_gap_with_fifty_writers,
        audit_log::an_intent_needs_the_tables_it_was_decided_on,
        audit_log::a_refused_intent_leaves_its_neighbours_alone,
        audit_log::an_end_brings_its_role_session_and_the_recents,
        audit_log::no_role_session_without_an_announced_intent,
        audit_log::a_role_session_is_written_once,
        audit_log::intents_without_an_end_are_closed_as_unknown_once,
        audit_log::rows_are_found_by_what_they_say,
        audit_log::pages_follow_each_other,
        audit_log::an_untouched_chain_holds,
        audit_log::edited_payloads_are_found,
        audit_log::edited_columns_are_found,
        audit_log::removed_rows_are_found,
        audit_log::reordered_rows_are_found,
        audit_log::a_cut_tail_is_found,
        audit_log::an_added_row_is_found,
        audit_log::unreadable_hashes_are_found,
        audit_log::a_long_chain_is_verified_to_its_end,
        audit_log::the_chain_can_be_verified_while_it_grows,
        audit_log::erased_rows_are_taken_only_where_the_log_says_so,
        audit_log::dropped_rows_leave_a_chain_that_begins_behind_them,
        audit_log::a_stream_knows_where_it_is,
        sessions::a_session_is_read_back_as_it_was,
        sessions::sessions_survive_a_restart,
        sessions::a_session_that_is_saved_again_is_replaced,
        sessions::a_renewed_session_keeps_its_times_and_an_ended_one_stays_ended,
        sessions::touching_moves_only_forward,
        sessions::ended_sessions_are_gone,
        sessions::all_sessions_of_a_person_end_together,
        sessions::the_sweep_takes_what_ended_and_what_was_idle,
        sessions::only_hashes_are_taken_as_ids,
        conversations::a_pending_sign_in_is_taken_once_by_its_own_browser,
        conversations::a_sign_in_that_took_too_long_is_gone,
        conversations::a_sign_in_is_begun_once_and_with_a_hash_alone,
        conversations::of_many_who_take_a_sign_in_one_gets_it,
        conversations::of_many_who_use_an_answer_one_is_the_first,
        conversations::the_sweep_takes_what_is_past_its_end,
        conversations::a_proof_is_replaced_and_ends,
        conversations::a_proof_goes_with_its_session,
        conversations::what_a_session_rests_on_is_read_back_and_kept,
        conversations::a_provider_ends_the_sessions_that_rest_on_its_own,
        conversations::documents_are_replaced_and_survive_a_restart,
        people::favourites_keep_their_order,
        people::recents_are_twelve_and_the_newest_is_first,
        people::role_sessions_are_listed_newest_first,
        people::one_reading_tells_what_a_person_set_and_what_is_still_open,
        people::settings_are_kept_and_replaced,
        people::people_of_two_connectors_are_apart,
        people::a_store_that_works_answers_the_probe,
        edits::an_edit_of_a_version_that_is_past_changes_nothing,
        edits::of_two_writers_who_looked_at_the_same_version_one_is_refused,
        edits::every_row_of_an_edit_names_it_and_the_row_it_changed,
        edits::rows_that_announce_an_edit_stand_in_front_of_it,
        edits::a_refused_edit_leaves_no_announcement,
        edits::a_changed_mapping_file_raises_the_version_with_its_row,
        edits::rows_after_a_place_come_oldest_first,
        edits::an_edited_row_or_edit_column_is_found,
        pending::a_proposed_edit_is_read_back_as_it_was,
        pending::edits_are_listed_by_state_and_newest_first,
        pending::an_edit_is_settled_once,
        pending::approving_goes_with_the_changes_alone,
        pending::an_approved_edit_is_carried_out_once,
        pending::an_edit_is_not_approved_after_its_end,
        pending::an_edit_that_cannot_be_carried_out_goes_on_waiting,
        known_people::whoever_signs_in_is_known,
        known_people::what_is_read_anew_of_a_session_that_is_there_is_known,
        known_people::people_are_listed_by_connector_and_user_name,
        known_people::what_changes_between_two_readings_is_seen,
        known_people::people_are_found_by_a_part_of_their_names_ignoring_case,
        known_people::whoever_has_exactly_this_user_name_or_subject_comes_first,
        known_people::groups_are_remembered_for_as_long_as_they_were_the_same,
        known_people::a_group_that_was_made_again_is_another_group,
        reviews::a_review_is_read_back_with_its_items_in_order,
        reviews::reviews_are_listed_newest_first_with_their_counts,
        reviews::items_are_decided_and_decided_anew_until_the_review_is_closed,
        reviews::what_is_not_in_a_review_cannot_be_decided,
        revocations::a_revocation_is_read_back_with_its_roles,
        revocations::roles_are_settled_when_written_and_again_when_expired,
        revocations::what_was_never_written_is_not_settled_after_its_end,
        revocations::a_person_s_roles_are_those_announced_and_those_issued,
        revocations::what_was_announced_before_a_revocation_is_not_handed_out,
        revocations::what_is_doubted_is_written_again,
        tokens::a_device_and_its_tokens_are_read_back_as_they_were,
        tokens::an_authorization_is_read_back_as_it_was,
        tokens::an_authorization_is_decided_once_and_in_time,
        tokens::of_many_who_redeem_a_code_one_gets_the_device,
        tokens::no_device_begins_for_a_browser_that_is_signed_out,
        tokens::of_many_who_use_a_refresh_token_one_is_the_first,
        tokens::tokens_go_with_their_session,
        tokens::devices_rest_and_browsers_idle_out,
        tokens::the_sweep_leaves_what_a_second_use_has_to_meet,
        tokens::only_hashes_and_devices_are_taken,
    );
}

/// What an update of the program touches.
mod migrated {
    conformance!(super::migrated_file::MigratedFile:
        sessions::a_session_is_read_back_as_it_was,
        sessions::sessions_survive_a_restart,
        sessions::a_session_that_is_saved_again_is_replaced,
        sessions::a_renewed_session_keeps_its_times_and_an_ended_one_stays_ended,
        sessions::ended_sessions_are_gone,
        sessions::all_sessions_of_a_person_end_together,
        conversations::a_pending_sign_in_is_taken_once_by_its_own_browser,
        conversations::a_sign_in_that_took_too_long_is_gone,
        conversations::a_sign_in_is_begun_once_and_with_a_hash_alone,
        conversations::of_many_who_take_a_sign_in_one_gets_it,
        conversations::of_many_who_use_an_answer_one_is_the_first,
        conversations::the_sweep_takes_what_is_past_its_end,
        conversations::a_proof_is_replaced_and_ends,
        conversations::a_proof_goes_with_its_session,
        conversations::what_a_session_rests_on_is_read_back_and_kept,
        conversations::a_provider_ends_the_sessions_that_rest_on_its_own,
        conversations::documents_are_replaced_and_survive_a_restart,
        edits::every_row_of_an_edit_names_it_and_the_row_it_changed,
        pending::a_proposed_edit_is_read_back_as_it_was,
        pending::an_approved_edit_is_carried_out_once,
        known_people::whoever_signs_in_is_known,
        known_people::groups_are_remembered_for_as_long_as_they_were_the_same,
        known_people::a_group_that_was_made_again_is_another_group,
        reviews::items_are_decided_and_decided_anew_until_the_review_is_closed,
        revocations::a_revocation_is_read_back_with_its_roles,
        tokens::a_device_and_its_tokens_are_read_back_as_they_were,
        tokens::of_many_who_redeem_a_code_one_gets_the_device,
        tokens::tokens_go_with_their_session,
    );
}

const NOW: OffsetDateTime = datetime!(2026-11-24 09:00:00.123 UTC);

fn context() -> EditContext {
    EditContext {
        reason: Some("quarterly review".to_owned()),
        request_id: Some("request-1".to_owned()),
        ..EditContext::new(Actor::Host { uid: 1000 }, NOW)
    }
}

fn arn(text: &str) -> TargetArn {
    text.parse().expect("a legal ARN")
}

fn read_only_arn() -> TargetArn {
    arn("arn:aws:iam::111122223333:role/team/ReadOnly")
}

fn account(id: &str, name: &str) -> Account {
    Account {
        colour: None,
        owner: None,
        id: id.parse::<AccountId>().expect("a legal account id"),
        name: name.to_owned(),
        alias: None,
        environment: None,
        description: None,
        protected: false,
        role_defaults: RoleDefaults::default(),
    }
}

fn role(arn: TargetArn) -> Role {
    Role {
        owner: None,
        arn,
        description: None,
        own: RoleDefaults::default(),
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: std::collections::BTreeMap::new(),
        protected: false,
        disabled: false,
    }
}

fn group(name: &str) -> GroupKey {
    let connector = "corp".parse().expect("a legal connector id");
    GroupKey::new(&connector, name, GroupKeyForm::Exact).expect("a legal group")
}

fn mapping(group_name: &str, role: TargetArn) -> Mapping {
    Mapping {
        id: MappingId("file:7".to_owned()),
        group: group(group_name),
        role,
        conditions: Conditions::default(),
        ticket: None,
        origin: Origin::File { line: 7 },
    }
}

fn put_role(arn: TargetArn) -> Change {
    Change::PutRole(Box::new(role(arn)))
}

fn ada() -> Actor {
    Actor::Person {
        connector: "corp".to_owned(),
        subject: Some("subject-of-ada".to_owned()),
        username: Some("ada".to_owned()),
    }
}

fn event(outcome: Outcome) -> AuditEvent {
    AuditEvent::new(NOW, Action::ConsoleOpen, outcome, ada())
}

fn intent(id: &str) -> AuditEvent {
    let mut event = event(Outcome::Intent).with("session_name", "ada");
    event.intent = Some(id.to_owned());
    event.role = Some(read_only_arn().to_string());
    event.account = Some("111122223333".to_owned());
    event
}

fn end_of(id: &str, outcome: Outcome) -> AuditEvent {
    AuditEvent {
        outcome,
        ..intent(id)
    }
}
