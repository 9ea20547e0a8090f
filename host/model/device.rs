//! Where a network runs: the choice of a manifest, the device that it becomes, and a network on whichever it is.

use serde::{Deserialize, Serialize};

use super::network::{Network, NetworkOptions};
use super::{ModelConfig, Weights};
#[cfg(not(feature = "cuda"))]
use so8t_base::Error;
use so8t_base::Result;
use so8t_kernels::cpu::Cpu;
#[cfg(feature = "cuda")]
use so8t_kernels::cuda::Cuda;

/// Where the model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// A GPU where this program was built with CUDA and finds one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, or an error.
    Cuda,
}

/// A device that is open.
pub enum Device {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    #[cfg(feature = "cuda")]
    Cuda(Cuda),
}

impl Device {
    /// Opens what was chosen; with it comes what the user should know, where the choice was left to this program.
    ///
    /// Errors: `cuda` without a GPU that can be used, or in a program that was built without CUDA.
    pub fn open(choice: DeviceChoice) -> Result<(Self, Option<String>)> {
        match choice {
            DeviceChoice::Cpu => Ok((Self::Cpu, None)),
            DeviceChoice::Cuda => Ok((Self::cuda()?, None)),
            DeviceChoice::Auto => Ok(Self::best()),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda() -> Result<Self> {
        Ok(Self::Cuda(Cuda::open().map_err(|e| e.context("`device = \"cuda\"`"))?))
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda() -> Result<Self> {
        Err(Error::manifest("`device = \"cuda\"`: this program was built without CUDA")
            .with_hint("build it with `--features cuda`, or leave `device` out"))
    }

    #[cfg(feature = "cuda")]
    fn best() -> (Self, Option<String>) {
        use so8t_kernels::cuda::driver::Driver as _;
        match Cuda::open() {
            Ok(device) => {
                let name = device.driver().name();
                (Self::Cuda(device), Some(name))
            }
            Err(error) => (Self::Cpu, Some(format!("the processor: {error}"))),
        }
    }

    #[cfg(not(feature = "cuda"))]
    fn best() -> (Self, Option<String>) {
        (Self::Cpu, None)
    }
}

/// A network on whichever device it is; [`on_network`] goes on with the network itself.
pub enum AnyNetwork {
    /// On the processor.
    Cpu(Network<Cpu>),
    /// On an NVIDIA GPU.
    #[cfg(feature = "cuda")]
    Cuda(Network<Cuda>),
}

impl AnyNetwork {
    /// Loads a network onto a device.
    pub fn load(device: Device, config: &ModelConfig, weights: &Weights, options: NetworkOptions) -> Result<Self> {
        match device {
            Device::Cpu => Network::new(config, weights, options).map(Self::Cpu),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                Network::load(device, config, options, |name, _| Ok(weights.load_f32(name)?.1)).map(Self::Cuda)
            }
        }
    }
}

/// `on_network!(any, network => expression)`: the expression for the network of whichever device, every one of which it must fit.
#[cfg(feature = "cuda")]
#[macro_export]
macro_rules! on_network {
    ($any:expr, $network:ident => $body:expr) => {
        match $any {
            $crate::device::AnyNetwork::Cpu($network) => $body,
            $crate::device::AnyNetwork::Cuda($network) => $body,
        }
    };
}

/// `on_network!(any, network => expression)`: the expression for the network of whichever device, every one of which it must fit.
#[cfg(not(feature = "cuda"))]
#[macro_export]
macro_rules! on_network {
    ($any:expr, $network:ident => $body:expr) => {
        match $any {
            $crate::device::AnyNetwork::Cpu($network) => $body,
        }
    };
}

pub use on_network;
