//! CUDA as a [`Backend`](super::backend::Backend): kernels in CUDA C, one family a file beside this one, matrix products by cuBLAS.
//!
//! [`Device`] is written against the few functions of a [`Driver`]; the feature `cuda` adds the real one, [`nvidia::Nvidia`], which
//! loads its libraries when it is opened, so that a build needs no toolkit and starts where there is no GPU. The kernels
//! are compiled for the device that is found when the first of a family is used.
//!
//! Frozen weights stay in their stored precision and are expanded to bf16 before each product, into memory that is used again;
//! activations are f32 in memory and rounded once for all products that read them. Everything runs in one stream, in order,
//! and the host waits only where it reads values. All sums have an order that depends on sizes alone.

mod attention;
mod backend;
pub mod driver;
mod memory;
#[cfg(feature = "cuda")]
pub mod nvidia;
mod optimiser;
mod products;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use memory::{Buffer, DeviceMoments, Indices, Matrix};

use super::dynamic::{SIGNED, UNSIGNED};
use driver::{Argument, Driver, Launch, Memory, bytes_of};
use memory::{Half, Halves, Scratch};
use so8t_base::Result;

/// What every kernel's source begins with.
pub const PRELUDE: &str = include_str!("prelude.cuh");

/// The kernels' sources: the name of a family, and its file.
pub const FAMILIES: &[(&str, &str)] = &[
    ("attention", include_str!("attention.cu")),
    ("attention_bf16_64", concat!("#define HEAD 64\n", include_str!("attention_bf16.cu"))),
    ("attention_bf16_96", concat!("#define HEAD 96\n", include_str!("attention_bf16.cu"))),
    ("attention_bf16_128", concat!("#define HEAD 128\n", include_str!("attention_bf16.cu"))),
    ("attention_next", include_str!("attention_next.cu")),
    ("columns", include_str!("columns.cu")),
    ("decoder", include_str!("decoder.cu")),
    ("dropout", include_str!("dropout.cu")),
    ("loss", include_str!("loss.cu")),
    ("memory", include_str!("memory.cu")),
    ("norm", include_str!("norm.cu")),
    ("optimiser", include_str!("optimiser.cu")),
    ("rope", include_str!("rope.cu")),
    ("storage", include_str!("storage.cu")),
    ("swiglu", include_str!("swiglu.cu")),
    ("table", include_str!("table.cu")),
];

/// An NVIDIA GPU.
#[cfg(feature = "cuda")]
pub type Cuda = Device<nvidia::Nvidia>;

/// A device behind a driver. Clones are the same device.
pub struct Device<D: Driver> {
    driver: Arc<D>,
    shared: Arc<Shared<D>>,
}

impl<D: Driver> Clone for Device<D> {
    fn clone(&self) -> Self {
        Self { driver: self.driver.clone(), shared: self.shared.clone() }
    }
}

/// What operations keep between them.
struct Shared<D: Driver> {
    /// Held during operations that use what is below: one at a time.
    turn: Mutex<()>,
    /// Whether a product in bf16 was asked for: then kernels write bf16 copies beside their results.
    rounds: AtomicBool,
    halves: Mutex<Halves<D>>,
    /// Expanded weights.
    weights: Mutex<Scratch<D>>,
    /// What the backward pass of attention needs of every row and head.
    deltas: Mutex<Scratch<D>>,
    tiles: Mutex<Vec<attention::Tiles<D>>>,
    /// The dynamic maps, the signed one first.
    maps: OnceLock<Memory<D>>,
}

impl<D: Driver> Device<D> {
    /// A device whose driver is open.
    pub fn new(driver: D) -> Self {
        let shared = Shared {
            turn: Mutex::new(()),
            rounds: AtomicBool::new(false),
            halves: Mutex::new(Halves::new()),
            weights: Mutex::new(Scratch::new()),
            deltas: Mutex::new(Scratch::new()),
            tiles: Mutex::new(Vec::new()),
            maps: OnceLock::new(),
        };
        Self { driver: Arc::new(driver), shared: Arc::new(shared) }
    }

    /// The driver.
    pub fn driver(&self) -> &D {
        &self.driver
    }

    fn launch(
        &self,
        family: &'static str,
        kernel: &str,
        grid: (usize, usize),
        threads: usize,
        shared: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        if grid.0 == 0 || grid.1 == 0 {
            return Ok(());
        }
        #[allow(unsafe_code, reason = "a kernel is given addresses")]
        // SAFETY: every address among the arguments came from `Memory::at`, which checked that the memory holds what the kernel
        // reads and writes; `writes` was asked for what it changes, so that nobody else has it; work is done in order, so
        // that memory is not freed before.
        unsafe {
            self.driver.launch(&Launch { family, kernel, grid, threads, shared, arguments })
        }
    }

    /// A launch over `count` elements, each thread perhaps taking several.
    fn launch_elements(&self, family: &'static str, kernel: &str, count: usize, arguments: &[Argument]) -> Result<()> {
        self.launch(family, kernel, (count.div_ceil(THREADS).min(8192), 1), THREADS, 0, arguments)
    }

    /// A launch with a block for each row.
    fn launch_rows(&self, family: &'static str, kernel: &str, rows: usize, arguments: &[Argument]) -> Result<()> {
        self.launch(family, kernel, (rows, 1), THREADS, 0, arguments)
    }

    /// A launch over the columns of each row, each thread taking `each` of them.
    fn launch_columns(
        &self,
        family: &'static str,
        kernel: &str,
        (rows, width): (usize, usize),
        each: usize,
        arguments: &[Argument],
    ) -> Result<()> {
        self.launch(family, kernel, (rows, width.div_ceil(each * THREADS)), THREADS, 0, arguments)
    }

    /// The signed and the unsigned dynamic map.
    fn maps(&self) -> Result<[Argument; 2]> {
        let memory = match self.shared.maps.get() {
            Some(memory) => memory,
            None => {
                let memory = Memory::holding(&self.driver, bytes_of([SIGNED, UNSIGNED].as_flattened()))?;
                self.shared.maps.get_or_init(|| memory)
            }
        };
        Ok([0, 1024].map(|first| Argument::Pointer(memory.at(first, 1024))))
    }

    /// Where the kernel that writes `buffer` [rows, width] puts its bf16 copy, if products will want one.
    fn half_of_result(&self, buffer: &Buffer<D>, rows: usize, width: usize) -> Result<Option<Half>> {
        match self.shared.rounds.load(Ordering::Relaxed) {
            true => Ok(Some(lock(&self.shared.halves).claim(&self.driver, buffer.stamp, rows, width)?)),
            false => Ok(None),
        }
    }

    /// The bf16 copy of `buffer` [rows, width], with at least `room` free values behind every row.
    fn half(&self, buffer: &Buffer<D>, rows: usize, width: usize, room: usize) -> Result<Half> {
        let mut halves = lock(&self.shared.halves);
        halves.make_room(room);
        if let Some(half) = halves.find(buffer.stamp, rows, width, room) {
            return Ok(half);
        }
        let half = halves.claim(&self.driver, buffer.stamp, rows, width)?;
        drop(halves);
        self.round_into(buffer, rows, width, half, 0)?;
        Ok(half)
    }

    /// Rounds `buffer` [rows, width] to the columns from `first` on of `half`.
    fn round_into(&self, buffer: &Buffer<D>, rows: usize, width: usize, half: Half, first: usize) -> Result<()> {
        let to = [Argument::Pointer(half.address), Argument::int(half.stride), Argument::int(first)];
        let arguments = [buffer.reads(rows * width), Argument::int(width), to[0], to[1], to[2]];
        self.launch_columns("memory", "narrow_rows", (rows, width), 4, &arguments)
    }
}

/// Threads of a block where nothing asks for another number.
const THREADS: usize = 256;

/// What a poisoned lock guards is whole: nothing panics between two changes that belong together.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
