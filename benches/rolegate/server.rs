//! Processes under test: the built program, and a constant page.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::{Router, response::Html, routing::get};
use tower_http::compression::CompressionLayer;

use crate::support::children::{free_port, run_or_panic};

/// The words that make this program serve a constant page.
pub const CONSTANT: &str = "--serve-constant";

/// A process that is killed when dropped, and by the kernel when we are gone.
pub struct Running {
    pub address: SocketAddr,
    child: Child,
}

impl Running {
    fn start(command: &Command, log: &Path, address: SocketAddr) -> Self {
        let mut tied = Command::new("setpriv");
        tied.args(["--pdeathsig", "KILL", "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log).unwrap());
        let running = Self {
            address,
            child: tied.spawn().unwrap(),
        };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "no answer:\n{}",
                fs::read_to_string(log).unwrap()
            );
            std::thread::sleep(Duration::from_micros(500));
        }
        running
    }

    /// The processor time that it has used, in milliseconds: other than rates, this hardly depends
    /// on what else the machine is doing.
    pub fn cpu_milliseconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name in parentheses; user and system time are fields 14 and 15 (proc(5)), in
        // ticks of 10 ms.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let ticks = fields.skip(11).take(2).map(|n| n.parse::<f64>().unwrap());
        ticks.sum::<f64>() * 10.0
    }

    /// Resident memory in MB (10^6 bytes).
    pub fn resident_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib: f64 = line
            .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap();
        kib * 1024.0 / 1e6
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with a configuration, a database and a table in it.
pub struct Installation {
    dir: tempfile::TempDir,
    address: SocketAddr,
    config: PathBuf,
}

impl Installation {
    /// Writes the configuration; `connector` and `aws` are the inner lines of these tables.
    pub fn new(connector: &str, aws: &str, table: &str) -> Self {
        let dir = crate::support::temporary_dir("bench");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let operations = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let path = dir.path().display();
        let config = dir.path().join("rolegate.toml");
        let text = format!(
            r#"
            public_url = "http://{address}"
            [server]
            listen = "{address}"
            operations_listen = "{operations}"
            [store]
            url = "sqlite://{path}/rolegate.db"
            [api]
            requests_per_minute = 1000000
            credentials_per_minute = 1000000
            [[connector]]
            id = "corp"
            type = "ldap"
            preset = "openldap"
            label = "Directory"
            {connector}
            [aws]
            default_region = "eu-west-1"
            {aws}
            [[aws.credential_source]]
            id = "default"
            type = "environment-file"
            path = "{path}/aws.env"
            [role_defaults]
            max_duration = "4h"
            [access]
            helpdesk = ["corp:{helpdesk}"]
            auditor = ["corp:{helpdesk}"]
            "#,
            helpdesk = rolegate::demo::sample::group_dn("helpdesk"),
        );
        fs::write(&config, text).unwrap();
        fs::write(dir.path().join("table.toml"), table).unwrap();
        let keys = format!(
            "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n",
            rolegate::demo::sample::BROKER_ACCESS_KEY_ID,
            rolegate::demo::sample::BROKER_SECRET_ACCESS_KEY
        );
        fs::write(dir.path().join("aws.env"), keys).unwrap();
        let installation = Self {
            dir,
            address,
            config,
        };
        let mut import = installation.command();
        let file = installation.dir.path().join("table.toml");
        import.args(["mapping", "import", file.to_str().unwrap()]);
        run_or_panic("rolegate", &import, None);
        installation
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rolegate"));
        command.arg("--config").arg(&self.config);
        command
    }

    /// The URL of its database.
    pub fn database(&self) -> String {
        format!("sqlite://{}/rolegate.db", self.dir.path().display())
    }

    /// `rolegate serve`, once it listens.
    pub fn serve(&self) -> Running {
        let mut command = self.command();
        command.arg("serve");
        Running::start(&command, &self.dir.path().join("log"), self.address)
    }
}

/// This very program again, serving `page` and nothing else.
pub fn serve_constant(page: &[u8]) -> (Running, tempfile::TempDir) {
    let dir = crate::support::temporary_dir("bench");
    let file = dir.path().join("page.html");
    fs::write(&file, page).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(CONSTANT).arg(&file).arg(address.to_string());
    let running = Running::start(&command, &dir.path().join("log"), address);
    (running, dir)
}

/// What [`serve_constant`] runs.
pub async fn constant(file: &str, address: &str) {
    let page: &'static str = fs::read_to_string(file).unwrap().leak();
    let router = Router::new()
        .route("/", get(move || async move { Html(page) }))
        .layer(CompressionLayer::new());
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let router = router.into_make_service();
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await.unwrap();
}
