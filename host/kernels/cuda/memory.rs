//! What the backend keeps on a device: values, indices, frozen weights, and bf16 copies of values.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use half::{bf16, f16};

use super::driver::{Argument, Driver, Memory, bytes_of, bytes_of_mut};
use crate::backend::Storage;
use crate::moments::{self, Bytes, Moments};
use crate::nf4::{self, Nf4Matrix};
use crate::quantise::{QuantisedMatrix, blocks, quantise};
use so8t_base::{Error, Result};

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
    /// Half precision.
    F16(Memory<D>),
    /// Block-wise int8, see [`quantise`](crate::quantise).
    Int8 {
        /// [rows, columns].
        values: Memory<D>,
        /// One a block.
        scales: Memory<D>,
        /// One a block; absent where all are 0, so that the kernels need not read them.
        offsets: Option<Memory<D>>,
    },
    /// NF4, see [`nf4`](crate::nf4).
    Nf4 {
        /// Two a byte.
        codes: Memory<D>,
        /// One a block.
        absmax: Memory<D>,
        /// One for 256 blocks.
        nested: Memory<D>,
        /// The mean of all block's largest magnitudes.
        offset: f32,
    },
}

impl<D: Driver> Matrix<D> {
    /// Values of rows of `k`, as they are to be stored.
    pub(super) fn stored(driver: &Arc<D>, values: &[f32], k: usize, storage: Storage) -> Result<Self> {
        let halves = |narrow: fn(f32) -> u16| {
            let halves: Vec<u16> = values.iter().map(|&x| narrow(x)).collect();
            Memory::holding(driver, bytes_of(&halves))
        };
        match storage {
            Storage::F32 => Ok(Self::F32(Memory::holding(driver, bytes_of(values))?)),
            Storage::Bf16 => halves(|x| bf16::from_f32(x).to_bits()).map(Self::Bf16),
            Storage::F16 => halves(|x| f16::from_f32(x).to_bits()).map(Self::F16),
            Storage::Int8 => Self::int8(driver, &quantise(values, k)),
            Storage::Nf4 => Self::nf4(driver, &nf4::quantise(values)),
        }
    }

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

    pub(super) fn nf4(driver: &Arc<D>, matrix: &Nf4Matrix) -> Result<Self> {
        Ok(Self::Nf4 {
            codes: Memory::holding(driver, &matrix.codes)?,
            absmax: Memory::holding(driver, &matrix.absmax)?,
            nested: Memory::holding(driver, bytes_of(&matrix.nested))?,
            offset: matrix.offset,
        })
    }

    /// The name of the format in the kernels of storage.cu, and the arguments that stand for the rows first..first + rows; `map` is the
    /// signed dynamic map.
    pub(super) fn source(
        &self,
        (first, rows): (usize, usize),
        columns: usize,
        map: Argument,
    ) -> (&'static str, Vec<Argument>) {
        let (begin, count) = (first * columns, rows * columns);
        let plain = |memory: &Memory<D>, size: usize| vec![Argument::Pointer(memory.at(size * begin, size * count))];
        match self {
            Self::F32(memory) => ("single", plain(memory, 4)),
            Self::Bf16(memory) => ("bf16", plain(memory, 2)),
            Self::F16(memory) => ("f16", plain(memory, 2)),
            Self::Int8 { values, scales, offsets } => {
                let (begin_steps, steps) = (4 * first * blocks(columns), 4 * rows * blocks(columns));
                let offsets = offsets.as_ref().map_or(0, |offsets| offsets.at(begin_steps, steps));
                let arguments = [values.at(begin, count), scales.at(begin_steps, steps), offsets];
                ("int8", arguments.map(Argument::Pointer).to_vec())
            }
            Self::Nf4 { codes, absmax, nested, offset } => {
                // Blocks do not end with rows, so the kernels count from the matrix's beginning.
                let end = begin + count;
                let blocks = end.div_ceil(nf4::BLOCK);
                let parts = [
                    codes.at(0, end.div_ceil(2)),
                    absmax.at(0, blocks),
                    nested.at(0, 4 * blocks.div_ceil(nf4::NESTED)),
                ];
                let parts = parts.map(Argument::Pointer);
                ("nf4", [&parts[..], &[map, Argument::Float(*offset), Argument::long(begin)]].concat())
            }
        }
    }
}

/// Both moments of a tensor that is trained, see [`moments`](crate::moments).
pub enum DeviceMoments<D: Driver> {
    /// Single precision.
    F32 {
        /// The mean of the gradient, and that of its square.
        moments: [Memory<D>; 2],
        /// How many values there are.
        len: usize,
    },
    /// 8 bits.
    Eight {
        /// Codes and scales of the mean of the gradient.
        first: [Memory<D>; 2],
        /// Codes and scales of the mean of its square.
        second: [Memory<D>; 2],
        /// How many values there are.
        len: usize,
    },
}

impl<D: Driver> DeviceMoments<D> {
    pub(super) fn holding(driver: &Arc<D>, moments: &Moments) -> Result<Self> {
        let floats = |values: &[f32]| Memory::holding(driver, bytes_of(values));
        let bytes = |bytes: &Bytes| Ok::<_, Error>([Memory::holding(driver, &bytes.codes)?, floats(&bytes.scales)?]);
        Ok(match moments {
            Moments::F32 { first, second } => {
                Self::F32 { moments: [floats(first)?, floats(second)?], len: first.len() }
            }
            Moments::Eight { first, second } => {
                Self::Eight { first: bytes(first)?, second: bytes(second)?, len: first.codes.len() }
            }
        })
    }

    pub(super) fn read(&self) -> Result<Moments> {
        let floats = |memory: &Memory<D>, len: usize| {
            let mut values = vec![0.0; len];
            memory.read(0, bytes_of_mut(&mut values)).map(|()| values)
        };
        let bytes = |[codes, scales]: &[Memory<D>; 2], len: usize| {
            let mut read = vec![0u8; len];
            codes.read(0, &mut read)?;
            Ok::<_, Error>(Bytes { codes: read, scales: floats(scales, len.div_ceil(moments::BLOCK))? })
        };
        Ok(match self {
            Self::F32 { moments: [first, second], len } => {
                Moments::F32 { first: floats(first, *len)?, second: floats(second, *len)? }
            }
            Self::Eight { first, second, len } => {
                Moments::Eight { first: bytes(first, *len)?, second: bytes(second, *len)? }
            }
        })
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
