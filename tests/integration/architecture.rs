//! Which part of the source may name which: the table below, checked against every path.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Every module at the top of `src` and the others that it may name. Arrows point one way:
/// `web → broker → {identity, aws, store, audit} → access`.
const ARROWS: &[(&str, Allowed)] = &[
    // Pure: people, groups, roles and rules, without I/O, time or HTTP.
    ("access", Only(&[])),
    ("clock", Only(&[])),
    ("telemetry", Only(&[])),
    // What the file says; `app` turns it into the settings of each part.
    ("config", Only(&["access"])),
    // The adapters: none knows another, except that the store keeps what the audit log says.
    ("identity", Only(&["access", "clock"])),
    ("aws", Only(&["access", "clock"])),
    ("audit", Only(&["access", "clock"])),
    ("store", Only(&["access", "audit", "clock"])),
    // The use-cases, and HTTP on top of them.
    (
        "broker",
        Only(&["access", "audit", "aws", "clock", "identity", "store"]),
    ),
    ("web", Only(&["access", "broker", "clock"])),
    // What runs on people's own machines, and is built without the server too.
    ("client", Only(&["clock"])),
    // What is outside the production path, and what puts everything together.
    ("demo", Except(&["web"])),
    ("app", Except(&[])),
    ("cli", Except(&[])),
    ("main", Except(&[])),
    ("lib", Except(&[])),
];

/// Names that say nothing about what is in a file.
const FORBIDDEN_NAMES: [&str; 7] = [
    "utils", "common", "helpers", "types", "models", "services", "misc",
];

#[derive(Debug, Clone, Copy)]
enum Allowed {
    Only(&'static [&'static str]),
    Except(&'static [&'static str]),
}
use Allowed::{Except, Only};

impl Allowed {
    fn contains(self, target: &str) -> bool {
        match self {
            Only(targets) => targets.contains(&target),
            Except(targets) => !targets.contains(&target),
        }
    }
}

#[test]
fn every_arrow_points_the_right_way() {
    let broken: Vec<String> = source_files()
        .iter()
        .flat_map(|path| {
            let text = fs::read_to_string(root().join(path)).expect("a source file is UTF-8");
            broken_arrows(path, &text)
        })
        .collect();
    assert!(broken.is_empty(), "broken arrows:\n{}", broken.join("\n"));
}

#[test]
fn every_module_is_in_the_table() {
    let unknown: BTreeSet<String> = source_files()
        .iter()
        .map(|path| top_module(path))
        .filter(|module| !ARROWS.iter().any(|(name, _)| name == module))
        .collect();
    assert!(
        unknown.is_empty(),
        "give these modules a line in ARROWS: {unknown:?}"
    );
}

#[test]
fn every_name_in_the_table_allows_names_of_the_table() {
    for (module, allowed) in ARROWS {
        let (Only(targets) | Except(targets)) = allowed;
        for target in *targets {
            assert!(
                ARROWS.iter().any(|(name, _)| name == target),
                "{module} allows {target}"
            );
        }
    }
}

#[test]
fn every_file_says_what_is_in_it() {
    let vague: Vec<PathBuf> = source_files()
        .into_iter()
        .filter(|path| {
            path.with_extension("")
                .iter()
                .any(|part| FORBIDDEN_NAMES.iter().any(|name| part == *name))
        })
        .collect();
    assert!(vague.is_empty(), "names that say nothing: {vague:?}");
}

#[test]
fn planted_violations_are_found_with_their_lines() {
    let source = r#"
//! Comments may name [`crate::web`].
use std::crate_free;
use crate::{
    access::{identity::Identity, role},
    web::session,
};
const TEXT: &str = "crate::cli"; // crate::demo
fn store<'a>(quote: char) -> bool { quote == '"' && crate::store::open() }
mod tests {
    use super::super::super::audit::AuditEvent;
    use super::super::sibling;
}
"#;
    assert_eq!(
        broken_arrows(Path::new("src/identity/ldap.rs"), source),
        [
            "src/identity/ldap.rs:6: identity may not name web",
            "src/identity/ldap.rs:9: identity may not name store",
            "src/identity/ldap.rs:11: identity may not name audit",
        ]
    );
    assert_eq!(
        broken_arrows(Path::new("src/access/mod.rs"), "use super::clock;"),
        ["src/access/mod.rs:1: access may not name clock"]
    );
    let own = "use crate::identity::ldap; use crate::{self}; use super::mapping;";
    assert_eq!(
        broken_arrows(Path::new("src/access/rule.rs"), own),
        [
            "src/access/rule.rs:1: access may not name identity",
            "src/access/rule.rs:1: access may not name self",
        ]
    );
    assert_eq!(broken_arrows(Path::new("src/app.rs"), source), [""; 0]);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `src`, relative to the package.
fn source_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(
                    path.strip_prefix(root())
                        .expect("below the package")
                        .to_path_buf(),
                );
            }
        }
    }
    files.sort();
    files
}

/// The module path of a file below the crate: `src/web/mod.rs` is `["web"]`.
fn module_path(path: &Path) -> Vec<String> {
    let path = path
        .strip_prefix("src")
        .expect("a source file")
        .with_extension("");
    let mut names: Vec<String> = path
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    if names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    names
}

fn top_module(path: &Path) -> String {
    module_path(path).swap_remove(0)
}

/// One line `FILE:LINE: A may not name B` for each path from the crate's root that the table does
/// not allow; a target that is not in the table is allowed to nobody but those who see all.
fn broken_arrows(path: &Path, source: &str) -> Vec<String> {
    let module = top_module(path);
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}: {module} is not in the table", path.display())];
    };
    targets(&tokens(source), module_path(path).len())
        .into_iter()
        .filter(|(_, target)| *target != module && !allowed.contains(target))
        .map(|(line, target)| format!("{}:{line}: {module} may not name {target}", path.display()))
        .collect()
}

/// The first name after each `crate::`, and after each chain of `super::` that ends at the root.
///
/// `depth` is how far below the root the file's own module is; modules written out in the file are
/// counted by their braces.
fn targets(tokens: &[(usize, String)], depth: usize) -> Vec<(usize, String)> {
    let text = |index: usize| tokens.get(index).map_or("", |(_, token)| token.as_str());
    let mut found = Vec::new();
    let mut braces = 0;
    let mut inline_modules: Vec<usize> = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        match text(index) {
            "{" => {
                if index >= 2 && text(index - 2) == "mod" {
                    inline_modules.push(braces);
                }
                braces += 1;
            }
            "}" => {
                braces -= 1;
                inline_modules.pop_if(|opened| *opened == braces);
            }
            "crate" if text(index + 1) == "::" => found.extend(first_names(tokens, index + 2)),
            "super" if index == 0 || text(index - 1) != "::" => {
                let mut supers = 0;
                while text(index) == "super" && text(index + 1) == "::" {
                    supers += 1;
                    index += 2;
                }
                if supers > 0 && supers == depth + inline_modules.len() {
                    found.extend(first_names(tokens, index));
                }
                // `pub(super)` names nothing and is stepped over.
                index += usize::from(supers == 0);
                continue;
            }
            _ => {}
        }
        index += 1;
    }
    found
}

/// The name at `start`, or the first name of each part of the group `{…}` that starts there.
fn first_names(tokens: &[(usize, String)], start: usize) -> Vec<(usize, String)> {
    let rest = tokens.get(start..).unwrap_or_default();
    if rest.first().is_none_or(|(_, token)| token != "{") {
        return rest.iter().take(1).cloned().collect();
    }
    let mut names = Vec::new();
    let mut open = 0;
    let mut previous = "";
    for (line, token) in rest {
        match token.as_str() {
            "{" => open += 1,
            "}" => open -= 1,
            _ if open == 1 && (previous == "{" || previous == ",") => {
                names.push((*line, token.clone()));
            }
            _ => {}
        }
        if open == 0 {
            break;
        }
        previous = token;
    }
    names
}

/// The names, `::` and other signs of a source text with their lines, without comments, strings
/// and character literals.
fn tokens(source: &str) -> Vec<(usize, String)> {
    let lexer = regex::Regex::new(
        r#"(?sx)
          (?P<skipped> //[^\n]* | /\*.*?\*/
            | b?r\#\#.*?"\#\# | b?r\#".*?"\# | b?r".*?" | [bc]?"(?:\\.|[^"\\])*"
            | b?'(?:\\.[^']*|[^'\\])' )
        | (?P<kept> '?(?:r\#)?[\p{Alphabetic}_][\p{Alphabetic}\p{N}_]* | :: | [^\s\w] )"#,
    )
    .expect("the expression is fixed");
    let mut line = 1;
    let mut position = 0;
    let mut tokens = Vec::new();
    for found in lexer.captures_iter(source) {
        let whole = found.get(0).expect("a match has a whole");
        line += source[position..whole.start()].matches('\n').count();
        if let Some(kept) = found.name("kept") {
            tokens.push((line, kept.as_str().to_owned()));
        }
        position = whole.start();
    }
    tokens
}
