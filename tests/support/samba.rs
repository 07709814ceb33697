//! Debian's Samba as an Active Directory domain controller, LDAP part alone.
//!
//! It needs root: Samba's ports are fixed and below 1024. Each test process has a controller of
//! its own on an address 127.0.0.N. What the domain holds is in `provision_samba.py` beside this
//! file; every person's password is their account name followed by `-pw`.

use std::{
    fs::{self, File, TryLockError},
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::{
    children::{Server, run, run_or_panic},
    tls::{Authority, ServerFiles},
    tools_dir,
};

/// The naming context; people and groups are in `CN=Users` below it.
pub const SUFFIX: &str = "DC=example,DC=test";
/// The part after `@` in a user principal name.
pub const UPN_SUFFIX: &str = "example.test";
/// The short name of the domain, as in `EXAMPLE\alice`.
pub const DOMAIN: &str = "EXAMPLE";
/// The service account: an ordinary user, who may read the directory.
pub const BIND_DN: &str = "CN=svc,CN=Users,DC=example,DC=test";
/// The service account's password.
pub const BIND_PASSWORD: &str = "svc-pw";

const PROVISION: &str = include_str!("provision_samba.py");
/// The last parts of the addresses of 127.0.0.0/24 that a controller may take.
const ADDRESSES: std::ops::Range<u8> = 10..60;

/// A running domain controller.
#[derive(Debug)]
pub struct Samba {
    address: Ipv4Addr,
    files: ServerFiles,
    server: Server,
    /// Holds the address against other test processes.
    _address_lock: File,
}

impl Samba {
    /// Whether this machine can run a controller; says why not when it cannot.
    pub fn available() -> bool {
        let is_root = run_or_panic("id", Command::new("id").arg("-u"), None).trim() == "0";
        if !is_root {
            println!("Samba AD is not tested: its ports need root");
        }
        is_root
    }

    /// The controller of this process: started by the first caller, ended with the process.
    ///
    /// It is shared, so tests read from it only; a wrong password locks nobody.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Samba> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        assert!(
            Self::available(),
            "Samba AD needs root; run `make test` as root"
        );
        let template = provisioned_domain();
        let (address, address_lock) = lock_address();
        let dir = PathBuf::from(format!("/tmp/rolegate-samba-{address}"));
        copy_domain(&template, &dir);

        let files = Authority::new().write_server_files(&dir, &[IpAddr::V4(address)]);
        fs::write(dir.join("smb.conf"), configuration(&dir, address, &files))
            .expect("the folder is ours");
        let mut command = Command::new("/usr/sbin/samba");
        // One process, in the foreground.
        command
            .args(["-i", "-M", "single", "-s"])
            .arg(dir.join("smb.conf"));
        let server = Server::start("samba", &command, &dir.join("samba.out"))
            .wait_until_listening(SocketAddr::from((address, 636)));
        Self {
            address,
            files,
            server,
            _address_lock: address_lock,
        }
    }

    /// `ldap://127.0.0.N`, port 389; simple binds are accepted there, and StartTLS is offered.
    pub fn ldap_url(&self) -> String {
        format!("ldap://{}", self.address)
    }

    /// `ldaps://127.0.0.N`, port 636.
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://{}", self.address)
    }

    /// The address behind [`Samba::ldaps_url`], to put a proxy in front of.
    pub fn ldaps_address(&self) -> SocketAddr {
        SocketAddr::from((self.address, 636))
    }

    /// The certificate of the authority that signed the server's certificate.
    pub fn ca_pem_path(&self) -> &Path {
        &self.files.ca
    }

    /// What the server has printed.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// The DN of a person, for a name that needs no escaping.
pub fn person_dn(name: &str) -> String {
    format!("CN={name},CN=Users,{SUFFIX}")
}

/// The DN of a group, for a name that needs no escaping.
pub fn group_dn(name: &str) -> String {
    format!("CN={name},CN=Users,{SUFFIX}")
}

/// The password of a person.
pub fn password_of(name: &str) -> String {
    format!("{name}-pw")
}

/// The folder of a domain made by this version of the script; made now when it is not there.
fn provisioned_domain() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    PROVISION.hash(&mut hasher);
    let domain = tools_dir().join(format!("samba-{:016x}", hasher.finish()));
    fs::create_dir_all(tools_dir()).expect("the build folder is writable");

    let lock = File::create(tools_dir().join("samba.lock")).expect("the build folder is writable");
    lock.lock().expect("the file can be locked");
    if !domain.exists() {
        let unfinished = domain.with_extension("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/provision_samba.py"))
            .arg(&unfinished)
            .arg("127.0.0.1")
            // Another Python's modules are of no use to Debian's.
            .env_remove("PYTHONPATH")
            .env_remove("PYTHONHOME");
        let output = run("provision_samba.py", &command, None);
        assert!(
            output.status.success(),
            "the Samba domain cannot be made; are the packages of `make test` installed?\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::rename(&unfinished, &domain).expect("the folder is ours");
    }
    domain
}

/// Takes the first loopback address that no other test process has taken.
fn lock_address() -> (Ipv4Addr, File) {
    for last in ADDRESSES {
        let address = Ipv4Addr::new(127, 0, 0, last);
        let path = format!("/tmp/rolegate-samba-{address}.lock");
        let lock = File::create(&path).expect("/tmp is writable");
        match lock.try_lock() {
            Ok(()) => return (address, lock),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => panic!("{path} cannot be locked: {error}"),
        }
    }
    panic!("every address of 127.0.0.{ADDRESSES:?} is taken by another test run");
}

/// Copies the domain to a short path, because the names of its sockets are limited to 107 bytes.
fn copy_domain(template: &Path, dir: &Path) {
    // Left by an earlier process with the same address: a shared server is never dropped.
    let _ = fs::remove_dir_all(dir);
    fs::create_dir(dir).expect("/tmp is writable");
    let mut command = Command::new("cp");
    command.arg("-a").arg(template.join(".")).arg(dir);
    run_or_panic("cp", &command, None);
}

fn configuration(dir: &Path, address: Ipv4Addr, files: &ServerFiles) -> String {
    format!(
        "[global]
netbios name = DC1
realm = EXAMPLE.TEST
workgroup = {DOMAIN}
server role = active directory domain controller
server services = ldap
interfaces = {address}/8
bind interfaces only = yes
ldap server require strong auth = no
tls cafile = {ca}
tls certfile = {certificate}
tls keyfile = {key}
private dir = {dir}/private
state directory = {dir}/state
cache directory = {dir}/cache
lock directory = {dir}/lock
pid directory = {dir}
ncalrpc dir = {dir}/ncalrpc
log file = {dir}/samba.log
log level = 1
idmap_ldb:use rfc2307 = yes
[sysvol]
path = {dir}/state/sysvol
[netlogon]
path = {dir}/state/sysvol/example.test/scripts
",
        ca = files.ca.display(),
        certificate = files.certificate.display(),
        key = files.key.display(),
        dir = dir.display(),
    )
}
