//! Sentences that name parts of structs, ids beside names, counted words and values in several languages.

use annals_macros::{Command, Event, Id};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::aggregates::{Aggregate, Loaded};
use crate::commands::{Context, Handle};
use crate::events::{Recorded, Ref};
use crate::projections::display_names::Names;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatientId(String);

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WardId(String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dose {
    /// Its name in the log is not its name in a sentence.
    #[serde(rename = "n")]
    amount: u32,
    drug: Drug,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drug {
    name: String,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    Tablet,
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Stable,
    AtRisk,
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "patient", on = Patient)]
pub enum PatientEvent {
    #[event(create, "{actor} ({actor.id}) admitted {patient} ({patient.id})")]
    Admitted { name: String },
    #[event(
        update,
        "{actor} gave {patient} {dose.amount} {dose.amount|dose|doses} of {dose.drug.name} as {dose.drug.form}"
    )]
    Given { dose: Dose, replaced: Option<Dose> },
    #[event(update, "{actor} gave {patient} {dose.amount} after {dose.drug.name}")]
    Refused { dose: Option<Dose> },
    #[event(update, "{actor} moved {patient} from {ward.from} to {ward.to} ({ward.to.id})")]
    Moved {
        #[event(target)]
        ward: Change<WardId>,
    },
    #[event(
        update,
        "{actor} found {patient} {state.to}, {dose.from.amount} to {dose.to.amount} as {dose.to.drug.form}"
    )]
    Assessed { state: Change<State>, dose: Change<Dose>, signs: Vec<State> },
    #[event(view, "{wards} {wards|has|have} {patient}, {signs|a sign|signs}: {signs} ({wards.id})")]
    Seen {
        #[event(target)]
        wards: Vec<WardId>,
        signs: Vec<State>,
    },
}

impl Names for PatientEvent {
    fn names(event: &Recorded<Self>) -> Vec<(Ref, String)> {
        match &event.event {
            Self::Admitted { name } => vec![(event.aggregate.clone(), name.clone())],
            _ => vec![],
        }
    }
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Patient;

impl Aggregate for Patient {
    const TYPE: &'static str = "patient";
    type Id = PatientId;
    type Event = PatientEvent;
    type Error = serde_json::Error;
    fn apply(&mut self, _: &PatientEvent) {}
}

/// Accepts every event.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tell {
    #[on(Patient)]
    pub on: PatientId,
    pub event: String,
}

impl Handle for Tell {
    fn handle(&self, _: &Loaded<Patient>, _: &Context) -> Result<Vec<PatientEvent>, serde_json::Error> {
        Ok(vec![serde_json::from_str(&self.event)?])
    }
}

const FRENCH: &str = r"
nothing = rien
field-ward = service
field-state = état
field-dose = dose
value-state = { $value ->
    [stable] stable
    [at_risk] à risque
   *[other] { $value }
}
value-signs = { $value ->
    [stable] stabilité
   *[other] risque
}
value-dose-drug-form = { $value ->
    [tablet] comprimé
   *[other] goutte
}
patient =
    .admitted = { $actor } ({ $actor-id }) a admis { $patient } ({ $patient-id })
    .given = { $actor } a donné à { $patient } { $dose-amount ->
        [one] une dose
       *[other] { $dose-amount } doses
    } de { $dose-drug-name } ({ $dose-drug-form })
    .refused = { $dose-amount }
    .moved = { $actor } a déplacé { $patient } de { $ward-from } à { $ward-to } ({ $ward-to-id })
    .assessed = { $patient } est { $state-to } ({ $dose-to-amount }, { $dose-to-drug-form })
    .seen = { $wards-count ->
        [one] { $wards } suit
       *[other] { $wards } suivent
    } { $patient } : { $signs-count ->
        [0] aucun signe
        [one] un signe, { $signs }
       *[other] { $signs-count } signes, { $signs }
    } ({ $wards-id })
";

fn clinic() -> App {
    App::new("clinic").command::<Tell>().names::<PatientEvent>().locale("fr", FRENCH)
}

fn dose(amount: u32) -> Dose {
    Dose { amount, drug: Drug { name: "aspirin".to_owned(), form: Form::Drop } }
}

/// Missions A7 and J6: sentences name parts of structs, ids beside names and counted words; languages have words for values.
#[tokio::test]
async fn a_sentence_names_parts_ids_and_counted_words_in_every_language() {
    let annals = clinic().open(&stores::empty()).await.unwrap();
    let wards = |ids: &[&str]| ids.iter().map(|id| WardId::new(*id)).collect::<Vec<_>>();
    let events = [
        PatientEvent::Admitted { name: "Zoë".to_owned() },
        PatientEvent::Given { dose: dose(1), replaced: None },
        PatientEvent::Given { dose: dose(2), replaced: Some(dose(1)) },
        PatientEvent::Refused { dose: Some(dose(3)) },
        PatientEvent::Refused { dose: None },
        PatientEvent::Moved { ward: Change { from: WardId::new("north"), to: WardId::new("south") } },
        PatientEvent::Assessed {
            state: Change { from: State::Stable, to: State::AtRisk },
            dose: Change { from: dose(1), to: dose(4) },
            signs: vec![],
        },
        PatientEvent::Seen { wards: wards(&["north"]), signs: vec![State::AtRisk] },
        PatientEvent::Seen { wards: wards(&["north", "south"]), signs: vec![State::AtRisk, State::Stable] },
        PatientEvent::Seen { wards: vec![], signs: vec![] },
    ];
    for event in &events {
        let context = Context::by(Ref::new("doctor", "1").unwrap());
        let event = serde_json::to_string(event).unwrap();
        annals.execute(Tell { on: PatientId::new("7"), event }, &context).await.unwrap();
    }
    let english = [
        "doctor:1 (1) admitted Zoë (7)",
        "doctor:1 gave Zoë 1 dose of aspirin as drop",
        "doctor:1 gave Zoë 2 doses of aspirin as drop",
        "doctor:1 gave Zoë 3 after aspirin",
        "doctor:1 gave Zoë nothing after nothing",
        "doctor:1 moved Zoë from ward:north to ward:south (south)",
        "doctor:1 found Zoë at_risk, 1 to 4 as drop",
        "ward:north has Zoë, a sign: at_risk (north)",
        "ward:north, ward:south have Zoë, signs: at_risk, stable (north, south)",
        "nothing have Zoë, signs: nothing (nothing)",
    ];
    let french = [
        "doctor:1 (1) a admis Zoë (7)",
        "doctor:1 a donné à Zoë une dose de aspirin (goutte)",
        "doctor:1 a donné à Zoë 2 doses de aspirin (goutte)",
        "3",
        "rien",
        "doctor:1 a déplacé Zoë de ward:north à ward:south (south)",
        "Zoë est à risque (4, goutte)",
        "ward:north suit Zoë : un signe, risque (north)",
        "ward:north, ward:south suivent Zoë : 2 signes, risque, stabilité (north, south)",
        "rien suit Zoë : aucun signe (rien)",
    ];
    assert_eq!(sentences(&annals, annals.presenter()).await, english);
    let presenter = annals.presenter().locale("fr").unwrap();
    assert_eq!(sentences(&annals, presenter.clone()).await, french);
    // The rows of the audit log are made without a presenter.
    let head = annals.store().head().await.unwrap();
    let rows = annals.audit().oldest_first().after(head).page().await.unwrap().rows;
    let plain: Vec<String> = english.iter().map(|sentence| sentence.replace("Zoë", "patient:7")).collect();
    assert_eq!(rows.iter().map(|row| row.sentence.clone()).collect::<Vec<_>>(), plain);
    let moved = presenter.present_at(&[6]).await.unwrap().remove(0);
    let targets: Vec<&str> = moved.targets.iter().map(|thing| thing.reference.as_str()).collect();
    assert_eq!(targets, ["patient:7", "ward:north", "ward:south"], "both sides of a change are targets");
    let link = |reference: &Ref| Some(format!("/{}", reference.id()));
    assert!(moved.sentence.html(link).contains("<a href=\"/south\" title=\"ward:south\">"), "{moved:?}");
    assert_eq!(moved.plain().lines().nth(1), Some("  service: ward:north → ward:south"));
    let assessed = presenter.present_at(&[7]).await.unwrap().remove(0);
    assert_eq!(assessed.plain().lines().nth(1), Some("  état: stable → à risque"));
    let of_south = annals.audit().target("ward:south").after(head).page().await.unwrap().rows;
    assert_eq!(of_south.iter().map(|row| row.position).collect::<Vec<_>>(), [6, 9]);
    annals.close().await;
}

/// Mission J5, for values and parts.
#[test]
fn the_check_finds_words_for_values_of_no_field_and_parts_that_no_sentence_names() {
    let file = FRENCH.replace("$dose-drug-name", "$dose-drug-maker").replace("value-signs", "value-sings")
        + "value-ward = { $ward }\n";
    let app = App::new("clinic").command::<Tell>().locale("fr", &file);
    let problems = app.check().err().map(|unsound| unsound.problems).unwrap_or_default();
    let problem = |words: &[&str]| problems.iter().any(|problem| words.iter().all(|word| problem.contains(word)));
    assert!(problem(&["`value-sings` belongs to no field"]), "{problems:?}");
    assert!(problem(&["`value-ward` names `$ward`", "its arguments are `$value`"]), "{problems:?}");
    assert!(
        problem(&["names `$dose-drug-maker`", "`$dose-amount`", "`$dose-drug-name`", "`$patient-id`"]),
        "{problems:?}"
    );
    assert_eq!(problems.len(), 3, "{problems:?}");
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_sentence_names_parts_ids_and_counted_words_in_every_language,
}
