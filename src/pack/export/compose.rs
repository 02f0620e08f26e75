//! Compose: the whole project in one container, with all that emu does in it.

use super::text::{Text, quoted};
use super::{Export, Input, dns_name};
use crate::pack::image::PORT;

pub fn export(input: &Input<'_>) -> Export {
    let mut export = Export::default();
    let mut text = Text::default();
    let name = dns_name(&input.project.name);
    text.comment(
        0,
        "Made by `emu export --target compose` from emu.toml; docker compose and podman compose run it.",
    );
    let comment = export.note(
        "",
        "emu keeps memory, timeout and concurrency of each function by itself; Compose sees one container, and no scale to zero",
    );
    text.comment(0, comment);
    text.line(0, format!("name: {name}"));
    text.line(0, "services:");
    text.line(2, format!("{name}:"));
    text.line(4, format!("image: {}", quoted(&input.image)));
    text.line(4, "restart: unless-stopped");
    text.line(4, "init: false");
    text.line(4, "read_only: true");
    text.line(4, "cap_drop: [ALL]");
    text.line(4, "security_opt: [\"no-new-privileges:true\"]");
    text.line(4, "ports:");
    text.line(6, format!("- \"{PORT}:{PORT}\""));
    environment(&mut text, input, &mut export);
    text.comment(4, "Messages, key-value stores and the history outlive the container.");
    text.line(4, "volumes:");
    text.line(6, "- state:/app/.emu");
    text.line(4, "tmpfs:");
    text.line(6, "- /tmp");
    text.comment(4, "emu stops within 8 s (--drain-timeout).");
    text.line(4, "stop_grace_period: 10s");
    text.line(4, "healthcheck:");
    text.line(6, "test: [\"CMD\", \"/usr/local/bin/emu\", \"status\", \"--quiet\"]");
    text.line(6, "interval: 30s");
    text.line(6, "timeout: 5s");
    text.line(6, "start_period: 10s");
    text.line(6, "retries: 3");
    text.line(4, "deploy:");
    text.comment(
        6,
        export.note(
            "",
            "two containers would each have queues and fire each cron: one replica, unless EMU_BUS names a server that they share",
        ),
    );
    text.line(6, "replicas: 1");
    text.line(0, "volumes:");
    text.line(2, "state: {}");
    export.files.insert("compose.yaml".to_owned(), text.done());
    export
        .steps
        .push(format!("emu package --tag {} -o image.tar", input.repository().1));
    export
        .steps
        .push("load the image under the name in compose.yaml, or push it there: emu package --push".to_owned());
    export.steps.push("docker compose up".to_owned());
    export
}

fn environment(text: &mut Text, input: &Input<'_>, export: &mut Export) {
    let mut secret: Vec<String> = input.project.env_names.iter().cloned().collect();
    for function in input.project.functions.values() {
        secret.extend(input.secret_names(function));
    }
    secret.sort();
    secret.dedup();
    text.line(4, "environment:");
    text.line(6, format!("PORT: \"{PORT}\""));
    text.line(6, "EMU_LOG_FORMAT: json");
    if !secret.is_empty() {
        let comment = export.note(
            "",
            format!(
                "values of {} come from the shell or an .env file beside compose.yaml",
                secret.join(", ")
            ),
        );
        text.comment(6, comment);
        text.line(6, format!("EMU_PASS: {}", quoted(&secret.join(","))));
        for name in &secret {
            text.line(6, format!("{name}:"));
        }
    }
}
