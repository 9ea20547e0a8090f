//! The few things that a CUDA device does for the backend: memory, launches, matrix products.
//!
//! [`Nvidia`](super::nvidia::Nvidia) is the real one. The tests have another, which runs the same kernels on the processor, so that
//! sizes, arguments and launches of [`Device`](super::Device) are tested where there is no GPU.

#![allow(unsafe_code, reason = "device memory is reached by address; `Memory` keeps to its bounds")]

use std::sync::Arc;

use so8t_base::Result;

/// A CUDA device. All work is done in the order in which it is asked for; only [`Driver::download`] waits for it.
///
/// Addresses are those of device memory. The functions that take them are unsafe: every address must lie in memory that
/// [`Driver::allocate`] gave and that was not freed, with as many bytes behind it as the function reads or writes.
#[allow(clippy::missing_safety_doc, reason = "one rule for all, said above")]
#[allow(unsafe_code, reason = "see above")]
pub trait Driver: Send + Sync + 'static {
    /// The device's name, for messages.
    fn name(&self) -> String;
    /// Memory with arbitrary content, aligned to 256 bytes.
    fn allocate(&self, bytes: usize) -> Result<u64>;
    /// Gives memory back, once the work that was asked for before is done.
    unsafe fn free(&self, address: u64);
    /// Copies to the device. The bytes may change as soon as this returns.
    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<()>;
    /// Copies from the device, when all work is done.
    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()>;
    /// Copies within the device.
    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()>;
    /// Sets memory to zeros.
    unsafe fn clear(&self, address: u64, bytes: usize) -> Result<()>;
    /// Starts a kernel.
    unsafe fn launch(&self, launch: &Launch<'_>) -> Result<()>;
    /// Starts a matrix product.
    unsafe fn multiply(&self, gemm: &Gemm) -> Result<()>;
    /// Waits until all work is done.
    fn wait(&self) -> Result<()>;
}

/// A kernel with its grid and arguments.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The file of the kernel, without its ending.
    pub family: &'static str,
    /// The kernel.
    pub kernel: &'a str,
    /// Blocks, in two dimensions.
    pub grid: (usize, usize),
    /// Threads a block.
    pub threads: usize,
    /// Bytes of dynamic shared memory a block.
    pub shared: usize,
    /// The arguments, in order.
    pub arguments: &'a [Argument],
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// An address, or 0 for null.
    Pointer(u64),
    /// `int`.
    Int(i32),
    /// `unsigned int`.
    Unsigned(u32),
    /// `long long`.
    Long(i64),
    /// `float`.
    Float(f32),
}

impl Argument {
    /// A size as `int`.
    ///
    /// # Panics
    /// When it needs more than 31 bits.
    pub fn int(size: usize) -> Self {
        Self::Int(i32::try_from(size).expect("a size of at most 31 bits"))
    }

    /// A size as `long long`.
    pub fn long(size: usize) -> Self {
        Self::Long(size as i64)
    }

    /// The argument's bits, the first of them first in memory.
    pub fn bits(self) -> u64 {
        match self {
            Self::Pointer(address) => address,
            Self::Int(value) => u64::from(value as u32),
            Self::Unsigned(value) => u64::from(value),
            Self::Long(value) => value as u64,
            Self::Float(value) => u64::from(value.to_bits()),
        }
    }
}

/// What the elements of a factor are. Sums are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Single precision; products in single precision too.
    Single,
    /// The upper halves of single-precision numbers.
    Bf16,
}

/// A factor of a product: rows in memory, `stride` elements apart, perhaps to be read transposed.
#[derive(Clone, Copy, Debug)]
pub struct Factor {
    /// The first element.
    pub address: u64,
    /// Distance of two rows in memory.
    pub stride: usize,
    /// Whether the rows in memory are the factor's columns.
    pub transposed: bool,
}

/// `out [rows, columns] = left [rows, terms] · right [terms, columns] (+ out)`, everything row-major.
#[derive(Clone, Copy, Debug)]
pub struct Gemm {
    /// Of both factors.
    pub element: Element,
    /// The left factor.
    pub left: Factor,
    /// The right factor.
    pub right: Factor,
    /// The result, f32.
    pub out: u64,
    /// Distance of two rows of the result.
    pub out_stride: usize,
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result.
    pub columns: usize,
    /// Terms of each sum.
    pub terms: usize,
    /// Whether the product is added to the result.
    pub accumulate: bool,
}

/// Device memory that is given back when it is dropped.
pub struct Memory<D: Driver> {
    driver: Arc<D>,
    address: u64,
    bytes: usize,
}

impl<D: Driver> Drop for Memory<D> {
    fn drop(&mut self) {
        // SAFETY: the address came from `allocate`, and nobody else has it.
        unsafe { self.driver.free(self.address) };
    }
}

impl<D: Driver> Memory<D> {
    /// Memory with arbitrary content. Of no bytes at all there is one too, so that an address exists.
    pub fn allocate(driver: &Arc<D>, bytes: usize) -> Result<Self> {
        Ok(Self { address: driver.allocate(bytes.max(1))?, driver: driver.clone(), bytes })
    }

    /// Memory that holds `bytes`.
    pub fn holding(driver: &Arc<D>, bytes: &[u8]) -> Result<Self> {
        let mut memory = Self::allocate(driver, bytes.len())?;
        memory.write(0, bytes)?;
        Ok(memory)
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The address of byte `first`, behind which there are at least `bytes` more.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn at(&self, first: usize, bytes: usize) -> u64 {
        let end = first.checked_add(bytes);
        assert!(
            end.is_some_and(|end| end <= self.bytes),
            "bytes {first} and {bytes} more are asked for of {}",
            self.bytes
        );
        self.address + first as u64
    }

    /// Writes from byte `first` on.
    pub fn write(&mut self, first: usize, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: `at` has checked the bounds.
        unsafe { self.driver.upload(bytes, self.at(first, bytes.len())) }
    }

    /// Reads from byte `first` on, when all work is done.
    pub fn read(&self, first: usize, bytes: &mut [u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: `at` has checked the bounds.
        unsafe { self.driver.download(self.at(first, bytes.len()), bytes) }
    }

    /// Copies the first `bytes` bytes of `other`.
    pub fn copy(&mut self, other: &Self, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: `at` has checked the bounds.
        unsafe { self.driver.copy(other.at(0, bytes), self.at(0, bytes), bytes) }
    }

    /// Copies the first `bytes` bytes of another memory to byte `first` of this one, and on.
    pub fn copy_to(&mut self, other: &Self, bytes: usize, first: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: `at` has checked the bounds.
        unsafe { self.driver.copy(other.at(0, bytes), self.at(first, bytes), bytes) }
    }

    /// Sets the first `bytes` bytes to 0.
    pub fn clear(&mut self, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: `at` has checked the bounds.
        unsafe { self.driver.clear(self.at(0, bytes), bytes) }
    }
}

/// The bytes of numbers, as they lie in memory.
pub(super) fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: the types have no padding and no invalid bits, and a byte needs no alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// As [`bytes_of`], to be written.
pub(super) fn bytes_of_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above; every pattern of bits is a value.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// Numbers without padding, of which every pattern of bits is one.
pub(super) trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for i8 {}
impl Plain for u8 {}
