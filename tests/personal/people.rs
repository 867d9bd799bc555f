//! The application of these tests: people, with names and friends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use annals::personal::{KeyInfo, KeyStore, KeyStoreError, Keys, StoredKey, SubjectKey};
use annals::prelude::*;
use annals::projections::On;
use annals_test_postgres::Place;
use serde::{Deserialize, Serialize};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "user", on = User)]
pub enum UserEvent {
    #[event(create, "{actor} registered {user} as {name}")]
    Registered {
        #[event(personal)]
        name: Personal<String>,
    },
    #[event(update, "{actor} renamed {user} from {name.from} to {name.to}")]
    Renamed {
        #[event(personal)]
        name: Change<Personal<String>>,
    },
    #[event(update, "{actor} introduced {user}, who is {own}, to {friend}, called {called}")]
    Introduced {
        #[event(target)]
        friend: UserId,
        #[event(personal = friend)]
        called: Option<Personal<String>>,
        #[event(personal)]
        own: Vec<Personal<String>>,
    },
    #[event(update, "{actor} greeted {user}")]
    Greeted { letters: usize },
}

#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct User {
    pub name: Option<Personal<String>>,
    pub greetings: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error("the name of the user is erased")]
    Erased,
    #[error("{0} is no name")]
    NoName(String),
    #[error("{0} was greeted often enough")]
    Often(String),
}

impl Aggregate for User {
    const TYPE: &'static str = "user";
    type Id = UserId;
    type Event = UserEvent;
    type Error = UserError;

    fn apply(&mut self, event: &UserEvent) {
        match event {
            UserEvent::Registered { name } => self.name = Some(name.clone()),
            UserEvent::Renamed { name } => self.name = Some(name.to.clone()),
            UserEvent::Introduced { .. } => {}
            UserEvent::Greeted { .. } => self.greetings += 1,
        }
    }
}

/// Give a user a name
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Name {
    #[on(User)]
    pub user: UserId,
    #[personal]
    pub name: String,
}

impl Handle for Name {
    fn handle(&self, user: &Loaded<User>, _: &Context) -> Result<Vec<UserEvent>, UserError> {
        if self.name.contains('!') {
            return Err(UserError::NoName(self.name.clone()));
        }
        let new = Personal::new(self.name.clone());
        Ok(match &user.name {
            None => vec![UserEvent::Registered { name: new }],
            Some(name) if name.open() == Opened::Erased => return Err(UserError::Erased),
            Some(name) => {
                Change::between(name.clone(), new).map(|name| UserEvent::Renamed { name }).into_iter().collect()
            }
        })
    }
}

/// Introduce a user to a friend
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Introduce {
    #[on(User)]
    pub user: UserId,
    pub friend: UserId,
    #[personal(friend)]
    pub called: String,
    #[personal]
    pub own: String,
}

impl Handle for Introduce {
    fn handle(&self, _: &Loaded<User>, _: &Context) -> Result<Vec<UserEvent>, UserError> {
        Ok(vec![UserEvent::Introduced {
            friend: self.friend.clone(),
            called: Some(Personal::new(self.called.clone())),
            own: vec![Personal::new(self.own.clone())],
        }])
    }
}

/// Greet a user by name, three times at most
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Greet {
    #[on(User)]
    pub user: UserId,
}

impl Handle for Greet {
    fn handle(&self, user: &Loaded<User>, _: &Context) -> Result<Vec<UserEvent>, UserError> {
        let name = user.name.as_ref().and_then(|name| name.open().known()).ok_or(UserError::Erased)?;
        if user.greetings == 3 {
            return Err(UserError::Often(name));
        }
        Ok(vec![UserEvent::Greeted { letters: name.len() }])
    }
}

/// A user, as others see them. What its `apply` could open is written down.
#[derive(Serialize, Deserialize)]
pub struct Shown {
    pub name: Personal<String>,
    pub opened: String,
}

impl DocumentView for Shown {
    const NAME: &'static str = "shown";
    type Key = UserId;
    type Events = UserEvent;
}

impl On<UserEvent> for Shown {
    fn keys(event: &Recorded<UserEvent>) -> Vec<UserId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &UserId, event: &Recorded<UserEvent>) {
        let (UserEvent::Registered { name } | UserEvent::Renamed { name: Change { to: name, .. } }) = &event.event
        else {
            return;
        };
        *document = Some(Self { opened: name.open().to_string(), name: name.clone() });
    }
}

pub fn app() -> App {
    App::new("people").command::<Name>().command::<Introduce>().command::<Greet>().view::<Shown>()
}

/// Keys for one store, which outlive the application.
#[derive(Clone, Default)]
pub struct TestKeys(pub Arc<TestKeyStore>);

#[derive(Default)]
pub struct TestKeyStore {
    pub kept: Mutex<BTreeMap<Ref, StoredKey>>,
    /// Why it fails now.
    pub broken: Mutex<Option<String>>,
}

impl TestKeyStore {
    fn check(&self) -> Result<(), KeyStoreError> {
        match &*self.broken.lock().unwrap() {
            Some(reason) => Err(KeyStoreError(reason.clone().into())),
            None => Ok(()),
        }
    }

    pub fn has_key(&self, subject: &str) -> bool {
        matches!(self.kept.lock().unwrap().get(&reference(subject)), Some(StoredKey::Key(_)))
    }
}

#[async_trait::async_trait]
impl KeyStore for TestKeyStore {
    async fn find(&self, subjects: &[Ref]) -> Result<Vec<Option<StoredKey>>, KeyStoreError> {
        self.check()?;
        let kept = self.kept.lock().unwrap();
        Ok(subjects.iter().map(|subject| kept.get(subject).cloned()).collect())
    }

    async fn find_or_create(&self, subjects: &[Ref]) -> Result<Vec<StoredKey>, KeyStoreError> {
        self.check()?;
        let mut kept = self.kept.lock().unwrap();
        let key = || StoredKey::Key(SubjectKey::random().unwrap());
        Ok(subjects.iter().map(|subject| kept.entry(subject.clone()).or_insert_with(key).clone()).collect())
    }

    async fn destroy(&self, subjects: &[Ref]) -> Result<Vec<bool>, KeyStoreError> {
        self.check()?;
        let mut kept = self.kept.lock().unwrap();
        let destroy =
            |subject: &Ref| matches!(kept.insert(subject.clone(), StoredKey::Erased), Some(StoredKey::Key(_)));
        Ok(subjects.iter().map(destroy).collect())
    }

    async fn list(&self, _: Option<&Ref>, _: usize) -> Result<Vec<KeyInfo>, KeyStoreError> {
        Ok(Vec::new())
    }

    fn describe(&self) -> String {
        "test keys".to_owned()
    }
}

impl TestKeys {
    pub fn keys(&self) -> Keys {
        Keys::in_store(self.0.clone())
    }

    pub async fn open(&self, place: &Place) -> Annals {
        app().keys(self.keys()).open(place.url()).await.unwrap()
    }
}

pub fn reference(text: &str) -> Ref {
    text.parse().unwrap()
}

pub fn by(actor: &str) -> Context {
    Context::by(reference(actor))
}

pub fn user(id: &str) -> UserId {
    UserId::new(id)
}

pub fn name(id: &str, name: &str) -> Name {
    Name { user: user(id), name: name.to_owned() }
}

/// All that the log has, as text.
pub async fn log_text(annals: &Annals) -> String {
    let page = annals.events(0, 1_000).await.unwrap();
    let texts =
        page.events.iter().map(|event| format!("{} {} {}\n", event.event_type, event.payload, event.metadata));
    texts.collect()
}

/// The sentences of the audit log.
pub async fn sentences(annals: &Annals) -> Vec<String> {
    let head = annals.store().head().await.unwrap();
    let page = annals.audit().after(head).limit(1_000).page().await.unwrap();
    page.rows.into_iter().map(|row| row.sentence).collect()
}
