//! Commands for the test framework of cqrs-es.

use super::{Command, Context, Handle};
use crate::aggregates::{Aggregate, Cqrs, Decide, Loaded};

impl<A, C> Decide<A> for (C, Context)
where
    A: Aggregate,
    C: Handle + Command<Scope = A, Error = A::Error>,
{
    fn decide(&self, state: &A, sequence: u64) -> Result<Vec<A::Event>, A::Error> {
        self.0.handle(&Loaded::new(self.0.ids(), sequence, state.clone()), &self.1)
    }
}

impl<A: Aggregate> Cqrs<A> {
    /// Returns a command for `when` of cqrs-es.
    pub fn command<C>(command: C, context: Context) -> Box<dyn Decide<A>>
    where
        C: Handle + Command<Scope = A, Error = A::Error>,
    {
        Box::new((command, context))
    }
}
