//! Add a data source to the catalogue.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Keeps, Source, SourceError, SourceEvent, SourceId, Store, StoreEvent, StoreId};

/// Add a data source to the catalogue
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RegisterSource {
    /// The source
    #[on(Source)]
    #[schemars(example = &"home/temperature")]
    pub source: SourceId,
    /// Its store
    #[on(Store)]
    #[schemars(example = &"home")]
    pub store: StoreId,
    /// Whether it keeps one value or a series
    pub keeps: Keeps,
    /// The description of the data
    #[schemars(example = &"Temperature of the living room")]
    pub what: String,
    /// The unit of its values
    #[schemars(example = &"°C")]
    pub unit: String,
}

impl Handle for RegisterSource {
    fn handle(
        &self,
        (source, store): (&Loaded<Source>, &Loaded<Store>),
        _: &Context,
    ) -> Result<(Vec<SourceEvent>, Vec<StoreEvent>), SourceError> {
        let Self { source: source_id, store: store_id, keeps, what, unit } = self.clone();
        if !source_id.is_in(&store_id) {
            return Err(SourceError::OtherStore { source_id, store: store_id });
        }
        if !store.exists() {
            return Err(SourceError::NoStore(store_id));
        }
        let registered = SourceEvent::Registered { store: store_id, keeps, what, unit };
        match source.registered() {
            None => Ok((vec![registered], Vec::new())),
            // An app that is restarted registers its sources again: nothing happens.
            Some(same) if *same == registered => Ok((Vec::new(), Vec::new())),
            Some(_) => Err(SourceError::Exists(source_id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::*;
    use crate::UserId;

    #[test]
    fn a_source_is_registered_once_in_an_open_store_that_its_name_begins_with() {
        let (source, store) = (SourceId::new("home/temperature"), StoreId::new("home"));
        let register = |source: &SourceId| RegisterSource {
            source: source.clone(),
            store: store.clone(),
            keeps: Keeps::Series,
            what: "Temperature".to_owned(),
            unit: "°C".to_owned(),
        };
        let RegisterSource { keeps, what, unit, .. } = register(&source);
        let registered = SourceEvent::Registered { store: store.clone(), keeps, what, unit };
        let context = || Context::by(UserId::new("ann"));
        let open = || given::<Store>(&store, [StoreEvent::Opened]);
        open().when(register(&source), context()).then((vec![registered.clone()], Vec::new()));
        nothing().when(register(&source), context()).then_refused(SourceError::NoStore(store.clone()));
        let there = || open().and::<Source>(&source, [registered.clone()]);
        there().when(register(&source), context()).then((Vec::new(), Vec::new()));
        let other = RegisterSource { unit: "°F".to_owned(), ..register(&source) };
        there().when(other, context()).then_refused(SourceError::Exists(source.clone()));
        for other in ["garden/temperature", "home", "home/", "homes/temperature"] {
            let (source_id, store) = (SourceId::new(other), store.clone());
            open().when(register(&source_id), context()).then_refused(SourceError::OtherStore { source_id, store });
        }
    }
}
