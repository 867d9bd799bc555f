//! What an application can rely on, through the public interface, on both stores.

mod access_log;
mod bank;
mod bodies;
mod checking;
mod circumstances;
mod command_line;
mod commands;
mod concurrency;
mod denials;
mod guarantees;
mod ids;
mod lineage;
mod older;
mod own_records;
mod pipeline;
mod readable;
mod reading;
mod recording;
mod restored;
mod rights;
mod roles;
mod services;
mod slow;
mod soundness;
