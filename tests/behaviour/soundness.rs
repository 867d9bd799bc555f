//! Parts that do not fit together are found before anything is opened.

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

/// Another command with a name that is taken.
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

/// Mission J4, with all that is wrong said at once.
#[tokio::test]
async fn an_unsound_application_does_not_open_and_says_all_that_is_wrong() {
    let app = || {
        App::new("stray")
            .command::<LetOut>()
            .command::<twin::Twin>()
            .view::<bank::Balance>()
            .view::<bank::Balance>()
    };
    let unsound = app().check().unwrap_err().to_string();
    for wrong in [
        "the ids of the aggregate `stray` are of the kind `thing`",
        "two projections are called `balance`",
        "`balance` wants `account.opened`, but no registered command can bring that about",
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
async fn a_store_url_of_an_unknown_kind_is_refused() {
    let error = bank::app().open("mysql://x").await.unwrap_err();
    assert!(error.to_string().contains("names no store"), "{error}");
}
