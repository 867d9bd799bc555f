//! The reader of the library.

use annals::app::Detail;
use annals::prelude::Ref;
use annals::projections::audit::AuditError;
use annals::projections::export::Format;
use annals_test_postgres::{Place, both_stores};
use futures::TryStreamExt;

use crate::secret::Secret;
use crate::vault;

both_stores! { a_reader_of_the_library_sees_what_the_right_allows }

/// Mission X16
async fn a_reader_of_the_library_sees_what_the_right_allows(place: &Place) {
    let secret = Secret::new(true);
    vault::write(place.url(), &secret).await;
    let annals = vault::read_app().open(place.url()).await.unwrap();
    let head = annals.store().head().await.unwrap();
    let reader = annals.read_as(&vault::by("meta"));
    let page = reader.audit().after(head).limit(1_000).page().await.unwrap();
    assert_eq!((page.detail, page.rows.iter().all(|row| row.detail == Detail::Metadata)), (Detail::Metadata, true));
    let streamed: Vec<_> = reader.audit().stream().try_collect().await.unwrap();
    assert_eq!(streamed.len() as u64, head.position);
    let mut seen = format!("{page:?}{streamed:?}{:?}", reader.audit().count().await.unwrap());
    for &format in Format::ALL {
        let mut exported = Vec::new();
        let manifest = reader.audit().export(format).to(&mut exported).await.unwrap();
        assert_eq!((manifest.detail, manifest.rows), (Detail::Metadata, head.position));
        seen += &String::from_utf8(exported).unwrap();
    }
    assert_eq!(secret.found_in(seen.as_bytes()), None);
    let file = Ref::new("file", "1").unwrap();
    let denied = reader.audit().text(&secret.text).page().await;
    assert!(matches!(denied, Err(AuditError::Denied { .. })), "{denied:?}");
    let errors = [
        denied.unwrap_err().to_string(),
        reader.lineage(&file).await.unwrap_err().to_string(),
        reader.events(0, 9).await.unwrap_err().to_string(),
        reader.history(&file, 0, 9).await.unwrap_err().to_string(),
    ];
    for error in &errors {
        assert!(error.contains("needs the right to read the audit log in full"), "{error}");
    }
    // A reader of everything gets what was asked for.
    let root = annals.read_as(&vault::by("root"));
    let full = root.audit().page().await.unwrap();
    assert!(full.detail == Detail::Full && secret.found_in(format!("{full:?}").as_bytes()).is_some());
    let less = root.audit().detail(Detail::Metadata).page().await.unwrap();
    assert_eq!((less.detail, secret.found_in(format!("{less:?}").as_bytes())), (Detail::Metadata, None));
    annals.close().await;
}
