//! [`fingerprint`]: a version derived from declarations, for projections whose rows depend on them.

use crate::digest::{PartsDigest, first_48_bits};
use crate::events::Types;

/// A version that changes with `layout` (of the projection's tables) and with every declaration of what an event is
/// about: its name, old names, version, action, topics, fields, targets, aggregate.
///
/// A projection whose rows depend on declarations returns this as its version. When they change it is rebuilt,
/// unless its [`Basis`](super::Basis) shows that the rows would be the same. Sentences are not included: they are
/// made on read.
#[must_use]
pub fn fingerprint(layout: u64, types: &Types) -> u64 {
    let mut hash = PartsDigest::default();
    let mut part = |text: &str| hash.add(text);
    part(&layout.to_string());
    for known in types.iter() {
        let declaration = known.declaration;
        part("event");
        part(known.aggregate_type);
        part(declaration.event_type);
        part(&declaration.version_text());
        part(declaration.action.as_str());
        for (kind, names) in [("was", declaration.was), ("topic", declaration.topics)] {
            for name in names {
                part(kind);
                part(name);
            }
        }
        for field in declaration.fields {
            part(if field.target { "target" } else { "field" });
            part(field.name);
        }
    }
    first_48_bits(&hash.finish())
}
