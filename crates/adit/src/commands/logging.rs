//! The log: to standard error, so that standard output holds results only. How much and in which form can be changed while the
//! process runs.

use tracing_subscriber::layer::{Layer, Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::LogFormat;

/// What decides how much is logged.
type Filter = reload::Layer<EnvFilter, Registry>;
/// What writes lines.
type Writer = Box<dyn Layer<Layered<Filter, Registry>> + Send + Sync>;

/// Changes what is logged, and how.
pub(super) struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    writer: reload::Handle<Writer, Layered<Filter, Registry>>,
    /// `ADIT_LOG` decides how much.
    overridden: bool,
}

impl LogHandle {
    /// From now on this is the least important level that is logged. False: `ADIT_LOG` decides, not this.
    pub(super) fn set_level(&self, level: &str) -> Result<bool, String> {
        if self.overridden {
            return Ok(false);
        }
        self.filter.reload(filter(level)).map(|()| true).map_err(|error| error.to_string())
    }

    /// From now on lines have this form.
    pub(super) fn set_format(&self, format: LogFormat) -> Result<(), String> {
        self.writer.reload(writer(format)).map_err(|error| error.to_string())
    }
}

/// Begins to log.
pub(super) fn start_logging(level: &str, format: LogFormat) -> LogHandle {
    let given = EnvFilter::try_from_env("ADIT_LOG");
    let overridden = given.is_ok();
    let (layer, filter_handle) = reload::Layer::new(given.unwrap_or_else(|_| filter(level)));
    let (writer, writer_handle) = reload::Layer::new(writer(format));
    // A second call in one process (tests) keeps the first one's choice.
    let _ = tracing_subscriber::registry().with(layer).with(writer).try_init();
    LogHandle { filter: filter_handle, writer: writer_handle, overridden }
}

/// The NATS client tells of every connection and error by itself; Adit does, too, and less often.
fn filter(level: &str) -> EnvFilter {
    EnvFilter::new(format!("{level},async_nats=off"))
}

fn writer(format: LogFormat) -> Writer {
    let lines = fmt::layer()
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    }
}
