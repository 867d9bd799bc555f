//! The derives of `annals`.
use proc_macro::TokenStream;

/// TODO
#[proc_macro_derive(Event, attributes(event))]
pub fn event(_: TokenStream) -> TokenStream {
    TokenStream::new()
}
/// TODO
#[proc_macro_derive(Command, attributes(command, on))]
pub fn command(_: TokenStream) -> TokenStream {
    TokenStream::new()
}
/// TODO
#[proc_macro_derive(Id, attributes(id))]
pub fn id(_: TokenStream) -> TokenStream {
    TokenStream::new()
}
