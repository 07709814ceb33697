//! Signing in from a terminal: by a browser of this machine, or by a code that is typed into a
//! browser anywhere.
//!
//! Never here: opening browsers, and words on a terminal. Entry points: [`by_browser`], [`by_code`].

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use super::{
    ClientError, Http, Loopback, Secret,
    oauth::{self, Client, NoTokens, Order, Tokens},
};

/// How long a person may take in the browser.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often is asked whether the person has decided, where the server does not say.
const INTERVAL: Duration = Duration::from_secs(5);

/// Tokens of a person, not yet kept.
#[derive(Debug)]
pub struct SignedIn {
    pub(super) client: Client,
    pub(super) tokens: Tokens,
}

/// What a person has to type, and where.
#[derive(Debug)]
pub struct TypedCode {
    /// The address of the page.
    pub address: String,
    /// The code.
    pub code: String,
    /// How long there is time.
    pub expires_in: Duration,
}

/// Why the way by a browser came to nothing.
#[derive(Debug)]
pub enum NoBrowser {
    /// The browser could not be opened; nothing has happened yet.
    NotOpened,
    /// Something else.
    Failed(ClientError),
}

impl From<ClientError> for NoBrowser {
    fn from(error: ClientError) -> Self {
        Self::Failed(error)
    }
}

/// Signs in by a browser of this machine (RFC 8252, RFC 7636). `open` is given the address and says
/// whether a browser shows it; `name` is how the server's page of sessions calls this machine.
pub fn by_browser(
    http: &Http,
    name: &str,
    open: impl FnOnce(&str) -> bool,
) -> Result<SignedIn, NoBrowser> {
    let failed = |error: std::io::Error| ClientError::NotCompleted(error.to_string());
    let loopback = Loopback::bind().map_err(failed)?;
    let client = oauth::register(http, name)?;
    let redirect_uri = oauth::redirect_uri(Some(loopback.port()));
    let state = Secret::random().map_err(failed)?;
    let verifier = Secret::random().map_err(failed)?;
    let address = oauth::authorize_url(http, &client, &redirect_uri, &state, &verifier);
    if !open(&address) {
        return Err(NoBrowser::NotOpened);
    }
    let code = wait_for_code(&loopback, &state)?;
    let order = Order::Code {
        code: &code,
        redirect_uri: &redirect_uri,
        verifier: &verifier,
    };
    match oauth::create_token(http, &client, &order) {
        Ok(tokens) => Ok(SignedIn { client, tokens }),
        Err(NoTokens::Failed(error)) => Err(error.into()),
        Err(NoTokens::Over(why)) => Err(not_completed(&why).into()),
        Err(NoTokens::Pending | NoTokens::SlowDown) => {
            Err(not_completed("the server cannot say yes or no").into())
        }
    }
}

fn not_completed(why: &str) -> ClientError {
    ClientError::NotCompleted(format!(
        "you are not signed in: {why}; run `rolegate login` again"
    ))
}

/// The code that the browser brings; what does not know the state is turned away and waited past.
fn wait_for_code(loopback: &Loopback, state: &Secret) -> Result<Secret, ClientError> {
    let until = Instant::now() + PATIENCE;
    while let Some(asked) = loopback.next(Some(until)) {
        let Some(query) = asked.target.strip_prefix("/oauth/callback?") else {
            asked.answer("404 Not Found", &[], "");
            continue;
        };
        let mut values: HashMap<String, String> = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let is_ours = (values.get("state")).is_some_and(|brought| {
            aws_lc_rs::constant_time::verify_slices_are_equal(
                brought.as_bytes(),
                state.expose().as_bytes(),
            )
            .is_ok()
        });
        if !is_ours || asked.method != "GET" {
            let told = "This sign-in was not started by the terminal that waits here.\n";
            asked.answer("400 Bad Request", &[PLAIN], told);
            continue;
        }
        if let Some(code) = values.remove("code") {
            let told = "You are signed in. Close this tab and go on in your terminal.\n";
            asked.answer("200 OK", &[PLAIN], told);
            return Ok(Secret::new(code));
        }
        let told = "You are not signed in. Your terminal says what to do.\n";
        asked.answer("200 OK", &[PLAIN], told);
        let error = values.remove("error").unwrap_or_default();
        return Err(not_completed(match error.as_str() {
            "access_denied" => "the request was declined in the browser",
            _ => "the server did not agree",
        }));
    }
    Err(not_completed(
        "nobody agreed in the browser for ten minutes",
    ))
}

const PLAIN: (&str, &str) = ("content-type", "text/plain; charset=utf-8");

/// Signs in by a code that a person types into a browser anywhere (RFC 8628). `tell` shows it.
pub fn by_code(
    http: &Http,
    name: &str,
    tell: impl FnOnce(&TypedCode),
) -> Result<SignedIn, ClientError> {
    let client = oauth::register(http, name)?;
    let device = oauth::start_device(http, &client)?;
    let expires_in = Duration::from_secs(device.expires_in);
    let until = Instant::now() + expires_in.min(Duration::from_hours(1));
    let mut interval = (device.interval).map_or(INTERVAL, |seconds| {
        Duration::from_secs(seconds.clamp(1, 60))
    });
    tell(&TypedCode {
        address: device.verification_uri,
        code: device.user_code,
        expires_in,
    });
    loop {
        thread::sleep(interval);
        match oauth::create_token(http, &client, &Order::Device(&device.secret)) {
            Ok(tokens) => return Ok(SignedIn { client, tokens }),
            Err(NoTokens::SlowDown) => interval += INTERVAL,
            Err(NoTokens::Over(why)) => return Err(not_completed(&why)),
            // A server that is away for a moment does not end a person's walk to the browser.
            Err(NoTokens::Pending | NoTokens::Failed(ClientError::Unreachable { .. })) => {}
            Err(NoTokens::Failed(error)) => return Err(error),
        }
        if Instant::now() >= until {
            return Err(not_completed("nobody typed the code in time"));
        }
    }
}
