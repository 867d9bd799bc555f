//! [`Role`]: how an event, or its command, used a version.

/// How a version was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// The command was decided on it, and wrote its aggregate too.
    DecidedOn = 0,
    /// The command was decided on it, and only read it.
    Read = 1,
    /// The event was derived from it; it is also a target of the event.
    Source = 2,
    /// The event was derived from it; only the payload names it, so readers of metadata do not see it.
    SourceInPayload = 3,
    /// The causation of the command. The name is that of a command or an event, not of a thing.
    Causation = 4,
    /// An export included it.
    Exported = 5,
    /// A recorded read showed it. What was read is a value of the record, so readers of metadata do not see it.
    Viewed = 6,
}

impl Role {
    /// Whether it belongs to the command, whose first event has it.
    pub(super) fn is_of_command(self) -> bool {
        matches!(self, Self::DecidedOn | Self::Read | Self::Causation)
    }

    /// Whether it is of a recorded read or export.
    pub(super) fn is_of_read(self) -> bool {
        matches!(self, Self::Exported | Self::Viewed)
    }

    /// Whether readers of metadata see it.
    pub(super) fn is_metadata(self) -> bool {
        !matches!(self, Self::SourceInPayload | Self::Viewed)
    }

    /// Its number in the table.
    pub(super) fn number(self) -> i64 {
        self as i64
    }

    /// The role with this number.
    pub(super) fn from_number(number: i64) -> Option<Self> {
        [
            Self::DecidedOn,
            Self::Read,
            Self::Source,
            Self::SourceInPayload,
            Self::Causation,
            Self::Exported,
            Self::Viewed,
        ]
        .into_iter()
        .find(|role| role.number() == number)
    }
}
