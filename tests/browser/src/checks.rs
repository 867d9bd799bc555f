//! Checks of every page: barriers for people, and effects of hostile text.

use serde_json::Value;

use crate::Browser;

/// A script that lists effects of hostile text: scripts that ran, foreign elements, active characters.
pub const EFFECTS: &str = "const found = []; if (window.hacked) found.push('a script ran'); \
    for (const one of document.querySelectorAll('img, svg:not([aria-hidden]), body script, style, iframe, [onerror], [onload], [onmouseover], [style]')) found.push(one.outerHTML); \
    for (const link of document.querySelectorAll('a[href]')) if (new URL(link.getAttribute('href'), location).origin !== location.origin) found.push(link.outerHTML); \
    const active = /[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]/; \
    if (active.test(document.body.innerText)) found.push('an active character is shown'); \
    for (const one of document.querySelectorAll('[title], [aria-label]')) if (active.test((one.title ?? '') + (one.ariaLabel ?? ''))) found.push(one.outerHTML); \
    if (/\\p{M}{5}/u.test(document.body.innerText + document.title)) found.push('marks are stacked'); \
    if (active.test(document.title)) found.push('an active character is in the title'); return found";

/// axe-core, which `scripts/browser` fetches.
#[must_use]
pub fn axe() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/browser/axe.min.js");
    std::fs::read_to_string(file).expect("axe-core: scripts/browser fetches it")
}

/// The serious and critical violations that axe finds.
pub async fn barriers(browser: &Browser, axe: &str) -> Value {
    browser.run(axe).await;
    let script = "return axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations \
        .filter((one) => ['serious', 'critical'].includes(one.impact)) \
        .map((one) => [one.id, one.nodes.slice(0, 3).map((node) => node.html + ' ' + node.failureSummary)]))";
    browser.run(script).await
}
