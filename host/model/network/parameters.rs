//! What a network trains: tensors, the named pieces of them that files hold, and their gradients.

use std::ops::Range;

use super::Network;
use so8t_base::{Error, Result};
use so8t_kernels::backend::{Backend, Block};

/// A trainable matrix [rows, columns], perhaps the fusion of several modules' tensors.
pub struct Parameter<B: Backend> {
    /// Its pieces' common name, for messages.
    pub name: String,
    /// Outermost dimension.
    pub rows: usize,
    /// Innermost dimension.
    pub columns: usize,
    /// The values.
    pub value: B::Buffer,
    /// Whether weight decay applies.
    pub decay: bool,
    /// What the learning rate is multiplied by.
    pub learning_rate_factor: f64,
    /// The pieces that are stored.
    pub pieces: Vec<Piece>,
    /// How much more the values are than what is stored.
    pub offset: f32,
    /// What no module trains, blocks that do not overlap: it is 0, and stays so.
    pub idle: Vec<Block>,
}

/// A tensor as a file holds it: a block of a [`Parameter`].
#[derive(Clone, Debug)]
pub struct Piece {
    /// The tensor's name in the file.
    pub name: String,
    /// Its shape in the file.
    pub shape: Vec<usize>,
    /// Where it lies in the parameter.
    pub block: Block,
}

impl Piece {
    /// Its elements among the `values` of a parameter.
    fn of<B: Backend>(&self, values: &[f32], parameter: &Parameter<B>) -> Vec<f32> {
        let Block { rows, columns: own } = &self.block;
        let (columns, offset) = (parameter.columns, parameter.offset);
        rows.clone().flat_map(|row| &values[row * columns..][own.clone()]).map(|value| value - offset).collect()
    }
}

impl<B: Backend> Parameter<B> {
    /// Elements, idle ones included.
    pub fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements of its pieces, less those that stay 0.
    pub fn trainable(&self) -> usize {
        let overlap = |a: &Range<usize>, b: &Range<usize>| a.end.min(b.end).saturating_sub(a.start.max(b.start));
        let area = |a: &Block, b: &Block| overlap(&a.rows, &b.rows) * overlap(&a.columns, &b.columns);
        let of_piece = |piece: &Piece| {
            let idle: usize = self.idle.iter().map(|idle| area(&piece.block, idle)).sum();
            area(&piece.block, &piece.block) - idle
        };
        self.pieces.iter().map(of_piece).sum()
    }
}

/// One buffer for each of a network's parameters.
pub struct PerParameter<B: Backend> {
    /// In the order of [`Network::parameters`].
    pub buffers: Vec<B::Buffer>,
}

impl<B: Backend> PerParameter<B> {
    /// Zeros.
    pub fn zeros(network: &Network<B>) -> Result<Self> {
        let allocate = |parameter: &Parameter<B>| network.backend.allocate(parameter.len());
        Ok(Self { buffers: network.parameters.iter().map(allocate).collect::<Result<_>>()? })
    }

    /// Sets all to 0.
    pub fn clear(&mut self, network: &Network<B>) -> Result<()> {
        for (buffer, parameter) in self.buffers.iter_mut().zip(&network.parameters) {
            network.backend.zero(buffer, parameter.len())?;
        }
        Ok(())
    }

    /// Sets what no module trains to 0: a fused product computes it, but nothing may move it.
    pub fn clear_idle(&mut self, network: &Network<B>) -> Result<()> {
        for (buffer, parameter) in self.buffers.iter_mut().zip(&network.parameters) {
            for block in &parameter.idle {
                network.backend.zero_block(buffer, parameter.columns, block)?;
            }
        }
        Ok(())
    }
}

/// A tensor's name, shape and elements.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

impl<B: Backend> Network<B> {
    /// What is trained; empty for a frozen network without adapters.
    pub fn parameters(&self) -> &[Parameter<B>] {
        &self.parameters
    }

    /// As [`Network::parameters`], to be changed.
    pub fn parameters_mut(&mut self) -> &mut [Parameter<B>] {
        self.known.forget();
        &mut self.parameters
    }

    /// Changes the values of one parameter on the device.
    pub fn update(&mut self, index: usize, change: impl FnOnce(&B, &mut B::Buffer) -> Result<()>) -> Result<()> {
        self.known.forget();
        change(&self.backend, &mut self.parameters[index].value)
    }

    /// Elements that training changes.
    pub fn trainable_count(&self) -> u64 {
        self.parameters.iter().map(|parameter| parameter.trainable() as u64).sum()
    }

    /// Reads every stored piece: its name, shape and elements.
    pub fn read_pieces(&self) -> Result<Vec<NamedTensor>> {
        let mut out = Vec::new();
        for parameter in &self.parameters {
            let values = self.backend.read(&parameter.value, parameter.len())?;
            for piece in &parameter.pieces {
                out.push((piece.name.clone(), piece.shape.clone(), piece.of(&values, parameter)));
            }
        }
        Ok(out)
    }

    /// The stored piece of a name, and its parameter.
    pub fn find_piece(&self, name: &str) -> Option<(&Parameter<B>, &Piece)> {
        let in_parameter = |parameter: &Parameter<B>| parameter.pieces.iter().position(|piece| piece.name == name);
        let (parameter, at) = self.parameters.iter().find_map(|own| Some((own, in_parameter(own)?)))?;
        Some((parameter, &parameter.pieces[at]))
    }

    /// The elements of one stored piece of one of the network's parameters.
    pub fn read_piece(&self, parameter: &Parameter<B>, piece: &Piece) -> Result<Vec<f32>> {
        Ok(piece.of(&self.backend.read(&parameter.value, parameter.len())?, parameter))
    }

    /// Writes every stored piece with what `load(name, shape)` returns: as many elements as the shape has.
    pub fn write_pieces(&mut self, mut load: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>) -> Result<()> {
        self.known.forget();
        for parameter in &mut self.parameters {
            let mut values = vec![0.0; parameter.rows * parameter.columns];
            for piece in &parameter.pieces {
                let elements = load(&piece.name, &piece.shape)?;
                let width = piece.block.columns.len();
                if elements.len() != piece.block.rows.len() * width {
                    let (name, shape, found) = (&piece.name, &piece.shape, elements.len());
                    return Err(Error::model(format!("tensor `{name}`: expected {shape:?}, found {found} elements")));
                }
                for (row, elements) in piece.block.rows.clone().zip(elements.chunks_exact(width)) {
                    let at = row * parameter.columns + piece.block.columns.start;
                    values[at..at + width].copy_from_slice(elements);
                    values[at..at + width].iter_mut().for_each(|value| *value += parameter.offset);
                }
            }
            self.backend.write(&values, &mut parameter.value)?;
        }
        Ok(())
    }
}
