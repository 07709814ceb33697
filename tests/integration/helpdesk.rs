//! The helpdesk's pages by plain requests, as a browser without script sends them: add, change, end,
//! undo, conflict, a second person, rules, import and export.

use std::io::Write as _;

use regex::Regex;
use rolegate::{
    access::{Conditions, GroupKey, Mapping, MappingId, Origin},
    audit::Action,
    demo::{
        directory::Entry,
        sample::{group_dn, person_dn},
    },
    store::{Change, PolicyStore as _},
};

use crate::support::{
    app::TestApp,
    browser::run_browser_script,
    cookie_browser::{Answer, CookieBrowser},
};

const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const READER_AS_PEOPLE_SAY: &str = "web shop production/ReadOnly";

/// A page's form for an edit, filled in as the page has it.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) preview: String,
    pub(crate) save: Option<String>,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn of(answer: &Answer) -> Self {
        let body = &answer.body;
        let start = body
            .find("data-edit")
            .unwrap_or_else(|| panic!("{}: no form of an edit in {body}", answer.status));
        let start = body[..start].rfind("<form").unwrap();
        let end = start + body[start..].find("</form>").unwrap();
        let html = &body[start..end];
        Self {
            preview: attribute(html, "action").unwrap(),
            save: attribute(html, "formaction"),
            fields: fields(html),
        }
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(other, _)| other != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn value(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) async fn preview(&self, browser: &mut CookieBrowser) -> Answer {
        post(browser, &self.preview, &self.fields).await
    }

    pub(crate) async fn save(&self, browser: &mut CookieBrowser) -> Answer {
        let address = self
            .save
            .as_deref()
            .expect("the form has no button that saves");
        post(browser, address, &self.fields).await
    }
}

pub(crate) async fn post(
    browser: &mut CookieBrowser,
    path: &str,
    fields: &[(String, String)],
) -> Answer {
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut answer = browser.post(path, &fields).await;
    // What takes longer than a page may is looked at again.
    while answer.status == 303 && answer.location().starts_with("/helpdesk/previews/") {
        let location = answer.location().to_owned();
        answer = browser.get(&location).await;
        while answer.body.contains("<progress") {
            answer = browser.get(&location).await;
        }
    }
    answer
}

pub(crate) fn attribute(html: &str, name: &str) -> Option<String> {
    let pattern = Regex::new(&format!(r#"\s{name}="([^"]*)""#)).unwrap();
    Some(unescaped(&pattern.captures(html)?[1]))
}

pub(crate) fn fields(html: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for tag in Regex::new("<input[^>]*>").unwrap().find_iter(html) {
        let tag = tag.as_str();
        let is_off = tag.contains("type=\"checkbox\"") && !tag.contains(" checked");
        let Some(name) = attribute(tag, "name").filter(|_| !is_off) else {
            continue;
        };
        if name != "csrf_token" {
            let value = attribute(tag, "value").unwrap_or_default();
            fields.push((name, value));
        }
    }
    let areas = Regex::new(r#"<textarea[^>]*name="([^"]*)"[^>]*>\n?([^<]*)</textarea>"#).unwrap();
    fields.extend(
        areas
            .captures_iter(html)
            .map(|area| (area[1].to_owned(), unescaped(&area[2]))),
    );
    let chosen = Regex::new(r#"<select[^>]*name="([^"]*)".*?</select>"#).unwrap();
    let option = Regex::new(r#"<option value="([^"]*)"( selected)?>"#).unwrap();
    for select in chosen.captures_iter(html) {
        let options: Vec<_> = option.captures_iter(&select[0]).collect();
        let selected = options.iter().find(|option| option.get(2).is_some());
        let option = selected.or(options.first()).unwrap();
        fields.push((select[1].to_owned(), unescaped(&option[1])));
    }
    fields
}

/// A text of a page without its entities.
pub(crate) fn unescaped(text: &str) -> String {
    let code = Regex::new("&#([0-9]+);").unwrap();
    let text = code.replace_all(text, |found: &regex::Captures<'_>| {
        char::from_u32(found[1].parse().unwrap())
            .unwrap()
            .to_string()
    });
    text.into_owned()
}

/// Where grace and linus are helpdesk, ada is admin and margaret an auditor.
async fn desk() -> TestApp {
    let app = TestApp::start().await;
    let directory = &app.directory;
    assert!(directory.add_member(&group_dn("helpdesk"), &person_dn("linus")));
    for (name, member) in [("cloud-admins", "ada"), ("auditors", "margaret")] {
        let group = Entry::new(group_dn(name))
            .with("objectClass", ["top", "groupOfNames"])
            .with("cn", [name]);
        directory.add_entry(group);
        assert!(directory.add_member(&group_dn(name), &person_dn(member)));
    }
    app
}

fn key(group: &str) -> GroupKey {
    GroupKey::from_stored(format!("corp:{}", group_dn(group).to_lowercase()))
}

fn mapping(id: &str, group: &str, role: &str) -> Mapping {
    Mapping {
        id: MappingId(id.to_owned()),
        group: key(group),
        role: role.parse().unwrap(),
        conditions: Conditions::default(),
        ticket: None,
        origin: Origin::Store,
    }
}

/// The mappings of a group in the store.
async fn mappings_of(app: &TestApp, group: &str) -> Vec<Mapping> {
    let tables = app.store.tables().await.unwrap();
    let rows = tables.mappings.into_iter();
    rows.filter(|row| row.group == key(group)).collect()
}

async fn filled(browser: &mut CookieBrowser, group: &str, role: &str) -> Form {
    let page = browser.get("/helpdesk/mappings/new").await;
    assert_eq!(page.status, 200, "{}", page.body);
    Form::of(&page)
        .set("group", group)
        .set("role", role)
        .set("ticket", "HD-1")
}

/// Adds a mapping of `book-club` and returns the list that follows.
async fn add(browser: &mut CookieBrowser) -> Answer {
    let form = filled(browser, "book-club", READER_AS_PEOPLE_SAY).await;
    let shown = form.preview(browser).await;
    let saved = Form::of(&shown).save(browser).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    browser.get(saved.location()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_is_added_with_its_preview_held_at_once_and_undone() {
    let app = desk().await;
    let mut grace = app.signed_in("grace").await;
    let mut margaret = app.signed_in("margaret").await;
    let has_role = |page: &Answer| page.body.contains(&format!("data-role-arn=\"{READER}\""));
    assert!(!has_role(&margaret.get("/").await));

    let form = filled(&mut grace, "book-club", READER_AS_PEOPLE_SAY)
        .await
        .set("expires", "2099-12-31");
    let shown = form.preview(&mut grace).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert!(
        shown.body.contains("Margaret Hamilton (margaret)"),
        "{}",
        shown.body
    );
    // She never signed in, and has the role by another group.
    assert!(!shown.body.contains("Ada Lovelace"), "{}", shown.body);
    assert!(
        shown.body.contains("Add mapping for 1 person"),
        "{}",
        shown.body
    );
    let saved = Form::of(&shown).save(&mut grace).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    let list = grace.get(saved.location()).await;
    assert!(list.body.contains("Saved. +1 person."), "{}", list.body);
    assert!(list.body.contains("31 Dec 2099") || list.body.contains("1 Jan 2100"));
    assert!(
        has_role(&margaret.get("/").await),
        "held on the next page load"
    );
    let row = &mappings_of(&app, "book-club").await[0];
    assert_eq!(row.ticket.as_deref(), Some("HD-1"));

    let undo = Regex::new(r#"href="(/helpdesk/undo[^"]*)""#).unwrap();
    let undo = unescaped(&undo.captures(&list.body).unwrap()[1]);
    let shown = grace.get(&undo).await;
    assert!(
        shown.body.contains("End mapping for 1 person"),
        "{}",
        shown.body
    );
    let saved = Form::of(&shown)
        .set("reason", "A mistake")
        .save(&mut grace)
        .await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    let history = grace.get(saved.location()).await;
    assert!(history.body.contains("A mistake"), "{}", history.body);
    assert!(
        history.body.contains("takes an earlier edit back"),
        "{}",
        history.body
    );
    assert!(!has_role(&margaret.get("/").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_said_beside_its_field_and_nothing_is_lost() {
    let app = desk().await;
    let mut grace = app.signed_in("grace").await;
    let form = filled(&mut grace, "no-such-group", "nowhere/Nothing")
        .await
        .set("expires", "soon")
        .set("max_duration", "3 weeks")
        .set("reason", "<b>why</b>");
    let answer = form.preview(&mut grace).await;
    assert_eq!(answer.status, 422);
    let again = Form::of(&answer);
    for name in ["group", "role", "expires", "max_duration", "reason"] {
        assert_eq!(again.value(name), form.value(name), "{name} was lost");
    }
    for name in ["group", "role", "expires", "max_duration"] {
        let message = Regex::new(&format!("id=\"error-{name}\">[^<]+")).unwrap();
        assert!(message.is_match(&answer.body), "{name} has no message");
    }
    assert!(again.save.is_none(), "there is nothing to save yet");
    let form = filled(&mut grace, "book-club", READER)
        .await
        .set("ticket", "");
    let shown = Form::of(&form.preview(&mut grace).await);
    let refused = shown.save(&mut grace).await;
    assert!(
        refused.body.contains("Say why, or name a ticket."),
        "{}",
        refused.body
    );
    assert!(mappings_of(&app, "book-club").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_made_meanwhile_is_shown_and_not_overwritten() {
    let app = desk().await;
    let (mut grace, mut linus) = (app.signed_in("grace").await, app.signed_in("linus").await);
    add(&mut grace).await;
    let id = mappings_of(&app, "book-club").await[0].id.clone();
    let path = format!("/helpdesk/mappings/{id}");
    let mine = Form::of(&grace.get(&path).await).set("expires", "2099-01-31");
    let mine = Form::of(&mine.preview(&mut grace).await);
    let theirs = Form::of(&linus.get(&path).await)
        .set("read_only", "yes")
        .set("reason", "Only to look");
    let theirs = Form::of(&theirs.preview(&mut linus).await);
    assert_eq!(theirs.save(&mut linus).await.status, 303);
    let conflict = mine.save(&mut grace).await;
    assert_eq!(conflict.status, 409, "{}", conflict.body);
    for words in [
        "data-conflict",
        "linus (corp) changed it",
        "Only to look",
        "Read-only",
        "2099",
    ] {
        assert!(conflict.body.contains(words), "{words}: {}", conflict.body);
    }
    let row = &mappings_of(&app, "book-club").await[0];
    assert!(row.conditions.read_only && row.conditions.expires.is_none());

    let start = conflict
        .body
        .rfind("<form method=\"post\" action=\"/helpdesk/preview")
        .unwrap();
    let mine = fields(&conflict.body[start..]);
    let shown = post(&mut grace, "/helpdesk/preview", &mine).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert_eq!(Form::of(&shown).save(&mut grace).await.status, 303);
    let row = &mappings_of(&app, "book-club").await[0];
    assert!(row.conditions.expires.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_is_no_longer_true_is_shown_again_and_nothing_is_saved() {
    let app = desk().await;
    let mut grace = app.signed_in("grace").await;
    let form = filled(&mut grace, "book-club", READER).await;
    let shown = Form::of(&form.preview(&mut grace).await);
    let directory = &app.directory;
    assert!(directory.add_member(&group_dn("book-club"), &person_dn("linus")));
    assert!(directory.remove_member(&group_dn("book-club"), &person_dn("margaret")));
    let changed = shown.save(&mut grace).await;
    assert_eq!(changed.status, 409, "{}", changed.body);
    assert!(changed.body.contains("no longer what was shown"));
    assert!(mappings_of(&app, "book-club").await.is_empty());
    let forged = shown.clone().set("digest", "0000");
    assert_eq!(forged.save(&mut grace).await.status, 409);
    assert_eq!(Form::of(&changed).save(&mut grace).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_for_oneself_waits_for_a_second_person() {
    let app = desk().await;
    let (mut grace, mut linus) = (app.signed_in("grace").await, app.signed_in("linus").await);
    let form = filled(&mut grace, "finance", READER).await;
    let shown = form.preview(&mut grace).await;
    assert!(
        shown.body.contains("This would give yourself ReadOnly"),
        "{}",
        shown.body
    );
    assert!(shown.body.contains("Ask a second person"));
    let saved = Form::of(&shown).save(&mut grace).await;
    let pending = saved.location().to_owned();
    assert!(
        pending.starts_with("/helpdesk/pending/"),
        "{pending}: {}",
        saved.body
    );
    assert_eq!(mappings_of(&app, "finance").await.len(), 1);

    let own = grace.get(&pending).await;
    assert!(own.body.contains("You proposed this"), "{}", own.body);
    assert!(!own.body.contains("/approve\""));
    let forged = grace
        .post(&format!("{pending}/approve"), &[("digest", "0")])
        .await;
    assert_eq!(forged.status, 403, "{}", forged.body);

    let page = linus.get(&pending).await;
    assert!(page.body.contains("It gives its author"), "{}", page.body);
    let digest = Regex::new(r#"name="digest" value="([^"]+)""#).unwrap();
    let digest = digest.captures(&page.body).unwrap()[1].to_owned();
    let fields = [("digest".to_owned(), digest)];
    let done = post(&mut linus, &format!("{pending}/approve"), &fields).await;
    assert_eq!(done.status, 303, "{}", done.body);
    let history = linus.get(done.location()).await;
    assert!(
        history.body.contains("approved by linus"),
        "{}",
        history.body
    );
    let list = linus.get("/helpdesk/pending").await;
    assert!(list.body.contains("Nothing waits."));
}

#[tokio::test(flavor = "multi_thread")]
async fn authors_take_waiting_edits_back_and_others_decline_them() {
    let app = desk().await;
    let (mut grace, mut linus) = (app.signed_in("grace").await, app.signed_in("linus").await);
    let mut pending = Vec::new();
    for _ in 0..2 {
        let form = filled(&mut grace, "finance", READER).await;
        let shown = Form::of(&form.preview(&mut grace).await);
        let saved = shown.save(&mut grace).await;
        pending.push(saved.location().to_owned());
    }
    grace.get(&pending[0]).await;
    let back = grace.post(&format!("{}/decline", pending[0]), &[]).await;
    assert_eq!(
        back.location(),
        "/helpdesk/pending?done=withdrawn",
        "{}",
        back.body
    );
    linus.get(&pending[1]).await;
    let note = [("note", "Not without a contract")];
    let declined = linus.post(&format!("{}/decline", pending[1]), &note).await;
    assert_eq!(declined.location(), "/helpdesk/pending?done=declined");
    let page = grace.get(&pending[1]).await;
    assert!(
        page.body.contains("Not without a contract"),
        "{}",
        page.body
    );
    let again = linus.post(&format!("{}/decline", pending[1]), &note).await;
    assert_eq!(again.status, 409, "{}", again.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_rows_get_an_end_and_are_ended_together() {
    let app = desk().await;
    let mut grace = app.signed_in("grace").await;
    let rows = mappings_of(&app, "webshop-dev").await;
    assert!(rows.len() > 1, "the sample has several");
    grace.get("/helpdesk/mappings").await;
    let chosen: Vec<(String, String)> = rows
        .iter()
        .map(|row| ("row".to_owned(), row.id.to_string()))
        .collect();
    let with = |edit: &str| [vec![("edit".to_owned(), edit.to_owned())], chosen.clone()].concat();
    let asked = post(&mut grace, "/helpdesk/preview", &with("expiry")).await;
    assert!(!asked.body.contains("data-save"), "{}", asked.body);
    let form = Form::of(&asked)
        .set("expires", "2099-06-30")
        .set("reason", "Contract ends");
    let shown = form.preview(&mut grace).await;
    assert_eq!(
        Form::of(&shown).save(&mut grace).await.status,
        303,
        "{}",
        shown.body
    );
    for row in mappings_of(&app, "webshop-dev").await {
        assert!(row.conditions.expires.is_some());
    }
    grace.get("/helpdesk/mappings").await;
    let shown = post(&mut grace, "/helpdesk/preview", &with("end")).await;
    let words = format!("End {} mappings for", rows.len());
    assert!(shown.body.contains(&words), "{words}: {}", shown.body);
    let form = Form::of(&shown).set("reason", "Contract ended");
    assert_eq!(form.save(&mut grace).await.status, 303);
    assert!(mappings_of(&app, "webshop-dev").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_show_what_they_match_and_are_edited_by_admins_alone() {
    let app = desk().await;
    let (mut grace, mut ada) = (app.signed_in("grace").await, app.signed_in("ada").await);
    let list = grace.get("/helpdesk/rules").await;
    assert!(
        list.body.contains("Only admins change rules."),
        "{}",
        list.body
    );
    assert_eq!(
        grace.get("/helpdesk/rules/new").await.location(),
        "/helpdesk/rules"
    );
    let rules = app.store.tables().await.unwrap().rules;
    let page = ada.get(&format!("/helpdesk/rules/{}", rules[0].id)).await;
    assert!(page.body.contains("DataExplorer"), "{}", page.body);
    let form = Form::of(&page);
    let broken = form.clone().set("group_pattern", "^cn=(aws$");
    let answer = broken.preview(&mut ada).await;
    assert!(
        answer.body.contains("no regular expression"),
        "{}",
        answer.body
    );
    let forged = form.set("ticket", "mine").preview(&mut grace).await;
    assert_eq!(forged.status, 403, "{}", forged.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_goes_out_and_in_without_a_change_and_a_bad_text_says_where() {
    let app = desk().await;
    let mut grace = app.signed_in("grace").await;
    let text = grace.get("/helpdesk/export.toml").await;
    assert_eq!(
        text.header("content-disposition"),
        "attachment; filename=\"table.toml\""
    );
    assert_eq!(app.audit_rows().await[0].event.action, Action::Export);
    let form = Form::of(&grace.get("/helpdesk/import").await);
    let same = form.clone().set("text", &text.body).set("replace", "yes");
    let shown = same.preview(&mut grace).await;
    assert!(
        shown.body.contains("Nothing in the table changes"),
        "{}",
        shown.body
    );
    let bad = form
        .clone()
        .set("text", "[[mapping]]\ngroup = \"corp:x\"\n");
    let answer = bad.preview(&mut grace).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("line 1: mapping"), "{}", answer.body);
    let more = format!(
        "[[mapping]]\ngroup = \"{}\"\nrole = \"{READER}\"\n",
        key("book-club")
    );
    let shown = form
        .set("text", &more)
        .set("reason", "HD-2")
        .preview(&mut grace)
        .await;
    assert!(shown.body.contains("Add mapping for"), "{}", shown.body);
    assert_eq!(Form::of(&shown).save(&mut grace).await.status, 303);
    assert_eq!(mappings_of(&app, "book-club").await.len(), 1);
    let lines = grace.get("/helpdesk/export.jsonl").await;
    assert!(lines.body.lines().count() > 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn auditors_look_and_others_do_not() {
    let app = desk().await;
    let mut margaret = app.signed_in("margaret").await;
    let list = margaret.get("/helpdesk/mappings").await;
    assert_eq!(list.status, 200);
    assert!(!list.body.contains("Add a mapping") && !list.body.contains("name=\"row\""));
    let new = margaret.get("/helpdesk/mappings/new").await;
    assert_eq!(new.location(), "/helpdesk/mappings");
    let row = mappings_of(&app, "helpdesk").await.remove(0).id.to_string();
    let fields = [("edit", "end"), ("row", row.as_str())];
    let forged = margaret.post("/helpdesk/preview", &fields).await;
    assert_eq!(forged.status, 403, "{}", forged.body);
    let mut nobody = app.signed_in("ada").await;
    assert_eq!(nobody.get("/helpdesk").await.status, 303, "ada is an admin");
    let mut stranger = app.browser();
    assert!(
        stranger
            .get("/helpdesk/mappings")
            .await
            .location()
            .starts_with("/login")
    );
    let unsent = nobody.post_without_token("/helpdesk/save", &fields).await;
    assert_eq!(unsent.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_mappings_stay_a_light_page() {
    let app = desk().await;
    let role = READER;
    let rows = (0..10_000).map(|place| {
        Change::PutMapping(mapping(
            &uuid::Uuid::now_v7().to_string(),
            &format!("crowd-{place}"),
            role,
        ))
    });
    app.edit(rows.collect()).await;
    let mut grace = app.signed_in("grace").await;
    let page = grace.get("/helpdesk/mappings?q=crowd").await;
    assert!(page.body.contains("10,000 of "), "{}", &page.body[..2_000]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(page.body.as_bytes()).unwrap();
    let size = gzip.finish().unwrap().len();
    println!("{size} bytes compressed, {} plain", page.body.len());
    assert!(size < 30_000, "{size} bytes");
    let csv = grace.get("/helpdesk/mappings.csv?q=crowd-77").await;
    assert_eq!(csv.body.lines().count(), 1 + 111);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_work_at_the_desk_with_script_by_keyboard_and_without() {
    let app = desk().await;
    run_browser_script("helpdesk", &[app.url.as_str(), READER]).await;
}
