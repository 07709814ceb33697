//! Headless Chromium where a person lets programs act for them. The steps are in `tests/browser`.

use serde_json::json;

use crate::support::{app::TestApp, browser::run_browser_script};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_lets_programs_act_for_them_in_a_browser() {
    let app = TestApp::start().await;
    let state = json!({ "url": app.url.as_str() }).to_string();
    print!("{}", run_browser_script("consent", &[&state]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_api_is_read_and_copied_from_in_a_browser() {
    let app = TestApp::start().await;
    let state = json!({ "url": app.url }).to_string();
    print!("{}", run_browser_script("api", &[&state]).await);
}
