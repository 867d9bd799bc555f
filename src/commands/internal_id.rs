//! Command ids of the crate's internal commands, which callers cannot use.
//!
//! A caller that predicts the id under which a read, an export or a refusal will be recorded could use it first, and so
//! suppress the record. Internal ids are UUIDs of version 8 that begin with a marker; such an id is refused from a caller.

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// The first bytes of an internal id. 90 bits are left for the digest.
const MARKER: [u8; 4] = *b"anls";

/// Returns the id of an internal command with this digest. `more` distinguishes commands with equal content: the time
/// window, or the id of the refused command.
pub(crate) fn derive(digest: &[u8; 32], more: &[u8]) -> Uuid {
    let hash = Sha256::new().chain_update(digest).chain_update(more).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[..4].copy_from_slice(&MARKER);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// Returns a new internal id that cannot be predicted.
pub(crate) fn random() -> Uuid {
    derive(&[0; 32], Uuid::new_v4().as_bytes())
}

/// Whether the id is reserved for internal commands.
pub(crate) fn is_reserved(id: Uuid) -> bool {
    id.get_version_num() == 8 && id.as_bytes().starts_with(&MARKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_ids_are_reserved_and_other_ids_are_not() {
        let own = derive(&[1; 32], b"600");
        assert!(is_reserved(own) && is_reserved(random()));
        assert_eq!(own, derive(&[1; 32], b"600"));
        assert_ne!(own, derive(&[1; 32], b"1200"));
        assert_ne!(random(), random());
        assert_eq!(own.get_variant(), uuid::Variant::RFC4122);
        let of_another = Builder::from_custom_bytes([7; 16]).into_uuid();
        for id in [Uuid::nil(), Uuid::max(), Uuid::new_v4(), Uuid::now_v7(), of_another] {
            assert!(!is_reserved(id), "{id}");
        }
        let mut other_version = *own.as_bytes();
        other_version[6] = 0x40 | other_version[6] & 0x0f;
        assert!(!is_reserved(Uuid::from_bytes(other_version)));
    }
}
