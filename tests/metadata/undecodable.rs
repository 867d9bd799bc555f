//! Logs with events that the application cannot decode: the number of pages is a text, and secret.
//!
//! Another version of the program writes them, which accepts both: a process of its own.

use std::process::{Command, Stdio};
use std::sync::LazyLock;

use annals::events::LogPosition;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::secret::Secret;
use crate::vault::{self, FileEvent, UserId};

/// The number of pages; in the other version of the program also a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Pages {
    Number(i64),
    Text(String),
}

/// What the other version of the program has to write: the URL of the store, the secret text, and whether it runs projections.
static OTHER_VERSION: LazyLock<Option<(String, String, bool)>> = LazyLock::new(|| {
    let orders = std::env::var("ANNALS_TEST_UNDECODABLE").ok()?;
    Some(serde_json::from_str(&orders).unwrap())
});

impl Pages {
    pub fn number(&self) -> i64 {
        if let Self::Number(number) = self { *number } else { 0 }
    }
}

impl<'de> Deserialize<'de> for Pages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Loose {
            Number(i64),
            Text(String),
        }
        match &*OTHER_VERSION {
            None => Ok(Self::Number(i64::deserialize(deserializer)?)),
            Some(_) => Ok(match Loose::deserialize(deserializer)? {
                Loose::Number(number) => Self::Number(number),
                Loose::Text(text) => Self::Text(text),
            }),
        }
    }
}

/// Writes a log whose last events cannot be decoded, and returns the last position before them. With `projected`, the tables of the
/// audit log hold them.
pub async fn write(url: &str, secret: &Secret, projected: bool) -> LogPosition {
    vault::write(url, secret).await;
    let annals = vault::shared_app().open_without_following(url).await.unwrap();
    let readable = annals.store().head().await.unwrap();
    annals.close().await;
    let orders = json!([url, secret.text, projected]).to_string();
    let other_version = tokio::task::spawn_blocking(move || {
        Command::new(std::env::current_exe().unwrap())
            .args(["undecodable::the_other_version", "--exact", "--ignored"])
            .env("ANNALS_TEST_UNDECODABLE", orders)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    });
    let done = other_version.await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    readable
}

#[tokio::test]
#[ignore = "the other tests run it as a process of its own"]
async fn the_other_version() {
    let Some((url, text, projected)) = &*OTHER_VERSION else { return };
    let app = vault::shared_app().clock(|| vault::NOW.parse().unwrap());
    let annals = match projected {
        true => app.open(url).await.unwrap(),
        false => app.open_without_following(url).await.unwrap(),
    };
    for file in ["50", "51"] {
        let stored = FileEvent::Stored {
            title: String::new(),
            text: String::new(),
            pages: Pages::Text(text.clone()),
            tags: Vec::new(),
            note: None,
            owner: UserId::new("bob"),
        };
        annals.execute(vault::writing(file, &stored), &vault::by("ann")).await.unwrap();
    }
    if *projected {
        let head = annals.store().head().await.unwrap();
        annals.audit().after(head).limit(1).page().await.unwrap();
        annals.metric("vault").after(head).await.unwrap();
        annals.views::<vault::Texts>().after(head).await.unwrap();
        annals.reading("names").unwrap().caught_up(head, None).await.unwrap();
    }
    annals.close().await;
}
