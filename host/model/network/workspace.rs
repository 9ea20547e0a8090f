//! Buffers that outlive the step that used them.

use crate::Result;
use crate::kernels::backend::Backend;

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
    /// A buffer of at least `len` values: the smallest free one that is long enough, or a new one. A new one takes
    /// the place of a free one that is somewhat too short, so that growing batches do not leave a trail of buffers.
    pub fn take(&mut self, backend: &B, len: usize) -> Result<B::Buffer> {
        let sizes = || self.free.iter().enumerate().map(|(i, buffer)| (backend.capacity(buffer), i));
        if let Some((_, i)) = sizes().filter(|&(size, _)| size >= len && size <= 4 * len + 4096).min() {
            return Ok(self.free.swap_remove(i));
        }
        if let Some((size, i)) = sizes().filter(|&(size, _)| size < len).max()
            && 2 * size >= len
        {
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
