//! Spin: each function that answers requests as a component behind its routes.

use super::text::{Text, quoted};
use super::{Export, Input, dns_name, of_emu_alone};
use crate::project::{Function, Route, Segment, SourceKind};

pub fn export(input: &Input<'_>) -> Export {
    let mut export = Export::default();
    let mut text = Text::default();
    text.comment(0, "Made by `emu export --target spin` from emu.toml.");
    let comment = export.note(
        "",
        "Spin sets memory, timeout and concurrency for all components alike, when it is started; those of emu.toml are left out",
    );
    text.comment(0, comment);
    text.line(0, "spin_manifest_version = 2");
    text.blank();
    text.line(0, "[application]");
    text.line(0, format!("name = {}", quoted(&dns_name(&input.project.name))));
    text.line(0, "version = \"0.1.0\"");
    for function in input.project.functions.values() {
        component(&mut text, input, &mut export, function);
    }
    export.files.insert("spin.toml".to_owned(), text.done());
    for function in input.project.functions.values().filter(|function| is_bundled(function)) {
        let id = dns_name(&function.name);
        export.steps.push(format!("emu bundle {} -o {id}.wasm", function.name));
    }
    export.steps.push("spin up".to_owned());
    export
}

fn is_bundled(function: &Function) -> bool {
    function.kind == SourceKind::Script && !function.routes.is_empty()
}

fn component(text: &mut Text, input: &Input<'_>, export: &mut Export, function: &Function) {
    let id = dns_name(&function.name);
    text.blank();
    if function.routes.is_empty() && function.crons.is_empty() {
        let why = "has no route and no cron, and nothing in Spin calls it by a queue or topic: it is left out";
        text.comment(0, export.note(&function.name, why));
        return;
    }
    let lost = of_emu_alone(function);
    if !lost.is_empty() {
        text.comment(
            0,
            export.note(
                &function.name,
                format!("{} stay in emu: a call of one fails", lost.join(", ")),
            ),
        );
    }
    if function.routes.iter().any(|route| route.method.is_some()) {
        text.comment(0, export.note(&function.name, "Spin's routes hold for all methods"));
    }
    for route in &function.routes {
        text.line(0, "[[trigger.http]]");
        text.line(0, format!("route = {}", quoted(&path(route))));
        text.line(0, format!("component = {}", quoted(&id)));
        text.blank();
    }
    for cron in &function.crons {
        let why = format!(
            "{} fires by the plugin trigger-cron, which calls another handler than wasi:http: not exported",
            cron.name
        );
        text.comment(0, export.note(&function.name, why));
    }
    if function.routes.is_empty() {
        return;
    }
    text.line(0, format!("[component.{}]", quoted(&id)));
    let source = match function.kind {
        SourceKind::Script => format!("{id}.wasm"),
        SourceKind::Wasm => function.source.to_string_lossy().replace('\\', "/"),
    };
    text.line(0, format!("source = {}", quoted(&source)));
    let hosts: Vec<String> = function
        .allow_hosts
        .iter()
        .map(|host| quoted(&outbound(host)))
        .collect();
    text.line(0, format!("allowed_outbound_hosts = [{}]", hosts.join(", ")));
    let env = input.open_env(function);
    if !env.is_empty() {
        let pairs: Vec<String> = env
            .iter()
            .map(|(name, value)| format!("{name} = {}", quoted(value)))
            .collect();
        text.line(0, format!("environment = {{ {} }}", pairs.join(", ")));
    }
    let secret = input.secret_names(function);
    if !secret.is_empty() {
        let why = format!(
            "{} are given when it starts: spin up --env NAME=VALUE",
            secret.join(", ")
        );
        text.comment(0, export.note(&function.name, why));
    }
}

/// `/products/:id`, `/files/...`.
fn path(route: &Route) -> String {
    let parts = route.segments.iter().map(|segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Param(name) => format!(":{name}"),
        Segment::Rest(_) => "...".to_owned(),
    });
    format!("/{}", parts.collect::<Vec<_>>().join("/"))
}

/// `*://api.example.com:*`.
fn outbound(host: &str) -> String {
    match (host, host.rsplit_once(':')) {
        ("*", _) => "*://*:*".to_owned(),
        (_, Some((name, port))) => format!("*://{name}:{port}"),
        (host, None) => format!("https://{host}"),
    }
}
