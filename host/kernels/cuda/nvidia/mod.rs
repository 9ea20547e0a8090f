//! The real driver: NVIDIA's libraries, loaded when the device is opened.

#![allow(unsafe_code, reason = "calls into the CUDA driver and cuBLAS")]

mod compile;

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex};

use cudarc::cublas::{CudaBlas, result as blas, sys as blas_sys};
use cudarc::driver::{CudaContext, CudaStream, result, sys};

use super::driver::{Driver, Element, Gemm, Launch};
use super::{Device, FAMILIES, lock};
use so8t_base::{Error, Result};

pub use compile::{Architecture, compile};

/// Dynamic shared memory that every kernel may have without asking.
const PLAIN_SHARED: usize = 48 << 10;

/// The first GPU that the driver lists, with one stream. `CUDA_VISIBLE_DEVICES` chooses another.
pub struct Nvidia {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    blas: CudaBlas,
    name: String,
    architecture: Architecture,
    modules: Mutex<HashMap<&'static str, Module>>,
}

/// A family's kernels, and those that were used.
struct Module {
    module: sys::CUmodule,
    functions: HashMap<String, Function>,
}

#[derive(Clone, Copy)]
struct Function {
    handle: sys::CUfunction,
    /// The dynamic shared memory that it may have.
    shared: usize,
}

// SAFETY: handles of the driver may be used on any thread to which the context is bound, which every call does.
unsafe impl Send for Module {}

impl Device<Nvidia> {
    /// Opens the GPU. Errors, each with a hint: the driver or a library that is missing, no GPU, one that is too old.
    pub fn open() -> Result<Self> {
        Ok(Self::new(Nvidia::open()?))
    }
}

impl Nvidia {
    fn open() -> Result<Self> {
        // SAFETY: looks for libraries by name; their initialisers are NVIDIA's.
        let present = unsafe {
            [
                (sys::is_culib_present(), "NVIDIA's driver (`libcuda`)", "install the driver of the GPU"),
                (blas_sys::is_culib_present(), "cuBLAS (`libcublas`)", LIBRARIES),
                (cudarc::nvrtc::sys::is_culib_present(), "the run-time compiler (`libnvrtc`)", LIBRARIES),
            ]
        };
        if let Some((_, what, hint)) = present.into_iter().find(|(found, ..)| !found) {
            return Err(Error::manifest(format!("{what} was not found")).with_hint(hint));
        }
        let opened = |e: result::DriverError| {
            Error::manifest(format!("no GPU can be used: {}", message(e))).with_hint("`nvidia-smi` lists the GPUs")
        };
        let context = CudaContext::new(0).map_err(opened)?;
        // SAFETY: there is one stream, so nothing needs events to be in order.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(opened)?;
        let name = context.name().map_err(opened)?;
        let (major, minor) = context.compute_capability().map_err(opened)?;
        let architecture = Architecture { major, minor };
        if major < 8 {
            return Err(Error::manifest(format!(
                "expected a GPU of compute capability 8.0 or later (Ampere), found `{name}` with {major}.{minor}"
            )));
        }
        keep_freed_memory(&context).map_err(|e| driver_error("keep freed memory", e))?;
        let blas = CudaBlas::new(stream.clone())
            .map_err(|e| Error::manifest(format!("cuBLAS cannot be used: {e:?}")).with_hint(LIBRARIES))?;
        Ok(Self { context, stream, blas, name, architecture, modules: Mutex::new(HashMap::new()) })
    }

    /// What kernels are compiled for.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Bytes in use, the most that were in use, and bytes of the whole device that are taken by whomever.
    pub fn memory(&self) -> Result<(u64, u64, u64)> {
        let read = |attribute| {
            let mut value = 0u64;
            // SAFETY: the pool is the device's own, and these attributes are 64 bits wide.
            unsafe {
                let pool = result::device::get_default_mem_pool(self.context.cu_device())?;
                result::mem_pool::get_attribute(pool, attribute, (&raw mut value).cast())?;
            }
            Ok(value)
        };
        use sys::CUmemPool_attribute::{CU_MEMPOOL_ATTR_USED_MEM_CURRENT, CU_MEMPOOL_ATTR_USED_MEM_HIGH};
        let measure = || {
            self.context.bind_to_thread()?;
            let (free, total) = self.context.mem_get_info()?;
            Ok((read(CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?, read(CU_MEMPOOL_ATTR_USED_MEM_HIGH)?, (total - free) as u64))
        };
        measure().map_err(|e| driver_error("measure memory", e))
    }

    /// The kernel, compiled and loaded with its family when one of them is first used.
    fn function(&self, family: &'static str, kernel: &str, shared: usize) -> Result<sys::CUfunction> {
        let mut modules = lock(&self.modules);
        if !modules.contains_key(family) {
            let source = FAMILIES.iter().find(|(name, _)| *name == family).map(|(_, source)| *source);
            let source = source.ok_or_else(|| Error::internal(format!("no family of kernels is named `{family}`")))?;
            let image = compile(family, source, self.architecture)?;
            // SAFETY: the image is what the run-time compiler made, a cubin or a text that ends with 0.
            let module = unsafe { result::module::load_data(image.as_ptr().cast()) }
                .map_err(|e| driver_error(&format!("load the kernels of `{family}`"), e))?;
            modules.insert(family, Module { module, functions: HashMap::new() });
        }
        let missing = || Error::internal(format!("`{family}` has no kernel `{kernel}`"));
        let module = modules.get_mut(family).ok_or_else(missing)?;
        let known = module.functions.get(kernel).copied();
        let mut function = match known {
            Some(function) => function,
            None => {
                let name = CString::new(kernel).map_err(|_| missing())?;
                // SAFETY: the module is never unloaded.
                let handle = unsafe { result::module::get_function(module.module, name) }
                    .map_err(|e| driver_error(&format!("find the kernel `{kernel}`"), e))?;
                Function { handle, shared: PLAIN_SHARED }
            }
        };
        if shared > function.shared {
            use sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as SHARED;
            // SAFETY: the module is never unloaded.
            unsafe { result::function::set_function_attribute(function.handle, SHARED, shared as i32) }
                .map_err(|e| driver_error(&format!("give `{kernel}` {shared} bytes of shared memory"), e))?;
            function.shared = shared;
        }
        module.functions.insert(kernel.to_owned(), function);
        Ok(function.handle)
    }

    fn bind(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(|e| driver_error("use the GPU", e))
    }
}

/// What to do about a library that is missing.
const LIBRARIES: &str = "install CUDA 12 or 13, or name the folders that hold its libraries in `LD_LIBRARY_PATH`";

impl Driver for Nvidia {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.bind()?;
        // SAFETY: the stream is the only one, and what was allocated holds arbitrary bytes for all that is known of it.
        let allocated = unsafe { result::malloc_async(self.stream.cu_stream(), bytes) };
        allocated.map_err(|e| match e.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                Error::model(format!("the GPU `{}` has no room for {} MB more", self.name, bytes.div_ceil(1 << 20)))
                    .with_hint("`recompute = true`, a smaller `batch` or a quantised base need less")
            }
            _ => driver_error("allocate memory", e),
        })
    }

    unsafe fn free(&self, address: u64) {
        self.context.record_err(self.context.bind_to_thread());
        // SAFETY: the caller had it from `allocate`; what uses it stands before in the stream.
        self.context.record_err(unsafe { result::free_async(address, self.stream.cu_stream()) });
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<()> {
        self.bind()?;
        // SAFETY: by the contract of the trait. Pageable bytes are copied to a staging buffer before the call returns.
        unsafe { result::memcpy_htod_async(to, bytes, self.stream.cu_stream()) }
            .map_err(|e| driver_error("copy to the GPU", e))
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        self.bind()?;
        // SAFETY: by the contract of the trait; the bytes are borrowed until the stream has been waited for.
        unsafe { result::memcpy_dtoh_async(bytes, from, self.stream.cu_stream()) }
            .and_then(|()| self.stream.synchronize())
            .map_err(|e| driver_error("read from the GPU", e))
    }

    unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.bind()?;
        // SAFETY: by the contract of the trait.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream.cu_stream()) }
            .map_err(|e| driver_error("copy on the GPU", e))
    }

    unsafe fn clear(&self, address: u64, bytes: usize) -> Result<()> {
        self.bind()?;
        // SAFETY: by the contract of the trait.
        unsafe { result::memset_d8_async(address, 0, bytes, self.stream.cu_stream()) }
            .map_err(|e| driver_error("clear memory", e))
    }

    unsafe fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        self.bind()?;
        let function = self.function(launch.family, launch.kernel, launch.shared)?;
        let mut cells: Vec<u64> = launch.arguments.iter().map(|argument| argument.bits()).collect();
        let mut pointers: Vec<_> = cells.iter_mut().map(|cell| std::ptr::from_mut(cell).cast()).collect();
        let grid = (launch.grid.0 as u32, launch.grid.1 as u32, 1);
        let (block, shared) = ((launch.threads as u32, 1, 1), launch.shared as u32);
        // SAFETY: by the contract of the trait; the driver copies the arguments before it returns.
        unsafe { result::launch_kernel(function, grid, block, shared, self.stream.cu_stream(), &mut pointers) }
            .map_err(|e| driver_error(&format!("start the kernel `{}`", launch.kernel), e))
    }

    unsafe fn multiply(&self, gemm: &Gemm) -> Result<()> {
        use blas_sys::cublasOperation_t::{CUBLAS_OP_N, CUBLAS_OP_T};
        self.bind()?;
        let element = match gemm.element {
            Element::Single => blas_sys::cudaDataType::CUDA_R_32F,
            Element::Bf16 => blas_sys::cudaDataType::CUDA_R_16BF,
        };
        let operation = |transposed| if transposed { CUBLAS_OP_T } else { CUBLAS_OP_N };
        let (alpha, beta) = (1f32, if gemm.accumulate { 1f32 } else { 0.0 });
        // cuBLAS counts columns first: a row-major matrix is to it the transposed one, so the factors change places.
        // SAFETY: by the contract of the trait; alpha and beta are read before the call returns.
        unsafe {
            blas::gemm_ex(
                *self.blas.handle(),
                operation(gemm.right.transposed),
                operation(gemm.left.transposed),
                gemm.columns as i32,
                gemm.rows as i32,
                gemm.terms as i32,
                (&raw const alpha).cast(),
                gemm.right.address as *const _,
                element,
                gemm.right.stride as i32,
                gemm.left.address as *const _,
                element,
                gemm.left.stride as i32,
                (&raw const beta).cast(),
                gemm.out as *mut _,
                blas_sys::cudaDataType::CUDA_R_32F,
                gemm.out_stride as i32,
                blas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                blas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(|e| {
            let (rows, columns, terms) = (gemm.rows, gemm.columns, gemm.terms);
            Error::internal(format!("cuBLAS failed on a product [{rows}, {terms}] · [{terms}, {columns}]: {e:?}"))
        })
    }

    fn wait(&self) -> Result<()> {
        self.stream.synchronize().map_err(|e| driver_error("wait for the GPU", e))
    }
}

/// Memory that is freed stays with the process: steps use it again, and none of them asks the system.
fn keep_freed_memory(context: &CudaContext) -> std::result::Result<(), result::DriverError> {
    let mut threshold = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the pool is the device's own, and the attribute is 64 bits wide.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device())?;
        result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast())
    }
}

fn message(error: result::DriverError) -> String {
    let text = error.error_string().map(|text| text.to_string_lossy().into_owned());
    text.unwrap_or_else(|_| format!("{:?}", error.0))
}

/// A failure of the driver. One that a kernel caused is told by whatever comes after it.
fn driver_error(what: &str, error: result::DriverError) -> Error {
    Error::internal(format!("CUDA could not {what}: {}", message(error)))
}
