//! Somebody with a browser who walks between a service provider and an identity provider.

use reqwest::Method;
use url::Url;

use super::{Form, Page};
use crate::support::cookie_browser::{Answer, CookieBrowser};

/// How many steps lead from one page that waits for somebody to the next; logout takes the most.
const LONGEST_WAY: usize = 15;

/// Follows redirects, forms that carry a SAML message and pages that refresh to another one at once,
/// and stops at every other page.
///
/// All servers of the tests share the host 127.0.0.1, so a browser sends the cookies of one to all
/// of them, and takes a step from one to another as same-site.
pub struct Walker {
    /// Cookies, and the token of our last page.
    pub browser: CookieBrowser,
    /// Steps to an address that begins so are not taken: the page before is where it ends.
    pub never_to: Option<String>,
    /// Every address so far.
    pub steps: Vec<Url>,
}

impl Walker {
    /// Stands nowhere yet.
    pub fn new(browser: CookieBrowser) -> Self {
        Self {
            browser,
            never_to: None,
            steps: Vec::new(),
        }
    }

    /// Types an address in.
    pub async fn open(&mut self, url: &str) -> Page {
        self.steps.clear();
        let url = url.parse().unwrap();
        let page = self.step(Method::GET, url, None).await;
        self.walk_on(page).await
    }

    /// Sends a form.
    pub async fn submit(&mut self, form: &Form) -> Page {
        let page = self.send(form).await;
        self.walk_on(page).await
    }

    /// Fills in the sign-in form of an identity provider's page and sends it.
    pub async fn enter(&mut self, page: &Page, username: &str, password: &str) -> Page {
        let mut form = page
            .form_with("password")
            .unwrap_or_else(|| panic!("{} asks for no password:\n{}", page.url, page.answer.body));
        form.set("username", username);
        form.set("password", password);
        self.submit(&form).await
    }

    /// Presses the button for a connector on Rolegate's sign-in page.
    pub async fn choose(&mut self, origin: &Url, connector: &str) -> Page {
        let page = self.open(origin.join("login").unwrap().as_str()).await;
        let action = origin.join(&format!("login/{connector}")).unwrap();
        let form = page.forms().into_iter().find(|form| form.action == action);
        let form = form
            .unwrap_or_else(|| panic!("no way to {connector} on the page:\n{}", page.answer.body));
        self.submit(&form).await
    }

    async fn walk_on(&mut self, mut page: Page) -> Page {
        for _ in 0..LONGEST_WAY {
            let location = page.answer.location();
            let form = page.forms().into_iter().find(Form::carries_message);
            if (301..=303).contains(&page.answer.status) {
                let url = page.url.join(location).unwrap();
                if self.stays_away_from(&url) {
                    return page;
                }
                page = self.step(Method::GET, url, None).await;
            } else if let Some(form) = form
                && !self.stays_away_from(&form.action)
            {
                page = self.send(&form).await;
            } else if let Some(url) = page.refreshes_to() {
                page = self.step(Method::GET, url, None).await;
            } else {
                return page;
            }
        }
        panic!("the way does not end: {:#?}", self.steps);
    }

    fn stays_away_from(&self, url: &Url) -> bool {
        let never_to = self.never_to.as_ref();
        never_to.is_some_and(|start| url.as_str().starts_with(start))
    }

    async fn send(&mut self, form: &Form) -> Page {
        if form.is_post {
            let body = Some(form.encoded());
            return self.step(Method::POST, form.action.clone(), body).await;
        }
        let mut url = form.action.clone();
        url.set_query(Some(&form.encoded()));
        self.step(Method::GET, url, None).await
    }

    async fn step(&mut self, method: Method, url: Url, body: Option<String>) -> Page {
        let site = match self.steps.last() {
            None => "none",
            Some(last) if last.origin() == url.origin() => "same-origin",
            Some(_) => "same-site",
        };
        self.browser.headers = vec![("sec-fetch-site".to_owned(), site.to_owned())];
        let answer: Answer = self.browser.send(method, url.as_str(), body).await;
        self.steps.push(url.clone());
        Page { url, answer }
    }
}
