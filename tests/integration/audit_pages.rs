//! `/audit`: the log on a page, filtered, paged, exported and verified.

use crate::helpdesk_lookups::desk;

#[tokio::test(flavor = "multi_thread")]
async fn auditors_and_admins_read_the_log_and_the_helpdesk_does_not() {
    let app = desk().await;
    for (who, status) in [
        ("linus", 200),
        ("ada", 200),
        ("grace", 403),
        ("margaret", 403),
    ] {
        let mut browser = app.signed_in(who).await;
        for path in ["/audit", "/audit.jsonl", "/audit.csv"] {
            assert_eq!(browser.get(path).await.status, status, "{who} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_narrowed_and_what_cannot_be_used_is_told() {
    let app = desk().await;
    let mut stranger = app.browser();
    stranger.sign_in("locked", "locked-demo").await;
    let mut linus = app.signed_in("linus").await;
    let page = linus.get("/audit?action=sign_in&outcome=refused").await;
    assert_eq!(page.body.matches("data-seq=").count(), 1, "{}", page.body);
    assert!(page.body.contains("The directory refused the password"));
    let of_linus = linus.get("/audit?person=linus").await;
    assert!(of_linus.body.contains("data-outcome=\"ok\""));
    assert!(!of_linus.body.contains("data-outcome=\"refused\""));
    for (query, words) in [
        ("action=fly", "no action called fly"),
        ("outcome=maybe", "no outcome called maybe"),
        ("since=yesterday", "is no date that can be used"),
    ] {
        let page = linus.get(&format!("/audit?{query}")).await;
        assert!(page.body.contains(words), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_rows_stand_on_a_page_and_the_cursor_leads_on() {
    let app = desk().await;
    let mut linus = app.signed_in("linus").await;
    let count = app.audit_rows().await.len();
    assert!(count > 50, "the sample table alone writes {count} rows");
    let first = linus.get("/audit").await;
    assert_eq!(first.body.matches("data-seq=").count(), 50);
    let older = first.body.split("href=\"/audit?before=").nth(1).unwrap();
    let seq = &older[..older.find('"').unwrap()];
    let second = linus.get(&format!("/audit?before={seq}")).await;
    assert!(!second.body.contains(&format!("data-seq=\"{seq}\"")));
    let next: i64 = seq.parse::<i64>().unwrap() - 1;
    assert!(second.body.contains(&format!("data-seq=\"{next}\"")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_whole_in_order_and_itself_in_the_log() {
    let app = desk().await;
    let mut linus = app.signed_in("linus").await;
    let file = linus.get("/audit.jsonl").await;
    let seqs: Vec<i64> = file
        .body
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["seq"].as_i64().unwrap()
        })
        .collect();
    let rows = app.audit_rows().await;
    let all: Vec<i64> = (1..=rows[0].seq).collect();
    assert_eq!(seqs, all);
    assert_eq!(app.last_audit_event().await["action"], "export");
    let csv = linus.get("/audit.csv?action=export").await;
    let lines: Vec<&str> = csv.body.lines().collect();
    assert_eq!(lines.len(), 3, "{}", csv.body);
    assert!(lines[2].contains("action=export"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_is_verified_on_demand_and_a_changed_row_is_named() {
    let app = desk().await;
    let mut linus = app.signed_in("linus").await;
    let before = linus.get("/audit").await;
    assert!(before.body.contains("not verified since Rolegate started"));
    assert_eq!(linus.post("/audit/verify", &[]).await.status, 303);
    let holds = linus.get("/audit").await;
    assert!(
        holds.body.contains("The chain holds over"),
        "{}",
        holds.body
    );
    let mut database = app.lock_database().await;
    let statement = "UPDATE audit_event SET payload = replace(payload, 'change', 'chance') \
                     WHERE seq = 7";
    sqlx::Executor::execute(&mut database, statement)
        .await
        .unwrap();
    sqlx::Executor::execute(&mut database, "COMMIT")
        .await
        .unwrap();
    assert_eq!(linus.post("/audit/verify", &[]).await.status, 303);
    let broken = linus.get("/audit").await;
    assert!(
        broken.body.contains("The chain is broken at row"),
        "{}",
        broken.body
    );
    assert!(broken.body.contains("data-chain=\"broken\""));
}
