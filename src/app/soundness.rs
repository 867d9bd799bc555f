//! Checks that the parts of an application fit together, before it is opened.

use std::collections::HashSet;

use super::App;
use crate::projections::audit::AuditLog;
use crate::projections::display_names::DisplayNames;
use crate::projections::metrics::Metrics;
use crate::projections::provenance::ProvenanceGraph;
use crate::store::Interest;

/// An error when the parts of an application do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the application `{app}` is not sound:\n- {}", .problems.join("\n- "))]
pub struct Unsound {
    /// The application's name.
    pub app: String,
    /// All problems.
    pub problems: Vec<String>,
}

pub(super) fn check(app: &App) -> Result<(), Unsound> {
    let mut problems = app.problems.clone();
    for kind in &app.aggregate_types {
        let (aggregate_type, id_kind) = (kind.name(), kind.0.id_kind());
        if aggregate_type != id_kind {
            problems.push(format!(
                "the ids of the aggregate `{aggregate_type}` have the kind `{id_kind}`: write \
                 `#[id(kind = \"{aggregate_type}\")]` on the id's type"
            ));
        }
    }
    let mut names: HashSet<&str> =
        [AuditLog::NAME, Metrics::NAME, DisplayNames::NAME, ProvenanceGraph::NAME].into();
    for projection in &app.projections {
        if !names.insert(projection.name()) {
            problems.push(format!("two projections have the name `{}`: rename one", projection.name()));
        }
        let Interest::EventTypes(wanted) = projection.interest() else { continue };
        for event_type in wanted.iter().filter(|event_type| app.types.get(event_type).is_none()) {
            problems.push(format!(
                "`{}` wants `{event_type}`, but no registered command can cause it: register a command on \
                 its aggregate",
                projection.name()
            ));
        }
    }
    for reaction in &app.reactions {
        let on = reaction.on().name();
        if !app.aggregate_types.iter().any(|known| known.name() == on) {
            let name = reaction.name();
            problems.push(format!(
                "the reaction `{name}` reacts to `{on}`, but no command is decided on it: register one"
            ));
        }
    }
    for event_type in app.namings.event_types().filter(|event_type| app.types.get(event_type).is_none()) {
        problems.push(format!(
            "`{event_type}` names things, but no registered command can cause it: register a command on \
             its aggregate"
        ));
    }
    let needed = app.registry.list().map(|command| (format!("the command `{}`", command.name), &command.services));
    let authoriser =
        app.access_control.authoriser.iter().map(|authoriser| authoriser.needs()).next().unwrap_or_default();
    for (who, services) in needed.chain([("the authoriser".to_owned(), &authoriser)]) {
        for service in services.iter().filter(|service| !app.services.has(**service)) {
            let name = service.name();
            problems.push(format!("{who} needs the service `{name}`: add `.service::<{name}>(…)` to the App"));
        }
    }
    if cfg!(not(feature = "personal")) && app.has_personal() {
        let problem = "the application has personal values: turn on the feature `personal` of annals";
        problems.push(problem.to_owned());
    }
    #[cfg(feature = "translations")]
    problems.extend(crate::projections::presenter::check(&app.locales, &app.types));
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Unsound { app: app.name.to_owned(), problems }),
    }
}
