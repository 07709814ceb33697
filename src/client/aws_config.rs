//! Profiles for the configuration file that AWS's tools share.
//!
//! All of a server's profiles stand between two marker lines, and only what is between them is ever
//! touched; the first line holds a digest, so that what somebody wrote in between is noticed. The
//! rest of the file is kept byte for byte, whatever it is. Never here: credentials. Entry point:
//! [`Plan::make`].

mod profile;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

pub(crate) use profile::named;
pub use profile::{Style, Wish, name_of};

use super::{ClientError, OfferedRole, ServerUrl, state};

/// What will be in the file.
#[derive(Debug)]
pub struct Plan {
    path: PathBuf,
    before: Vec<u8>,
    after: Vec<u8>,
    /// The sections of ours that were there, by their headers.
    old: BTreeMap<String, String>,
    /// Those that will be there.
    new: BTreeMap<String, String>,
    /// Names of profiles that somebody else wrote, which are left alone.
    pub taken: Vec<String>,
}

/// Where one server's block is.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// From the first byte of the first marker.
    start: usize,
    /// Behind the last byte of the last marker's line.
    end: usize,
    inside: std::ops::Range<usize>,
    digest: String,
    first_line: usize,
    last_line: usize,
}

impl Plan {
    /// Reads the file at `path`, which need not be there, and decides what it will hold: a profile
    /// for each of these roles that gives credentials.
    ///
    /// # Errors
    /// A file that cannot be read, markers that do not fit together, edits between them (unless they
    /// are to be discarded), and names that cannot be made.
    pub fn make(
        path: &Path,
        server: &ServerUrl,
        roles: &[OfferedRole],
        wish: &Wish,
    ) -> Result<Self, ClientError> {
        // A link stays a link: what it leads to is written.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let before = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(ClientError::file(&path, &error)),
        };
        let told = |why: String| ClientError::File {
            path: path.clone(),
            why,
        };
        let block = find(&before, server).map_err(told)?;
        let (head, inside, tail) = match &block {
            Some(block) => (
                before.get(..block.start).unwrap_or_default(),
                before.get(block.inside.clone()).unwrap_or_default(),
                before.get(block.end..).unwrap_or_default(),
            ),
            None => (before.as_slice(), <&[u8]>::default(), <&[u8]>::default()),
        };
        if let Some(block) = &block
            && digest(inside) != block.digest
            && !wish.discards_edits
        {
            return Err(told(format!(
                "somebody edited lines {} to {}, between the markers of `rolegate aws-config`; \
                 move what was added to another place, or run again with --discard-edits",
                block.first_line, block.last_line
            )));
        }
        let mut foreign = headers(head);
        foreign.extend(headers(tail));
        let (new, taken) = profile::sections(server, roles, wish, &foreign)?;
        let mut after = head.to_vec();
        if !new.is_empty() {
            if !after.is_empty() && !after.ends_with(b"\n") {
                after.push(b'\n');
            }
            after.extend(written(server, &new).into_bytes());
        }
        after.extend(tail);
        let old = split(&String::from_utf8_lossy(inside));
        Ok(Self {
            path,
            before,
            after,
            old,
            new,
            taken,
        })
    }

    /// Whether the file is already as it should be.
    pub fn is_done(&self) -> bool {
        self.before == self.after
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many profiles and other sections come, go, and change.
    pub fn counts(&self) -> (usize, usize, usize) {
        let come = self.new.keys().filter(|name| !self.old.contains_key(*name));
        let go = self.old.keys().filter(|name| !self.new.contains_key(*name));
        let changed =
            |(name, text): &(&String, &String)| self.old.get(*name).is_some_and(|old| old != *text);
        (
            come.count(),
            go.count(),
            self.new.iter().filter(changed).count(),
        )
    }

    /// The sections that come, go or change, with `+` and `-` in front of their lines.
    pub fn difference(&self) -> String {
        let mut text = String::new();
        let names: BTreeSet<&String> = self.old.keys().chain(self.new.keys()).collect();
        for name in names {
            let (old, new) = (self.old.get(name), self.new.get(name));
            if old == new {
                continue;
            }
            for (sign, section) in [("-", old), ("+", new)] {
                for line in section.into_iter().flat_map(|section| section.lines()) {
                    let _ = writeln!(text, "{sign}{line}");
                }
            }
        }
        text
    }

    /// Writes the file, 0600, and keeps what was there as `FILE.rolegate-backup`, whose path is
    /// returned where there was something.
    ///
    /// # Errors
    /// Where a file cannot be written, or somebody else wrote it since the plan was made.
    pub fn write(&self) -> Result<Option<PathBuf>, ClientError> {
        let now = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(ClientError::file(&self.path, &error)),
        };
        if now != self.before {
            return Err(ClientError::File {
                path: self.path.clone(),
                why: "somebody else wrote it meanwhile; run the command again".to_owned(),
            });
        }
        if let Some(folder) = self.path.parent() {
            state::make_private_folder(folder)?;
        }
        let mut backup = None;
        if !self.before.is_empty() {
            let mut name = self.path.file_name().unwrap_or_default().to_owned();
            name.push(".rolegate-backup");
            let path = self.path.with_file_name(name);
            state::write_private(&path, &self.before)?;
            backup = Some(path);
        }
        state::write_private(&self.path, &self.after)?;
        Ok(backup)
    }
}

const BEGIN: &str = "# >>> rolegate ";
const END: &str = "# <<< rolegate ";

fn written(server: &ServerUrl, sections: &BTreeMap<String, String>) -> String {
    let sections: Vec<&str> = sections.values().map(String::as_str).collect();
    let inside = sections.join("\n");
    let digest = digest(inside.as_bytes());
    format!(
        "{BEGIN}{server} {digest}; written by `rolegate aws-config`, edit elsewhere\n\
         {inside}{END}{server}\n"
    )
}

fn digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hex::encode(digest).chars().take(16).collect()
}

/// The block of a server; an error says what is wrong with the markers.
fn find(bytes: &[u8], server: &ServerUrl) -> Result<Option<Block>, String> {
    let begin = format!("{BEGIN}{server} ");
    let end = format!("{END}{server}");
    let mut opened: Option<(usize, usize, String, usize)> = None;
    let mut found = None;
    let mut at = 0;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let next = at + line.len();
        let text = line.trim_ascii_end();
        if text.starts_with(begin.as_bytes()) {
            if opened.is_some() || found.is_some() {
                return Err(format!(
                    "line {number} begins a second block of {server}; remove one by hand"
                ));
            }
            let rest = text.get(begin.len()..).unwrap_or_default();
            let digest = rest.split(|byte| *byte == b';').next().unwrap_or_default();
            let digest = String::from_utf8_lossy(digest).into_owned();
            opened = Some((at, next, digest, number));
        } else if text == end.as_bytes() {
            let Some((start, inside, digest, first_line)) = opened.take() else {
                return Err(format!(
                    "line {number} ends a block of {server} that begins nowhere; remove it by hand"
                ));
            };
            found = Some(Block {
                start,
                end: next,
                inside: inside..at,
                digest,
                first_line,
                last_line: number,
            });
        }
        at = next;
    }
    match opened {
        Some((_, _, _, line)) => Err(format!(
            "line {line} begins a block of {server} that ends nowhere; remove it by hand"
        )),
        None => Ok(found),
    }
}

/// The headers of sections, such as `profile a`, as AWS's tools read them.
fn headers(bytes: &[u8]) -> BTreeSet<String> {
    let mut headers = BTreeSet::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let Some((name, _)) = line
            .trim()
            .strip_prefix('[')
            .and_then(|s| s.split_once(']'))
        else {
            continue;
        };
        let words: Vec<&str> = name.split_whitespace().collect();
        headers.insert(words.join(" ").replace(['"', '\''], ""));
    }
    headers
}

/// Sections by their headers.
fn split(text: &str) -> BTreeMap<String, String> {
    let mut sections = BTreeMap::new();
    let mut name = None;
    let mut section = String::new();
    for line in text.lines() {
        if line.starts_with('[')
            && let Some(name) = name.replace(line.to_owned())
        {
            sections.insert(name, std::mem::take(&mut section));
        }
        if !line.trim().is_empty() {
            section.push_str(line);
            section.push('\n');
        }
    }
    if let Some(name) = name {
        sections.insert(name, section);
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::{super::role::tests::role, *};

    fn server() -> ServerUrl {
        "https://aws.example.com".parse().unwrap()
    }

    fn wish() -> Wish {
        Wish {
            template: "{account}-{role}".to_owned(),
            prefix: String::new(),
            style: Style::Process {
                program: "/usr/bin/rolegate".to_owned(),
            },
            region: None,
            discards_edits: false,
        }
    }

    fn two() -> Vec<OfferedRole> {
        vec![
            role("111122223333", "Payments production", "team/ReadOnly"),
            role("444455556666", "Dev", "Admin"),
        ]
    }

    fn apply(path: &Path, roles: &[OfferedRole]) -> Plan {
        let plan = Plan::make(path, &server(), roles, &wish()).unwrap();
        plan.write().unwrap();
        plan
    }

    const FOREIGN: &[u8] = b"[default]\r\nregion = x\n\n# caf\xe9\n[profile dev]\noutput=json";

    #[test]
    fn a_new_file_holds_our_profiles_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("aws/config");
        let plan = apply(&path, &two());
        assert_eq!(plan.counts(), (2, 0, 0));
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(
                "[profile payments-production-readonly]\n\
                 credential_process = /usr/bin/rolegate credentials \
                 arn:aws:iam::111122223333:role/team/ReadOnly --url https://aws.example.com \
                 --format process\n"
            ),
            "{text}"
        );
        let again = Plan::make(&path, &server(), &two(), &wish()).unwrap();
        assert!(again.is_done() && again.difference().is_empty());
    }

    #[test]
    fn what_others_wrote_is_kept_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, FOREIGN).unwrap();
        apply(&path, &two());
        let mut text = fs::read(&path).unwrap();
        assert!(text.starts_with(FOREIGN));
        text.extend(b"[profile later]\nregion = y\n\xff");
        fs::write(&path, &text).unwrap();
        let plan = apply(&path, &two()[..1]);
        assert_eq!(plan.counts(), (0, 1, 0));
        assert!(
            plan.difference().starts_with("-[profile dev-admin]\n"),
            "{}",
            plan.difference()
        );
        let text = fs::read(&path).unwrap();
        assert!(text.starts_with(FOREIGN) && text.ends_with(b"[profile later]\nregion = y\n\xff"));
        apply(&path, &[]);
        let text = fs::read(&path).unwrap();
        let whole = [FOREIGN, b"\n[profile later]\nregion = y\n\xff"].concat();
        assert_eq!(text, whole, "nothing of ours is left");
        let backup = fs::read(dir.path().join("config.rolegate-backup")).unwrap();
        assert!(backup.starts_with(FOREIGN) && backup.len() > whole.len());
    }

    #[test]
    fn profiles_of_others_are_not_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, "[profile  \"dev-admin\"]\nregion = x\n").unwrap();
        let plan = apply(&path, &two());
        assert_eq!(plan.taken, ["dev-admin"]);
        assert_eq!(plan.counts(), (1, 0, 0));
    }

    #[test]
    fn edits_between_the_markers_are_not_lost_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        apply(&path, &two());
        let text = fs::read_to_string(&path).unwrap();
        fs::write(
            &path,
            text.replace(
                "[profile dev-admin]\n",
                "[profile dev-admin]\noutput=json\n",
            ),
        )
        .unwrap();
        let told = Plan::make(&path, &server(), &two(), &wish())
            .unwrap_err()
            .to_string();
        assert!(
            told.contains("edited lines 1 to 8") && told.contains("--discard-edits"),
            "{told}"
        );
        let discarding = Wish {
            discards_edits: true,
            ..wish()
        };
        let plan = Plan::make(&path, &server(), &two(), &discarding).unwrap();
        plan.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn markers_that_do_not_fit_are_left_to_the_person() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let begin = "# >>> rolegate https://aws.example.com 0; x\n";
        let end = "# <<< rolegate https://aws.example.com\n";
        for text in [
            begin.to_owned(),
            end.to_owned(),
            format!("{begin}{begin}{end}"),
        ] {
            fs::write(&path, &text).unwrap();
            let told = Plan::make(&path, &server(), &two(), &wish())
                .unwrap_err()
                .to_string();
            assert!(told.contains("by hand"), "{told}");
        }
    }

    #[test]
    fn servers_keep_to_their_own_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        apply(&path, &two());
        let other: ServerUrl = "https://aws.example.com:8443".parse().unwrap();
        let prefixed = Wish {
            prefix: "other-".to_owned(),
            ..wish()
        };
        let plan = Plan::make(&path, &other, &two(), &prefixed).unwrap();
        assert_eq!(plan.counts(), (2, 0, 0));
        plan.write().unwrap();
        assert!(
            Plan::make(&path, &server(), &two(), &wish())
                .unwrap()
                .is_done()
        );
        assert!(
            Plan::make(&path, &other, &two(), &prefixed)
                .unwrap()
                .is_done()
        );
    }

    #[test]
    fn a_file_that_changed_since_it_was_read_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let plan = Plan::make(&path, &server(), &two(), &wish()).unwrap();
        fs::write(&path, "[default]\n").unwrap();
        let told = plan.write().unwrap_err().to_string();
        assert!(told.contains("meanwhile"), "{told}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[default]\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("config"));
        fs::write(&real, "[default]\n").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        apply(&link, &two());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("dev-admin"));
    }
}
