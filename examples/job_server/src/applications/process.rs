//! The process: what leads from one event of an application to the next.

use std::time::Duration;

use annals::prelude::*;
use annals::reactions::{Reaction, Since, Then};

use super::{AdmitApplicant, Application, ApplicationEvent, LapseApplication};

/// How long the reviewers have.
pub const TIME_TO_DECIDE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The name of the timer.
const LAPSE: &str = "lapse";

/// What is not decided in time lapses; an applicant who is accepted becomes a member.
pub struct Admission;

impl Reaction for Admission {
    const NAME: &'static str = "admission";
    const SINCE: Since = Since::Beginning;
    type On = Application;

    fn react(event: &Recorded<ApplicationEvent>, application: &Loaded<Application>) -> Then {
        let id = application.id().clone();
        match (&event.event, &application.asked) {
            (ApplicationEvent::Asked { .. }, _) => {
                Then::nothing().after(TIME_TO_DECIDE, LAPSE, LapseApplication { application: id })
            }
            (ApplicationEvent::Accepted, Some(asked)) => {
                let admit = AdmitApplicant { application: id, project: asked.project.clone() };
                Then::nothing().cancel(LAPSE).execute(admit)
            }
            (ApplicationEvent::Rejected | ApplicationEvent::Withdrawn, _) => Then::nothing().cancel(LAPSE),
            _ => Then::nothing(),
        }
    }
}
