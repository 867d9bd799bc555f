//! [`Site`]: the mount path, and the frame of all pages.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use maud::{DOCTYPE, Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::address::Address;
use super::assets;
use crate::events::Ref;
use crate::http::colour::Colour;
use crate::http::{AppState, Caller};
use crate::projections::presenter::{SHORT_NAME, plain, short};

/// An entry of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Feed,
    Metrics,
    Refusals,
    Projections,
    /// Only where the application has reactions.
    Reactions,
    Check,
    /// Only where the application has rights in its log.
    Access,
    /// Only where the application keeps flows.
    Flows,
    /// None of them.
    Other,
}

/// The paths of the pages that share a name with a JSON route.
pub(super) const METRICS: &str = "page/metrics";
pub(super) const PROJECTIONS: &str = "page/projections";
pub(super) const REACTIONS: &str = "page/reactions";
pub(super) const ACCESS: &str = "page/access";
pub(super) const FLOWS: &str = "page/flows";
/// The path of the versions of an aggregate.
pub(super) const STATE: &str = "page/state";
/// The beginning of the paths of the provenance of things.
const PROVENANCE: &str = "page/provenance";

const SECTIONS: [(Section, &str, &str); 8] = [
    (Section::Feed, "", "Activity"),
    (Section::Metrics, METRICS, "Metrics"),
    (Section::Flows, FLOWS, "Flows"),
    (Section::Refusals, "refusals", "Refusals"),
    (Section::Projections, PROJECTIONS, "Projections"),
    (Section::Reactions, REACTIONS, "Reactions"),
    (Section::Check, "verify", "Verify"),
    (Section::Access, ACCESS, "Access"),
];

/// The mount path, and what all pages show.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// The application's name.
    pub name: String,
    pub colour: Colour,
    /// The mount path: empty, or `/annals`.
    pub base: String,
    /// The actor, if known.
    actor: Option<Ref>,
    /// Whether users sign in with a token.
    signs_in: bool,
    /// Whether the application has reactions.
    has_reactions: bool,
    /// Whether the application has rights in its log.
    has_access: bool,
    /// Whether it keeps provenance.
    pub keeps_provenance: bool,
    /// Whether the application keeps flows.
    keeps_flows: bool,
    /// Whether the application keeps proofs.
    #[cfg(feature = "proofs")]
    pub keeps_proofs: bool,
}

impl FromRequestParts<AppState> for Site {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let actor = parts.extensions.get::<Caller>().and_then(|caller| caller.actor().cloned());
        Ok(Self { actor, ..Self::of(state) })
    }
}

impl Site {
    /// The site, without an actor.
    pub fn of(state: &AppState) -> Self {
        Self {
            name: state.settings().name.to_owned(),
            colour: state.settings().colour,
            base: state.settings().base.to_owned(),
            actor: None,
            signs_in: state.settings().authentication.is_required(),
            has_reactions: state.annals().has_reactions(),
            has_access: state.annals().has_rights(),
            keeps_provenance: state.annals().keeps_provenance(),
            keeps_flows: state.annals().keeps_flows(),
            #[cfg(feature = "proofs")]
            keeps_proofs: state.annals().keeps_proofs(),
        }
    }

    #[cfg(test)]
    pub fn for_tests() -> Self {
        let (name, colour) = ("tests".to_owned(), Colour::default());
        Self {
            name,
            colour,
            base: String::new(),
            actor: None,
            signs_in: false,
            has_reactions: false,
            has_access: false,
            keeps_provenance: false,
            keeps_flows: false,
            #[cfg(feature = "proofs")]
            keeps_proofs: false,
        }
    }

    /// Whether the application has this part.
    fn has(&self, part: Section) -> bool {
        match part {
            Section::Reactions => self.has_reactions,
            Section::Access => self.has_access,
            Section::Flows => self.keeps_flows,
            _ => true,
        }
    }

    /// The URL of a page.
    pub fn link(&self, path: &str, asked: &Address) -> String {
        // Below a mount path, the root has no trailing slash.
        let slash = if path.is_empty() && !self.base.is_empty() { "" } else { "/" };
        format!("{}{slash}{path}{}", self.base, asked.suffix())
    }

    /// The URL of an object's history.
    pub fn history(&self, of: &Ref) -> String {
        self.link("history", &Address::default().with("of", of))
    }

    /// The URL of a version of an aggregate: its state after this many events.
    pub fn version(&self, of: &Ref, sequence: u64) -> String {
        self.link(STATE, &Address::default().with("of", of).with("version", sequence))
    }

    /// The URL of the provenance of a thing.
    pub fn provenance(&self, of: &Ref, asked: &Address) -> String {
        self.link(&Self::path(PROVENANCE, of), asked)
    }

    /// A path that ends with the kind and the id of a thing.
    pub fn path(begin: &str, of: &Ref) -> String {
        let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        format!("{begin}/{}/{}", part(of.kind()), part(of.id()))
    }

    /// Renders a page.
    pub fn page(&self, section: Section, title: &str, content: &Markup) -> Markup {
        let name = plain(&self.name);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (plain(&short(title, SHORT_NAME))) " · " (name) }
                    link rel="icon" type="image/svg+xml" href={ (self.base) "/" (assets::icon(self.colour).path()) };
                    link rel="stylesheet" href={ (self.base) "/" (assets::style(self.colour).path()) };
                    script src={ (self.base) "/" (assets::script().path()) } defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        div {
                            a.name href=(self.link("", &Address::default())) { bdi { (name) } }
                            nav aria-label="Main" {
                                ul {
                                    @for (part, path, words) in SECTIONS.into_iter().filter(|(part, ..)| self.has(*part)) {
                                        li {
                                            a href=(self.link(path, &Address::default())) aria-current=[(part == section).then_some("page")] { (words) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                    // The script says there what happened when the page is not updated any more.
                    div.above { p #notice .note role="alert" hidden {} }
                    main #main tabindex="-1" { (content) }
                    p #announcement .hidden role="status" {}
                    footer.foot {
                        p { "Times are in " span data-zone { "UTC" } ". Hover over a time for UTC." }
                        @if let Some(actor) = &self.actor {
                            p { "You are " a href=(self.history(actor)) { bdi { (plain(&short(actor.as_str(), SHORT_NAME))) } } "." }
                            @if self.signs_in {
                                form method="post" action=(self.link("sign-out", &Address::default())) { button type="submit" { "Sign out" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_cut_and_has_no_active_character() {
        let page = Site::for_tests().page(Section::Other, &format!("\u{202e}{}", "n".repeat(1_000)), &html! {});
        let page = page.into_string();
        let title = page.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
        assert!(title.starts_with("\\u{202e}nnn") && title.len() < SHORT_NAME + 60, "{title}");
    }
}
