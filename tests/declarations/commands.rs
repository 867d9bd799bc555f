//! Ids and commands.

use super::*;

#[test]
fn an_id_parses_from_its_reference_or_its_bare_text() {
    assert_eq!((ProjectId::KIND, UserId::KIND, Item::KIND), ("project", "user", "invoice-item"));
    let user = UserId::new(7);
    assert_eq!(user.to_string(), "user:7");
    assert_eq!("user:7".parse::<UserId>().unwrap(), user);
    assert_eq!("7".parse::<UserId>().unwrap(), user);
    assert_eq!(Ref::from(&user), Ref::from(user.clone()));
    assert!(matches!("project:7".parse::<UserId>(), Err(InvalidRef::OtherKind { kind: "user", .. })));
    let error = "user:seven".parse::<UserId>().unwrap_err();
    assert_eq!(error.to_string(), "`seven` is not a user id: invalid digit found in string");
    assert!(matches!(ProjectId::new("a").text(), std::borrow::Cow::Borrowed("a")));
    let mut targets = Vec::new();
    user.add_to(&mut targets);
    assert_eq!(targets, [user.reference()]);
}

#[test]
fn an_id_is_its_reference_in_json_and_as_a_key() {
    let members = BTreeMap::from([(UserId::new(7), roles(&["admin"]))]);
    let json = serde_json::to_string(&members).unwrap();
    assert_eq!(json, r#"{"user:7":["admin"]}"#);
    assert_eq!(serde_json::from_str::<BTreeMap<UserId, Roles>>(&json).unwrap(), members);
    let schema = annals::schemars::schema_for!(UserId);
    assert_eq!(schema.get("type"), Some(&json!("string")));
    assert_eq!(schema.get("title"), Some(&json!("UserId")));
}

/// Gives a user roles on a project.
///
/// Does nothing if the user has them.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct AddMember {
    #[on(Project)]
    project: ProjectId,
    user: UserId,
}

#[derive(Debug, thiserror::Error)]
#[error("not moved")]
struct MoveError;

#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "transfer", error = MoveError)]
struct MoveMember {
    #[on(Project)]
    from: ProjectId,
    user: UserId,
    #[on(Project)]
    to: ProjectId,
}

#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct CloseProjects {
    #[on(Project)]
    projects: Vec<ProjectId>,
}

fn decided_on<C: Command>(command: &C) -> Vec<String> {
    C::Scope::aggregates(command.ids()).iter().map(|(_, aggregate)| aggregate.to_string()).collect()
}

#[test]
fn a_command_has_a_name_and_a_summary() {
    assert_eq!((AddMember::NAME, AddMember::SUMMARY), ("add_member", "Gives a user roles on a project."));
    assert_eq!((MoveMember::NAME, MoveMember::SUMMARY), ("transfer", ""));
    let error: <MoveMember as Command>::Error = MoveError;
    assert_eq!(error.to_string(), "not moved");
}

/// Mission X13: a command names the aggregates that it is decided on, one or several.
#[test]
fn a_command_is_decided_on_the_aggregates_of_its_marked_fields() {
    let id = |text: &str| ProjectId::new(text);
    assert_eq!(decided_on(&AddMember { project: id("a"), user: UserId::new(1_u64) }), ["project:a"]);
    let moved = MoveMember { from: id("a"), user: UserId::new(1_u64), to: id("b") };
    assert_eq!(decided_on(&moved), ["project:a", "project:b"]);
    assert_eq!(decided_on(&CloseProjects { projects: vec![id("a"), id("b")] }), ["project:a", "project:b"]);
}
