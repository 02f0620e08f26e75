//! AWS SAM: handlers as Lambda functions with their events, queues and topics as resources.

use super::text::{Text, quoted};
use super::{Export, Input, seconds};
use crate::pack::export::cron;
use crate::project::{Binding, CronTrigger, Destination, Function, Project, Queue, Route, Segment, Topic};

/// Of Lambda's runtimes for JavaScript.
const RUNTIME: &str = "nodejs22.x";

pub fn export(input: &Input<'_>) -> Export {
    let mut export = Export::default();
    let mut text = Text::default();
    text.comment(
        0,
        "Made by `emu export --target sam` from emu.toml; the archives beside it by `emu package --format zip`.",
    );
    text.line(0, "AWSTemplateFormatVersion: \"2010-09-09\"");
    text.line(0, "Transform: AWS::Serverless-2016-10-31");
    text.line(
        0,
        format!(
            "Description: {}",
            quoted(&format!("{}, made from emu.toml", input.project.name))
        ),
    );
    parameters(&mut text, input);
    text.line(0, "Resources:");
    let mut has_api = false;
    let mut count = 0;
    for function in input.project.functions.values() {
        match input.handlers.get(&function.name) {
            Some(Ok(handler)) => {
                lambda(&mut text, input, &mut export, function, handler);
                has_api |= !function.routes.is_empty();
                count += 1;
            }
            Some(Err(why)) => text.comment(2, export.note(&function.name, format!("left out: {why}"))),
            None => {}
        }
    }
    for queue in input.project.queues.values() {
        resource_queue(&mut text, &mut export, queue);
    }
    for topic in input.project.topics.values() {
        resource_topic(&mut text, &mut export, topic);
    }
    for store in input.project.kv.keys() {
        let why = "key-value stores of emu have no equal in SAM; DynamoDB, called by its SDK, is nearest";
        text.comment(2, export.note(&format!("key-value store {store}"), why));
    }
    if input.project.queues.is_empty() && count == 0 {
        text.comment(2, "Nothing is left: a template needs a resource.");
        text.line(2, "Nothing:");
        text.line(4, "Type: AWS::CloudFormation::WaitConditionHandle");
    }
    if has_api {
        text.line(0, "Outputs:");
        text.line(2, "Url:");
        text.line(
            4,
            "Value: !Sub \"https://${ServerlessHttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/\"",
        );
    }
    export.files.insert("template.yaml".to_owned(), text.done());
    export.steps.push("emu package --format zip -o .".to_owned());
    export.steps.push("sam deploy --guided".to_owned());
    export
}

/// Values that emu.toml does not say.
fn parameters(text: &mut Text, input: &Input<'_>) {
    let mut names: Vec<String> = input
        .project
        .functions
        .values()
        .flat_map(|f| input.secret_names(f))
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return;
    }
    text.line(0, "Parameters:");
    for name in names {
        text.line(2, format!("{}:", id(&name)));
        text.line(4, "Type: String");
        text.line(4, "NoEcho: true");
        text.line(4, format!("Description: {}", quoted(&format!("Variable {name}"))));
    }
}

fn lambda(text: &mut Text, input: &Input<'_>, export: &mut Export, function: &Function, handler: &str) {
    text.line(2, format!("{}Function:", id(&function.name)));
    text.line(4, "Type: AWS::Serverless::Function");
    text.line(4, "Properties:");
    text.line(6, format!("CodeUri: {}.zip", function.name));
    text.line(6, format!("Handler: {}", quoted(handler)));
    text.line(6, format!("Runtime: {RUNTIME}"));
    text.line(6, format!("MemorySize: {}", function.memory_mb.max(128)));
    let whole = seconds(function.timeout).max(1);
    if !function.timeout.as_millis().is_multiple_of(1_000) {
        text.comment(
            6,
            export.note(
                &function.name,
                format!("Lambda takes whole seconds: timeout is {whole} s"),
            ),
        );
    }
    text.line(6, format!("Timeout: {whole}"));
    if let Some(most) = function.max_concurrency {
        text.line(6, format!("ReservedConcurrentExecutions: {most}"));
    }
    if function.min_instances > 0 {
        text.line(6, "AutoPublishAlias: live");
        text.line(6, "ProvisionedConcurrencyConfig:");
        text.line(
            8,
            format!("ProvisionedConcurrentExecutions: {}", function.min_instances),
        );
    }
    if function.keep_alive.is_some() {
        text.comment(6, export.note(&function.name, "keep_alive is AWS's own affair"));
    }
    if !function.allow_hosts.is_empty() {
        text.comment(
            6,
            export.note(
                &function.name,
                "allow_hosts: a Lambda function reaches every host, unless its VPC says otherwise",
            ),
        );
    }
    environment(text, input, export, function);
    policies(text, input, export, function);
    events(text, input.project, export, function);
    asynchronous(text, input, export, function);
}

/// Whether the template has the function.
pub fn is_there(input: &Input<'_>, name: &str) -> bool {
    matches!(input.handlers.get(name), Some(Ok(_)))
}

fn environment(text: &mut Text, input: &Input<'_>, export: &mut Export, function: &Function) {
    let open = input.open_env(function);
    let secret = input.secret_names(function);
    let addresses: Vec<(String, String)> = function
        .bind
        .iter()
        .filter_map(|(name, binding)| match binding {
            Binding::Queue(to) => Some((name.clone(), format!("!Ref {}Queue", id(to)))),
            Binding::Topic(to) => Some((name.clone(), format!("!Ref {}Topic", id(to)))),
            Binding::Function(to) if is_there(input, to) => Some((name.clone(), format!("!Ref {}Function", id(to)))),
            Binding::Function(_) | Binding::Kv(_) => None,
        })
        .filter(|(name, _)| !function.env.contains_key(name))
        .collect();
    if open.is_empty() && secret.is_empty() && addresses.is_empty() {
        return;
    }
    text.line(6, "Environment:");
    text.line(8, "Variables:");
    for (name, value) in open {
        text.line(10, format!("{name}: {}", quoted(value)));
    }
    for name in secret {
        text.line(10, format!("{name}: !Ref {}", id(&name)));
    }
    if !addresses.is_empty() {
        let why = "env.NAME.send is emu's: these hold the address of a queue, the ARN of a topic or the name of a function, for the SDK";
        text.comment(10, export.note(&function.name, why));
    }
    for (name, value) in addresses {
        text.line(10, format!("{name}: {value}"));
    }
}

fn policies(text: &mut Text, input: &Input<'_>, export: &mut Export, function: &Function) {
    let mut lines: Vec<(&str, &str, String)> = Vec::new();
    for (name, binding) in &function.bind {
        match binding {
            Binding::Function(gone) if !is_there(input, gone) => {
                let why = format!("env.{name}: {gone} is left out, and this binding with it");
                export.note(&function.name, why);
            }
            Binding::Queue(to) => {
                lines.push((
                    "SQSSendMessagePolicy",
                    "QueueName",
                    format!("!GetAtt {}Queue.QueueName", id(to)),
                ));
            }
            Binding::Topic(to) => {
                lines.push((
                    "SNSPublishMessagePolicy",
                    "TopicName",
                    format!("!GetAtt {}Topic.TopicName", id(to)),
                ));
            }
            Binding::Function(to) => {
                // By its name, which would be a circle where two call each other.
                lines.push((
                    "LambdaInvokePolicy",
                    "FunctionName",
                    format!("!Sub \"${{AWS::StackName}}-{}Function-*\"", id(to)),
                ));
            }
            Binding::Kv(to) => {
                export.note(&function.name, format!("key-value store {to} is emu's"));
            }
        }
    }
    lines.sort();
    lines.dedup();
    if lines.is_empty() {
        return;
    }
    text.line(6, "Policies:");
    for (policy, key, value) in lines {
        text.line(8, format!("- {policy}:"));
        text.line(12, format!("{key}: {value}"));
    }
}

fn events(text: &mut Text, project: &Project, export: &mut Export, function: &Function) {
    let has_cron = function
        .crons
        .iter()
        .any(|cron| cron::aws(cron.schedule.text()).is_ok());
    if function.routes.is_empty() && !has_cron && function.queue.is_none() && function.topic.is_none() {
        for cron in &function.crons {
            let why = cron::aws(cron.schedule.text()).err().unwrap_or_default();
            text.comment(6, export.note(&cron.name, format!("{}: {why}", cron.schedule.text())));
        }
        return;
    }
    text.line(6, "Events:");
    for (n, route) in function.routes.iter().enumerate() {
        text.line(8, format!("Http{}:", n + 1));
        text.line(10, "Type: HttpApi");
        text.line(10, "Properties:");
        text.line(12, format!("Path: {}", quoted(&path(route))));
        text.line(12, format!("Method: {}", route.method.as_deref().unwrap_or("ANY")));
        if function.payload_v1 {
            text.line(12, "PayloadFormatVersion: \"1.0\"");
        }
    }
    for (n, cron) in function.crons.iter().enumerate() {
        schedule(text, export, n, cron);
    }
    if let Some(trigger) = &function.queue {
        text.line(8, "Queue:");
        text.line(10, "Type: SQS");
        text.line(10, "Properties:");
        text.line(12, format!("Queue: !GetAtt {}Queue.Arn", id(&trigger.from)));
        text.line(12, format!("BatchSize: {}", trigger.batch_size));
        let is_fifo = project.queues.get(&trigger.from).is_some_and(|queue| queue.fifo);
        if !is_fifo && trigger.batch_window.as_millis() > 0 {
            text.line(
                12,
                format!("MaximumBatchingWindowInSeconds: {}", seconds(trigger.batch_window)),
            );
        }
        text.line(12, "FunctionResponseTypes: [ReportBatchItemFailures]");
        if let Some(most) = trigger.max_concurrency {
            if most < 2 {
                text.comment(
                    12,
                    export.note(&function.name, "AWS takes a concurrency of 2 and more for a queue"),
                );
            }
            text.line(12, "ScalingConfig:");
            text.line(14, format!("MaximumConcurrency: {}", most.max(2)));
        }
    }
    if let Some(trigger) = &function.topic {
        text.line(8, "Topic:");
        text.line(10, "Type: SNS");
        text.line(10, "Properties:");
        text.line(12, format!("Topic: !Ref {}Topic", id(&trigger.from)));
        if trigger.filter.is_some() {
            text.comment(
                12,
                export.note(
                    &function.name,
                    "copy the filter of its topic to FilterPolicy, whose form it has",
                ),
            );
        }
    }
}

fn schedule(text: &mut Text, export: &mut Export, n: usize, cron: &CronTrigger) {
    match cron::aws(cron.schedule.text()) {
        Ok(expression) => {
            text.line(8, format!("Cron{}:", n + 1));
            text.line(10, "Type: ScheduleV2");
            text.line(10, "Properties:");
            text.line(12, format!("ScheduleExpression: {}", quoted(&expression)));
            text.line(
                12,
                format!("ScheduleExpressionTimezone: {}", quoted(cron.schedule.timezone())),
            );
            text.comment(12, export.note(&cron.name, "overlapping runs are allowed at AWS"));
        }
        Err(why) => text.comment(8, export.note(&cron.name, format!("{}: {why}", cron.schedule.text()))),
    }
}

/// What becomes of asynchronous invocations.
fn asynchronous(text: &mut Text, input: &Input<'_>, export: &mut Export, function: &Function) {
    let mut to: Vec<(&str, &Destination)> = Vec::new();
    let written = [
        ("OnFailure", "on_failure", &function.on_failure),
        ("OnSuccess", "on_success", &function.on_success),
    ];
    for (key, name, destination) in written {
        match destination {
            Some(Destination::Function(gone)) if !is_there(input, gone) => {
                let why = format!("{name}: {gone} is left out, and this destination with it");
                text.comment(6, export.note(&function.name, why));
            }
            Some(destination) => to.push((key, destination)),
            None => {}
        }
    }
    if function.max_retries.is_none() && function.max_age.is_none() && to.is_empty() {
        return;
    }
    text.line(6, "EventInvokeConfig:");
    if let Some(age) = function.max_age {
        text.line(
            8,
            format!("MaximumEventAgeInSeconds: {}", seconds(age).clamp(60, 21_600)),
        );
    }
    if let Some(retries) = function.max_retries {
        if retries > 2 {
            text.comment(8, export.note(&function.name, "AWS retries twice at most"));
        }
        text.line(8, format!("MaximumRetryAttempts: {}", retries.min(2)));
    }
    if to.is_empty() {
        return;
    }
    text.line(8, "DestinationConfig:");
    for (key, to) in to {
        let (kind, arn) = match to {
            Destination::Queue(name) => ("SQS", format!("!GetAtt {}Queue.Arn", id(name))),
            Destination::Topic(name) => ("SNS", format!("!Ref {}Topic", id(name))),
            Destination::Function(name) => ("Lambda", format!("!GetAtt {}Function.Arn", id(name))),
        };
        text.line(10, format!("{key}:"));
        text.line(12, format!("Type: {kind}"));
        text.line(12, format!("Destination: {arn}"));
    }
}

fn resource_queue(text: &mut Text, export: &mut Export, queue: &Queue) {
    text.line(2, format!("{}Queue:", id(&queue.name)));
    text.line(4, "Type: AWS::SQS::Queue");
    text.line(4, "Properties:");
    if queue.fifo {
        text.line(6, "FifoQueue: true");
    }
    text.line(6, format!("VisibilityTimeout: {}", seconds(queue.visibility_timeout)));
    text.line(6, format!("DelaySeconds: {}", seconds(queue.delay).min(900)));
    text.line(
        6,
        format!(
            "MessageRetentionPeriod: {}",
            seconds(queue.retention).clamp(60, 1_209_600)
        ),
    );
    if let (Some(dead), Some(most)) = (&queue.dead_letter, queue.max_receives) {
        text.line(6, "RedrivePolicy:");
        text.line(8, format!("deadLetterTargetArn: !GetAtt {}Queue.Arn", id(dead)));
        text.line(8, format!("maxReceiveCount: {most}"));
    }
    export.note(
        &format!("queue {}", queue.name),
        "SQS bounds no queue: max_messages is left out",
    );
}

fn resource_topic(text: &mut Text, export: &mut Export, topic: &Topic) {
    let name = id(&topic.name);
    text.line(2, format!("{name}Topic:"));
    text.line(4, "Type: AWS::SNS::Topic");
    for subscription in &topic.queues {
        let queue = id(&subscription.queue);
        text.line(2, format!("{name}To{queue}:"));
        text.line(4, "Type: AWS::SNS::Subscription");
        text.line(4, "Properties:");
        text.line(6, format!("TopicArn: !Ref {name}Topic"));
        text.line(6, "Protocol: sqs");
        text.line(6, format!("Endpoint: !GetAtt {queue}Queue.Arn"));
        text.line(6, format!("RawMessageDelivery: {}", !subscription.wrapped));
        if subscription.filter.is_some() {
            let about = format!("topic {}", topic.name);
            text.comment(
                6,
                export.note(
                    &about,
                    "copy the filter of its subscription to FilterPolicy, whose form it has",
                ),
            );
        }
        text.line(2, format!("{name}To{queue}Policy:"));
        text.line(4, "Type: AWS::SQS::QueuePolicy");
        text.line(4, "Properties:");
        text.line(6, format!("Queues: [!Ref {queue}Queue]"));
        text.line(6, "PolicyDocument:");
        text.line(8, "Version: \"2012-10-17\"");
        text.line(8, "Statement:");
        text.line(10, "- Effect: Allow");
        text.line(12, "Principal: { Service: sns.amazonaws.com }");
        text.line(12, "Action: sqs:SendMessage");
        text.line(12, format!("Resource: !GetAtt {queue}Queue.Arn"));
        text.line(
            12,
            format!("Condition: {{ ArnEquals: {{ \"aws:SourceArn\": !Ref {name}Topic }} }}"),
        );
    }
}

/// `/products/{id}`, `/files/{proxy+}`.
fn path(route: &Route) -> String {
    let parts = route.segments.iter().map(|segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Param(name) => format!("{{{name}}}"),
        Segment::Rest(name) => format!("{{{}+}}", name.as_deref().unwrap_or("proxy")),
    });
    format!("/{}", parts.collect::<Vec<_>>().join("/"))
}

/// Letters and digits, each word with a capital: `orders-dead` is `OrdersDead`.
pub fn id(name: &str) -> String {
    let words = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let capital = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + rest
    };
    words.map(capital).collect()
}
