//! AWS's own tools as people have them, untouched: AWS CLI v2 in two versions.
//!
//! `install_aws_cli.sh` unpacks them as `target/test-tools/aws-cli/{newest,stable}/aws`. Clear the
//! environment of a call and give it a HOME, so that it does not see this machine's own settings.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::tools_dir;

/// One version of AWS CLI v2.
#[derive(Debug, Clone)]
pub struct AwsCli {
    /// As it calls itself: `2.38.1`.
    pub version: String,
    pub path: PathBuf,
}

impl AwsCli {
    /// Major, minor and patch, to be compared.
    pub fn number(&self) -> [u32; 3] {
        let mut parts = self.version.split('.').map(str::parse);
        std::array::from_fn(|_| parts.next().and_then(Result::ok).unwrap_or_default())
    }
}

/// Every version that could be had, newest first.
///
/// # Panics
/// Where there is none at all.
pub fn aws_cli() -> Vec<AwsCli> {
    let mut found: Vec<AwsCli> = ["newest", "stable"]
        .iter()
        .map(|name| tools_dir().join("aws-cli").join(name).join("aws"))
        .filter(|path| path.exists())
        .map(|path| {
            let version = version(&path);
            AwsCli { version, path }
        })
        .collect();
    found.dedup_by(|one, other| one.version == other.version);
    assert!(
        !found.is_empty(),
        "there is no AWS CLI v2 in {}: `make test` unpacks it",
        tools_dir().join("aws-cli").display()
    );
    for cli in &found {
        println!("AWS CLI {} at {}", cli.version, cli.path.display());
    }
    found
}

fn version(path: &Path) -> String {
    let output = Command::new(path)
        .arg("--version")
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", path.display()));
    let said = String::from_utf8_lossy(&output.stdout);
    said.strip_prefix("aws-cli/")
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_else(|| panic!("{} --version said {said:?}", path.display()))
        .to_owned()
}
