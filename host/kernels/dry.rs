//! A device that only counts: what a network would hold and multiply on a real one, found by running the very code that would.
//! Nothing is allocated but the counters, and no number is computed.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::attention;
use super::backend::{Backend, Block, Operand, Product, RowNorms, Storage};
use super::dropout::Mask;
use super::geglu::Gelu;
use super::gemm::Compute;
use super::moments::{self, MomentStorage, Moments};
use super::nf4;
use super::optimiser::AdamW;
use super::part_norm::Parts;
use super::quantise::{Step, blocks};
use super::rope::{Heads, Turn};
use super::so8::Map;
use so8t_base::Result;

/// What was counted.
#[derive(Debug, Default)]
struct Counters {
    held: AtomicU64,
    most: AtomicU64,
    operations: AtomicU64,
    weights_read: AtomicU64,
}

impl Counters {
    fn add(&self, bytes: u64) {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.most.fetch_max(held, Ordering::Relaxed);
    }

    fn multiply(&self, operations: u64) {
        self.operations.fetch_add(operations, Ordering::Relaxed);
    }
}

/// The counting device. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Dry {
    counters: Arc<Counters>,
    /// Whether embedding and head are known to lose nothing in int8.
    exact_tables: bool,
}

/// Bytes that count as held until this is dropped.
#[derive(Debug)]
pub struct Held {
    counters: Arc<Counters>,
    bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counters.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Dry {
    /// A fresh device. `exact_tables` says whether embedding and head lose nothing in int8, as those of files in blocks of at most
    /// 8 bits do.
    pub fn new(exact_tables: bool) -> Self {
        Self { exact_tables, ..Self::default() }
    }

    /// Bytes that are held now.
    pub fn held(&self) -> u64 {
        self.counters.held.load(Ordering::Relaxed)
    }

    /// The most bytes that were held at a time since [`Dry::forget`].
    pub fn most(&self) -> u64 {
        self.counters.most.load(Ordering::Relaxed)
    }

    /// Multiplications and additions of products and attention since [`Dry::forget`].
    pub fn operations(&self) -> u64 {
        self.counters.operations.load(Ordering::Relaxed)
    }

    /// Bytes of frozen weights that products read since [`Dry::forget`].
    pub fn weights_read(&self) -> u64 {
        self.counters.weights_read.load(Ordering::Relaxed)
    }

    /// Counts from here on; what is held stays so.
    pub fn forget(&self) {
        self.counters.most.store(self.held(), Ordering::Relaxed);
        self.counters.operations.store(0, Ordering::Relaxed);
        self.counters.weights_read.store(0, Ordering::Relaxed);
    }

    /// Counts bytes that something else than a buffer takes.
    pub fn hold(&self, bytes: u64) -> Held {
        self.counters.add(bytes);
        Held { counters: Arc::clone(&self.counters), bytes }
    }

    fn product(&self, weight: Operand<'_, Self>, shape: Product) -> Result<()> {
        let Product { m, n, k } = shape;
        self.counters.multiply(2 * m as u64 * n as u64 * k as u64);
        if let Operand::Matrix(matrix) = weight {
            self.counters.weights_read.fetch_add(matrix.bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    /// `factor` products of queries and keys over all pairs of a token and one that it sees.
    fn attend(&self, starts: &[usize], heads: &attention::Heads, factor: u64) {
        for bounds in starts.windows(2) {
            let length = (bounds[1] - bounds[0]) as u64;
            let window = heads.window.map_or(length, |window| length.min(window as u64));
            let pairs = window * (window + 1) / 2 + (length - window) * window;
            self.counters.multiply(factor * 2 * pairs * heads.query_width() as u64);
        }
    }
}

/// The bytes of a frozen weight [n, k].
pub fn matrix_bytes(n: usize, k: usize, storage: Storage) -> u64 {
    let values = n as u64 * k as u64;
    match storage {
        Storage::F32 => 4 * values,
        Storage::Bf16 | Storage::F16 => 2 * values,
        Storage::Int8 => values + (n * blocks(k) * size_of::<Step>()) as u64,
        Storage::Nf4 => nf4::bytes(n * k) as u64,
    }
}

impl Backend for Dry {
    type Buffer = Held;
    type Indices = Held;
    type Matrix = Held;
    type Moments = Held;

    fn reads_weights(&self) -> bool {
        false
    }

    fn is_lossless(&self, _values: &[f32], _columns: usize) -> bool {
        self.exact_tables
    }

    fn allocate(&self, len: usize) -> Result<Held> {
        Ok(self.hold(4 * len as u64))
    }

    fn capacity(&self, buffer: &Held) -> usize {
        (buffer.bytes / 4) as usize
    }

    fn write(&self, _values: &[f32], _out: &mut Held) -> Result<()> {
        Ok(())
    }

    fn read(&self, _buffer: &Held, len: usize) -> Result<Vec<f32>> {
        Ok(vec![0.0; len])
    }

    fn indices(&self, values: &[u32]) -> Result<Held> {
        Ok(self.hold(4 * values.len() as u64))
    }

    fn matrix(&self, _values: Vec<f32>, n: usize, k: usize, storage: Storage) -> Result<Held> {
        let values = self.hold(matrix_bytes(n, k, Storage::F32));
        // Values in f32 are kept as they came; in another storage they are there until they are stored.
        Ok(if storage == Storage::F32 { values } else { self.hold(matrix_bytes(n, k, storage)) })
    }

    fn copy(&self, _source: &Held, _out: &mut Held, _len: usize) -> Result<()> {
        Ok(())
    }

    fn copy_to(&self, _source: &Held, _len: usize, _out: &mut Held, _at: usize) -> Result<()> {
        Ok(())
    }

    fn zero(&self, _out: &mut Held, _len: usize) -> Result<()> {
        Ok(())
    }

    fn zero_block(&self, _out: &mut Held, _width: usize, _block: &Block) -> Result<()> {
        Ok(())
    }

    fn scale(&self, _out: &mut Held, _len: usize, _factor: f32) -> Result<()> {
        Ok(())
    }

    fn add(&self, _source: &Held, _out: &mut Held, _len: usize) -> Result<()> {
        Ok(())
    }

    fn scale_columns(&self, _values: &mut Held, _factors: &Held, _rows: usize, _width: usize) -> Result<()> {
        Ok(())
    }

    fn add_column_dots(
        &self,
        _a: &Held,
        _b: &Held,
        _factors: &Held,
        _rows: usize,
        _width: usize,
        _out: &mut Held,
    ) -> Result<()> {
        Ok(())
    }

    fn add_row_squares(&self, _w: Operand<'_, Self>, _n: usize, _k: usize, _out: &mut Held) -> Result<()> {
        Ok(())
    }

    fn row_scales(
        &self,
        _norms: RowNorms<'_, Held>,
        _n: usize,
        _width: usize,
        _scale: &mut Held,
        _inverse: &mut Held,
    ) -> Result<()> {
        Ok(())
    }

    fn sums_of_squares(&self, buffers: &[(&Held, usize)]) -> Result<Vec<f64>> {
        Ok(vec![0.0; buffers.len()])
    }

    fn product_nt(
        &self,
        _x: &Held,
        w: Operand<'_, Self>,
        _out: &mut Held,
        shape: Product,
        _accumulate: bool,
        _compute: Compute,
    ) -> Result<()> {
        self.product(w, shape)
    }

    fn product_nn(
        &self,
        _dy: &Held,
        w: Operand<'_, Self>,
        _dx: &mut Held,
        shape: Product,
        _accumulate: bool,
        _compute: Compute,
    ) -> Result<()> {
        self.product(w, shape)
    }

    fn product_tn(&self, _dy: &Held, x: &Held, _dw: &mut Held, shape: Product, _compute: Compute) -> Result<()> {
        self.product(Operand::Buffer(x), shape)
    }

    fn gather(
        &self,
        _table: Operand<'_, Self>,
        _indices: &Held,
        _count: usize,
        _width: usize,
        _out: &mut Held,
    ) -> Result<()> {
        Ok(())
    }

    fn scatter_add(&self, _rows: &Held, _indices: &Held, _count: usize, _width: usize, _out: &mut Held) -> Result<()> {
        Ok(())
    }

    fn rms_norm(
        &self,
        _x: &Held,
        _weight: &Held,
        _rows: usize,
        _width: usize,
        _epsilon: f32,
        _out: &mut Held,
        _inverse: &mut Held,
    ) -> Result<()> {
        Ok(())
    }

    fn rms_norm_backward(
        &self,
        _gradient: &Held,
        _x: &Held,
        _weight: &Held,
        _inverse: &Held,
        _rows: usize,
        _width: usize,
        _out: &mut Held,
        _weight_out: Option<&mut Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn part_norm(
        &self,
        _x: &Held,
        _weight: &Held,
        _rows: usize,
        _parts: Parts,
        _epsilon: f32,
        _out: &mut Held,
        _inverse: &mut Held,
    ) -> Result<()> {
        Ok(())
    }

    fn part_norm_backward(
        &self,
        _x: &Held,
        _weight: &Held,
        _inverse: &Held,
        _rows: usize,
        _parts: Parts,
        _gradient: &mut Held,
        _weight_out: Option<&mut Held>,
    ) -> Result<()> {
        Ok(())
    }

    fn geglu(&self, _gate_up: &Held, _rows: usize, _width: usize, _gelu: Gelu, _out: &mut Held) -> Result<()> {
        Ok(())
    }

    fn geglu_backward(
        &self,
        _gradient: &Held,
        _rows: usize,
        _width: usize,
        _gelu: Gelu,
        _gate_up: &mut Held,
    ) -> Result<()> {
        Ok(())
    }

    fn soft_cap(&self, _values: &mut Held, _len: usize, _cap: f32) -> Result<()> {
        Ok(())
    }

    fn soft_cap_backward(&self, _capped: &Held, _len: usize, _cap: f32, _gradient: &mut Held) -> Result<()> {
        Ok(())
    }

    fn rope(
        &self,
        _values: &mut Held,
        _positions: &Held,
        _cos: &Held,
        _sin: &Held,
        _rows: usize,
        _shape: Heads,
        _turn: Turn,
    ) -> Result<()> {
        Ok(())
    }

    fn attention(
        &self,
        _fused: &Held,
        starts: &[usize],
        shape: attention::Heads,
        _out: &mut Held,
        _lse: &mut Held,
    ) -> Result<()> {
        self.attend(starts, &shape, 2);
        Ok(())
    }

    fn attention_backward(
        &self,
        _fused: &Held,
        _out: &Held,
        _lse: &Held,
        _gradient: &Held,
        starts: &[usize],
        shape: attention::Heads,
        _fused_gradient: &mut Held,
    ) -> Result<()> {
        self.attend(starts, &shape, 5);
        Ok(())
    }

    fn keep(
        &self,
        _fused: &Held,
        _places: &Held,
        _rows: usize,
        _shape: attention::Heads,
        _kept: &mut Held,
    ) -> Result<()> {
        Ok(())
    }

    fn attention_next(
        &self,
        _fused: &Held,
        _kept: &Held,
        sequences: &[Range<usize>],
        shape: attention::Heads,
        _out: &mut Held,
    ) -> Result<()> {
        let rows: usize = sequences.iter().map(Range::len).sum();
        self.counters.multiply(4 * (rows * shape.query_width()) as u64);
        Ok(())
    }

    fn swiglu(&self, _gate_up: &Held, _rows: usize, _width: usize, _out: &mut Held) -> Result<()> {
        Ok(())
    }

    fn swiglu_backward(&self, _gradient: &Held, _rows: usize, _width: usize, _gate_up: &mut Held) -> Result<()> {
        Ok(())
    }

    fn dropout(&self, _x: &Held, _mask: Mask, _rows: usize, _width: usize, _out: &mut Held, _add: bool) -> Result<()> {
        Ok(())
    }

    fn cross_entropy(
        &self,
        _logits: &mut Held,
        _vocabulary: usize,
        _targets: &[u32],
        _weights: &[f32],
        _smoothing: f32,
        _losses: &mut Held,
        _first: usize,
    ) -> Result<()> {
        Ok(())
    }

    fn adamw(
        &self,
        _step: &AdamW,
        _values: &mut Held,
        _gradient: &Held,
        _moments: &mut Held,
        _len: usize,
    ) -> Result<()> {
        Ok(())
    }

    fn moments(&self, len: usize, storage: MomentStorage) -> Result<Held> {
        Ok(self.hold(moments::bytes(len, storage)))
    }

    fn read_moments(&self, _moments: &Held) -> Result<Moments> {
        Ok(Moments::zeros(0, MomentStorage::F32))
    }

    fn write_moments(&self, _values: &Moments, _out: &mut Held) -> Result<()> {
        Ok(())
    }

    fn rotations(&self, _theta: &Held, _blocks: usize, _map: Map, _out: &mut Held) -> Result<()> {
        Ok(())
    }

    fn rotations_backward(
        &self,
        _theta: &Held,
        _gradient: &Held,
        _blocks: usize,
        _map: Map,
        _out: &mut Held,
    ) -> Result<()> {
        Ok(())
    }

    fn rotate(
        &self,
        _x: &Held,
        _rotations: &Held,
        _rows: usize,
        _width: usize,
        _turn: Turn,
        _add: bool,
        _out: &mut Held,
    ) -> Result<()> {
        Ok(())
    }

    fn rotate_gradient(&self, _x: &Held, _gradient: &Held, _rows: usize, _width: usize, _out: &mut Held) -> Result<()> {
        Ok(())
    }

    fn curvature(
        &self,
        _h: &Held,
        _starts: &[usize],
        _width: usize,
        _factor: f32,
        _gradient: &mut Held,
    ) -> Result<f64> {
        Ok(0.0)
    }
}
