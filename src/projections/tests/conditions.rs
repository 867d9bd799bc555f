//! Ranges, alternatives, prefixes and counts on declared fields, compared with a list in memory.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::projections::indexed_text::indexed;

/// Texts whose order differs between collations, and texts that a store does not keep whole.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "", "a", "A", "B", "b", "ab", "a b", "a-b", "a\u{0}", "a\u{1}", "a\u{1}b", "a\u{2}", "á", "ä", "z", "Z",
        "é", "e\u{301}",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend(
        ["ß", "İ", "\u{d7ff}", "\u{e000}", "\u{ffff}", "\u{10000}", "\u{10ffff}", "9", "10", "%", "_", "\\", "'"]
            .map(str::to_owned),
    );
    texts.extend(["a".repeat(1_024), "a".repeat(1_025), "a".repeat(1_500) + "b", "ä".repeat(600)]);
    texts
}

/// The content of an account: a word, and an amount, either of which may be missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Slip {
    word: Option<String>,
    cents: Option<i64>,
}

impl DocumentView for Slip {
    const NAME: &'static str = "slips";
    const FIELDS: &'static [Field<Self>] =
        &[Field::text("word", |slip| slip.word.clone()), Field::number("cents", |slip| slip.cents)];
    type Key = AccountId;
    type Events = AccountEvent;
}

impl On<AccountEvent> for Slip {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &AccountId, event: &Recorded<AccountEvent>) {
        *document = match event.event {
            AccountEvent::Deposited { cents } => {
                let texts = texts();
                let word = texts.get(cents as usize % (texts.len() + 2)).cloned();
                Some(Slip { word, cents: Some(cents as i64 % 37 - 18).filter(|cents| *cents != 13) })
            }
            AccountEvent::Closed => None,
        };
    }
}

/// A condition, as the query has it and as the model does.
#[derive(Clone, Debug)]
enum Wanted {
    Words(Vec<String>),
    WordFrom(String),
    WordUntil(String),
    Prefix(String),
    Cents(Vec<i64>),
    CentsFrom(i64),
    CentsUntil(i64),
}

impl Wanted {
    fn add_to(&self, list: Listing) -> Listing {
        match self {
            Self::Words(words) => list.any_of("word", words),
            Self::WordFrom(word) => list.from("word", word),
            Self::WordUntil(word) => list.until("word", word),
            Self::Prefix(prefix) => list.prefix("word", prefix),
            Self::Cents(cents) => list.any_of("cents", cents.iter().copied()),
            Self::CentsFrom(cents) => list.from("cents", *cents),
            Self::CentsUntil(cents) => list.until("cents", *cents),
        }
    }

    /// Long texts are in the order of their stored forms.
    fn admits(&self, slip: &Slip) -> bool {
        let word = |test: &dyn Fn(&str) -> bool| slip.word.as_deref().is_some_and(test);
        let cents = |test: &dyn Fn(i64) -> bool| slip.cents.is_some_and(test);
        match self {
            Self::Words(words) => word(&|word| words.iter().any(|one| one == word)),
            Self::WordFrom(from) => word(&|word| indexed(word) >= indexed(from)),
            Self::WordUntil(until) => word(&|word| indexed(word) < indexed(until)),
            Self::Prefix(prefix) => word(&|word| word.starts_with(prefix)),
            Self::Cents(some) => cents(&|cents| some.contains(&cents)),
            Self::CentsFrom(from) => cents(&|cents| cents >= *from),
            Self::CentsUntil(until) => cents(&|cents| cents < *until),
        }
    }
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let word = || select(texts());
    let prefix = word().prop_map(|word| word.chars().take(word.len().min(1_000) % 7 + 1).collect::<String>());
    prop_oneof![
        vec(word(), 0..4).prop_map(Wanted::Words),
        word().prop_map(Wanted::WordFrom),
        word().prop_map(Wanted::WordUntil),
        prefix.prop_map(Wanted::Prefix),
        vec(-20..20_i64, 0..4).prop_map(Wanted::Cents),
        (-20..20_i64).prop_map(Wanted::CentsFrom),
        (-20..20_i64).prop_map(Wanted::CentsUntil),
    ]
}

type Found = Vec<(AccountId, Slip)>;

/// What a value is sorted by: its stored form.
fn sorted_by(slip: &Slip, order: &str) -> Option<(i64, String)> {
    match order {
        "word" => slip.word.as_deref().map(|word| (0, indexed(word).into_owned())),
        _ => slip.cents.map(|cents| (cents, String::new())),
    }
}

/// Mission X21: on both stores ranges, alternatives, prefixes and counts are those of a list in memory, however
/// they are cut into pages.
#[test]
fn conditions_on_fields_list_and_count_what_a_list_in_memory_does() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (store, projections, all) = runtime.block_on(async {
        let store = memory().await;
        let projections = engine(&store, vec![Arc::new(Documents::<Slip>::new())]).await;
        let deposits = (0..260).map(|number| deposit(number, number * 31)).collect();
        let receipt = Writer::new(&store).append(deposits).await;
        let query = ViewList::<Slip>::new(projections.reading("slips")).after(receipt);
        let all = query.page(10_000, None).await.unwrap().documents;
        assert_eq!(all.len(), 260);
        (store, projections, all)
    });
    let view = || ViewList::<Slip>::new(projections.reading("slips"));
    let given = (
        vec(wanted(), 0..3),
        option::of(select(&["word", "cents"][..])),
        any::<bool>(),
        1..50_usize,
        select(&["word", "cents"][..]),
    );
    let config = ProptestConfig::with_cases(150);
    let tested =
        proptest::test_runner::TestRunner::new(config).run(&given, |(wanted, order, descending, limit, by)| {
            let listing = wanted.iter().fold(Listing::default().limit(limit), |list, one| one.add_to(list));
            let mut expected: Found = all.clone();
            expected.retain(|(_, slip)| wanted.iter().all(|one| one.admits(slip)));
            let mut values: BTreeMap<(i64, String), u64> = BTreeMap::new();
            for (_, slip) in &expected {
                if let Some(value) = sorted_by(slip, by) {
                    *values.entry(value).or_default() += 1;
                }
            }
            let total = expected.len() as u64;
            if let Some(order) = order {
                expected.retain(|(_, slip)| sorted_by(slip, order).is_some());
            }
            let sort = |slip: &Slip| order.and_then(|order| sorted_by(slip, order));
            expected.sort_by_key(|(key, slip)| (sort(slip), key.text().into_owned()));
            if descending {
                expected.reverse();
            }
            let ordered = order.into_iter().fold(listing.clone(), |list, order| list.order(order));
            let ordered = if descending { ordered.descending() } else { ordered };
            let swapped = wanted.iter().any(|from| {
                wanted.iter().any(|until| match (from, until) {
                    (Wanted::WordFrom(from), Wanted::WordUntil(until)) => indexed(from) > indexed(until),
                    (Wanted::CentsFrom(from), Wanted::CentsUntil(until)) => from > until,
                    _ => false,
                })
            });
            runtime.block_on(async {
                if swapped {
                    let error = view().listing(ordered).await.unwrap_err().to_string();
                    prop_assert!(error.contains("swap `from` and `until`"), "{}", error);
                    return Ok(());
                }
                let (mut found, mut cursor) = (Found::new(), None::<ViewCursor>);
                loop {
                    let list = cursor.iter().fold(ordered.clone(), |list, cursor| list.cursor(cursor));
                    let page = view().listing(list).await.unwrap();
                    prop_assert!(page.documents.len() <= limit && page.more == page.next.is_some());
                    found.extend(page.documents);
                    let Some(next) = page.next else { break };
                    cursor = Some(next.to_string().parse().unwrap());
                }
                prop_assert_eq!(&found, &expected);
                let counted = view().listing(ordered.clone()).count().await.unwrap();
                prop_assert_eq!((counted.count, counted.values.len()), (expected.len() as u64, 0));
                let (mut counted, mut cursor) = (Vec::new(), None::<ViewCursor>);
                loop {
                    let list = cursor.iter().fold(listing.clone(), |list, cursor| list.cursor(cursor));
                    let page = view().listing(list).count_by(by).await.unwrap();
                    prop_assert_eq!(page.count, total, "the number of documents is that of the whole list");
                    prop_assert!(page.values.len() <= limit);
                    counted.extend(page.values.into_iter().map(|one| {
                        let text = one.value.text().unwrap_or_default().to_owned();
                        ((one.value.number().unwrap_or_default(), text), one.count)
                    }));
                    let Some(next) = page.next else { break };
                    cursor = Some(next.to_string().parse().unwrap());
                }
                prop_assert_eq!(counted, values.into_iter().collect::<Vec<_>>());
                Ok(())
            })
        });
    tested.unwrap();
    runtime.block_on(async {
        projections.close().await;
        store.close().await;
    });
}

/// Mission X21: also where the next character of a prefix has another length, or is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_prefix_of_each_text_selects_the_texts_that_begin_with_it() {
    let store = memory().await;
    let projections = engine(&store, vec![Arc::new(Documents::<Slip>::new())]).await;
    let receipt = Writer::new(&store).append((0..260).map(|n| deposit(n, n)).collect()).await;
    let view = || ViewList::<Slip>::new(projections.reading("slips")).after(receipt);
    let all = view().page(10_000, None).await.unwrap().documents;
    let prefixes = texts().into_iter().flat_map(|text| {
        [1, 2, usize::MAX].map(|characters| text.chars().take(characters.min(1_000)).collect::<String>())
    });
    let prefixes: std::collections::BTreeSet<String> = prefixes.filter(|prefix| prefix.len() <= 1_000).collect();
    for prefix in prefixes {
        let begins = |slip: &Slip| slip.word.as_deref().is_some_and(|word| word.starts_with(&prefix));
        let expected = all.iter().filter(|(_, slip)| begins(slip)).count() as u64;
        assert_eq!(view().prefix("word", &prefix).count().await.unwrap().count, expected, "{prefix:?}");
    }
    projections.close().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_that_cannot_be_met_is_a_clear_error() {
    let store = memory().await;
    let projections = engine(&store, vec![Arc::new(Documents::<Slip>::new())]).await;
    let receipt = Writer::new(&store).append(vec![deposit(1, 1), deposit(2, 2)]).await;
    let view = || ViewList::<Slip>::new(projections.reading("slips")).after(receipt);
    for (list, words) in [
        (view().from("cents", 3).until("cents", 2), "ends before it starts"),
        (view().prefix("cents", "1"), "a prefix needs a text field, not the number `cents`"),
        (view().prefix("word", &"a".repeat(1_021)), "a prefix has at most 1020 bytes"),
        (view().any_of("cents", 0..1_001), "at most 1000 values, not 1001"),
        (view().from("colour", 1), "no field `colour`"),
        (view().until("cents", "many"), "is a whole number"),
    ] {
        let error = list.await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let empty = view().from("cents", 2).until("cents", 2).await.unwrap();
    assert!(empty.documents.is_empty(), "an empty range is no error");
    let error = view().count_by("colour").await.unwrap_err().to_string();
    assert!(error.contains("no field `colour`"), "{error}");
    let next = view().limit(1).count_by("cents").await.unwrap().next.unwrap();
    let error = view().cursor(&next).count_by("word").await.unwrap_err().to_string();
    assert!(error.contains("the cursor belongs to another query"), "{error}");
    let error = view().cursor(&next).await.unwrap_err().to_string();
    assert!(error.contains("the cursor belongs to another query"), "{error}");
    projections.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    conditions_on_fields_list_and_count_what_a_list_in_memory_does,
    each_prefix_of_each_text_selects_the_texts_that_begin_with_it,
    a_condition_that_cannot_be_met_is_a_clear_error,
}
