//! The drawing of provenance: legible at any size, and without effect of hostile text.

use annals::prelude::*;
use annals::projections::provenance::Agents;
use annals_test_browser::{Browser, EFFECTS, Served, Theme, reader};
use annals_test_postgres::Place;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

annals_test_postgres::both_stores!(
    a_drawing_of_two_nodes_and_one_of_two_hundred_are_legible,
    a_thing_leads_to_its_provenance_and_back,
);

/// A paper.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PaperId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "paper", on = Paper)]
enum PaperEvent {
    #[event(update, "{actor} wrote {paper} from {from}")]
    Written {
        #[event(source)]
        from: Vec<Ref>,
    },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Paper {}

impl Aggregate for Paper {
    const TYPE: &'static str = "paper";
    type Id = PaperId;
    type Event = PaperEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, _: &PaperEvent) {}
}

/// Write a paper
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct WritePaper {
    #[on(Paper)]
    paper: PaperId,
    from: Vec<Ref>,
}

impl Handle for WritePaper {
    fn handle(&self, _: &Loaded<Paper>, _: &Context) -> Result<Vec<PaperEvent>, std::convert::Infallible> {
        Ok(vec![PaperEvent::Written { from: self.from.clone() }])
    }
}

fn papers() -> App {
    App::new("papers").command::<WritePaper>().provenance(Agents::default().software("robot"))
}

async fn write(served: &Served, context: &Context, paper: &str, from: &[&str]) -> Receipt {
    let from = from.iter().map(|from| Ref::new("paper", from).expect("an id")).collect();
    let command = WritePaper { paper: PaperId::new(paper), from };
    served.annals().execute(command, context).await.expect("it is written")
}

/// Ids that a careless drawing would show as something else.
const HOSTILE: [&str; 5] = [
    "</title></text></svg><script>window.hacked = 1</script>",
    "\"><img src=x onerror=window.hacked=1>' onload='window.hacked=1",
    "safe\u{202e}txt.exe\u{ffff}\u{1b}[31m",
    "語語語語語語語語語語語語語語語語語語語語語語語語語語語語",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
];

/// Papers that are written from others in several ways: a chain, many sources of one, one source of many.
async fn fill(served: &Served) {
    let robot = Context::by("robot:1".parse::<Ref>().unwrap()).on_behalf_of("user:alice".parse::<Ref>().unwrap());
    write(served, &reader("ann"), "alone", &[]).await;
    for hostile in HOSTILE {
        write(served, &reader(hostile), hostile, &[]).await;
    }
    for number in 0..12 {
        write(
            served,
            &reader("ann"),
            &format!("survey-of-the-year-{}", 2_000 + number),
            &HOSTILE[number % 5..=number % 5],
        )
        .await;
    }
    let surveys: Vec<String> = (0..12).map(|number| format!("survey-of-the-year-{}", 2_000 + number)).collect();
    for number in 0..10 {
        let from: Vec<&str> = surveys.iter().skip(number).take(4).map(String::as_str).collect();
        write(served, &robot, &format!("summary-{number}"), &from).await;
        if number > 2 {
            let before = format!("summary-{}", number - 3);
            write(served, &reader("bob"), &format!("summary-{number}"), &[&before]).await;
        }
    }
    for number in 0..6 {
        write(served, &robot, "report", &[&format!("summary-{number}"), &format!("summary-{}", number + 4)]).await;
    }
    for number in 0..30 {
        let copy = format!("copy-{number}");
        let receipt = write(served, &reader("eve"), &copy, &["report"]).await;
        served
            .annals()
            .provenance(&PaperId::new(copy).reference())
            .after(receipt)
            .page()
            .await
            .expect("it is kept");
    }
}

/// What is wrong with the drawing, and how many nodes it has.
const LOOK: &str = "
    const svg = document.querySelector('svg.provenance'), found = [];
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    if (Math.abs(scale - 1) > 0.001) found.push('the drawing is scaled by ' + scale);
    const within = (inner, outer) => inner.left >= outer.left - 0.5 && inner.right <= outer.right + 0.5
        && inner.top >= outer.top - 0.5 && inner.bottom <= outer.bottom + 0.5;
    const apart = (one, other) => one.right <= other.left || other.right <= one.left || one.bottom <= other.top || other.bottom <= one.top;
    const box = (element) => {
        const box = element.getBBox(), matrix = element.getCTM();
        return { left: box.x + matrix.e, right: box.x + box.width + matrix.e, top: box.y + matrix.f, bottom: box.y + box.height + matrix.f };
    };
    const all = { left: 0, top: 0, right: svg.viewBox.baseVal.width, bottom: svg.viewBox.baseVal.height };
    const boxes = [];
    for (const node of svg.querySelectorAll('g.node')) {
        const shape = box(node.querySelector('.shape'));
        if (!within(shape, all)) found.push('outside: ' + node.outerHTML);
        for (const text of node.querySelectorAll('text')) {
            if (text.textContent === '') found.push('no text: ' + node.outerHTML);
            if (!within(box(text), shape)) found.push('leaves its box: ' + text.outerHTML);
        }
        boxes.push([shape, node.querySelector('title').textContent]);
    }
    for (const text of svg.querySelectorAll('text')) {
        if (parseFloat(getComputedStyle(text).fontSize) * scale < 11) found.push('small: ' + text.outerHTML);
    }
    for (const label of svg.querySelectorAll('text.words')) boxes.push([box(label), label.textContent]);
    for (let one = 0; one < boxes.length; one++) for (let other = 0; other < one; other++) {
        if (!apart(boxes[one][0], boxes[other][0])) found.push('overlap: ' + boxes[one][1] + ' and ' + boxes[other][1]);
    }
    for (const node of svg.querySelectorAll('g.node')) {
        // A plan is nothing that the log has; of a command on another page, only the name is known.
        const kind = node.querySelector('.kind').textContent;
        if (!node.querySelector('a') && !/^plan|^not on this page$/.test(kind)) found.push('no link: ' + node.outerHTML);
    }
    return [found.slice(0, 10), svg.querySelectorAll('g.node').length]";

/// The number of nodes of a drawing without faults.
async fn nodes(browser: &Browser) -> u64 {
    let looked = browser.run(LOOK).await;
    assert_eq!(looked[0], json!([]));
    looked[1].as_u64().unwrap()
}

/// Keeps a picture, if `ANNALS_PICTURES` names a folder.
async fn keep_picture(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("ANNALS_PICTURES") {
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), browser.picture().await).unwrap();
    }
}

/// Mission D2. Texts have 11 pixels or more and stay in their boxes, nodes and labels do not overlap, and the page is not wider than the window.
async fn a_drawing_of_two_nodes_and_one_of_two_hundred_are_legible(place: &Place) {
    let served = Served::on(place, papers).await;
    let browser = Browser::start().await;
    fill(&served).await;
    browser.size(1280, 1000).await;
    for (name, path, least, most) in [
        ("alone", "page/provenance/paper/alone", 5, 5),
        ("report", "page/provenance/paper/report?depth=10", 150, 450),
        ("report-forwards", "page/provenance/paper/report?direction=forwards&depth=2", 100, 450),
        ("summary", "page/provenance/paper/summary%2D0?direction=forwards&depth=5", 60, 450),
    ] {
        for theme in [Theme::Light, Theme::Dark] {
            browser.theme(theme).await;
            browser.goto(served.at(path)).await;
            let count = nodes(&browser).await;
            assert!((least..=most).contains(&count), "{name}: {count} nodes");
            keep_picture(&browser, &format!("{name}-{theme:?}")).await;
        }
        assert_eq!(browser.run(EFFECTS).await, json!([]), "{name}");
        for width in [320, 1280] {
            browser.size(width, 1000).await;
            let wide = browser.run("return document.scrollingElement.scrollWidth").await.as_u64().unwrap();
            assert!(wide <= u64::from(width), "{name}: {wide}");
            nodes(&browser).await;
        }
        // The table has what the drawing has.
        let rows = browser.texts(".relations tbody tr").await.len();
        assert!(rows as u64 >= least / 2, "{name}: {rows} rows");
    }
    let complaints: Vec<String> =
        browser.driver().browser_log().await.unwrap().into_iter().map(|entry| entry.message).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    browser.close().await;
}

/// From the history of a thing to its provenance; on to other pages, deeper, forwards, in the past; and back.
async fn a_thing_leads_to_its_provenance_and_back(place: &Place) {
    let served = Served::on(place, papers).await;
    let browser = Browser::start().await;
    fill(&served).await;
    let address = async || browser.driver().current_url().await.expect("an address").to_string();
    browser.goto(served.at("history?of=paper%3Areport")).await;
    browser.click(".tabs a[href*='provenance']").await;
    assert_eq!(browser.text("h1").await, "Provenance of paper:report");
    assert!(browser.text("#limits").await.contains("deeper"));
    // Each version and each command is on one page only.
    let made = "return [...document.querySelectorAll('.relations tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText)) \
        .filter((cells) => cells[1] === 'was made by').map((cells) => cells[0])";
    browser.run("document.querySelector('#depth').value = '64'").await;
    browser.click("form.filter button.main").await;
    let mut all: Vec<Value> = Vec::new();
    loop {
        all.extend(browser.run(made).await.as_array().unwrap().iter().cloned());
        if browser.texts("#next").await.is_empty() {
            break;
        }
        browser.click("#next").await;
        let other = all.clone();
        annals_test_browser::eventually("the next page", async || {
            let now = browser.run(made).await;
            (now.as_array().unwrap().iter().all(|one| !other.contains(one))).then_some(())
        })
        .await;
    }
    assert!(all.len() > 30, "{all:?}");
    assert!(address().await.contains("depth=64"), "the filter is in the address: {}", address().await);
    // As of a position at which the report was not written.
    browser.goto(served.at("page/provenance/paper/report?at=3")).await;
    assert!(browser.text("#nothing").await.contains("nothing that came of it"));
    browser.goto(served.at("page/provenance/paper/report")).await;
    browser.click(".tabs a[href*='forwards']").await;
    annals_test_browser::eventually("the copies", async || {
        browser.texts(".relations").await.concat().contains("paper:copy-7 after its event 1").then_some(())
    })
    .await;
    // A node leads to its event.
    browser.goto(served.at("page/provenance/paper/alone")).await;
    browser.click(".relations tbody tr:first-child a").await;
    annals_test_browser::eventually("the event", async || {
        (browser.texts("#feed > li").await.len() == 1).then_some(())
    })
    .await;
    assert!(browser.text("#feed .sentence").await.contains("wrote paper:alone"));
    browser.goto(served.at("page/provenance/paper/alone")).await;
    browser.click(".title a[href*='history']").await;
    annals_test_browser::eventually("the history", async || {
        address().await.contains("history?of=paper%3Aalone").then_some(())
    })
    .await;
    browser.close().await;
}
