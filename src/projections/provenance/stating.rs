//! [`Statements`]: makes statements of nodes.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use super::document::{Document, Statement, StatementKind as Kind};
use super::facts::{Cause, Facts};
use super::folding::MAX_SOURCES;
use super::lookup::UsedRow;
use super::naming::{self, label, version_label};
use super::role::Role;
use super::walk::Node;
use super::{Agents, EXPORTED, VIEWED};
use crate::events::{Ref, SourceRole, Types};
use crate::projections::audit::Detail;
use crate::projections::presenter::plain;

/// The statements of a page.
pub(super) struct Statements {
    agents: Arc<Agents>,
    types: Arc<Types>,
    detail: Detail,
    statements: Vec<Statement>,
    stated: HashSet<(Kind, String)>,
    /// Nodes that were named and are perhaps not stated: with their labels, in the order in which they were named.
    named: Vec<(Kind, String, String)>,
    /// The approximate size of the statements, in bytes.
    pub bytes: usize,
}

impl Statements {
    pub(super) fn new(agents: Arc<Agents>, types: Arc<Types>, detail: Detail) -> Self {
        Self { agents, types, detail, statements: Vec::new(), stated: HashSet::new(), named: Vec::new(), bytes: 0 }
    }

    /// States a node and all relations from it. Each relation belongs to the node that is later in the log, so that it is stated
    /// once, by whatever way a walk comes.
    pub(super) fn state(&mut self, node: Node, facts: &Facts) {
        match node.is_command() {
            true => self.command(facts),
            false => self.event(facts),
        }
    }

    /// The statements, with one for each node that was only named.
    pub(super) fn finish(mut self, log_id: String) -> Document {
        for (kind, id, label) in std::mem::take(&mut self.named) {
            self.node(Statement::node(kind, id).text("prov:label", label));
        }
        Document { log_id, statements: self.statements }
    }

    fn push(&mut self, statement: Statement) {
        let arguments: usize = statement.arguments.iter().flatten().map(|argument| argument.len() + 24).sum();
        self.bytes += 64 + arguments + statement.attributes.len() * 48 + statement.label().map_or(0, str::len);
        self.statements.push(statement);
    }

    /// States a node, once.
    fn node(&mut self, statement: Statement) {
        if let Some(id) = &statement.id
            && self.stated.insert((statement.kind, id.clone()))
        {
            self.push(statement);
        }
    }

    fn relation(&mut self, kind: Kind, arguments: &[Option<&str>]) {
        self.push(Statement::relation(kind, arguments.iter().copied()));
    }

    /// Returns the id of a node that is named here, and may be stated elsewhere.
    fn name(&mut self, kind: Kind, id: String, label: impl FnOnce() -> String) -> String {
        if !self.stated.contains(&(kind, id.clone())) {
            let label = label();
            self.bytes += id.len() + label.len() + 64;
            self.named.push((kind, id.clone(), label));
        }
        id
    }

    fn thing(&mut self, thing: &Ref) -> String {
        let id = naming::thing(thing);
        self.node(Statement::node(Kind::Entity, &*id).typed("annals:Thing").text("prov:label", label(thing)));
        id
    }

    fn agent(&mut self, agent: &Ref) -> String {
        let id = naming::thing(agent);
        let statement = Statement::node(Kind::Agent, &*id);
        let statement = match self.agents.type_of(agent) {
            Some(agent) => statement.typed(agent.name()),
            None => statement,
        };
        self.node(statement.text("prov:label", label(agent)));
        id
    }

    fn version(&mut self, thing: &Ref, sequence: u64) -> String {
        let id = naming::version(thing, sequence);
        self.name(Kind::Entity, id, || version_label(thing, sequence))
    }

    fn named_command(&mut self, id: Uuid) -> String {
        self.name(Kind::Activity, naming::command(id), || format!("command {id}"))
    }

    /// The version that was used; the thing itself, if there was none.
    fn used_version(&mut self, used: &UsedRow) -> Option<String> {
        let thing: Ref = used.name.parse().ok()?;
        Some(match used.version {
            Some(_) => self.version(&thing, used.sequence),
            None => self.thing(&thing),
        })
    }

    /// A command: who did it by which plan, what it was decided on, and what led to it.
    fn command(&mut self, facts: &Facts) {
        let Facts { stored, metadata, uses, cause, .. } = facts;
        let decided_on = metadata.decided_on.as_ref();
        let plan = decided_on.and_then(|on| Some((on.command.as_deref()?, on.version)));
        let id = naming::command(stored.command_id);
        let time = naming::time(stored.occurred_at);
        let mut activity = Statement::node(Kind::Activity, &*id).times(time.as_deref()).typed("annals:Command");
        activity = activity.text("prov:label", plan.map_or("command", |(name, _)| name));
        if time.is_none() {
            activity = activity.text("annals:occurredAt", stored.occurred_at.to_string());
        }
        activity = match (plan, decided_on.map_or(0, |on| on.more)) {
            // An event of an older program: nothing is guessed.
            (None, _) => activity.text("annals:decidedOn", "not recorded"),
            (Some(_), 0) => activity,
            (Some(_), more) => activity.number("annals:alsoDecidedOn", more),
        };
        self.node(activity);
        let plan = plan.map(|(name, version)| {
            let plan = naming::command_type(name, version);
            let statement = Statement::node(Kind::Entity, &*plan).typed("prov:Plan").typed("annals:CommandType");
            self.node(statement.text("prov:label", format!("{name} (version {version})")));
            plan
        });
        let actor = self.agent(&metadata.actor);
        let association = [Some(&*id), Some(&*actor), plan.as_deref()];
        self.push(Statement::relation(Kind::WasAssociatedWith, association).role("annals:actor"));
        if let Some(principal) = &metadata.on_behalf_of {
            let principal = self.agent(principal);
            self.relation(Kind::ActedOnBehalfOf, &[Some(&actor), Some(&principal), Some(&id)]);
        }
        for used in uses {
            let role = match used.role {
                Role::DecidedOn => "annals:decidedOn",
                Role::Read => "annals:read",
                _ => continue,
            };
            let Some(version) = self.used_version(used) else { continue };
            let arguments = [Some(&*id), Some(&*version), time.as_deref()];
            self.push(Statement::relation(Kind::Used, arguments).role(role));
        }
        match cause {
            Some(Cause::Command { id: cause, .. } | Cause::Event { command: cause, makes: false, .. }) => {
                let cause = self.named_command(*cause);
                self.relation(Kind::WasInformedBy, &[Some(&id), Some(&cause)]);
            }
            Some(Cause::Event { command, aggregate, sequence, .. }) => {
                let trigger = self.version(aggregate, *sequence);
                let starter = self.named_command(*command);
                self.relation(Kind::WasStartedBy, &[Some(&id), Some(&trigger), Some(&starter), time.as_deref()]);
            }
            None => {}
        }
    }

    /// What an event made, or ended.
    fn event(&mut self, facts: &Facts) {
        let Facts { stored, metadata, version, .. } = facts;
        let command = self.named_command(stored.command_id);
        let time = naming::time(stored.occurred_at);
        // The current name, whatever it was when the event was stored.
        let known = self.types.get(&stored.event_type);
        let event_type = known.map_or(stored.event_type.as_str(), |known| known.declaration.event_type).to_owned();
        let described = |statement: Statement| {
            let statement = statement.number("annals:position", stored.position);
            let statement = statement.text("annals:event", stored.event_id.to_string());
            statement.text("annals:eventType", event_type.clone())
        };
        let previous = version.previous.map(|_| self.version(&stored.aggregate, stored.sequence - 1));
        if !version.makes {
            if let Some(previous) = previous {
                let arguments = [Some(&*previous), Some(&*command), time.as_deref()];
                self.push(described(Statement::relation(Kind::WasInvalidatedBy, arguments)));
            }
            return;
        }
        let thing = self.thing(&stored.aggregate);
        let id = naming::version(&stored.aggregate, stored.sequence);
        let statement = Statement::node(Kind::Entity, &*id).typed("annals:Version");
        let mut statement =
            described(statement.text("prov:label", version_label(&stored.aggregate, stored.sequence)));
        let sources = facts.uses.iter().filter(|used| [Role::Source, Role::SourceInPayload].contains(&used.role));
        if self.detail == Detail::Full && sources.count() == MAX_SOURCES {
            statement = statement.number("annals:sourcesNamed", MAX_SOURCES as u64);
        }
        self.node(statement);
        self.relation(Kind::SpecializationOf, &[Some(&id), Some(&thing)]);
        self.relation(Kind::WasGeneratedBy, &[Some(&id), Some(&command), time.as_deref()]);
        let actor = self.agent(&metadata.actor);
        self.relation(Kind::WasAttributedTo, &[Some(&id), Some(&actor)]);
        if let Some(previous) = previous {
            let arguments = [Some(&*id), Some(&*previous), Some(&*command)];
            self.push(Statement::relation(Kind::WasDerivedFrom, arguments).typed("prov:Revision"));
        }
        for used in &facts.uses {
            if ![Role::Source, Role::SourceInPayload].contains(&used.role) {
                continue;
            }
            let Some(source) = self.used_version(used) else { continue };
            let arguments = [Some(&*id), Some(&*source), Some(&*command)];
            self.push(Statement::relation(Kind::WasDerivedFrom, arguments).typed("annals:Source"));
            for (role, _) in facts.source_roles.iter().filter(|(_, named)| named.as_str() == used.name) {
                let kind = match role {
                    SourceRole::Specialization => Kind::SpecializationOf,
                    SourceRole::Alternate => Kind::AlternateOf,
                    SourceRole::Member => Kind::HadMember,
                };
                self.relation(kind, &[Some(&id), Some(&source)]);
            }
        }
        match event_type.as_str() {
            EXPORTED => self.export(facts, &actor, time.as_deref()),
            VIEWED => self.view(facts, &actor, time.as_deref()),
            _ => {}
        }
    }

    /// A read or an export, by its record: who did it, on whose behalf, and the versions that it showed. Returns these.
    fn read(&mut self, facts: &Facts, activity: Statement, actor: &str, time: Option<&str>) -> Vec<String> {
        let id = activity.id.clone().unwrap_or_default();
        let activity = activity.times(time);
        self.node(match &facts.read {
            Some(read) => activity.text("annals:what", plain(&read.what)),
            None => activity,
        });
        let association = [Some(&*id), Some(actor)];
        self.push(Statement::relation(Kind::WasAssociatedWith, association).role("annals:actor"));
        if let Some(principal) = &facts.metadata.on_behalf_of {
            let principal = self.agent(principal);
            self.relation(Kind::ActedOnBehalfOf, &[Some(actor), Some(&principal), Some(&id)]);
        }
        let mut versions = Vec::new();
        for used in facts.uses.iter().filter(|used| used.role.is_of_read()) {
            let Some(version) = self.used_version(used) else { continue };
            let arguments = [Some(&*id), Some(&*version), time];
            self.push(Statement::relation(Kind::Used, arguments).role("annals:read"));
            versions.push(version);
        }
        versions
    }

    /// A read, by its record. A reader of metadata does not see what was read.
    fn view(&mut self, facts: &Facts, actor: &str, time: Option<&str>) {
        if self.detail == Detail::Full {
            let activity =
                Statement::node(Kind::Activity, naming::view(facts.stored.event_id)).typed("annals:View");
            self.read(facts, activity.text("prov:label", "read"), actor, time);
        }
    }

    /// An export, by its record: it made a file of the versions that it included.
    fn export(&mut self, facts: &Facts, actor: &str, time: Option<&str>) {
        let Facts { stored, read, .. } = facts;
        let (activity, file) = (naming::export(stored.event_id), naming::file(stored.event_id));
        let statement = Statement::node(Kind::Entity, &*file).typed("annals:File");
        let statement = match read.as_ref().and_then(|read| read.export.as_ref()) {
            Some((format, head)) => {
                let statement = statement.text("prov:label", format!("export as {}", plain(format)));
                statement.text("annals:format", plain(format)).number("annals:head", *head)
            }
            None => statement.text("prov:label", "export"),
        };
        self.node(statement);
        let statement =
            Statement::node(Kind::Activity, &*activity).typed("annals:Export").text("prov:label", "export");
        let versions = self.read(facts, statement, actor, time);
        self.relation(Kind::WasGeneratedBy, &[Some(&file), Some(&activity), time]);
        for version in versions {
            self.relation(Kind::WasDerivedFrom, &[Some(&file), Some(&version), Some(&activity)]);
        }
    }
}
