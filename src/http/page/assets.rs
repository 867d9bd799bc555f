//! The static files of the page. Their names contain a digest, so that a browser can cache them forever.

use std::sync::LazyLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::http::colour::Colour;
use crate::projections::provenance::DRAWING_STYLE;
use crate::text::hex;

/// A static file.
pub(super) struct Asset {
    stem: &'static str,
    extension: &'static str,
    kind: &'static str,
    body: String,
}

static SCRIPT: LazyLock<Asset> = LazyLock::new(|| Asset {
    stem: "page",
    extension: "js",
    kind: "text/javascript; charset=utf-8",
    body: include_str!("assets/page.js").to_owned(),
});

static TRY_SCRIPT: LazyLock<Asset> = LazyLock::new(|| Asset {
    stem: "try",
    extension: "js",
    kind: "text/javascript; charset=utf-8",
    body: include_str!("assets/try.js").to_owned(),
});

/// The script of the page `/try`.
pub(super) fn try_script() -> &'static Asset {
    &TRY_SCRIPT
}

/// The script of all pages.
pub(super) fn script() -> &'static Asset {
    &SCRIPT
}

/// The stylesheet, in the application's colour.
pub(super) fn style(colour: Colour) -> Asset {
    let body = colour.properties() + include_str!("assets/style.css") + DRAWING_STYLE;
    Asset { stem: "style", extension: "css", kind: "text/css; charset=utf-8", body }
}

/// The favicon, in the application's colour.
pub(super) fn icon(colour: Colour) -> Asset {
    let body = include_str!("assets/icon.svg").replace("COLOUR", &colour.behind_white().to_string());
    Asset { stem: "icon", extension: "svg", kind: "image/svg+xml", body }
}

impl Asset {
    /// Its path: `assets/page-0a1b2c3d.js`.
    pub fn path(&self) -> String {
        format!("assets/{}-{}.{}", self.stem, hex(&Sha256::digest(&self.body)[..4]), self.extension)
    }
}

/// Returns the file with this name, cacheable forever; 404 for another digest.
pub(super) fn serve(name: &str, colour: Colour) -> Response {
    let path = format!("assets/{name}");
    for asset in [&*SCRIPT, &*TRY_SCRIPT, &style(colour), &icon(colour)] {
        if asset.path() == path {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
                (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
                (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            ];
            return (headers, asset.body.clone()).into_response();
        }
    }
    StatusCode::NOT_FOUND.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mission P25: a browser loads at most 280 kB beside the HTML.
    #[test]
    fn the_static_files_are_small_and_load_nothing_from_other_hosts() {
        let all = [&*SCRIPT, &*TRY_SCRIPT, &style(Colour::default()), &icon(Colour::default())];
        let bytes: usize = all.iter().map(|asset| asset.body.len()).sum();
        assert!(bytes < 280_000, "{bytes}");
        for asset in all {
            let foreign = asset.body.replace("http://www.w3.org/2000/svg", "");
            for word in ["http:", "https:", "url(", "@import", "eval(", "localStorage"] {
                assert!(!foreign.contains(word), "{} has {word}", asset.path());
            }
        }
        assert!(SCRIPT.body.lines().count() < 400, "the script has 400 lines or more");
    }

    #[test]
    fn a_file_has_only_its_current_digest_in_its_name_and_the_colour_changes_it() {
        let path = style(Colour::default()).path();
        let other = "#ff0000".parse().unwrap();
        assert_ne!(style(other).path(), path);
        let name = path.strip_prefix("assets/").unwrap();
        assert_eq!(serve(name, Colour::default()).status(), StatusCode::OK);
        assert_eq!(serve(name, other).status(), StatusCode::NOT_FOUND);
        assert_eq!(serve("style.css", other).status(), StatusCode::NOT_FOUND);
    }
}
