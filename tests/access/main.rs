//! Access: requests, grants, delegation, revocation and expiry, on both stores.

#[path = "../behaviour/bank.rs"]
#[allow(dead_code, reason = "the application of other tests")]
mod bank;
mod command_line;
mod delegating;
mod ending;
mod granting;
mod racing;
mod support;
