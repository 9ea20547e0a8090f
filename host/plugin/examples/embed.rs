//! Runs a metric plugin from another program, without the model and the trainer: `cargo run --release -p so8t-plugin --example embed`.

use so8t_plugin::evaluate::{Measure, MetricBatch};
use so8t_plugin::{ComponentSource, Host, PluginSpec, default_cache_folder};

fn main() -> so8t_plugin::Result<()> {
    let host = Host::new(default_cache_folder().as_deref())?.with_log(|line| eprintln!("{line}"));
    // A path works as well: `ComponentSource::Path("my-metric.wasm".into())`.
    let spec = PluginSpec::new("quality", ComponentSource::Builtin("classification".into()));
    let plugin = host.load(&spec)?;
    println!("{} {}, sha256 {}", plugin.metadata().name, plugin.version(), plugin.digest());

    let labels = ["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(String::from);
    let mut measurement = plugin.open_metric(&labels)?;
    let rows = MetricBatch { gold: vec![0, 0, 1, 2, 3, 3], predicted: vec![0, 2, 1, 2, 0, 3], ..Default::default() };
    measurement.update(&rows)?;
    for value in measurement.finalize()? {
        match value.value {
            Some(number) => println!("{} = {number:.3} over {} rows", value.name, value.support),
            None => println!("{} is not defined", value.name),
        }
    }
    Ok(())
}
