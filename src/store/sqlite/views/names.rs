//! What a generation's tables are called: `roster_v1_g1_documents`.

use crate::digest::short_hash;
use crate::store::GenerationId;

const LONGEST: usize = 48;

/// What the names of all tables of this generation, and of no other, begin with.
pub(super) fn prefix(generation_id: &GenerationId) -> String {
    format!("{}_v{}_g{}_", readable(&generation_id.name), generation_id.version, generation_id.generation)
}

/// The quoted name of a table with this prefix.
pub(super) fn table(prefix: &str, table: &str) -> String {
    format!("\"{prefix}{}\"", table.replace('"', "\"\""))
}

/// The projection's name, if it is an identifier that cannot be taken for another's prefix; else its hash.
fn readable(name: &str) -> String {
    let identifier = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && name.len() <= LONGEST;
    let like_ours = name.starts_with("sqlite") || name.starts_with("x0") || has_version(name);
    if identifier && !like_ours {
        return name.to_owned();
    }
    format!("x0{}", short_hash(name))
}

/// Whether it holds something like `_v1`.
fn has_version(name: &str) -> bool {
    name.match_indices("_v").any(|(at, _)| name[at + 2..].starts_with(|c: char| c.is_ascii_digit()))
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
