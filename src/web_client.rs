//! [`WebClient`]: requests to servers of others, with TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::BoxError;

/// A client for `http` and `https`. It follows no redirect, and uses no proxy.
pub(crate) struct WebClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    time_limit: Duration,
}

impl WebClient {
    /// A client that trusts the certificates of the machine, and those of a file (PEM). The head of an answer must be there within the time limit.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub(crate) async fn new(authority: Option<PathBuf>, time_limit: Duration) -> Result<Self, BoxError> {
        // Files are read.
        let config = spawn_blocking(move || trusting(authority.as_deref())).await??;
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector);
        Ok(Self { client, time_limit })
    }

    /// Sends a request, and returns the answer whatever its status. Its body is not read yet.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, BoxError> {
        match timeout(self.time_limit, self.client.request(request)).await {
            Ok(answered) => Ok(answered?),
            Err(_) => Err(format!("it has not answered within {:?}", self.time_limit).into()),
        }
    }
}

/// The settings of TLS, with the certificates to trust.
fn trusting(authority: Option<&Path>) -> Result<ClientConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    // Machines have some that no program can use: they are left out. `SSL_CERT_FILE` names another file.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = authority {
        let failed = |why: BoxError| format!("no certificate can be read from {}: {why}", file.display());
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| failed(error.into()))?;
        let before = roots.len();
        for certificate in certificates {
            roots.add(certificate.map_err(|error| failed(error.into()))?).map_err(|error| failed(error.into()))?;
        }
        if roots.len() == before {
            return Err(failed("the file has none".into()).into());
        }
    }
    // Named here: with several in a program, rustls would not choose.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_without_a_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "no certificate").unwrap();
        for (file, why) in [(empty, "has none"), (folder.path().join("missing.pem"), "No such file")] {
            let refused = WebClient::new(Some(file), Duration::from_secs(1)).await.err().unwrap();
            let said = crate::text::error_chain(&*refused);
            assert!(said.contains(why), "{said}");
        }
    }
}
