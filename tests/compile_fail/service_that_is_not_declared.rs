//! A command uses only the services that it declares, so that a missing one is found before the store is opened.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DoorId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "door", on = Door)]
pub enum DoorEvent {
    #[event(update, "{actor} opened {door}")]
    Opened,
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Door {}

impl Aggregate for Door {
    const TYPE: &'static str = "door";
    type Id = DoorId;
    type Event = DoorEvent;
    type Error = std::convert::Infallible;
    fn apply(&mut self, _: &DoorEvent) {}
}

pub trait Guard: Send + Sync {
    fn is_awake(&self) -> bool;
}

/// Open it
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Open {
    #[on(Door)]
    door: DoorId,
}

impl Handle for Open {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), Self::Error> {
        context.service::<dyn Guard>().is_awake();
        Ok(())
    }

    fn handle(&self, _: &Loaded<Door>, _: &Context) -> Result<Vec<DoorEvent>, Self::Error> {
        Ok(vec![DoorEvent::Opened])
    }
}

fn main() {}
