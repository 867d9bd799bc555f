//! Tests of provenance of events that no program writes any more, on a store without commands. `tests/provenance` has the others.

use std::sync::Arc;

use super::{Document, ProvenanceGraph, ProvenanceQuery, StatementKind};
use crate::projections::provenance::Agents;
use crate::projections::tests::fixture::{MemberEvent, ProjectEvent, UserId};
use crate::projections::tests::fixture::{World, act, stores, types};

async fn world() -> World {
    let types = types();
    let graph = Arc::new(ProvenanceGraph::new(types.clone()));
    World::open_of(&stores::empty(), types, vec![graph]).await
}

async fn document(world: &World, thing: &str) -> Document {
    let reading = world.settled(ProvenanceGraph::NAME).await;
    let query = ProvenanceQuery::new(Some(reading), Arc::new(Agents::default()), thing.parse().unwrap());
    let page = query.page().await.unwrap();
    assert_eq!(page.document.problems(), Vec::<String>::new());
    page.document
}

fn count(document: &Document, kind: StatementKind) -> usize {
    document.statements.iter().filter(|statement| statement.kind == kind).count()
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}

/// Their metadata has the actor alone: no plan and no use is guessed, and it says so.
#[test]
fn events_of_older_programs_have_no_plan_and_no_uses() {
    block_on(async {
        let world = world().await;
        let removed = MemberEvent::Removed { user: UserId::new("bob") };
        world
            .append(vec![
                act("ann", "1", ProjectEvent::Begun),
                act("ann", "1", removed),
                act("bob", "1", ProjectEvent::Deleted),
                act("bob", "1", ProjectEvent::Begun),
            ])
            .await;
        let document = document(&world, "project:1").await;
        let text = document.to_prov_n();
        assert_eq!(text.matches("annals:decidedOn=\"not recorded\"").count(), 4, "{text}");
        assert!(!text.contains("CommandType"), "{text}");
        assert_eq!(count(&document, StatementKind::Used), 0);
        // What the log says is stated.
        assert_eq!(count(&document, StatementKind::WasGeneratedBy), 3);
        assert_eq!(count(&document, StatementKind::WasInvalidatedBy), 1);
        assert_eq!(count(&document, StatementKind::WasDerivedFrom), 1, "{text}");
        world.close().await;
    });
}

/// The check of ours that readers of PROV do not make.
#[test]
fn two_generations_of_an_entity_and_unstated_names_are_problems() {
    block_on(async {
        let world = world().await;
        world.append(vec![act("ann", "1", ProjectEvent::Begun)]).await;
        let sound = document(&world, "project:1").await;
        let mut twice = sound.clone();
        let generation = sound.statements.iter().find(|it| it.kind == StatementKind::WasGeneratedBy).unwrap();
        twice.statements.push(generation.clone());
        assert!(
            twice.problems().iter().any(|it| it.contains("has 2 times wasGeneratedBy")),
            "{:?}",
            twice.problems()
        );
        let mut unstated = sound.clone();
        unstated.statements.retain(|it| it.kind != StatementKind::Activity);
        assert!(unstated.problems().iter().any(|it| it.contains("is not stated")), "{:?}", unstated.problems());
        let mut again = sound.clone();
        again.statements.push(sound.statements[0].clone());
        assert!(again.problems().iter().any(|it| it.contains("is stated twice")), "{:?}", again.problems());
        world.close().await;
    });
}

stores::on_postgres_too!(
    events_of_older_programs_have_no_plan_and_no_uses,
    two_generations_of_an_entity_and_unstated_names_are_problems,
);
