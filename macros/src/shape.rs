//! Types and serde attributes as text, for the lock file.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Expr, ExprLit, ExprPath, GenericArgument, Lit, Meta, MetaNameValue, PathArguments, Token, Type,
};

/// Tokens as text, with a space only between two words: independent of how the compiler or formatter prints them.
pub fn text(tokens: impl ToTokens) -> String {
    let mut text = String::new();
    write(tokens.into_token_stream(), &mut text);
    text
}

fn write(tokens: TokenStream, text: &mut String) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Punct(punct) => text.push(punct.as_char()),
            word => {
                if text.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    text.push(' ');
                }
                text.push_str(&word.to_string());
            }
        }
    }
}

/// The type of a field and the serde attributes that change its JSON: its own, and the renames of variant and enum.
pub fn of_field(ty: &Type, own: &[Attribute], variant: &[Attribute], container: &[Attribute]) -> String {
    let renames = |attributes: &[Attribute], name: &str| -> Vec<Meta> {
        serde(attributes).into_iter().filter(|meta| meta.path().is_ident(name)).collect()
    };
    let metas: Vec<Meta> = renames(container, "rename_all_fields")
        .into_iter()
        .chain(renames(variant, "rename_all"))
        .chain(serde(own))
        .collect();
    if metas.is_empty() {
        return text(ty);
    }
    format!("{} #[serde({})]", text(ty), metas.iter().map(text).collect::<Vec<_>>().join(","))
}

/// Parses the `#[serde(…)]` attributes. Errors are left to serde.
pub fn serde(attributes: &[Attribute]) -> Vec<Meta> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
        .filter_map(|attribute| attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok())
        .flatten()
        .collect()
}

/// The function that `serialize_with` or `with` names. An invalid path is left to serde.
pub fn written_by(attributes: &[Attribute]) -> Option<ExprPath> {
    serde(attributes).iter().find_map(|meta| {
        let Meta::NameValue(MetaNameValue { path, value: Expr::Lit(ExprLit { lit: Lit::Str(text), .. }), .. }) =
            meta
        else {
            return None;
        };
        let mut function: ExprPath = text.parse().ok()?;
        if path.is_ident("with") {
            function.path.segments.push(format_ident!("serialize").into());
        }
        (path.is_ident("with") || path.is_ident("serialize_with")).then_some(function)
    })
}

/// Whether the type is called `name`, with any path.
pub fn is_called(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}

/// Whether the type is a `Change<…>` or an `Option<Change<…>>`.
pub fn is_change(ty: &Type) -> bool {
    is_called(ty, "Change")
        || is_called(ty, "Option") && first_argument(ty).is_some_and(|inner| is_called(inner, "Change"))
}

/// Whether the type is text, a number or a collection, which have no fields to name.
pub fn is_plain(ty: &Type) -> bool {
    const PLAIN: [&str; 27] = [
        "String",
        "str",
        "char",
        "bool",
        "u8",
        "u16",
        "u32",
        "u64",
        "u128",
        "usize",
        "i8",
        "i16",
        "i32",
        "i64",
        "i128",
        "isize",
        "f32",
        "f64",
        "Vec",
        "VecDeque",
        "BTreeMap",
        "BTreeSet",
        "HashMap",
        "HashSet",
        "Uuid",
        "Timestamp",
        "Value",
    ];
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            PLAIN.iter().any(|plain| last.ident == plain)
                || last.ident == "Option" && first_argument(ty).is_some_and(is_plain)
        }),
        Type::Tuple(_) => false,
        _ => true,
    }
}

fn first_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn a_shape_has_a_space_only_between_words() {
        let ty: Type = parse_quote!(std::collections::BTreeMap<UserId, Option<&'static mut [u8; 4]>>);
        assert_eq!(text(&ty), "std::collections::BTreeMap<UserId,Option<&'static mut[u8;4]>>");
    }

    #[test]
    fn a_shape_includes_the_serde_attributes() {
        let own: Attribute = parse_quote!(#[serde(rename = "n", default)]);
        let container: Attribute =
            parse_quote!(#[serde(rename_all = "lowercase", rename_all_fields = "camelCase")]);
        let shape = of_field(&parse_quote!(u8), &[own], &[], &[container]);
        assert_eq!(shape, r#"u8 #[serde(rename_all_fields="camelCase",rename="n",default)]"#);
    }

    #[test]
    fn only_a_type_of_the_application_may_have_fields() {
        for plain in [parse_quote!(u8), parse_quote!(Option<Vec<Dose>>), parse_quote!(&'static str)] {
            assert!(is_plain(&plain), "{}", text(plain));
        }
        for other in [parse_quote!(Dose), parse_quote!(Option<Dose>), parse_quote!((u8, Dose))] {
            assert!(!is_plain(&other), "{}", text(other));
        }
    }

    #[test]
    fn a_change_may_be_optional_but_not_a_list() {
        assert!(is_change(&parse_quote!(annals::events::Change<u8>)));
        assert!(is_change(&parse_quote!(Option<Change<u8>>)));
        assert!(!is_change(&parse_quote!(Vec<Change<u8>>)));
    }
}
