//! Checks what the placeholders of sentences and topics name.

use proc_macro2::Span;
use syn::{LitStr, Member};

use crate::model::{Field, MustBeType, Part, Reader};
use crate::shape;
use crate::template::Placeholder;

impl Reader<'_> {
    /// Lists what a placeholder may name.
    pub fn words(&self) -> String {
        let mut words: Vec<String> = self.fields.iter().map(|field| format!("{{{}}}", field.name)).collect();
        words.push("{actor}".to_owned());
        let last = match &self.on_enum.aggregate {
            Some(aggregate) => format!("the TYPE of `{}` in braces", shape::text(aggregate)),
            None => match words.len() {
                1 => return words.remove(0),
                _ => words.remove(words.len() - 1),
            },
        };
        format!("{} or {last}", words.join(", "))
    }

    pub fn template(&mut self, text: &LitStr, parse: fn(&str) -> Result<Vec<Placeholder>, String>) {
        let placeholders = match parse(&text.value()) {
            Ok(placeholders) => placeholders,
            Err(message) => return self.errors.at(text.span(), message),
        };
        let mut reported = Vec::new();
        for placeholder in placeholders {
            let message = match self.placeholder(&placeholder, text.span()) {
                Ok(None) => continue,
                Ok(Some(part)) => {
                    if self.parts.iter().all(|known| known.written != part.written) {
                        self.parts.push(part);
                    }
                    continue;
                }
                Err(message) => message,
            };
            if reported.contains(&message) {
                continue;
            }
            reported.push(message.clone());
            let field = self.fields.iter().any(|field| field.name == placeholder.name);
            let part = placeholder.part.as_deref().is_some_and(|part| part != "id");
            if field || part || self.on_enum.aggregate.is_none() {
                self.errors.at(text.span(), message);
            } else {
                self.types.push(MustBeType { name: placeholder.name, span: text.span(), message });
            }
        }
    }

    /// Checks a placeholder, unless it may be the aggregate's type. Returns the part that it names, if it is not one of a
    /// change or a reference.
    fn placeholder(
        &self,
        Placeholder { written, name, part }: &Placeholder,
        span: Span,
    ) -> Result<Option<Part>, String> {
        let ident = &self.variant.ident;
        let at = self.fields.iter().position(|field| field.name == *name);
        let field = at.and_then(|at| Some((at, self.fields.get(at)?)));
        match (field, part.as_deref()) {
            (Some(_), None) => Ok(None),
            (Some((at, field)), Some(part)) if field.change => match part {
                "from" | "to" => Ok(None),
                "from.id" | "to.id" if field.target => Ok(None),
                _ if field.personal.is_none() && (part.starts_with("from.") || part.starts_with("to.")) => {
                    self.part(at, field, part, span)
                }
                _ => Err(format!(
                    "`{{{written}}}`: a change has the parts `from` and `to`: write {{{name}.from}} or {{{name}.to}}"
                )),
            },
            (Some((_, field)), Some(_)) if field.personal.is_some() => {
                Err(format!("`{name}` of `{ident}` is personal, so it has no parts: write {{{name}}}"))
            }
            (Some((_, field)), Some("id")) if field.target => Ok(None),
            (Some((_, field)), Some(_)) if field.target => Err(format!(
                "`{name}` of `{ident}` is a target, whose only part is its id: write {{{name}}} or {{{name}.id}}"
            )),
            (Some((_, field)), Some(_)) if shape::is_plain(&field.ty) => Err(format!(
                "`{name}` of `{ident}` is not a `Change` and not a struct, so it has no parts: write {{{name}}}, or make \
                 the field a `Change<{}>`",
                shape::text(&field.ty)
            )),
            (Some((at, field)), Some(part)) => self.part(at, field, part, span),
            (None, None | Some("id")) if name == "actor" => Ok(None),
            (None, _) => {
                let hint = match &self.on_enum.aggregate {
                    Some(_) => "",
                    None => " (to name the aggregate, write `on = …` above the enum)",
                };
                Err(format!("`{{{written}}}` is not a field of `{ident}`: write {}{hint}", self.words()))
            }
        }
    }

    /// A part of a struct. The compiler checks that it exists, because the generated code reads it.
    fn part(&self, at: usize, field: &Field, part: &str, span: Span) -> Result<Option<Part>, String> {
        let written = format!("{}.{part}", field.name);
        let member = |name: &str| {
            let mut member: Member = syn::parse_str(name).ok()?;
            match &mut member {
                Member::Named(ident) => ident.set_span(span),
                Member::Unnamed(index) => index.span = span,
            }
            Some(member)
        };
        let path: Option<Vec<Member>> = part.split('.').map(member).collect();
        let path = path.ok_or_else(|| {
            format!("`{{{written}}}` does not name a field: write names of fields, separated by dots")
        })?;
        Ok(Some(Part { written, field: at, path, optional: shape::is_called(&field.ty, "Option") }))
    }
}
