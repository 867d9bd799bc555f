//! Exit codes: 0 for success, 77 when the authoriser denies access, 1 for other errors.

use std::error::Error;
use std::process::ExitCode;

use super::{output, stderr};
use crate::BoxError;
use crate::app::ReaderError;
use crate::app::access_log::LineageError;
use crate::commands::{ExecuteError, Refusal};
use crate::projections::audit::AuditError;
use crate::projections::export::ExportError;
use crate::projections::flows::FlowError;
use crate::projections::provenance::ProvenanceError;
use crate::text::error_chain;

/// "No permission" in sysexits.h.
const DENIED: u8 = 77;

/// Prints the error of a subcommand, if any, and returns its exit code.
pub(super) fn code(result: Result<(), BoxError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe, like `head`, closed it: it has read enough.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            stderr::print(format_args!("error: {}", output::lines(&error_chain(&*error))));
            if is_denied(&*error) { ExitCode::from(DENIED) } else { ExitCode::FAILURE }
        }
    }
}

fn is_denied(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(ExecuteError::<Refusal>::Denied { .. }))
        || matches!(error.downcast_ref(), Some(ReaderError::Denied(_)))
        || matches!(error.downcast_ref(), Some(LineageError::Reader(ReaderError::Denied(_))))
        || matches!(error.downcast_ref(), Some(AuditError::Denied { .. }))
        || matches!(error.downcast_ref(), Some(ProvenanceError::Denied(_)))
        || matches!(error.downcast_ref(), Some(FlowError::Denied(_)))
        || is_denied_proof(error)
        || matches!(error.downcast_ref(), Some(ExportError::Audit(AuditError::Denied { .. })))
}

#[cfg(feature = "proofs")]
fn is_denied_proof(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(crate::proofs::ProofError::Denied(_)))
}

#[cfg(not(feature = "proofs"))]
fn is_denied_proof(_: &(dyn Error + 'static)) -> bool {
    false
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(this) = error {
        if this.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe) {
            return true;
        }
        error = this.source();
    }
    false
}
