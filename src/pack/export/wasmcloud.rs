//! wasmCloud: an application of components behind an HTTP server, as `wash app deploy` takes it.

use super::text::{Text, quoted};
use super::{Export, Input, dns_name, of_emu_alone};
use crate::project::{Function, Route, Segment};

/// Instances of a component that emu.toml does not bound.
const INSTANCES: u32 = 100;

pub fn export(input: &Input<'_>) -> Export {
    let mut export = Export::default();
    let mut text = Text::default();
    text.comment(0, "Made by `emu export --target wasmcloud` from emu.toml.");
    text.comment(
        0,
        export.note(
            "",
            "memory, timeout and keep_alive of emu.toml have no place in an application",
        ),
    );
    text.line(0, "apiVersion: core.oam.dev/v1beta1");
    text.line(0, "kind: Application");
    text.line(0, "metadata:");
    text.line(2, format!("name: {}", dns_name(&input.project.name)));
    text.line(2, "annotations:");
    text.line(
        4,
        format!(
            "description: {}",
            quoted(&format!("{}, made from emu.toml", input.project.name))
        ),
    );
    text.line(0, "spec:");
    text.line(2, "components:");
    let (called, others): (Vec<&Function>, Vec<&Function>) = input
        .project
        .functions
        .values()
        .partition(|function| !function.routes.is_empty());
    for function in &called {
        component(&mut text, input, &mut export, function);
    }
    for function in others {
        let why = "has no route: nothing would call it, and it is left out";
        text.comment(4, export.note(&function.name, why));
    }
    if !called.is_empty() {
        server(&mut text, &mut export, &called);
    }
    export.files.insert("wadm.yaml".to_owned(), text.done());
    export
        .steps
        .push(format!("emu package --format wasm --push {}", input.image));
    export.steps.push("wash app deploy wadm.yaml".to_owned());
    export
}

fn component(text: &mut Text, input: &Input<'_>, export: &mut Export, function: &Function) {
    let id = dns_name(&function.name);
    let mut lost = of_emu_alone(function);
    lost.extend(function.crons.iter().map(|cron| format!("cron {}", cron.name)));
    if !lost.is_empty() {
        text.comment(
            4,
            export.note(&function.name, format!("{} stay in emu", lost.join(", "))),
        );
    }
    let (repository, tag) = input.repository();
    let image = match input.project.functions.len() {
        1 => input.image.clone(),
        _ => format!("{repository}/{}:{tag}", function.name.to_lowercase()),
    };
    text.line(4, format!("- name: {id}"));
    text.line(6, "type: component");
    text.line(6, "properties:");
    text.line(8, format!("image: {}", quoted(&image)));
    let env = input.open_env(function);
    if !env.is_empty() {
        text.line(8, "config:");
        text.line(10, format!("- name: {id}-env"));
        text.line(12, "properties:");
        for (name, value) in env {
            text.line(14, format!("{name}: {}", quoted(value)));
        }
    }
    let secret = input.secret_names(function);
    if !secret.is_empty() {
        let why = format!(
            "{} belong into a secrets backend: see `secrets` of wadm",
            secret.join(", ")
        );
        text.comment(8, export.note(&function.name, why));
    }
    text.line(6, "traits:");
    text.line(8, "- type: spreadscaler");
    text.line(10, "properties:");
    text.line(
        12,
        format!("instances: {}", function.max_concurrency.unwrap_or(INSTANCES)),
    );
}

/// The provider that takes requests, with a link for each function.
fn server(text: &mut Text, export: &mut Export, functions: &[&Function]) {
    text.line(4, "- name: httpserver");
    text.line(6, "type: capability");
    text.line(6, "properties:");
    text.line(8, "image: ghcr.io/wasmcloud/http-server:0.27.0");
    text.line(6, "traits:");
    for function in functions {
        let id = dns_name(&function.name);
        let paths: Vec<String> = function.routes.iter().map(path).collect();
        let first = paths.first().cloned().unwrap_or_else(|| "/".to_owned());
        if paths.len() > 1 || function.routes.iter().any(|route| route.pattern != first) {
            let routes: Vec<&str> = function.routes.iter().map(|route| route.pattern.as_str()).collect();
            let why = format!(
                "the server routes by one path: {first} stands for {}",
                routes.join(", ")
            );
            text.comment(8, export.note(&function.name, why));
        }
        text.line(8, "- type: link");
        text.line(10, "properties:");
        text.line(12, "target:");
        text.line(14, format!("name: {id}"));
        text.line(12, "namespace: wasi");
        text.line(12, "package: http");
        text.line(12, "interfaces: [incoming-handler]");
        text.line(12, "source:");
        text.line(14, "config:");
        text.line(16, format!("- name: {id}-http"));
        text.line(18, "properties:");
        text.line(20, "routing_mode: path");
        text.line(20, "address: 0.0.0.0:8000");
        text.line(20, format!("path: {}", quoted(&first)));
    }
}

/// What comes before the first parameter.
fn path(route: &Route) -> String {
    let literal = route.segments.iter().map_while(|segment| match segment {
        Segment::Literal(text) => Some(text.as_str()),
        Segment::Param(_) | Segment::Rest(_) => None,
    });
    format!("/{}", literal.collect::<Vec<_>>().join("/"))
}
