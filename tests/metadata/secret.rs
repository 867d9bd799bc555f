//! [`Secret`]: values that must not come out, and the forms in which they would.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::{Regex, bytes};
use unicode_normalization::UnicodeNormalization;

/// The secret values of a log.
pub struct Secret {
    /// Letters and digits: every escaped form of the text contains them.
    token: String,
    /// A text with characters that formats escape.
    pub text: String,
    pub number: i64,
    rich: bool,
    /// Finds any form of the text or the number.
    search: bytes::Regex,
}

impl Secret {
    /// Random values. A rich one is long, its number is not one, and its lists and options are not empty: an answer that differs
    /// between the two shows something of a value.
    pub fn new(rich: bool) -> Self {
        let token: String = std::iter::repeat_with(fastrand::alphanumeric).take(20).collect();
        let padding = if rich { "long ".repeat(fastrand::usize(100..300)) } else { String::new() };
        let text = format!("{token} \u{e9}\u{212b} \"<&%'\\/=+ {padding}{token}");
        let number = if rich { fastrand::i64(10_i64.pow(14)..10_i64.pow(15)) } else { 1 };
        let forms: Vec<String> =
            forms(&token, &text, rich.then_some(number)).iter().map(|form| regex::escape(form)).collect();
        let search = bytes::Regex::new(&format!("(?i)(?:{})", forms.join("|"))).unwrap();
        Self { token, text, number, rich, search }
    }

    /// A text that does not fit into a page with others, if the secret is rich.
    pub fn large(&self) -> String {
        let padding = if self.rich { "large ".repeat(60_000) } else { String::new() };
        format!("{}{padding}{}", self.text, self.token)
    }

    /// A reason, which has a bounded length.
    pub fn reason(&self) -> String {
        self.text.chars().take(900).collect()
    }

    pub fn list(&self) -> Vec<String> {
        let many = if self.rich { 3 } else { 1 };
        vec![self.text.clone(); many]
    }

    pub fn option(&self) -> Option<String> {
        self.rich.then(|| self.text.clone())
    }

    /// A path of a request that has a value in it.
    pub fn path(&self) -> String {
        format!("/files/{}", self.token)
    }

    /// Whether it is long, and its lists and options are not empty.
    pub fn is_rich(&self) -> bool {
        self.rich
    }

    /// A later value: the same for a poor secret.
    pub fn changed(&self) -> String {
        if self.rich { format!("{}!", self.text) } else { self.text.clone() }
    }

    /// The form in which it is in these bytes, if it is.
    pub fn found_in(&self, bytes: &[u8]) -> Option<String> {
        self.search.find(bytes).map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned())
    }
}

/// The text and its parts, raw, as JSON, percent-encoded, as hexadecimal digits, in base64 and decomposed; and the number.
fn forms(token: &str, text: &str, number: Option<i64>) -> BTreeSet<String> {
    let short = text.chars().take(40).collect::<String>();
    let mut forms = BTreeSet::from([token.to_owned(), short.clone()]);
    for text in [token, &short] {
        forms.insert(serde_json::to_string(text).unwrap().trim_matches('"').to_owned());
        forms.insert(text.bytes().map(|byte| format!("%{byte:02X}")).collect());
        forms.insert(text.bytes().map(|byte| format!("{byte:02x}")).collect());
        forms.insert(text.nfd().collect());
        // The three ways in which the bytes fall into groups of three; the ends depend on what is around them.
        for skip in 0..3 {
            let encoded = STANDARD.encode(&text.as_bytes()[skip..]);
            forms.insert(encoded[..encoded.len().min(24) - 4].to_owned());
        }
    }
    forms.extend(number.map(|number| number.to_string()));
    forms
}

/// Replaces what differs between any two logs: ids and cursors, which are written in 36 or 72 characters of a kind; and hashes and
/// signatures, by as many characters.
pub fn masked(text: &str) -> String {
    static IDS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{72}").unwrap()
    });
    static HASHES: LazyLock<Regex> = LazyLock::new(|| Regex::new("[A-Za-z0-9+/]{43,}={0,2}").unwrap());
    let is_of_id = |it: char| it == '-' || it.is_ascii_digit() || ('a'..='f').contains(&it);
    let mut masked = String::with_capacity(text.len());
    for run in text.split_inclusive(|it: char| !is_of_id(it)) {
        match run.len() > 36 {
            true => masked.push_str(&IDS.replace_all(run, "ID")),
            false => masked.push_str(run),
        }
    }
    let hash = |found: &regex::Captures<'_>| "#".repeat(found[0].len());
    HASHES.replace_all(&masked, hash).into_owned()
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = Secret::new(true);
    let encoded = |skip: usize| STANDARD.encode(format!("{}{}", "ab".repeat(skip), secret.text));
    for form in [
        secret.text.clone(),
        secret.text.to_lowercase(),
        serde_json::to_string(&secret.text).unwrap(),
        secret.text.nfd().collect(),
        secret.number.to_string(),
        encoded(0),
        encoded(1),
        encoded(2),
        form_urlencoded::byte_serialize(secret.text.as_bytes()).collect(),
    ] {
        assert!(
            secret.found_in(format!("before {form} after").as_bytes()).is_some(),
            "{}",
            &form[..60.min(form.len())]
        );
    }
    assert_eq!(secret.found_in(b"nothing of it"), None);
}
