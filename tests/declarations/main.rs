//! The derives of events, commands and ids, through their public interface.

mod commands;

use std::collections::BTreeMap;

use annals::BoxError;
use annals::commands::Scope;
use annals::cqrs_es::DomainEvent;
use annals::events::{Action, Declaration, DecodeError, InvalidRef, Stored, Target, Types, TypesError};
use annals::prelude::*;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct ProjectId(String);

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct UserId {
    number: u64,
}

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[id(kind = "invoice-item")]
struct Item(Uuid);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Roles(Vec<String>);

fn roles(names: &[&str]) -> Roles {
    Roles(names.iter().map(|name| (*name).to_owned()).collect())
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "project_member", topic = "project/member", on = Project)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum MemberEvent {
    #[event(create, "{actor} added {user} to {project} as {roles}")]
    Added {
        #[event(target)]
        user: UserId,
        roles: Roles,
    },
    #[event(
        update,
        "{actor} changed {user}'s roles on {project} from {roles.from} to {roles.to}",
        version = 3,
        from(1 = roles_v1, 2 = |payload| Ok(payload))
    )]
    RolesUpdated {
        #[event(target)]
        user: UserId,
        roles: Change<Roles>,
    },
    #[event(delete, "{actor} removed {user} from {project}", was("left", "old_member.gone"))]
    Removed {
        #[event(target)]
        user: UserId,
    },
}

/// Version 1 had only the new roles.
fn roles_v1(mut payload: Value) -> Result<Value, BoxError> {
    let to = payload["roles"].take();
    payload["roles"] = json!({"from": [], "to": to});
    Ok(payload)
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "project", on = Project)]
enum ProjectEvent {
    #[event(transparent)]
    Member(MemberEvent),
    #[event(create, "{actor} began {project}", topic("project", "all/{project}/{actor}"))]
    Begun,
    #[event(update, "{actor} filed {0} under {1}", topic = "files/{*0}/{1}")]
    Filed(String, Option<String>),
    #[event(update, "{actor} set {{braces}} to {note_text}", topic("project/{owner}", "project/note"))]
    Noted {
        #[serde(rename = "text")]
        note_text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[event(target)]
        owner: Option<UserId>,
        #[event(target)]
        mentioned: Vec<Ref>,
    },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Project {
    members: BTreeMap<UserId, Roles>,
}

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct ProjectError;

impl Aggregate for Project {
    const TYPE: &'static str = "project";
    type Id = ProjectId;
    type Event = ProjectEvent;
    type Error = ProjectError;

    fn apply(&mut self, event: &ProjectEvent) {
        if let ProjectEvent::Member(MemberEvent::Added { user, roles }) = event {
            self.members.insert(user.clone(), roles.clone());
        }
    }
}

fn added() -> MemberEvent {
    MemberEvent::Added { user: UserId::new(7_u64), roles: roles(&["admin", "owner"]) }
}

fn updated() -> MemberEvent {
    let roles = Change { from: roles(&[]), to: roles(&["admin"]) };
    MemberEvent::RolesUpdated { user: UserId::new(7_u64), roles }
}

fn noted() -> ProjectEvent {
    ProjectEvent::Noted {
        note_text: "hello".to_owned(),
        owner: Some(UserId::new(1_u64)),
        mentioned: vec![Item::new(Uuid::nil()).into(), "file:a/b".parse().unwrap()],
    }
}

fn every_event() -> Vec<ProjectEvent> {
    vec![
        added().into(),
        updated().into(),
        MemberEvent::Removed { user: UserId::new(7_u64) }.into(),
        ProjectEvent::Begun,
        ProjectEvent::Filed("src/lib".to_owned(), None),
        noted(),
    ]
}

fn stored(event_type: &str, version: &str, payload: &str) -> Stored {
    Stored {
        position: 1,
        event_id: Uuid::nil(),
        aggregate: "project:annals".parse().unwrap(),
        sequence: 1,
        event_type: event_type.to_owned(),
        event_version: version.to_owned(),
        payload: payload.to_owned(),
        metadata: r#"{"actor":"user:alice"}"#.to_owned(),
        command_id: Uuid::nil(),
        occurred_at: Timestamp::UNIX_EPOCH,
        recorded_at: Timestamp::UNIX_EPOCH,
        digest: [0; 32],
    }
}

fn as_stored<E: Event>(event: &E) -> Stored {
    stored(&event.event_type(), &event.event_version(), &event.encode().unwrap())
}

fn types() -> Types {
    let mut types = Types::default();
    types.add::<ProjectEvent>(Project::TYPE).unwrap();
    types
}

fn sentence(event: &ProjectEvent) -> String {
    let (types, stored) = (types(), as_stored(event));
    let known = types.of(&stored).unwrap();
    known.sentence(&stored, &known.describe(&stored).unwrap())
}

fn topics(event: &ProjectEvent) -> Vec<String> {
    let (types, stored) = (types(), as_stored(event));
    let known = types.of(&stored).unwrap();
    known.topics(&stored, &known.describe(&stored).unwrap()).iter().map(ToString::to_string).collect()
}

fn declared(event_type: &str) -> &'static Declaration {
    ProjectEvent::lookup(event_type).unwrap()
}

/// Mission J4: an event type is the name of the enum and the variant.
#[test]
fn an_event_type_is_the_names_of_enum_and_variant() {
    let names: Vec<_> = ProjectEvent::declarations().iter().map(|declaration| declaration.event_type).collect();
    let members = ["project_member.added", "project_member.roles_updated", "project_member.removed"];
    assert_eq!(names[3..], members);
    assert_eq!(names[..3], ["project.begun", "project.filed", "project.noted"]);
    for event in every_event() {
        assert_eq!(event.event_type(), event.declaration().event_type);
    }
    assert_eq!(updated().event_version(), "3.0");
    assert_eq!(declared("project_member.removed").action, Action::Delete);
}

#[test]
fn every_event_reads_back_as_it_was() {
    for event in every_event() {
        assert_eq!(ProjectEvent::decode(&event.event_type(), &event.encode().unwrap()).unwrap(), event);
        assert_eq!(ProjectEvent::from_stored(&as_stored(&event)).unwrap(), event);
    }
}

#[test]
fn a_payload_is_the_content_of_the_variant_with_its_serde_attributes() {
    assert_eq!(ProjectEvent::from(added()).encode().unwrap(), r#"{"user":"user:7","roles":["admin","owner"]}"#);
    assert_eq!(ProjectEvent::Begun.encode().unwrap(), "{}");
    assert_eq!(ProjectEvent::Filed("a".to_owned(), None).encode().unwrap(), r#"["a",null]"#);
    let bare = ProjectEvent::Noted { note_text: "x".to_owned(), owner: None, mentioned: Vec::new() };
    assert_eq!(bare.encode().unwrap(), r#"{"text":"x","mentioned":[]}"#);
    assert_eq!(ProjectEvent::decode("project.noted", r#"{"text":"x","mentioned":[]}"#).unwrap(), bare);
}

#[test]
fn an_event_with_a_former_name_is_read_as_the_current_event() {
    let removed = ProjectEvent::from(MemberEvent::Removed { user: UserId::new(7_u64) });
    for name in ["project_member.removed", "project_member.left", "old_member.gone"] {
        let stored = stored(name, "1.0", r#"{"user":"user:7"}"#);
        assert_eq!(ProjectEvent::from_stored(&stored).unwrap(), removed, "{name}");
        assert_eq!(ProjectEvent::lookup(name).unwrap().event_type, "project_member.removed");
    }
    assert_eq!(types().names("old_member.gone").len(), 3);
}

#[test]
fn an_older_payload_is_upcast_one_version_at_a_time() {
    let event = ProjectEvent::from(updated());
    let old = stored("project_member.roles_updated", "1.0", r#"{"user":"7","roles":["admin"]}"#);
    assert_eq!(ProjectEvent::from_stored(&old).unwrap(), event);
    let newer = Stored { event_version: "4.0".to_owned(), ..old };
    assert!(matches!(ProjectEvent::from_stored(&newer), Err(DecodeError::Version { .. })));
}

#[test]
fn an_undeclared_event_type_is_an_error_that_names_it() {
    let error = ProjectEvent::from_stored(&stored("project.exploded", "1.0", "{}")).unwrap_err();
    assert!(error.to_string().contains("unknown event type `project.exploded`"), "{error}");
    let error = ProjectEvent::decode("project.exploded", "{}").unwrap_err();
    assert!(error.to_string().contains("`project.exploded` is not an event of `ProjectEvent`"), "{error}");
    assert!(ProjectEvent::decode("project.noted", "{}").is_err());
}

/// Mission J5: every event type has a sentence.
#[test]
fn a_sentence_names_fields_the_actor_the_aggregate_and_changes() {
    let sentences: Vec<_> = every_event().iter().map(sentence).collect();
    assert_eq!(
        sentences,
        [
            "user:alice added user:7 to project:annals as admin, owner",
            "user:alice changed user:7's roles on project:annals from nothing to admin",
            "user:alice removed user:7 from project:annals",
            "user:alice began project:annals",
            "user:alice filed src/lib under nothing",
            "user:alice set {braces} to hello",
        ]
    );
}

/// Mission J6: a sentence needs only its event; nothing is looked up.
#[test]
fn a_sentence_needs_only_the_row() {
    let types = types();
    let row = stored("project_member.added", "1.0", r#"{"user":"user:404","roles":[]}"#);
    let known = types.of(&row).unwrap();
    let sentence = known.sentence(&row, &known.describe(&row).unwrap());
    assert_eq!(sentence, "user:alice added user:404 to project:annals as nothing");
}

/// Missions P3, P9: topics mirror the domains, and an event can have several.
#[test]
fn topics_come_from_the_variant_or_the_enum_or_its_name() {
    assert_eq!(topics(&added().into()), ["project/member"]);
    assert_eq!(topics(&ProjectEvent::Begun), ["project", "all/annals/user:alice"]);
    assert_eq!(topics(&ProjectEvent::Filed("a/b".to_owned(), Some("c/d".to_owned()))), ["files/a/b/c%2Fd"]);
    assert_eq!(topics(&noted()), ["project/1", "project/note"]);

    #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[event(name = "lonely")]
    enum Lonely {
        #[event(view, "{actor} looked")]
        Seen,
    }
    assert_eq!(Lonely::Seen.declaration().topics, ["lonely"]);
}

#[test]
fn targets_are_the_marked_fields_through_options_and_lists() {
    let texts = |event: &ProjectEvent| event.targets().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&added().into()), ["user:7"]);
    assert_eq!(texts(&ProjectEvent::Begun), [""; 0]);
    let item = format!("invoice-item:{}", Uuid::nil());
    assert_eq!(texts(&noted()), ["user:1", &item, "file:a/b"]);

    let stored = as_stored(&noted());
    let described = types().of(&stored).unwrap().describe(&stored).unwrap();
    assert_eq!(described.targets[0], stored.aggregate, "the aggregate is always one");
}

#[test]
fn facts_are_the_fields_by_their_rust_names() {
    let facts = noted().facts().unwrap();
    let names: Vec<_> = facts.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["note_text", "owner", "mentioned"]);
    assert_eq!(ProjectEvent::Filed("a".to_owned(), None).facts().unwrap()[1], ("1", Value::Null));
}

#[test]
fn a_declaration_pins_the_shape_of_every_field() {
    let fields = declared("project_member.roles_updated").fields;
    assert_eq!(fields[1].shape, r#"Change<Roles> #[serde(rename_all_fields="camelCase")]"#);
    assert!(fields[1].change && !fields[1].target);
    assert!(fields[0].target && !fields[0].change);
    let shapes: Vec<_> = declared("project.noted").fields.iter().map(|field| field.shape).collect();
    let owner = r#"Option<UserId> #[serde(default,skip_serializing_if="Option::is_none")]"#;
    assert_eq!(shapes, [r#"String #[serde(rename="text")]"#, owner, "Vec<Ref>"]);
}

/// Mission J4: duplicates are rejected.
#[test]
fn two_aggregates_cannot_share_an_event() {
    let error = types().add::<MemberEvent>("team").unwrap_err();
    let TypesError::Duplicate { event_type, first, second } = error else { panic!("{error}") };
    assert_eq!((event_type.as_str(), first, second), ("project_member.added", "project", "team"));
    types().add::<ProjectEvent>(Project::TYPE).unwrap();
    let error = types().add::<MemberEvent>(Project::TYPE).unwrap_err().to_string();
    assert!(error.contains("`project` has two event enums, ") && error.contains("MemberEvent: rename"), "{error}");
}

#[test]
fn enums_nest_to_any_depth_and_may_contain_only_other_enums() {
    #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Outer {
        #[event(transparent)]
        Project(ProjectEvent),
        #[event(transparent)]
        Other(OtherEvent),
    }

    #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[event(name = "other")]
    enum OtherEvent {
        #[event(update, "{actor} did {type}")]
        Done { r#type: String },
    }

    let event = Outer::from(ProjectEvent::from(added()));
    assert_eq!(Outer::from_stored(&as_stored(&event)).unwrap(), event);
    assert_eq!(event.targets().len(), 1);
    let other = Outer::from(OtherEvent::Done { r#type: "x".to_owned() });
    assert_eq!(Outer::from_stored(&as_stored(&other)).unwrap(), other);
    assert_eq!(Outer::declarations().len(), 7);
}
