//! A container credentials endpoint on this machine for one child process: its SDKs ask again before
//! a session ends, so a command may outlive one.
//!
//! Protocol: "Container credential provider" of AWS's SDKs and Tools Reference Guide. Never here:
//! how credentials are got. Entry point: [`Endpoint::start`].

use std::{io, sync::Arc, thread};

use super::{ClientError, Credentials, Loopback, Secret, credentials::last_updated};

const PATH: &str = "/credentials";

/// An endpoint that answers as long as this process lives.
#[derive(Debug)]
pub struct Endpoint {
    /// What `AWS_CONTAINER_CREDENTIALS_FULL_URI` says.
    pub address: String,
    /// What `AWS_CONTAINER_AUTHORIZATION_TOKEN` says.
    pub token: Arc<Secret>,
}

impl Endpoint {
    /// Listens from now on, and answers whoever knows the token with what `credentials` gives.
    ///
    /// # Errors
    /// Where no port or thread can be had.
    pub fn start<F>(credentials: F) -> io::Result<Self>
    where
        F: Fn() -> Result<Credentials, ClientError> + Send + 'static,
    {
        let loopback = Loopback::bind()?;
        let token = Arc::new(Secret::random()?);
        let address = format!("http://127.0.0.1:{}{PATH}", loopback.port());
        let expected = Arc::clone(&token);
        thread::Builder::new().spawn(move || answer_all(&loopback, &expected, credentials))?;
        Ok(Self { address, token })
    }
}

fn answer_all(
    loopback: &Loopback,
    token: &Secret,
    credentials: impl Fn() -> Result<Credentials, ClientError>,
) {
    while let Some(asked) = loopback.next(None) {
        let is_known = asked.authorization.as_deref().is_some_and(|brought| {
            aws_lc_rs::constant_time::verify_slices_are_equal(
                brought.as_bytes(),
                token.expose().as_bytes(),
            )
            .is_ok()
        });
        let (status, body) = if !is_known {
            ("401 Unauthorized", refusal("Unauthorized", "wrong token"))
        } else if asked.method != "GET" || asked.target != PATH {
            (
                "404 Not Found",
                refusal("NotFound", "there is nothing here"),
            )
        } else {
            match credentials() {
                Ok(credentials) => ("200 OK", answer(&credentials)),
                Err(error) => (
                    "503 Service Unavailable",
                    refusal("Unavailable", &error.to_string()),
                ),
            }
        };
        asked.answer(status, &[("content-type", "application/json")], &body);
    }
}

fn answer(credentials: &Credentials) -> String {
    serde_json::json!({
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": last_updated(),
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "Token": credentials.session_token,
        "Expiration": credentials.expiration,
        "AccountId": credentials.account_id,
        "RoleArn": credentials.role_arn,
    })
    .to_string()
}

fn refusal(code: &str, message: &str) -> String {
    serde_json::json!({"code": code, "message": message}).to_string()
}
