//! Launches of the attention kernels: tiles of rows, and how much memory a block needs.

use super::driver::{Argument, Driver, Memory, bytes_of};
use super::memory::Half;
use super::{Buffer, Device, THREADS, lock};
use crate::attention::Heads;
use crate::gemm::Compute;
use so8t_base::{Error, Result};

/// Tiles of rows, none across the border of two sequences: of each its first row, and where its sequence starts and ends.
pub(super) struct Tiles<D: Driver> {
    starts: Vec<usize>,
    size: usize,
    memory: Memory<D>,
    count: usize,
}

/// Lists of tiles that are kept: the batch's own, in the sizes that one step needs.
const LISTS: usize = 4;

/// How attention_bf16.cu is compiled for a width of heads: the family; rows of a block forward, and its keys at a time; the rows of
/// the other side at a time backward.
struct TensorCores {
    family: &'static str,
    queries: usize,
    keys: usize,
    others: usize,
}

/// `None`: the kernels in single precision serve these heads.
fn tensor_cores(heads: &Heads) -> Option<TensorCores> {
    let of = |family, queries, keys| Some(TensorCores { family, queries, keys, others: 32 });
    match (heads.compute, heads.head_dim) {
        _ if heads.cap.is_some() => None,
        (Compute::Bf16, 64) => of("attention_bf16_64", 128, 64),
        (Compute::Bf16, 96) => of("attention_bf16_96", 128, 32),
        (Compute::Bf16, 128) => of("attention_bf16_128", 64, 64),
        _ => None,
    }
}

/// Rows of a block backward, in bf16.
const BACKWARD: usize = 64;
/// Threads of a block, in bf16.
const TENSOR_THREADS: usize = 128;
/// Rows of a block in single precision, and of the other side at a time.
const SINGLE: (usize, usize) = (16, 32);
/// The widest head in single precision.
const WIDEST: usize = 256;

impl<D: Driver> Device<D> {
    /// Tiles of `size` rows: their address, and how many there are. The last come first, since causal rows at a sequence's end are
    /// the most work.
    fn tiles(&self, starts: &[usize], size: usize) -> Result<(Argument, usize)> {
        let mut lists = lock(&self.shared.tiles);
        if let Some(at) = lists.iter().position(|tiles| tiles.size == size && tiles.starts == starts) {
            let tiles = &lists[at];
            return Ok((Argument::Pointer(tiles.memory.at(0, 12 * tiles.count)), tiles.count));
        }
        let mut numbers = Vec::new();
        for sequence in starts.windows(2) {
            let firsts = (sequence[0]..sequence[1]).step_by(size);
            numbers.extend(firsts.map(|first| [first as u32, sequence[0] as u32, sequence[1] as u32]));
        }
        numbers.sort_by_key(|&[first, start, _]| std::cmp::Reverse(first - start));
        let (memory, count) = (Memory::holding(&self.driver, bytes_of(numbers.as_flattened()))?, numbers.len());
        if lists.len() == LISTS {
            lists.remove(0);
        }
        let argument = Argument::Pointer(memory.at(0, 12 * count));
        lists.push(Tiles { starts: starts.to_vec(), size, memory, count });
        Ok((argument, count))
    }

    pub(super) fn attend(
        &self,
        fused: &Buffer<D>,
        starts: &[usize],
        heads: Heads,
        out: &mut Buffer<D>,
        lse: &mut Buffer<D>,
    ) -> Result<()> {
        let rows = starts.last().copied().unwrap_or(0);
        let width = fused_width(&heads);
        let numbers = numbers(&heads)?;
        if let Some(TensorCores { family, queries, keys, .. }) = tensor_cores(&heads) {
            let (tiles, count) = self.tiles(starts, queries)?;
            let input = self.half(fused, rows, width, 0)?;
            let results = [out.writes(rows * heads.query_width()), lse.writes(rows * heads.heads)];
            let half = Half::arguments(self.half_of_result(out, rows, heads.query_width())?);
            let inputs = [Argument::Pointer(input.address), tiles, Argument::int(input.stride)];
            let arguments = [&inputs[..], &numbers[..], &results[..], &half[..]].concat();
            let shared = (queries + 2 * keys) * (heads.head_dim + 8) * 2;
            let grid = (count, heads.heads);
            return self.launch(family, "attention_bf16", grid, TENSOR_THREADS, shared, &arguments);
        }
        let (tiles, count) = self.tiles(starts, SINGLE.0)?;
        let results = [out.writes(rows * heads.query_width()), lse.writes(rows * heads.heads)];
        let arguments = [&[fused.reads(rows * width), tiles], &with_width(numbers, &heads)[..], &results[..]].concat();
        let shared = 4 * (SINGLE.0 * heads.head_dim + 2 * SINGLE.1 * (heads.head_dim + 1));
        self.launch("attention", "attention", (count, heads.heads), THREADS, shared, &arguments)
    }

    #[allow(clippy::too_many_arguments, reason = "what attention read and wrote, and its gradients")]
    pub(super) fn attend_backward(
        &self,
        fused: &Buffer<D>,
        out: &Buffer<D>,
        lse: &Buffer<D>,
        gradient: &Buffer<D>,
        starts: &[usize],
        heads: Heads,
        fused_gradient: &mut Buffer<D>,
    ) -> Result<()> {
        let rows = starts.last().copied().unwrap_or(0);
        let (width, query_width, count) = (fused_width(&heads), heads.query_width(), rows * heads.heads);
        let numbers = numbers(&heads)?;
        let mut deltas = lock(&self.shared.deltas);
        let delta = Argument::Pointer(deltas.take(&self.driver, 4 * count)?);
        let inputs = [gradient.reads(rows * query_width), out.reads(rows * query_width)];
        let sizes = [Argument::long(count), Argument::int(heads.head_dim)];
        let grid = (count.div_ceil(THREADS / 32), 1);
        self.launch("attention", "attention_delta", grid, THREADS, 0, &[&inputs[..], &sizes[..], &[delta]].concat())?;

        let per_row = [lse.reads(count), delta];
        if let Some(TensorCores { family, others, .. }) = tensor_cores(&heads) {
            let (tiles, count) = self.tiles(starts, BACKWARD)?;
            let (input, arriving) = (self.half(fused, rows, width, 0)?, self.half(gradient, rows, query_width, 0)?);
            let inputs = [Argument::Pointer(input.address), Argument::Pointer(arriving.address)];
            let widths = [tiles, Argument::int(input.stride), Argument::int(arriving.stride)];
            let result = [fused_gradient.writes(rows * width)];
            let arguments = [&inputs[..], &per_row[..], &widths[..], &numbers[..], &result[..]].concat();
            let shared = 2 * (2 * BACKWARD + 2 * others) * (heads.head_dim + 8);
            let launch =
                |kernel, heads, shared| self.launch(family, kernel, (count, heads), TENSOR_THREADS, shared, &arguments);
            launch("attention_queries_bf16", heads.heads, shared)?;
            // Each of the other rows has two numbers beside it.
            launch("attention_keys_bf16", heads.kv_heads, shared + 8 * others)?;
            return Ok(());
        }
        let (tiles, count) = self.tiles(starts, SINGLE.0)?;
        let inputs = [fused.reads(rows * width), gradient.reads(rows * query_width)];
        let result = [fused_gradient.writes(rows * width)];
        let sizes = with_width(numbers, &heads);
        let arguments = [&inputs[..], &per_row[..], &[tiles], &sizes[..], &result[..]].concat();
        let shared = 4 * (2 * SINGLE.0 * heads.head_dim + 2 * SINGLE.1 * (heads.head_dim + 1));
        self.launch("attention", "attention_queries", (count, heads.heads), THREADS, shared, &arguments)?;
        self.launch("attention", "attention_keys", (count, heads.kv_heads), THREADS, shared, &arguments)
    }

    pub(super) fn attend_next(
        &self,
        fused: &Buffer<D>,
        kept: &Buffer<D>,
        sequences: &[std::ops::Range<usize>],
        heads: Heads,
        out: &mut Buffer<D>,
    ) -> Result<()> {
        let count = sequences.len();
        let bounds: Vec<u32> = sequences.iter().flat_map(|range| [range.start as u32, range.end as u32]).collect();
        let bounds = Memory::holding(&self.driver, bytes_of(&bounds))?;
        let last = sequences.iter().map(|range| range.end).max().unwrap_or(0);
        let inputs = [
            fused.reads(count * fused_width(&heads)),
            kept.reads(last * 2 * heads.key_width()),
            Argument::Pointer(bounds.at(0, 8 * count)),
        ];
        let numbers = with_width(numbers(&heads)?, &heads);
        let arguments = [&inputs[..], &numbers[..], &[out.writes(count * heads.query_width())]].concat();
        self.launch("attention_next", "attention_next", (heads.heads, count), TENSOR_THREADS, 0, &arguments)
    }
}

pub(super) fn fused_width(heads: &Heads) -> usize {
    heads.query_width() + 2 * heads.key_width()
}

/// Heads, scale and window, as the kernels take them.
fn numbers(heads: &Heads) -> Result<[Argument; 4]> {
    if heads.head_dim > WIDEST {
        let found = heads.head_dim;
        return Err(Error::model(format!("expected heads of at most {WIDEST} values on a GPU, found {found}"))
            .with_hint("`device = \"cpu\"` has no such limit"));
    }
    let window = Argument::int(heads.window.map_or(0, |window| window.min(1 << 30)));
    Ok([Argument::int(heads.heads), Argument::int(heads.kv_heads), Argument::Float(heads.scale), window])
}

/// The same for the kernels of any width, which are told it and the cap, 0 where there is none.
fn with_width([heads, kv_heads, scale, window]: [Argument; 4], shape: &Heads) -> [Argument; 6] {
    [heads, kv_heads, Argument::int(shape.head_dim), scale, window, Argument::Float(shape.cap.unwrap_or(0.0))]
}
