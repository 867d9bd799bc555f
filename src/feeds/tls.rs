//! The certificates that a webhook trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::sink::SinkError;

/// TLS that trusts the certificates of the machine, and those of a file.
pub(super) async fn trusting(authority: Option<&Path>) -> Result<ClientConfig, SinkError> {
    let authority: Option<PathBuf> = authority.map(Path::to_owned);
    let read = tokio::task::spawn_blocking(move || read_roots(authority.as_deref())).await;
    let roots = read.map_err(|error| SinkError::caused("the certificates cannot be read", error))??;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| SinkError::caused("TLS cannot be used", error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn read_roots(authority: Option<&Path>) -> Result<RootCertStore, SinkError> {
    let mut roots = RootCertStore::empty();
    // A machine may have certificates that cannot be used: the others are.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = authority {
        let failed = |error: rustls::pki_types::pem::Error| {
            SinkError::failed(format!("the certificates in {} cannot be read: {error}", file.display()))
        };
        for certificate in CertificateDer::pem_file_iter(file).map_err(failed)? {
            let added = roots.add(certificate.map_err(failed)?);
            added.map_err(|error| SinkError::caused(format!("{} cannot be used", file.display()), error))?;
        }
    }
    Ok(roots)
}
