//! Ids of the crate's own commands, out of callers' reach.
//!
//! A caller who can predict the id under which a read, an export or a refusal will be recorded could use it first, and so
//! suppress the record. Own ids are UUIDs of version 8 that begin with a marker, and no caller's id may be one of them.

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// What an own id begins with. 90 bits are left for the digest.
const MARKER: [u8; 4] = *b"anls";

/// The id of an own command with this digest. `more` separates commands that are equal, but not the same: the window of
/// time, or the caller's command that was refused.
pub(crate) fn id_of(digest: &[u8; 32], more: &[u8]) -> Uuid {
    let hash = Sha256::new().chain_update(digest).chain_update(more).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[..4].copy_from_slice(&MARKER);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// A new own id, which nobody can predict.
pub(crate) fn fresh_id() -> Uuid {
    id_of(&[0; 32], Uuid::new_v4().as_bytes())
}

/// Whether only the crate itself may use this id.
pub(crate) fn is_reserved(id: Uuid) -> bool {
    id.get_version_num() == 8 && id.as_bytes().starts_with(&MARKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ids_are_reserved_and_those_of_other_versions_or_makers_are_not() {
        let own = id_of(&[1; 32], b"600");
        assert!(is_reserved(own) && is_reserved(fresh_id()));
        assert_eq!(own, id_of(&[1; 32], b"600"));
        assert_ne!(own, id_of(&[1; 32], b"1200"));
        assert_ne!(fresh_id(), fresh_id());
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
