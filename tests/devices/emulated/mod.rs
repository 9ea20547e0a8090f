//! The kernels of the GPU on the processor: compiled by g++ with `emulator.h`, and driven by the backend as a GPU is.

#![allow(unsafe_code, reason = "calls the compiled kernels, and is a driver")]

use std::ffi::{CString, c_char, c_int, c_uint};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use so8t::kernels::cuda::driver::{Argument, Driver, Element, Factor, Gemm, Launch};
use so8t::kernels::cuda::{FAMILIES, PRELUDE};
use so8t::{Error, Result};

/// The order in which the threads of a block run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

type Start = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const c_char,
    *const c_uint,
    c_uint,
    c_uint,
    *const u64,
    c_int,
) -> c_int;

/// A driver that runs the kernels here.
pub struct Emulated {
    order: Order,
    start: Start,
}

impl Emulated {
    /// `None`, with a message, where there is no g++.
    pub fn new(order: Order) -> Option<Self> {
        static LIBRARY: OnceLock<Option<libloading::Library>> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| {
            let path = build()?;
            // SAFETY: the library was compiled from the sources of this project.
            Some(unsafe { libloading::Library::new(&path) }.unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        });
        // SAFETY: the function has this type in `emulator.cpp`.
        let start = unsafe { library.as_ref()?.get::<Start>(b"so8t_launch") }.unwrap();
        Some(Self { order, start: *start })
    }
}

/// Bytes before and after every piece of memory that must stay as they were.
const GUARD: usize = 256;
const GUARD_BYTE: u8 = 0x5a;

impl Driver for Emulated {
    fn name(&self) -> String {
        "the processor".to_string()
    }

    /// Memory that nothing was written to holds NaN.
    fn allocate(&self, bytes: usize) -> Result<u64> {
        let size = bytes.next_multiple_of(GUARD) + 2 * GUARD;
        let words = size / 8 + 32;
        let place = Box::leak(vec![u64::MAX; words].into_boxed_slice()).as_mut_ptr() as u64;
        let address = place.next_multiple_of(256) + GUARD as u64;
        // SAFETY: the piece is longer than what is written, even once its beginning is aligned.
        unsafe {
            ((address - 16) as *mut u64).write(place);
            ((address - 8) as *mut u64).write((words << 32 | bytes) as u64);
            std::slice::from_raw_parts_mut((address + bytes as u64) as *mut u8, GUARD).fill(GUARD_BYTE);
        }
        Ok(address)
    }

    unsafe fn free(&self, address: u64) {
        // SAFETY: `allocate` wrote these.
        let piece = unsafe {
            let sizes = ((address - 8) as *const u64).read() as usize;
            let (words, bytes) = (sizes >> 32, sizes & 0xffff_ffff);
            let guard = std::slice::from_raw_parts((address + bytes as u64) as *const u8, GUARD);
            assert!(guard.iter().all(|&byte| byte == GUARD_BYTE), "a kernel wrote behind {bytes} bytes");
            std::ptr::slice_from_raw_parts_mut(((address - 16) as *const u64).read() as *mut u64, words)
        };
        // SAFETY: the piece that `allocate` leaked.
        drop(unsafe { Box::from_raw(piece) });
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<()> {
        // SAFETY: by the contract of the trait.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) };
        Ok(())
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        // SAFETY: by the contract of the trait.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        // SAFETY: by the contract of the trait.
        unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) };
        Ok(())
    }

    unsafe fn clear(&self, address: u64, bytes: usize) -> Result<()> {
        // SAFETY: by the contract of the trait.
        unsafe { std::ptr::write_bytes(address as *mut u8, 0, bytes) };
        Ok(())
    }

    unsafe fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        let parameters: String = launch.arguments.iter().map(letter).collect();
        let [family, kernel, parameters] =
            [launch.family, launch.kernel, &parameters].map(|text| CString::new(text).unwrap());
        let cells: Vec<u64> = launch.arguments.iter().map(|argument| argument.bits()).collect();
        let grid = [launch.grid.0 as c_uint, launch.grid.1 as c_uint, 1];
        // The emulator has one block at a time.
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the kernel's parameters are compared with these before it runs.
        let status = unsafe {
            (self.start)(
                family.as_ptr(),
                kernel.as_ptr(),
                parameters.as_ptr(),
                grid.as_ptr(),
                launch.threads as c_uint,
                launch.shared as c_uint,
                cells.as_ptr(),
                c_int::from(self.order == Order::Descending),
            )
        };
        drop(turn);
        match status {
            0 => Ok(()),
            _ => Err(Error::internal(format!("`{}` cannot be started ({status})", launch.kernel))),
        }
    }

    unsafe fn multiply(&self, gemm: &Gemm) -> Result<()> {
        let value = |factor: Factor, row: usize, column: usize| -> f32 {
            let at = if factor.transposed { column * factor.stride + row } else { row * factor.stride + column };
            // SAFETY: by the contract of the trait.
            unsafe {
                match gemm.element {
                    Element::Single => *(factor.address as *const f32).add(at),
                    Element::Bf16 => half::bf16::from_bits(*(factor.address as *const u16).add(at)).to_f32(),
                }
            }
        };
        let widest = |factor: Factor, rows, columns| factor.stride >= if factor.transposed { rows } else { columns };
        assert!(widest(gemm.left, gemm.rows, gemm.terms) && widest(gemm.right, gemm.terms, gemm.columns));
        assert!(gemm.out_stride >= gemm.columns);
        for row in 0..gemm.rows {
            for column in 0..gemm.columns {
                let terms = (0..gemm.terms).map(|t| value(gemm.left, row, t) * value(gemm.right, t, column));
                let sum: f32 = terms.sum();
                // SAFETY: by the contract of the trait.
                unsafe {
                    let out = (gemm.out as *mut f32).add(row * gemm.out_stride + column);
                    *out = if gemm.accumulate { *out + sum } else { sum };
                }
            }
        }
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }
}

/// As `emulator.h` names the kinds of parameters.
fn letter(argument: &Argument) -> char {
    match argument {
        Argument::Pointer(_) => 'p',
        Argument::Int(_) => 'i',
        Argument::Unsigned(_) => 'u',
        Argument::Long(_) => 'l',
        Argument::Float(_) => 'f',
    }
}

/// The kernels of a source.
fn kernels(source: &str) -> Vec<&str> {
    source
        .lines()
        .filter_map(|line| line.strip_prefix("KERNEL "))
        .filter_map(|line| line.trim_start_matches("__launch_bounds__(THREADS) ").split('(').next())
        .collect()
}

/// Compiles the kernels, unless they were compiled before.
fn build() -> Option<PathBuf> {
    let Ok(version) = Command::new("g++").arg("--version").output() else {
        eprintln!("skipped: the emulated GPU needs g++");
        return None;
    };
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/devices/emulated");
    let read = |name: &str| std::fs::read_to_string(here.join(name)).unwrap();
    let (header, scheduler) = (read("emulator.h"), read("emulator.cpp"));
    let mut sources = vec![("emulator".to_string(), scheduler)];
    let (mut lists, mut tables) = (String::new(), String::new());
    for (family, source) in FAMILIES {
        // Families use the same names for different things.
        let body = format!("namespace {{\n{PRELUDE}\n#line 1 \"{family}.cu\"\n{source}\n}}\n");
        let mut text = format!("#include \"emulator.h\"\n{body}");
        writeln!(text, "extern const emulator::Kernel so8t_{family}[] = {{").unwrap();
        for kernel in kernels(source) {
            let wrapped = format!("emulator::Wrapped<{kernel}>");
            writeln!(text, "{{\"{kernel}\", {wrapped}::parameters, {wrapped}::call}},").unwrap();
        }
        text += "{nullptr, nullptr, nullptr}};\n";
        sources.push((family.to_string(), text));
        writeln!(lists, "extern const emulator::Kernel so8t_{family}[];").unwrap();
        write!(tables, "{{\"{family}\", so8t_{family}}}, ").unwrap();
    }
    sources[0].1 += &format!("{lists}const emulator::Family so8t_families[] = {{{tables}{{nullptr, nullptr}}}};\n");

    let everything: String = sources.iter().map(|(_, text)| text.as_str()).collect();
    let digest =
        so8t::files::sha256(format!("{}{header}{everything}", String::from_utf8_lossy(&version.stdout)).as_bytes());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("emulated-{}", &digest[..16]));
    let library = folder.join("kernels.so");
    if library.exists() {
        return Some(library);
    }
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("emulator.h"), header).unwrap();
    let children: Vec<_> = sources
        .iter()
        .map(|(name, text)| {
            let source = folder.join(format!("{name}.cpp"));
            std::fs::write(&source, text).unwrap();
            let mut command = Command::new("g++");
            command.args(["-std=c++17", "-O2", "-fPIC", "-fno-strict-aliasing", "-ffp-contract=off", "-c", "-o"]);
            command.arg(folder.join(format!("{name}.o"))).arg(source).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success(), "a kernel cannot be compiled for the processor");
    }
    let linked = folder.join(format!("kernels-{}.so", std::process::id()));
    let objects = sources.iter().map(|(name, _)| folder.join(format!("{name}.o")));
    let mut command = Command::new("g++");
    command.args(["-shared", "-o"]).arg(&linked).args(objects);
    assert!(command.status().unwrap().success(), "the kernels cannot be linked");
    std::fs::rename(&linked, &library).unwrap();
    Some(library)
}
