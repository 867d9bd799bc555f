//! A library: users and books with display names, nested topics, commands that can be refused.

use annals::prelude::*;
use annals::projections::display_names::Names;
use serde::{Deserialize, Serialize};

/// A user.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

/// A book.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BookId(String);

/// The events of a book.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "book", topic = "library/{shelf}", on = Book)]
pub enum BookEvent {
    /// The book was put on a shelf.
    #[event(create, "{actor} put {book} on {shelf}, as {title}")]
    Shelved {
        /// The shelf.
        shelf: String,
        /// The title.
        title: String,
    },
    /// The book was renamed.
    #[event(update, "{actor} renamed {book} from {title.from} to {title.to}")]
    Retitled {
        /// The shelf.
        shelf: String,
        /// The title before and after.
        title: Change<String>,
    },
}

/// The events of a user.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "user", on = User)]
pub enum UserEvent {
    /// The user was registered.
    #[event(create, "{actor} registered {user}")]
    Registered {
        /// The name.
        name: String,
    },
}

impl Names for BookEvent {
    fn names(event: &Recorded<Self>) -> Vec<(Ref, String)> {
        let (Self::Shelved { title, .. } | Self::Retitled { title: Change { to: title, .. }, .. }) = &event.event;
        vec![(event.aggregate.clone(), title.clone())]
    }
}

impl Names for UserEvent {
    fn names(event: &Recorded<Self>) -> Vec<(Ref, String)> {
        let Self::Registered { name } = &event.event;
        vec![(event.aggregate.clone(), name.clone())]
    }
}

/// Why a command is refused.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The book exists.
    #[error("{0} is on its shelf already")]
    AlreadyThere(BookId),
    /// The book does not exist.
    #[error("there is no {0}")]
    NotThere(BookId),
}

/// A book.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Book {
    shelf: String,
    title: String,
}

impl Aggregate for Book {
    const TYPE: &'static str = "book";
    type Id = BookId;
    type Event = BookEvent;
    type Error = LibraryError;

    fn apply(&mut self, event: &BookEvent) {
        match event {
            BookEvent::Shelved { shelf, title } => (self.shelf, self.title) = (shelf.clone(), title.clone()),
            BookEvent::Retitled { title, .. } => self.title.clone_from(&title.to),
        }
    }
}

/// A user.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct User {}

impl Aggregate for User {
    const TYPE: &'static str = "user";
    type Id = UserId;
    type Event = UserEvent;
    type Error = LibraryError;

    fn apply(&mut self, _: &UserEvent) {}
}

/// Put a book on a shelf
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Shelve {
    /// The book.
    #[on(Book)]
    pub book: BookId,
    /// The shelf.
    pub shelf: String,
    /// The title.
    pub title: String,
}

impl Handle for Shelve {
    fn handle(&self, book: &Loaded<Book>, _: &Context) -> Result<Vec<BookEvent>, LibraryError> {
        match book.exists() {
            true => Err(LibraryError::AlreadyThere(self.book.clone())),
            false => Ok(vec![BookEvent::Shelved { shelf: self.shelf.clone(), title: self.title.clone() }]),
        }
    }
}

/// Rename a book
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Retitle {
    /// The book.
    #[on(Book)]
    pub book: BookId,
    /// The new title.
    pub title: String,
}

impl Handle for Retitle {
    fn handle(&self, book: &Loaded<Book>, _: &Context) -> Result<Vec<BookEvent>, LibraryError> {
        if !book.exists() {
            return Err(LibraryError::NotThere(self.book.clone()));
        }
        let change = Change::between(book.title.clone(), self.title.clone());
        Ok(change.map(|title| BookEvent::Retitled { shelf: book.shelf.clone(), title }).into_iter().collect())
    }
}

/// Register a user
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Register {
    /// The user.
    #[on(User)]
    pub user: UserId,
    /// The name.
    pub name: String,
}

impl Handle for Register {
    fn handle(&self, _: &Loaded<User>, _: &Context) -> Result<Vec<UserEvent>, LibraryError> {
        Ok(vec![UserEvent::Registered { name: self.name.clone() }])
    }
}

/// The application.
#[must_use]
pub fn library() -> App {
    App::new("library")
        .command::<Shelve>()
        .command::<Retitle>()
        .command::<Register>()
        .names::<BookEvent>()
        .names::<UserEvent>()
        .record_refusals()
}

/// The context of an actor.
#[must_use]
pub fn reader(name: &str) -> Context {
    Context::by(UserId::new(name))
}
