//! The types that cells are bound as.

use sqlx::postgres::types::Oid;

/// A type of a parameter, by what is sent for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of text, [escaped](super::escape).
    Text,
    /// Bytes of text, as they are.
    Json,
    /// A byte for the version, then text.
    Jsonb,
    /// A whole number of so many bytes.
    Integer(u8),
    /// A floating-point number of so many bytes.
    Real(u8),
    Bool,
    Bytes,
    Uuid,
    /// Of any other type only NULL can be bound.
    Other,
}

/// A type of the database that cells can be bound as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type {
    pub oid: Oid,
    pub array: Oid,
    pub name: &'static str,
    pub kind: Kind,
}

/// They have these numbers in every database.
const TYPES: &[Type] = &[
    known(25, 1009, "text", Kind::Text),
    known(20, 1016, "bigint", Kind::Integer(8)),
    known(23, 1007, "integer", Kind::Integer(4)),
    known(21, 1005, "smallint", Kind::Integer(2)),
    known(701, 1022, "double precision", Kind::Real(8)),
    known(700, 1021, "real", Kind::Real(4)),
    known(16, 1000, "boolean", Kind::Bool),
    known(17, 1001, "bytea", Kind::Bytes),
    known(2950, 2951, "uuid", Kind::Uuid),
    known(114, 199, "json", Kind::Json),
    known(3802, 3807, "jsonb", Kind::Jsonb),
    known(1043, 1015, "character varying", Kind::Text),
    known(1042, 1014, "character", Kind::Text),
    known(19, 1003, "name", Kind::Text),
];

const fn known(oid: u32, array: u32, name: &'static str, kind: Kind) -> Type {
    Type { oid: Oid(oid), array: Oid(array), name, kind }
}

impl Type {
    pub(super) fn of(oid: u32) -> Self {
        let other =
            || known(oid, 0, "a type that takes no such value (bind text and cast it: `$1::text::…`)", Kind::Other);
        TYPES.iter().find(|known| known.oid.0 == oid).copied().unwrap_or_else(other)
    }

    /// Whether two cells that are not equal are never one value, in a column of this type: blanks at the end of
    /// `character` do not count, nor do the spaces in JSON, nor has zero a sign.
    pub(super) fn is_exact(self) -> bool {
        match self.kind {
            Kind::Text => matches!(self.name, "text" | "character varying" | "name"),
            Kind::Integer(_) | Kind::Bytes => true,
            Kind::Json | Kind::Jsonb | Kind::Real(_) | Kind::Bool | Kind::Uuid | Kind::Other => false,
        }
    }
}
