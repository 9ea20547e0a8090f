//! What the backend keeps on a device: values, indices, frozen weights, and bf16 copies of values.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::driver::{Argument, Driver, Memory, bytes_of};
use crate::Result;
use crate::kernels::quantise::{QuantisedMatrix, blocks};

/// f32 values. Every change gives them a new stamp, by which a bf16 copy of them is known to be theirs.
pub struct Buffer<D: Driver> {
    pub(super) memory: Memory<D>,
    pub(super) stamp: u64,
}

/// A number that was never given before.
fn fresh_stamp() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl<D: Driver> Buffer<D> {
    pub(super) fn new(memory: Memory<D>) -> Self {
        Self { memory, stamp: fresh_stamp() }
    }

    /// The first `len` values, to be read.
    pub(super) fn reads(&self, len: usize) -> Argument {
        Argument::Pointer(self.memory.at(0, 4 * len))
    }

    /// The first `len` values, to be changed.
    pub(super) fn writes(&mut self, len: usize) -> Argument {
        self.stamp = fresh_stamp();
        self.reads(len)
    }
}

/// u32 values. The host keeps them too: what is added to rows is grouped by them.
pub struct Indices<D: Driver> {
    pub(super) memory: Memory<D>,
    pub(super) values: Vec<u32>,
    groups: OnceLock<Groups<D>>,
}

/// Which rows belong to the same index: rows order[bounds[g]..bounds[g + 1]] to targets[g].
pub(super) struct Groups<D: Driver> {
    pub(super) targets: Memory<D>,
    pub(super) bounds: Memory<D>,
    pub(super) order: Memory<D>,
    pub(super) count: usize,
}

impl<D: Driver> Indices<D> {
    pub(super) fn new(driver: &Arc<D>, values: &[u32]) -> Result<Self> {
        let memory = Memory::holding(driver, bytes_of(values))?;
        Ok(Self { memory, values: values.to_vec(), groups: OnceLock::new() })
    }

    /// The first `len` values.
    pub(super) fn reads(&self, len: usize) -> Argument {
        Argument::Pointer(self.memory.at(0, 4 * len))
    }

    /// The groups of all values, in the order of the rows.
    pub(super) fn groups(&self, driver: &Arc<D>) -> Result<&Groups<D>> {
        if let Some(groups) = self.groups.get() {
            return Ok(groups);
        }
        let mut order: Vec<u32> = (0..self.values.len() as u32).collect();
        order.sort_by_key(|&row| self.values[row as usize]);
        let (mut targets, mut bounds) = (Vec::new(), Vec::new());
        for (place, &row) in order.iter().enumerate() {
            let target = self.values[row as usize];
            if targets.last() != Some(&target) {
                targets.push(target);
                bounds.push(place as u32);
            }
        }
        bounds.push(order.len() as u32);
        let hold = |values: &[u32]| Memory::holding(driver, bytes_of(values));
        let count = targets.len();
        let groups = Groups { targets: hold(&targets)?, bounds: hold(&bounds)?, order: hold(&order)?, count };
        Ok(self.groups.get_or_init(|| groups))
    }
}

/// A frozen weight [rows, columns].
pub enum Matrix<D: Driver> {
    /// Single precision.
    F32(Memory<D>),
    /// The upper halves of single-precision numbers.
    Bf16(Memory<D>),
    /// Block-wise int8, see [`quantise`](crate::kernels::quantise).
    Int8 {
        /// [rows, columns].
        values: Memory<D>,
        /// One a block.
        scales: Memory<D>,
        /// One a block; absent where all are 0, so that the kernels need not read them.
        offsets: Option<Memory<D>>,
    },
}

impl<D: Driver> Matrix<D> {
    pub(super) fn int8(driver: &Arc<D>, matrix: &QuantisedMatrix) -> Result<Self> {
        let scales: Vec<f32> = matrix.steps.iter().map(|step| step.scale).collect();
        let offsets: Vec<f32> = matrix.steps.iter().map(|step| step.offset).collect();
        let some = offsets.iter().any(|&offset| offset != 0.0);
        Ok(Self::Int8 {
            values: Memory::holding(driver, bytes_of(&matrix.values))?,
            scales: Memory::holding(driver, bytes_of(&scales))?,
            offsets: some.then(|| Memory::holding(driver, bytes_of(&offsets))).transpose()?,
        })
    }

    /// The values, scales and offsets of the rows first..first + rows of an int8 matrix.
    pub(super) fn int8_arguments(
        values: &Memory<D>,
        scales: &Memory<D>,
        offsets: Option<&Memory<D>>,
        (first, rows): (usize, usize),
        columns: usize,
    ) -> [Argument; 3] {
        let (begin, steps) = (4 * first * blocks(columns), 4 * rows * blocks(columns));
        [
            Argument::Pointer(values.at(first * columns, rows * columns)),
            Argument::Pointer(scales.at(begin, steps)),
            Argument::Pointer(offsets.map_or(0, |offsets| offsets.at(begin, steps))),
        ]
    }
}

/// Rows rounded to bf16, a little apart: what lies between them is for the columns that an adapter adds to a product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Half {
    pub(super) address: u64,
    /// Distance of two rows, in values.
    pub(super) stride: usize,
}

impl Half {
    /// As the last two arguments of a kernel that may write it.
    pub(super) fn arguments(half: Option<Self>) -> [Argument; 2] {
        half.map_or([Argument::Pointer(0), Argument::Int(0)], |half| {
            [Argument::Pointer(half.address), Argument::int(half.stride)]
        })
    }
}

/// The latest bf16 copies, so that values that several products read are rounded once.
pub(super) struct Halves<D: Driver> {
    slots: Vec<Slot<D>>,
    /// Values that are left free behind every row.
    room: usize,
    clock: u64,
}

struct Slot<D: Driver> {
    memory: Memory<D>,
    stamp: u64,
    rows: usize,
    width: usize,
    stride: usize,
    used: u64,
}

/// Copies that are kept: the factors of one product, and what the next ones read again.
const SLOTS: usize = 4;

impl<D: Driver> Halves<D> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), room: 0, clock: 0 }
    }

    /// From now on, rows have at least `width` free values behind them.
    pub(super) fn make_room(&mut self, width: usize) {
        self.room = self.room.max(width.next_multiple_of(8));
    }

    /// The copy of the values with this stamp, if there is one of so many rows, and so much room behind them.
    pub(super) fn find(&mut self, stamp: u64, rows: usize, width: usize, room: usize) -> Option<Half> {
        self.clock += 1;
        let clock = self.clock;
        let fits = |slot: &&mut Slot<D>| {
            slot.stamp == stamp && slot.rows >= rows && slot.width == width && slot.stride >= width + room
        };
        let slot = self.slots.iter_mut().find(fits)?;
        slot.used = clock;
        Some(Half { address: slot.memory.at(0, 2 * rows * slot.stride), stride: slot.stride })
    }

    /// A place for a copy of the values with this stamp: that of the copy which was not used for longest.
    pub(super) fn claim(&mut self, driver: &Arc<D>, stamp: u64, rows: usize, width: usize) -> Result<Half> {
        self.clock += 1;
        let stride = (width + self.room).next_multiple_of(8);
        let bytes = 2 * rows * stride;
        let oldest = self.slots.iter().enumerate().min_by_key(|(_, slot)| slot.used).map(|(at, _)| at);
        let slot = match oldest.filter(|_| self.slots.len() >= SLOTS) {
            Some(at) => &mut self.slots[at],
            None => {
                let memory = Memory::allocate(driver, bytes)?;
                self.slots.push(Slot { memory, stamp: 0, rows: 0, width: 0, stride: 0, used: 0 });
                self.slots.last_mut().expect("a slot was just pushed")
            }
        };
        if slot.memory.bytes() < bytes {
            slot.memory = Memory::allocate(driver, bytes)?;
        }
        (slot.stamp, slot.rows, slot.width, slot.stride, slot.used) = (stamp, rows, width, stride, self.clock);
        Ok(Half { address: slot.memory.at(0, bytes), stride })
    }
}

/// Memory that grows to what is asked for, and is used again.
pub(super) struct Scratch<D: Driver>(Option<Memory<D>>);

impl<D: Driver> Scratch<D> {
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// The address of so many bytes, whatever they hold.
    pub(super) fn take(&mut self, driver: &Arc<D>, bytes: usize) -> Result<u64> {
        if self.0.as_ref().is_none_or(|memory| memory.bytes() < bytes) {
            // What was there is given back first, so that the two are never held together.
            self.0 = None;
            self.0 = Some(Memory::allocate(driver, bytes)?);
        }
        Ok(self.0.as_ref().map_or(0, |memory| memory.at(0, bytes)))
    }
}
