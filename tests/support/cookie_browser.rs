//! A browser as far as HTTP goes: keeps cookies, fills in forms, follows nothing by itself.

use std::collections::BTreeMap;

use reqwest::{Client, Method, header};
use url::Url;

/// An HTTP client with a deadline that follows no redirect.
pub fn client() -> Client {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(std::time::Duration::from_mins(1))
        .no_proxy()
        .build()
        .unwrap()
}

/// Goes to a page of another site, with the redirects and cookies on the way; the text of the page
/// at the end, and its status.
pub async fn arrive(first: reqwest::RequestBuilder) -> (u16, String) {
    let mut cookies: Vec<String> = Vec::new();
    let mut answer = first.send().await.unwrap();
    for _ in 0..5 {
        cookies.extend(answer.headers().get_all("set-cookie").iter().map(|line| {
            let line = line.to_str().unwrap();
            line.split(';').next().unwrap().to_owned()
        }));
        let Some(location) = answer.headers().get("location") else {
            return (answer.status().as_u16(), answer.text().await.unwrap());
        };
        let next = answer.url().join(location.to_str().unwrap()).unwrap();
        let request = client().get(next).header("cookie", cookies.join("; "));
        answer = request.send().await.unwrap();
    }
    panic!("the way does not end: {}", answer.url());
}

/// Cookies and the last page's CSRF token.
#[derive(Clone)]
pub struct CookieBrowser {
    base: Url,
    client: Client,
    /// What is sent, by name.
    pub cookies: BTreeMap<String, String>,
    /// The token of the last page that had one.
    pub csrf_token: String,
    /// Headers sent beside the browser's own.
    pub headers: Vec<(String, String)>,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: header::HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A header's text, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Where it sends the browser.
    pub fn location(&self) -> &str {
        self.header("location")
    }
}

impl CookieBrowser {
    /// Without cookies.
    pub fn new(base: Url) -> Self {
        Self {
            base,
            client: client(),
            cookies: BTreeMap::new(),
            csrf_token: String::new(),
            headers: vec![("sec-fetch-site".to_owned(), "same-origin".to_owned())],
        }
    }

    /// Opens a page of ours.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// Sends a form to a page of ours, with the last page's token.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.csrf_token.clone();
        let mut fields = fields.to_vec();
        fields.push(("csrf_token", &token));
        self.post_without_token(path, &fields).await
    }

    /// Sends just these fields.
    pub async fn post_without_token(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.send(Method::POST, path, Some(body)).await
    }

    /// Opens the sign-in page and signs in.
    pub async fn sign_in(&mut self, username: &str, password: &str) -> Answer {
        self.get("/login").await;
        self.post(
            "/login/corp",
            &[("username", username), ("password", password)],
        )
        .await
    }

    /// Opens the picker, for its token, and posts to `/console`.
    pub async fn open_console(&mut self, fields: &[(&str, &str)]) -> Answer {
        self.get("/").await;
        self.post("/console", fields).await
    }

    /// Posts to `/console` without keeping anything; the status, or None when nobody answered.
    pub async fn try_post(&self, url: &Url, role: &str) -> Option<u16> {
        Some(self.click(url, role).await?.status().as_u16())
    }

    /// The same; where the browser is sent, or None when it was not.
    pub async fn try_open(&self, url: &Url, role: &str) -> Option<String> {
        let response = self.click(url, role).await?;
        let location = response.headers().get(header::LOCATION)?;
        Some(location.to_str().ok()?.to_owned())
    }

    async fn click(&self, url: &Url, role: &str) -> Option<reqwest::Response> {
        let fields = [("role", role), ("csrf_token", self.csrf_token.as_str())];
        let request = self.client.post(url.clone()).form(&fields);
        let request = request.header("sec-fetch-site", "same-origin");
        request
            .header(header::COOKIE, self.cookie_line())
            .send()
            .await
            .ok()
    }

    fn cookie_line(&self) -> String {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        cookies.join("; ")
    }

    /// Any request.
    pub async fn send(&mut self, method: Method, path: &str, body: Option<String>) -> Answer {
        self.try_send(method, path, body).await.unwrap()
    }

    /// Any request; an error where nobody answered it to its end.
    pub async fn try_send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> reqwest::Result<Answer> {
        let url = self.base.join(path).unwrap();
        let mut request = self.client.request(method, url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !self.cookies.is_empty() {
            request = request.header(header::COOKIE, self.cookie_line());
        }
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await?;
        self.keep_cookies(&headers);
        if let Some(token) = hidden_value(&body, "csrf_token") {
            self.csrf_token = token;
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    fn keep_cookies(&mut self, headers: &header::HeaderMap) {
        for line in headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.to_lowercase().contains("max-age=0") || value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The value of the first hidden field of this name.
pub fn hidden_value(html: &str, name: &str) -> Option<String> {
    let pattern = format!(r#"name="?{name}"?\s+value="?([0-9a-zA-Z_-]+)"?"#);
    let pattern = regex::Regex::new(&pattern).unwrap();
    Some(pattern.captures(html)?[1].to_owned())
}
