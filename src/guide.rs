//! The guide, in steps: short chapters, in each of which you do something.
//!
//! The running example is a bank. Its code after the second chapter is `docs/guide/bank.rs`, on which the other chapters
//! build. All code of the guide is compiled and run by `cargo test --doc --all-features`.

#[doc = include_str!("../docs/guide/first-application.md")]
#[cfg(any(not(doctest), feature = "cli"))]
pub mod chapter_1_first_application {}

#[doc = include_str!("../docs/guide/several-aggregates.md")]
pub mod chapter_2_several_aggregates {}

#[doc = include_str!("../docs/guide/event-versions.md")]
pub mod chapter_3_event_versions {}

#[doc = include_str!("../docs/guide/views.md")]
pub mod chapter_4_views {}

#[doc = include_str!("../docs/guide/reading.md")]
pub mod chapter_5_reading {}

#[doc = include_str!("../docs/guide/http.md")]
#[cfg(any(not(doctest), all(feature = "http", feature = "cli")))]
pub mod chapter_6_http {}

#[doc = include_str!("../docs/guide/testing.md")]
pub mod chapter_7_testing {}

#[doc = include_str!("../docs/guide/production.md")]
pub mod chapter_8_production {}

#[doc = include_str!("../docs/guide/writing-a-store.md")]
pub mod chapter_9_writing_a_store {}

#[doc = include_str!("../docs/guide/coming-over.md")]
#[cfg(any(not(doctest), feature = "postgres"))]
pub mod chapter_10_coming_over {}

#[doc = include_str!("../docs/guide/access.md")]
#[cfg(any(not(doctest), all(feature = "access", feature = "http")))]
pub mod chapter_11_access {}

#[doc = include_str!("../docs/guide/the-past.md")]
pub mod chapter_12_the_past {}

#[doc = include_str!("../docs/guide/provenance.md")]
pub mod chapter_13_provenance {}

#[doc = include_str!("../docs/guide/reactions.md")]
pub mod chapter_14_reactions {}

#[doc = include_str!("../docs/guide/flows.md")]
pub mod chapter_15_flows {}

#[doc = include_str!("../docs/guide/personal-data.md")]
pub mod chapter_16_a_personal_data_platform {}

#[doc = include_str!("../docs/guide/feeds.md")]
#[cfg(any(not(doctest), all(feature = "nats", feature = "rabbitmq", feature = "webhooks")))]
pub mod chapter_17_feeds {}

#[doc = include_str!("../docs/guide/proofs.md")]
#[cfg(any(not(doctest), feature = "proofs"))]
pub mod chapter_18_proofs {}

#[doc = include_str!("../docs/guide/erasing-personal-data.md")]
#[cfg(any(not(doctest), feature = "personal"))]
pub mod chapter_19_personal_data {}

#[doc = include_str!("../docs/guide/intakes.md")]
#[cfg(any(not(doctest), all(feature = "nats", feature = "rabbitmq")))]
pub mod chapter_20_intakes {}

#[doc = include_str!("../docs/guide/standbys.md")]
pub mod chapter_21_standbys {}

#[doc = include_str!("../docs/guide/several-machines.md")]
pub mod chapter_22_several_machines {}

#[doc = include_str!("../docs/guide/jetstream.md")]
pub mod chapter_23_a_log_on_nats_jetstream {}
