//! Parties and rights as HTML. They are compared byte by byte, so what is shown is exact.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::access::Right;
use crate::http::page::site::Site;
use crate::http::page::text::{given, thing};
use crate::projections::presenter::{SHORT_NAME, Thing, plain, short};

/// A percent sign is encoded too, so that two texts never look the same.
const BYTES: &AsciiSet = &CONTROLS.add(b'%');

/// A party: its display name, and the reference that counts.
pub(super) fn named(site: &Site, one: &Thing) -> Markup {
    let reference = one.reference.as_str();
    html! {
        (thing(site, one))
        @if one.name.is_some() { " " span.ref { bdi { (plain(&short(reference, SHORT_NAME))) } } }
    }
}

/// A party, with its bytes on demand.
pub(super) fn party(site: &Site, one: &Thing) -> Markup {
    html! { (named(site, one)) (bytes(one.reference.as_str())) }
}

/// Rights, one in each line.
pub(super) fn rights(rights: &[Right]) -> Markup {
    html! { ul.rights { @for right in rights.iter().map(Right::to_string) { li { code { (given(&right)) } (bytes(&right)) } } } }
}

/// The bytes of a text with letters that may look like others, on demand.
pub(super) fn bytes(text: &str) -> Markup {
    html! {
        @if !text.is_ascii() {
            " "
            details.bytes {
                summary { "bytes" span.hidden { " of " (plain(&short(text, SHORT_NAME))) } }
                code { (short(&utf8_percent_encode(text, BYTES).to_string(), 4 * SHORT_NAME)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Ref;

    #[test]
    fn references_that_look_alike_differ_in_their_bytes_and_act_on_nothing() {
        let site = Site::for_tests();
        let of = |id: &str| party(&site, &Thing::nameless(Ref::new("user", id).unwrap())).into_string();
        assert!(!of("alice").contains("bytes"));
        assert!(of("\u{430}lice").contains("<code>user:%D0%B0lice</code>"), "{}", of("\u{430}lice"));
        assert!(of("%D0%B0lice\u{e9}").contains("<code>user:%25D0%25B0lice%C3%A9</code>"));
        let hostile = of("<b>\u{202e}");
        assert!(hostile.contains("&lt;b&gt;\\u{202e}") && !hostile.contains('\u{202e}'), "{hostile}");
    }
}
