//! Knative: functions that share nothing scale by themselves, those that share queues, stores or crons are one service that
//! does not.

use std::collections::BTreeSet;

use super::text::{Text, quoted};
use super::{Export, Input, dns_name, of_emu_alone, seconds};
use crate::pack::image::PORT;
use crate::project::{Function, Project};

/// What a container needs beside its functions' memory, in MB.
const OWN_MEMORY_MB: u32 = 128;

pub fn export(input: &Input<'_>) -> Export {
    let mut export = Export::default();
    let mut text = Text::default();
    text.comment(0, "Made by `emu export --target knative` from emu.toml. Every service runs the same image, with its functions only.");
    let comment = export.note(
        "",
        "each service has a host name of its own; one host for all paths needs a gateway (HTTPRoute) before them",
    );
    text.comment(0, comment);
    let shared = shared(input.project);
    let alone = input
        .project
        .functions
        .values()
        .filter(|function| !shared.contains(&function.name));
    for function in alone {
        let name = dns_name(&format!("{}-{}", input.project.name, function.name));
        service(&mut text, input, &mut export, &name, &[function], true);
    }
    let together: Vec<&Function> = input
        .project
        .functions
        .values()
        .filter(|f| shared.contains(&f.name))
        .collect();
    if !together.is_empty() {
        let name = dns_name(&input.project.name);
        service(&mut text, input, &mut export, &name, &together, false);
    }
    export.files.insert("knative.yaml".to_owned(), text.done());
    export.steps.push(format!("emu package --push {}", input.image));
    export.steps.push("kubectl apply -f knative.yaml".to_owned());
    export
}

/// Functions that would miss each other's messages, state or calls, and those that nobody wakes.
pub fn shared(project: &Project) -> BTreeSet<String> {
    let mut shared = BTreeSet::new();
    for function in project.functions.values() {
        let has_records = function.on_failure.is_some() || function.on_success.is_some();
        if !of_emu_alone(function).is_empty() || !function.crons.is_empty() || has_records {
            shared.insert(function.name.clone());
            shared.extend(function.calls().cloned());
        }
    }
    shared
}

fn service(text: &mut Text, input: &Input<'_>, export: &mut Export, name: &str, functions: &[&Function], scales: bool) {
    let names: Vec<&str> = functions.iter().map(|function| function.name.as_str()).collect();
    text.line(0, "---");
    text.line(0, "apiVersion: serving.knative.dev/v1");
    text.line(0, "kind: Service");
    text.line(0, "metadata:");
    text.line(2, format!("name: {name}"));
    text.line(0, "spec:");
    text.line(2, "template:");
    text.line(4, "metadata:");
    text.line(6, "annotations:");
    let alone = match functions {
        [function] if scales => Some(*function),
        _ => None,
    };
    if let Some(function) = alone {
        bounds(text, function);
    } else {
        let why = "queues, topics, stores and crons live in one emulator: exactly one replica, which does not scale to zero (several need EMU_BUS)";
        text.comment(8, export.note(&names.join(", "), why));
        text.line(8, "autoscaling.knative.dev/min-scale: \"1\"");
        text.line(8, "autoscaling.knative.dev/max-scale: \"1\"");
    }
    text.line(4, "spec:");
    if let Some(concurrency) = alone.and_then(|function| function.concurrency) {
        text.line(6, format!("containerConcurrency: {concurrency}"));
    }
    let longest = functions
        .iter()
        .map(|function| seconds(function.timeout))
        .max()
        .unwrap_or(60)
        .max(1);
    text.comment(
        6,
        "The longest timeout of its functions, and a second for emu's own answer.",
    );
    text.line(6, format!("timeoutSeconds: {}", longest + 1));
    text.line(6, "containers:");
    text.line(8, format!("- image: {}", quoted(&input.image)));
    text.line(10, "ports:");
    text.line(12, format!("- containerPort: {PORT}"));
    environment(text, input, export, functions);
    let memory: u32 = functions.iter().map(|function| function.memory_mb).sum();
    text.comment(
        10,
        "Each function's memory once, and emu's own; more invocations at once need more.",
    );
    text.line(10, "resources:");
    text.line(12, "limits:");
    text.line(14, format!("memory: {}Mi", memory + OWN_MEMORY_MB));
    text.line(10, "readinessProbe:");
    text.line(12, "httpGet:");
    text.line(14, "path: /healthz");
    text.line(10, "securityContext:");
    text.line(12, "runAsNonRoot: true");
    text.line(12, "allowPrivilegeEscalation: false");
    if !scales {
        text.line(10, "volumeMounts:");
        text.line(12, "- name: state");
        text.line(14, "mountPath: /app/.emu");
        text.line(6, "volumes:");
        let why = "messages and stores are lost with the pod; a PersistentVolumeClaim keeps them, where the cluster allows one";
        text.comment(8, export.note(&names.join(", "), why));
        text.line(8, "- name: state");
        text.line(10, "emptyDir: {}");
    }
}

fn bounds(text: &mut Text, function: &Function) {
    let least = function.min_instances;
    text.line(8, format!("autoscaling.knative.dev/min-scale: \"{least}\""));
    if let Some(most) = function.max_concurrency {
        let replicas = most.div_ceil(function.concurrency.unwrap_or(1).max(1)).max(1);
        text.comment(8, "max_concurrency, by what a replica takes at once.");
        text.line(8, format!("autoscaling.knative.dev/max-scale: \"{replicas}\""));
    }
    if let Some(keep) = &function.keep_alive {
        // Knative takes up to an hour.
        let seconds = seconds(keep.typical()).clamp(1, 3_600);
        text.comment(8, "keep_alive");
        text.line(
            8,
            format!("autoscaling.knative.dev/scale-to-zero-pod-retention-period: \"{seconds}s\""),
        );
    }
}

fn environment(text: &mut Text, input: &Input<'_>, export: &mut Export, functions: &[&Function]) {
    let names: Vec<&str> = functions.iter().map(|function| function.name.as_str()).collect();
    text.line(10, "env:");
    let pair = |text: &mut Text, name: &str, value: &str| {
        text.line(12, format!("- name: {name}"));
        text.line(14, format!("value: {}", quoted(value)));
    };
    pair(text, "EMU_FUNCTIONS", &names.join(","));
    pair(text, "EMU_LOG_FORMAT", "json");
    let secret: BTreeSet<String> = functions
        .iter()
        .flat_map(|function| input.secret_names(function))
        .collect();
    if !secret.is_empty() {
        let secret: Vec<String> = secret.into_iter().collect();
        let from = dns_name(&input.project.name);
        let why = format!(
            "{} come from the Secret {from}, which you make: kubectl create secret generic {from}",
            secret.join(", ")
        );
        text.comment(12, export.note(&names.join(", "), why));
        pair(text, "EMU_PASS", &secret.join(","));
        for name in secret {
            text.line(12, format!("- name: {name}"));
            text.line(14, "valueFrom:");
            text.line(16, format!("secretKeyRef: {{ name: {from}, key: {} }}", quoted(&name)));
        }
    }
}
