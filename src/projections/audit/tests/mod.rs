//! The audit log on a real store.

mod asking;
mod following;
mod many_types;
mod model;
mod plans;
mod postgres_plans;
mod racing;
mod reworded;
mod searching;

use futures::TryStreamExt;

use super::*;
use crate::events::{Action, Change, Ref};
use crate::projections::tests::fixture::*;
use crate::projections::{QueryError, RangeBound, ReadError};
use crate::store::StoreError;

fn user(name: &str) -> UserId {
    UserId::new(name)
}

fn added(name: &str) -> MemberEvent {
    MemberEvent::Added { user: user(name), roles: vec!["dev".to_owned()] }
}

async fn all(query: AuditQuery) -> Vec<u64> {
    positions(&query.stream().try_collect::<Vec<_>>().await.unwrap())
}
