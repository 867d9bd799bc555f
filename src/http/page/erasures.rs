//! The erasures of personal data, and a form to erase a subject.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::address::Address;
use super::request::FormRequest;
use super::site::Site;
use super::text::{given, number, reference, time};
use crate::events::Ref;
use crate::http::{AppState, Problem};
use crate::personal::Erasure;

/// The page that shows them.
const VERIFY: &str = "verify";

/// Erases a subject, for a reason.
pub(super) async fn erase(form: FormRequest) -> Result<Response, Problem> {
    form.caller.operate("erase", None).await?;
    let subject = form.needed("subject")?.parse::<Ref>();
    let subject = subject.map_err(|error| Problem::malformed(error.to_string()))?;
    let reason = form.fields.get("reason").unwrap_or_default();
    form.state.annals().erase(&subject, reason, &form.caller.context()?).await?;
    Ok(Redirect::to(&form.site.link(VERIFY, &Address::default())).into_response())
}

/// The part of the page "Verify", if the application has personal data.
pub(super) async fn part(site: &Site, state: &AppState) -> Result<Markup, Problem> {
    let annals = state.annals();
    if !annals.has_personal_data() {
        return Ok(html! {});
    }
    let (erasures, problems) = (annals.erasures().await?, annals.erasure_problems()?);
    let weakness = annals.key_store()?.weakness();
    Ok(html! {
        section.stack #erasures aria-labelledby="erasures-name" {
            h2 #erasures-name { "Erased personal data" }
            @if erasures.is_empty() { p.soft { "Nothing was erased." } }
            @if !erasures.is_empty() { ul { @for one in erasures.iter().rev() { li { (erasure(site, one)) } } } }
            @if !problems.is_empty() {
                div.note.bad {
                    p { "Not destroyed yet, and tried again:" }
                    ul { @for (subject, problem) in &problems { li { (reference(site, subject)) ": " (given(problem)) } } }
                }
            }
            details {
                summary { "Erase the personal data of somebody" }
                p { "The key of the subject is destroyed. This cannot be undone. It takes some five seconds." }
                @if let Some(weakness) = &weakness { div.note.warn { p { (given(weakness)) } } }
                form.act method="post" action=(site.link("page/erasures/erase", &Address::default())) autocomplete="off" {
                    div { label for="erase-subject" { "Subject, like user:7" } input #erase-subject name="subject" required; }
                    div { label for="erase-reason" { "Reason, which stays in the log: do not write personal data into it" } input #erase-reason name="reason" required maxlength="1000"; }
                    div { button.main type="submit" { "Erase" } }
                }
            }
        }
    })
}

fn erasure(site: &Site, erasure: &Erasure) -> Markup {
    let Erasure { subject, actor, reason, decided_at, completed_at, keys, weak, position, .. } = erasure;
    let event = Address::default().with("from", *position).with("until", position.saturating_add(1));
    html! {
        (reference(site, subject)) ", decided by " (reference(site, actor)) " " (time(*decided_at, "second"))
        " (" a href=(site.link("", &event)) { "event " (number(*position)) } "): " (given(reason)) ". "
        @match (completed_at, keys) {
            (Some(at), Some(keys)) => {
                "Its key was destroyed in " (given(keys)) ", complete " (time(*at, "second")) "."
                @if let Some(weak) = weak { " Copies of the key may remain: " (given(weak)) "." }
            }
            _ => { strong { "Not complete yet." } }
        }
    }
}
