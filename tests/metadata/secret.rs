//! [`Secret`]: values that must not come out, and the forms in which they would.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use unicode_normalization::UnicodeNormalization;

/// The secret values of a log.
pub struct Secret {
    /// Letters and digits: every escaped form of the text contains them.
    token: String,
    /// A text with characters that formats escape.
    pub text: String,
    pub number: i64,
    rich: bool,
}

impl Secret {
    /// Random values. A rich one is long, its number is not one, and its lists and options are not empty: an answer that differs
    /// between the two shows something of a value.
    pub fn new(rich: bool) -> Self {
        let token: String = std::iter::repeat_with(fastrand::alphanumeric).take(20).collect();
        let padding = if rich { "long ".repeat(6_000) } else { String::new() };
        let text = format!("{token} \u{e9}\u{212b} \"<&%'\\/=+ {padding}{token}");
        Self { token, text, number: if rich { fastrand::i64(10_i64.pow(14)..10_i64.pow(15)) } else { 1 }, rich }
    }

    pub fn list(&self) -> Vec<String> {
        let many = if self.rich { 3 } else { 1 };
        vec![self.text.clone(); many]
    }

    pub fn option(&self) -> Option<String> {
        self.rich.then(|| self.text.clone())
    }

    /// A later value: the same for a poor secret.
    pub fn changed(&self) -> String {
        if self.rich { format!("{}!", self.text) } else { self.text.clone() }
    }

    /// The form in which it is in these bytes, if it is.
    pub fn found_in(&self, bytes: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        self.forms().into_iter().find(|form| text.contains(&form.to_lowercase()))
    }

    /// The text and its parts, raw, as JSON, percent-encoded, as hexadecimal digits, in base64, lower-cased and decomposed.
    fn forms(&self) -> BTreeSet<String> {
        let short = self.text.chars().take(40).collect::<String>();
        let mut forms = BTreeSet::from([self.token.clone(), short.clone()]);
        for text in [&self.token, &short] {
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
        if self.rich {
            forms.insert(self.number.to_string());
        }
        forms
    }
}

/// Replaces what differs between any two logs: ids, cursors and times.
pub fn masked(text: &str) -> String {
    let patterns = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
        (r"\b[0-9a-f]{72}\b", "CURSOR"),
        (r"(?m)^date: .*$", "DATE"),
    ];
    patterns.iter().fold(text.to_owned(), |text, (pattern, name)| {
        Regex::new(pattern).unwrap().replace_all(&text, *name).into_owned()
    })
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
