//! [`Place`]: an empty place for one store of either kind; and tests that run on both.

use tempfile::TempDir;

use crate::Fresh;

/// An empty place for one store of a test. Dropping it removes the store.
#[derive(Debug)]
pub struct Place {
    url: String,
    _directory: Option<TempDir>,
    schema: Option<Fresh>,
}

impl Place {
    /// Returns the place of a SQLite file in a directory of its own. With `TEST_NATS=nats://HOST:PORT`, the file is the local copy of a
    /// stream of that server: so the tests of SQLite run on the JetStream store.
    ///
    /// # Panics
    /// When the directory cannot be created.
    #[must_use]
    pub fn sqlite() -> Self {
        let directory = TempDir::new().expect("a directory");
        let file = directory.path().join("store.db");
        let url = match std::env::var("TEST_NATS") {
            Ok(server) => format!("{server}/T{}?file={}", uuid::Uuid::now_v7().simple(), file.display()),
            Err(_) => format!("sqlite://{}", file.display()),
        };
        Self { url, _directory: Some(directory), schema: None }
    }

    /// Returns the place of a schema of its own on the shared server.
    ///
    /// # Panics
    /// As [`Fresh::schema`].
    #[must_use]
    pub fn postgres() -> Self {
        let fresh = Fresh::schema();
        Self { url: fresh.url().to_owned(), _directory: None, schema: Some(fresh) }
    }

    /// Returns the URL of the store.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the schema, if the place is one.
    #[must_use]
    pub fn schema(&self) -> Option<&Fresh> {
        self.schema.as_ref()
    }
}

/// Defines two tests, `sqlite::…` and `postgres::…`, for each named function. The functions are async and take a `&Place`; the
/// crate depends on tokio. After `blocking:` they are not async.
#[macro_export]
macro_rules! both_stores {
    (blocking: $($test:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[test]
                fn $test() {
                    super::$test(&$crate::Place::sqlite());
                }
            )+
        }

        mod postgres {
            $(
                #[test]
                fn $test() {
                    super::$test(&$crate::Place::postgres());
                }
            )+
        }
    };
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(&$crate::Place::sqlite()).await;
                }
            )+
        }

        mod postgres {
            $(
                #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(&$crate::Place::postgres()).await;
                }
            )+
        }
    };
}
