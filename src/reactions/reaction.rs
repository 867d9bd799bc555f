//! The [`Reaction`] trait and [`Then`].

use std::time::Duration;

use jiff::Timestamp;

use crate::aggregates::{Aggregate, Loaded};
use crate::commands::{Command, Handle};
use crate::events::Recorded;

/// How many reactions may lead to each other: a command that would be the 17th in a row is refused.
pub const MAX_DEPTH: u32 = 16;

/// The longest name of a timer, in bytes.
pub(super) const MAX_TIMER_BYTES: usize = 256;

/// Which events a reaction reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Those after its first start: the first time that an application with the reaction was opened on the log. A raised
    /// [`VERSION`](Reaction::VERSION) continues with the same events; steps that were done are not done again.
    FirstStart,
    /// Those after the start of this version. What earlier versions left pending, timers too, is dropped.
    ThisVersion,
    /// All events of the log. The start of a first version is then no event.
    Beginning,
}

/// What follows the events of an aggregate: commands at once, and timers.
///
/// Each command takes effect once, whatever fails: its id is derived from the event, the reaction's name and the number of the step.
/// The commands that follow the events of one aggregate are executed in order; those of several aggregates at the same time. The
/// actor is `annals_reaction:<name>`, on behalf of the event's principal or actor; the causation is the event, and the correlation is
/// passed on. A reaction acts by its own right: access control is not asked.
///
/// A refusal is an answer: it is recorded as an event, and the reaction continues. What fails for another reason is tried again, with
/// growing delays, before the later steps of the same aggregate.
///
/// ```
/// use std::time::Duration;
///
/// use annals::prelude::*;
/// use annals::reactions::{Reaction, Then};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// pub struct HoldId(String);
///
/// #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// #[event(name = "hold", on = Hold)]
/// pub enum HoldEvent {
///     #[event(create, "{actor} holds a seat")]
///     Held,
///     #[event(update, "{actor} confirmed {hold}")]
///     Confirmed,
///     #[event(delete, "{hold} lapsed")]
///     Lapsed,
/// }
///
/// #[derive(Default, Clone, Serialize, Deserialize)]
/// pub struct Hold {
///     open: bool,
/// }
///
/// impl Aggregate for Hold {
///     const TYPE: &'static str = "hold";
///     type Id = HoldId;
///     type Event = HoldEvent;
///     type Error = std::convert::Infallible;
///     fn apply(&mut self, event: &HoldEvent) {
///         self.open = matches!(event, HoldEvent::Held);
///     }
/// }
///
/// /// Let a hold lapse
/// #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
/// pub struct Lapse {
///     #[on(Hold)]
///     pub hold: HoldId,
/// }
///
/// impl Handle for Lapse {
///     fn handle(&self, hold: &Loaded<Hold>, _: &Context) -> Result<Vec<HoldEvent>, std::convert::Infallible> {
///         Ok(if hold.open { vec![HoldEvent::Lapsed] } else { Vec::new() })
///     }
/// }
///
/// /// A hold that is not confirmed within a week lapses.
/// pub struct Lapsing;
///
/// impl Reaction for Lapsing {
///     const NAME: &'static str = "lapsing";
///     type On = Hold;
///     fn react(event: &Recorded<HoldEvent>, hold: &Loaded<Hold>) -> Then {
///         match event.event {
///             HoldEvent::Held => {
///                 let week = Duration::from_secs(7 * 86_400);
///                 Then::nothing().after(week, "lapse", Lapse { hold: hold.id().clone() })
///             }
///             HoldEvent::Confirmed | HoldEvent::Lapsed => Then::nothing().cancel("lapse"),
///         }
///     }
/// }
///
/// let app = App::new("theatre").command::<Lapse>().reaction::<Lapsing>();
/// app.check()?;
/// # Ok::<(), annals::app::Unsound>(())
/// ```
pub trait Reaction: Send + Sync + 'static {
    /// The reaction's name: `lapsing`. Lower-case letters, digits and `_`, at most 40. It is part of the command ids: under another
    /// name it is another reaction.
    const NAME: &'static str;

    /// The version of the reaction. Raise it when it reacts in another way: then [`react`](Self::react) is asked again about all events
    /// that [`SINCE`](Self::SINCE) names, and what was not done yet is done as the new version says. Programs with an older version stop
    /// reacting. The version is not part of the command ids: add new steps behind those that are there.
    const VERSION: u32 = 1;

    /// Which events it reacts to.
    const SINCE: Since = Since::FirstStart;

    /// The type of the aggregates that it reacts to.
    type On: Aggregate;

    /// Says what follows an event. `state` is the aggregate after this event.
    ///
    /// It must be a pure function: for the same event and state it returns the same steps, in every process and after every restart. It
    /// reads no clock and calls no service; what is needed from outside is asked by [`Handle::prepare`] of the command. If it panics,
    /// it reacts to no further event of this aggregate, until it is [rebuilt](crate::app::Annals::rebuild) by a corrected program.
    fn react(event: &Recorded<<Self::On as Aggregate>::Event>, state: &Loaded<Self::On>) -> Then;
}

/// When a timer is due.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    After(Duration),
    At(Timestamp),
}

/// A command by its name and its JSON.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) command: &'static str,
    pub(super) json: Result<String, serde_json::Error>,
}

impl Body {
    fn new<C: Command>(command: &C) -> Self {
        let json = match C::personal_fields() {
            [] => serde_json::to_string(command),
            // It would be stored readable, in the projection of the reaction.
            fields => Err(serde::ser::Error::custom(format_args!(
                "a reaction cannot lead to a command with personal fields ({}): leave them out, and let the handler open what the \
                 aggregate has",
                fields.join(", ")
            ))),
        };
        Self { command: C::NAME, json }
    }
}

/// One step.
#[derive(Debug)]
pub(super) enum Step {
    Execute(Body),
    Arm { timer: String, due: Due, body: Body },
    Cancel { timer: String },
}

/// The steps that follow an event, in order. A single command is a `Then` too: `Lapse { hold }.into()`.
#[derive(Debug, Default)]
#[must_use]
pub struct Then {
    pub(super) steps: Vec<Step>,
}

impl Then {
    /// No step.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Adds a command that is executed at once. It must be registered with the application.
    pub fn execute<C: Command + Handle>(self, command: C) -> Self {
        self.with(Step::Execute(Body::new(&command)))
    }

    /// Adds a command that is executed later: this long after the event was recorded. The command is fixed now. A timer belongs to the
    /// reaction and the aggregate, and has a name of at most 256 bytes: setting it again replaces it.
    pub fn after<C: Command + Handle>(self, delay: Duration, timer: impl Into<String>, command: C) -> Self {
        self.with(Step::Arm { timer: timer.into(), due: Due::After(delay), body: Body::new(&command) })
    }

    /// Adds a command that is executed at a time, at once if that is past. As [`after`](Self::after) otherwise.
    pub fn at<C: Command + Handle>(self, time: Timestamp, timer: impl Into<String>, command: C) -> Self {
        self.with(Step::Arm { timer: timer.into(), due: Due::At(time), body: Body::new(&command) })
    }

    /// Cancels a timer of this aggregate, if it is set. The timer may be executing already: whether that still has an effect must be
    /// decided by its command.
    pub fn cancel(self, timer: impl Into<String>) -> Self {
        self.with(Step::Cancel { timer: timer.into() })
    }

    fn with(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl<C: Command + Handle> From<C> for Then {
    fn from(command: C) -> Self {
        Self::nothing().execute(command)
    }
}
