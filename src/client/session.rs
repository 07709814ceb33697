//! A sign-in at one server: its tokens, and what is asked with them.
//!
//! Tokens are renewed by one process while others wait, because the server ends a sign-in of which an
//! old refresh token is used twice. Never here: how people sign in. Entry point: [`Session::open`].

use std::{path::PathBuf, sync::OnceLock};

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;

use super::{
    ClientError, Http, OfferedRole, Secret, ServerUrl, StateFolder,
    oauth::{self, Client, NoTokens, Order},
    sign_in::SignedIn,
    state::ServerFolder,
};
use crate::clock::{Clock as _, SystemClock};

const TOKEN: &str = "token.json";
const ROLES: &str = "roles.json";
/// A token that has less than this left is renewed first; seconds.
const SOON: i64 = 60;
/// How many roles are asked for at once.
const PAGE: usize = 1000;
/// For how long a kept list of roles says what a part of a name means; seconds.
const LIST_SERVES: i64 = 15 * 60;

/// A sign-in at one server, from its file on.
#[derive(Debug)]
pub struct Session {
    server: ServerUrl,
    ca_file: Option<PathBuf>,
    http: OnceLock<Http>,
    pub(super) folder: ServerFolder,
}

/// What is kept of a sign-in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    client: Client,
    access_token: Secret,
    /// Seconds since 1970.
    expires_at: i64,
    refresh_token: Option<Secret>,
    /// Who signed in: `connector:subject`.
    pub(super) person: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptRoles {
    /// Seconds since 1970.
    as_of: i64,
    person: String,
    roles: Vec<OfferedRole>,
}

/// Who the server takes the caller for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Me {
    /// Where they signed in.
    pub connector: String,
    /// Their stable id there.
    pub subject: String,
    /// What they typed to sign in.
    #[serde(default)]
    pub username: Option<String>,
    /// Their name.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Their address.
    #[serde(default)]
    pub email: Option<String>,
    /// Their groups' names.
    #[serde(default)]
    pub groups: Vec<String>,
    /// When the groups were read.
    #[serde(default)]
    pub groups_read_at: Option<String>,
    /// When they proved who they are.
    #[serde(default)]
    pub authenticated_at: Option<String>,
    /// How the caller did.
    #[serde(default)]
    pub way: Option<String>,
    /// What the token may be used for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The device that the token belongs to.
    #[serde(default)]
    pub device: Option<MyDevice>,
}

/// The device of a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MyDevice {
    /// What the page of sessions calls it.
    pub name: String,
    /// When it has to sign in again.
    #[serde(default)]
    pub expires_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RolePage {
    roles: Vec<OfferedRole>,
    #[serde(default)]
    next_cursor: Option<String>,
}

/// Which console is wanted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ConsoleOrder {
    /// The role's ARN.
    pub role: String,
    /// A service's short name, or an address in the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// How long, such as `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the session may only read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// The code of an MFA device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa_code: Option<Secret>,
}

/// What a browser has to open.
#[derive(Debug, Deserialize)]
pub struct ConsoleAddress {
    /// The address; whoever opens it is signed in, so it is a secret.
    pub url: Secret,
    /// Whether it is a page of Rolegate's, which knows the person there, and no secret.
    #[serde(default)]
    pub opens_here: bool,
}

impl Session {
    /// The sign-in at `server`, or at the server of the last sign-in. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ClientError::NoServer`].
    pub fn open(
        state: &StateFolder,
        server: Option<ServerUrl>,
        ca_file: Option<PathBuf>,
    ) -> Result<Self, ClientError> {
        let server = match server {
            Some(server) => server,
            None => state.last_server()?,
        };
        Ok(Self {
            folder: state.of(&server),
            server,
            ca_file,
            http: OnceLock::new(),
        })
    }

    /// The server.
    pub fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// The connection to it, made when it is wanted first.
    pub fn http(&self) -> Result<&Http, ClientError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = Http::new(&self.server, self.ca_file.as_deref())?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Keeps a new sign-in, in place of an older one, which is ended; asks whose it is.
    pub fn begin(&self, signed_in: SignedIn) -> Result<Me, ClientError> {
        let SignedIn { client, tokens } = signed_in;
        let answer =
            self.http()?
                .call::<()>(Method::GET, "api/v1/me", None, &tokens.access_token)?;
        let me: Me = self.http()?.read(&answer)?;
        // One that cannot be read, or is over, needs no ending.
        if let Ok(older) = self.kept() {
            let _ = self.end(&older);
        }
        let _lock = self.folder.lock(TOKEN)?;
        self.folder.remove_all("credentials-");
        self.folder.remove_all(ROLES);
        self.folder.write(
            TOKEN,
            &Kept {
                client,
                access_token: tokens.access_token,
                expires_at: now() + tokens.expires_in,
                refresh_token: tokens.refresh_token,
                person: format!("{}:{}", me.connector, me.subject),
            },
        )?;
        Ok(me)
    }

    /// Ends the sign-in at the server and forgets everything of it here; false where nobody was
    /// signed in.
    ///
    /// # Errors
    /// Where the server was not told: here it is forgotten all the same.
    pub fn forget(&self) -> Result<bool, ClientError> {
        let kept = self.kept();
        let told = match &kept {
            Ok(kept) => self.end(kept),
            Err(_) => Ok(()),
        };
        self.folder.remove()?;
        told?;
        Ok(kept.is_ok())
    }

    fn end(&self, kept: &Kept) -> Result<(), ClientError> {
        let http = self.http()?;
        let log_out = |token: &Secret| http.call::<()>(Method::POST, "api/v1/logout", None, token);
        let mut answer = log_out(&kept.access_token)?;
        if answer.status == StatusCode::UNAUTHORIZED
            && let Ok(renewed) = self.renewed(&kept.access_token)
        {
            answer = log_out(&renewed.access_token)?;
        }
        // What is over already needs no ending.
        if answer.status == StatusCode::UNAUTHORIZED {
            return Ok(());
        }
        http.refuse(&answer)
    }

    /// Whose sign-in it is.
    pub fn me(&self) -> Result<Me, ClientError> {
        self.call::<(), _>(Method::GET, "api/v1/me", None)
    }

    /// The roles that the person can open and whose names or accounts hold `filter`, asked for now.
    pub fn roles(&self, filter: Option<&str>) -> Result<Vec<OfferedRole>, ClientError> {
        let mut roles = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", &PAGE.to_string());
            for (name, value) in [("filter", filter), ("cursor", cursor.as_deref())] {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
            let path = format!("api/v1/roles?{}", query.finish());
            let page: RolePage = self.call::<(), _>(Method::GET, &path, None)?;
            let is_empty = page.roles.is_empty();
            roles.extend(page.roles);
            cursor = page.next_cursor;
            if cursor.is_none() || is_empty {
                break;
            }
        }
        if filter.is_none() {
            let kept = KeptRoles {
                as_of: now(),
                person: self.kept()?.person,
                roles,
            };
            self.folder.write(ROLES, &kept)?;
            roles = kept.roles;
        }
        Ok(roles)
    }

    /// The list of roles as it was last read, and whether that is not long ago.
    pub fn kept_roles(&self) -> Result<Option<(Vec<OfferedRole>, bool)>, ClientError> {
        let person = self.kept()?.person;
        let kept: Option<KeptRoles> = self.folder.read(ROLES)?;
        let kept = kept.filter(|kept| kept.person == person);
        Ok(kept.map(|kept| {
            let is_recent = (0..LIST_SERVES).contains(&(now() - kept.as_of));
            (kept.roles, is_recent)
        }))
    }

    /// The address that opens a role in the console.
    pub fn console(&self, order: &ConsoleOrder) -> Result<ConsoleAddress, ClientError> {
        self.call(Method::POST, "api/v1/console", Some(order))
    }

    /// Asks in the person's name, with a token that is renewed where it has to be.
    pub(super) fn call<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let mut kept = self.kept()?;
        if kept.expires_at - now() < SOON && kept.refresh_token.is_some() {
            kept = self.renewed(&kept.access_token)?;
        }
        let http = self.http()?;
        let mut answer = http.call(method.clone(), path, body, &kept.access_token)?;
        if answer.status == StatusCode::UNAUTHORIZED {
            kept = self.renewed(&kept.access_token)?;
            answer = http.call(method, path, body, &kept.access_token)?;
        }
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(ClientError::SignInEnded(self.server.clone()));
        }
        http.read(&answer)
    }

    pub(super) fn kept(&self) -> Result<Kept, ClientError> {
        let kept = self.folder.read(TOKEN)?;
        kept.ok_or_else(|| ClientError::NotSignedIn(self.server.clone()))
    }

    /// Another token in place of `old`: the one that another process got meanwhile, or a new one.
    fn renewed(&self, old: &Secret) -> Result<Kept, ClientError> {
        let _lock = self.folder.lock(TOKEN)?;
        let kept = self.kept()?;
        if kept.access_token != *old {
            return Ok(kept);
        }
        let ended = || ClientError::SignInEnded(self.server.clone());
        let refresh_token = kept.refresh_token.as_ref().ok_or_else(ended)?;
        let order = Order::Refresh(refresh_token);
        let tokens = match oauth::create_token(self.http()?, &kept.client, &order) {
            Ok(tokens) => tokens,
            Err(NoTokens::Failed(error)) => return Err(error),
            Err(_) => return Err(ended()),
        };
        let kept = Kept {
            access_token: tokens.access_token,
            expires_at: now() + tokens.expires_in,
            refresh_token: tokens.refresh_token.or(kept.refresh_token),
            ..kept
        };
        self.folder.write(TOKEN, &kept)?;
        Ok(kept)
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    moment().unix_timestamp()
}

/// The present moment.
pub(super) fn moment() -> OffsetDateTime {
    SystemClock.now()
}
