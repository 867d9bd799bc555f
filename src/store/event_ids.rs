//! Event ids that increase with the position, even when the clock is set back.

use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// The random bits of a UUIDv7, which has 48 bits of milliseconds before them, besides version and variant.
const RANDOM_BITS: u32 = 74;
const LARGEST: u128 = (1 << (48 + RANDOM_BITS)) - 1;

/// Returns a UUIDv7 of this time, or an id after `previous` if that is greater.
///
/// The id after `previous` is a random step away: a log that was restored from a backup does not repeat the ids of its
/// lost events, even while its clock is behind its ids.
pub(super) fn next_id(previous: Uuid, clock: Timestamp) -> Uuid {
    let random = fastrand::u128(..);
    let milliseconds = u128::from(u64::try_from(clock.as_millisecond()).unwrap_or(0));
    let fresh = milliseconds << RANDOM_BITS | random & ((1 << RANDOM_BITS) - 1);
    let previous = number(previous);
    if fresh > previous {
        return id(fresh.min(LARGEST));
    }
    let step = 1 + (random >> 80 & 0xff_ffff_ffff);
    id(previous.saturating_add(step).min(LARGEST))
}

/// Returns the bits of a UUIDv7 without version and variant. They increase with the id.
fn number(id: Uuid) -> u128 {
    let bits = id.as_u128();
    let time_and_a = bits >> 64;
    (time_and_a >> 16) << RANDOM_BITS | (time_and_a & 0xfff) << 62 | bits & ((1 << 62) - 1)
}

/// Returns the id with these bits.
fn id(number: u128) -> Uuid {
    let bits = (number >> RANDOM_BITS) << 80 | (number >> 62 & 0xfff) << 64 | number & ((1 << 62) - 1);
    Builder::from_u128(bits).with_version(uuid::Version::SortRand).with_variant(uuid::Variant::RFC4122).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(microseconds: i64) -> Timestamp {
        Timestamp::from_microsecond(microseconds).unwrap()
    }

    #[test]
    fn ids_increase_within_a_millisecond_and_when_the_clock_is_set_back() {
        let mut previous = Uuid::nil();
        let year = 365 * 24 * 3_600 * 1_000_000;
        let start = 1_700_000_000_000_000;
        for clock in [start, start, start - 3_600_000_000, start + year, start, 0, -5] {
            for _ in 0..5_000 {
                let next = next_id(previous, at(clock));
                assert!(next > previous && next.as_bytes() > previous.as_bytes());
                assert_eq!(next.get_version(), Some(uuid::Version::SortRand));
                assert_eq!(next.get_variant(), uuid::Variant::RFC4122);
                assert_eq!(id(number(next)), next);
                previous = next;
            }
        }
    }

    #[test]
    fn an_id_has_its_time_while_the_clock_runs_forward() {
        let first = next_id(Uuid::nil(), at(1_700_000_000_123_456));
        let (seconds, nanos) = first.get_timestamp().unwrap().to_unix();
        assert_eq!((seconds, nanos / 1_000_000), (1_700_000_000, 123));
    }

    #[test]
    fn two_copies_of_a_log_get_different_ids_even_if_the_clock_is_behind() {
        let past = next_id(Uuid::nil(), at(1_800_000_000_000_000));
        let ids: std::collections::HashSet<Uuid> =
            (0..1_000).map(|_| next_id(past, at(1_700_000_000_000_000))).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
