//! URLs in messages: without passwords.

/// Replaces a hidden part of a URL.
const HIDDEN: &str = "…";

/// Returns the URL without its user, password and parameters. The URL may be malformed and of any scheme: every part
/// that could be a password is hidden.
pub(crate) fn redact_url(url: &str) -> String {
    let is_scheme = |text: &str| {
        !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
    };
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (format!("{scheme}://"), rest),
        _ => (String::new(), url),
    };
    // A password that was not escaped may contain any of `@`, `/`, `?` and `#`.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => (format!("{HIDDEN}@"), rest),
        None => (String::new(), rest),
    };
    let (rest, parameters) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..at], HIDDEN),
        None => (rest, ""),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    match authority.split_once(':') {
        // `user:password` without a host. A port is shown.
        Some((_, after)) if scheme != "sqlite://" && after.chars().any(|letter| !letter.is_ascii_digit()) => {
            let file = authority.starts_with("sqlite:") && user.is_empty();
            if file { format!("{rest}{parameters}") } else { format!("{scheme}{HIDDEN}{}", slash(path)) }
        }
        _ => format!("{scheme}{user}{rest}{parameters}"),
    }
}

/// Returns the text with [`redact_url`] applied to each URL in it.
#[cfg(feature = "cli")]
pub(crate) fn redact_urls(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for word in text.split_inclusive(|letter: char| letter.is_whitespace() || "'\"`".contains(letter)) {
        let end = word.trim_end_matches(|letter: char| letter.is_whitespace() || "'\"`".contains(letter)).len();
        let (url, rest) = word.split_at(end);
        let is_url = url.contains("://") || url.contains('@');
        result.push_str(&if is_url { redact_url(url) } else { url.to_owned() });
        result.push_str(rest);
    }
    result
}

/// Shows that there is a path, without its content.
fn slash(path: &str) -> &'static str {
    if path.is_empty() { "" } else { "/…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown_whatever_the_scheme_and_however_malformed() {
        for url in [
            "postgre://alice:s3cret@host/data",
            "mysql://alice:s3cret@host:3306/data?ssl=on",
            "postgres:/alice:s3cret@host/data",
            "postgres:alice:s3cret@host",
            "alice:s3cret@host/data",
            "alice:s3cret",
            "POSTGRES://alice:s3cret@host/data",
            "postgre://alice:s3cret/data",
            "postgre://alice:more@s3cret@host",
            "postgre://alice:x/s3cret@host",
            "postgre://alice:x?s3cret@host",
            "postgre://alice:x#s3cret@host",
            "postgre://host/data?password=s3cret",
            "postgre://host/data#s3cret",
            "x y://alice:s3cret@host",
            "://alice:s3cret@host",
        ] {
            assert!(!redact_url(url).contains("s3cret"), "{url}: {}", redact_url(url));
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn a_text_is_unchanged_except_for_the_passwords_of_its_urls() {
        let text = "error: unexpected argument 'postgres://alice:s3cret@host/data' found\n\nUsage: bank: [--as user:alice]";
        let hidden = "error: unexpected argument 'postgres://…@host/data' found\n\nUsage: bank: [--as user:alice]";
        assert_eq!(redact_urls(text), hidden);
    }

    #[test]
    fn parts_that_are_no_secret_are_shown() {
        for (url, text) in [
            ("log.db", "log.db"),
            ("sqlite://shop/log.db", "sqlite://shop/log.db"),
            ("sqlite:log.db", "sqlite:log.db"),
            ("mysql://host:3306/data", "mysql://host:3306/data"),
            ("postgre://alice:s3cret@host:5432/data?schema=a", "postgre://…@host:5432/data…"),
        ] {
            assert_eq!(redact_url(url), text);
        }
    }
}
