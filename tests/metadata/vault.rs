//! The application: files with titles, texts and numbers that only some may read; rights with reasons; and a log whose values are
//! secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use annals::access::{Access, DenyAccess, GrantAccess, RecordToken, RequestAccess, RevokeAccess, Right};
use annals::app::{AccessContext, Ask, Denial, Detail};
use annals::events::Origin;
use annals::prelude::*;
use annals::projections::display_names::Names;
use annals::projections::export::Format;
use annals::projections::flows::Flows;
use annals::projections::provenance::Agents;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::undecodable::Pages;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(String);

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "file", topic = "vault/file", on = File)]
pub enum FileEvent {
    #[event(
        create,
        "{actor} stored {file} for {owner} as {title}: {text}, {pages} {pages|page|pages}, {tags} {tags|tag|tags}, {note}",
        topic("vault/file", "vault/owner/{owner}")
    )]
    Stored {
        title: String,
        text: String,
        pages: Pages,
        tags: Vec<String>,
        note: Option<String>,
        #[event(target)]
        owner: UserId,
    },
    #[event(update, "{actor} edited {file} from {text.from} to {text.to}")]
    Edited { text: Change<String>, pages: Change<Pages> },
    #[event(update, "{actor} gave {file} to {owner.to}, not {owner.from.id}")]
    Given {
        #[event(target)]
        owner: Change<UserId>,
    },
    #[event(delete, "{actor} shredded {file}")]
    Shredded,
}

impl Names for FileEvent {
    fn names(event: &Recorded<Self>) -> Vec<(Ref, String)> {
        match &event.event {
            Self::Stored { title, .. } => vec![(event.aggregate.clone(), title.clone())],
            _ => Vec::new(),
        }
    }
}

#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct File {
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("the file contains {0}")]
    Kept(String),
}

impl Aggregate for File {
    const TYPE: &'static str = "file";
    type Id = FileId;
    type Event = FileEvent;
    type Error = FileError;

    fn apply(&mut self, event: &FileEvent) {
        match event {
            FileEvent::Stored { text, .. } | FileEvent::Edited { text: Change { to: text, .. }, .. } => {
                self.text.clone_from(text);
            }
            FileEvent::Given { .. } | FileEvent::Shredded => {}
        }
    }
}

/// Write what happened to a file
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WriteFile {
    #[on(File)]
    pub file: FileId,
    /// The event, as JSON
    pub event: String,
}

impl Handle for WriteFile {
    fn handle(&self, file: &Loaded<File>, _: &Context) -> Result<Vec<FileEvent>, FileError> {
        let refused = || FileError::Kept(file.text.clone());
        Ok(vec![serde_json::from_str(&self.event).map_err(|_| refused())?])
    }
}

/// The text of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Texts {
    pub text: String,
    pub pages: i64,
}

impl DocumentView for Texts {
    const NAME: &'static str = "texts";
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("text", |file| Some(file.text.chars().take(50).collect())),
        Field::number("pages", |file| Some(file.pages)),
    ];
    type Key = FileId;
    type Events = FileEvent;
}

impl On<FileEvent> for Texts {
    fn keys(event: &Recorded<FileEvent>) -> Vec<FileId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &FileId, event: &Recorded<FileEvent>) {
        match &event.event {
            FileEvent::Stored { text, pages, .. } => {
                *document = Some(Self { text: text.clone(), pages: pages.number() })
            }
            FileEvent::Edited { text, pages } => {
                *document = Some(Self { text: text.to.clone(), pages: pages.to.number() });
            }
            FileEvent::Given { .. } => {}
            FileEvent::Shredded => *document = None,
        }
    }
}

const FRENCH: &str = "
nothing = rien
field-title = titre
field-text = texte
field-pages = pages
field-tags = mots
field-note = remarque
field-owner = propriétaire
file =
    .stored = { $actor } a rangé { $file } de { $owner } sous { $title } : { $text }, { $pages ->
        [one] une page
       *[other] { $pages } pages
    }, { $tags-count ->
        [one] un mot
       *[other] des mots
    } { $tags }, { $note }
    .edited = { $actor } a changé { $file } de { $text-from } à { $text-to }
    .given = { $actor } a donné { $file } à { $owner-to }, plus à { $owner-from }
    .shredded = { $actor } a détruit { $file }
";

/// How many files are stored.
pub const FILES: usize = 12;

/// The time at which everything is read.
pub const NOW: &str = "2026-03-01T12:00:00Z";

pub fn app() -> App {
    App::new("vault")
        .command::<WriteFile>()
        .view::<Texts>()
        .names::<FileEvent>()
        .metrics_by_occurrence()
        .provenance(Agents::default())
        .flows(Flows::default())
        .proofs()
        .locale("fr", FRENCH)
}

/// The application with rights in its log.
pub fn shared_app() -> App {
    app().access(Access::new())
}

/// The application as it is read: by a reader of metadata, by an operator, and by a reader of everything. What its own authoriser
/// allows, their grants allow too.
pub fn read_app() -> App {
    shared_app().authorise(rights).clock(|| NOW.parse().unwrap())
}

/// The same without rights in the log, which are read to refuse something.
pub fn read_files_app() -> App {
    app().authorise(rights).clock(|| NOW.parse().unwrap())
}

fn rights(access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
    match (access.actor().as_str(), ask) {
        ("user:root", _)
        | ("user:ann", Ask::Command { .. })
        | ("user:operator", Ask::Operate { .. })
        | (
            "user:meta" | "user:operator",
            Ask::Audit { detail: Detail::Metadata, .. } | Ask::Catalogue | Ask::Metric { .. },
        ) => Ok(()),
        _ => Err(Denial::because("only metadata")),
    }
}

pub fn by(actor: &str) -> Context {
    Context::by(Ref::new("user", actor).unwrap()).correlation("c-1")
}

/// The command that stores a file with secret values.
pub fn storing(file: &str, secret: &Secret) -> WriteFile {
    let event = FileEvent::Stored {
        title: secret.text.clone(),
        text: secret.text.clone(),
        pages: Pages::Number(secret.number),
        tags: secret.list(),
        note: secret.option(),
        owner: UserId::new("bob"),
    };
    WriteFile { file: FileId::new(file), event: serde_json::to_string(&event).unwrap() }
}

pub fn writing(file: &str, event: &FileEvent) -> WriteFile {
    WriteFile { file: FileId::new(file), event: serde_json::to_string(event).unwrap() }
}

/// Writes a log: files with secret values, refused commands whose reasons are secret, reads that ask for a secret, and rights with
/// secret reasons. Two logs differ in nothing but the secret, ids and times.
pub async fn write(url: &str, secret: &Secret) {
    let clock = write_files(url, secret).await;
    let annals = shared_app().clock(clock).open_without_following(url).await.unwrap();
    write_rights(&annals, &secret.reason()).await;
    annals.close().await;
}

/// Writes a log without rights. Returns its clock.
pub async fn write_files(url: &str, secret: &Secret) -> impl Fn() -> Timestamp + Clone + Send + Sync + 'static {
    let seconds = Arc::new(AtomicI64::new("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second()));
    let tick = seconds.clone();
    let clock = move || Timestamp::from_second(seconds.load(Ordering::SeqCst)).unwrap();
    let annals = app().record_reads().record_refusals().clock(clock.clone()).open(url).await.unwrap();
    let later = || tick.fetch_add(60, Ordering::SeqCst);
    for file in 0..FILES {
        let origin = Origin { path: Some(secret.path()), ..Origin::default() };
        annals.execute(storing(&file.to_string(), secret), &by("ann").origin(origin)).await.unwrap();
        later();
    }
    // More than a page of text, if the secret is rich.
    let large = Change { from: secret.text.clone(), to: secret.large() };
    let pages = Change { from: Pages::Number(secret.number), to: Pages::Number(secret.number) };
    annals.execute(writing("4", &FileEvent::Edited { text: large, pages }), &by("ann")).await.unwrap();
    later();
    let text = Change { from: secret.text.clone(), to: secret.changed() };
    let pages = Change { from: Pages::Number(secret.number), to: Pages::Number(1) };
    annals.execute(writing("1", &FileEvent::Edited { text, pages }), &by("ann")).await.unwrap();
    later();
    let owner = Change { from: UserId::new("bob"), to: UserId::new("carol") };
    annals.execute(writing("1", &FileEvent::Given { owner }), &by("ann")).await.unwrap();
    later();
    annals.execute(writing("3", &FileEvent::Shredded), &by("eve")).await.unwrap();
    later();
    // Its reason is the text of the file.
    let refused = WriteFile { file: FileId::new("2"), event: "no event".to_owned() };
    let before = annals.store().head().await.unwrap().position;
    annals.execute(refused, &by("eve")).await.unwrap_err();
    recorded(&annals, before + 1).await;
    let root = annals.read_as(&by("root"));
    root.audit().text(&secret.text).page().await.unwrap();
    recorded(&annals, before + 2).await;
    root.json_view("texts", Some("1")).await.unwrap().get("1").await.unwrap();
    recorded(&annals, before + 3).await;
    // What an export includes depends on how far the audit log is, which takes longer for long values.
    annals.audit().after(annals.store().head().await.unwrap()).limit(1).page().await.unwrap();
    let mut exported = Vec::new();
    root.audit().aggregate("file:1").text(&secret.text).export(Format::Jsonl).to(&mut exported).await.unwrap();
    recorded(&annals, before + 4).await;
    annals.close().await;
    clock
}

/// Writes who has which rights, an open and a denied request, a token, and a grant that was revoked: for secret reasons.
async fn write_rights(annals: &Annals, why: &str) {
    let root = by("root");
    let party = |name: &str| Ref::new("user", name).unwrap();
    let rights = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Right>>();
    annals.init_access(party("root"), why, &root).await.unwrap();
    let reads = ["audit metadata observe", "metrics * observe", "catalogue"];
    let operates = [&reads[..], &["operate *"]].concat();
    for (name, texts) in
        [("meta", &reads[..]), ("operator", &operates), ("ann", &["execute * *"]), ("eve", &["catalogue"])]
    {
        annals.execute(GrantAccess::new(party(name), rights(texts), why), &root).await.unwrap();
    }
    let grant_of = async |name| *annals.access_of(&party(name)).await.unwrap().grants().keys().next().unwrap();
    annals.execute(RevokeAccess::new(party("eve"), grant_of("eve").await, why), &root).await.unwrap();
    let block = "ab".repeat(64);
    annals.execute(RecordToken::new(party("meta"), grant_of("meta").await, block, why), &root).await.unwrap();
    for name in ["eve", "dan"] {
        let request = RequestAccess::new(party(name), rights(&["audit full"]), why);
        annals.execute(request, &by(name)).await.unwrap();
    }
    let request = *annals.access_of(&party("eve")).await.unwrap().requests().keys().next().unwrap();
    annals.execute(DenyAccess::new(party("eve"), request, why), &root).await.unwrap();
}

/// Waits for a record: two at once would have either order.
async fn recorded(annals: &Annals, position: u64) {
    let found = async {
        while annals.store().head().await.unwrap().position < position {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.expect("a record");
}
