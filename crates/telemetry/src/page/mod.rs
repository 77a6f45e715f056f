//! The live page: plain HTML, CSS and JavaScript, part of the program. Nothing is built and nothing comes from elsewhere.
//!
//! What a miner or a pool says reaches the page as JSON and is put there as text, never as HTML; the policy that comes
//! with every file lets a browser run and load nothing but these files.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;

/// Where the page is.
pub(crate) const PAGE: &str = "/";
/// Where its files are.
pub(crate) const FILES: &str = "/page/{file}";

/// A browser shows, runs and asks for nothing that is not from here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($name:literal $kind:ident $path:literal)*) => {
        &[$(File { name: $name, kind: $kind, text: include_str!(concat!("assets/", $path)) }),*]
    };
}

const INDEX: File = File { name: "index.html", kind: HTML, text: include_str!("assets/index.html") };
const ALL: &[File] = files! {
    "style.css" CSS "style.css"
    "theme.js" SCRIPT "theme.js"
    "app.js" SCRIPT "app.js"
    "api.js" SCRIPT "api.js"
    "dom.js" SCRIPT "dom.js"
    "format.js" SCRIPT "format.js"
    "overview.js" SCRIPT "overview.js"
    "flow.js" SCRIPT "flow.js"
    "charts.js" SCRIPT "charts.js"
    "workers.js" SCRIPT "workers.js"
    "worker.js" SCRIPT "worker.js"
    "receipts.js" SCRIPT "receipts.js"
    "verdict.js" SCRIPT "verdict.js"
    "events.js" SCRIPT "events.js"
    "icon.svg" SVG "icon.svg"
    "uplot.js" SCRIPT "vendor/uplot.js"
    "uplot.LICENSE" TEXT "vendor/uplot.LICENSE"
};

/// The page and its files. They hold no figures: these the page asks for.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route(PAGE, get(index)).route(FILES, get(file))
}

async fn index(headers: HeaderMap) -> Response {
    answer(&INDEX, &headers)
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match ALL.iter().find(|file| file.name == name) {
        Some(file) => answer(file, &headers),
        None => with_headers(StatusCode::NOT_FOUND, TEXT, "the page has no such file\n", None),
    }
}

/// The file, or that it is still the one that the browser has.
fn answer(file: &File, headers: &HeaderMap) -> Response {
    let mut hasher = DefaultHasher::new();
    file.text.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    match headers.get(header::IF_NONE_MATCH) {
        Some(has) if has.as_bytes() == tag.as_bytes() => {
            with_headers(StatusCode::NOT_MODIFIED, file.kind, "", Some(&tag))
        }
        _ => with_headers(StatusCode::OK, file.kind, file.text, Some(&tag)),
    }
}

fn with_headers(status: StatusCode, kind: &'static str, text: &'static str, tag: Option<&str>) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Asked about each time, so that a page never meets the files of another version.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(tag).ok()) {
        headers.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a browser needs before anything is seen, bytes, of the 300,000 that it may be with the figures.
    const FIRST_PAINT_MAX: usize = 180_000;

    #[test]
    fn the_page_is_small_and_names_nothing_that_is_not_here() {
        // What the page names is loaded at once.
        let first = ALL.iter().filter(|file| INDEX.text.contains(&format!("/page/{}\"", file.name)));
        let size: usize = first.chain([&INDEX]).map(|file| file.text.len()).sum();
        assert!(size < FIRST_PAINT_MAX, "{size} bytes leave too little for the figures");
        for file in ALL.iter().chain([&INDEX]) {
            // Names of files in quotes, and imports.
            for part in file.text.split(['"', '\'', '(', ')']) {
                if let Some(name) = part.strip_prefix("/page/").or_else(|| part.strip_prefix("./"))
                    && name.contains('.')
                {
                    assert!(ALL.iter().any(|file| file.name == name), "{} asks for {name}", file.name);
                }
            }
        }
    }

    #[test]
    fn our_own_scripts_never_make_html_of_a_text() {
        let ours = ALL.iter().filter(|file| file.kind == SCRIPT && file.name != "uplot.js");
        for file in ours {
            for way in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!file.text.contains(way), "{} uses {way}", file.name);
            }
        }
        assert!(!INDEX.text.contains(" style=") && !INDEX.text.contains(" onclick"), "the policy forbids it");
    }

    #[test]
    fn a_browser_that_has_a_file_is_told_so() {
        let first = answer(&INDEX, &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let mut again = HeaderMap::new();
        again.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        let second = answer(&INDEX, &again);
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        assert!(second.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    }
}
