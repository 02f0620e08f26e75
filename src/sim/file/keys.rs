//! Every key of a simulation file, as [`crate::project::keys`] has those of `emu.toml`.

use crate::project::keys::{DURATION, KEEP_ALIVE, Kind, TEXT, Table, Text, U32, key};

const RATE: Kind = TEXT;
const SPREAD: Kind = Kind::OneOf(&[DURATION, Kind::Table(&SPREAD_TABLE)]);

pub static ROOT: Table = Table {
    path: "",
    doc: "The file as a whole. Only `[workload]` and one function or server must be there.",
    keys: &[
        key("name", TEXT, "the file's name", "What the report calls it."),
        key(
            "provider",
            TEXT,
            "`\"aws-lambda\"`",
            "Whose rules, cold starts and prices apply.",
        ),
        key("horizon", DURATION, "`\"1d\"`", "Simulated time that counts.").also(&["duration", "time", "length"]),
        key(
            "warmup",
            DURATION,
            "`\"0s\"`",
            "Simulated time before it, which no figure counts.",
        )
        .also(&["warm_up", "skip"]),
        key(
            "replications",
            Kind::Integer { min: 1, max: 100_000 },
            "`10`",
            "Independent runs; intervals come from their spread.",
        )
        .also(&["runs", "repeat", "repetitions"]),
        key(
            "seed",
            Kind::Integer { min: 0, max: u64::MAX },
            "`1`",
            "The same seed gives the same figures on every machine.",
        ),
        key(
            "limits",
            Kind::Table(&LIMITS),
            "the provider's",
            "What the provider's account allows.",
        ),
        key(
            "workload",
            Kind::Table(&WORKLOAD),
            "",
            "When requests come; functions may have their own.",
        )
        .also(&["load", "traffic", "arrivals"]),
        key(
            "trace",
            Kind::Table(&TRACE),
            "",
            "Recorded requests in place of `[workload]`, for as many functions as the trace has.",
        ),
        key("functions", Kind::Named(&FUNCTION), "", "Functions by name.").also(&["function", "lambda", "fleet"]),
        key(
            "servers",
            Kind::Named(&SERVERS),
            "",
            "Servers that always run, beside the functions, for the same requests.",
        )
        .also(&["server", "vm", "vms", "always_on"]),
    ],
};

pub static LIMITS: Table = Table {
    path: "limits",
    doc: "What the provider's account allows.",
    keys: &[
        key(
            "provider",
            Kind::Bool,
            "`true`",
            "`false`: none of the provider's own limits holds, only those named here.",
        ),
        key(
            "account_concurrency",
            Kind::Integer { min: 0, max: U32 },
            "the provider's",
            "Instances of all functions that may start or work at once.",
        )
        .also(&["concurrency", "account"]),
        key(
            "starts",
            RATE,
            "the provider's",
            "New instances of a function, such as `\"1000/10s\"`.",
        )
        .also(&["scale_up", "start_rate", "burst"]),
        key(
            "max_age",
            DURATION,
            "the provider's",
            "Instances are replaced at this age.",
        ),
        key(
            "wait",
            DURATION,
            "the provider's",
            "How long a request waits where there is no capacity; `\"0s\"` refuses it at once.",
        ),
        key(
            "wait_requests",
            Kind::Integer { min: 0, max: U32 },
            "the provider's, `1000` beside `wait`",
            "Requests of a function that may wait.",
        ),
    ],
};

pub static WORKLOAD: Table = Table {
    path: "workload",
    doc: "When requests come. Rates are texts such as `\"10/s\"`, `\"600/m\"` or `\"5/h\"`.",
    keys: &[
        key(
            "pattern",
            Kind::Text(Text::Choice(&[
                "poisson", "uniform", "burst", "spike", "wave", "on-off", "markov", "closed", "gaps",
            ])),
            "`\"poisson\"`",
            "The shape of the traffic.",
        )
        .also(&["kind", "type", "process", "shape"]),
        key("rate", RATE, "", "Requests; of a spike beside it, of on-off while on.").also(&[
            "lambda",
            "rps",
            "arrival_rate",
        ]),
        key("peak", RATE, "", "spike, wave: the highest rate.").also(&["max", "top"]),
        key("low", RATE, "`\"0/s\"`", "wave: the lowest rate.").also(&["min", "base"]),
        key("period", DURATION, "`\"1d\"`", "wave: from one low to the next."),
        key("at", DURATION, "", "spike: when it begins.").also(&["start", "begins"]),
        key("lasts", DURATION, "", "spike: how long it lasts.").also(&["for", "width"]),
        key(
            "size",
            Kind::Integer { min: 1, max: U32 },
            "",
            "burst: requests that come at once.",
        )
        .also(&["requests", "burst"]),
        key("every", DURATION, "", "burst: from one burst to the next.").also(&["interval"]),
        key("on", SPREAD, "", "on-off: how long requests come."),
        key("off", SPREAD, "", "on-off: how long none does."),
        key(
            "states",
            Kind::List(&Kind::Table(&STATE)),
            "",
            "markov: rates that follow one another at random.",
        ),
        key("gaps", SPREAD, "", "gaps: from one request to the next."),
        key(
            "clients",
            Kind::Integer { min: 1, max: 1_000_000 },
            "",
            "closed: clients that wait for the answer before they send again.",
        )
        .also(&["users"]),
        key(
            "think",
            SPREAD,
            "`\"1s\"`",
            "closed: what a client waits after an answer.",
        )
        .also(&["think_time", "pause"]),
    ],
};

pub static TRACE: Table = Table {
    path: "trace",
    doc: "Recorded requests. The only `[functions.NAME]` says what holds for each function of the trace.",
    keys: &[
        key(
            "files",
            Kind::List(&TEXT),
            "",
            "Azure 2019 (`invocations_per_function_md...`, a file a day), Azure 2021, or CSV with `time,function,duration`.",
        )
        .also(&["file", "requests", "invocations"])
        .required(),
        key(
            "durations",
            Kind::List(&TEXT),
            "`[]`",
            "Azure 2019: `function_durations_percentiles...`.",
        )
        .also(&["duration"]),
        key(
            "memory",
            Kind::List(&TEXT),
            "`[]`",
            "Azure 2019: `app_memory_percentiles...`; the most that an application took.",
        ),
        key(
            "functions",
            Kind::Integer { min: 1, max: 100_000 },
            "all",
            "Only the first so many functions of the files.",
        ),
    ],
};

pub static STATE: Table = Table {
    path: "workload.states",
    doc: "A state of `pattern = \"markov\"`.",
    keys: &[
        key("rate", RATE, "", "Requests while it lasts.").required(),
        key("lasts", DURATION, "", "How long, on average.")
            .also(&["mean", "for"])
            .required(),
    ],
};

pub static SPREAD_TABLE: Table = Table {
    path: "NAME.service",
    doc: "A time that is drawn: `{ exponential = \"2s\" }`, log-normal `{ median = \"80ms\", p99 = \"400ms\" }`, \
          `{ min = \"10ms\", max = \"30ms\" }`, or quantiles `{ p50 = \"80ms\", p90 = \"120ms\", p99 = \"400ms\" }`.",
    keys: &[
        key("exponential", DURATION, "", "The mean of an exponential distribution.").also(&["exp", "mean"]),
        key(
            "median",
            DURATION,
            "",
            "Log-normal: its median, beside `sigma` or `p99`.",
        ),
        key(
            "sigma",
            Kind::Decimal,
            "",
            "Log-normal: standard deviation of the logarithm.",
        ),
        key("min", DURATION, "", "The shortest; with `max` alone: evenly between.").also(&["p0", "from"]),
        key("p10", DURATION, "", "Of a table of quantiles."),
        key("p25", DURATION, "", "Of a table of quantiles."),
        key("p50", DURATION, "", "Of a table of quantiles."),
        key("p75", DURATION, "", "Of a table of quantiles."),
        key("p90", DURATION, "", "Of a table of quantiles."),
        key("p95", DURATION, "", "Of a table of quantiles."),
        key(
            "p99",
            DURATION,
            "",
            "Of a table of quantiles, or of a log-normal distribution.",
        ),
        key("p999", DURATION, "", "Of a table of quantiles.").also(&["p99_9"]),
        key("max", DURATION, "", "The longest.").also(&["p100", "to"]),
    ],
};

pub static FUNCTION: Table = Table {
    path: "functions.NAME",
    doc: "A function and its fleet.",
    keys: &[
        key("service", SPREAD, "", "How long a request runs.")
            .also(&["duration", "service_time", "warm", "takes"])
            .required(),
        key(
            "cold_service",
            SPREAD,
            "`service`",
            "How long one runs that waited for a cold start, beside that.",
        )
        .also(&["cold"]),
        key(
            "cold_start",
            Kind::OneOf(&[
                Kind::Text(Text::Choice(&["provider", "none"])),
                DURATION,
                Kind::Table(&SPREAD_TABLE),
            ]),
            "`\"provider\"`",
            "How long an instance takes to start; as measured at the provider, or a time.",
        )
        .also(&["init", "startup"]),
        key(
            "runtime",
            TEXT,
            "the provider's for scripts",
            "Whose cold start it has, such as `nodejs22`.",
        ),
        key(
            "package",
            Kind::Text(Text::Size),
            "`\"1KB\"`",
            "The size of its package, which cold starts grow with.",
        )
        .also(&["package_size", "code"]),
        key(
            "memory",
            Kind::Text(Text::Size),
            "the provider's",
            "What it is billed for.",
        )
        .also(&["memory_mb", "mem", "ram", "memory_size"]),
        key(
            "memory_used",
            Kind::Text(Text::Size),
            "`memory`",
            "Where the provider bills what is used.",
        ),
        key(
            "concurrency",
            Kind::Integer { min: 1, max: 1_000 },
            "the provider's",
            "Requests that one instance takes at once.",
        )
        .also(&["container_concurrency", "instance_concurrency"]),
        key(
            "min_instances",
            Kind::Integer { min: 0, max: 100_000 },
            "`0`",
            "Instances kept ready, and billed.",
        )
        .also(&["provisioned_concurrency", "provisioned", "minimum_instances"]),
        key(
            "max_concurrency",
            Kind::Integer { min: 0, max: U32 },
            "the provider's",
            "Instances at most; above it requests are refused.",
        )
        .also(&["reserved_concurrency", "max_instances", "max_scale"]),
        key(
            "keep_alive",
            Kind::OneOf(&[
                DURATION,
                Kind::Text(Text::Choice(&["none", "forever"])),
                Kind::Table(&KEEP_ALIVE),
            ]),
            "the provider's",
            "How long an idle instance stays warm.",
        )
        .also(&["idle_timeout", "ttl", "keepalive", "expiry"]),
        key(
            "workload",
            Kind::Table(&WORKLOAD),
            "`[workload]`",
            "When its requests come.",
        ),
    ],
};

pub static SERVERS: Table = Table {
    path: "servers.NAME",
    doc: "Servers that always run, behind one line.",
    keys: &[
        key("type", TEXT, "", "A machine whose price is known, such as `t4g.small`.").also(&[
            "machine",
            "instance",
            "instance_type",
        ]),
        key(
            "hourly",
            TEXT,
            "the price of `type`",
            "Dollars an hour of one server, such as `\"$0.0168\"`.",
        )
        .also(&["price", "cost", "hour"]),
        key("count", Kind::Integer { min: 1, max: 10_000 }, "`1`", "Servers.").also(&["servers", "machines", "n"]),
        key(
            "workers",
            Kind::Integer { min: 1, max: 100_000 },
            "`1`",
            "Requests that a server works on at once.",
        )
        .also(&["threads", "cores"]),
        key(
            "queue",
            Kind::Integer { min: 0, max: U32 },
            "`100`",
            "Requests that may wait, for each server.",
        )
        .also(&["backlog", "waiting"]),
        key(
            "service",
            SPREAD,
            "that of the function",
            "How long a request takes on a server.",
        )
        .also(&["duration", "service_time"]),
        key(
            "workload",
            Kind::Table(&WORKLOAD),
            "the functions' requests",
            "When its requests come.",
        ),
        key(
            "outages",
            Kind::List(&Kind::Table(&OUTAGE)),
            "`[]`",
            "When one of the servers is away; what it works on is lost.",
        )
        .also(&["outage", "failures", "down"]),
    ],
};

pub static OUTAGE: Table = Table {
    path: "servers.NAME.outages",
    doc: "One server dies and comes back.",
    keys: &[
        key("at", DURATION, "", "When, from the beginning of the run.").required(),
        key("lasts", DURATION, "", "Until it is back.")
            .also(&["for"])
            .required(),
    ],
};
