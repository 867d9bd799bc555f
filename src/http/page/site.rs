//! [`Site`]: where the page is mounted, and the frame around all that it shows.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use maud::{DOCTYPE, Markup, html};

use super::address::Address;
use super::assets;
use super::colour::Colour;
use super::words::given;
use crate::events::Ref;
use crate::http::{Asker, Shared};
use crate::projections::presenter::plain;

/// A part of the page that one can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Feed,
    Numbers,
    Refusals,
    Projections,
    Check,
    /// None of them.
    Other,
}

const SECTIONS: [(Section, &str, &str); 5] = [
    (Section::Feed, "", "Activity"),
    (Section::Numbers, "numbers", "Numbers"),
    (Section::Refusals, "refusals", "Refusals"),
    (Section::Projections, "upkeep", "Projections"),
    (Section::Check, "verify", "Verify"),
];

/// Where the page is mounted, and what it goes by.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// What the application is called.
    pub name: String,
    pub colour: Colour,
    /// The path that it is mounted under: nothing, or `/annals`.
    pub base: String,
    /// Who looks at it, if that is known.
    who: Option<Ref>,
    /// Whether one signs in.
    signs_in: bool,
}

impl FromRequestParts<Shared> for Site {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        let who = parts.extensions.get::<Asker>().and_then(|asker| asker.actor().cloned());
        Ok(Self { who, ..Self::of(shared) })
    }
}

impl Site {
    /// The page, whoever looks at it.
    pub fn of(shared: &Shared) -> Self {
        Self {
            name: shared.name().to_owned(),
            // The door has checked it.
            colour: shared.colour().parse().unwrap_or_default(),
            base: shared.base().to_owned(),
            who: None,
            signs_in: shared.authentication().is_required(),
        }
    }

    /// The address of a page of its own.
    pub fn link(&self, path: &str, asked: &Address) -> String {
        // Under a path, its root has no slash at the end.
        let slash = if path.is_empty() && !self.base.is_empty() { "" } else { "/" };
        format!("{}{slash}{path}{}", self.base, asked.suffix())
    }

    /// The address of a thing's history.
    pub fn history(&self, of: &Ref) -> String {
        self.link("history", &Address::default().with("of", of))
    }

    /// A whole page.
    pub fn page(&self, section: Section, title: &str, content: &Markup) -> Markup {
        let name = plain(&self.name);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (plain(title)) " · " (name) }
                    link rel="icon" type="image/svg+xml" href={ (self.base) "/" (assets::icon(self.colour).path()) };
                    link rel="stylesheet" href={ (self.base) "/" (assets::style(self.colour).path()) };
                    script src={ (self.base) "/" (assets::script().path()) } defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        div {
                            a.name href=(self.link("", &Address::default())) { bdi { (name) } }
                            nav aria-label="Parts of this page" {
                                ul {
                                    @for (part, path, words) in SECTIONS {
                                        li {
                                            a href=(self.link(path, &Address::default())) aria-current=[(part == section).then_some("page")] { (words) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                    main #main tabindex="-1" { (content) }
                    p #said .hidden role="status" {}
                    footer.foot {
                        p { "Times are in " span data-zone { "UTC" } "; UTC is in the title of each." }
                        @if let Some(who) = &self.who {
                            p { "You are " a href=(self.history(who)) { (given(who.as_str())) } "." }
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
