//! One body of tests for every device: the processor, a GPU whose kernels run on the processor, and a GPU where there is one.

mod bodies;
pub(crate) mod emulated;

use bodies::all;
use emulated::{Emulated, Order};
use so8t::kernels::cpu::Cpu;
use so8t::kernels::cuda::Device;

#[test]
fn the_processor_does_what_the_twins_say() {
    for (name, body) in all::<Cpu>() {
        eprintln!("{name}");
        body(&Cpu);
    }
}

fn emulated(order: Order) {
    let Some(driver) = Emulated::new(order) else { return };
    let device = Device::new(driver);
    for (name, body) in all() {
        eprintln!("{name}");
        body(&device);
    }
}

#[test]
fn an_emulated_gpu_does_what_the_twins_say() {
    emulated(Order::Ascending);
}

/// A forgotten barrier shows when threads run the other way round.
#[test]
fn an_emulated_gpu_does_the_same_in_another_order() {
    emulated(Order::Descending);
}

#[cfg(feature = "cuda")]
#[test]
fn a_gpu_does_what_the_twins_say() {
    match so8t::kernels::cuda::Cuda::open() {
        Ok(device) => {
            for (name, body) in all() {
                eprintln!("{name}");
                body(&device);
            }
        }
        Err(error) => eprintln!("skipped: {error}"),
    }
}

/// The run-time compiler needs no GPU.
#[cfg(feature = "cuda")]
#[test]
fn kernels_are_compiled_at_run_time() {
    use so8t::kernels::cuda::FAMILIES;
    use so8t::kernels::cuda::nvidia::{Architecture, compile};
    for (major, minor) in [(8, 0), (8, 6), (9, 0)] {
        for (family, source) in FAMILIES {
            let started = std::time::Instant::now();
            match compile(family, source, Architecture { major, minor }) {
                Ok(image) => {
                    eprintln!("{family} for {major}.{minor}: {} bytes in {:?}", image.len(), started.elapsed());
                    assert!(image.starts_with(b"\x7fELF"), "machine code, not PTX");
                }
                Err(error) if error.kind() == so8t::Kind::Manifest => return eprintln!("skipped: {error}"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_program_without_cuda_says_how_to_get_it() {
    use so8t::model::device::{Device, DeviceChoice};
    let Err(error) = Device::open(DeviceChoice::Cuda) else { panic!("there is no CUDA here") };
    assert_eq!(error.kind(), so8t::Kind::Manifest);
    assert!(error.hint().is_some_and(|hint| hint.contains("--features cuda")), "{error}");
    let (device, said) = Device::open(DeviceChoice::Auto).unwrap();
    assert!(matches!(device, Device::Cpu) && said.is_none());
}

/// Where no GPU can be used, asking for one is an error with a hint, and leaving the choice open is not.
#[cfg(feature = "cuda")]
#[test]
fn a_machine_without_a_gpu_falls_back_and_says_so() {
    use so8t::model::device::{Device, DeviceChoice};
    let Err(error) = Device::open(DeviceChoice::Cuda) else { return eprintln!("skipped: there is a GPU") };
    assert_eq!(error.kind(), so8t::Kind::Manifest);
    assert!(error.hint().is_some(), "{error}");
    let (device, said) = Device::open(DeviceChoice::Auto).unwrap();
    assert!(matches!(device, Device::Cpu));
    assert!(said.is_some_and(|said| said.starts_with("the processor: ")));
}
