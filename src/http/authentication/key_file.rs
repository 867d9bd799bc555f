//! Keys that follow a file.

use std::path::PathBuf;

use super::keys::{Key, KeyError, Keys, parse_jwks, parse_secret};
use crate::followed_file::{FollowError, Format, follow};
use crate::small_file::read;

impl Keys {
    /// Loads a JSON Web Key Set from a file as [`from_jwks`](Self::from_jwks) does, and follows the file: keys that are added
    /// to it are accepted and keys that are removed are refused within two seconds, also for open streams.
    ///
    /// If the file cannot be read or used later, the keys stay as they are; the log says so, and the metric
    /// `annals_keys_stale_seconds` counts. A pipe is read once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use annals::http::{Authentication, KeyError, Keys};
    ///
    /// let missing = Keys::from_jwks_file("no/such/keys.json").await;
    /// assert!(matches!(missing, Err(KeyError::Read { .. })));
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("keys.json");
    /// # std::fs::write(&file, r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
    /// let authentication = Authentication::bearer(Keys::from_jwks_file(file).await?, "bank");
    /// assert!(authentication.is_required());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the file cannot be read, and those of [`from_jwks`](Self::from_jwks).
    pub async fn from_jwks_file(path: impl Into<PathBuf>) -> Result<Self, KeyError> {
        Self::from_file(path.into(), parse_jwks).await
    }

    /// Loads a secret from a file as [`from_secret`](Self::from_secret) does, without spaces and line breaks at its end, and
    /// follows the file as [`from_jwks_file`](Self::from_jwks_file) does.
    ///
    /// # Errors
    /// If the file cannot be read, or the secret has less than 32 bytes.
    pub async fn from_secret_file(path: impl Into<PathBuf>) -> Result<Self, KeyError> {
        Self::from_file(path.into(), |text| parse_secret(text.trim_ascii_end())).await
    }

    async fn from_file(path: PathBuf, parse: fn(&[u8]) -> Result<Vec<Key>, KeyError>) -> Result<Self, KeyError> {
        match follow(&path, Format { read, parse }).await {
            Ok(keys) => Ok(Self::following(keys)),
            Err(FollowError::Read(source)) => Err(KeyError::Read { path, source }),
            Err(FollowError::Parse(source)) => Err(KeyError::File { path, source: Box::new(source) }),
        }
    }
}
