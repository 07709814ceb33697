//! One connection to one server: open it, bind, search in pages. Every await has a deadline, and
//! what ldap3 makes of a malformed answer (it panics) becomes an error here.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchOptions,
    asn1::{PL, parse_tag},
    controls::{MatchedValues, PagedResults, RawControl},
};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    bind_outcome::{BindAnswer, PASSWORD_POLICY_OID, PasswordPolicy},
    entry::Entry,
    failure::{Answer, Failure},
};

pub(super) const TIME_LIMIT_EXCEEDED: u32 = 3;
pub(super) const SIZE_LIMIT_EXCEEDED: u32 = 4;
pub(super) const ADMIN_LIMIT_EXCEEDED: u32 = 11;
const PAGED_RESULTS_OID: &str = "1.2.840.113556.1.4.319";
/// The result code for a critical control that the server does not know.
const UNAVAILABLE_CRITICAL_EXTENSION: u32 = 12;

/// How connections are opened.
#[derive(Debug, Clone)]
pub(super) struct Dialling {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) start_tls: bool,
    pub(super) connect_timeout: Duration,
    pub(super) operation_timeout: Duration,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    ldap: Ldap,
    url: Url,
    operation_timeout: Duration,
}

/// What to search for.
#[derive(Debug, Clone, Copy)]
pub(super) struct SearchRequest<'a> {
    pub(super) base: &'a str,
    pub(super) scope: Scope,
    pub(super) filter: &'a str,
    pub(super) attributes: &'a [&'a str],
    /// One entry is wanted, or pages of this size.
    pub(super) page_size: Option<i32>,
    /// How many entries may come; more is an error.
    pub(super) limit: usize,
    /// How many values an attribute may have of which the server sends a part at first; none to
    /// make do with that part.
    pub(super) value_limit: Option<usize>,
    /// The one attribute value that matters of those requested (RFC 3876), and whether the servers
    /// know the control; nothing is lost without it.
    pub(super) matched_values: Option<(&'a str, &'a AtomicBool)>,
}

impl Connection {
    /// Opens a connection: TCP, TLS, nothing said yet.
    pub(super) async fn open(
        url: &Url,
        dialling: &Dialling,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let settings = LdapConnSettings::new()
            .set_config(Arc::clone(&dialling.tls))
            .set_starttls(dialling.start_tls);
        let opening = LdapConnAsync::from_url_with_settings(settings, url);
        let hop = deadline.min(Instant::now() + dialling.connect_timeout);
        let (driver, ldap) = answered(url, hop, opening).await?;
        tokio::spawn(async move {
            if let Err(error) = driver.drive().await {
                // The operation that was under way reports it.
                tracing::debug!(error = %error, "a directory connection ended");
            }
        });
        Ok(Self {
            ldap,
            url: url.clone(),
            operation_timeout: dialling.operation_timeout,
        })
    }

    /// Whether the connection is known to be of no more use.
    pub(super) fn is_closed(&mut self) -> bool {
        self.ldap.is_closed()
    }

    /// Tries a name and a password, which must not be empty: see RFC 4513 section 5.1.2.
    pub(super) async fn bind(
        &mut self,
        name: &str,
        password: &str,
        deadline: Instant,
    ) -> Result<BindAnswer, Failure> {
        self.ldap.with_controls(vec![RawControl {
            ctype: PASSWORD_POLICY_OID.to_owned(),
            crit: false,
            val: None,
        }]);
        let hop = self.hop(deadline);
        let result = answered(&self.url, hop, self.ldap.simple_bind(name, password)).await?;
        let policy = result
            .ctrls
            .iter()
            .find(|control| control.1.ctype == PASSWORD_POLICY_OID)
            .map(|control| PasswordPolicy::parse(control.1.val.as_deref()));
        Ok(BindAnswer {
            policy: policy.unwrap_or_default(),
            answer: self.checked(result)?,
        })
    }

    /// Searches, to the last page.
    ///
    /// # Errors
    /// [`Failure::Refused`] for every result code but success, whatever entries came before it.
    pub(super) async fn search(
        &mut self,
        request: &SearchRequest<'_>,
        deadline: Instant,
    ) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        let mut cookie = Vec::new();
        loop {
            let hop = self.hop(deadline);
            let values = matched_values(request);
            let page = search_page(&mut self.ldap, request, cookie, values, &mut entries);
            let Some(result) = answered(&self.url, hop, page).await? else {
                return Err(Failure::TooMany {
                    what: "entries",
                    limit: request.limit,
                });
            };
            let next = next_page(&result).ok_or_else(|| self.malformed())?;
            let answer = self.checked(result)?;
            if answer.code == UNAVAILABLE_CRITICAL_EXTENSION
                && values.is_some()
                && let Some((_, is_known)) = request.matched_values
            {
                is_known.store(false, Ordering::Relaxed);
                cookie = Vec::new();
                entries.clear();
                continue;
            }
            if answer.code != 0 {
                return Err(Failure::Refused(answer));
            }
            if next.is_empty() {
                break;
            }
            cookie = next;
        }
        let mut whole = Vec::with_capacity(entries.len());
        for entry in entries {
            let entry = entry.ok_or_else(|| self.malformed())?;
            whole.push(match request.value_limit {
                Some(limit) => self.completed(entry, limit, deadline).await?,
                None => entry,
            });
        }
        Ok(whole)
    }

    /// Searches in pages for at most as many entries as the request's limit, and says whether there
    /// may be more.
    ///
    /// # Errors
    /// [`Failure::Refused`] for result codes that tell of more than a limit.
    pub(super) async fn search_some(
        &mut self,
        request: &SearchRequest<'_>,
        deadline: Instant,
    ) -> Result<(Vec<Entry>, bool), Failure> {
        let mut entries = Vec::new();
        let mut cookie = Vec::new();
        let is_cut = loop {
            let left = i32::try_from(request.limit - entries.len()).unwrap_or(i32::MAX);
            let page_size = request.page_size.map(|size| size.min(left));
            let request = SearchRequest {
                page_size,
                ..*request
            };
            let hop = self.hop(deadline);
            let page = search_page(&mut self.ldap, &request, cookie, None, &mut entries);
            let Some(result) = answered(&self.url, hop, page).await? else {
                // The rest is on its way here, so that the connection is of no more use.
                let _ = answered(&self.url, hop, self.ldap.unbind()).await;
                break true;
            };
            let next = next_page(&result).ok_or_else(|| self.malformed())?;
            let answer = self.checked(result)?;
            match answer.code {
                0 if next.is_empty() => break false,
                0 if entries.len() >= request.limit => break true,
                0 => cookie = next,
                SIZE_LIMIT_EXCEEDED => break true,
                TIME_LIMIT_EXCEEDED | ADMIN_LIMIT_EXCEEDED if !entries.is_empty() => break true,
                _ => return Err(Failure::Refused(answer)),
            }
        };
        let whole: Option<Vec<Entry>> = entries.into_iter().collect();
        Ok((whole.ok_or_else(|| self.malformed())?, is_cut))
    }

    /// Fetches the rest of attributes of which Active Directory sent a part.
    async fn completed(
        &mut self,
        mut entry: Entry,
        limit: usize,
        deadline: Instant,
    ) -> Result<Entry, Failure> {
        while let Some((name, range)) = entry.partial_attribute() {
            let first = range.last.unwrap_or(range.first).saturating_add(1);
            if first > limit {
                return Err(Failure::TooMany {
                    what: "values of one attribute",
                    limit,
                });
            }
            let attribute = format!("{name};range={first}-*");
            let request = SearchRequest {
                base: &entry.dn,
                scope: Scope::Base,
                filter: "(objectClass=*)",
                attributes: &[&attribute],
                page_size: None,
                limit: 1,
                value_limit: None,
                matched_values: None,
            };
            let mut parts = Vec::new();
            let hop = self.hop(deadline);
            let page = search_page(&mut self.ldap, &request, Vec::new(), None, &mut parts);
            let result = answered(&self.url, hop, page)
                .await?
                .ok_or_else(|| self.malformed())?;
            let answer = self.checked(result)?;
            if answer.code != 0 {
                return Err(Failure::Refused(answer));
            }
            let continued = parts
                .pop()
                .flatten()
                .is_some_and(|part| entry.extend_partial(&name, first, part));
            if !continued {
                return Err(Failure::Unreadable(format!(
                    "the values of {name} changed while they were read"
                )));
            }
        }
        Ok(entry)
    }

    /// The server's certificate in DER; none without TLS.
    pub(super) async fn certificate(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let hop = self.hop(deadline);
        answered(&self.url, hop, self.ldap.get_peer_certificate()).await
    }

    fn hop(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + self.operation_timeout)
    }

    /// Turns the codes by which a server says that it cannot work into a failure of that server.
    fn checked(&self, result: LdapResult) -> Result<Answer, Failure> {
        let answer = Answer {
            code: result.rc,
            text: result.text,
        };
        match answer.code {
            // busy, unavailable
            51 | 52 => Err(Failure::Unreachable {
                url: self.url.to_string(),
                cause: answer.into(),
            }),
            _ => Ok(answer),
        }
    }

    fn malformed(&self) -> Failure {
        malformed(&self.url)
    }
}

/// The filter of values that a search may ask for.
fn matched_values<'a>(request: &SearchRequest<'a>) -> Option<&'a str> {
    let (filter, is_known) = request.matched_values?;
    is_known.load(Ordering::Relaxed).then_some(filter)
}

/// Sends one search and collects what it returns, malformed entries as none. None when more
/// entries came than the limit; the connection is of no more use then.
async fn search_page(
    ldap: &mut Ldap,
    request: &SearchRequest<'_>,
    cookie: Vec<u8>,
    values: Option<&str>,
    entries: &mut Vec<Option<Entry>>,
) -> Result<Option<LdapResult>, LdapError> {
    let mut controls: Vec<RawControl> = Vec::new();
    if let Some(size) = request.page_size {
        controls.push(PagedResults { size, cookie }.into());
    } else {
        let size = i32::try_from(request.limit).unwrap_or(i32::MAX);
        ldap.with_search_options(SearchOptions::new().sizelimit(size));
    }
    if let Some(filter) = values {
        let mut control: RawControl = MatchedValues::new(filter);
        control.crit = true;
        controls.push(control);
    }
    if !controls.is_empty() {
        ldap.with_controls(controls);
    }
    let mut found = ldap
        .streaming_search(
            request.base,
            request.scope,
            request.filter,
            request.attributes,
        )
        .await?;
    while let Some(item) = found.next().await? {
        // Continuation references are not followed: they lead to servers that nobody configured.
        if item.is_ref() || item.is_intermediate() {
            continue;
        }
        if entries.len() == request.limit {
            return Ok(None);
        }
        entries.push(Entry::parse(item.0));
    }
    Ok(Some(found.finish().await))
}

/// The cookie that fetches the next page, empty after the last; none when it cannot be read.
fn next_page(result: &LdapResult) -> Option<Vec<u8>> {
    let control = result
        .ctrls
        .iter()
        .find(|control| control.1.ctype == PAGED_RESULTS_OID);
    let Some(control) = control else {
        return Some(Vec::new());
    };
    let (_, sequence) = parse_tag(control.1.val.as_deref()?).ok()?;
    match sequence.expect_constructed()?.into_iter().nth(1)?.payload {
        PL::P(cookie) => Some(cookie),
        PL::C(_) => None,
    }
}

/// Waits for an answer until the deadline, and survives ldap3's panics on malformed ones.
async fn answered<T>(
    url: &Url,
    deadline: Instant,
    operation: impl Future<Output = Result<T, LdapError>>,
) -> Result<T, Failure> {
    let mut operation = pin!(operation);
    let guarded = poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| operation.as_mut().poll(context)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => Poll::Ready(Some(result)),
            Err(_) => Poll::Ready(None),
        }
    });
    match timeout_at(deadline, guarded).await {
        Ok(Some(Ok(answer))) => Ok(answer),
        Ok(Some(Err(error))) => Err(Failure::Unreachable {
            url: url.to_string(),
            cause: error.into(),
        }),
        Ok(None) => Err(malformed(url)),
        Err(elapsed) => Err(Failure::Unreachable {
            url: url.to_string(),
            cause: elapsed.into(),
        }),
    }
}

fn malformed(url: &Url) -> Failure {
    Failure::Unreachable {
        url: url.to_string(),
        cause: "the answer is malformed".into(),
    }
}
