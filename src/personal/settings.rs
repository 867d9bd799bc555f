//! [`Keys`]: which key store an application uses.

use std::fmt;
use std::sync::Arc;

use super::key_memory::KeyMemory;
use super::key_store::KeyStore;
use crate::BoxError;
use crate::store::redact_url;

/// Which key store an application uses: `App::keys` takes it.
///
/// ```
/// use annals::app::App;
/// use annals::personal::Keys;
/// let app = App::new("people").keys(Keys::at("sqlite:///srv/keys/people.keys.db"));
/// ```
#[derive(Clone, Default)]
pub struct Keys(Place);

#[derive(Clone, Default)]
enum Place {
    #[default]
    BesideLog,
    Url(String),
    Given(Arc<dyn KeyStore>),
}

/// Why the key store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Nobody said where the keys are to lie.
    #[error(
        "where are the keys of personal values to lie? A log in PostgreSQL needs a key store: give `App::keys` or ANNALS_KEYS a file \
         (sqlite:///srv/keys/people.keys.db) or a database of another server (postgres://…)"
    )]
    Missing,
    /// The URL is not that of a key store.
    #[error("`{0}` is not the URL of a key store: write sqlite://FILE.db or postgres://HOST/DATABASE?schema=NAME")]
    Url(String),
    /// The keys would lie where the log does.
    #[error(
        "the keys of personal values would lie in the same PostgreSQL cluster as the log, whose backups, archived write-ahead log and \
         standbys would keep each destroyed key: use another server or a file; or say `keys=weak` in their URL if that is enough for you"
    )]
    SameCluster,
    /// The keys would lie in the log.
    #[error("the keys of personal values cannot lie in the file of the log: name another file")]
    SameFile,
    /// The key store cannot be opened.
    #[error("the key store {store} cannot be opened")]
    Open {
        /// The key store.
        store: String,
        /// The cause.
        source: BoxError,
    },
}

impl Keys {
    /// Beside a log in a file: `people.keys.db` beside `people.db`. This is the default. A log in PostgreSQL needs another place.
    #[must_use]
    pub fn beside_log() -> Self {
        Self(Place::BesideLog)
    }

    /// At a URL: a file (`sqlite:///srv/keys/people.keys.db`), or a PostgreSQL database of another server than the log's
    /// (`postgres://keeper@keys.internal/keys?schema=people`). In a database of the same server it needs `keys=weak` among the
    /// parameters: then backups of the server have the keys too.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self(Place::Url(url.into()))
    }

    /// In a key store of another kind, like a key management service.
    #[must_use]
    pub fn in_store(store: Arc<dyn KeyStore>) -> Self {
        Self(Place::Given(store))
    }

    /// Opens the key store for a log with this URL, if it has one, and this id.
    pub(crate) async fn open(&self, log: Option<&str>, log_id: &str) -> Result<Arc<dyn KeyStore>, KeysError> {
        let url = match (&self.0, log) {
            (Place::Given(store), _) => return Ok(store.clone()),
            (Place::Url(url), _) => url.clone(),
            (Place::BesideLog, Some("sqlite::memory:")) => return Ok(Arc::new(KeyMemory::default())),
            (Place::BesideLog, Some(log)) => match log.strip_prefix("sqlite://") {
                Some(file) => {
                    format!("sqlite://{}", std::path::Path::new(file).with_extension("keys.db").display())
                }
                None => return Err(KeysError::Missing),
            },
            (Place::BesideLog, None) => return Err(KeysError::Missing),
        };
        open_url(&url, log, log_id).await
    }
}

async fn open_url(url: &str, log: Option<&str>, log_id: &str) -> Result<Arc<dyn KeyStore>, KeysError> {
    let _ = log_id;
    if url == "sqlite::memory:" {
        return Ok(Arc::new(KeyMemory::default()));
    }
    #[cfg(feature = "sqlite")]
    if let Some(file) = url.strip_prefix("sqlite://").filter(|file| !file.is_empty() && !file.contains('?')) {
        if log == Some(url) {
            return Err(KeysError::SameFile);
        }
        let opened = super::key_file::KeyFile::open(file.into(), log_id.to_owned()).await;
        let opened = opened.map_err(|source| KeysError::Open { store: redact_url(url), source })?;
        return Ok(Arc::new(opened));
    }
    #[cfg(feature = "postgres")]
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return open_database(url, log, log_id).await;
    }
    let _ = log;
    Err(KeysError::Url(redact_url(url)))
}

#[cfg(feature = "postgres")]
async fn open_database(url: &str, log: Option<&str>, log_id: &str) -> Result<Arc<dyn KeyStore>, KeysError> {
    use crate::store::DatabaseUrl;
    let failed = |source: BoxError| KeysError::Open { store: redact_url(url), source };
    let (url, is_weak) = without_weak(url);
    let keys = DatabaseUrl::parse(&url).map_err(|error| failed(error.into()))?;
    let is_postgres = |log: &&str| log.starts_with("postgres://") || log.starts_with("postgresql://");
    let same_cluster = match log.filter(is_postgres) {
        None => false,
        Some(log) => {
            let log = DatabaseUrl::parse(log).map_err(|error| failed(error.into()))?;
            let clusters = tokio::try_join!(keys.cluster(), log.cluster());
            let (keys, log) = clusters.map_err(|error| failed(error.into()))?;
            keys == log
        }
    };
    if same_cluster && !is_weak {
        return Err(KeysError::SameCluster);
    }
    let opened = super::key_database::KeyDatabase::open(keys, log_id.to_owned(), same_cluster).await;
    Ok(Arc::new(opened.map_err(failed)?))
}

/// The URL without `keys=weak`, and whether it had that.
#[cfg(feature = "postgres")]
fn without_weak(url: &str) -> (String, bool) {
    let Some((address, query)) = url.split_once('?') else { return (url.to_owned(), false) };
    let (weak, rest): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| *pair == "keys=weak");
    let rest = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    (format!("{address}{rest}"), !weak.is_empty())
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.0 {
            Place::BesideLog => "beside the log".to_owned(),
            Place::Url(url) => redact_url(url),
            Place::Given(store) => store.describe(),
        };
        f.debug_tuple("Keys").field(&place).finish()
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_the_operator_is_taken_out_of_the_url() {
        let read = |url| without_weak(url);
        assert_eq!(read("postgres://h/d?schema=a&keys=weak"), ("postgres://h/d?schema=a".to_owned(), true));
        assert_eq!(read("postgres://h/d?keys=weak"), ("postgres://h/d".to_owned(), true));
        assert_eq!(read("postgres://h/d?schema=a"), ("postgres://h/d?schema=a".to_owned(), false));
        assert_eq!(read("postgres://h/d"), ("postgres://h/d".to_owned(), false));
    }
}
