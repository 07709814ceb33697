//! Edits of the tables by people: previewed, saved, refused, taken back; and access reviews.

use std::io::Write as _;

use rolegate::{
    access::{Conditions, MappingId, RowName},
    audit::{Action, Actor, Outcome},
    broker::{
        EditDraft, EditPreview, EditRefused, HistoryFilter, ReviewItem, ReviewScope, ReviewWish,
        ReviewWord, Saved, Undo,
    },
    clock::Clock as _,
    demo::sample::{group_dn, person_dn},
    store::Change,
};
use time::Duration;

use crate::support::{
    app::Options,
    editing::{
        Desk, ORDER_DESK, PAYMENTS_ADMIN, SANDBOX, client, draft, key, mapping, putting, rule,
    },
    temporary_dir,
};

/// Who gains a role by a preview, by user name.
fn gainers(preview: &EditPreview, role: &str) -> Vec<String> {
    let effects = &preview.effects.roles;
    let effect = effects.iter().find(|effect| effect.role.as_str() == role);
    let gains = effect
        .map(|effect| effect.gains.clone())
        .unwrap_or_default();
    let mut names: Vec<String> = gains
        .into_iter()
        .map(|place| preview.people[place].username.clone())
        .collect();
    names.sort();
    names
}

fn refused_code(event: &rolegate::audit::AuditEvent) -> (Action, Outcome, Option<&str>) {
    (event.action, event.outcome, event.reason.as_deref())
}

#[tokio::test]
async fn a_mapping_is_previewed_saved_taken_back_and_brought_back() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let new = mapping("book-club", ORDER_DESK);
    let edit = EditDraft {
        reason: Some("HD-17".to_owned()),
        ..putting([new.clone()])
    };
    let preview = desk.preview(&mut grace, &edit).await.unwrap();
    assert_eq!(preview.rows.len(), 1);
    assert_eq!(preview.waits, []);
    // Neither has ever signed in here.
    assert_eq!(gainers(&preview, ORDER_DESK), ["ada", "margaret"]);

    let saved = desk.save_now(&mut grace, &edit).await;
    assert!(desk.mapping("book-club", ORDER_DESK).await.is_some());
    let row = HistoryFilter {
        row: Some(RowName::Mapping(new.id.clone())),
        limit: 10,
        ..HistoryFilter::default()
    };
    let history = desk.app.broker.history(&row).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].reason.as_deref(), Some("HD-17"));
    assert_eq!(history[0].edit.as_deref(), Some(saved.as_str()));
    assert!(
        matches!(&history[0].by, Actor::Person { username: Some(name), .. } if name == "grace")
    );

    let back = desk.undo(Undo::Edit(saved.clone())).await;
    assert_eq!(back.undoes.as_deref(), Some(saved.as_str()));
    let undone = desk.save_now(&mut grace, &back).await;
    assert_eq!(desk.mapping("book-club", ORDER_DESK).await, None);
    let rows = desk.app.audit_rows().await;
    let announced = rows.iter().find(|row| row.event.action == Action::EditUndo);
    assert_eq!(announced.unwrap().event.details["undoes"], saved.as_str());

    let again = desk.undo(Undo::Edit(undone)).await;
    desk.save_now(&mut grace, &again).await;
    let mapping = desk.mapping("book-club", ORDER_DESK).await.unwrap();
    assert_eq!(mapping.id, new.id);
}

#[tokio::test]
async fn a_change_made_meanwhile_is_shown_and_not_overwritten() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let mut hal = desk.session("hal").await;
    let row = mapping("book-club", ORDER_DESK);
    desk.save_now(&mut grace, &putting([row.clone()])).await;
    let seen = desk.tables().await.row(&RowName::Mapping(row.id.clone()));
    let seen = vec![(
        RowName::Mapping(row.id.clone()),
        Some(seen.unwrap().revision()),
    )];
    let with_ticket = |ticket: &str| {
        let mut row = row.clone();
        row.ticket = Some(ticket.to_owned());
        EditDraft {
            seen: seen.clone(),
            ..putting([row])
        }
    };
    desk.save_now(&mut hal, &with_ticket("HD-2")).await;
    let refused = desk
        .save(&mut grace, &with_ticket("HD-3"))
        .await
        .unwrap_err();
    let EditRefused::Conflicts(conflicts) = refused else {
        panic!("{refused:?}");
    };
    let by = conflicts[0].by.as_ref().unwrap();
    assert!(matches!(&by.by, Actor::Person { username: Some(name), .. } if name == "hal"));
    let now = desk.mapping("book-club", ORDER_DESK).await.unwrap();
    assert_eq!(now.ticket.as_deref(), Some("HD-2"));

    // Whoever posts it without looking is refused and audited.
    let refused = desk.save_shown(&mut grace, &with_ticket("HD-3"), "").await;
    assert!(matches!(refused, Err(EditRefused::Conflicts(_))));
    let event = desk.last_event().await;
    let expected = (Action::MappingChange, Outcome::Refused, Some("conflict"));
    assert_eq!(refused_code(&event), expected);

    // An undo of the first edit would take hal's words away.
    let first = HistoryFilter {
        row: Some(RowName::Mapping(row.id.clone())),
        limit: 10,
        ..HistoryFilter::default()
    };
    let history = desk.app.broker.history(&first).await.unwrap();
    let back = desk.undo(Undo::Change(history[1].seq)).await;
    let refused = desk.preview(&mut grace, &back).await;
    assert!(matches!(refused, Err(EditRefused::Conflicts(_))));
}

#[tokio::test]
async fn nobody_edits_what_their_groups_do_not_give() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let mut amy = desk.session("amy").await;
    let mut linus = desk.session("linus").await;
    let mut role = desk.role(SANDBOX).await;
    role.description = Some("Mine".to_owned());
    let role = draft(vec![Change::PutRole(Box::new(role))]);
    let a_rule = draft(vec![Change::PutRule(rule("^cn=x-.*$", SANDBOX))]);
    let a_mapping = putting([mapping("book-club", SANDBOX)]);
    let account = desk.tables().await.accounts.remove(0);
    let account = draft(vec![Change::RemoveAccount(account.id)]);
    let before = desk.tables().await.version;
    let mut again = desk.session("grace").await;
    let mut once_more = desk.session("grace").await;
    let tries = [
        (&mut grace, &role, Action::RoleChange, "not_admin"),
        (&mut again, &a_rule, Action::RuleChange, "not_admin"),
        (&mut once_more, &account, Action::AccountChange, "not_admin"),
        (&mut amy, &a_mapping, Action::MappingChange, "not_helpdesk"),
        (
            &mut linus,
            &a_mapping,
            Action::MappingChange,
            "not_an_editor",
        ),
    ];
    for (who, draft, action, code) in tries {
        let looked = desk.preview(who, draft).await;
        assert!(
            matches!(looked, Err(EditRefused::NotAllowed(_))),
            "{looked:?}"
        );
        assert_eq!(
            refused_code(&desk.last_event().await),
            (action, Outcome::Refused, Some(code))
        );
        let saved = desk.save_shown(who, draft, "forged").await;
        assert!(
            matches!(saved, Err(EditRefused::NotAllowed(_))),
            "{saved:?}"
        );
        let event = desk.last_event().await;
        assert_eq!(refused_code(&event), (action, Outcome::Refused, Some(code)));
        assert_eq!(event.request_id.as_deref(), Some("test"));
    }
    // One row that is allowed does not carry another.
    let mixed = draft([a_mapping.changes, role.changes].concat());
    let saved = desk.save_shown(&mut grace, &mixed, "forged").await;
    assert!(matches!(saved, Err(EditRefused::NotAllowed(_))));
    assert_eq!(desk.tables().await.version, before);
    let metrics = desk.app.metrics().await;
    assert!(
        metrics.contains(r#"rolegate_edits_total{outcome="refused"}"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn an_admin_edits_roles_and_rules() {
    let desk = Desk::start().await;
    let mut amy = desk.session("amy").await;
    let mut role = desk.role(SANDBOX).await;
    role.description = Some("For trying things out".to_owned());
    let rule = rule(
        "^cn=webshop-(?<team>.*),ou=groups,dc=example,dc=com$",
        ORDER_DESK,
    );
    let edit = draft(vec![Change::PutRole(Box::new(role)), Change::PutRule(rule)]);
    let preview = desk.preview(&mut amy, &edit).await.unwrap();
    // By a group that the directory was searched for: nobody of it has signed in.
    assert_eq!(gainers(&preview, ORDER_DESK), ["ada", "linus"]);
    desk.save_now(&mut amy, &edit).await;
}

#[tokio::test]
async fn a_helpdesk_group_with_a_scope_stays_within_it() {
    let scope = format!(
        "[[access.scope]]\ngroup = \"corp:{}\"\nenvironments = [\"development\"]\n",
        group_dn("helpdesk")
    );
    let desk = Desk::start_with(Options {
        more_toml: scope,
        ..Options::default()
    })
    .await;
    let mut grace = desk.session("grace").await;
    let inside = mapping("book-club", SANDBOX);
    desk.save_now(&mut grace, &putting([inside.clone()])).await;
    let outside = putting([mapping("book-club", ORDER_DESK)]);
    let refused = desk.save_shown(&mut grace, &outside, "").await;
    assert!(matches!(refused, Err(EditRefused::NotAllowed(_))));
    // Neither does a row leave the scope, nor is one outside of it taken over or ended.
    let mut moved = inside;
    moved.role = ORDER_DESK.parse().unwrap();
    let taken = desk.mapping("helpdesk", ORDER_DESK).await.unwrap();
    let mut over = taken.clone();
    over.role = SANDBOX.parse().unwrap();
    let tries = [
        putting([moved]),
        putting([over]),
        draft(vec![Change::EndMapping(taken.id)]),
    ];
    for edit in tries {
        let refused = desk.save_shown(&mut grace, &edit, "").await;
        assert!(
            matches!(refused, Err(EditRefused::NotAllowed(_))),
            "{refused:?}"
        );
        let event = desk.last_event().await;
        let expected = (
            Action::MappingChange,
            Outcome::Refused,
            Some("outside_scope"),
        );
        assert_eq!(refused_code(&event), expected);
    }
}

#[tokio::test]
async fn only_what_was_shown_is_saved() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let edit = putting([mapping("book-club", ORDER_DESK)]);
    let shown = desk.preview(&mut grace, &edit).await.unwrap().digest;
    for forged in ["", "0", &shown[1..]] {
        let saved = desk.save_shown(&mut grace, &edit, forged).await;
        assert!(
            matches!(saved, Err(EditRefused::PreviewChanged(_))),
            "{saved:?}"
        );
        let event = desk.last_event().await;
        let expected = (
            Action::MappingChange,
            Outcome::Refused,
            Some("preview_changed"),
        );
        assert_eq!(refused_code(&event), expected);
    }
    // Somebody joins the group between the look and the click.
    let directory = &desk.app.directory;
    assert!(directory.add_member(&group_dn("book-club"), &person_dn("linus")));
    let saved = desk.save_shown(&mut grace, &edit, &shown).await;
    let Err(EditRefused::PreviewChanged(preview)) = saved else {
        panic!("{saved:?}");
    };
    assert_eq!(gainers(&preview, ORDER_DESK), ["ada", "linus", "margaret"]);
    assert_eq!(desk.mapping("book-club", ORDER_DESK).await, None);
    let saved = desk.save_shown(&mut grace, &edit, &preview.digest).await;
    assert!(matches!(saved, Ok(Saved::InForce { rows: 1, .. })));
    let saved = desk.save_shown(&mut grace, &edit, &preview.digest).await;
    assert!(matches!(saved, Ok(Saved::Unchanged)), "{saved:?}");
}

#[tokio::test]
async fn rows_of_the_mapping_file_are_read_and_not_changed() {
    let dir = temporary_dir("edits");
    let path = dir.path().join("mappings.toml");
    let mut file = std::fs::File::create(&path).unwrap();
    let group = format!("corp:{}", group_dn("book-club"));
    writeln!(
        file,
        "[[mapping]]\ngroup = \"{group}\"\nrole = \"{SANDBOX}\""
    )
    .unwrap();
    let desk = Desk::start_with(Options {
        more_toml: format!("[mappings]\nfile = \"{}\"\n", path.display()),
        ..Options::default()
    })
    .await;
    let mut grace = desk.session("grace").await;
    let tables = desk.app.broker.tables().await.unwrap();
    let row = tables
        .mappings
        .iter()
        .find(|row| row.group == key("book-club"));
    let row = row.unwrap().clone();
    let mut looser = row.clone();
    looser.ticket = Some("HD-5".to_owned());
    let beside = mapping("book-club", SANDBOX);
    let tries = [
        draft(vec![Change::EndMapping(row.id)]),
        putting([looser]),
        putting([beside]),
    ];
    for edit in tries {
        let refused = desk.save_shown(&mut grace, &edit, "").await.unwrap_err();
        assert!(refused.to_string().contains("line 1"), "{refused}");
        let event = desk.last_event().await;
        let expected = (Action::MappingChange, Outcome::Refused, Some("file_row"));
        assert_eq!(refused_code(&event), expected);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_said_at_once() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let unknown = "arn:aws:iam::111122223333:role/Nowhere";
    let too_long = EditDraft {
        reason: Some("x".repeat(501)),
        ..putting([mapping("book-club", SANDBOX)])
    };
    let too_many = draft(vec![
        Change::EndMapping(MappingId("gone".to_owned()));
        20_001
    ]);
    let tries = [
        putting([mapping("book-club", unknown)]),
        draft(vec![Change::EndMapping(MappingId("gone".to_owned()))]),
        too_long,
        too_many,
    ];
    for edit in tries {
        let refused = desk.preview(&mut grace, &edit).await;
        assert!(
            matches!(refused, Err(EditRefused::Problems(_))),
            "{refused:?}"
        );
    }
    let bound = draft(vec![Change::BindGroup {
        group: key("book-club"),
        group_id: "1".to_owned(),
    }]);
    let refused = desk.preview(&mut grace, &bound).await;
    assert!(matches!(refused, Err(EditRefused::NotAllowed(_))));
    let unchanged = desk.mapping("helpdesk", ORDER_DESK).await.unwrap();
    let saved = desk.save(&mut grace, &putting([unchanged])).await.unwrap();
    assert_eq!(saved, Saved::Unchanged);
}

#[tokio::test]
async fn a_whole_import_is_taken_back_at_once() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let before = desk.tables().await.mappings;
    let rows = [SANDBOX, ORDER_DESK, PAYMENTS_ADMIN].map(|role| {
        let mut row = mapping("webshop-readers", role);
        row.id = MappingId(format!("file:{role}"));
        row.conditions.read_only = true;
        row
    });
    let edit = desk.save_now(&mut grace, &putting(rows)).await;
    assert_eq!(desk.tables().await.mappings.len(), before.len() + 3);
    let back = desk.undo(Undo::Edit(edit)).await;
    desk.save_now(&mut grace, &back).await;
    assert_eq!(desk.tables().await.mappings, before);
    let nothing = desk
        .app
        .broker
        .undo(&Undo::Edit("unknown".to_owned()))
        .await;
    assert!(matches!(nothing, Err(EditRefused::NotFound(_))));
}

/// Keeps all rows but `ended`: mappings by the helpdesk, rules by an admin, nothing by others.
async fn decide_all(desk: &Desk, review: &str, items: &[ReviewItem], ended: &MappingId) {
    let (broker, client) = (&desk.app.broker, client());
    let mut grace = desk.session("grace").await;
    let mut amy = desk.session("amy").await;
    let mut linus = desk.session("linus").await;
    for item in items {
        let word = ReviewWord {
            rows: std::slice::from_ref(&item.row),
            keep: item.row != *ended,
            note: Some("asked the team"),
        };
        let (right, wrong) = if item.group.starts_with('^') {
            (&mut amy, &mut grace)
        } else {
            (&mut grace, &mut amy)
        };
        for who in [wrong, &mut linus] {
            let refused = broker.decide_review(who, review, &word, &client).await;
            assert!(matches!(refused, Err(EditRefused::NotAllowed(_))));
        }
        let decided = broker.decide_review(right, review, &word, &client).await;
        decided.unwrap();
    }
}

#[tokio::test]
async fn an_access_review_is_decided_signed_off_and_ends_rows_by_an_edit() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let mut linus = desk.session("linus").await;
    let broker = &desk.app.broker;
    let extra = mapping("book-club", ORDER_DESK);
    desk.save_now(&mut grace, &putting([extra.clone()])).await;
    let wish = ReviewWish {
        name: "Order desk, spring".to_owned(),
        scope: ReviewScope::Role(ORDER_DESK.parse().unwrap()),
        due_at: Some(desk.app.clock.now() + Duration::days(14)),
    };
    let refused = broker.start_review(&mut linus, &wish, &client()).await;
    assert!(matches!(refused, Err(EditRefused::NotAllowed(_))));
    let id = broker
        .start_review(&mut grace, &wish, &client())
        .await
        .unwrap();
    let (review, items) = broker.review(&id).await.unwrap().unwrap();
    assert_eq!((review.items, review.decided), (3, 0));
    let of_helpdesk = items
        .iter()
        .find(|item| item.group == key("helpdesk").as_str());
    assert_eq!(of_helpdesk.unwrap().people, 1);
    assert!(
        broker
            .close_review(&mut grace, &id, &client())
            .await
            .is_err()
    );

    decide_all(&desk, &id, &items, &extra.id).await;
    let refused = broker.close_review(&mut linus, &id, &client()).await;
    assert!(matches!(refused, Err(EditRefused::NotAllowed(_))));
    let ends = broker
        .close_review(&mut grace, &id, &client())
        .await
        .unwrap();
    assert_eq!(ends.draft.changes, [Change::EndMapping(extra.id)]);
    assert!(ends.in_file.is_empty());
    let again = broker.close_review(&mut grace, &id, &client()).await;
    assert!(matches!(again, Err(EditRefused::AlreadyDecided)));
    desk.save_now(&mut grace, &ends.draft).await;
    assert_eq!(desk.mapping("book-club", ORDER_DESK).await, None);
    assert!(
        broker
            .review_ends(&id)
            .await
            .unwrap()
            .draft
            .changes
            .is_empty()
    );
    let rows = desk.app.audit_rows().await;
    for action in [
        Action::ReviewStart,
        Action::ReviewDecide,
        Action::ReviewClose,
    ] {
        let is_ok = |row: &&rolegate::store::AuditRow| {
            row.event.action == action && row.event.outcome == Outcome::Ok
        };
        assert!(rows.iter().any(|row| is_ok(&row)), "{action:?}");
    }
}

#[tokio::test]
async fn who_can_open_what_is_listed_with_the_rows_that_give_it() {
    let desk = Desk::start().await;
    desk.session("grace").await;
    desk.session("linus").await;
    let scope = ReviewScope::Account("222233334444".parse().unwrap());
    let rows = desk.app.broker.access_rows(&scope).await.unwrap();
    let mut told: Vec<(String, String)> = rows
        .iter()
        .map(|row| (row.username.clone(), row.role.name().to_owned()))
        .collect();
    told.sort();
    let expected = [("grace", "OrderDesk"), ("linus", "ReadOnly")];
    assert_eq!(
        told,
        expected.map(|(who, role)| (who.to_owned(), role.to_owned()))
    );
    assert_eq!(rows[0].account_name, "Web shop production");
    assert_eq!(rows[0].conditions, Conditions::default());
}
