//! A PostgreSQL server for tests: an empty schema for each test that asks for one.

/// An empty schema of its own, dropped with it.
#[derive(Debug)]
pub struct Fresh {
    url: String,
}

impl Fresh {
    /// On the server that `DATABASE_URL` names.
    #[must_use]
    pub fn schema() -> Self {
        let server = std::env::var("DATABASE_URL").expect("DATABASE_URL names a Postgres");
        let joint = if server.contains('?') { '&' } else { '?' };
        Self { url: format!("{server}{joint}schema=t_{}", uuid::Uuid::now_v7().simple()) }
    }

    /// What `annals` opens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}
