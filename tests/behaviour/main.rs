//! What an application can rely on, seen from outside: on an embedded store, through the public interface alone.

mod bank;
mod command_line;
mod commands;
mod concurrency;
mod guarantees;
mod lineage;
mod pipeline;
mod reading;
mod roles;
mod soundness;
mod trail;
