//! Open a store.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, StoreEvent, StoreId};

/// Open a store for data sources
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OpenStore {
    /// The store
    #[on(Store)]
    #[schemars(example = &"home")]
    pub store: StoreId,
}

impl Handle for OpenStore {
    fn handle(&self, store: &Loaded<Store>, _: &Context) -> Result<Vec<StoreEvent>, StoreError> {
        let name = self.store.text();
        if name.trim().is_empty() || name.contains('/') {
            return Err(StoreError::Name);
        }
        // An app that is restarted opens its store again: nothing happens.
        Ok(if store.exists() { Vec::new() } else { vec![StoreEvent::Opened] })
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::*;
    use crate::UserId;

    #[test]
    fn a_store_is_opened_once() {
        let (store, context) = (StoreId::new("home"), || Context::by(UserId::new("ann")));
        let open = OpenStore { store: store.clone() };
        nothing().when(open.clone(), context()).then(vec![StoreEvent::Opened]);
        given::<Store>(&store, [StoreEvent::Opened]).when(open, context()).then(Vec::new());
        for name in [" ", "home/temperature"] {
            nothing().when(OpenStore { store: StoreId::new(name) }, context()).then_refused(StoreError::Name);
        }
    }
}
