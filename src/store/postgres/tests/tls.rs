//! TLS to the server.

use annals_test_postgres::Server;

use super::open_at;
use crate::store::StoreError;

async fn error(url: &str) -> String {
    match open_at(url, true).await {
        Err(error @ StoreError::Unusable { .. }) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("opened: {url}"),
    }
}

/// The server takes connections with TLS alone.
#[tokio::test]
async fn a_store_is_opened_over_tls_as_its_url_demands() {
    let server = Server::with_tls();
    let (url, certificate) = (server.url(), server.certificate());
    let with = |parameters: &str| format!("{url}?schema=secure&{parameters}");
    let authority = format!("sslrootcert={}", certificate.display());

    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE ssl AND backend_type = 'client backend' AND application_name <> 'psql'";
    for parameters in ["sslmode=require", &format!("sslmode=verify-full&{authority}"), "application_name=prefers"] {
        let store = open_at(&with(parameters), true).await.unwrap();
        assert_ne!(server.sql(encrypted), "0", "{parameters}");
        store.close().await;
    }

    let refused = error(&with("sslmode=disable")).await;
    assert!(refused.contains("no encryption") || refused.contains("SSL off"), "{refused}");
    let unknown = error(&with("sslmode=verify-full")).await;
    assert!(unknown.contains("sslrootcert=FILE"), "{unknown}");
    let missing = error(&with("sslmode=verify-ca&sslrootcert=/nowhere.crt")).await;
    assert!(missing.contains("check `sslrootcert`"), "{missing}");
}
