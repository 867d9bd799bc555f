//! A handler that blocks is logged.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals::prelude::*;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id as SpanId, Record};
use tracing::{Event as LogEvent, Level, Metadata, Subscriber};

use crate::bank::{Account, AccountEvent, AccountId, BankError, by};

/// Collects warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> SpanId {
        SpanId::from_u64(1)
    }

    fn record(&self, _: &SpanId, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &SpanId, _: &SpanId) {}

    fn event(&self, event: &LogEvent<'_>) {
        struct Text(String);

        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }

        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &SpanId) {}

    fn exit(&self, _: &SpanId) {}
}

/// Compute for some milliseconds
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Compute {
    #[on(Account)]
    account: AccountId,
    milliseconds: u64,
}

impl Handle for Compute {
    fn handle(&self, _: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        std::thread::sleep(Duration::from_millis(self.milliseconds));
        Ok(Vec::new())
    }
}

/// Compute elsewhere
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct ComputeElsewhere {
    #[on(Account)]
    account: AccountId,
}

impl Handle for ComputeElsewhere {
    async fn prepare(&mut self, _: &PrepareContext<'_, Self>) -> Result<(), BankError> {
        tokio::time::sleep(Duration::from_millis(150)).await;
        Ok(())
    }

    fn handle(&self, _: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_handler_that_blocks_is_logged_once_with_the_name_of_its_command() {
    let warnings = Warnings::default();
    let _subscriber = tracing::subscriber::set_default(warnings.clone());
    let annals =
        App::new("bank").command::<Compute>().command::<ComputeElsewhere>().open("sqlite::memory:").await.unwrap();
    let account = || AccountId::new("a");
    let logged =
        || warnings.0.lock().unwrap().iter().filter(|text| text.contains("blocked a thread")).cloned().collect();
    annals.execute(ComputeElsewhere { account: account() }, &by("alice")).await.unwrap();
    annals.execute(Compute { account: account(), milliseconds: 1 }, &by("alice")).await.unwrap();
    let none: Vec<String> = logged();
    assert!(none.is_empty(), "{none:?}");
    for _ in 0..3 {
        annals.execute(Compute { account: account(), milliseconds: 120 }, &by("alice")).await.unwrap();
    }
    let once: Vec<String> = logged();
    assert_eq!(once.len(), 1, "{once:?}");
    assert!(once[0].contains(r#"command="compute""#) && once[0].contains("took="), "{once:?}");
    annals.close().await;
}
