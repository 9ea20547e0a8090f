//! Launches of the optimiser's kernels: the squares of gradients, and the steps of AdamW.

use super::driver::{Argument, Driver, Memory, bytes_of_mut};
use super::{Buffer, Device, DeviceMoments};
use crate::moments::BLOCK;
use crate::optimiser::AdamW;
use so8t_base::Result;

/// Partial sums of one tensor's squares.
const SUMS: usize = 64;

impl<D: Driver> Device<D> {
    /// The sum of each buffer's squares.
    pub(super) fn squares(&self, buffers: &[(&Buffer<D>, usize)]) -> Result<Vec<f64>> {
        let bytes = 8 * SUMS * buffers.len();
        let sums = Memory::allocate(&self.driver, bytes)?;
        for (index, (buffer, len)) in buffers.iter().enumerate() {
            let to = Argument::Pointer(sums.at(8 * SUMS * index, 8 * SUMS));
            let arguments = [buffer.reads(*len), Argument::long(*len), to];
            self.launch_rows("optimiser", "sum_of_squares", SUMS, &arguments)?;
        }
        let mut values = vec![0f64; SUMS * buffers.len()];
        sums.read(0, bytes_of_mut(&mut values))?;
        Ok(values.chunks_exact(SUMS).map(|sums| sums.iter().sum()).collect())
    }

    /// One step over the first `len` values.
    pub(super) fn step(
        &self,
        step: &AdamW,
        values: &mut Buffer<D>,
        gradient: &Buffer<D>,
        moments: &mut DeviceMoments<D>,
        len: usize,
    ) -> Result<()> {
        let c = step.constants();
        let constants = [c.keep, c.beta1, c.beta2, c.epsilon, c.gradient_scale, c.size, c.root].map(Argument::Float);
        let tensors = [values.writes(len), gradient.reads(len)];
        let floats = |memory: &Memory<D>, len: usize| Argument::Pointer(memory.at(0, 4 * len));
        match moments {
            DeviceMoments::F32 { moments: [first, second], .. } => {
                let moments = [floats(first, len), floats(second, len), Argument::long(len)];
                let arguments = [&tensors[..], &moments[..], &constants[..]].concat();
                self.launch_elements("optimiser", "adamw", len, &arguments)
            }
            DeviceMoments::Eight { first, second, .. } => {
                let (blocks, maps) = (len.div_ceil(BLOCK), self.maps()?);
                let moments = [first, second]
                    .map(|[codes, scales]| [Argument::Pointer(codes.at(0, len)), floats(scales, blocks)]);
                let arguments =
                    [&tensors[..], moments.as_flattened(), &maps[..], &[Argument::long(len)], &constants[..]].concat();
                self.launch("optimiser", "adamw_8bit", (blocks, 1), BLOCK, 0, &arguments)
            }
        }
    }
}
