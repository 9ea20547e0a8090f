//! Kernels compiled for a device when they are first used.

use std::ffi::{CStr, CString, c_char, c_int};

use cudarc::nvrtc::result::{self, NvrtcError};
use cudarc::nvrtc::sys;

use super::super::PRELUDE;
use so8t_base::{Error, Result};

/// The compute capability of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// The generation.
    pub major: i32,
    /// The chip within it.
    pub minor: i32,
}

/// The kernels of a family as an image that the driver loads: machine code where the compiler knows the architecture, else PTX for the
/// latest that it knows.
///
/// Errors: no compiler; one that fails, with its messages.
pub fn compile(family: &str, source: &str, architecture: Architecture) -> Result<Vec<u8>> {
    // SAFETY: looks for the library by name; its initialisers are NVIDIA's.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::manifest("the run-time compiler (`libnvrtc`) was not found").with_hint(super::LIBRARIES));
    }
    let failed = |e: NvrtcError| Error::internal(format!("the run-time compiler failed on `{family}`: {e:?}"));
    let (machine_code, option) = target(architecture).map_err(failed)?;
    let text = format!("{PRELUDE}\n#line 1 \"{family}.cu\"\n{source}");
    let text = CString::new(text).map_err(|_| Error::internal(format!("`{family}.cu` holds a zero byte")))?;
    let name = CString::new(format!("{family}.cu")).unwrap_or_default();
    let program = Program::new(&text, &name).map_err(failed)?;
    // SAFETY: the program was just made.
    let compiled = unsafe { result::compile_program(program.0, &[option.as_str(), "--std=c++17"]) };
    if compiled.is_err() {
        // SAFETY: the program was compiled, if without success.
        let log = unsafe { result::get_program_log(program.0) }.unwrap_or_default();
        let log: Vec<u8> = log.into_iter().map(|c| c as u8).filter(|&c| c != 0).collect();
        let log = String::from_utf8_lossy(&log);
        return Err(Error::internal(format!("`{family}.cu` cannot be compiled ({option}):\n{}", log.trim_end())));
    }
    program.image(machine_code).map_err(failed)
}

/// Whether machine code can be had, and the option that asks for the best there is.
fn target(Architecture { major, minor }: Architecture) -> std::result::Result<(bool, String), NvrtcError> {
    let mut count: c_int = 0;
    // SAFETY: writes one number.
    unsafe { sys::nvrtcGetNumSupportedArchs(&raw mut count) }.result()?;
    let mut known: Vec<c_int> = vec![0; count as usize];
    // SAFETY: writes as many numbers as it said.
    unsafe { sys::nvrtcGetSupportedArchs(known.as_mut_ptr()) }.result()?;
    let wanted = 10 * major + minor;
    if known.contains(&wanted) {
        return Ok((true, format!("--gpu-architecture=sm_{wanted}")));
    }
    let latest = known.into_iter().filter(|&architecture| architecture < wanted).max().unwrap_or(80);
    Ok((false, format!("--gpu-architecture=compute_{latest}")))
}

struct Program(sys::nvrtcProgram);

impl Program {
    fn new(text: &CStr, name: &CStr) -> std::result::Result<Self, NvrtcError> {
        result::create_program(text, Some(name)).map(Self)
    }

    fn image(&self, machine_code: bool) -> std::result::Result<Vec<u8>, NvrtcError> {
        let mut size = 0;
        // SAFETY: the program was compiled; the second call writes as many bytes as the first one says.
        unsafe {
            let length = if machine_code { sys::nvrtcGetCUBINSize } else { sys::nvrtcGetPTXSize };
            length(self.0, &raw mut size).result()?;
            let mut image = vec![0u8; size];
            let read = if machine_code { sys::nvrtcGetCUBIN } else { sys::nvrtcGetPTX };
            read(self.0, image.as_mut_ptr().cast::<c_char>()).result()?;
            Ok(image)
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and destroyed once.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}
