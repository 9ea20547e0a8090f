//! Rotation gates as files beside PEFT's, which PEFT passes over: `so8_gate.safetensors` and `so8_gate.json`.

use std::path::Path;

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use super::peft::read_tensor;
use super::pieces::write_pieces;
use so8t_base::{Error, Result, files};
use so8t_kernels::backend::Backend;
use so8t_kernels::so8::SIDE;
use so8t_model::network::{GateSettings, Network, is_gate};
use so8t_model::{ModelConfig, Precision};

/// The file of tensors: `θ` [blocks, 8, 8] of every layer that has a gate.
pub const TENSORS: &str = "so8_gate.safetensors";
/// The file of settings.
pub const SETTINGS: &str = "so8_gate.json";

const FORMAT: &str = "so8t.so8_gate/1";

/// What the file of settings holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: String,
    #[serde(flatten)]
    gates: GateSettings,
}

/// Gates read from files, held against a model.
pub struct Gates {
    /// Which, and of what kind.
    pub settings: GateSettings,
    /// `θ` of each of the settings' layers.
    pub theta: Vec<Vec<f32>>,
}

/// Writes the network's gates; without any, removes those that lie in the folder.
///
/// Errors: a gate that is not finite.
pub fn save<B: Backend>(network: &Network<B>, folder: &Path) -> Result<()> {
    let (path, settings_path) = (folder.join(TENSORS), folder.join(SETTINGS));
    let Some(gates) = network.gates().cloned() else {
        for path in [settings_path, path].iter().filter(|path| path.exists()) {
            std::fs::remove_file(path).map_err(|e| Error::io("remove", path, &e))?;
        }
        return Ok(());
    };
    write_pieces(network, &path, FORMAT, Precision::F32, "gates", is_gate)?;
    files::write(&settings_path, &files::json(&Stored { format: FORMAT.to_string(), gates })?)
}

/// Reads the gates of an adapter's folder; `None` where it holds none.
///
/// Errors: one of the two files without the other; settings of another format, or that do not fit the model; a tensor that is
/// missing, has another shape or type, holds a number that is not finite, or that no layer takes.
pub fn read(folder: &Path, config: &ModelConfig) -> Result<Option<Gates>> {
    let (path, settings_path) = (folder.join(TENSORS), folder.join(SETTINGS));
    if !path.exists() && !settings_path.exists() {
        return Ok(None);
    }
    let named = |e: Error| e.context(format!("`{}`", settings_path.display()));
    let stored: Stored = serde_json::from_str(&files::read_text(&settings_path)?)
        .map_err(|e| named(Error::model(format!("not the settings of rotation gates: {e}"))))?;
    if stored.format != FORMAT {
        let found = stored.format;
        return Err(named(Error::model(format!("field `format`: expected `{FORMAT}`, found `{found}`"))));
    }
    let settings = stored.gates;
    settings.check(config).map_err(named)?;

    let bytes = files::read(&path)?;
    let named = |e: Error| e.context(format!("`{}`", path.display()));
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| named(Error::model(e.to_string())))?;
    let names: Vec<String> = settings.layers.iter().map(|&layer| GateSettings::name(layer)).collect();
    if let Some(name) = tensors.names().into_iter().find(|name| !names.iter().any(|known| known == name)) {
        return Err(named(Error::model(format!("no gate of `{SETTINGS}` takes the tensor `{name}`"))));
    }
    let shape = [settings.blocks(config), SIDE, SIDE];
    let theta = names.iter().map(|name| read_tensor(&tensors, name, &shape)).collect::<Result<_>>().map_err(named)?;
    Ok(Some(Gates { settings, theta }))
}

/// Puts the gates of an adapter's folder, if it holds any, on a network that has none.
///
/// Errors: see [`read`].
pub fn load<B: Backend>(network: &mut Network<B>, folder: &Path) -> Result<()> {
    let Some(Gates { settings, theta }) = read(folder, network.config())? else { return Ok(()) };
    let mut theta = theta.into_iter();
    network.attach_gates(settings, 1.0, |_, _| theta.next().ok_or_else(|| Error::internal("a gate without values")))
}
