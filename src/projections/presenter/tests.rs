//! Sentences in several languages, with names, as plain text, Markdown and HTML.

mod parts;

use proptest::prelude::*;

use super::*;
use crate::app::{Annals, App};
use crate::events::Change;
use crate::projections::display_names::NamesAsOf;
use crate::projections::tests::fixture::guild::*;
use crate::projections::tests::fixture::places::runtime;
use crate::projections::tests::fixture::stores;
use crate::store::Interest;

async fn log(annals: &Annals) -> Vec<Stored> {
    annals.store().read(0, 1_000, &Interest::All).await.unwrap().events
}

async fn sentences(annals: &Annals, presenter: Presenter) -> Vec<String> {
    let presented = presenter.present(&log(annals).await).await.unwrap();
    presented.into_iter().map(|one| one.sentence.text()).collect()
}

async fn story() -> Annals {
    let annals = open().await;
    user(&annals, "1", "1", named("Ada")).await;
    user(&annals, "2", "2", named("Zoë")).await;
    team(&annals, "1", "7", joined(&["2", "3"], &["dev", "ops"])).await;
    team(&annals, "1", "7", joined(&[], &[])).await;
    user(&annals, "1", "2", renamed("Zoë", "Zoé")).await;
    let roles = Change { from: vec![], to: vec!["dev".to_owned()] };
    let note = Some(Change { from: "a".to_owned(), to: "b".to_owned() });
    team(&annals, "2", "7", TeamEvent::Changed { user: UserId::new("1"), roles, note }).await;
    team(&annals, "2", "7", TeamEvent::Scored(1)).await;
    team(&annals, "2", "7", TeamEvent::Scored(3)).await;
    user(&annals, "2", "2", UserEvent::Left).await;
    annals
}

/// Missions A7 and J6: the same events in English and in French, with the names as of each event.
#[tokio::test]
async fn an_event_is_presented_in_english_and_french_with_the_names_as_of_the_event() {
    let annals = story().await;
    let english = [
        "Ada registered as Ada",
        "Zoë registered as Zoë",
        "Ada added Zoë, user:3 to team:7 as dev, ops",
        "Ada added nothing to team:7 as nothing",
        "Ada renamed Zoé from Zoë to Zoé",
        "Zoé changed Ada from nothing to dev",
        "team:7 scored 1",
        "team:7 scored 3",
        "Zoé left",
    ];
    let french = [
        "Ada s’est inscrit sous le nom de Ada",
        "Zoë s’est inscrit sous le nom de Zoë",
        "Ada a ajouté Zoë, user:3 à l’équipe team:7 en tant que dev, ops",
        "Ada a ajouté rien à l’équipe team:7 en tant que simple membre",
        "Ada a renommé Zoé : Zoë est devenu Zoé",
        "Zoé a changé Ada de rien à dev",
        "team:7 a marqué 1 point",
        "team:7 a marqué 3 points",
        "Zoé est parti",
    ];
    assert_eq!(sentences(&annals, annals.presenter()).await, english);
    assert_eq!(sentences(&annals, annals.presenter().locale("fr").unwrap()).await, french);
    let now = sentences(&annals, annals.presenter().names(NamesAsOf::Now)).await;
    assert_eq!(now[1], "Zoé registered as Zoë", "the thing has its current name, the field its old value");
    assert_eq!(now[2], "Ada added Zoé, user:3 to team:7 as dev, ops");
    let bare = sentences(&annals, annals.presenter().without_names()).await;
    assert_eq!(bare[8], "user:2 left");

    let changed = annals.presenter().locale("fr-CA").unwrap().present_at(&[6]).await.unwrap().remove(0);
    assert_eq!((changed.locale.as_str(), changed.position), ("fr", 6), "fr-CA is a variety of fr");
    assert_eq!(changed.plain(), "Zoé a changé Ada de rien à dev\n  rôles: rien → dev\n  remarque: a → b");
    assert_eq!(changed.targets[1].label(), "Ada");
    annals.close().await;
}

/// Mission J11: another sentence needs no replay and no change of the schema.
#[tokio::test]
async fn another_sentence_or_language_rebuilds_no_projection() {
    let directory = tempfile::tempdir().unwrap();
    let url = stores::of(directory.path());
    let annals = guild().open(&url).await.unwrap();
    team(&annals, "1", "7", TeamEvent::Scored(2)).await;
    let versions = async |annals: &Annals| -> Vec<(String, u64, u64)> {
        let statuses = annals.projections().await.unwrap();
        statuses.into_iter().map(|status| (status.name, status.version, status.generation)).collect()
    };
    let before = versions(&annals).await;
    assert_eq!(before.len(), 3);
    annals.close().await;

    let other = FRENCH.replace("a marqué", "gagne");
    let app = App::new("guild").command::<TellUser>().command::<TellTeam>().names::<UserEvent>();
    let annals =
        app.locale("fr", &other).locale("de-AT", &FRENCH.replace("points", "Punkte")).open(&url).await.unwrap();
    assert_eq!(versions(&annals).await, before);
    assert_eq!(sentences(&annals, annals.presenter().locale("fr").unwrap()).await, ["team:7 gagne 2 points"]);
    assert_eq!(sentences(&annals, annals.presenter().locale("de-AT").unwrap()).await, ["team:7 a marqué 2 Punkte"]);
    annals.close().await;
}

#[tokio::test]
async fn a_language_that_is_not_shipped_is_an_error_that_names_the_shipped_ones() {
    let annals = open().await;
    for asked in ["de", "not a locale", "", "f\u{1b}r"] {
        let error = annals.presenter().locale(asked).unwrap_err().to_string();
        assert!(error.contains("`en`, `fr`") && !error.contains('\u{1b}'), "{error}");
    }
    for (asked, given) in [("en-GB", "en"), ("fr-Latn-CA", "fr"), ("FR", "fr")] {
        assert_eq!(annals.presenter().locale(asked).unwrap().language(), given, "{asked}");
    }
    annals.close().await;
}

/// Mission J5, for translations: all problems are reported at once, before the store is opened.
#[test]
fn the_check_finds_missing_messages_and_placeholders_without_a_field() {
    let problems = |app: App| app.check().err().map(|unsound| unsound.problems).unwrap_or_default();
    assert_eq!(problems(guild()), Vec::<String>::new());
    let file = r#"
nothing = rien { $actor }
field-name = nom
field-roles = rôles
-loop = { -loop }
user =
    .registered = { $user } { $nom } { $name-from } { DATETIME($name) }
    .renamed = { $actor ->
        [one] { $name-from }
       *[other] { autre } { -loop }
    }
    .lefft = { $user }
"#;
    let app = App::new("guild").command::<TellUser>().locale("fr", file);
    let expected = [
        "locale fr: the message `nothing` names `$actor`, but it has no arguments",
        "locale fr: the message `user.lefft` belongs to no event",
        "locale fr: the message `user.left` is missing: write `.left = …` below `user =`",
        "locale fr: the message `user.registered` names `$nom`, but its arguments are `$actor`, `$user`, `$name`, `$actor-id`, `$user-id`",
        "locale fr: the message `user.registered` names `$name-from`, but its arguments are `$actor`, `$user`, `$name`, `$actor-id`, `$user-id`",
        "locale fr: the message `user.registered` calls `DATETIME`: the only function is `NUMBER`",
        "locale fr: the message `user.renamed` refers to `autre`, which does not exist",
        "locale fr: the message `user.renamed` refers to itself through `-loop`",
    ];
    assert_eq!(problems(app), expected.map(str::to_owned));
    for (locale, file, words) in [
        ("en", "", "declared by the events"),
        ("f r", "", "is not a locale"),
        ("fr", "a = b\nuser = {", "locale fr, line 2"),
        ("fr", "a = \u{e000}", "locale fr, line 1: private-use characters"),
    ] {
        let problems = problems(App::new("guild").locale(locale, file));
        assert!(problems.iter().any(|problem| problem.contains(words)), "{problems:?}");
    }
    let twice = problems(App::new("guild").locale("fr", "nothing = a").locale("fr", "nothing = b"));
    assert!(twice.iter().any(|problem| problem.contains("nothing")), "{twice:?}");
}

fn html_text_of(html: &str) -> String {
    let mut text = String::new();
    for token in html5gum::Tokenizer::new(html) {
        match token.unwrap() {
            html5gum::Token::String(string) => text += std::str::from_utf8(&string).unwrap(),
            html5gum::Token::StartTag(tag) => {
                let name = std::str::from_utf8(&tag.name).unwrap();
                assert!(["p", "bdi", "a", "ul", "li"].contains(&name), "{html}");
                let known = |name: &[u8]| [&b"href"[..], b"title"].contains(&name);
                assert!(tag.attributes.iter().all(|(name, _)| known(name)), "{html}");
            }
            html5gum::Token::EndTag(_) => {}
            token => panic!("{token:?} in {html}"),
        }
    }
    text
}

/// The text and the link targets of Markdown; panics unless it is one paragraph of text and links.
fn markdown_text_of(markdown: &str) -> (String, Vec<String>) {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
    let (mut text, mut links) = (String::new(), Vec::new());
    for event in Parser::new_ext(markdown, Options::all()) {
        match event {
            Event::Text(some) => text += &some,
            Event::Start(Tag::Link { dest_url, .. }) => links.push(dest_url.to_string()),
            Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph | TagEnd::Link) => {}
            event => panic!("{event:?} in {markdown:?}"),
        }
    }
    (text, links)
}

fn hostile() -> impl Strategy<Value = String> {
    let nasty = proptest::sample::select(vec![
        "<script>alert(1)</script>",
        "\u{1b}[2J",
        "\u{202e}",
        "](javascript:x)",
        "**a**",
        "=1+1",
        "\"",
        "'",
        "&amp;",
        "\r\n",
        "\0",
        "    code",
        "- [ ] x",
        "1. y",
        "# h",
        "| a | b |",
        "http://x.y",
        "`",
        "\\",
        "$x$",
        "\u{e000}0\u{e001}",
        "{ $actor }",
        "\u{feff}",
        "~~",
        "^[x]",
        "[[w]]",
        "<!--",
        "]]>",
        "user:1",
        " ",
        "\u{a0}",
    ]);
    proptest::collection::vec(prop_oneof![any::<String>(), nasty.prop_map(str::to_owned)], 0..5)
        .prop_map(|parts| parts.concat())
}

/// Bad input: whatever an actor, target, field or name contains, every format shows the same text, without markup.
#[test]
fn any_text_in_any_place_is_shown_safely_in_every_format() {
    let runtime = runtime();
    let annals = runtime.block_on(open());
    let texts = (hostile(), hostile(), hostile(), hostile());
    proptest!(ProptestConfig::with_cases(120), |((actor, target, words, name) in texts)| runtime.block_on(async {
        let id = |text: &str| -> String {
            let kept: String = text.chars().filter(|c| *c != '\0').take(200).collect();
            if kept.is_empty() { "x".to_owned() } else { kept }
        };
        let (actor, target) = (id(&actor), id(&target));
        user(&annals, &actor, &target, named(&name)).await;
        let said = TeamEvent::Said { words: words.clone() };
        let receipt = team(&annals, &target, &target, said).await;
        for locale in ["en", "fr"] {
            let presenter = annals.presenter().locale(locale).unwrap();
            let shown = presenter.present_at(&[receipt.head.position]).await.unwrap().remove(0);
            let thing = shown.actor.label();
            let verb = if locale == "en" { "said" } else { "a dit" };
            prop_assert_eq!(shown.sentence.text(), format!("{thing} {verb} {words}"));
            let plain_text = plain(&shown.sentence.text()).into_owned();
            prop_assert_eq!(shown.sentence.plain(), plain_text.clone());
            prop_assert!(!plain_text.chars().any(char::is_control));
            let link = |reference: &Ref| Some(format!("/things?id={}", reference.id()));
            prop_assert_eq!(html_text_of(&shown.sentence.html(link)), plain_text.clone());
            prop_assert_eq!(html_text_of(&shown.html(|_| None)), plain_text.clone());
            let (text, links) = markdown_text_of(&shown.sentence.markdown(link));
            prop_assert_eq!(text, plain_text.clone());
            prop_assert_eq!(links.len(), 1);
            prop_assert_eq!(markdown_text_of(&shown.sentence.markdown(|_| None)).0, plain_text);
        }
        Ok(())
    })?);
    runtime.block_on(annals.close());
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    an_event_is_presented_in_english_and_french_with_the_names_as_of_the_event,
    another_sentence_or_language_rebuilds_no_projection,
    any_text_in_any_place_is_shown_safely_in_every_format,
}
