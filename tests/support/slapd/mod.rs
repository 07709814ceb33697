//! Debian's slapd with a small organisation in it.
//!
//! What the directory holds is in [`people`] and [`groups`] of [`entries`]; every person's
//! password is their `uid` followed by `-pw`.

mod entries;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, OnceLock},
};

use tempfile::TempDir;

pub use entries::{CROWD, GROUPS_OF_GRACE};

use super::{
    children::{Server, free_port, run_or_panic},
    temporary_dir,
    tls::{Authority, ServerFiles},
};

/// The naming context; people are in `ou=people`, groups in `ou=groups` below it.
pub const SUFFIX: &str = "dc=example,dc=org";
/// The service account: it reads everything but passwords.
pub const BIND_DN: &str = "cn=svc,ou=services,dc=example,dc=org";
/// The service account's password.
pub const BIND_PASSWORD: &str = "svc-secret";
/// The most entries that the service account gets from one search without paging (`size.hard`).
pub const UNPAGED_SIZE_LIMIT: usize = 20;

const ROOT_DN: &str = "cn=admin,dc=example,dc=org";
const ROOT_PASSWORD: &str = "admin-secret";

/// How a directory differs from the usual one.
#[derive(Debug, Clone, Copy)]
pub struct SlapdOptions {
    /// Accept a DN with an empty password as an anonymous bind, as careless servers do.
    pub accepts_empty_passwords: bool,
    /// The largest page that a paged search may ask for; a larger one is answered with code 11.
    pub largest_page: usize,
}

impl Default for SlapdOptions {
    fn default() -> Self {
        Self {
            accepts_empty_passwords: false,
            largest_page: 1_000,
        }
    }
}

/// A running directory server with its own authority, certificate and data.
#[derive(Debug)]
pub struct Slapd {
    dir: TempDir,
    files: ServerFiles,
    ldap: SocketAddr,
    ldaps: SocketAddr,
    server: Mutex<Option<Server>>,
    /// Where in the log the time after loading the entries starts.
    log_start: usize,
}

impl Slapd {
    /// A directory of the test's own, which it may change, stop and pause.
    pub fn start() -> Self {
        Self::start_with(SlapdOptions::default())
    }

    /// One directory for all the tests of this process that only read from it and never provoke
    /// a lockout.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Slapd> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// [`Slapd::start`] with other settings.
    pub fn start_with(options: SlapdOptions) -> Self {
        let dir = temporary_dir("slapd");
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let files = Authority::new().write_server_files(dir.path(), &[loopback]);
        fs::create_dir(dir.path().join("db")).expect("the folder is writable");
        fs::write(
            dir.path().join("slapd.conf"),
            configuration(dir.path(), &files, options),
        )
        .expect("the folder is writable");

        let mut slapd = Self {
            dir,
            files,
            ldap: SocketAddr::new(loopback, free_port()),
            ldaps: SocketAddr::new(loopback, free_port()),
            server: Mutex::new(None),
            log_start: 0,
        };
        slapd.restart();
        slapd.load();
        slapd.log_start = slapd.whole_log().len();
        slapd
    }

    /// `ldap://127.0.0.1:PORT`; StartTLS is offered there.
    pub fn ldap_url(&self) -> String {
        format!("ldap://{}", self.ldap)
    }

    /// `ldaps://127.0.0.1:PORT`.
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://{}", self.ldaps)
    }

    /// The address behind [`Slapd::ldap_url`], to put a proxy in front of.
    pub fn ldap_address(&self) -> SocketAddr {
        self.ldap
    }

    /// The address behind [`Slapd::ldaps_url`], to put a proxy in front of.
    pub fn ldaps_address(&self) -> SocketAddr {
        self.ldaps
    }

    /// The certificate of the authority that signed the server's certificate.
    pub fn ca_pem_path(&self) -> &Path {
        &self.files.ca
    }

    /// Applies an LDIF of changes (`changetype: modify`, `add`, `delete`, …) as the administrator,
    /// who may also write operational attributes.
    pub fn modify(&self, ldif: &str) {
        self.ldapmodify(&["-e", "relax"], ldif);
    }

    /// Adds a person to a group, both by their short names.
    pub fn add_member(&self, group: &str, uid: &str) {
        self.change_member("add", group, uid);
    }

    /// Removes a person from a group, both by their short names.
    pub fn remove_member(&self, group: &str, uid: &str) {
        self.change_member("delete", group, uid);
    }

    /// Ends the server; its data stays. Connections are closed and new ones refused.
    pub fn stop(&self) {
        self.lock().take();
    }

    /// Starts the server on the same ports with the same data, stopping it first if it runs.
    pub fn restart(&self) {
        let mut server = self.lock();
        server.take();
        let mut command = Command::new("/usr/sbin/slapd");
        command
            .arg("-f")
            .arg(self.dir.path().join("slapd.conf"))
            .args(["-h", &format!("{}/ {}/", self.ldap_url(), self.ldaps_url())])
            // Stays in the foreground and logs one line per operation.
            .args(["-d", "stats"]);
        *server = Some(
            Server::start("slapd", &command, &self.log_path()).wait_until_listening(self.ldaps),
        );
    }

    /// Freezes the server: connections are accepted by the kernel, and nothing is answered.
    pub fn pause(&self) {
        self.lock().as_ref().expect("slapd runs").signal("STOP");
    }

    /// Ends a [`Slapd::pause`]; what has arrived meanwhile is answered.
    pub fn resume(&self) {
        self.lock().as_ref().expect("slapd runs").signal("CONT");
    }

    /// slapd's `stats` log since its entries were loaded.
    ///
    /// slapd writes a line when an operation starts and one when it ends, both before it answers.
    pub fn log(&self) -> String {
        self.whole_log().split_off(self.log_start)
    }

    /// How many searches have been made since the entries were loaded.
    pub fn searches(&self) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains(" SRCH base="))
            .count()
    }

    /// How many binds with the given DN have been made since the entries were loaded.
    pub fn binds_as(&self, dn: &str) -> usize {
        let marker = format!(" BIND dn=\"{dn}\" method=");
        self.log()
            .lines()
            .filter(|line| line.contains(&marker))
            .count()
    }

    fn change_member(&self, operation: &str, group: &str, uid: &str) {
        let (group, person) = (group_dn(group), person_dn(uid));
        self.modify(&format!(
            "dn: {group}\nchangetype: modify\n{operation}: member\nmember: {person}\n"
        ));
    }

    /// Loads through the running server: the memberof overlay does not see `slapadd`.
    fn load(&self) {
        self.ldapmodify(&["-a"], &entries::ldif());
        self.modify(entries::OPERATIONAL_CHANGES);
    }

    fn ldapmodify(&self, arguments: &[&str], ldif: &str) {
        let changes = tempfile::NamedTempFile::new_in(self.dir.path()).expect("a file can be made");
        fs::write(changes.path(), ldif).expect("the file is ours");
        let mut command = Command::new("ldapmodify");
        command
            .args([
                "-x",
                "-H",
                &self.ldap_url(),
                "-D",
                ROOT_DN,
                "-w",
                ROOT_PASSWORD,
            ])
            .args(arguments);
        run_or_panic("ldapmodify", &command, Some(changes.path()));
    }

    fn whole_log(&self) -> String {
        fs::read_to_string(self.log_path()).expect("slapd has a log")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("slapd.log")
    }

    fn lock(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().expect("no holder panics")
    }
}

/// The DN of a person, for a `uid` that needs no escaping.
pub fn person_dn(uid: &str) -> String {
    format!("uid={uid},ou=people,{SUFFIX}")
}

/// The DN of a group, for a `cn` that needs no escaping.
pub fn group_dn(cn: &str) -> String {
    format!("cn={cn},ou=groups,{SUFFIX}")
}

/// The password of a person.
pub fn password_of(uid: &str) -> String {
    format!("{uid}-pw")
}

fn configuration(dir: &Path, files: &ServerFiles, options: SlapdOptions) -> String {
    let allow = if options.accepts_empty_passwords {
        "allow bind_anon_cred bind_anon_dn"
    } else {
        ""
    };
    format!(
        r#"
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
pidfile {dir}/slapd.pid
argsfile {dir}/slapd.args
{allow}
TLSCACertificateFile {ca}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
TLSVerifyClient never
sizelimit 500

database mdb
suffix "{SUFFIX}"
rootdn "{ROOT_DN}"
rootpw {ROOT_PASSWORD}
directory {dir}/db
maxsize 67108864
dbnosync
index objectClass,uid,cn,mail,member,uniqueMember,memberUid,memberOf eq
limits dn.exact="{BIND_DN}"
    size.soft={UNPAGED_SIZE_LIMIT} size.hard={UNPAGED_SIZE_LIMIT}
    size.pr={largest_page} size.prtotal=unlimited
access to attrs=userPassword by self write by anonymous auth by * none
access to dn.subtree="ou=groups,{SUFFIX}" by users read by * none
access to * by dn.exact="{BIND_DN}" read by self read by anonymous auth by * none

overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-memberof-ad memberOf
overlay refint
refint_attributes member memberOf
overlay ppolicy
ppolicy_default "cn=default,ou=policies,{SUFFIX}"
ppolicy_use_lockout
"#,
        dir = dir.display(),
        ca = files.ca.display(),
        certificate = files.certificate.display(),
        key = files.key.display(),
        largest_page = options.largest_page,
    )
}
