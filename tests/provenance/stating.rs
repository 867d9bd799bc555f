//! What is stated, by example.

use annals::prelude::*;
use annals::projections::RangeBound;
use annals::projections::provenance::{AttributeValue, StatementKind as Kind};
use annals::store::Moment;
use annals_test_postgres::Place;
use uuid::Uuid;

use crate::lab::*;

/// Mission D29. Each update of an output is a command of its own, decided on the version before: a chain.
pub async fn inputs_that_update_one_output_are_a_chain_of_activities(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let mut commands = Vec::new();
    for input in 1..=5 {
        write(&annals, &by("ann"), &[(&*format!("in{input}"), vec![from(&[])])]).await;
        let receipt = write(&annals, &by("ann"), &[("out", vec![from(&[&format!("note:in{input}")])])]).await;
        commands.push(receipt.command_id);
    }
    let document = document(of(&annals, "out").await.depth(1)).await;
    let derived = relations(&document, Kind::WasDerivedFrom);
    for (number, command) in (1..).zip(&commands) {
        let source = format!("note/out@{number} note/in{number}@1 Command/{command} Source");
        assert!(derived.contains(&source), "{source}: {derived:?}");
        if number > 1 {
            let before = number - 1;
            let revision = format!("note/out@{number} note/out@{before} Command/{command} Revision");
            assert!(derived.contains(&revision), "{revision}: {derived:?}");
            let used = format!("Command/{command} note/out@{before} decidedOn");
            assert!(relations(&document, Kind::Used).contains(&used), "{used}");
        }
    }
    assert_eq!(derived.len(), 9, "5 sources and 4 revisions: {derived:?}");
    let versions = relations(&document, Kind::SpecializationOf);
    assert!(versions.contains(&"note/out@5 note/out".to_owned()), "{versions:?}");
    annals.close().await;
}

/// Missions D25 and D30.
pub async fn only_a_delete_of_the_aggregate_itself_ends_its_last_version(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, &by("ann"), &[("a", vec![from(&[])])]).await;
    let part = write(&annals, &by("ann"), &[("a", vec![NoteEvent::Part(PartEvent::Removed)])]).await;
    let deleted = write(&annals, &by("ann"), &[("a", vec![NoteEvent::Deleted])]).await;
    let again = write(&annals, &by("ann"), &[("a", vec![from(&["note:a"])])]).await;
    let read = write(&annals, &by("ann"), &[("b", vec![from(&["note:a"])]), ("a", vec![])]).await;
    let document = document(of(&annals, "a").await.depth(1)).await;
    let ended = relations(&document, Kind::WasInvalidatedBy);
    assert_eq!(ended, [format!("note/a@2 Command/{}", deleted.command_id)]);
    let made = relations(&document, Kind::WasGeneratedBy);
    assert!(made.contains(&format!("note/a@2 Command/{}", part.command_id)), "{made:?}");
    assert!(!made.iter().any(|made| made.starts_with("note/a@3")), "{made:?}");
    // What begins after a delete is no revision of what was before, and was not decided on a version.
    let derived = relations(&document, Kind::WasDerivedFrom);
    let of_again: Vec<&String> = derived.iter().filter(|derived| derived.starts_with("note/a@4")).collect();
    assert_eq!(of_again, [&format!("note/a@4 note/a Command/{} Source", again.command_id)]);
    let later = self::document(of(&annals, "b").await.depth(1)).await;
    let used = relations(&later, Kind::Used);
    assert!(used.contains(&format!("Command/{} note/a@4 read", read.command_id)), "{used:?}");
    assert!(used.contains(&format!("Command/{} note/a decidedOn", again.command_id)), "{used:?}");
    annals.close().await;
}

/// Missions D26 and D30. An application is installed from a shop, and uninstalled: the installed one is a special form of the version that was offered then,
/// which is its publisher's.
pub async fn a_source_may_be_what_it_specializes_an_alternate_or_a_member(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let made = |special: Option<&str>, alternate: Option<&str>, members: &[&str]| NoteEvent::Made {
        special_form_of: special.map(note),
        alternate_of: alternate.map(note),
        members: members.iter().map(|member| note(member)).collect(),
    };
    let publisher = Context::by("team:publisher".parse::<Ref>().unwrap());
    write(&annals, &publisher, &[("offer", vec![from(&[])])]).await;
    write(&annals, &publisher, &[("offer", vec![from(&[])])]).await;
    let installed = write(&annals, &by("ann"), &[("app", vec![made(Some("offer"), None, &[])])]).await;
    write(&annals, &publisher, &[("offer", vec![from(&[])])]).await;
    let uninstalled = write(&annals, &by("ann"), &[("app", vec![NoteEvent::Deleted])]).await;
    write(&annals, &by("ann"), &[("both", vec![made(None, Some("offer"), &["app", "offer"])])]).await;
    let of_app = document(of(&annals, "app").await).await;
    let special = relations(&of_app, Kind::SpecializationOf);
    assert!(special.contains(&"note/app@1 note/offer@2".to_owned()), "the version at that time: {special:?}");
    assert!(special.contains(&"note/app@1 note/app".to_owned()), "{special:?}");
    let derived = relations(&of_app, Kind::WasDerivedFrom);
    let source = format!("note/app@1 note/offer@2 Command/{} Source", installed.command_id);
    assert!(derived.contains(&source), "{derived:?}");
    let publishers = relations(&of_app, Kind::WasAttributedTo);
    assert!(publishers.contains(&"note/offer@2 team/publisher".to_owned()), "{publishers:?}");
    let generated = relations(&of_app, Kind::WasGeneratedBy);
    assert!(generated.contains(&format!("note/app@1 Command/{}", installed.command_id)), "{generated:?}");
    let ended = relations(&of_app, Kind::WasInvalidatedBy);
    assert_eq!(ended, [format!("note/app@1 Command/{}", uninstalled.command_id)]);
    let of_both = document(of(&annals, "both").await.depth(1)).await;
    assert_eq!(relations(&of_both, Kind::AlternateOf), ["note/both@1 note/offer@3"]);
    // The application had been uninstalled: it is named, without a version.
    assert_eq!(relations(&of_both, Kind::HadMember), ["note/both@1 note/app", "note/both@1 note/offer@3"]);
    // Forwards, from what was offered to where it is installed.
    let ahead = document(of(&annals, "offer").await.forwards()).await;
    assert!(relations(&ahead, Kind::SpecializationOf).contains(&"note/app@1 note/offer@2".to_owned()));
    annals.close().await;
}

/// Mission D27.
pub async fn an_actor_on_behalf_of_another_is_a_delegation(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let service =
        Context::by(Ref::new("service", "importer").unwrap()).on_behalf_of(Ref::new("team", "x").unwrap());
    let receipt = write(&annals, &service, &[("a", vec![from(&[])])]).await;
    write(&annals, &Context::by(Ref::new("robot", "1").unwrap()), &[("a", vec![from(&[])])]).await;
    let document = document(of(&annals, "a").await).await;
    let acted = relations(&document, Kind::ActedOnBehalfOf);
    assert_eq!(acted, [format!("service/importer team/x Command/{}", receipt.command_id)]);
    let done = relations(&document, Kind::WasAssociatedWith);
    let by_service = format!("Command/{} service/importer CommandType/write_notes@3 actor", receipt.command_id);
    assert!(done.contains(&by_service), "{done:?}");
    let agents: Vec<(Option<&str>, Option<&AttributeValue>)> = document
        .statements
        .iter()
        .filter(|statement| statement.kind == Kind::Agent)
        .map(|agent| {
            let first = agent.attributes.first().filter(|(name, _)| *name == "prov:type");
            (agent.label(), first.map(|(_, value)| value))
        })
        .collect();
    let (software, organisation) =
        (AttributeValue::Name("prov:SoftwareAgent"), AttributeValue::Name("prov:Organization"));
    assert!(agents.contains(&(Some("service:importer"), Some(&software))), "{agents:?}");
    assert!(agents.contains(&(Some("team:x"), Some(&organisation))), "{agents:?}");
    assert!(agents.contains(&(Some("robot:1"), None)), "a kind that nobody named is an agent, no more: {agents:?}");
    annals.close().await;
}

/// Mission D28. The versions are those of the head of the export: what is written later is not in the file.
pub async fn an_export_used_exact_versions_and_made_a_file(place: &Place) {
    let annals = app().record_reads().open(place.url()).await.unwrap();
    write(&annals, &by("ann"), &[("a", vec![from(&[])]), ("b", vec![from(&[])])]).await;
    write(&annals, &by("ann"), &[("a", vec![from(&[])])]).await;
    let head = annals.store().head().await.unwrap();
    annals.audit().after(head).page().await.unwrap();
    let (mut exported, csv) = (Vec::new(), annals::projections::export::Format::Csv);
    let query = annals.read_as(&by("eve")).audit().target(thing("a")).aggregate(thing("b"));
    query.export(csv).to(&mut exported).await.unwrap();
    crate::until(|| async { annals.store().head().await.unwrap().position > head.position }).await;
    write(&annals, &by("ann"), &[("a", vec![from(&[])])]).await;
    let record = annals.events(head.position, 1).await.unwrap().events.remove(0);
    assert_eq!(record.event_type, "annals_read.exported");
    let document = document(of(&annals, "a").await.forwards()).await;
    let (export, file) = (format!("Export/{}", record.event_id), format!("File/{}", record.event_id));
    let used = relations(&document, Kind::Used);
    for version in ["note/a@2", "note/b@1"] {
        assert!(used.contains(&format!("{export} {version} read")), "{used:?}");
        let derived = relations(&document, Kind::WasDerivedFrom);
        assert!(derived.contains(&format!("{file} {version} {export}")), "{derived:?}");
    }
    assert!(!used.contains(&format!("{export} note/a@3 read")), "{used:?}");
    let made = relations(&document, Kind::WasGeneratedBy);
    assert!(made.contains(&format!("{file} {export}")), "{made:?}");
    let done = relations(&document, Kind::WasAssociatedWith);
    assert!(done.contains(&format!("{export} user/eve actor")), "{done:?}");
    annals.close().await;
}

/// Mission D28. A recorded read used the versions that it showed: those at its record, or those of the past that it asked for.
pub async fn a_recorded_read_used_exact_versions(place: &Place) {
    let annals = app().record_reads().open(place.url()).await.unwrap();
    write(&annals, &by("ann"), &[("a", vec![from(&[])]), ("b", vec![from(&[])])]).await;
    write(&annals, &by("ann"), &[("a", vec![from(&[])])]).await;
    let (service, second) = ("service:reports".parse::<Ref>().unwrap(), annals.store().head().await.unwrap());
    let eve = Context::by(service).on_behalf_of("user:eve".parse::<Ref>().unwrap());
    let reader = annals.read_as(&eve);
    let mut records = Vec::new();
    crate::recorded(&annals, reader.json_state(&thing("a"), None)).await.unwrap();
    records.push(annals.store().head().await.unwrap());
    write(&annals, &by("ann"), &[("a", vec![from(&[])])]).await;
    crate::recorded(&annals, reader.json_state(&thing("a"), Some(Moment::Position(1)))).await.unwrap();
    records.push(annals.store().head().await.unwrap());
    let query = reader.audit().target(thing("a")).aggregate(thing("b"));
    crate::recorded(&annals, query.page()).await.unwrap();
    records.push(annals.store().head().await.unwrap());
    let time = annals.events(0, 1).await.unwrap().events[0].recorded_at;
    crate::recorded(&annals, reader.json_state(&thing("a"), Some(Moment::Time(time)))).await.unwrap();
    records.push(annals.store().head().await.unwrap());
    let [now, then, both, at_a_time] =
        &records.iter().map(|it| format!("View/{}", it.event_id)).collect::<Vec<_>>()[..]
    else {
        panic!("four records: {records:?}");
    };
    let document = document(of(&annals, "a").await.forwards()).await;
    let mut expected = [
        format!("{now} note/a@2 read"),
        format!("{then} note/a@1 read"),
        format!("{both} note/a@3 read"),
        format!("{both} note/b@1 read"),
        // The tables have no times: no version is guessed.
        format!("{at_a_time} note/a read"),
    ];
    expected.sort();
    let used: Vec<String> =
        relations(&document, Kind::Used).into_iter().filter(|it| it.starts_with("View/")).collect();
    assert_eq!(used, expected);
    let done = relations(&document, Kind::WasAssociatedWith);
    assert!(done.contains(&format!("{now} service/reports actor")), "{done:?}");
    let acted = relations(&document, Kind::ActedOnBehalfOf);
    assert!(acted.contains(&format!("service/reports user/eve {now}")), "{acted:?}");
    assert!(
        document.to_prov_n().contains("annals:what=\"the state of note:a as of 1\""),
        "{}",
        document.to_prov_n()
    );
    // Nothing is made from a record that is not: not the next record, and no version of what was read.
    let derived = relations(&document, Kind::WasDerivedFrom);
    assert!(!derived.iter().any(|derived| derived.contains("annals_trail")), "{derived:?}");
    // In the past, later reads do not exist.
    let then = RangeBound::Position(second.position);
    let before = self::document(of(&annals, "a").await.forwards().at(then)).await;
    assert!(!before.to_prov_n().contains("View/"), "{}", before.to_prov_n());
    annals.close().await;
}

/// A caller may name any id as the cause.
pub async fn a_cause_is_older_than_what_it_led_to(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
    // Each names the other one, and the third itself.
    let first = by("ann").command_id(one).causation(two.to_string());
    write(&annals, &first, &[("a", vec![from(&[])])]).await;
    let second = by("ann").command_id(two).causation(one.to_string().to_uppercase());
    let receipt = write(&annals, &second, &[("b", vec![from(&[])])]).await;
    let own = Uuid::now_v7();
    write(&annals, &by("ann").command_id(own).causation(own.to_string()), &[("c", vec![from(&[])])]).await;
    let started = by("bob").causation(receipt.head.event_id.to_string());
    let started = write(&annals, &started, &[("c", vec![from(&[])])]).await;
    for note in ["a", "b", "c"] {
        let document = document(of(&annals, note).await.depth(9)).await;
        let informed = relations(&document, Kind::WasInformedBy);
        let expected = match note {
            "a" => Vec::new(),
            _ => vec![format!("Command/{two} Command/{one}")],
        };
        assert_eq!(informed, expected, "{note}");
        let triggered = relations(&document, Kind::WasStartedBy);
        let expected = match note {
            "c" => vec![format!("Command/{} note/b@1 Command/{two}", started.command_id)],
            _ => Vec::new(),
        };
        assert_eq!(triggered, expected, "{note}");
    }
    let ahead = document(of(&annals, "b").await.forwards().depth(9)).await;
    assert_eq!(relations(&ahead, Kind::WasStartedBy).len(), 1);
    annals.close().await;
}

pub async fn the_first_event_of_a_command_says_what_it_was_decided_on(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let event = from(&[]);
    annals.execute(WriteNote { note: note("b"), event }, &by("ann")).await.unwrap();
    let receipt = write(&annals, &by("ann"), &[("a", vec![from(&[]), from(&[])]), ("b", vec![])]).await;
    let events = annals.events(0, 10).await.unwrap().events;
    let plain = r#"{"actor":"user:ann"}"#;
    let one = r#"{"actor":"user:ann","decided_on":{"command":"write_note","wrote":[{"ref":"note:b","at":0}]}}"#;
    let several = r#"{"actor":"user:ann","decided_on":{"command":"write_notes","version":3,"wrote":[{"ref":"note:a","at":0}],"read":[{"ref":"note:b","at":1}]}}"#;
    let stored: Vec<&str> = events.iter().map(|event| event.metadata.as_str()).collect();
    assert_eq!(stored, [one, several, plain]);
    assert_eq!(receipt.events, 2);
    annals.close().await;
}

pub async fn a_command_on_more_than_256_aggregates_counts_the_rest(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let names: Vec<String> = (0..300).map(|number| format!("n{number}")).collect();
    let notes = |events: fn(usize) -> Vec<NoteEvent>| -> Vec<(&str, Vec<NoteEvent>)> {
        names.iter().enumerate().map(|(number, name)| (name.as_str(), events(number))).collect()
    };
    write(&annals, &by("ann"), &notes(|_| vec![from(&[])])).await;
    // The last one is written: it is named, though it comes last in the scope.
    write(&annals, &by("ann"), &notes(|number| if number == 299 { vec![from(&[])] } else { Vec::new() })).await;
    let last = annals.events(300, 1).await.unwrap().events.remove(0);
    let on = last.metadata().unwrap().decided_on.unwrap();
    assert_eq!((on.wrote.len(), on.read.len(), on.more), (1, 255, 44));
    assert_eq!(on.wrote[0].aggregate, thing("n299"));
    let document = document(of(&annals, "n299").await.depth(1)).await;
    let more = document.statements.iter().flat_map(|statement| &statement.attributes);
    let more: Vec<_> = more.filter(|(name, _)| *name == "annals:alsoDecidedOn").map(|(_, value)| value).collect();
    assert!(more.contains(&&AttributeValue::Number(44)), "{more:?}");
    annals.close().await;
}
