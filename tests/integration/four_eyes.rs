//! Nobody widens their own access, and nobody touches what is protected, alone: every way around it
//! is tried, and waits for a second person or is refused, and is audited.

use std::net::{Ipv4Addr, SocketAddr};

use rolegate::{
    access::{Conditions, SessionDuration},
    audit::{Action, Actor, Outcome},
    broker::{EditDraft, EditRefused, PendingState, Saved, Undo, Wait},
    clock::Clock as _,
    demo::{
        directory::{Directory, Entry, Fault},
        sample::{self, group_dn, person_dn},
    },
    store::{Change, PendingEdits as _},
};
use time::Duration;

use crate::support::{
    app::Options,
    editing::{
        Desk, ORDER_DESK, PAYMENTS_ADMIN, SANDBOX, client, draft, key, mapping, person, putting,
        rule,
    },
};

impl Desk {
    /// A new group of the directory.
    fn add_group(&self, name: &str, members: &[&str]) {
        let group = Entry::new(group_dn(name))
            .with("objectClass", ["top", "groupOfNames"])
            .with("cn", [name]);
        self.app.directory.add_entry(group);
        for member in members {
            self.join(name, member);
        }
    }

    fn join(&self, group: &str, username: &str) {
        let directory = &self.app.directory;
        assert!(directory.add_member(&group_dn(group), &person_dn(username)));
    }

    fn leave(&self, group: &str, username: &str) {
        let directory = &self.app.directory;
        assert!(directory.remove_member(&group_dn(group), &person_dn(username)));
    }

    async fn state(&self, pending: &str) -> PendingState {
        let edit = self.app.store.pending_edit(pending).await.unwrap();
        edit.unwrap().state
    }

    /// Makes a role protected, as the host does.
    async fn protect(&self, arn: &str) {
        let mut role = self.role(arn).await;
        role.protected = true;
        self.app.edit(vec![Change::PutRole(Box::new(role))]).await;
    }

    async fn assert_audited(&self, action: Action, outcome: Outcome, reason: Option<&str>) {
        let event = self.last_event().await;
        assert_eq!(
            (event.action, event.outcome, event.reason.as_deref()),
            (action, outcome, reason),
            "{event:?}"
        );
    }

    /// The approver is refused for this reason, audited; the edit waits on.
    async fn assert_not_second(
        &self,
        approver: &mut rolegate::broker::SignInSession,
        pending: &str,
        reason: &str,
    ) {
        let refused = self.approve(approver, pending).await;
        assert!(
            matches!(
                refused,
                Err(EditRefused::NotSecondPerson(_) | EditRefused::NotAllowed(_))
            ),
            "{refused:?}"
        );
        self.assert_audited(Action::EditApprove, Outcome::Refused, Some(reason))
            .await;
        assert_eq!(self.last_event().await.details["pending"], pending);
        assert_eq!(self.state(pending).await, PendingState::Waiting);
    }
}

fn name_of(actor: &Actor) -> &str {
    match actor {
        Actor::Person {
            username: Some(name),
            ..
        } => name,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_role_for_oneself_waits_and_another_person_approves_it() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let edit = EditDraft {
        reason: Some("HD-9".to_owned()),
        ..putting([mapping("finance", SANDBOX)])
    };
    let preview = desk.preview(&mut grace, &edit).await.unwrap();
    assert_eq!(preview.waits, [Wait::SelfGain]);
    assert_eq!(preview.own_gains, [SANDBOX]);
    let pending = desk.save_waiting(&mut grace, &edit).await;
    let event = desk.last_event().await;
    assert_eq!(
        (event.action, event.outcome),
        (Action::EditPropose, Outcome::Ok)
    );
    assert_eq!(event.details["why"], serde_json::json!(["self_gain"]));
    assert_eq!(event.details["gains"], 1);

    let mut again = desk.session("grace").await;
    let mut amy = desk.session("amy").await;
    let mut linus = desk.session("linus").await;
    for (who, reason) in [
        (&mut grace, "own_edit"),
        (&mut again, "own_edit"),
        (&mut amy, "approver_without_authority"),
        (&mut linus, "approver_without_authority"),
    ] {
        desk.assert_not_second(who, &pending, reason).await;
    }

    let mut hal = desk.session("hal").await;
    let (broker, client) = (&desk.app.broker, client());
    let forged = broker.approve_edit(&mut hal, &pending, "never shown", &client);
    assert!(matches!(forged.await, Err(EditRefused::PreviewChanged(_))));
    desk.assert_audited(
        Action::EditApprove,
        Outcome::Refused,
        Some("preview_changed"),
    )
    .await;
    let saved = desk.approve(&mut hal, &pending).await.unwrap();
    let Saved::InForce { edit, .. } = saved else {
        panic!("{saved:?}");
    };
    assert!(desk.mapping("finance", SANDBOX).await.is_some());
    let rows = desk.app.audit_rows().await;
    let [change, approval] = &rows[..2] else {
        panic!("{rows:?}");
    };
    assert_eq!(change.event.action, Action::MappingChange);
    assert_eq!(name_of(&change.event.actor), "grace");
    assert_eq!(change.event.details["approved_by"]["username"], "hal");
    assert_eq!(change.event.details["edit"], edit.as_str());
    assert_eq!(change.event.details["reason"], "HD-9");
    assert_eq!(approval.event.action, Action::EditApprove);
    assert_eq!(name_of(&approval.event.actor), "hal");
    let kept = desk
        .app
        .store
        .pending_edit(&pending)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.state, PendingState::Approved);
    assert_eq!(name_of(kept.decided_by.as_ref().unwrap()), "hal");
    let twice = desk.approve(&mut hal, &pending).await;
    assert!(matches!(twice, Err(EditRefused::AlreadyDecided)));
}

#[tokio::test]
async fn whoever_gains_by_it_does_not_approve_it() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let edit = putting([mapping("helpdesk", SANDBOX)]);
    let pending = desk.save_waiting(&mut grace, &edit).await;
    let mut hal = desk.session("hal").await;
    desk.assert_not_second(&mut hal, &pending, "approver_gains")
        .await;
    // Nor whoever joined the group since.
    let edit = putting([mapping("finance", SANDBOX)]);
    let pending = desk.save_waiting(&mut grace, &edit).await;
    desk.join("finance", "hal");
    desk.assert_not_second(&mut hal, &pending, "approver_gains")
        .await;
}

#[tokio::test]
async fn better_terms_for_oneself_wait_whatever_hides_them() {
    let desk = Desk::start().await;
    let now = desk.app.clock.now();
    let narrow = Conditions {
        expires: Some(now + Duration::days(30)),
        max_duration: Some("1h".parse::<SessionDuration>().unwrap()),
        read_only: true,
        require_reason: true,
        ..Conditions::default()
    };
    let mut row = mapping("finance", SANDBOX);
    row.conditions = narrow.clone();
    desk.app.edit(vec![Change::PutMapping(row.clone())]).await;
    let mut grace = desk.session("grace").await;
    let with = |conditions: Conditions| {
        let mut row = row.clone();
        row.conditions = conditions;
        putting([row])
    };
    let looser = [
        Conditions {
            expires: None,
            ..narrow.clone()
        },
        Conditions {
            expires: Some(now + Duration::days(31)),
            ..narrow.clone()
        },
        Conditions {
            max_duration: None,
            ..narrow.clone()
        },
        Conditions {
            read_only: false,
            ..narrow.clone()
        },
        Conditions {
            require_reason: false,
            ..narrow.clone()
        },
    ];
    for conditions in looser {
        let preview = desk
            .preview(&mut grace, &with(conditions.clone()))
            .await
            .unwrap();
        assert_eq!(preview.waits, [Wait::SelfGain], "{conditions:?}");
        assert_eq!(preview.own_gains, [SANDBOX], "{conditions:?}");
    }
    // A second mapping, through another group, on the same or on better terms.
    let mut second = mapping("everyone", SANDBOX);
    for conditions in [narrow.clone(), Conditions::default()] {
        second.conditions = conditions;
        let preview = desk
            .preview(&mut grace, &putting([second.clone()]))
            .await
            .unwrap();
        assert_eq!(preview.waits, [Wait::SelfGain]);
    }
    // What only a later version will give.
    let mut later = mapping("finance", PAYMENTS_ADMIN);
    later.conditions.require_mfa = true;
    let preview = desk.preview(&mut grace, &putting([later])).await.unwrap();
    assert_eq!(preview.waits, [Wait::SelfGain]);
    // Less is not more.
    let mut ticket = row.clone();
    ticket.ticket = Some("HD-4".to_owned());
    desk.save_now(&mut grace, &putting([ticket])).await;
    let tighter = Conditions {
        expires: Some(now + Duration::days(2)),
        ..narrow
    };
    desk.save_now(&mut grace, &with(tighter)).await;
    desk.save_now(&mut grace, &draft(vec![Change::EndMapping(row.id)]))
        .await;
}

#[tokio::test]
async fn a_role_for_oneself_by_a_rule_or_by_the_role_itself_waits() {
    let desk = Desk::start().await;
    desk.add_group("gardeners", &["amy"]);
    let mut amy = desk.session("amy").await;
    let mut bob = desk.session("bob").await;
    let pattern = "^cn=gardene(?<rest>.*),ou=groups,dc=example,dc=com$";
    let by_rule = draft(vec![Change::PutRule(rule(pattern, ORDER_DESK))]);
    let pending = desk.save_waiting(&mut amy, &by_rule).await;
    let saved = desk.approve(&mut bob, &pending).await;
    assert!(matches!(saved, Ok(Saved::InForce { .. })), "{saved:?}");

    let mut role = desk.role(ORDER_DESK).await;
    role.session_policy = Some("{}".to_owned());
    role.disabled = true;
    let off = draft(vec![Change::PutRole(Box::new(role.clone()))]);
    desk.save_now(&mut amy, &off).await;
    role.disabled = false;
    let enabled = draft(vec![Change::PutRole(Box::new(role.clone()))]);
    let pending = desk.save_waiting(&mut amy, &enabled).await;
    let saved = desk.approve(&mut bob, &pending).await;
    assert!(matches!(saved, Ok(Saved::InForce { .. })), "{saved:?}");
    // Holding it, amy widens what it can do.
    role.session_policy = None;
    let wider = draft(vec![Change::PutRole(Box::new(role.clone()))]);
    let preview = desk.preview(&mut amy, &wider).await.unwrap();
    assert_eq!(preview.waits, [Wait::SelfGain]);
    assert_eq!(preview.own_gains, [ORDER_DESK]);
    // Bob does not hold it.
    desk.save_now(&mut bob, &wider).await;
}

#[tokio::test]
async fn what_is_protected_waits_from_every_side() {
    let desk = Desk::start().await;
    desk.protect(PAYMENTS_ADMIN).await;
    let mut grace = desk.session("grace").await;
    let mut amy = desk.session("amy").await;
    let edit = putting([mapping("book-club", PAYMENTS_ADMIN)]);
    let preview = desk.preview(&mut grace, &edit).await.unwrap();
    assert_eq!(preview.waits, [Wait::Protected]);
    assert!(preview.effects.roles[0].is_protected);
    let pending = desk.save_waiting(&mut grace, &edit).await;
    // Ending counts as well.
    let row = desk
        .mapping("payments-leads", PAYMENTS_ADMIN)
        .await
        .unwrap();
    let ended = draft(vec![Change::EndMapping(row.id)]);
    assert_eq!(
        desk.preview(&mut grace, &ended).await.unwrap().waits,
        [Wait::Protected]
    );

    // Not even an admin takes the protection away alone, nor in one go with something else.
    let mut role = desk.role(PAYMENTS_ADMIN).await;
    role.protected = false;
    let free = Change::PutRole(Box::new(role));
    let unprotect = desk
        .save_waiting(&mut amy, &draft(vec![free.clone()]))
        .await;
    let mut zoe = desk.session("zoe").await;
    let both = draft([edit.changes.clone(), vec![free]].concat());
    assert_eq!(
        desk.preview(&mut zoe, &both).await.unwrap().waits,
        [Wait::Protected]
    );
    desk.assert_not_second(&mut amy, &unprotect, "own_edit")
        .await;
    let mut hal = desk.session("hal").await;
    desk.assert_not_second(&mut hal, &unprotect, "approver_without_authority")
        .await;
    // A rule that may give what is protected.
    let mut rule = rule("^cn=nobody,ou=groups,dc=example,dc=com$", SANDBOX);
    rule.allow_protected = true;
    let edit = draft(vec![Change::PutRule(rule)]);
    assert_eq!(
        desk.preview(&mut amy, &edit).await.unwrap().waits,
        [Wait::Protected]
    );
    // An account protects its roles.
    let tables = desk.tables().await;
    let mut account = tables
        .accounts
        .into_iter()
        .find(|row| row.id.as_str() == "222233334444");
    account.as_mut().unwrap().protected = true;
    desk.app
        .edit(vec![Change::PutAccount(account.unwrap())])
        .await;
    let edit = putting([mapping("book-club", ORDER_DESK)]);
    assert_eq!(
        desk.preview(&mut grace, &edit).await.unwrap().waits,
        [Wait::Protected]
    );

    let saved = desk.approve(&mut hal, &pending).await;
    assert!(matches!(saved, Ok(Saved::InForce { .. })), "{saved:?}");
    let mut bob = desk.session("bob").await;
    let saved = desk.approve(&mut bob, &unprotect).await;
    assert!(matches!(saved, Ok(Saved::InForce { .. })), "{saved:?}");
}

#[tokio::test]
async fn undo_import_and_bulk_go_the_same_way() {
    let desk = Desk::start().await;
    let row = mapping("finance", SANDBOX);
    desk.app.edit(vec![Change::PutMapping(row.clone())]).await;
    let mut grace = desk.session("grace").await;
    let mut hal = desk.session("hal").await;
    let ended = desk
        .save_now(&mut hal, &draft(vec![Change::EndMapping(row.id)]))
        .await;
    let back = desk.undo(Undo::Edit(ended.clone())).await;
    let pending = desk.save_waiting(&mut grace, &back).await;
    assert_eq!(desk.last_event().await.details["undoes"], ended.as_str());
    let saved = desk.approve(&mut hal, &pending).await;
    assert!(matches!(saved, Ok(Saved::InForce { .. })), "{saved:?}");
    let rows = desk.app.audit_rows().await;
    let actions: Vec<Action> = rows[..3].iter().map(|row| row.event.action).collect();
    assert_eq!(
        actions,
        [Action::MappingChange, Action::EditUndo, Action::EditApprove]
    );

    // One row among many, as an import or a bulk edit has them.
    let mut rows = vec![mapping("finance", PAYMENTS_ADMIN)];
    rows[0].id.0 = "file:7".to_owned();
    for role in &desk.tables().await.roles[..20] {
        rows.push(mapping("webshop-readers", role.arn.as_str()));
    }
    let before = desk.tables().await.mappings.len();
    let pending = desk.save_waiting(&mut grace, &putting(rows)).await;
    desk.approve(&mut hal, &pending).await.unwrap();
    assert!(desk.tables().await.mappings.len() > before + 15);
}

#[tokio::test]
async fn groups_are_those_of_the_moment() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let edit = putting([mapping("book-club", SANDBOX)]);
    let shown = desk.preview(&mut grace, &edit).await.unwrap();
    assert_eq!(shown.waits, []);
    // Grace joins between the look and the click.
    desk.join("book-club", "grace");
    let saved = desk.save_shown(&mut grace, &edit, &shown.digest).await;
    let Err(EditRefused::PreviewChanged(now)) = saved else {
        panic!("{saved:?}");
    };
    assert_eq!(now.waits, [Wait::SelfGain]);
    desk.assert_audited(
        Action::MappingChange,
        Outcome::Refused,
        Some("preview_changed"),
    )
    .await;
    let pending = desk.save_waiting(&mut grace, &edit).await;

    // And is no longer of the helpdesk: nothing is saved, and what waits is not carried out.
    desk.leave("helpdesk", "grace");
    let saved = desk.save_shown(&mut grace, &edit, &now.digest).await;
    assert!(
        matches!(saved, Err(EditRefused::NotAllowed(_))),
        "{saved:?}"
    );
    desk.assert_audited(
        Action::MappingChange,
        Outcome::Refused,
        Some("not_an_editor"),
    )
    .await;
    let mut hal = desk.session("hal").await;
    desk.assert_not_second(&mut hal, &pending, "author_without_authority")
        .await;
    assert!(desk.app.directory.disable(&person_dn("grace")));
    let saved = desk.save_shown(&mut grace, &edit, &now.digest).await;
    assert!(
        matches!(saved, Err(EditRefused::NotAllowed(_))),
        "{saved:?}"
    );
    desk.assert_audited(
        Action::MappingChange,
        Outcome::Refused,
        Some("account_gone"),
    )
    .await;
    desk.assert_not_second(&mut hal, &pending, "author_gone")
        .await;
    // The approver's groups are of the moment too.
    desk.leave("helpdesk", "hal");
    assert!(desk.app.directory.enable(&person_dn("grace")));
    desk.join("helpdesk", "grace");
    desk.assert_not_second(&mut hal, &pending, "approver_without_authority")
        .await;
}

#[tokio::test]
async fn what_cannot_be_worked_out_waits() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let mut hal = desk.session("hal").await;
    desk.app.directory.set_fault(Some(Fault::Busy));
    let edit = putting([mapping("book-club", SANDBOX)]);
    let preview = desk.preview(&mut grace, &edit).await.unwrap();
    assert_eq!(preview.waits, [Wait::Unresolved]);
    assert!(!preview.unresolved.is_empty());
    let pending = desk.save_waiting(&mut grace, &edit).await;
    desk.assert_not_second(&mut hal, &pending, "groups_unresolved")
        .await;
    desk.app
        .clock
        .advance(std::time::Duration::from_secs(3_601).try_into().unwrap());
    let saved = desk.save(&mut grace, &edit).await;
    assert!(
        matches!(saved, Err(EditRefused::NotAllowed(_))),
        "{saved:?}"
    );
    desk.app.directory.set_fault(None);
    let saved = desk.approve(&mut hal, &pending).await;
    assert!(matches!(saved, Ok(Saved::InForce { .. })), "{saved:?}");
}

#[tokio::test]
async fn what_was_edited_meanwhile_is_not_carried_out() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let mut hal = desk.session("hal").await;
    let mut row = mapping("finance", SANDBOX);
    row.conditions.read_only = true;
    desk.app.edit(vec![Change::PutMapping(row.clone())]).await;
    let mut full = row.clone();
    full.conditions.read_only = false;
    let pending = desk.save_waiting(&mut grace, &putting([full])).await;
    row.ticket = Some("HD-3".to_owned());
    desk.save_now(&mut hal, &putting([row.clone()])).await;
    let approved = desk.approve(&mut hal, &pending).await;
    assert!(
        matches!(approved, Err(EditRefused::Conflicts(_))),
        "{approved:?}"
    );
    desk.assert_audited(Action::EditApprove, Outcome::Refused, Some("conflict"))
        .await;
    assert!(
        desk.mapping("finance", SANDBOX)
            .await
            .unwrap()
            .conditions
            .read_only
    );

    // A row that came in between under the same group and role is another one.
    let pending = desk
        .save_waiting(&mut grace, &putting([mapping("finance", ORDER_DESK)]))
        .await;
    let mut other = mapping("finance", ORDER_DESK);
    other.conditions.read_only = true;
    desk.app.edit(vec![Change::PutMapping(other)]).await;
    let approved = desk.approve(&mut hal, &pending).await;
    assert!(
        matches!(approved, Err(EditRefused::Conflicts(_))),
        "{approved:?}"
    );

    // Somebody joined after the approver looked.
    let pending = desk
        .save_waiting(&mut grace, &putting([mapping("finance", PAYMENTS_ADMIN)]))
        .await;
    let progress = rolegate::broker::Progress::default();
    let client = client();
    let broker = &desk.app.broker;
    let seen = broker
        .pending_edit(&mut hal, &pending, &progress, &client)
        .await;
    let shown = seen.unwrap().1.unwrap().digest;
    desk.join("finance", "margaret");
    let approved = broker
        .approve_edit(&mut hal, &pending, &shown, &client)
        .await;
    assert!(
        matches!(approved, Err(EditRefused::PreviewChanged(_))),
        "{approved:?}"
    );
}

#[tokio::test]
async fn waiting_edits_lapse_are_declined_and_withdrawn() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let edit = putting([mapping("finance", SANDBOX)]);
    let broker = &desk.app.broker;
    let declined = desk.save_waiting(&mut grace, &edit).await;
    let mut linus = desk.session("linus").await;
    let refused = broker
        .decline_edit(&mut linus, &declined, None, &client())
        .await;
    assert!(matches!(refused, Err(EditRefused::NotAllowed(_))));
    desk.assert_audited(Action::EditDecline, Outcome::Refused, Some("not_an_editor"))
        .await;
    let mut hal = desk.session("hal").await;
    let note = Some("not without a ticket");
    broker
        .decline_edit(&mut hal, &declined, note, &client())
        .await
        .unwrap();
    desk.assert_audited(Action::EditDecline, Outcome::Ok, None)
        .await;
    assert_eq!(desk.state(&declined).await, PendingState::Declined);

    let withdrawn = desk.save_waiting(&mut grace, &edit).await;
    broker
        .decline_edit(&mut grace, &withdrawn, None, &client())
        .await
        .unwrap();
    desk.assert_audited(Action::EditWithdraw, Outcome::Ok, None)
        .await;
    assert_eq!(desk.state(&withdrawn).await, PendingState::Withdrawn);

    let late = desk.save_waiting(&mut grace, &edit).await;
    let twin = desk.save_waiting(&mut grace, &edit).await;
    assert_eq!(twin, late, "a second click proposes nothing new");
    let other = EditDraft {
        reason: Some("for another reason".to_owned()),
        ..edit.clone()
    };
    let swept = desk.save_waiting(&mut grace, &other).await;
    assert_eq!(broker.pending_edits(false).await.unwrap().len(), 2);
    desk.app.clock.advance(Duration::days(7) + Duration::SECOND);
    assert!(broker.pending_edits(false).await.unwrap().is_empty());
    let mut hal = desk.session("hal").await;
    for over in [&declined, &withdrawn, &late] {
        let approved = desk.approve(&mut hal, over).await;
        assert!(
            matches!(approved, Err(EditRefused::AlreadyDecided)),
            "{approved:?}"
        );
    }
    assert_eq!(desk.state(&late).await, PendingState::Expired);
    broker.sweep().await.unwrap();
    assert_eq!(desk.state(&swept).await, PendingState::Expired);
    desk.assert_audited(Action::EditExpire, Outcome::Ok, None)
        .await;
    assert_eq!(desk.last_event().await.actor, Actor::System);
    assert_eq!(desk.mapping("finance", SANDBOX).await, None);
}

#[tokio::test]
async fn another_account_of_the_same_person_is_no_second_person() {
    let desk = Desk::start().await;
    desk.app.directory.add_entry(person("grace-adm", "Grace"));
    desk.join("helpdesk", "grace-adm");
    desk.add_group("night-shift", &["grace-adm"]);
    let mut grace = desk.session("grace").await;
    let edit = putting([mapping("night-shift", SANDBOX)]);
    let pending = desk.save_waiting(&mut grace, &edit).await;
    let edit = putting([mapping("finance", SANDBOX)]);
    let own = desk.save_waiting(&mut grace, &edit).await;
    let mut twin = desk.session("grace-adm").await;
    for pending in [&pending, &own] {
        desk.assert_not_second(&mut twin, pending, "same_person")
            .await;
    }
}

#[tokio::test]
async fn the_same_name_at_another_connector_is_no_second_person() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let lab = Directory::sample().start(address).unwrap();
    let password = sample::SERVICE_PASSWORD;
    let more_toml = format!(
        "[[access.scope]]\ngroup = \"lab:{}\"\nroles = [\"*\"]\n\
         [[connector]]\nid = \"lab\"\ntype = \"ldap\"\npreset = \"openldap\"\nlabel = \"Lab\"\n\
         urls = [\"{}\"]\nbind_dn = \"{}\"\nbind_password = \"{password}\"\n\
         user_base = \"{}\"\ngroup_base = \"{}\"\n",
        group_dn("helpdesk"),
        lab.url(),
        sample::SERVICE_DN,
        sample::PEOPLE_BASE,
        sample::GROUPS_BASE,
    );
    let desk = Desk::start_with(Options {
        more_toml,
        overrides: vec![(
            "AWS__SESSION_NAME".to_owned(),
            "{connector}-{username}".to_owned(),
        )],
        ..Options::default()
    })
    .await;
    let mut grace = desk.session("grace").await;
    let mut at_lab = desk.session_at("lab", "grace").await;
    // For her other self.
    let mut row = mapping("finance", SANDBOX);
    row.group = rolegate::access::GroupKey::from_stored(format!("lab:{}", group_dn("finance")));
    let pending = desk.save_waiting(&mut grace, &putting([row])).await;
    desk.assert_not_second(&mut at_lab, &pending, "same_person")
        .await;
    let own = putting([mapping("finance", SANDBOX)]);
    let pending = desk.save_waiting(&mut grace, &own).await;
    desk.assert_not_second(&mut at_lab, &pending, "same_person")
        .await;
    assert_eq!(desk.mapping("finance", SANDBOX).await, None);
    assert_eq!(key("finance").connector(), "corp");
}

#[tokio::test]
async fn of_two_who_approve_at_once_one_carries_it_out() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let edit = putting([mapping("finance", SANDBOX)]);
    let pending = desk.save_waiting(&mut grace, &edit).await;
    let mut hal = desk.session("hal").await;
    let mut zoe = desk.session("zoe").await;
    let (one, other) = tokio::join!(
        desk.approve(&mut hal, &pending),
        desk.approve(&mut zoe, &pending)
    );
    let in_force = [&one, &other]
        .into_iter()
        .filter(|saved| matches!(saved, Ok(Saved::InForce { .. })));
    assert_eq!(in_force.count(), 1, "{one:?} {other:?}");
    let rows = desk.app.audit_rows().await;
    let is_approval = |action, outcome| action == Action::EditApprove && outcome == Outcome::Ok;
    let approvals = rows
        .iter()
        .filter(|row| is_approval(row.event.action, row.event.outcome));
    assert_eq!(approvals.count(), 1);
}
