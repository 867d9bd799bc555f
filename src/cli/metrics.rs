//! `metrics`: event counts and rates of a topic.

use clap::Args;
#[cfg(feature = "plots")]
use tokio::io::AsyncWriteExt;

#[cfg(feature = "plots")]
use super::ending_signals::EndingSignals;
use super::output::{self, TextOrJson, counted, name};
#[cfg(feature = "plots")]
use super::output_file::{self, OutputFile};
#[cfg(feature = "plots")]
use super::plot::PlotFormat;
use super::session::OpenMode;
use super::sparkline::{most, sparkline};
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::events::Topic;
use crate::projections::metrics::{
    Anomalies, Busy, Metric, MetricQueryParams, MetricReport, Metrics as Projection,
};
use crate::projections::presenter::topic_text;

/// Print event counts and rates of the whole log or of a topic and the topics below it
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ metrics\n  $ metrics project/member\n  $ metrics --from 2026-01-01T00:00:00Z --format json\n  \
    $ metrics project --plot project.svg --slices 200\n  $ metrics --from 2026-05-01 --until 2026-06-01 --anomalies 1d\n  \
    $ metrics --by-occurrence --from 2019-01-01 --until 2020-01-01\n\n\
    Bounds are positions, event ids or times with a zone; --from is inclusive, --until exclusive. The mean is over the window; a \
    window shorter than a minute, hour or day has no such mean. With --by-occurrence, which the application declares, bounds are \
    times, and without --until the window ends now. The rolling averages are weighted: an event counts less as \
    time passes. An anomaly is a slice of time in which the topic, or one actor in it, has far more or fewer events than in the \
    30 slices before."
)]
pub(super) struct Metrics {
    /// Topic: a path like project/member; / is the whole log
    #[arg(default_value = "/")]
    topic: String,
    #[command(flatten)]
    params: MetricQueryParams,
    /// Also write a plot to this file: .svg or .png
    #[cfg(feature = "plots")]
    #[arg(long, value_name = "FILE")]
    plot: Option<std::path::PathBuf>,
    /// Replace the file of the plot if it exists
    #[cfg(feature = "plots")]
    #[arg(long, requires = "plot")]
    replace: bool,
    #[command(flatten)]
    format: TextOrJson,
}

impl Metrics {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_reader()?;
        #[cfg(feature = "plots")]
        if let Some(file) = &self.plot {
            PlotFormat::of(file)?;
            output_file::check(file, self.replace)?;
        }
        app.with(OpenMode::Read, |session| async move {
            session.catch_up(Projection::NAME).await?;
            let by_occurrence = self.params.by_occurrence;
            let numbers = self.params.run(session.metric(&self.topic).await?).await?;
            #[cfg(feature = "plots")]
            if let Some(file) = &self.plot {
                // From here on, a signal does not end the program by itself and leave a part of the file.
                let mut signals = EndingSignals::listen()?;
                let plot = PlotFormat::of(file)?.draw(&numbers.buckets)?;
                let mut output = OutputFile::open(file, self.replace)?;
                let left = output.left_when_dropped();
                tokio::select! {
                    written = output.writer().write_all(&plot) => written?,
                    signal = signals.received() => return Err(format!("ended by {signal}: {left}").into()),
                }
                output.finish().await?;
            }
            match self.format.is_json() {
                true => output::json(&numbers),
                false => print(&numbers, by_occurrence),
            }
        })
        .await
    }
}

fn print(numbers: &MetricReport, by_occurrence: bool) -> Result<(), BoxError> {
    let metric = &numbers.metric;
    output::line(&format!(
        "{} in {} {}from {} until {:.6} (as of position {})",
        counted(metric.total, "event"),
        topic_name(&metric.topic),
        if by_occurrence { "that occurred " } else { "" },
        metric.from.map_or_else(|| "the beginning".to_owned(), |from| format!("{from:.6}")),
        metric.until,
        metric.head.position
    ))?;
    if !numbers.buckets.buckets.is_empty() {
        let (line, most) = (sparkline(&numbers.buckets.buckets), most(&numbers.buckets.buckets));
        let slices = counted(numbers.buckets.buckets.len() as u64, "slice");
        output::line(&format!("  |{line}| {slices}, at most {} in one", counted(most, "event")))?;
    }
    for (action, count) in &metric.by_action {
        output::line(&format!("  {action:<8} {count}"))?;
    }
    for (event_type, count) in &metric.by_event {
        output::line(&format!("    {event_type:<40} {count}"))?;
    }
    output::line(&format!("mean: {}", means(metric)))?;
    let (rates, rolling) = (&metric.rates, &metric.rolling);
    output::line(&format!(
        "last minute {}, last hour {}, last day {}",
        rates.last_minute, rates.last_hour, rates.last_day
    ))?;
    output::line(&format!(
        "rolling: {:.3} a minute, {:.3} an hour, {:.3} a day",
        rolling.per_minute, rolling.per_hour, rolling.per_day
    ))?;
    if let Some(busiest) = &numbers.busiest {
        print_busiest("actor", busiest.distinct_actors, &busiest.actors)?;
        print_busiest("target", busiest.distinct_targets, &busiest.targets)?;
    }
    match &numbers.anomalies {
        Some(anomalies) => print_anomalies(anomalies),
        None => Ok(()),
    }
}

fn topic_name(topic: &Topic) -> String {
    if topic.as_str().is_empty() { "the whole log".to_owned() } else { name(&topic_text(topic)) }
}

/// The means over a minute, an hour and a day, as far as the window is as long.
fn means(metric: &Metric) -> String {
    let means = [(metric.per_minute, "a minute"), (metric.per_hour, "an hour"), (metric.per_day, "a day")];
    let means = means.into_iter().filter_map(|(mean, unit)| Some(format!("{:.3} {unit}", mean?)));
    match means.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "none, the window is shorter than a minute".to_owned(),
        means => means,
    }
}

fn print_busiest(what: &str, distinct: u64, busiest: &[Busy]) -> Result<(), BoxError> {
    output::line(&format!("{}, the busiest:", counted(distinct, what)))?;
    busiest
        .iter()
        .try_for_each(|busy| output::line(&format!("    {:<40} {}", name(busy.reference.as_str()), busy.events)))
}

fn print_anomalies(anomalies: &Anomalies) -> Result<(), BoxError> {
    let found = match anomalies.anomalies.len() {
        1 => "1 anomaly".to_owned(),
        count => format!("{count} anomalies"),
    };
    output::line(&format!("{found} in {}", counted(anomalies.slices, "slice")))?;
    anomalies.anomalies.iter().try_for_each(|anomaly| {
        let whose = anomaly.actor.as_ref().map_or("all", |actor| actor.as_str());
        output::line(&format!(
            "    {:.6} {:<32} {} where {} is usual (score {:+.1}, from {})",
            anomaly.from,
            name(whose),
            anomaly.count,
            anomaly.usual,
            anomaly.score,
            counted(anomaly.past as u64, "slice")
        ))
    })
}

#[cfg(all(test, feature = "plots"))]
mod tests {
    use std::process::ExitCode;

    use super::*;
    use crate::projections::tests::fixture::guild::*;

    #[test]
    fn a_topic_is_shown_with_the_signs_that_its_segments_have_and_none_acts() {
        assert_eq!(topic_name(&Topic::root()), "the whole log");
        assert_eq!(topic_name(&Topic::from_segments(["a", "50% \u{1b}b/c"])), "a / 50% \\u{1b}b/c");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_plot_overwrites_a_file_only_with_replace() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("log.db").display());
        let file = folder.path().join("plot.svg");
        guild().open(&url).await.unwrap().close().await;
        let plot = async |more: &[&str]| {
            let begin = ["guild", "metrics", "--store", &url, "--plot", file.to_str().unwrap()];
            let done = guild().main_with(begin.iter().chain(more).copied()).await;
            format!("{done:?}") == format!("{:?}", ExitCode::SUCCESS)
        };
        std::fs::write(&file, "a drawing").unwrap();
        assert!(!plot(&[]).await);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a drawing");
        assert!(plot(&["--replace"]).await);
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("<svg"));
        std::fs::remove_file(&file).unwrap();
        assert!(plot(&[]).await && file.exists());
        // Like an export: through a link, with the permissions of the replaced file.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let drawing = folder.path().join("drawing");
            std::fs::rename(&file, &drawing).unwrap();
            std::fs::set_permissions(&drawing, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::os::unix::fs::symlink("drawing", &file).unwrap();
            std::fs::write(&drawing, "a drawing").unwrap();
            assert!(plot(&["--replace"]).await);
            assert!(std::fs::symlink_metadata(&file).unwrap().is_symlink());
            assert!(std::fs::read_to_string(&drawing).unwrap().starts_with("<svg"));
            assert_eq!(std::fs::metadata(&drawing).unwrap().permissions().mode() & 0o7777, 0o600);
        }
    }
}
