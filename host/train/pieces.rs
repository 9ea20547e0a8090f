//! What a network trains as a safetensors file: the named pieces of its parameters.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use so8t_base::{Error, Result, files};
use so8t_kernels::backend::Backend;
use so8t_model::network::{Network, Parameter, Piece};
use so8t_model::{Precision, header};

/// Writes the pieces whose names are `chosen`, sorted by name, under a `format` that the file's metadata name; one piece at a time is in memory.
///
/// Errors: a number that is not finite (`what` says of which kind of tensors it is one), or that the precision cannot hold.
pub(super) fn write_pieces<B: Backend>(
    network: &Network<B>,
    path: &Path,
    format: &str,
    precision: Precision,
    what: &str,
    chosen: impl Fn(&str) -> bool,
) -> Result<()> {
    let is_chosen = |parameter: &&Parameter<B>| parameter.pieces.iter().any(|piece| chosen(&piece.name));
    if let Some(name) = not_finite(network, is_chosen)? {
        return Err(Error::train(format!(
            "tensor `{name}` holds a number that is not finite; {what} that are not finite are not saved"
        )));
    }
    let all = network.parameters().iter().flat_map(|parameter| parameter.pieces.iter().map(move |p| (parameter, p)));
    let mut pieces: Vec<(&Parameter<B>, &Piece)> = all.filter(|(_, piece)| chosen(&piece.name)).collect();
    pieces.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    let entries: Vec<_> = pieces.iter().map(|(_, piece)| precision.entry(&piece.name, &piece.shape)).collect();
    files::write_with(path, |file| {
        file.write_all(&header(json!({ "format": format }), &entries))?;
        pieces.iter().try_for_each(|(parameter, piece)| {
            let values = network.read_piece(parameter, piece).map_err(io::Error::other)?;
            precision.write(&values, |bytes| file.write_all(bytes))
        })
    })
}

/// The name of a parameter, among those that are `chosen`, which holds a number that is not finite.
pub(super) fn not_finite<B: Backend>(
    network: &Network<B>,
    chosen: impl Fn(&&Parameter<B>) -> bool,
) -> Result<Option<&str>> {
    let parameters: Vec<_> = network.parameters().iter().filter(chosen).collect();
    let values: Vec<_> = parameters.iter().map(|parameter| (&parameter.value, parameter.len())).collect();
    let sums = network.backend().sums_of_squares(&values)?;
    let found = parameters.iter().zip(sums).find(|(_, sum)| !sum.is_finite());
    Ok(found.map(|(parameter, _)| parameter.name.as_str()))
}
