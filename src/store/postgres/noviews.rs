use crate::events::Head;
use crate::store::{About, Generation, Instance, StoreError, Transaction, ViewSnapshot, Views};
use async_trait::async_trait;
use std::time::Duration;
use uuid::Uuid;
pub(super) struct NoViews;
fn no<T>() -> Result<T, StoreError> {
    Err(StoreError::Closed)
}
#[async_trait]
impl Views for NoViews {
    async fn live(&self, _: &str, _: u64) -> Result<(Instance, Head), StoreError> {
        no()
    }
    async fn checkpoint(&self, _: &Instance) -> Result<Option<Head>, StoreError> {
        no()
    }
    async fn begin(&self, _: &Instance, _: Head, _: Head) -> Result<Option<Box<dyn Transaction>>, StoreError> {
        no()
    }
    async fn shadow(&self, _: &str, _: u64) -> Result<(Instance, Head), StoreError> {
        no()
    }
    async fn switch(&self, _: &Instance) -> Result<bool, StoreError> {
        no()
    }
    async fn discard(&self, _: &Instance) -> Result<(), StoreError> {
        no()
    }
    async fn read(&self, _: &str, _: u64) -> Result<Box<dyn ViewSnapshot>, StoreError> {
        no()
    }
    async fn note(&self, _: &str, _: u64, _: About, _: Option<String>) -> Result<(), StoreError> {
        no()
    }
    async fn noted(&self, _: &str, _: u64, _: About) -> Result<Option<String>, StoreError> {
        no()
    }
    async fn lead(&self, _: Uuid, _: &[(String, u64)], _: Duration) -> Result<Vec<(String, u64)>, StoreError> {
        no()
    }
    async fn leave(&self, _: Uuid) -> Result<(), StoreError> {
        no()
    }
    async fn generations(&self) -> Result<Vec<Generation>, StoreError> {
        no()
    }
    async fn prune(&self, _: &str, _: u64) -> Result<bool, StoreError> {
        no()
    }
}
