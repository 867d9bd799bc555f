//! Applications for projects: a process over days. Two of three reviewers decide; what is not decided within a week lapses.
//!
//! ## Layout
//! - `events`: the events
//! - `application`: the aggregate
//! - `apply`, `review`, `withdraw`: one command each, for people
//! - `admit`, `lapse`: one command each, which the process executes
//! - `process`: the reaction that leads from one to the next

mod admit;
mod application;
mod apply;
mod events;
mod lapse;
mod process;
mod review;
mod withdraw;

pub use admit::AdmitApplicant;
pub use application::{Application, ApplicationError, ApplicationId};
pub use apply::ApplyForProject;
pub use events::ApplicationEvent;
pub use lapse::LapseApplication;
pub use process::{Admission, TIME_TO_DECIDE};
pub use review::ReviewApplication;
pub use withdraw::WithdrawApplication;
