//! The subcommand `view`: conditions, counts and pages.

use std::fmt::Write;

use annals::commands::Envelope;
use annals_test_postgres::Place;
use futures::{StreamExt, stream};

use crate::bank::{app, by, deposit};
use crate::foreign_text::{complaint, output};

annals_test_postgres::both_stores! {
    documents_are_selected_and_counted_on_the_command_line,
    a_list_and_a_count_of_more_than_a_thousand_are_whole,
}

/// Deposits of these amounts, each into an account of its own.
async fn paid(place: &Place, amounts: impl IntoIterator<Item = (String, i64)>) {
    let annals = app().open(place.url()).await.unwrap();
    let amounts: Vec<_> = amounts.into_iter().collect();
    let commands = stream::iter(amounts).map(|(name, cents)| Envelope::new(deposit(&name, cents), by("alice")));
    annals.execute_all(commands, 64).for_each(async |receipt| _ = receipt.unwrap()).await;
    annals.close().await;
}

/// Mission X21, on the command line.
async fn documents_are_selected_and_counted_on_the_command_line(place: &Place) {
    let amounts = [("a", 5), ("b", 50), ("c", 500), ("d", 5_000), ("e", 50)];
    paid(place, amounts.map(|(name, cents)| (name.to_owned(), cents))).await;
    for (conditions, expected) in [
        (&["--from", "cents=50"][..], "bcde"),
        (&["--from", "cents=50", "--until", "cents=500"], "be"),
        (&["--until", "cents=50"], "a"),
        (&["--any", "cents=5", "--any", "cents=500"], "ac"),
        (&["--any", "cents=5", "--any", "cents=500", "--filter", "size=large"], "c"),
        (&["--filter", "size=large"], "cd"),
        (&["--filter", "cents=50", "--filter", "cents=5"], ""),
        (&["--prefix", "size=sm"], "abe"),
        (&["--prefix", "size=%"], ""),
        (&["--prefix", "size=sm", "--from", "cents=50"], "be"),
    ] {
        let listed = output(place, &[&["view", "balance"], conditions].concat());
        let keys: String = listed.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(keys, expected, "{conditions:?}: {listed}");
        let json = output(place, &[&["view", "balance", "--format", "json"], conditions].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json.as_array().unwrap().len(), expected.len(), "{conditions:?}: {json}");
        let counted = output(place, &[&["view", "balance", "--count"], conditions].concat());
        assert_eq!(counted, expected.len().to_string(), "{conditions:?}");
    }
    assert_eq!(output(place, &["view", "balance", "--count-by", "size"]), "large\t2\nsmall\t3");
    let some = output(place, &["view", "balance", "--count-by", "cents", "--from", "cents=50"]);
    assert_eq!(some, "50\t2\n500\t1\n5000\t1");
    for (arguments, why) in [
        (&["--from", "cents=3", "--until", "cents=2"][..], "swap `from` and `until`"),
        (&["--prefix", "cents=1"], "a prefix needs a text field"),
        (&["--any", "colour=red"], "no field `colour`"),
        (&["--until", "cents"], "write FIELD=VALUE"),
        (&["--count-by", "colour"], "no field `colour`"),
        (&["--from", "cents=many"], "is a whole number"),
    ] {
        let said = complaint(place, &[&["view", "balance"], arguments].concat());
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

/// The program reads a thousand at a time.
async fn a_list_and_a_count_of_more_than_a_thousand_are_whole(place: &Place) {
    paid(place, (1..=1_005).map(|n| (format!("{n:04}"), n))).await;
    let listed = output(place, &["view", "balance", "--order", "cents", "--descending"]);
    let keys: Vec<&str> = listed.lines().filter_map(|line| line.split('\t').next()).collect();
    let expected: Vec<String> = (1..=1_005).rev().map(|n| format!("{n:04}")).collect();
    assert_eq!(keys, expected);
    let mut expected = String::new();
    (1..=1_005).for_each(|n| writeln!(expected, "{n}\t1").unwrap());
    assert_eq!(output(place, &["view", "balance", "--count-by", "cents"]), expected.trim_end());
    assert_eq!(output(place, &["view", "balance", "--count"]), "1005");
}
