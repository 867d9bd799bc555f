//! CSV for spreadsheets.

use super::*;

/// An id may contain any separator, so targets are JSON. The mark is only at the very beginning.
#[tokio::test]
async fn targets_in_csv_are_unambiguous_and_a_byte_order_mark_is_an_option() {
    let annals = story().await;
    let spaced = team(&annals, "1", "8", joined(&["a b", "c,d\"e", "f\ng"], &["dev"])).await;
    annals.audit().after(spaced).page().await.unwrap();
    let (_, plain) = exported(annals.audit(), Format::Csv).await;
    let targets = records(&plain)[0].iter().position(|column| column == "targets").unwrap();
    let read: Vec<String> = serde_json::from_str(&records(&plain)[4][targets]).unwrap();
    assert_eq!(read, ["team:8", "user:a b", "user:c,d\"e", "user:f\ng"]);
    for (format, mark) in [(Format::Csv, "\u{feff}"), (Format::Jsonl, ""), (Format::Ocel, "")] {
        let (_, without) = exported(annals.audit(), format).await;
        let mut file = Vec::new();
        annals.audit().export(format).byte_order_mark(true).to(&mut file).await.unwrap();
        assert_eq!(String::from_utf8(file).unwrap(), format!("{mark}{without}"), "{format}");
    }
    annals.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    targets_in_csv_are_unambiguous_and_a_byte_order_mark_is_an_option,
}
