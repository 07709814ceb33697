//! A client that costs next to nothing: prepared bytes over one kept-alive connection.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// One connection.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            received: Vec::with_capacity(1 << 16),
        }
    }

    /// Sends a whole request and waits for the whole answer.
    pub async fn send(&mut self, request: &[u8]) -> Answer {
        self.stream.write_all(request).await.unwrap();
        let head_end = self.until(0, b"\r\n\r\n").await + 4;
        let head = String::from_utf8(self.received[..head_end].to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        let (body, end) = if header(&head, "transfer-encoding") == Some("chunked") {
            self.chunks(head_end).await
        } else {
            let length: usize = header(&head, "content-length").map_or(0, |n| n.parse().unwrap());
            let end = head_end + length;
            self.fill(end).await;
            (self.received[head_end..end].to_vec(), end)
        };
        self.received.drain(..end);
        Answer { status, head, body }
    }

    async fn chunks(&mut self, mut at: usize) -> (Vec<u8>, usize) {
        let mut body = Vec::new();
        loop {
            let line_end = self.until(at, b"\r\n").await;
            let line = std::str::from_utf8(&self.received[at..line_end]).unwrap();
            let length = usize::from_str_radix(line, 16).unwrap();
            let start = line_end + 2;
            self.fill(start + length + 2).await;
            body.extend_from_slice(&self.received[start..start + length]);
            at = start + length + 2;
            if length == 0 {
                return (body, at);
            }
        }
    }

    /// Where `mark` first stands from `from` on.
    async fn until(&mut self, mut from: usize, mark: &[u8]) -> usize {
        loop {
            let rest = &self.received[from.min(self.received.len())..];
            if let Some(found) = rest.windows(mark.len()).position(|bytes| bytes == mark) {
                return from + found;
            }
            from = from.max((self.received.len() + 1).saturating_sub(mark.len()));
            self.read().await;
        }
    }

    async fn fill(&mut self, length: usize) {
        while self.received.len() < length {
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let read = self.stream.read_buf(&mut self.received).await.unwrap();
        assert!(read > 0, "the server closed the connection");
    }
}

/// The value of a header in an answer's head.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A cookie that an answer sets, as `name=value`.
pub fn set_cookie(answer: &Answer, name: &str) -> String {
    let lines = answer.head.lines();
    let value = lines
        .filter_map(|line| line.split_once(": "))
        .filter(|(key, _)| key.eq_ignore_ascii_case("set-cookie"))
        .filter_map(|(_, value)| value.split(';').next())
        .find(|pair| pair.starts_with(&format!("{name}=")));
    value
        .unwrap_or_else(|| panic!("no cookie {name} in\n{}", answer.head))
        .to_owned()
}

/// A GET as a browser would send it.
pub fn get(path: &str, cookie: &str, accepts_gzip: bool) -> Vec<u8> {
    let encoding = if accepts_gzip {
        "accept-encoding: gzip\r\n"
    } else {
        ""
    };
    format!(
        "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: {cookie}\r\n{encoding}\
         user-agent: bench\r\n\r\n"
    )
    .into_bytes()
}

/// A form as a browser would post it.
pub fn post(path: &str, cookie: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: {cookie}\r\n\
         sec-fetch-site: same-origin\r\nuser-agent: bench\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The CSRF token of a page.
pub fn csrf_token(answer: &Answer) -> String {
    let page = String::from_utf8_lossy(&answer.body);
    crate::support::cookie_browser::hidden_value(&page, "csrf_token")
        .unwrap_or_else(|| panic!("no token on\n{page}"))
}

/// Signs somebody in; the session cookie as `name=value`.
pub async fn sign_in(address: SocketAddr, username: &str, password: &str) -> String {
    let mut client = Client::connect(address).await;
    let page = client.send(&get("/login", "", false)).await;
    let form = set_cookie(&page, "rolegate-form");
    let token = csrf_token(&page);
    let fields = [
        ("username", username),
        ("password", password),
        ("csrf_token", &token),
    ];
    let answer = client.send(&post("/login/corp", &form, &fields)).await;
    assert_eq!(answer.status, 303, "{}", answer.head);
    set_cookie(&answer, "rolegate")
}
