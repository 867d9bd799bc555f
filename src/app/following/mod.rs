//! Reads that are followed live: access control is asked again when its answer may have changed.
//!
//! The answer of access control depends on the aggregates that it loaded, and on the time until which it holds. One task of a
//! process reads the new events of such aggregates, and says whose answer may have changed. A read is then asked again. It
//! ends when it is denied, or when for two seconds it was not certain that it is still allowed.
//!
//! An application without access control has no such task; nor has one whose authoriser loads nothing.
//!
//! ## Layout
//! - `depends`: [`ReadLoads`], what the answer about a read depends on
//! - `watcher`: [`FollowedReads`], the task that reads the log for all of them
//! - `followed_read`: [`FollowedRead`], one of them

mod depends;
mod followed_read;
#[cfg(test)]
mod tests;
mod watcher;

pub(super) use depends::{Depends, ReadLoads};
pub(super) use followed_read::{FollowedAsk, FollowedRead};
pub(super) use watcher::{Asked, FollowedReads};
