//! Write a value to a data source.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Source, SourceError, SourceEvent, SourceId, ValueEvent};

/// Write a value to a data source
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WriteValue {
    /// The source
    #[on(Source)]
    #[schemars(example = &"home/temperature")]
    pub source: SourceId,
    /// The value
    pub value: f64,
    /// The sources that it was made of
    #[serde(default)]
    pub from: Vec<SourceId>,
}

impl Handle for WriteValue {
    fn handle(&self, source: &Loaded<Source>, _: &Context) -> Result<Vec<SourceEvent>, SourceError> {
        match source.exists() {
            false => Err(SourceError::Missing(self.source.clone())),
            true => Ok(vec![ValueEvent::Written { value: self.value, from: self.from.clone() }.into()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::super::{Keeps, StoreId};
    use super::*;
    use crate::UserId;

    #[test]
    fn values_are_written_to_registered_sources_only() {
        let source = SourceId::new("home/temperature");
        let write = WriteValue { source: source.clone(), value: 20.5, from: Vec::new() };
        let (store, keeps) = (StoreId::new("home"), Keeps::Series);
        let registered = SourceEvent::Registered { store, keeps, what: "Heat".to_owned(), unit: "°C".to_owned() };
        let context = || Context::by(UserId::new("ann"));
        given::<Source>(&source, [registered])
            .when(write.clone(), context())
            .then(vec![ValueEvent::Written { value: 20.5, from: Vec::new() }.into()]);
        nothing().when(write, context()).then_refused(SourceError::Missing(source));
    }
}
