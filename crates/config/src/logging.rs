//! `logging`: the section that all Kubernetes components share (k8s.io/component-base/logs/api/v1).

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::duration::{GoDuration, string_or_nanos};

/// `logging`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LoggingConfiguration {
    /// `text` (default, also for empty) or `json`.
    pub format: String,
    /// How long the log may be buffered. Default 5s (also for 0). A number is nanoseconds; it is written back
    /// as a string. Meaningless here: nothing is buffered.
    #[serde(deserialize_with = "string_or_nanos")]
    pub flush_frequency: GoDuration,
    /// How much is logged, 0 (default) to 2147483647.
    pub verbosity: u32,
    /// Other verbosities for single files of Go's source. Default none. Meaningless here.
    pub vmodule: Vec<VModuleItem>,
    /// Streams and buffers of the formats. Meaningless here.
    pub options: FormatOptions,
}

impl Default for LoggingConfiguration {
    fn default() -> Self {
        Self {
            format: "text".into(),
            flush_frequency: GoDuration::from_secs(5),
            verbosity: 0,
            vmodule: Vec::new(),
            options: FormatOptions::default(),
        }
    }
}

/// One item of `logging.vmodule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VModuleItem {
    /// A glob for the names of source files, without `=` and `,`.
    pub file_pattern: String,
    /// Their verbosity, 0 to 2147483647.
    pub verbosity: u32,
}

/// `logging.options`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FormatOptions {
    /// For format json.
    pub json: OutputRoutingOptions,
    /// For format text.
    pub text: OutputRoutingOptions,
}

/// `logging.options.json` and `logging.options.text`. kube-proxy wants the gate LoggingAlphaOptions for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OutputRoutingOptions {
    /// Errors to standard error, the rest to standard output. Default false.
    pub split_stream: bool,
    /// Bytes of buffer for the rest, as a Kubernetes quantity. Default `0` = unbuffered.
    #[serde(deserialize_with = "quantity")]
    pub info_buffer_size: String,
}

impl Default for OutputRoutingOptions {
    fn default() -> Self {
        Self { split_stream: false, info_buffer_size: "0".into() }
    }
}

/// A quantity is a string, and a number is read too. Its text is kept.
fn quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Quantity;
    impl Visitor<'_> for Quantity {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a quantity, such as 0 or 64Ki")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.into())
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }
    deserializer.deserialize_any(Quantity)
}
