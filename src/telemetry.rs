//! Log lines and metrics.
//!
//! Never here: secrets. Log lines are JSON objects on stderr; foreign crates are capped at `info`
//! whatever the environment says, because some print whole requests below that. Entry points:
//! [`init`], [`Metrics`].

use std::{io::IsTerminal, sync::OnceLock};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Upper bounds of latency histograms, in seconds.
const SECONDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// Starts the log. `directives` is what `ROLEGATE_LOG` says, such as `debug` or
/// `rolegate::web=trace`; `info` where that is nothing sensible.
pub fn init(directives: &str) {
    let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = if std::io::stderr().is_terminal() {
        fmt::layer().with_writer(std::io::stderr).boxed()
    } else {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(std::io::stderr)
            .boxed()
    };
    // A second call, as in tests, leaves the first in place.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_filter(filter_fn(is_spoken)))
        .try_init();
}

fn is_spoken(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= most_detailed(metadata.target())
}

/// Ours at any level, others at `info` and above. At `error` alone: ldap3, whose warnings print
/// parts of directory entries, and the AWS SDK, whose warnings print whole answers of credential
/// sources, in which keys can stand; our own lines tell what matters of both.
fn most_detailed(target: &str) -> Level {
    match target.split("::").next().unwrap_or_default() {
        "rolegate" => Level::TRACE,
        "ldap3" => Level::ERROR,
        name if name.starts_with("aws_") => Level::ERROR,
        _ => Level::INFO,
    }
}

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// The process's registry, installed on the first call.
    pub fn install() -> Self {
        static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
        let handle = HANDLE.get_or_init(|| {
            let builder = PrometheusBuilder::new();
            let builder = builder
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                .unwrap_or_else(|_| PrometheusBuilder::new());
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            // Only fails when something else installed one; then ours stays empty.
            let _ = metrics::set_global_recorder(recorder);
            handle
        });
        Self(handle.clone())
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_print_answers_are_heard_at_error_alone() {
        for (target, most) in [
            ("rolegate::web::serve", Level::TRACE),
            ("ldap3::conn", Level::ERROR),
            ("aws_config::meta::credentials::chain", Level::ERROR),
            ("aws_smithy_runtime::client", Level::ERROR),
            ("hyper_util::client", Level::INFO),
            ("rolegated::evil", Level::INFO),
        ] {
            assert_eq!(most_detailed(target), most, "{target}");
        }
    }
}
