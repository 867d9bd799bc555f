//! An event enum, parsed and checked.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Expr, ExprPath, Fields, LitInt, LitStr, Member, Type};

use crate::attributes::{OnEnum, OnField, OnVariant};
use crate::errors::Errors;
use crate::personal::{self, Whose};
use crate::template;
use crate::{names, shape};

/// An event enum.
#[derive(Default)]
pub struct Model {
    /// The aggregate.
    pub aggregate: Option<Type>,
    /// The variants, in the order of serde's variant indexes.
    pub variants: Vec<Variant>,
    /// Placeholders that are not a field, so they must be the aggregate's type.
    pub types: Vec<MustBeType>,
}

/// A variant.
pub struct Variant {
    /// The variant's Rust name.
    pub ident: Ident,
    /// The fields.
    pub fields: Vec<Field>,
    /// Whether it contains another event enum with its own declarations.
    pub transparent: bool,
    /// The declaration; `None` if the variant is transparent.
    pub own: Option<Own>,
}

/// A field of a variant.
pub struct Field {
    /// The field's Rust name or index.
    pub member: Member,
    /// The field's name in sentences, topics and facts.
    pub name: String,
    /// The field's type.
    pub ty: Type,
    /// The field's type as text.
    pub shape: String,
    /// Whether it is a target.
    pub target: bool,
    /// Whether it is a source.
    pub source: bool,
    /// What more it is to that source: a variant of `SourceRole`.
    pub source_role: Option<Ident>,
    /// Whether it is a change.
    pub change: bool,
    /// Whose it is, if it is personal.
    pub personal: Option<Whose>,
    /// The function of a serde attribute that serializes it instead of the type's `Serialize`.
    pub written_by: Option<ExprPath>,
}

/// The declaration of a variant.
pub struct Own {
    /// The event type.
    pub event_type: String,
    /// The version of the payload's shape.
    pub version: u32,
    /// A variant of `Action`.
    pub action: Ident,
    /// The sentence template.
    pub sentence: LitStr,
    /// The parts of fields that the sentence names.
    pub parts: Vec<Part>,
    /// The topic patterns.
    pub topics: Vec<LitStr>,
    /// Former event types, in full.
    pub was: Vec<(String, Span)>,
    /// The upcasters, by the version that they convert from.
    pub upcasts: Vec<(u32, Expr)>,
}

/// A part of a field that a sentence names: `{dose.amount}`.
#[derive(Clone)]
pub struct Part {
    /// The placeholder.
    pub written: String,
    /// The index of the field.
    pub field: usize,
    /// The fields of the field's type, from the outside in, each with its place in the source.
    pub path: Vec<Member>,
    /// Whether the field is an `Option`.
    pub optional: bool,
}

/// A placeholder that is valid only if it is the aggregate's type.
pub struct MustBeType {
    /// The placeholder.
    pub name: String,
    /// Its place in the source.
    pub span: Span,
    /// The error message if it is not.
    pub message: String,
}

impl Model {
    /// Parses an enum. The result is usable for stubs even if there are errors.
    pub fn read(input: &DeriveInput, errors: &mut Errors) -> Self {
        let Data::Enum(data) = &input.data else {
            errors.at(
                input.ident.span(),
                "events are the variants of an enum: write `enum`, with a variant for each event",
            );
            return Self::default();
        };
        if !input.generics.params.is_empty() {
            errors.at(
                input.generics.span(),
                "an event enum cannot be generic: the log must know every type. Remove the generics",
            );
        }
        refuse_serde(&input.attrs, ENUM, errors);
        let on_enum = errors.take(OnEnum::read(&input.attrs));
        // Do not report errors that follow from the ones above.
        let mut ignored = Errors::default();
        let errors = if on_enum.is_some() { errors } else { &mut ignored };
        let on_enum = on_enum.unwrap_or_default();
        let mut model = Self { aggregate: on_enum.aggregate.clone(), ..Self::default() };
        let read: Vec<_> =
            data.variants.iter().map(|variant| (variant, errors.take(OnVariant::read(&variant.attrs)))).collect();
        let is_opaque =
            |declared: &Option<OnVariant>| declared.as_ref().is_none_or(|declared| declared.transparent.is_none());
        let name = match &on_enum.name {
            Some(name) => errors.take(names::checked(name)),
            None if read.is_empty() => {
                errors.at(input.ident.span(), "this enum declares no event: write a variant for each event");
                None
            }
            None if read.iter().any(|(_, declared)| is_opaque(declared)) => {
                let name = names::snake_case_without(&input.ident, "event");
                let message = format!("has no name in the log: write `#[event(name = \"{name}\")]` above the enum");
                errors.at(input.ident.span(), format!("`{}` {message}", input.ident));
                None
            }
            None => None,
        };
        if let Some(topic) =
            on_enum.topics.first().filter(|_| !read.iter().any(|(_, declared)| is_opaque(declared)))
        {
            errors.at(topic.span(), "every variant is transparent: write the topic above the enum inside");
        }
        let name = name.unwrap_or_default();
        for (variant, declared) in read {
            refuse_serde(&variant.attrs, VARIANT, errors);
            let fields = fields(variant, &input.attrs, errors);
            let mut reader = Reader {
                enum_name: &name,
                on_enum: &on_enum,
                variant,
                fields: &fields,
                types: Vec::new(),
                parts: Vec::new(),
                errors,
            };
            let transparent = !is_opaque(&declared) && is_newtype(variant);
            let own = declared.and_then(|declared| reader.own(declared));
            model.types.append(&mut reader.types);
            model.variants.push(Variant { ident: variant.ident.clone(), fields, transparent, own });
        }
        names_differ(&model.variants, errors);
        model
    }
}

fn is_newtype(variant: &syn::Variant) -> bool {
    matches!(&variant.fields, Fields::Unnamed(fields) if fields.unnamed.len() == 1)
}

fn fields(variant: &syn::Variant, container: &[Attribute], errors: &mut Errors) -> Vec<Field> {
    let mut fields = Vec::new();
    for (field, member) in variant.fields.iter().zip(variant.fields.members()) {
        refuse_serde(&field.attrs, FIELD, errors);
        let on_field = errors.take(OnField::read(&field.attrs)).unwrap_or_default();
        let name = match &member {
            Member::Named(ident) => ident.unraw().to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        };
        if name == "actor" {
            let message = "`{actor}` is the actor of the command: give this field another name";
            errors.at(field.ident.span(), message);
        }
        let shape = shape::of_field(&field.ty, &field.attrs, &variant.attrs, container);
        let personal = personal::whose(&on_field, &field.ty, errors);
        fields.push(Field {
            member,
            name,
            ty: field.ty.clone(),
            shape: personal.as_ref().map_or(String::new(), Whose::text) + &shape,
            target: on_field.target.is_some(),
            source: on_field.source.is_some(),
            source_role: on_field.source_role,
            change: shape::is_change(&field.ty),
            personal,
            written_by: shape::written_by(&field.attrs),
        });
    }
    personal::check(&fields, errors);
    fields
}

/// Parses the declaration of a variant.
pub struct Reader<'a> {
    enum_name: &'a str,
    /// The declarations on the enum.
    pub on_enum: &'a OnEnum,
    /// The variant.
    pub variant: &'a syn::Variant,
    /// The fields of the variant.
    pub fields: &'a [Field],
    /// Placeholders that must be the aggregate's type.
    pub types: Vec<MustBeType>,
    /// The parts that the sentence names.
    pub parts: Vec<Part>,
    /// The errors found.
    pub errors: &'a mut Errors,
}

impl Reader<'_> {
    fn own(&mut self, declared: OnVariant) -> Option<Own> {
        let ident = &self.variant.ident;
        if let Some(transparent) = declared.transparent {
            let alone = declared.action.is_none() && declared.sentence.is_none() && declared.version.is_none();
            let alone = alone && declared.from.is_empty() && declared.was.is_empty() && declared.topics.is_empty();
            if !is_newtype(self.variant) {
                let message = "a transparent variant contains one other event enum: write `Member(MemberEvent)`";
                self.errors.at(ident.span(), message);
            } else if !alone || self.fields[0].target || self.fields[0].source || self.fields[0].personal.is_some()
            {
                let message =
                    "a transparent variant has no declaration of its own: write only `#[event(transparent)]`";
                self.errors.at(transparent.span(), message);
            }
            return None;
        }
        let words = self.words();
        let Some(sentence) = declared.sentence.clone().filter(|sentence| !sentence.value().trim().is_empty())
        else {
            let action = declared.action.as_ref().map_or_else(|| "create".to_owned(), Ident::to_string);
            let message = format!(
                "`{ident}` has no sentence: write `#[event({action}, \"{{actor}} …\")]` above it, with {words}"
            );
            self.errors.at(declared.sentence.map_or(ident.span(), |sentence| sentence.span()), message);
            return None;
        };
        let Some(action) = declared.action else {
            let message = "the action is missing: write create, update, delete, view or refuse before the sentence";
            self.errors.at(sentence.span(), message);
            return None;
        };
        self.template(&sentence, template::sentence);
        let parts = std::mem::take(&mut self.parts);
        let mut topics = if declared.topics.is_empty() { self.on_enum.topics.clone() } else { declared.topics };
        topics.iter().for_each(|topic| self.template(topic, template::topic));
        topics.iter().for_each(|topic| personal::check_topic(topic, self.fields, self.errors));
        if topics.is_empty() {
            topics.push(LitStr::new(self.enum_name, ident.span()));
        }
        let (version, upcasts) = self.versions(declared.version.as_ref(), declared.from);
        let was = declared.was.iter().map(|name| (self.whole(&name.value()), name.span())).collect();
        Some(Own {
            event_type: self.whole(&names::snake_case(ident)),
            version,
            action: capitalised(&action),
            sentence,
            parts,
            topics,
            was,
            upcasts,
        })
    }

    fn whole(&self, name: &str) -> String {
        if name.contains('.') { name.to_owned() } else { format!("{}.{name}", self.enum_name) }
    }

    /// Checks the version, and that every earlier version has an upcaster.
    fn versions(&mut self, version: Option<&LitInt>, from: Vec<(LitInt, Expr)>) -> (u32, Vec<(u32, Expr)>) {
        let ident = &self.variant.ident;
        let number = |literal: &LitInt| literal.base10_parse::<u32>();
        let current = version.map_or(Some(1), |literal| self.errors.take(number(literal))).unwrap_or(1);
        if let Some(version) = version.filter(|_| current == 0) {
            self.errors.at(version.span(), "versions start at 1");
        }
        let mut upcasts: Vec<(u32, Expr)> = Vec::new();
        for (literal, function) in from {
            let Some(step) = self.errors.take(number(&literal)) else { continue };
            if upcasts.iter().any(|(other, _)| *other == step) {
                self.errors.at(literal.span(), format!("two upcasters from version {step}: write one"));
            } else if step == 0 {
                self.errors.at(literal.span(), "versions start at 1");
            } else if step >= current {
                let next = u64::from(step) + 1;
                let message = format!(
                    "`{ident}` has version {current}: write `version = {next}` for an upcaster from {step}"
                );
                self.errors.at(literal.span(), message);
            }
            upcasts.push((step, function));
        }
        let missing = (1..current).find(|step| !upcasts.iter().any(|(other, _)| other == step));
        if let (Some(version), Some(missing)) = (version, missing) {
            let message = format!(
                "`{ident}` has no upcaster from version {missing} to {}: write `from({missing} = function)`",
                missing + 1
            );
            self.errors.at(version.span(), message);
        }
        (current, upcasts)
    }
}

fn capitalised(word: &Ident) -> Ident {
    let text = word.to_string();
    Ident::new(&format!("{}{}", text[..1].to_uppercase(), &text[1..]), word.span())
}

/// Checks that no two variants share a current or former name.
fn names_differ(variants: &[Variant], errors: &mut Errors) {
    let mut names: Vec<(&str, &Ident)> = Vec::new();
    let mut take = |name, ident, span| match names.iter().find(|(other, _)| *other == name) {
        Some((_, other)) => {
            errors.at(
                span,
                format!("`{name}` already names `{other}`: give each variant its own current and former names"),
            );
        }
        None => names.push((name, ident)),
    };
    let own = || variants.iter().filter_map(|variant| Some((&variant.ident, variant.own.as_ref()?)));
    own().for_each(|(ident, own)| take(&own.event_type, ident, ident.span()));
    own().for_each(|(ident, own)| own.was.iter().for_each(|(was, span)| take(was, ident, *span)));
}

const FORM: &str = "the log stores a variant's content, and the event type instead of serde's tag";
const NUMBER: &str = "every variant is stored and identified by its index";
const WHOLE: &str = "every field is stored, and an event must read back as it was written";

const ENUM: (&[&str], &str) = (&["tag", "content", "untagged", "from", "try_from", "into", "remote"], FORM);
const VARIANT: (&[&str], &str) = (&["skip", "skip_serializing", "skip_deserializing", "other", "untagged"], NUMBER);
const FIELD: (&[&str], &str) = (&["skip", "skip_serializing", "skip_deserializing"], WHOLE);

fn refuse_serde(attributes: &[Attribute], (refused, reason): (&[&str], &str), errors: &mut Errors) {
    for meta in shape::serde(attributes) {
        if let Some(name) = refused.iter().find(|name| meta.path().is_ident(name)) {
            errors.at(meta.span(), format!("serde's `{name}` is not supported here: {reason}. Remove it"));
        }
    }
}
