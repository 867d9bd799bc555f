//! Any text: as the key of a view, in a field, in a reference; and as the key of an event that fails.

use std::sync::atomic::AtomicBool;

use futures::TryStreamExt;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::projections::audit::{AuditLog, AuditQuery};
use crate::projections::metrics::{MetricQuery, Metrics};
use crate::store::{Cell, Column, OnConflict, Table};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "note", topic = "notes")]
pub enum NoteEvent {
    #[event(update, "{actor} noted {text}", topic("notes/{key}"))]
    Noted { key: String, text: String },
    #[event(delete, "{actor} tore a note")]
    Torn { key: String },
}

/// The last text under each key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
    times: i64,
}

static BROKEN: AtomicBool = AtomicBool::new(false);
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const POISON: &str = "poison";
const POISONED_KEY: &str = "a key that fails";

impl DocumentView for Note {
    const NAME: &'static str = "notes";
    const FIELDS: &'static [Field<Self>] =
        &[Field::text("text", |note| Some(note.text.clone())), Field::number("times", |note| Some(note.times))];
    type Key = String;
    type Events = NoteEvent;
}

impl On<NoteEvent> for Note {
    fn keys(event: &Recorded<NoteEvent>) -> Vec<String> {
        let (NoteEvent::Noted { key, .. } | NoteEvent::Torn { key }) = &event.event;
        assert!(key != POISONED_KEY || !BROKEN.load(Ordering::Relaxed), "no such key");
        vec![key.clone()]
    }

    fn apply(note: &mut Option<Self>, _: &String, event: &Recorded<NoteEvent>) {
        match &event.event {
            NoteEvent::Noted { text, .. } => {
                assert!(text != POISON || !BROKEN.load(Ordering::Relaxed), "no such text");
                let note = note.get_or_insert_default();
                note.text.clone_from(text);
                note.times += 1;
            }
            NoteEvent::Torn { .. } => *note = None,
        }
    }
}

const TEXTS: Table = Table::new("texts", &[Column::integer("position"), Column::text("text")], &["position"]);

/// Texts in a table of a projection's own.
struct Texts;

#[async_trait]
impl Projection for Texts {
    fn name(&self) -> &str {
        "texts"
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(transaction.create_table(&TEXTS).await?)
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut rows = Vec::new();
        for stored in batch.events {
            if let Ok(NoteEvent::Noted { text, .. }) = NoteEvent::from_stored(stored) {
                rows.push(vec![stored.position.into(), Cell::Text(text)]);
            }
        }
        Ok(transaction.insert_rows(&TEXTS, rows, OnConflict::Fail).await?)
    }
}

fn note_types() -> Arc<Types> {
    let mut types = Types::default();
    types.add::<NoteEvent>("book").unwrap();
    Arc::new(types)
}

async fn start(store: &Arc<dyn Store>) -> Projections {
    let types = note_types();
    let all: Vec<Arc<dyn Projection>> = vec![
        Arc::new(AuditLog::new(types.clone())),
        Arc::new(Metrics::new(types.clone())),
        Arc::new(Documents::<Note>::new()),
        Arc::new(Texts),
    ];
    Projections::start(store.clone(), types, all, true).await.unwrap()
}

fn noted(key: &str, text: &str) -> Happening {
    happening("book:1".parse().unwrap(), &NoteEvent::Noted { key: key.to_owned(), text: text.to_owned() })
}

fn torn(key: &str) -> Happening {
    happening("book:1".parse().unwrap(), &NoteEvent::Torn { key: key.to_owned() })
}

/// Texts of all kinds: short and long, with NUL and its escape characters, with a long common beginning, and equal
/// to the stored form of another text.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        "[\\x00\\x01\\x02ab]{0,8}",
        "(?s).{1,3}",
        Just("%_\\'\"{}/".to_owned()),
        Just("😀".to_owned())
    ];
    let long = (piece.clone(), 1_usize..4_000, "[\\x00ab]{0,2}").prop_map(|(piece, times, end)| {
        let bytes = piece.len().max(1);
        piece.repeat(times.min(9_000 / bytes).max(1)) + &end
    });
    let alike = (1_015_usize..1_030, "[\\x00\\x01äa]{0,3}").prop_map(|(length, end)| "x".repeat(length) + &end);
    let as_stored = long.clone().prop_map(|text| crate::projections::indexed_text::indexed(&text).into_owned());
    // Without a pattern, so that Postgres cannot compress it to a size that fits into an index.
    let random = vec(any::<char>(), 1_500..2_500).prop_map(String::from_iter);
    prop_oneof![2 => piece, 2 => long, 2 => random, 1 => alike, 1 => as_stored]
}

/// All pages of a list, in small steps.
async fn listed(
    projections: &Projections,
    change: impl Fn(ViewList<Note>) -> ViewList<Note>,
) -> Vec<(String, Note)> {
    let (mut found, mut cursor) = (Vec::new(), None::<ViewCursor>);
    loop {
        let mut list = change(ViewList::<Note>::new(projections.reading("notes"))).limit(7);
        if let Some(cursor) = &cursor {
            list = list.cursor(&cursor.to_string().parse().unwrap());
        }
        let page = list.await.unwrap();
        found.extend(page.documents);
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn settled(store: &Arc<dyn Store>, projections: &Projections) {
    let head = store.head().await.unwrap();
    for name in ["audit", "metrics", "notes", "texts"] {
        projections.reading(name).unwrap().caught_up(head, Some(Duration::from_secs(60))).await.unwrap();
    }
}

/// Compares the stored texts with the expected ones, by each key, by each text, and as a list.
async fn holds(projections: &Projections, expected: &BTreeMap<String, Note>) {
    let all = || expected.iter().map(|(key, note)| (key.clone(), note.clone())).collect::<Vec<_>>();
    let mut found = listed(projections, |list| list).await;
    let whole = |(key, _): &(String, Note)| key.len() <= 500;
    let short: Vec<_> = found.iter().filter(|it| whole(it)).cloned().collect();
    assert_eq!(short, all().into_iter().filter(whole).collect::<Vec<_>>(), "in the order of their keys");
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(found, all());
    let mut by_text = listed(projections, |list| list.order("text").descending()).await;
    by_text.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(by_text, all(), "each once, whatever it is ordered by");
    let json = JsonView::new(projections.reading("notes").unwrap()).unwrap();
    for (key, note) in expected {
        let found = ViewQuery::<Note>::new(projections.reading("notes"), key).await.unwrap();
        assert_eq!(found.as_ref(), Some(note), "{key:?}");
        let found = json.get(key).await.unwrap();
        assert_eq!(found, Some(serde_json::to_value(note).unwrap()));
    }
    for (key, note) in expected.iter().step_by(5) {
        let same = listed(projections, |list| list.filter("text", note.text.as_str())).await;
        assert!(same.iter().all(|(_, other)| other.text == note.text), "{:?}", note.text);
        assert!(same.iter().any(|(other, _)| other == key), "{key:?}");
        let after = ViewList::<Note>::new(projections.reading("notes")).page(3, Some(key)).await.unwrap();
        assert!(after.documents.iter().all(|(other, _)| other != key));
    }
}

/// Issue 16, 6: whatever users type, no kind of view stops, and each text is found again.
#[test]
fn any_text_is_stored_found_listed_and_rebuilt_by_every_kind_of_view() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cases = ProptestConfig { max_shrink_iters: 40, ..ProptestConfig::with_cases(4) };
    proptest!(cases, |(notes in vec((text(), text()), 40), tear in vec(any::<prop::sample::Index>(), 3))| {
        runtime.block_on(async {
            let store = memory().await;
            let projections = start(&store).await;
            let writer = Writer::new(&store);
            let mut expected: BTreeMap<String, Note> = BTreeMap::new();
            let mut log = Vec::new();
            for (key, text) in notes.iter().chain(notes.iter().step_by(3)) {
                let note = expected.entry(key.clone()).or_default();
                (note.text, note.times) = (text.clone(), note.times + 1);
                log.push(noted(key, text));
            }
            for index in &tear {
                let key = &notes[index.index(notes.len())].0;
                expected.remove(key);
                log.push(torn(key));
            }
            let texts: Vec<String> = notes.iter().chain(notes.iter().step_by(3)).map(|it| it.1.clone()).collect();
            let (first, second) = log.split_at(log.len() / 2);
            for part in [first, second] {
                writer.append(part.to_vec()).await;
                settled(&store, &projections).await;
            }
            holds(&projections, &expected).await;
            for (key, _) in notes.iter().step_by(9) {
                projections.rebuild_keys("notes", Selection::Key(key.clone())).unwrap().await.unwrap();
            }
            for (_, rebuild) in projections.rebuild_all(SkipPolicy::Refuse) {
                rebuild.unwrap().await.unwrap();
            }
            holds(&projections, &expected).await;

            let mut snapshot = projections.reading("texts").unwrap().snapshot().await.unwrap();
            let sql = format!("SELECT text FROM {} ORDER BY position", snapshot.table("texts"));
            let kept = snapshot.query(&sql, vec![]).await.unwrap();
            drop(snapshot);
            prop_assert_eq!(kept.into_iter().flatten().collect::<Vec<_>>(), texts.into_iter().map(Cell::Text).collect::<Vec<_>>());
            let audit = AuditQuery::new(projections.reading("audit").unwrap());
            prop_assert_eq!(audit.stream().try_collect::<Vec<_>>().await.unwrap().len(), log.len());
            let metric = MetricQuery::new(projections.reading("metrics").unwrap()).topic("notes").await.unwrap();
            prop_assert_eq!(metric.total, log.len() as u64);
            projections.close().await;
            store.close().await;
            Ok(())
        })?;
    });
}

async fn stopped_at(projections: &Projections, position: u64) {
    until("it stops", async || {
        let statuses = projections.statuses().await.unwrap();
        let notes = statuses.into_iter().find(|status| status.name == "notes").unwrap();
        matches!(notes.state, ProjectionState::Stopped(stop) if stop.position == Some(position))
    })
    .await;
}

async fn note(projections: &Projections, key: &str) -> Option<Note> {
    ViewQuery::<Note>::new(projections.reading("notes"), &key.to_owned()).await.unwrap()
}

/// Issue 16, 6: a failing event can be skipped under any key, even if its keys cannot be determined; it parks only
/// its key, and is applied in its order when the view is fixed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_event_is_skipped_whatever_its_key_is() {
    let _alone = ALONE.lock().await;
    let long = "k\0".repeat(4_000);
    let as_stored = crate::projections::indexed_text::indexed(&long).into_owned();
    for key in ["plain", "", "a\0b\u{1}", &long, &as_stored, "ä'\"%"] {
        BROKEN.store(true, Ordering::Relaxed);
        let store = memory().await;
        let projections = start(&store).await;
        let writer = Writer::new(&store);
        writer.append(vec![noted(key, "one"), noted(key, POISON), noted("other", "x"), noted(key, "three")]).await;
        stopped_at(&projections, 2).await;
        let letters = projections.skip("notes").await.unwrap();
        assert_eq!((letters.len(), letters[0].key.as_deref()), (1, Some(key)));
        settled(&store, &projections).await;
        assert_eq!(note(&projections, key).await.unwrap(), Note { text: "one".to_owned(), times: 1 }, "{key:?}");
        assert_eq!(note(&projections, "other").await.unwrap().text, "x");
        assert_eq!(projections.dead_letters("notes").await.unwrap().len(), 2, "what came later queues");
        let watched = ViewQuery::<Note>::new(projections.reading("notes"), &key.to_owned()).watch().await;
        assert!(watched.is_err(), "it says that something is missing under the key");
        projections.rebuild_with("notes", SkipPolicy::Keep).unwrap().await.unwrap();
        writer.append(vec![noted(key, "four"), noted("other", "y")]).await;
        settled(&store, &projections).await;
        assert_eq!(note(&projections, key).await.unwrap().times, 1);
        assert_eq!(note(&projections, "other").await.unwrap().times, 2);
        BROKEN.store(false, Ordering::Relaxed);
        assert_eq!(projections.replay("notes").await.unwrap(), 3);
        assert_eq!(note(&projections, key).await.unwrap(), Note { text: "four".to_owned(), times: 4 });
        assert_eq!(projections.dead_letters("notes").await.unwrap(), []);
        projections.close().await;
        store.close().await;
    }

    // If the keys cannot be determined, only the event itself is skipped.
    BROKEN.store(true, Ordering::Relaxed);
    let store = memory().await;
    let projections = start(&store).await;
    Writer::new(&store).append(vec![noted("a", "1"), noted(POISONED_KEY, "2"), noted("a", "3")]).await;
    stopped_at(&projections, 2).await;
    let letters = projections.skip("notes").await.unwrap();
    assert_eq!((letters.len(), &letters[0].key), (1, &None));
    settled(&store, &projections).await;
    assert_eq!(note(&projections, "a").await.unwrap().times, 2);
    BROKEN.store(false, Ordering::Relaxed);
    assert_eq!(projections.replay("notes").await.unwrap(), 1);
    assert_eq!(note(&projections, POISONED_KEY).await.unwrap().text, "2");
    projections.close().await;
    store.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    any_text_is_stored_found_listed_and_rebuilt_by_every_kind_of_view,
    a_failing_event_is_skipped_whatever_its_key_is,
}
