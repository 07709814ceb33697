//! Every link of the helpdesk's pages leads somewhere, and to nothing that its reader may not do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use regex::Regex;
use rolegate::demo::sample::group_dn;

use crate::{
    helpdesk::{Form, unescaped},
    helpdesk_lookups::desk,
    support::{
        app::{Options, TestApp},
        cookie_browser::{Answer, CookieBrowser},
    },
};

/// So many pages of a kind are looked at for each reader.
const OF_A_KIND: usize = 3;

/// Where the walks begin; the rest is found.
const ENTRANCES: [&str; 5] = [
    "/helpdesk",
    "/helpdesk/people?q=a",
    "/helpdesk/groups?q=a",
    "/helpdesk/roles?state=protected",
    "/audit",
];

/// The places of a page's own links, without those into the console and the assets.
fn links(page: &Answer) -> BTreeSet<String> {
    let pattern = Regex::new(r##"(?:href|formaction)="(/[^"#]*)["#]"##).unwrap();
    let found = pattern
        .captures_iter(&page.body)
        .map(|link| unescaped(&link[1]));
    found
        .filter(|path| !path.starts_with("/assets/") && !path.starts_with("/console/"))
        .filter(|path| !path.starts_with("/helpdesk/save"))
        .collect()
}

/// The kind of a page: its path without what names the row, and which questions are asked of it.
fn kind(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut parts: Vec<&str> = path.split('/').collect();
    let words = ["new", "picker", "groups", "roles"];
    for part in parts.iter_mut().skip(3) {
        if !words.contains(part) {
            *part = "*";
        }
    }
    let asked: BTreeSet<&str> = query
        .split('&')
        .filter_map(|pair| pair.split('=').next())
        .collect();
    format!("{} {asked:?}", parts.join("/"))
}

/// Follows the links of one reader, and returns the pages by their address.
async fn walk(reader: &mut CookieBrowser, who: &str) -> BTreeMap<String, Answer> {
    let mut open: VecDeque<String> = ENTRANCES.into_iter().map(str::to_owned).collect();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut pages = BTreeMap::new();
    while let Some(path) = open.pop_front() {
        let seen = kinds.entry(kind(&path)).or_default();
        if pages.contains_key(&path) || *seen >= OF_A_KIND {
            continue;
        }
        *seen += 1;
        let page = reader.get(&path).await;
        if path == "/audit" && page.status == 403 {
            // An entrance of ours; whether pages link there is seen below.
            continue;
        }
        // What was changed again since cannot be taken back alone, which the page says.
        let may_say_no = path.starts_with("/helpdesk/undo");
        assert!(
            matches!(page.status, 200 | 303) || (may_say_no && page.status == 422),
            "{who} at {path}: {}\n{}",
            page.status,
            page.body
        );
        if page.status == 303 {
            open.push_back(page.location().to_owned());
        }
        if path.starts_with("/helpdesk") || path.starts_with("/audit") {
            assert_eq!(page.header("cache-control"), "no-store", "{path}");
            open.extend(links(&page));
        }
        pages.insert(path, page);
    }
    pages
}

/// Forms that post carry the token; forms of edits can be looked at by whoever sees them.
async fn try_forms(reader: &mut CookieBrowser, who: &str, pages: &BTreeMap<String, Answer>) {
    let form = Regex::new(r#"(?s)<form[^>]*method="post".*?</form>"#).unwrap();
    for (path, page) in pages {
        for found in form.find_iter(&page.body) {
            let html = found.as_str();
            assert!(html.contains("name=\"csrf_token\""), "{path}: {html}");
            let is_of_staff = html.contains("action=\"/helpdesk/") && who == "linus";
            assert!(
                !is_of_staff || html.contains("/helpdesk/reviews"),
                "an auditor is offered an edit at {path}: {html}"
            );
        }
        if page.body.contains("data-edit") {
            let shown = Form::of(page).preview(reader).await;
            assert_ne!(shown.status, 403, "{who} at {path}: {}", shown.body);
        }
    }
}

/// Edits, a review and an edit that waits, so that there is something to link to.
async fn furnish(app: &TestApp) {
    let mut grace = app.signed_in("grace").await;
    let mut ada = app.signed_in("ada").await;
    for (group, role) in [
        ("book-club", "web shop production/ReadOnly"),
        ("helpdesk", "web shop production/ReadOnly"),
    ] {
        let form = Form::of(&grace.get("/helpdesk/mappings/new").await)
            .set("group", group)
            .set("role", role)
            .set("reason", "HD-1");
        let shown = Form::of(&form.preview(&mut grace).await);
        let saved = shown.save(&mut grace).await;
        assert_eq!(saved.status, 303, "{}", saved.body);
    }
    let account = Form::of(&ada.get("/helpdesk/accounts/222233334444").await)
        .set("owner", "shop@example.com")
        .set("reason", "HD-2");
    let shown = Form::of(&account.preview(&mut ada).await);
    let saved = shown.save(&mut ada).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    let begun = grace.post("/helpdesk/reviews", &[("name", "Autumn")]).await;
    assert_eq!(begun.status, 303, "{}", begun.body);
}

fn has(pages: &BTreeMap<String, Answer>, start: &str) -> bool {
    pages.keys().any(|path| path.starts_with(start))
}

const OF_ADMINS: [&str; 3] = [
    "/helpdesk/accounts/new",
    "/helpdesk/roles/new",
    "/helpdesk/rules/new",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_link_leads_an_admin_and_an_auditor_to_what_they_may_do() {
    let app = desk().await;
    furnish(&app).await;
    let mut ada = app.signed_in("ada").await;
    let pages = walk(&mut ada, "ada").await;
    for path in OF_ADMINS {
        assert!(has(&pages, path), "an admin is not offered {path}");
    }
    for path in [
        "/helpdesk/people/corp/",
        "/helpdesk/groups/corp",
        "/helpdesk/pending/",
        "/helpdesk/reviews/",
        "/helpdesk/undo",
        "/helpdesk/export.toml",
        "/helpdesk/who.csv",
        "/audit.csv",
    ] {
        assert!(has(&pages, path), "nothing leads to {path}");
    }
    try_forms(&mut ada, "ada", &pages).await;

    let mut linus = app.signed_in("linus").await;
    let pages = walk(&mut linus, "linus").await;
    for path in OF_ADMINS {
        assert!(!has(&pages, path), "an auditor is offered {path}");
    }
    for path in ["/helpdesk/undo", "/helpdesk/mappings/new"] {
        assert!(!has(&pages, path), "an auditor is offered {path}");
    }
    assert!(has(&pages, "/audit.csv"));
    try_forms(&mut linus, "linus", &pages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_leads_a_helpdesk_with_a_scope_to_what_is_within_it() {
    let key = |group: &str| format!("corp:{}", group_dn(group));
    let app = TestApp::start_with(Options {
        overrides: vec![("ACCESS__ADMIN".to_owned(), key("payments-leads"))],
        more_toml: format!(
            "[[access.scope]]\ngroup = \"{}\"\naccounts = [\"222233334444\"]\n",
            key("helpdesk")
        ),
        ..Options::default()
    })
    .await;
    furnish(&app).await;
    let mut grace = app.signed_in("grace").await;
    let pages = walk(&mut grace, "grace").await;
    for path in OF_ADMINS {
        assert!(!has(&pages, path), "the helpdesk is offered {path}");
    }
    assert!(!has(&pages, "/audit"), "the audit log is not theirs");
    assert!(has(&pages, "/helpdesk/mappings/new"));
    assert!(has(&pages, "/helpdesk/undo"), "their own edit");
    try_forms(&mut grace, "grace", &pages).await;
    let outside = app.broker.tables().await.unwrap();
    let outside = outside
        .mappings
        .iter()
        .find(|mapping| mapping.role.account().as_str() == "111122223333")
        .unwrap();
    let page = grace
        .get(&format!("/helpdesk/mappings/{}", outside.id))
        .await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("data-edit"), "{}", page.body);
}
