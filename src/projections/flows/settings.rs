//! [`Flows`]: turns flows on.

use std::collections::BTreeSet;

/// How an application keeps flows: see [`App::flows`](crate::app::App::flows).
///
/// ```
/// use annals::projections::flows::Flows;
/// let flows = Flows::default().outside("mailbox");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flows {
    outside: BTreeSet<String>,
}

impl Default for Flows {
    /// References of the kinds `host` and `file` are outside.
    fn default() -> Self {
        Self { outside: ["host", "file"].map(str::to_owned).into() }
    }
}

impl Flows {
    /// References of this kind are outside of the application: an event that has one as a target is a flow that leads out.
    #[must_use]
    pub fn outside(mut self, kind: &str) -> Self {
        self.outside.insert(kind.to_owned());
        self
    }

    /// The kinds of references that are outside.
    pub fn kinds_outside(&self) -> impl Iterator<Item = &str> {
        self.outside.iter().map(String::as_str)
    }

    pub(super) fn kinds(&self) -> &BTreeSet<String> {
        &self.outside
    }
}
