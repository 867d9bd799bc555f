//! Display names with their history.

use super::*;
use crate::events::Ref;
use crate::projections::tests::fixture::guild::*;

/// Missions P20 and P21 for names; Mission J6: a deleted thing keeps its last name.
#[tokio::test]
async fn a_thing_has_the_name_of_the_time_and_keeps_its_last() {
    let annals = open().await;
    user(&annals, "1", "1", named("Ada")).await;
    user(&annals, "1", "1", renamed("Ada", "Lady \0 Lovelace")).await;
    let last = user(&annals, "1", "1", UserEvent::Left).await.head;
    let ada: Ref = "user:1".parse().unwrap();
    let nobody: Ref = "user:9".parse().unwrap();
    for rebuilt in [false, true] {
        if rebuilt {
            annals.rebuild(DisplayNames::NAME).unwrap().await.unwrap();
        }
        let reading = annals.reading(DisplayNames::NAME).unwrap();
        for (known, names) in [
            (NamesAsOf::Event, [None, Some("Ada"), Some("Lady \0 Lovelace"), Some("Lady \0 Lovelace")]),
            (NamesAsOf::Now, [Some("Lady \0 Lovelace"); 4]),
        ] {
            let mut query = NameQuery::new(reading.clone(), known);
            (0..4).for_each(|position| query.add(&ada, position));
            query.add(&nobody, 3);
            let found = query.after(last).await.unwrap();
            for (position, name) in (0..).zip(names) {
                assert_eq!(found.name(&ada, position).as_deref(), name, "{known:?} at {position}");
            }
            assert_eq!(found.name(&nobody, 3), None);
        }
    }
    annals.close().await;
}

/// More names than one statement looks up.
#[tokio::test]
async fn more_names_than_one_statement_holds_are_found() {
    let annals = open().await;
    let mut last = None;
    for n in 0..600 {
        last = Some(user(&annals, "1", &format!("u{n}"), named(&format!("name {n}"))).await.head);
    }
    let mut query = NameQuery::new(annals.reading(DisplayNames::NAME).unwrap(), NamesAsOf::Event);
    let thing = |n: u64| Ref::new("user", &format!("u{n}")).unwrap();
    (0..600).for_each(|n| query.add(&thing(n), n + 1));
    let found = query.after(last.unwrap()).await.unwrap();
    assert!((0..600).all(|n| found.name(&thing(n), n + 1) == Some(format!("name {n}"))));
    annals.close().await;
}

#[tokio::test]
async fn names_for_events_that_no_command_emits_are_refused() {
    let app = crate::app::App::new("guild").command::<TellTeam>().names::<UserEvent>();
    let problems = app.check().unwrap_err().problems;
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("`user.registered` names things"), "{problems:?}");
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_thing_has_the_name_of_the_time_and_keeps_its_last,
    more_names_than_one_statement_holds_are_found,
}
