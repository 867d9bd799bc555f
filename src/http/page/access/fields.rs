//! [`Form`]: a form to fill in. One whose command was not executed shows why, and what was filled in.

use maud::{Markup, html};

use super::View;
use crate::access::{MAX_WHY_BYTES, Right};
use crate::events::Ref;
use crate::http::page::address::Address;
use crate::http::page::form::moment;
use crate::http::page::site::ACCESS;
use crate::http::page::text::given;

/// A form that was sent, and whose command was not executed.
pub(super) struct Failed {
    /// The id of the form.
    pub form: String,
    pub fields: Address,
    /// Why.
    pub reason: String,
}

/// A form for one command.
pub(super) struct Form<'a> {
    view: &'a View<'a>,
    action: &'static str,
    id: String,
    /// What the command is about: fields that are not filled in.
    about: Vec<(&'static str, String)>,
    failed: Option<&'a Failed>,
}

/// The id of the form for an action on a request, a grant or a token.
pub(super) fn form_id(action: &str, on: Option<&str>) -> String {
    match on {
        Some(on) => format!("{action}-{on}"),
        None => action.to_owned(),
    }
}

impl<'a> Form<'a> {
    /// A form that is sent to `page/access/{action}`, on a request, a grant or a token of a party: the name of the field with its id,
    /// the id, and the party.
    pub fn new(view: &'a View<'a>, action: &'static str, on: Option<(&'static str, &str, &Ref)>) -> Self {
        let id = form_id(action, on.map(|(_, id, _)| id));
        let about = on.map(|(name, id, party)| vec![(name, id.to_owned()), ("grantee", party.to_string())]);
        let failed = view.failed.filter(|failed| failed.form == id);
        Self { view, action, id, about: about.unwrap_or_default(), failed }
    }

    /// Whether this part of the page has the form with this id.
    pub fn is_in(page: &Markup, id: &str) -> bool {
        page.0.contains(&format!("id=\"{id}\" method=\"post\""))
    }

    /// Whether it was sent, and its command was not executed.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    fn value(&self, name: &str) -> &str {
        self.failed.and_then(|failed| failed.fields.get(name)).unwrap_or_default()
    }

    fn field_id(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    /// The form with its fields, and a button with these words.
    pub fn render(&self, words: &str, fields: &Markup) -> Markup {
        let (site, place) = (self.view.site, self.view.place.address());
        html! {
            form.act id=(self.id) method="post" action=(site.link(&format!("{ACCESS}/{}", self.action), &Address::default())) autocomplete="off" {
                @if let Some(failed) = self.failed { div.note.bad { p { (given(&failed.reason)) } } }
                @for (name, value) in place.iter() { input type="hidden" name=(name) value=(value); }
                @for (name, value) in &self.about { input type="hidden" name=(name) value=(value); }
                (fields)
                div { button.main type="submit" { (words) } }
            }
        }
    }

    /// The form behind a summary with its words. It is open if its command was not executed.
    pub fn folded(&self, words: &str, fields: &Markup) -> Markup {
        html! { details open[self.has_failed()] { summary { (words) } (self.render(words, fields)) } }
    }

    /// The reason.
    pub fn why(&self) -> Markup {
        let id = self.field_id("why");
        html! { div { label for=(id) { "Reason" } input id=(id) name="why" value=(self.value("why")) required maxlength=(MAX_WHY_BYTES); } }
    }

    /// One line.
    pub fn line(&self, name: &str, words: &str, like: &str) -> Markup {
        let id = self.field_id(name);
        html! { div { label for=(id) { (words) } input id=(id) name=(name) value=(self.value(name)) placeholder=(like) required spellcheck="false" autocapitalize="none"; } }
    }

    /// The end of the rights.
    pub fn until(&self, words: &str) -> Markup {
        moment(&self.field_id("until"), "until", words, self.value("until"))
    }

    /// Rights, one in each line.
    pub fn rights(&self) -> Markup {
        let id = self.field_id("rights");
        html! {
            div {
                label for=(id) { "Rights, one in each line" }
                textarea id=(id) name="rights" rows="3" required spellcheck="false" autocapitalize="none" placeholder="execute add_member project:7" { (self.value("rights")) }
            }
        }
    }

    /// Boxes for the rights that were requested, all of them checked.
    pub fn chosen(&self, rights: &[Right]) -> Markup {
        let checked = |right: &str| match self.failed {
            Some(failed) => failed.fields.iter().any(|(name, value)| name == "right" && value == right),
            None => true,
        };
        html! {
            fieldset {
                legend.label { "Rights to grant" }
                @for right in rights.iter().map(Right::to_string) {
                    label.check { input type="checkbox" name="right" value=(right) checked[checked(&right)]; code { (given(&right)) } }
                }
            }
        }
    }

    /// Whether the rights may be passed on.
    pub fn delegable(&self) -> Markup {
        html! { label.check { input type="checkbox" name="delegable" value="true" checked[self.value("delegable") == "true"]; "May be passed on to others" } }
    }
}
