//! The style sheet, scripts and icon, embedded in the program and named by their content.
//!
//! A name changes with every byte, so the answers may be kept for ever (`immutable`). Never here:
//! anything that differs between people. Entry points: [`url()`] for pages, [`find`] for the route.

use std::{borrow::Cow, collections::HashMap, fmt::Write, sync::LazyLock};

use rust_embed::RustEmbed;

/// The path under which assets are served.
pub(crate) const PREFIX: &str = "/assets/";

/// `Cache-Control` of every asset.
pub(crate) const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// One embedded file.
pub(crate) struct Asset {
    /// Its content.
    pub(crate) bytes: Cow<'static, [u8]>,
    /// Its media type, with charset where it is text.
    pub(crate) content_type: &'static str,
}

struct Catalogue {
    urls: HashMap<String, String>,
    assets: HashMap<String, Asset>,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let mut catalogue = Catalogue {
        urls: HashMap::new(),
        assets: HashMap::new(),
    };
    for name in Files::iter() {
        let Some(file) = Files::get(&name) else {
            continue;
        };
        let url = hashed_url(&name, &file.metadata.sha256_hash());
        catalogue.urls.insert(name.to_string(), url.clone());
        let content_type = content_type(&name);
        let bytes = file.data;
        catalogue.assets.insert(
            url,
            Asset {
                bytes,
                content_type,
            },
        );
    }
    catalogue
});

/// The address of the asset called `name` in `static/`, such as `/assets/app.1f0c93ab52e4.css`.
///
/// A name that is not there gives an address that answers 404; the preview test renders every
/// page and fails on one.
pub(crate) fn url(name: &str) -> &'static str {
    CATALOGUE
        .urls
        .get(name)
        .map_or("/assets/missing", String::as_str)
}

/// The asset at this path, such as `/assets/app.1f0c93ab52e4.css`.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    CATALOGUE.assets.get(path)
}

/// Every address with its asset.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static Asset)> {
    CATALOGUE
        .assets
        .iter()
        .map(|(url, asset)| (url.as_str(), asset))
}

fn hashed_url(name: &str, hash: &[u8; 32]) -> String {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "bin"));
    let mut url = format!("{PREFIX}{stem}.");
    for byte in &hash[..6] {
        // Writing to a String cannot fail.
        let _ = write!(url, "{byte:02x}");
    }
    url.push('.');
    url.push_str(extension);
    url
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_found_under_its_hashed_address_alone() {
        let address = url("app.css");
        let middle = address
            .strip_prefix("/assets/app.")
            .and_then(|rest| rest.strip_suffix(".css"))
            .unwrap();
        assert_eq!(middle.len(), 12);
        assert_eq!(
            find(address).unwrap().content_type,
            "text/css; charset=utf-8"
        );
        assert!(find("/assets/app.css").is_none());
        assert!(find("/assets/../Cargo.toml").is_none());
    }

    #[test]
    fn scripts_do_not_import_by_a_name_that_is_not_served() {
        for (address, asset) in all() {
            if !asset.content_type.starts_with("text/javascript") {
                continue;
            }
            let text = std::str::from_utf8(&asset.bytes).unwrap();
            assert!(
                !text.lines().any(|line| line.starts_with("import ")),
                "{address} imports"
            );
        }
    }
}
