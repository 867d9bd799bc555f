//! `--locale` and `--names`: the words that events are told in.

use clap::{Args, ValueEnum};

use crate::BoxError;
use crate::app::Annals;
use crate::projections::audit::AuditRow;
use crate::projections::names::AsKnown;
use crate::projections::presenter::{PresentError, Presenter};

/// How sentences are told.
#[derive(Args, Clone, Debug)]
pub(super) struct Words {
    /// The language of sentences: en, or one that this application ships (fr does for fr-CA)
    #[arg(long, value_name = "LOCALE", default_value = "en")]
    locale: String,
    /// Call things by the names that they had then, or that they have now, or by their references
    #[arg(long, value_enum, default_value = "then")]
    names: Names,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Names {
    /// As it was known when it happened.
    Then,
    /// As it is known now.
    Now,
    /// No names.
    None,
}

impl Words {
    /// The presenter that tells so.
    pub(super) fn presenter(&self, annals: &Annals) -> Result<Presenter, PresentError> {
        let presenter = annals.presenter().locale(&self.locale)?;
        Ok(match self.names {
            Names::Then => presenter.names(AsKnown::Then),
            Names::Now => presenter.names(AsKnown::Now),
            Names::None => presenter.without_names(),
        })
    }

    /// Has these rows say it so.
    pub(super) async fn tell(&self, annals: &Annals, rows: &mut [AuditRow]) -> Result<(), BoxError> {
        let presenter = self.presenter(annals)?;
        if presenter.tells_as_declared() {
            return Ok(());
        }
        let positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
        let told = presenter.present_at(&positions).await?;
        for row in rows {
            if let Some(told) = told.iter().find(|told| told.position == row.position) {
                row.sentence = told.sentence.text();
            }
        }
        Ok(())
    }
}
