//! The names of a generation's tables: `roster_v1_g1_documents`.

use crate::store::GenerationId;
use crate::store::sql::identifier;

/// The longest name of a projection that is in the names of its tables, in bytes.
const LONGEST: usize = 48;

/// Returns the prefix of the names of all tables of this generation, and of no other.
pub(super) fn prefix(generation_id: &GenerationId) -> String {
    let GenerationId { name, version, generation } = generation_id;
    format!("{}_v{version}_g{generation}_", identifier(name, &["sqlite", "x0"], LONGEST))
}

/// Returns the quoted name of a table with this prefix.
pub(super) fn table(prefix: &str, table: &str) -> String {
    format!("\"{prefix}{}\"", table.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, generation: u64) -> String {
        prefix(&GenerationId { name: name.to_owned(), version: 1, generation })
    }

    #[test]
    fn no_generation_has_the_prefix_of_another() {
        let names = ["a", "a_v1_g1", "a_v1_g1_b", "a_v", "x0", "Kunde's \"Liste\"; --", "", "sqlite_x", "Ä"];
        let all: Vec<String> = names.iter().flat_map(|name| [of(name, 1), of(name, 11)]).collect();
        for (index, one) in all.iter().enumerate() {
            for (other_index, other) in all.iter().enumerate() {
                assert!(index == other_index || !one.starts_with(other.as_str()), "{one} {other}");
            }
        }
        assert_eq!(table(&of("roster", 2), "documents"), "\"roster_v1_g2_documents\"");
    }
}
