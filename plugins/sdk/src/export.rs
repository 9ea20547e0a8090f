//! The one line with which a plugin becomes a component.

/// Exports a [`Converter`](crate::Converter) as the component's.
#[cfg(feature = "converter")]
#[macro_export]
macro_rules! export_converter {
    ($type:ty) => {
        $crate::export_component!($type, ConverterExport, converter);
    };
}

/// Exports a [`Mapper`](crate::Mapper) as the component's.
#[cfg(feature = "mapper")]
#[macro_export]
macro_rules! export_mapper {
    ($type:ty) => {
        $crate::export_component!($type, MapperExport, mapper);
    };
}

/// Exports a [`Metric`](crate::Metric) as the component's.
#[cfg(feature = "metric")]
#[macro_export]
macro_rules! export_metric {
    ($type:ty) => {
        $crate::export_component!($type, MetricExport, metric);
    };
}

/// Exports a plugin through the type that has the functions of its world.
#[doc(hidden)]
#[macro_export]
macro_rules! export_component {
    ($type:ty, $export:ident, $world:ident) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "wit-bindgen exports the component's functions under their canonical names")]
        mod so8t_export {
            use super::*;
            type Export = $crate::$export<$type>;
            $crate::bindings::$world::export!(Export with_types_in $crate::bindings::$world);
        }
    };
}
