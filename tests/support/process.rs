//! The built program under a configuration file, as an operator runs it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use url::Url;

use super::{
    children::{Server, free_port},
    cookie_browser::CookieBrowser,
};

/// `rolegate serve`, stopped when dropped.
pub struct Process {
    /// What browsers see.
    pub url: Url,
    /// The configuration file.
    pub config_path: PathBuf,
    log_path: PathBuf,
    address: SocketAddr,
    operations: SocketAddr,
    server: Option<Server>,
}

impl Process {
    /// Starts with the configuration that `toml` makes of the two addresses it shall listen on.
    pub fn start(dir: &Path, toml: impl FnOnce(SocketAddr, SocketAddr) -> String) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let operations = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let config_path = dir.join("rolegate.toml");
        std::fs::write(&config_path, toml(address, operations)).unwrap();
        let mut process = Self {
            url: format!("http://{address}/").parse().unwrap(),
            config_path,
            log_path: dir.join("rolegate.log"),
            address,
            operations,
            server: None,
        };
        process.start_again();
        process
    }

    /// Starts the program on the same configuration and waits until it listens.
    pub fn start_again(&mut self) {
        let mut command = self.command();
        command
            .arg("serve")
            .env("ROLEGATE_LOG", "trace")
            .env("RUST_BACKTRACE", "0");
        let server = Server::start("rolegate", &command, &self.log_path);
        self.server = Some(server.wait_until_listening(self.address));
    }

    /// The program with this configuration; the command is still to be given.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rolegate"));
        command
            .arg("--config")
            .arg(&self.config_path)
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.signal("KILL");
        }
    }

    /// SIGTERM, and waits until it has ended.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Sends it a signal by its name without `SIG`.
    pub fn signal(&self, signal: &str) {
        self.server.as_ref().expect("it runs").signal(signal);
    }

    /// Waits until it takes no new connections, or has ended.
    pub fn wait_until_refusing(&self) {
        while std::net::TcpStream::connect(self.address).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Its metrics in text form.
    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.operations);
        super::cookie_browser::client()
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    /// All that it wrote to its output streams so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log_path).unwrap()
    }

    /// A new browser without cookies.
    pub fn browser(&self) -> CookieBrowser {
        CookieBrowser::new(self.url.clone())
    }
}
