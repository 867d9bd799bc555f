//! Names in the log, on the command line and over HTTP.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt;
use syn::{Error, Ident, LitStr};

/// Converts a Rust name to snake case: `HttpServer2Added` is `http_server2_added`.
pub fn snake_case(ident: &Ident) -> String {
    let name: Vec<char> = ident.unraw().to_string().chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, &c) in name.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| name[at]);
        let word = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || before.is_uppercase() && name.get(at + 1).is_some_and(|after| after.is_lowercase())
            });
        if word {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// Converts a Rust name to snake case, without this last word: `ProjectId` without `id` is `project`.
pub fn snake_case_without(ident: &Ident, word: &str) -> String {
    let name = snake_case(ident);
    match name.strip_suffix(word).and_then(|rest| rest.strip_suffix('_')) {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => name,
    }
}

/// Checks a name that the user gave.
pub fn checked(literal: &LitStr) -> syn::Result<String> {
    let name = literal.value();
    if is_name(&name) {
        return Ok(name);
    }
    let message = format!(
        "`{name}` is not a valid name: use lower-case letters, digits, `_` and `-`, beginning with a letter"
    );
    Err(Error::new(literal.span(), message))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
}

/// Generates a hidden item that can exist only once in a crate: a second one of the same name is a compile error at its
/// `span`, whose text is the item's name. (A name that is not valid in Rust is checked when the application is opened.)
pub fn taken_once(what: &str, name: &str, span: Span) -> TokenStream {
    if !name.split('.').all(is_name) {
        return TokenStream::new();
    }
    let name = name.replace('.', "__").replace('-', "_");
    let span = Span::call_site().located_at(span);
    let item = Ident::new(&format!("the_{what}_{name}_is_declared_twice"), span);
    quote_spanned! {span=>
        #[doc(hidden)]
        #[macro_export]
        #[allow(non_local_definitions)]
        macro_rules! #item { () => {}; }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_snake_case_by_word() {
        let cases = [
            ("Added", "added"),
            ("RolesUpdated", "roles_updated"),
            ("HTTPServerSeen", "http_server_seen"),
            ("V2Added", "v2_added"),
            ("A", "a"),
        ];
        for (name, snake) in cases {
            assert_eq!(snake_case(&Ident::new(name, Span::call_site())), snake);
        }
    }

    #[test]
    fn a_last_word_goes_only_when_it_is_a_word_and_not_all() {
        let without = |name: &str| snake_case_without(&Ident::new(name, Span::call_site()), "id");
        assert_eq!(without("ProjectId"), "project");
        assert_eq!(without("Grid"), "grid");
        assert_eq!(without("Id"), "id");
    }

    #[test]
    fn names_that_differ_take_different_items() {
        let taken = |name: &str| taken_once("event_type", name, Span::call_site()).to_string();
        assert_ne!(taken("project_member.added"), taken("project.member_added"));
        assert!(taken("project member.added").is_empty());
    }
}
