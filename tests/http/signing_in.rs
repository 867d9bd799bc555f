//! Signing in, and returning to the page that was requested. It does not touch the store.

use annals::http::{Authentication, Keys};
use annals_test_postgres::Place;
use jsonwebtoken::{Algorithm, EncodingKey};
use reqwest::{Client, Method, redirect::Policy};
use serde_json::json;

use crate::bank::app;
use crate::served::{Served, answer};
use crate::tokens::{but, token};

const SECRET: &[u8] = b"a secret of thirty-two bytes, at least";

#[tokio::test]
async fn signing_in_returns_to_the_page_that_was_requested_and_never_to_another_site() {
    let place = Place::sqlite();
    let keys = Authentication::bearer(Keys::from_secret(SECRET).unwrap(), "bank");
    for base in ["", "/annals"] {
        let served =
            Served::with(app(), &place, |router| router.mounted_at(base).authentication(keys.clone())).await;
        let requested = format!("{base}/history?of=account:a&text=a%20b");
        let page = answer(served.request(Method::GET, &requested).header("Accept", "text/html")).await;
        assert_eq!(page.status, 401, "{page:?}");
        let back = format!("name=\"back\" value=\"{}\"", requested.replace('&', "&amp;"));
        assert!(page.text.contains(&back), "{back} is not in {}", page.text);

        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let post = |token: &str, back: &str| {
            let form = form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("token", token), ("back", back)])
                .finish();
            let request = client.post(served.url(&format!("{base}/sign-in")));
            request.header("Content-Type", "application/x-www-form-urlencoded").body(form)
        };
        let wrong = answer(post("\"quoted\"", &requested)).await;
        assert_eq!(wrong.status, 400);
        assert!(wrong.text.contains(&back), "a wrong token forgets the page: {}", wrong.text);
        let good = token(Algorithm::HS256, None, &but(&json!({})), &EncodingKey::from_secret(SECRET));
        let signed_in = answer(post(&good, &requested)).await;
        assert_eq!((signed_in.status.as_u16(), signed_in.header("location")), (303, requested.as_str()));
        let root = if base.is_empty() { "/" } else { base };
        for elsewhere in ["", "https://evil.example/", "//evil.example", "/\\evil.example"] {
            let signed_in = answer(post(&good, elsewhere)).await;
            assert_eq!(signed_in.header("location"), root, "{elsewhere}");
        }
        served.stop().await;
    }
}
