//! [`Place`]: room for one store, of either kind; and tests that run on both.

use tempfile::TempDir;

use crate::Fresh;

/// Room for one store of a test, empty at first and removed with this.
#[derive(Debug)]
pub struct Place {
    url: String,
    _directory: Option<TempDir>,
    schema: Option<Fresh>,
}

impl Place {
    /// A SQLite file in a directory of its own.
    ///
    /// # Panics
    /// When no directory can be made.
    #[must_use]
    pub fn sqlite() -> Self {
        let directory = TempDir::new().expect("a directory");
        let url = format!("sqlite://{}", directory.path().join("store.db").display());
        Self { url, _directory: Some(directory), schema: None }
    }

    /// A schema of its own on the server for tests.
    ///
    /// # Panics
    /// As [`Fresh::schema`].
    #[must_use]
    pub fn postgres() -> Self {
        let fresh = Fresh::schema();
        Self { url: fresh.url().to_owned(), _directory: None, schema: Some(fresh) }
    }

    /// What `annals` opens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The schema, if it is one.
    #[must_use]
    pub fn schema(&self) -> Option<&Fresh> {
        self.schema.as_ref()
    }
}

/// Makes two tests of each function named, `sqlite::…` and `postgres::…`. The functions are async and take a `&Place`;
/// a crate that uses it has tokio. After `blocking:` they are not async.
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
