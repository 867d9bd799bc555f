//! An application for a project, over days, by a clock of the test's own.

use std::time::Duration;

use annals::prelude::*;
use annals::testing::TestClock;
use annals_test_postgres::{Place, both_stores};
use jiff::{SignedDuration, Timestamp};
use job_server::applications::*;
use job_server::projects::{CloseProject, CreateProject, Project, ProjectId};
use job_server::roles::{Role, roles};
use job_server::users::UserId;

both_stores! {
    two_of_three_reviewers_admit_an_applicant,
    two_of_three_reviewers_reject_an_applicant,
    what_is_not_decided_within_seven_days_lapses,
    a_withdrawn_application_does_not_lapse,
    an_accepted_application_is_taken_back_if_the_project_was_closed_meanwhile,
    only_reviewers_review_and_only_the_applicant_withdraws,
}

struct Office {
    annals: Annals,
    clock: TestClock,
}

fn by(user: &str) -> Context {
    Context::by(UserId::new(user))
}

fn a1() -> ApplicationId {
    ApplicationId::new("a1")
}

fn seven() -> ProjectId {
    ProjectId::new("7")
}

fn application() -> ApplyForProject {
    let reviewers = ["bob", "carol", "dave"].map(UserId::new).to_vec();
    ApplyForProject { application: a1(), project: seven(), roles: roles([Role::Developer]), reviewers }
}

impl Office {
    /// A project for which Eve has applied. The clock is weeks behind: the log's time follows it.
    async fn open(place: &Place) -> Self {
        let clock = TestClock::at(Timestamp::now() - SignedDuration::from_hours(24 * 30));
        let annals = job_server::app().clock(clock.reader()).open(place.url()).await.unwrap();
        let create = CreateProject { project: seven(), name: "Vaccines".to_owned() };
        annals.execute(create, &by("alice")).await.unwrap();
        annals.execute(application(), &by("eve")).await.unwrap();
        Self { annals, clock }
    }

    async fn review(&self, reviewer: &str, approve: bool) {
        let review = ReviewApplication { application: a1(), approve };
        self.annals.execute(review, &by(reviewer)).await.unwrap();
    }

    fn advance_days(&self, days: i64) {
        self.clock.advance(SignedDuration::from_hours(24 * days));
    }

    /// The events of the application, without those of reviews.
    async fn events(&self) -> Vec<String> {
        let events = self.annals.history(&a1().reference(), 0, 100).await.unwrap();
        let names = events.iter().filter_map(|event| event.event_type.strip_prefix("application."));
        names.filter(|name| !["approved", "declined"].contains(name)).map(ToOwned::to_owned).collect()
    }

    /// Waits until the application has had these events.
    async fn has(&self, expected: &[&str]) {
        let waiting = async {
            while self.events().await != expected {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(waited.is_ok(), "{:?} instead of {expected:?}", self.events().await);
    }

    /// Waits until so many timers are set.
    async fn has_timers(&self, expected: u64) {
        let waiting = async {
            loop {
                let status = self.annals.reactions().await.unwrap().remove(0);
                if (status.timers, status.pending, status.position) == (expected, 0, status.head) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the timers");
    }

    async fn has_member(&self) -> bool {
        self.annals.load::<Project>(&seven()).await.unwrap().is_member(&UserId::new("eve"))
    }
}

async fn two_of_three_reviewers_admit_an_applicant(place: &Place) {
    let office = Office::open(place).await;
    office.review("bob", true).await;
    office.review("carol", false).await;
    office.has(&["asked"]).await;
    office.review("dave", true).await;
    office.has(&["asked", "accepted", "admitted"]).await;
    assert!(office.has_member().await);
    let added = office.annals.history(&seven().reference(), 1, 10).await.unwrap().remove(0).metadata().unwrap();
    assert_eq!(
        (added.actor.as_str(), added.on_behalf_of.unwrap().as_str()),
        ("annals_reaction:admission", "user:dave")
    );
    office.has_timers(0).await;
    office.annals.close().await;
}

async fn two_of_three_reviewers_reject_an_applicant(place: &Place) {
    let office = Office::open(place).await;
    office.review("bob", false).await;
    office.review("carol", false).await;
    office.has(&["asked", "rejected"]).await;
    office.has_timers(0).await;
    assert!(!office.has_member().await);
    office.annals.close().await;
}

async fn what_is_not_decided_within_seven_days_lapses(place: &Place) {
    let office = Office::open(place).await;
    office.review("bob", true).await;
    office.has_timers(1).await;
    office.advance_days(6);
    // Something else happens on the sixth day, and nothing lapses.
    let create = CreateProject { project: ProjectId::new("8"), name: "Tests".to_owned() };
    office.annals.execute(create, &by("alice")).await.unwrap();
    office.has_timers(1).await;
    office.has(&["asked"]).await;
    office.advance_days(1);
    office.has(&["asked", "lapsed"]).await;
    let late = ReviewApplication { application: a1(), approve: true };
    let refused = office.annals.execute(late, &by("carol")).await.unwrap_err();
    assert_eq!(refused.to_string(), "application:a1 is not open any more");
    office.annals.close().await;
}

async fn a_withdrawn_application_does_not_lapse(place: &Place) {
    let office = Office::open(place).await;
    office.has_timers(1).await;
    office.annals.execute(WithdrawApplication { application: a1() }, &by("eve")).await.unwrap();
    office.has_timers(0).await;
    office.advance_days(8);
    // It would lapse before this one is admitted.
    let other = ApplicationId::new("a2");
    let again = ApplyForProject { application: other.clone(), ..application() };
    office.annals.execute(again, &by("eve")).await.unwrap();
    for reviewer in ["bob", "carol"] {
        let review = ReviewApplication { application: other.clone(), approve: true };
        office.annals.execute(review, &by(reviewer)).await.unwrap();
    }
    office.has_timers(0).await;
    assert!(office.has_member().await);
    assert_eq!(office.events().await, ["asked", "withdrawn"]);
    office.annals.close().await;
}

async fn an_accepted_application_is_taken_back_if_the_project_was_closed_meanwhile(place: &Place) {
    let office = Office::open(place).await;
    office.review("bob", true).await;
    office.annals.execute(CloseProject { project: seven() }, &by("alice")).await.unwrap();
    office.review("carol", true).await;
    office.has(&["asked", "accepted", "taken_back"]).await;
    assert!(!office.has_member().await);
    let late = ApplyForProject { application: ApplicationId::new("a2"), ..application() };
    office.annals.execute(late, &by("eve")).await.unwrap_err();
    office.annals.close().await;
}

async fn only_reviewers_review_and_only_the_applicant_withdraws(place: &Place) {
    let office = Office::open(place).await;
    let annals = &office.annals;
    let review = ReviewApplication { application: a1(), approve: true };
    annals.execute(review.clone(), &by("eve")).await.unwrap_err();
    annals.execute(review.clone(), &by("bob")).await.unwrap();
    annals.execute(review, &by("bob")).await.unwrap_err();
    annals.execute(WithdrawApplication { application: a1() }, &by("bob")).await.unwrap_err();
    let lapse = LapseApplication { application: a1() };
    let refused = annals.execute(lapse, &by("bob")).await.unwrap_err();
    assert_eq!(refused.to_string(), "an application lapses by itself");
    let twice = ["bob", "bob", "carol"].map(UserId::new).to_vec();
    let apply = ApplyForProject { application: ApplicationId::new("a2"), reviewers: twice, ..application() };
    annals.execute(apply, &by("eve")).await.unwrap_err();
    office.annals.close().await;
}
