//! Where the client keeps things: a folder of the person's own, with a folder for each server.
//!
//! Every file is 0600 from its first byte on and replaced in one step; one that others could read is
//! refused. Never here: what is in the files. Entry points: [`StateFolder`], [`ServerFolder`].

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy as _;
use serde::{Serialize, de::DeserializeOwned};

use super::{ClientError, ServerUrl};

/// Which server commands speak to when none is named.
const LAST_SERVER: &str = "server";

/// The folder of one person on one machine.
#[derive(Debug, Clone)]
pub struct StateFolder(PathBuf);

impl StateFolder {
    /// `chosen`, which is what `ROLEGATE_STATE_DIR` says, or the platform's folder for state:
    /// `$XDG_STATE_HOME/rolegate`, `~/Library/Application Support/rolegate`,
    /// `%APPDATA%\rolegate`. Nothing is made yet.
    ///
    /// # Errors
    /// [`ClientError::NotCompleted`] where the person has no home.
    pub fn open(chosen: Option<PathBuf>) -> Result<Self, ClientError> {
        if let Some(folder) = chosen {
            return Ok(Self(folder));
        }
        let places = etcetera::base_strategy::choose_native_strategy().map_err(|_| {
            ClientError::NotCompleted(
                "your home directory is not known; set HOME or ROLEGATE_STATE_DIR".to_owned(),
            )
        })?;
        let parent = places.state_dir().unwrap_or_else(|| places.data_dir());
        Ok(Self(parent.join("rolegate")))
    }

    /// The server of the last sign-in.
    ///
    /// # Errors
    /// [`ClientError::NoServer`], or a file that cannot be read.
    pub fn last_server(&self) -> Result<ServerUrl, ClientError> {
        let text = read_private(&self.0.join(LAST_SERVER))?.ok_or(ClientError::NoServer)?;
        String::from_utf8_lossy(&text).trim().parse()
    }

    /// Remembers the server for commands that name none.
    pub fn remember_server(&self, server: &ServerUrl) -> Result<(), ClientError> {
        make_private_folder(&self.0)?;
        write_private(&self.0.join(LAST_SERVER), format!("{server}\n").as_bytes())
    }

    /// Where things of this server are.
    pub(super) fn of(&self, server: &ServerUrl) -> ServerFolder {
        ServerFolder(self.0.join(server.as_file_name()))
    }
}

/// The folder of one server.
#[derive(Debug, Clone)]
pub(super) struct ServerFolder(PathBuf);

impl ServerFolder {
    /// What was kept under this name; None where nothing was, or nothing that is still understood.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ClientError> {
        let bytes = read_private(&self.0.join(name))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Keeps something under a name, in place of what was there.
    pub(super) fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), ClientError> {
        let path = self.0.join(name);
        let bytes = serde_json::to_vec(value)
            .map_err(|error| ClientError::file(&path, &io::Error::from(error)))?;
        self.make()?;
        write_private(&path, &bytes)
    }

    /// Waits until no other process works on this name, and keeps others waiting until the value is
    /// dropped.
    pub(super) fn lock(&self, name: &str) -> Result<Lock, ClientError> {
        self.make()?;
        let path = self.0.join(format!("{name}.lock"));
        let file = private_options().create(true).truncate(false).open(&path);
        let file = file.map_err(|error| ClientError::file(&path, &error))?;
        file.lock()
            .map_err(|error| ClientError::file(&path, &error))?;
        Ok(Lock { _file: file })
    }

    /// Forgets everything about this server.
    pub(super) fn remove(&self) -> Result<(), ClientError> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ClientError::file(&self.0, &error))
            }
            _ => Ok(()),
        }
    }

    /// Forgets everything whose name starts so.
    pub(super) fn remove_all(&self, prefix: &str) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(prefix) && !name.ends_with(".lock") {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Forgets what starts so and of which `is_over` holds.
    pub(super) fn remove_where<T: DeserializeOwned>(
        &self,
        prefix: &str,
        is_over: impl Fn(&T) -> bool,
    ) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with(prefix) || name.ends_with(".lock") {
                continue;
            }
            if let Ok(Some(value)) = self.read(&name)
                && is_over(&value)
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn make(&self) -> Result<(), ClientError> {
        if let Some(parent) = self.0.parent() {
            make_private_folder(parent)?;
        }
        make_private_folder(&self.0)
    }
}

/// Others wait while it lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// The bytes of a file that only its owner can read; None where there is no such file.
fn read_private(path: &Path) -> Result<Option<Vec<u8>>, ClientError> {
    match fs::read(path) {
        Ok(bytes) => {
            refuse_readable_by_others(path)?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ClientError::file(path, &error)),
    }
}

#[cfg(unix)]
fn refuse_readable_by_others(path: &Path) -> Result<(), ClientError> {
    use std::os::unix::fs::PermissionsExt as _;

    let metadata = fs::metadata(path).map_err(|error| ClientError::file(path, &error))?;
    let mode = metadata.permissions().mode() & 0o777;
    let of_others = mode & 0o077;
    if of_others == 0 {
        return Ok(());
    }
    Err(ClientError::File {
        path: path.to_owned(),
        why: format!(
            "others on this machine may read it (mode {mode:03o}); if you trust who could, run \
             `chmod 600 {}`, else sign out with `rolegate logout` after that",
            path.display()
        ),
    })
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_: &Path) -> Result<(), ClientError> {
    // Folders of a profile are the person's own on Windows.
    Ok(())
}

/// Replaces a file in one step with one that only its owner can read.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), ClientError> {
    let failed = |error: io::Error| ClientError::file(path, &error);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    // A process of the same number that was killed here left its own behind.
    let _ = fs::remove_file(&new);
    let mut file = private_options()
        .create_new(true)
        .open(&new)
        .map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    let replaced = written.and_then(|()| fs::rename(&new, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&new);
    }
    replaced.map_err(failed)
}

fn private_options() -> fs::OpenOptions {
    let mut options = File::options();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a folder that only its owner can enter, unless it is there.
pub(super) fn make_private_folder(path: &Path) -> Result<(), ClientError> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|error| ClientError::file(path, &error))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn folder() -> (tempfile::TempDir, ServerFolder) {
        let dir = tempfile::tempdir().unwrap();
        let state = StateFolder::open(Some(dir.path().join("deep/state"))).unwrap();
        let folder = state.of(&"https://aws.example.com".parse().unwrap());
        (dir, folder)
    }

    #[test]
    fn what_is_kept_is_for_its_owner_alone() {
        let (_dir, folder) = folder();
        assert_eq!(folder.read::<u8>("token").unwrap(), None);
        folder.write("token", &7).unwrap();
        assert_eq!(folder.read("token").unwrap(), Some(7));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.0.join("token")), 0o600);
        assert_eq!(mode(&folder.0), 0o700);
        assert_eq!(mode(folder.0.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_what_to_run() {
        let (_dir, folder) = folder();
        folder.write("token", &7).unwrap();
        let path = folder.0.join("token");
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let told = folder.read::<u8>("token").unwrap_err().to_string();
            assert!(
                told.contains(&format!("chmod 600 {}", path.display())),
                "{told}"
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_as_if_it_were_not_there() {
        let (_dir, folder) = folder();
        folder.write("token", &"text").unwrap();
        assert_eq!(folder.read::<u8>("token").unwrap(), None);
    }

    #[test]
    fn one_works_while_the_others_wait() {
        let (_dir, folder) = folder();
        folder.write("count", &0_u32).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let _lock = folder.lock("count").unwrap();
                        let count: u32 = folder.read("count").unwrap().unwrap();
                        folder.write("count", &(count + 1)).unwrap();
                    }
                });
            }
        });
        assert_eq!(folder.read("count").unwrap(), Some(160));
    }
}
