//! The names of a generation's tables: `roster_v1_g1_documents`.

use crate::digest::short_hash;
use crate::store::GenerationId;
use crate::store::sql::identifier;

/// Postgres truncates longer names, in bytes, without an error.
const LONGEST: usize = 63;
/// Leaves room for the name of a table, or for its hash.
const LONGEST_PREFIX: usize = 44;
/// `x0` and `x1` begin hashes, `pg_` the names of Postgres itself.
const RESERVED: [&str; 3] = ["x0", "x1", "pg_"];

/// Returns the prefix of the names of all tables of this generation, and of no other.
pub(super) fn prefix(generation_id: &GenerationId) -> String {
    let GenerationId { name, version, generation } = generation_id;
    let prefix = format!("{}_v{version}_g{generation}_", identifier(name, &RESERVED, usize::MAX));
    match prefix.len() <= LONGEST_PREFIX {
        true => prefix,
        false => format!("x1{}_g{generation}_", short_hash(&format!("{version} {name}"))),
    }
}

/// Returns the name, not quoted, of a table or index with this prefix.
pub(super) fn relation(prefix: &str, name: &str) -> String {
    let full = format!("{prefix}{name}");
    if full.len() <= LONGEST { full } else { format!("{prefix}x{}", short_hash(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, version: u64, generation: u64) -> String {
        prefix(&GenerationId { name: name.to_owned(), version, generation })
    }

    #[test]
    fn no_generation_has_the_prefix_of_another() {
        let long = "a_projection_of_which_the_name_is_longer_than_any_table_may_be_called";
        let names = [
            "a",
            "a_v1_g1",
            "a_v1_g1_b",
            "a_v",
            "x0",
            "x1",
            "Kunde's \"Liste\"; --",
            "",
            "pg_x",
            "Ä",
            long,
            &long[..66],
        ];
        let all: Vec<String> = names
            .iter()
            .flat_map(|name| [of(name, 1, 1), of(name, 1, 11), of(name, 11, 1), of(name, u64::MAX >> 1, 1)])
            .collect();
        for (index, one) in all.iter().enumerate() {
            for (other_index, other) in all.iter().enumerate() {
                assert!(index == other_index || !one.starts_with(other.as_str()), "{one} {other}");
            }
        }
        assert_eq!(of("roster", 1, 2), "roster_v1_g2_");
    }

    /// Truncated, two names could become equal.
    #[test]
    fn names_are_not_longer_than_postgres_allows() {
        let table = "what_an_application_calls_a_table_when_it_wants_to_say_all";
        for prefix in [of("roster", 1, 1), of(&"n".repeat(99), u64::MAX >> 1, 999_999)] {
            let names =
                [relation(&prefix, table), relation(&prefix, &format!("{table}_2")), relation(&prefix, "t")];
            for name in &names {
                assert!(name.len() <= LONGEST && name.starts_with(&prefix), "{name}");
            }
            assert_ne!(names[0], names[1]);
        }
        assert_eq!(relation("roster_v1_g1_", "documents"), "roster_v1_g1_documents");
    }
}
