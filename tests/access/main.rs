//! Access: requests, grants, delegation, revocation and expiry, on both stores.

#[path = "../behaviour/bank.rs"]
#[allow(dead_code, reason = "the application of other tests")]
mod bank;
mod command_line;
mod delegating;
mod ending;
mod granting;
#[path = "../behaviour/older.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod older;
mod racing;
mod support;
mod suspension;
mod uses;
