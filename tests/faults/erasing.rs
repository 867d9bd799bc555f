//! Processes that are killed with -9 while they erase.

use std::path::Path;
use std::time::Duration;

use annals::personal::Keys;
use annals::prelude::*;
use annals_test_postgres::Place;
use serde::{Deserialize, Serialize};

use crate::processes::{Process, say};
use crate::{random, rounds};

annals_test_postgres::both_stores!(killed_erasures_are_completed_at_the_next_start);

/// Subjects that one process erases at once.
const SUBJECTS: u64 = 20;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "person", on = Person)]
pub enum PersonEvent {
    #[event(create, "{actor} named {person} {name}")]
    Named {
        #[event(personal)]
        name: Personal<String>,
    },
}

#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct Person {}

impl Aggregate for Person {
    const TYPE: &'static str = "person";
    type Id = PersonId;
    type Event = PersonEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, _: &PersonEvent) {}
}

/// Name a person
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NamePerson {
    #[on(Person)]
    pub person: PersonId,
    #[personal]
    pub name: String,
}

impl Handle for NamePerson {
    fn handle(&self, _: &Loaded<Person>, _: &Context) -> Result<Vec<PersonEvent>, std::convert::Infallible> {
        Ok(vec![PersonEvent::Named { name: Personal::new(self.name.clone()) }])
    }
}

/// The application, with keys in this file.
pub fn app(keys: &str) -> App {
    App::new("people").command::<NamePerson>().keys(Keys::at(format!("sqlite://{keys}")))
}

fn by() -> Context {
    Context::by(Ref::new("user", "op").unwrap())
}

fn person(round: u64, number: u64) -> String {
    format!("{round}-{number}")
}

/// The code of a process: names people, and erases them all at once.
pub async fn erase(annals: &Annals, round: u64) {
    for number in 0..SUBJECTS {
        let person = PersonId::new(person(round, number));
        annals.execute(NamePerson { person, name: "Adelheid".to_owned() }, &by()).await.unwrap();
    }
    say("ready");
    let erasing: Vec<_> = (0..SUBJECTS)
        .map(|number| {
            let (annals, subject) = (annals.clone(), Ref::new("person", &person(round, number)).unwrap());
            tokio::spawn(async move {
                // One after the other, so that a kill meets each at another step.
                tokio::time::sleep(Duration::from_millis(number * 100)).await;
                annals.erase(&subject, "asked to", &by()).await.unwrap();
                say(format!("erased {subject}"));
            })
        })
        .collect();
    for erasing in erasing {
        erasing.await.unwrap();
    }
    std::future::pending::<()>().await;
}

/// The secrets of all keys that are not destroyed, from the index and the slots.
fn secrets(file: &Path) -> Vec<(String, Vec<u8>)> {
    let connection = rusqlite::Connection::open(file).unwrap();
    let mut statement =
        connection.prepare("SELECT subject, slot FROM subject_keys WHERE erased_at IS NULL").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, usize>(1)?))).unwrap();
    let rows: Vec<(String, usize)> = rows.map(Result::unwrap).collect();
    let slots = std::fs::read(format!("{}-secrets", file.display())).unwrap();
    let secret = |slot: usize| slots[slot * 32..slot * 32 + 32].to_vec();
    let keys = rows.into_iter().map(|(subject, slot)| (subject, secret(slot)));
    keys.filter(|(_, secret)| secret.iter().any(|byte| *byte != 0)).collect()
}

fn contains(file: &Path, needle: &[u8]) -> bool {
    let bytes = std::fs::read(file).unwrap_or_default();
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// Guarantee 39: a process is killed at random moments of its erasures. The next one completes them; what was printed as erased stays
/// so; no byte of a destroyed key is in the file of keys; and each subject was decided once and completed once.
async fn killed_erasures_are_completed_at_the_next_start(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("people.keys.db");
    let keys = file.to_str().unwrap();
    // Creates the store.
    app(keys).open(place.url()).await.unwrap().close().await;
    let (mut said, mut decided) = (0, 0);
    for round in 0..rounds(3) {
        let mut process = Process::start(place.url(), &format!("erase {keys} {round}"));
        process.wait_until_it_speaks();
        let before = secrets(&file);
        assert!(before.len() as u64 >= SUBJECTS, "each subject has a key");
        tokio::time::sleep(Duration::from_millis(random(8_000))).await;
        let lines = process.kill();
        let erased: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("erased ")).collect();
        said += erased.len();

        let annals = app(keys).open(place.url()).await.unwrap();
        let remaining: Vec<String> = secrets(&file).into_iter().map(|(subject, _)| subject).collect();
        let erasures = annals.erasures().await.unwrap();
        decided = erasures.len();
        for erasure in &erasures {
            let subject = erasure.subject.to_string();
            assert!(
                !remaining.contains(&subject),
                "{subject} is erased, and its key is destroyed before the store is open"
            );
        }
        for subject in erased {
            let is_complete =
                |erasure: &&annals::personal::Erasure| erasure.subject.as_str() == subject && erasure.is_complete();
            assert!(erasures.iter().any(|erasure| is_complete(&erasure)), "{subject} was printed as erased");
        }
        let waiting = async {
            while annals.erasures().await.unwrap().iter().any(|erasure| !erasure.is_complete()) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("erasures are completed");
        let erased = annals.erasures().await.unwrap();
        for (subject, secret) in &before {
            if erased.iter().any(|erasure| erasure.subject.as_str() == subject) {
                for name in ["people.keys.db", "people.keys.db-journal", "people.keys.db-secrets"] {
                    assert!(!contains(&folder.path().join(name), secret), "the key of {subject} is in {name}");
                }
            }
        }
        annals.close().await;
    }
    let annals = app(keys).open(place.url()).await.unwrap();
    let mut events = std::collections::BTreeMap::new();
    let mut after = 0;
    loop {
        let page = annals.events(after, 1_000).await.unwrap();
        for event in page.events.iter().filter(|event| event.aggregate.kind() == "annals_subject") {
            events.entry(event.aggregate.clone()).or_insert_with(Vec::new).push(event.event_type.clone());
        }
        if page.to.position == after {
            break;
        }
        after = page.to.position;
    }
    for (subject, types) in events {
        assert_eq!(types, ["annals_subject.erasing", "annals_subject.erased"], "{subject}");
    }
    println!("{} rounds, {said} erasures said, {decided} decided", rounds(3));
    assert!(annals.check(|_, _| {}).await.unwrap().is_sound());
    annals.close().await;
}
