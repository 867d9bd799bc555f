//! Parts that do not fit together are reported before the application is opened.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bank;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[id(kind = "thing")]
pub struct StrayId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "stray", on = Stray)]
pub enum StrayEvent {
    #[event(create, "{actor} let {stray} out")]
    Out,
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Stray;

impl Aggregate for Stray {
    const TYPE: &'static str = "stray";
    type Id = StrayId;
    type Event = StrayEvent;
    type Error = std::convert::Infallible;
    fn apply(&mut self, _: &StrayEvent) {}
}

#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LetOut {
    #[on(Stray)]
    pub stray: StrayId,
}

impl Handle for LetOut {
    fn handle(&self, _: &Loaded<Stray>, _: &Context) -> Result<Vec<StrayEvent>, std::convert::Infallible> {
        Ok(vec![StrayEvent::Out])
    }
}

/// Another command with the same name.
mod twin {
    use super::*;

    #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[command(name = "let_out_twin")]
    pub struct Twin {
        #[on(super::Stray)]
        pub stray: super::StrayId,
    }

    impl Handle for Twin {
        fn handle(&self, _: &Loaded<Stray>, _: &Context) -> Result<Vec<StrayEvent>, std::convert::Infallible> {
            Ok(Vec::new())
        }
    }
}

/// Other aggregates with the same TYPE: one with its own events, one with the same events.
mod namesakes {
    use super::*;

    #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[event(name = "stray_dog", on = Dog)]
    pub enum DogEvent {
        #[event(create, "{actor} let {stray} in")]
        In,
    }

    #[derive(Default, Clone, Serialize, Deserialize)]
    pub struct Dog;

    #[derive(Default, Clone, Serialize, Deserialize)]
    pub struct Cat;

    impl Aggregate for Dog {
        const TYPE: &'static str = "stray";
        type Id = StrayId;
        type Event = DogEvent;
        type Error = std::convert::Infallible;
        fn apply(&mut self, _: &DogEvent) {}
    }

    impl Aggregate for Cat {
        const TYPE: &'static str = "stray";
        type Id = StrayId;
        type Event = StrayEvent;
        type Error = std::convert::Infallible;
        fn apply(&mut self, _: &StrayEvent) {}
    }

    #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    pub struct LetBoth {
        #[on(Dog)]
        pub dog: StrayId,
        #[on(Cat)]
        pub cat: StrayId,
    }

    impl Handle for LetBoth {
        fn handle(
            &self,
            _: (&Loaded<Dog>, &Loaded<Cat>),
            _: &Context,
        ) -> Result<(Vec<DogEvent>, Vec<StrayEvent>), std::convert::Infallible> {
            Ok((vec![DogEvent::In], Vec::new()))
        }
    }
}

/// Issue 16.5: otherwise their events would be mixed.
#[tokio::test]
async fn two_aggregates_with_one_type_are_reported_and_the_application_does_not_open() {
    let app = || App::new("stray").command::<LetOut>().command::<namesakes::LetBoth>();
    let unsound = app().check().unwrap_err();
    for other in ["Dog", "Cat"] {
        let wrong = format!(
            "two aggregates have the TYPE `stray`: behaviour::soundness::Stray and \
             behaviour::soundness::namesakes::{other}; change one"
        );
        assert_eq!(unsound.problems.iter().filter(|problem| **problem == wrong).count(), 1, "{unsound}");
    }
    let error = app().open("sqlite::memory:").await.unwrap_err();
    assert!(error.to_string().contains("have the TYPE `stray`"), "{error}");
}

/// Mission J4, with all problems at once.
#[tokio::test]
async fn an_unsound_application_does_not_open_and_reports_all_problems() {
    let app = || {
        App::new("stray")
            .command::<LetOut>()
            .command::<twin::Twin>()
            .view::<bank::Balance>()
            .view::<bank::Balance>()
    };
    let unsound = app().check().unwrap_err().to_string();
    for wrong in [
        "the ids of the aggregate `stray` have the kind `thing`",
        "two projections have the name `balance`",
        "`balance` wants `account.opened`, but no registered command can cause it",
    ] {
        assert!(unsound.contains(wrong), "{wrong} is not in:\n{unsound}");
    }
    let error = app().open("sqlite::memory:").await.unwrap_err();
    assert!(error.to_string().contains("is not sound"), "{error}");
    annals::testing::app_is_sound(&bank::app());
}

/// Mission P3: topics mirror the domains.
#[test]
fn registering_an_aggregate_creates_its_topic_root() {
    let own = ["annals/read", "annals/refusal", "annals_trail"];
    let mut expected = ["account", "bank/account", "bank/transfer"].to_vec();
    expected.extend(own);
    expected.sort_unstable();
    assert_eq!(bank::app().types().topic_roots(), expected);
    let topic = |text: &str| text.parse().unwrap();
    for known in ["", "account", "bank", "bank/transfer"] {
        assert!(bank::app().types().knows_topic(&topic(known)), "{known}");
    }
    assert!(!bank::app().types().knows_topic(&topic("bank/acc")));
}

#[tokio::test]
async fn a_store_url_with_an_unknown_scheme_is_refused() {
    let error = bank::app().open("mysql://x").await.unwrap_err();
    assert!(error.to_string().contains("is not the URL of a store"), "{error}");
}
