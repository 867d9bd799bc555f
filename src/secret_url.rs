//! [`SecretUrl`]: a URL with credentials.

use std::fmt;

/// In place of what is secret.
const HIDDEN: &str = "[hidden]";

/// A URL that may have credentials. They are in no text that it returns, but in [`whole`](Self::whole).
#[derive(Clone)]
pub(crate) struct SecretUrl {
    url: String,
}

/// The parts of a URL.
struct Parts<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    host: &'a str,
    path: &'a str,
}

impl SecretUrl {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }

    /// With credentials: for the client library only.
    pub(crate) fn whole(&self) -> &str {
        &self.url
    }

    fn parts(&self) -> Parts<'_> {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        // A password may have a `/` that was not escaped: the last `@` ends it.
        let end = if rest[..end].contains('@') { end } else { rest.rfind('@').map_or(end, |at| end.max(at)) };
        let (authority, path) = rest.split_at(end);
        let (authority, path) = match path.strip_prefix('@') {
            Some(host) => {
                let end = host.find(['/', '?', '#']).unwrap_or(host.len());
                return Parts { scheme, user: Some(authority), host: &host[..end], path: &host[end..] };
            }
            None => (authority, path),
        };
        match authority.rsplit_once('@') {
            Some((user, host)) => Parts { scheme, user: Some(user), host, path },
            None => Parts { scheme, user: None, host: authority, path },
        }
    }

    #[cfg(any(feature = "nats", feature = "rabbitmq", feature = "webhooks"))]
    pub(crate) fn scheme(&self) -> &str {
        self.parts().scheme
    }

    /// The user and the password, if there is one.
    #[cfg(any(feature = "jetstream", feature = "nats", feature = "webhooks"))]
    pub(crate) fn credentials(&self) -> Option<(String, Option<String>)> {
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = self.parts().user?;
        Some(match user.split_once(':') {
            Some((user, password)) => (decoded(user), Some(decoded(password))),
            None => (decoded(user), None),
        })
    }

    /// The scheme, the host and the port.
    pub(crate) fn host(&self) -> String {
        let Parts { scheme, host, .. } = self.parts();
        format!("{scheme}://{host}")
    }

    /// The text without anything secret of the URL: an error of a client library may repeat it.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let Parts { user, path, .. } = self.parts();
        let mut text = text.replace(&self.url, &self.host());
        let user = user.into_iter().flat_map(|user| [Some(user), user.split_once(':').map(|(_, word)| word)]);
        // A path of a few letters is no secret, and would be found in every text.
        let path = Some(path).filter(|path| path.len() > 8);
        for secret in user.flatten().chain(path).filter(|secret| secret.len() > 2) {
            text = text.replace(secret, HIDDEN);
        }
        text
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_has_the_credentials_of_a_url() {
        for (url, shown) in [
            ("nats://ann:s3cret@broker:4222", "nats://broker:4222"),
            ("amqp://ann:s3cret@broker:5672/%2f", "amqp://broker:5672"),
            ("amqp://ann:s3c/s3cret@broker/%2f", "amqp://broker"),
            ("amqp://ann:s3c@s3cret@broker/%2f", "amqp://broker"),
            ("https://hooks.example/services/T01/s3cret?key=s3cret", "https://hooks.example"),
            ("nats://s3cret@broker", "nats://broker"),
        ] {
            let url = SecretUrl::new(url);
            let error = format!("cannot connect to {}: s3cret is wrong at {:?}", url.whole(), url);
            assert_eq!((url.host().as_str(), format!("{url:?}").as_str()), (shown, shown));
            let scrubbed = url.scrub(&error.replace(": s3cret", ""));
            assert!(!scrubbed.contains("s3cret"), "{scrubbed}");
        }
        let plain = SecretUrl::new("nats://localhost:4222");
        assert_eq!(plain.scrub("nothing at nats://localhost:4222"), "nothing at nats://localhost:4222");
        assert_eq!(plain.scheme(), "nats");
    }
}
