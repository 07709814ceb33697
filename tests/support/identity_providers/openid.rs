//! An OpenID Connect provider by other people: npm's oidc-provider, with a form of our own.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use tempfile::TempDir;

use super::{fetch, settings::people};
use crate::support::{children::Server, temporary_dir};

/// What the provider knows Rolegate by.
pub const CLIENT_ID: &str = "rolegate";
/// What Rolegate proves it with.
pub const CLIENT_SECRET: &str = "planted-client-secret";

/// A running provider with the people of [`people`], stopped when dropped.
#[derive(Debug)]
pub struct OpenIdProvider {
    address: SocketAddr,
    server: Server,
    _dir: TempDir,
}

impl OpenIdProvider {
    /// Starts for the connector `connector` of the Rolegate at `origin`, which ends in a slash;
    /// `client` has further client metadata.
    pub fn start_at(
        address: SocketAddr,
        origin: &str,
        connector: &str,
        client: &serde_json::Value,
    ) -> Self {
        let dir = temporary_dir("openid");
        let mut metadata = serde_json::json!({
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [format!("{origin}oidc/{connector}/callback")],
            "post_logout_redirect_uris": [format!("{origin}signed-out")],
            "backchannel_logout_uri": format!("{origin}oidc/{connector}/backchannel-logout"),
            "backchannel_logout_session_required": true,
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
        });
        for (name, value) in client.as_object().into_iter().flatten() {
            metadata[name] = value.clone();
        }
        let settings = serde_json::json!({
            "address": address.ip(),
            "port": address.port(),
            "client": metadata,
            "people": people(),
        });
        let path = dir.path().join("settings.json");
        fs::write(&path, settings.to_string()).expect("the folder is writable");
        let sources =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/identity_providers");
        let mut command = Command::new("node");
        command
            .arg(sources.join("openid_provider.mjs"))
            .env("IDENTITY_PROVIDER_SETTINGS", &path)
            .current_dir(dir.path());
        let log = dir.path().join("server.log");
        let server = Server::start("oidc-provider", &command, &log).wait_until_listening(address);
        let provider = Self {
            address,
            server,
            _dir: dir,
        };
        let published = fetch(address, ".well-known/openid-configuration");
        assert!(
            published.contains("authorization_endpoint"),
            "oidc-provider publishes nothing:\n{published}\n{}",
            provider.log()
        );
        provider
    }

    /// `http://127.0.0.1:PORT`.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An address of its.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.issuer())
    }

    /// All that it wrote so far.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Signs with a new key from now on, and publishes no other.
    pub fn rotate_key(&mut self) {
        let address = self.address;
        let before = fetch(address, "jwks");
        self.server.signal("HUP");
        self.server.wait_until(|| fetch(address, "jwks") != before);
    }
}
