//! A projection cannot execute commands, whatever way it gets the application.

use std::sync::{Arc, Mutex, OnceLock};

use annals::commands::ExecuteError;
use annals::prelude::*;
use annals::projections::{EventBatch, Projection, ProjectionError};
use annals::store::Transaction;
use annals_test_postgres::Place;
use async_trait::async_trait;
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use crate::bank::*;

annals_test_postgres::both_stores! {
    a_projection_that_executes_a_command_is_refused_and_nothing_is_written,
    a_view_that_executes_a_command_is_refused_and_nothing_is_written,
}

type Said = Arc<Mutex<Vec<String>>>;

/// A projection that tries to pay in a cent for each cent that is paid in.
struct Generous {
    annals: Arc<OnceLock<Annals>>,
    said: Said,
}

#[async_trait]
impl Projection for Generous {
    fn name(&self) -> &str {
        "generous"
    }

    async fn setup(&self, _: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(())
    }

    async fn apply(&self, batch: EventBatch<'_>, _: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let annals = self.annals.wait();
        for _ in batch.events {
            let one = annals.execute(deposit("gift", 1), &by("generous")).await;
            let context = by("generous");
            let as_json =
                annals.execute_json("deposit", r#"{"account":"gift","cents":1}"#, &context).unwrap().await;
            let envelope = annals::commands::Envelope::new(deposit("gift", 1), by("generous"));
            let mut all = Box::pin(annals.execute_all(futures::stream::iter([envelope]), 8));
            let many = all.next().await.unwrap();
            let refused = [
                matches!(one, Err(ExecuteError::InProjection("deposit"))),
                matches!(as_json, Err(ExecuteError::InProjection("deposit"))),
                matches!(many, Err(ExecuteError::InProjection("deposit"))),
            ];
            self.said.lock().unwrap().push(format!("{refused:?}"));
        }
        Ok(())
    }
}

/// Mission P23.
async fn a_projection_that_executes_a_command_is_refused_and_nothing_is_written(place: &Place) {
    let (holder, said) = (Arc::new(OnceLock::new()), Said::default());
    let generous = Generous { annals: holder.clone(), said: said.clone() };
    let annals = app().projection(generous).open(place.url()).await.unwrap();
    holder.set(annals.clone()).unwrap();
    let receipt = annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let patience = Some(std::time::Duration::from_secs(30));
    annals.reading("generous").unwrap().caught_up(receipt.head, patience).await.unwrap();
    annals.rebuild("generous").unwrap().await.unwrap();
    assert_eq!(*said.lock().unwrap(), ["[true, true, true]", "[true, true, true]"], "live and in a rebuild");
    assert_eq!(log(&annals).await.len(), 1);
    annals.close().await;
}

/// A handle that a document can contain.
#[derive(Default, Serialize, Deserialize)]
struct Visits {
    said: String,
    #[serde(skip)]
    annals: Option<Annals>,
}

static ANNALS: Mutex<Option<Annals>> = Mutex::new(None);

impl DocumentView for Visits {
    const NAME: &'static str = "visits";
    type Key = AccountId;
    type Events = AccountEvent;
}

impl On<AccountEvent> for Visits {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &AccountId, _: &Recorded<AccountEvent>) {
        let visits = document.get_or_insert_default();
        visits.annals = ANNALS.lock().unwrap().clone();
        if let Some(annals) = &visits.annals {
            let executed = futures::executor::block_on(annals.execute(deposit("gift", 1), &by("visits")));
            visits.said = format!("{:?}", executed.map(drop));
        }
    }
}

/// Mission P23: serde skips the field, so that it compiles.
async fn a_view_that_executes_a_command_is_refused_and_nothing_is_written(place: &Place) {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = ALONE.lock().await;
    let annals = app().view::<Visits>().open(place.url()).await.unwrap();
    *ANNALS.lock().unwrap() = Some(annals.clone());
    let first = annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let visits = annals.view::<Visits>(&account("a")).after(first).await.unwrap().unwrap();
    assert_eq!(visits.said, r#"Err(InProjection("deposit"))"#);
    // In memory, for a subscriber.
    let mut watched = Box::pin(annals.view::<Visits>(&account("b")).watch().await.unwrap());
    assert!(watched.next().await.unwrap().unwrap().document.is_none());
    annals.execute(deposit("b", 1), &by("alice")).await.unwrap();
    let visits = watched.next().await.unwrap().unwrap().document.unwrap();
    assert_eq!(visits.said, r#"Err(InProjection("deposit"))"#);
    assert_eq!(log(&annals).await.len(), 2);
    *ANNALS.lock().unwrap() = None;
    drop(watched);
    annals.close().await;
}
