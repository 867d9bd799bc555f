//! [`Table`]: a projection's table as data, which each store writes in its own SQL.

use std::borrow::Cow;

use super::{Cell, Row};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Signed 64-bit integers.
    Integer,
    /// 64-bit floating-point numbers.
    Real,
    /// Text, compared by its bytes.
    Text,
    /// Bytes, stored without compression.
    Bytes,
}

/// A column of a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name, not quoted.
    pub name: &'static str,
    /// The type of its values.
    pub column_type: ColumnType,
    /// Whether it takes NULL.
    pub nullable: bool,
}

impl Column {
    /// A column that does not take NULL.
    pub const fn new(name: &'static str, column_type: ColumnType) -> Self {
        Self { name, column_type, nullable: false }
    }

    /// A column of integers.
    pub const fn integer(name: &'static str) -> Self {
        Self::new(name, ColumnType::Integer)
    }

    /// A column of text.
    pub const fn text(name: &'static str) -> Self {
        Self::new(name, ColumnType::Text)
    }

    /// A column of bytes.
    pub const fn bytes(name: &'static str) -> Self {
        Self::new(name, ColumnType::Bytes)
    }

    /// The column, which takes NULL too.
    #[must_use]
    pub const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }
}

/// A table of a projection.
///
/// ```
/// use annals::store::{Column, Table};
///
/// const BALANCES: Table =
///     Table::new("balances", &[Column::text("account"), Column::integer("cents")], &["account"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The name within the generation.
    pub name: &'static str,
    /// The columns, in the order of the values of a row.
    pub columns: Cow<'static, [Column]>,
    /// The names of the columns of the primary key; empty if the table has none.
    pub key: &'static [&'static str],
}

/// An index of a [`Table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The name within the generation. Tables and indexes share one set of names.
    pub name: Cow<'static, str>,
    /// The names of its columns.
    pub columns: Vec<&'static str>,
    /// Whether no two rows may have the same values in these columns.
    pub unique: bool,
    /// Whether rows with NULL in the first column are left out.
    pub skips_null: bool,
}

impl Index {
    /// An index of all rows by these columns.
    pub fn new(name: impl Into<Cow<'static, str>>, columns: &[&'static str]) -> Self {
        Self { name: name.into(), columns: columns.to_vec(), unique: false, skips_null: false }
    }

    /// The index, which refuses two rows with the same values.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// The index without the rows that have NULL in its first column.
    #[must_use]
    pub fn skipping_null(mut self) -> Self {
        self.skips_null = true;
        self
    }
}

/// What an insert does with a row whose primary key is in the table already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// It fails.
    Fail,
    /// It keeps the row that is there.
    Keep,
    /// It replaces the row that is there; of several given rows with one key the last one stays.
    Replace,
}

impl Table {
    /// A table with these columns and this primary key.
    pub const fn new(name: &'static str, columns: &'static [Column], key: &'static [&'static str]) -> Self {
        Self { name, columns: Cow::Borrowed(columns), key }
    }

    /// The table without its primary key, to be filled in any order: see
    /// [`Transaction::add_key`](super::Transaction::add_key).
    #[must_use]
    pub fn without_key(&self) -> Self {
        Self { key: &[], ..self.clone() }
    }

    /// Returns the column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the values of the primary key in a row of this table.
    #[must_use]
    pub fn key_of<'r>(&self, row: &'r Row) -> Vec<&'r Cell> {
        let place = |name: &&str| self.columns.iter().position(|column| column.name == *name);
        self.key.iter().filter_map(|name| row.get(place(name)?)).collect()
    }

    /// Returns the quoted names of all columns: `"a", "b"`.
    #[must_use]
    pub fn column_list(&self) -> String {
        list(self.columns.iter().map(|column| quoted(column.name)))
    }

    /// Returns the quoted names of the columns of the primary key.
    #[must_use]
    pub fn key_list(&self) -> String {
        list(self.key.iter().map(quoted))
    }

    /// Returns the definitions of the columns and the key, as in `CREATE TABLE name (…)`.
    pub fn definitions(&self, type_name: impl Fn(ColumnType) -> &'static str) -> String {
        let columns = self.columns.iter().map(|column| {
            let not_null = if column.nullable { "" } else { " NOT NULL" };
            format!("{} {}{not_null}", quoted(column.name), type_name(column.column_type))
        });
        let key = (!self.key.is_empty()).then(|| format!("PRIMARY KEY ({})", self.key_list()));
        list(columns.chain(key))
    }

    /// `INSERT` of what `rows` gives: `VALUES ($1, $2)`, or a query.
    pub(super) fn insert_sql(&self, name: &str, rows: &str, conflict: OnConflict) -> String {
        let insert = format!("INSERT INTO {name} ({}) {rows}", self.column_list());
        let key = self.key_list();
        let others = || self.columns.iter().filter(|column| !self.key.contains(&column.name));
        match conflict {
            OnConflict::Fail => insert,
            OnConflict::Replace if others().next().is_some() => {
                let set = list(others().map(|column| {
                    let column = quoted(column.name);
                    format!("{column} = excluded.{column}")
                }));
                format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {set}")
            }
            OnConflict::Keep | OnConflict::Replace => format!("{insert} ON CONFLICT ({key}) DO NOTHING"),
        }
    }

    /// `VALUES ($1, $2)`: a parameter for each column.
    pub(super) fn values(&self) -> String {
        format!("VALUES ({})", list((1..=self.columns.len()).map(parameter)))
    }

    /// `DELETE` of the row with a key. `using` names where the values of the key come from, `value` each of them, from 1.
    pub(super) fn delete_sql(&self, name: &str, using: &str, value: impl Fn(usize) -> String) -> String {
        format!("DELETE FROM {name} AS t{using} WHERE {}", equal(self.key, value))
    }

    /// `SELECT` of the row in which the columns `by` have given values; the last in the order of the primary key if `by`
    /// is the beginning of that.
    pub(super) fn select_sql(
        &self,
        name: &str,
        by: &[&str],
        columns: &[&str],
        value: impl Fn(usize) -> String,
    ) -> String {
        let columns = list(columns.iter().map(|column| format!("t.{}", quoted(column))));
        let rest = self.key.strip_prefix(by).unwrap_or_default();
        let order = match rest.is_empty() {
            true => String::new(),
            false => {
                format!(" ORDER BY {}", list(rest.iter().map(|column| format!("t.{} DESC", quoted(column)))))
            }
        };
        format!("SELECT {columns} FROM {name} AS t WHERE {}{order} LIMIT 1", equal(by, value))
    }
}

impl Index {
    /// Returns what follows the name of the table in `CREATE INDEX name ON table (…) WHERE …`.
    #[must_use]
    pub fn definition(&self) -> String {
        let only = match self.columns.first().filter(|_| self.skips_null) {
            Some(first) => format!(" WHERE {} IS NOT NULL", quoted(first)),
            None => String::new(),
        };
        format!("({}){only}", list(self.columns.iter().map(quoted)))
    }
}

/// `$n`
pub(super) fn parameter(number: usize) -> String {
    format!("${number}")
}

/// `t."a" = $1 AND t."b" = $2`
fn equal(columns: &[&str], value: impl Fn(usize) -> String) -> String {
    let equal = |(number, column)| format!("t.{} = {}", quoted(column), value(number));
    (1..).zip(columns).map(equal).collect::<Vec<_>>().join(" AND ")
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// An identifier, quoted for use in SQL.
pub(super) fn quoted(name: impl AsRef<str>) -> String {
    format!("\"{}\"", name.as_ref().replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Table = Table::new(
        "names",
        &[Column::text("reference"), Column::integer("position"), Column::text("name").nullable()],
        &["reference", "position"],
    );

    #[test]
    fn an_index_leaves_out_rows_with_null_only_on_request() {
        let index = Index::new("by_name", &["name", "position"]);
        assert_eq!(index.definition(), r#"("name", "position")"#);
        assert_eq!(index.skipping_null().definition(), r#"("name", "position") WHERE "name" IS NOT NULL"#);
    }

    #[test]
    fn a_table_writes_its_definitions_and_statements() {
        let type_name = |column_type| if column_type == ColumnType::Text { "TEXT" } else { "BIGINT" };
        assert_eq!(
            NAMES.definitions(type_name),
            r#""reference" TEXT NOT NULL, "position" BIGINT NOT NULL, "name" TEXT, PRIMARY KEY ("reference", "position")"#
        );
        let insert = NAMES.insert_sql("n", &NAMES.values(), OnConflict::Replace);
        assert_eq!(
            insert,
            r#"INSERT INTO n ("reference", "position", "name") VALUES ($1, $2, $3) ON CONFLICT ("reference", "position") DO UPDATE SET "name" = excluded."name""#
        );
        assert_eq!(
            NAMES.delete_sql("n", "", parameter),
            r#"DELETE FROM n AS t WHERE t."reference" = $1 AND t."position" = $2"#
        );
        assert_eq!(
            NAMES.select_sql("n", &["reference"], &["name"], parameter),
            r#"SELECT t."name" FROM n AS t WHERE t."reference" = $1 ORDER BY t."position" DESC LIMIT 1"#
        );
        assert_eq!(
            NAMES.select_sql("n", &["name"], &["position"], parameter),
            r#"SELECT t."position" FROM n AS t WHERE t."name" = $1 LIMIT 1"#
        );
    }
}
