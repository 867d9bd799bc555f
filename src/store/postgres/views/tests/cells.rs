//! Cells as parameters, and columns of all types as cells.

use super::*;
use crate::store::Cell;

/// NULL, text, integers, floating-point numbers and bytes are read as they were written; a value of another type becomes the
/// nearest cell.
#[tokio::test]
async fn columns_of_all_types_become_cells() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    for (sql, expected) in [
        ("NULL", Cell::Null),
        ("NULL::bigint", Cell::Null),
        ("'a ä'", "a ä".into()),
        ("'x'::varchar(3)", "x".into()),
        ("'x'::name", "x".into()),
        ("'{\"a\": 1}'::json", "{\"a\": 1}".into()),
        ("'{\"a\":1}'::jsonb", "{\"a\": 1}".into()),
        ("9223372036854775807", Cell::Integer(i64::MAX)),
        ("-5::int", Cell::Integer(-5)),
        ("-5::smallint", Cell::Integer(-5)),
        ("true", Cell::Integer(1)),
        ("false", Cell::Integer(0)),
        ("1.5::float8", Cell::Real(1.5)),
        ("1.5::float4", Cell::Real(1.5)),
        ("'\\x00ff'::bytea", Cell::Bytes(vec![0, 255])),
        ("'01890a5d-ac96-774b-bcce-b302099a8057'::uuid", "01890a5d-ac96-774b-bcce-b302099a8057".into()),
        ("sum(x) FROM (VALUES (9000000000000000000), (7)) v (x)", Cell::Integer(9_000_000_000_000_000_007)),
        ("sum(x) FROM (VALUES (-20000), (-7)) v (x)", Cell::Integer(-20_007)),
        ("0::numeric", Cell::Integer(0)),
        ("-123456.0078::numeric", Cell::Real(-123_456.007_8)),
        ("0.00000012::numeric", Cell::Real(0.000_000_12)),
        ("100000000000000000000::numeric", Cell::Real(1e20)),
        ("10000.50::numeric", Cell::Real(10_000.5)),
        ("'2026-01-31 12:00:00.5+01'::timestamptz", "2026-01-31T11:00:00.5Z".into()),
        ("'1969-01-31 12:00:00'::timestamp", "1969-01-31T12:00:00".into()),
        ("'1999-12-31'::date", "1999-12-31".into()),
    ] {
        let rows = transaction.query(&format!("SELECT {sql}"), vec![]).await.expect(sql);
        assert_eq!(rows, [vec![expected]], "{sql}");
    }
    let nan = transaction.query("SELECT 'NaN'::numeric", vec![]).await.unwrap();
    assert!(matches!(nan[0][0], Cell::Real(number) if number.is_nan()), "{nan:?}");
    let error = transaction.query("SELECT '1 day'::interval", vec![]).await.unwrap_err();
    assert!(format!("{error:?}").contains("cast it"), "{error:?}");
}

#[tokio::test]
async fn cells_are_bound_as_their_own_types_and_null_as_any() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    let table = transaction.table("kinds");
    let columns =
        ["text", "bigint", "integer", "smallint", "float8", "boolean", "bytea", "jsonb", "uuid", "numeric"];
    let list = columns.map(|kind| format!("{kind}_ {kind}")).join(", ");
    transaction.execute(&format!("CREATE TABLE {table} ({list}, stamp timestamptz)"), vec![]).await.unwrap();
    let places = "$1, $2, $3, $4, $5, $6::int::boolean, $7, $8::jsonb, $9::uuid, $10, $11::timestamptz";
    let insert = format!("INSERT INTO {table} VALUES ({places})");
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let full: Row = vec![
        "é\0\u{1}\u{1}\0\u{2}".into(),
        Cell::Integer(i64::MIN),
        Cell::Integer(7),
        Cell::Integer(-7),
        Cell::Real(0.1),
        Cell::Integer(1),
        Cell::Bytes(vec![0, 1, 2]),
        "{\"a\": [1, 2]}".into(),
        id.into(),
        Cell::Integer(12),
        "2026-01-31T11:00:00Z".into(),
    ];
    let empty: Row = vec![Cell::Null; 11];
    for row in [&empty, &full, &empty, &full] {
        transaction.execute(&insert, row.clone()).await.unwrap();
    }
    let rows = transaction.query(&format!("SELECT * FROM {table} ORDER BY 1, ctid"), vec![]).await.unwrap();
    assert_eq!(rows, [full.clone(), full, empty.clone(), empty]);
    let found = transaction.query("SELECT $1::text, $2 + 1, $1 IS NULL", vec![Cell::Null, Cell::Integer(1)]).await;
    assert_eq!(found.unwrap(), [vec![Cell::Null, Cell::Integer(2), Cell::Integer(1)]]);
}

#[tokio::test]
async fn a_parameter_that_does_not_fit_is_refused() {
    let schema = Schema::new().await;
    let views = schema.views();
    for (columns, row) in [
        ("small, note", vec![Cell::Bytes(vec![0, 1]), "x".into()]),
        ("note, small", vec!["x".into(), "12345678".into()]),
        ("note, small", vec!["x".into(), Cell::Integer(40_000)]),
        ("note, small", vec!["x".into()]),
    ] {
        let mut transaction = open(&views).await;
        let table = transaction.table("kinds");
        transaction.execute(&format!("CREATE TABLE {table} (note text, small smallint)"), vec![]).await.unwrap();
        let insert = format!("INSERT INTO {table} ({columns}) VALUES ($1, $2)");
        let fitting = vec!["x".into(), Cell::Integer(1)];
        if columns.starts_with("note") {
            transaction.execute(&insert, fitting).await.unwrap();
        }
        transaction.execute(&insert, row.clone()).await.expect_err(&format!("{columns} {row:?}"));
    }
}

#[tokio::test]
async fn several_statements_and_transaction_control_are_refused() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    let error = transaction.execute("SELECT 1; SELECT 2", vec![]).await.unwrap_err();
    assert!(format!("{error:?}").contains("several statements"), "{error:?}");
    transaction.commit().await.unwrap_err();
    let mut transaction = open(&views).await;
    for sql in ["COMMIT", "rollback", "/* x */ BEGIN", "", " ; ", "SET search_path = x"] {
        assert!(transaction.execute(sql, vec![]).await.is_err(), "{sql}");
    }
    assert_eq!(transaction.query("SELECT ';' ; -- ;", vec![]).await.unwrap(), [vec![Cell::from(";")]]);
    let found = transaction.query("SELECT $1::text;", vec!["a".into()]).await.unwrap();
    assert_eq!(found, [vec![Cell::from("a")]]);
    transaction.commit().await.unwrap();
}
