//! [`Agents`]: which kinds of references are people, organisations and software.

use std::collections::BTreeMap;

use crate::events::Ref;

/// What an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AgentType {
    Person,
    Organization,
    Software,
}

impl AgentType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Person => "prov:Person",
            Self::Organization => "prov:Organization",
            Self::Software => "prov:SoftwareAgent",
        }
    }
}

/// Which actors are people, organisations and software, by the kind of their references. An agent of another kind is an agent and
/// nothing more.
///
/// By default `user` and `person` are people; `organisation` and `organization` are organisations; `app`, `service` and `annals` are
/// software.
///
/// ```
/// use annals::projections::provenance::Agents;
/// let agents = Agents::default().software("robot").organisation("team");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agents(BTreeMap<String, AgentType>);

impl Default for Agents {
    fn default() -> Self {
        Self(BTreeMap::new())
            .person("user")
            .person("person")
            .organisation("organisation")
            .organisation("organization")
            .software("app")
            .software("service")
            .software("annals")
    }
}

impl Agents {
    /// References of this kind are people.
    #[must_use]
    pub fn person(self, kind: &str) -> Self {
        self.with(kind, AgentType::Person)
    }

    /// References of this kind are organisations.
    #[must_use]
    pub fn organisation(self, kind: &str) -> Self {
        self.with(kind, AgentType::Organization)
    }

    /// References of this kind are programs.
    #[must_use]
    pub fn software(self, kind: &str) -> Self {
        self.with(kind, AgentType::Software)
    }

    fn with(mut self, kind: &str, agent: AgentType) -> Self {
        self.0.insert(kind.to_owned(), agent);
        self
    }

    pub(super) fn type_of(&self, agent: &Ref) -> Option<AgentType> {
        self.0.get(agent.kind()).copied()
    }
}
