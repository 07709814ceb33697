//! A read-only LDAP directory on the loopback address: simple bind, search, paging, who-am-I.
//!
//! It refuses what a careful slapd refuses (anonymous search, a bind without password, SASL), so
//! that code which works here works there. TLS, referrals and writes over the wire are absent;
//! tests change entries by the methods of [`Directory`]. Entry point: [`Directory::start`].

mod connection;
mod dn;
mod entry;
mod filter;
mod search;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::constant_time;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use entry::Entry;

use super::locked;
use super::sample;
use dn::Dn;

/// How the directory misbehaves while the fault is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Requests are read and answered only once the fault is lifted.
    Hang,
    /// Open connections are closed, new ones right after they are accepted.
    CloseConnections,
    /// Every request is answered with result code 51.
    Busy,
    /// Searches answer half of what they found, then result code 4.
    SizeLimitPartial,
}

/// The entries, shared by all clones and by the running listener.
#[derive(Clone)]
pub struct Directory {
    shared: Arc<Shared>,
}

struct Shared {
    entries: Mutex<Entries>,
    fault: watch::Sender<Option<Fault>>,
    binds: AtomicU64,
    searches: AtomicU64,
}

impl Directory {
    /// A directory of exactly these entries; of two with the same name the later one stays.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut kept = Entries::default();
        for entry in entries {
            kept.insert(entry);
        }
        Self {
            shared: Arc::new(Shared {
                entries: Mutex::new(kept),
                fault: watch::Sender::new(None),
                binds: AtomicU64::new(0),
                searches: AtomicU64::new(0),
            }),
        }
    }

    /// The people and groups of [`sample`].
    pub fn sample() -> Self {
        Self::new(sample::entries())
    }

    /// Listens on `address` (port 0: any free one) until the returned value is dropped. Must be
    /// called inside a tokio runtime.
    pub fn start(&self, address: SocketAddr) -> io::Result<RunningDirectory> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let task = tokio::spawn(accept(listener, Arc::clone(&self.shared)));
        Ok(RunningDirectory {
            directory: self.clone(),
            address,
            task,
        })
    }

    /// Adds an entry, or replaces the one with the same name.
    pub fn add_entry(&self, entry: Entry) {
        locked(&self.shared.entries).insert(entry);
    }

    /// Removes an entry; memberships that name it stay, as in a directory without `refint`.
    pub fn remove_entry(&self, dn: &str) {
        locked(&self.shared.entries).remove(dn);
    }

    /// Adds `dn` to the group's `member`. False when there is no such group.
    pub fn add_member(&self, group_dn: &str, dn: &str) -> bool {
        self.edit(group_dn, |group| group.add("member", dn.to_owned()))
    }

    /// Takes `dn` out of the group's `member`. False when there is no such group.
    pub fn remove_member(&self, group_dn: &str, dn: &str) -> bool {
        self.edit(group_dn, |group| group.remove_value("member", dn))
    }

    /// Replaces the password. False when there is no such entry.
    pub fn set_password(&self, dn: &str, password: &str) -> bool {
        self.edit(dn, |entry| {
            entry.remove_attribute("userPassword");
            entry.add("userPassword", password.to_owned());
        })
    }

    /// Locks the entry: binds answer 49 as for a wrong password, and the operational attribute
    /// `pwdAccountLockedTime` shows it. False when there is no such entry.
    pub fn disable(&self, dn: &str) -> bool {
        self.edit(dn, |entry| {
            entry.add(entry::LOCKED_TIME, "000001010000Z".to_owned());
        })
    }

    /// Undoes [`Self::disable`]. False when there is no such entry.
    pub fn enable(&self, dn: &str) -> bool {
        self.edit(dn, |entry| entry.remove_attribute(entry::LOCKED_TIME))
    }

    /// Sets or lifts the fault, for open connections too.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.fault.send_replace(fault);
    }

    /// Bind requests so far, refused ones included.
    pub fn binds(&self) -> u64 {
        self.shared.binds.load(Ordering::SeqCst)
    }

    /// Search requests so far, refused ones included.
    pub fn searches(&self) -> u64 {
        self.shared.searches.load(Ordering::SeqCst)
    }

    fn edit(&self, dn: &str, change: impl FnOnce(&mut Entry)) -> bool {
        let mut entries = locked(&self.shared.entries);
        let entry = entries.entry_mut(dn);
        entry.map(change).is_some()
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = locked(&self.shared.entries).list.len();
        formatter
            .debug_struct("Directory")
            .field("entries", &entries)
            .finish_non_exhaustive()
    }
}

/// A listening directory; dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct RunningDirectory {
    directory: Directory,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl RunningDirectory {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as an LDAP URL, `ldap://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("ldap://{}", self.address)
    }
}

impl Deref for RunningDirectory {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        &self.directory
    }
}

impl Drop for RunningDirectory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Owns the connection tasks: aborting it ends them all.
async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if *shared.fault.borrow() != Some(Fault::CloseConnections) {
                    connections.spawn(connection::serve(stream, Arc::clone(&shared)));
                }
            }
            // Out of file descriptors, most likely: let the other tasks close some.
            Err(_) => tokio::task::yield_now().await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// The entries in the order they were added, found by name.
struct Entries {
    root: Entry,
    list: Vec<(Dn, Entry)>,
    index: HashMap<Dn, usize>,
}

impl Default for Entries {
    fn default() -> Self {
        let root = Entry::new("")
            .with("objectClass", ["top"])
            .with("namingContexts", [sample::SUFFIX])
            .with("supportedLDAPVersion", ["3"])
            .with("supportedControl", ["1.2.840.113556.1.4.319"])
            .with("supportedExtension", ["1.3.6.1.4.1.4203.1.11.3"]);
        Self {
            root,
            list: Vec::new(),
            index: HashMap::new(),
        }
    }
}

impl Entries {
    fn contains(&self, dn: &Dn) -> bool {
        self.index.contains_key(dn)
    }

    fn iter(&self) -> impl Iterator<Item = (&Dn, &Entry)> {
        self.list.iter().map(|(dn, entry)| (dn, entry))
    }

    /// An entry whose name cannot be read has no place in the tree and is left out.
    fn insert(&mut self, entry: Entry) {
        let Some(dn) = Dn::parse(&entry.dn) else {
            return;
        };
        let entry = entry.identified();
        if let Some(slot) = self
            .index
            .get(&dn)
            .and_then(|position| self.list.get_mut(*position))
        {
            slot.1 = entry;
            return;
        }
        self.index.insert(dn.clone(), self.list.len());
        self.list.push((dn, entry));
    }

    fn remove(&mut self, dn: &str) {
        let Some(dn) = Dn::parse(dn) else { return };
        self.list.retain(|(known, _)| *known != dn);
        self.index = (self.list.iter().enumerate())
            .map(|(position, (known, _))| (known.clone(), position))
            .collect();
    }

    fn entry_mut(&mut self, dn: &str) -> Option<&mut Entry> {
        let position = *self.index.get(&Dn::parse(dn)?)?;
        self.list.get_mut(position).map(|(_, entry)| entry)
    }

    /// The entry's own name when it may sign in with this password; nothing says why not.
    fn authenticate(&self, dn: &str, password: &str) -> Option<String> {
        let position = *self.index.get(&Dn::parse(dn)?)?;
        let (_, entry) = self.list.get(position)?;
        let is_right = entry.attribute("userpassword")?.values.iter().any(|known| {
            constant_time::verify_slices_are_equal(known.as_bytes(), password.as_bytes()).is_ok()
        });
        (is_right && !entry.is_locked()).then(|| entry.dn.clone())
    }
}
