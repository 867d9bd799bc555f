//! [`StreamLocation`]: the servers, the stream and the local file of a URL.

use std::path::PathBuf;

use crate::nats_servers::NatsServers;
use crate::store::{StoreError, redact_url};

/// Where a log is: `nats://HOST,HOST,HOST/NAME?file=PATH&replicas=3&ca=FILE`, `tls://` for TLS.
#[derive(Clone, Debug)]
pub(super) struct StreamLocation {
    /// The URL without credentials, for messages.
    pub(super) shown: String,
    pub(super) servers: NatsServers,
    /// The name of the stream.
    pub(super) name: String,
    /// The number of servers that keep each message of a new stream. An existing one must have it too, if the URL gives it.
    pub(super) replicas: u64,
    pub(super) replicas_given: bool,
    /// The local copy.
    pub(super) file: PathBuf,
}

/// The most replicas of a stream.
const MOST_REPLICAS: u64 = 5;

impl StreamLocation {
    pub(super) fn from_url(url: &str) -> Result<Self, StoreError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| StoreError::unknown_url(url))?;
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may have a `/` that was not escaped.
        let (credentials, hosts) = match rest.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, rest),
        };
        let (hosts, name) = hosts.split_once('/').unwrap_or((hosts, ""));
        let shown = format!("{scheme}://{hosts}/{name}");
        let unusable = |reason: String| StoreError::Unusable { store: redact_url(&shown), reason };
        let is_name = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if hosts.split(',').any(str::is_empty) || !is_name(name) {
            return Err(unusable(
                "it is not the URL of a stream: write nats://HOST,HOST,HOST/NAME; a name has letters, digits, `-` and `_`"
                    .to_owned(),
            ));
        }
        let urls: Vec<String> = hosts
            .split(',')
            .map(|host| match credentials {
                Some(credentials) => format!("{scheme}://{credentials}@{host}"),
                None => format!("{scheme}://{host}"),
            })
            .collect();
        let mut servers = NatsServers::of(urls.iter().map(String::as_str));
        let mut location = Self {
            servers: servers.clone(),
            name: name.to_owned(),
            replicas: if urls.len() >= 3 { 3 } else { 1 },
            replicas_given: false,
            file: PathBuf::from(format!("{name}.copy.db")),
            shown: shown.clone(),
        };
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned();
            match key {
                "file" if !value.is_empty() => location.file = value.into(),
                "ca" if !value.is_empty() => servers.trust(value.into()),
                "replicas" => {
                    let replicas = value.parse().ok().filter(|count| (1..=MOST_REPLICAS).contains(count));
                    location.replicas = replicas
                        .ok_or_else(|| unusable(format!("`replicas={value}` is not a number from 1 to 5")))?;
                    location.replicas_given = true;
                }
                _ => {
                    return Err(unusable(format!(
                        "it has no parameter `{key}`: there are file=PATH, replicas=N and ca=FILE"
                    )));
                }
            }
        }
        location.servers = servers;
        Ok(location)
    }

    /// The one subject of the stream.
    pub(super) fn subject(&self) -> String {
        format!("annals.log.{}", self.name)
    }

    pub(super) fn unusable(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Unusable { store: self.shown.clone(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_the_servers_the_stream_and_the_local_file() {
        let one = StreamLocation::from_url("nats://ann:s3/cret@a:4222,b:4222,c/SHOP").unwrap();
        assert_eq!((one.name.as_str(), one.replicas, one.subject().as_str()), ("SHOP", 3, "annals.log.SHOP"));
        assert_eq!(one.file, PathBuf::from("SHOP.copy.db"));
        assert!(!format!("{one:?}").contains("s3/cret"), "{one:?}");
        let other = StreamLocation::from_url("tls://a/shop-2?file=/srv/%20x.db&replicas=1&ca=/ca.pem").unwrap();
        assert_eq!((other.replicas, other.file), (1, PathBuf::from("/srv/ x.db")));
    }

    #[test]
    fn a_url_that_is_none_of_a_stream_is_refused_without_its_password() {
        for bad in [
            "nats://a",
            "nats:///SHOP",
            "nats://a,,b/SHOP",
            "nats://a/SHOP.x",
            "nats://a/SHOP?replicas=9",
            "nats://ann:s3cret@a/SHOP?files=x",
        ] {
            let error = StreamLocation::from_url(bad).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
