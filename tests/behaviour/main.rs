//! What an application can rely on, seen from outside: on an embedded store, through the public interface alone.

mod access_log;
mod bank;
mod bodies;
mod checking;
mod command_line;
mod commands;
mod concurrency;
mod denials;
mod guarantees;
mod lineage;
mod older;
mod own_records;
mod pipeline;
mod readable;
mod reading;
mod recording;
mod restored;
mod roles;
mod soundness;
