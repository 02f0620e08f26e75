//! Four components become one: the data, the host, the JavaScript runtime and the front.

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId};

/// What the parts offer each other.
const BUNDLE: &str = "emu:shell/bundle";
const INVOCATION: &str = "emu:shell/invocation";
const RUNTIME_IMPORTS: [&str; 2] = ["emu:js/host", "local:init/module-loader"];
const HANDLE: &str = "handle";
/// What is left to the outside, beside imports of WASI.
pub const HANDLER: &str = "wasi:http/handler@0.3.0";

/// The parts, each a component.
pub struct Parts {
    pub data: Vec<u8>,
    pub host: Vec<u8>,
    pub runtime: Vec<u8>,
    pub front: Vec<u8>,
}

/// One component that exports [`HANDLER`].
///
/// # Errors
/// When parts of different builds do not fit, which a test rules out.
pub fn compose(parts: Parts) -> anyhow::Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let data = add(&mut graph, "emu:data", parts.data)?;
    let host = add(&mut graph, "emu:host", parts.host)?;
    let runtime = add(&mut graph, "emu:runtime", parts.runtime)?;
    let front = add(&mut graph, "emu:front", parts.front)?;
    connect(&mut graph, data, host, BUNDLE)?;
    for name in RUNTIME_IMPORTS {
        connect(&mut graph, host, runtime, name)?;
    }
    connect(&mut graph, host, front, INVOCATION)?;
    connect(&mut graph, runtime, front, HANDLE)?;
    let handler = graph.alias_instance_export(front, HANDLER)?;
    graph.export(handler, HANDLER)?;
    Ok(graph.encode(EncodeOptions::default())?)
}

fn add(graph: &mut CompositionGraph, name: &str, bytes: Vec<u8>) -> anyhow::Result<NodeId> {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut())?;
    let package = graph.register_package(package)?;
    Ok(graph.instantiate(package))
}

/// Gives `to` what `from` exports by that name.
fn connect(graph: &mut CompositionGraph, from: NodeId, to: NodeId, name: &str) -> anyhow::Result<()> {
    let offered = graph.alias_instance_export(from, name)?;
    graph.set_instantiation_argument(to, name, offered)?;
    Ok(())
}
