//! Buffers that outlive the step that used them.

use so8t_base::Result;
use so8t_kernels::backend::Backend;

/// A pool of scratch buffers. What is taken holds arbitrary values and may be longer than asked for.
pub struct Workspace<B: Backend> {
    free: Vec<B::Buffer>,
}

impl<B: Backend> Default for Workspace<B> {
    fn default() -> Self {
        Self { free: Vec::new() }
    }
}

impl<B: Backend> Workspace<B> {
    /// A buffer of at least `len` values: the smallest free one that is long enough and not much longer, or a new one. A new one
    /// takes the place of the free one whose length is nearest, so that neither growing nor shrinking batches leave a trail of buffers.
    pub fn take(&mut self, backend: &B, len: usize) -> Result<B::Buffer> {
        let sizes = || self.free.iter().enumerate().map(|(i, buffer)| (backend.capacity(buffer), i));
        if let Some((_, i)) = sizes().filter(|&(size, _)| size >= len && 2 * size <= 3 * len + 8192).min() {
            return Ok(self.free.swap_remove(i));
        }
        let near = sizes().filter(|&(size, _)| size <= 4 * len && len <= 2 * size);
        if let Some((_, i)) = near.min_by_key(|&(size, _)| size.abs_diff(len)) {
            self.free.swap_remove(i);
        }
        backend.allocate(len)
    }

    /// How many buffers lie in it.
    pub fn held(&self) -> usize {
        self.free.len()
    }

    /// Gives a buffer back.
    pub fn give(&mut self, buffer: B::Buffer) {
        self.free.push(buffer);
    }
}
