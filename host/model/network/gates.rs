//! Rotation gates at the output projections of attention: what goes into one, or comes out of it, is turned in blocks of eight
//! by rotations that are trained ([`so8`]).

use serde::{Deserialize, Serialize};

use super::Network;
use super::layer::Layer;
use super::linear::Forward;
use super::packed::Dropout;
use super::parameters::{Parameter, PerParameter, Piece};
use super::workspace::Workspace;
use crate::ModelConfig;
use so8t_base::{Error, Result};
use so8t_kernels::backend::{Backend, Block};
use so8t_kernels::rope::Turn;
use so8t_kernels::so8::{self, Map, SIDE};

/// On which side of a layer's output projection its gate stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Placement {
    /// What attention returns is turned: as wide as all query heads.
    #[default]
    #[serde(rename = "before-o_proj")]
    Before,
    /// What the projection returns is turned, before it is added to the residual stream: as wide as that.
    #[serde(rename = "after-o_proj")]
    After,
}

/// What gates a network carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSettings {
    /// The layers that have one, from 0, ascending.
    pub layers: Vec<usize>,
    /// Where it stands.
    pub placement: Placement,
    /// How its parameters become rotations.
    pub map: Map,
}

impl GateSettings {
    /// Blocks of eight of a layer's gate.
    pub fn blocks(&self, config: &ModelConfig) -> usize {
        self.width(config) / SIDE
    }

    fn width(&self, config: &ModelConfig) -> usize {
        match self.placement {
            Placement::Before => config.heads * config.head_dim,
            Placement::After => config.hidden_size,
        }
    }

    /// Holds the settings against a model.
    ///
    /// Errors: no layer, one that the model has not, layers that do not ascend; a width that is no multiple of 8.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        let wrong = |what: String| Err(Error::model(format!("rotation gates: {what}")));
        if self.layers.is_empty() || !self.layers.is_sorted_by(|a, b| a < b) {
            return wrong(format!("expected ascending numbers of layers, found `{:?}`", self.layers));
        }
        if let Some(layer) = self.layers.iter().find(|&&layer| layer >= config.layers) {
            return wrong(format!("expected layers below {}, found `{layer}`", config.layers));
        }
        match self.width(config) {
            width if width.is_multiple_of(SIDE) => Ok(()),
            width => wrong(format!("expected a width that is a multiple of {SIDE}, found `{width}`")),
        }
    }

    /// The name of a layer's parameter in a file.
    pub fn name(layer: usize) -> String {
        format!("model.layers.{layer}{GATE}")
    }
}

const GATE: &str = ".self_attn.so8_gate.theta";

/// Whether a stored tensor is a gate's, and not a low-rank adapter's.
pub fn is_gate(name: &str) -> bool {
    name.ends_with(GATE)
}

/// The gate of a layer.
pub(super) struct Gate {
    /// Where `θ` [blocks, 64] lies among the network's parameters.
    theta: usize,
    placement: Placement,
    map: Map,
    blocks: usize,
}

/// What the backward pass of a gate needs of its forward pass.
pub(super) struct Turned<B: Backend> {
    rotations: B::Buffer,
    /// What was turned, where that is the projection's output.
    projected: Option<B::Buffer>,
}

/// What a projection's forward pass leaves for its backward pass: that of the linear, and that of the gate.
pub(super) type Projected<B> = (Option<<B as Backend>::Buffer>, Option<Turned<B>>);

impl<B: Backend> Turned<B> {
    pub(super) fn give(self, workspace: &mut Workspace<B>) {
        workspace.give(self.rotations);
        self.projected.into_iter().for_each(|buffer| workspace.give(buffer));
    }
}

impl<B: Backend> Network<B> {
    /// The gates that the network carries.
    pub fn gates(&self) -> Option<&GateSettings> {
        self.gates.as_ref()
    }

    /// Puts gates on the layers that `settings` name; `load(name, shape)` gives each one's `θ` [blocks, 8, 8], all 0 for one
    /// that changes nothing. They learn with `learning_rate_factor` times the learning rate. [`Network::detach`] takes them
    /// off, together with the low-rank adapters, which are attached before them.
    ///
    /// Errors: settings that do not fit the model; gates that are there already; a network whose own weights are trained; what `load`
    /// returns. The network is unchanged then.
    pub fn attach_gates(
        &mut self,
        settings: GateSettings,
        learning_rate_factor: f64,
        mut load: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<()> {
        self.known.forget();
        settings.check(&self.config)?;
        if self.options.trainable || self.gates.is_some() {
            return Err(Error::train("rotation gates need a frozen base without gates"));
        }
        let (blocks, columns) = (settings.blocks(&self.config), so8::BLOCK);
        let mut parameters = Vec::with_capacity(settings.layers.len());
        for &layer in &settings.layers {
            let (name, shape) = (GateSettings::name(layer), vec![blocks, SIDE, SIDE]);
            let values = load(&name, &shape)?;
            if values.len() != blocks * columns {
                let found = values.len();
                return Err(Error::model(format!("tensor `{name}`: expected {shape:?}, found {found} elements")));
            }
            let mut value = self.backend.allocate(values.len())?;
            self.backend.write(&values, &mut value)?;
            let piece = Piece { name: name.clone(), shape, block: Block { rows: 0..blocks, columns: 0..columns } };
            parameters.push(Parameter {
                name,
                rows: blocks,
                columns,
                value,
                decay: true,
                learning_rate_factor,
                pieces: vec![piece],
                offset: 0.0,
                idle: Vec::new(),
            });
        }
        for (&layer, parameter) in settings.layers.iter().zip(parameters) {
            let theta = self.parameters.len();
            self.parameters.push(parameter);
            let GateSettings { placement, map, .. } = settings;
            self.layers[layer].gate = Some(Gate { theta, placement, map, blocks });
        }
        self.gates = Some(settings);
        Ok(())
    }

    /// `out += O·attended`, turned where the layer has a gate. Returns what [`Network::linear_forward`] returns, and with `keep`
    /// what the gate's backward pass needs.
    pub(super) fn output_forward(
        &self,
        layer: &Layer<B>,
        attended: &B::Buffer,
        out: &mut B::Buffer,
        forward: &Forward,
        keep: bool,
        workspace: &mut Workspace<B>,
    ) -> Result<Projected<B>> {
        let (backend, rows, linear) = (&self.backend, forward.rows, &layer.output);
        let add = Forward { accumulate: true, ..*forward };
        let Some(gate) = &layer.gate else {
            return Ok((self.linear_forward(linear, attended, out, &add, workspace)?, None));
        };
        let width = gate.blocks * SIDE;
        let mut rotations = workspace.take(backend, gate.blocks * so8::BLOCK)?;
        backend.rotations(&self.parameters[gate.theta].value, gate.blocks, gate.map, &mut rotations)?;
        let mut side = workspace.take(backend, rows * width)?;
        let (reduced, projected) = match gate.placement {
            Placement::Before => {
                backend.rotate(attended, &rotations, rows, width, Turn::Forward, false, &mut side)?;
                let reduced = self.linear_forward(linear, &side, out, &add, workspace)?;
                workspace.give(side);
                (reduced, None)
            }
            Placement::After => {
                let set = Forward { accumulate: false, ..*forward };
                let reduced = self.linear_forward(linear, attended, &mut side, &set, workspace)?;
                backend.rotate(&side, &rotations, rows, width, Turn::Forward, true, out)?;
                (reduced, Some(side))
            }
        };
        let turned = Turned { rotations, projected };
        if keep {
            return Ok((reduced, Some(turned)));
        }
        turned.give(workspace);
        Ok((reduced, None))
    }

    /// From the gradient of what [`Network::output_forward`] added: writes that of `attended` to `dx`, and adds to the gradients
    /// of what is trainable.
    #[allow(clippy::too_many_arguments, reason = "a linear and its gate, their forward values and their gradients")]
    pub(super) fn output_backward(
        &self,
        layer: &Layer<B>,
        gradient: &B::Buffer,
        attended: &B::Buffer,
        reduced: Option<&B::Buffer>,
        turned: Option<Turned<B>>,
        rows: usize,
        dropout: Option<Dropout>,
        gradients: &mut PerParameter<B>,
        dx: &mut B::Buffer,
        workspace: &mut Workspace<B>,
    ) -> Result<()> {
        let (backend, linear) = (&self.backend, &layer.output);
        let (Some(gate), Some(turned)) = (&layer.gate, turned) else {
            return self.linear_backward(
                linear,
                gradient,
                attended,
                reduced,
                rows,
                dropout,
                gradients,
                Some(dx),
                workspace,
            );
        };
        let width = gate.blocks * SIDE;
        let rotations = &turned.rotations;
        let mut side_gradient = workspace.take(backend, rows * width)?;
        let mut of_rotations = workspace.take(backend, gate.blocks * so8::BLOCK)?;
        match &turned.projected {
            None => {
                // Computed again, being cheap.
                let mut x = workspace.take(backend, rows * width)?;
                backend.rotate(attended, rotations, rows, width, Turn::Forward, false, &mut x)?;
                let side = Some(&mut side_gradient);
                self.linear_backward(linear, gradient, &x, reduced, rows, dropout, gradients, side, workspace)?;
                workspace.give(x);
                backend.rotate(&side_gradient, rotations, rows, width, Turn::Backward, false, dx)?;
                backend.rotate_gradient(attended, &side_gradient, rows, width, &mut of_rotations)?;
            }
            Some(projected) => {
                backend.rotate(gradient, rotations, rows, width, Turn::Backward, false, &mut side_gradient)?;
                let (dy, dx) = (&side_gradient, Some(dx));
                self.linear_backward(linear, dy, attended, reduced, rows, dropout, gradients, dx, workspace)?;
                backend.rotate_gradient(projected, gradient, rows, width, &mut of_rotations)?;
            }
        }
        let theta = &self.parameters[gate.theta].value;
        let into = &mut gradients.buffers[gate.theta];
        backend.rotations_backward(theta, &of_rotations, gate.blocks, gate.map, into)?;
        workspace.give(side_gradient);
        workspace.give(of_rotations);
        turned.give(workspace);
        Ok(())
    }
}
