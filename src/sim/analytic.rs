//! What can be computed instead of simulated: Erlang's formulas, closed forms of keep-alive, and the Markov model of
//! Mahmoudi and Khazaei ("Performance Modeling of Serverless Computing Platforms", 2020), solved as a birth-death chain.

/// Share of requests that find all of `servers` busy and are lost, at `load` = arrival rate times service time.
pub fn erlang_b(load: f64, servers: u32) -> f64 {
    // From the share at one server fewer, inverted so that nothing overflows.
    let inverse = (1..=servers).fold(1.0, |inverse, n| 1.0 + inverse * f64::from(n) / load);
    1.0 / inverse
}

/// Share of requests that must wait where all may wait.
pub fn erlang_c(load: f64, servers: u32) -> f64 {
    let lost = erlang_b(load, servers);
    let busy = load / f64::from(servers);
    lost / (1.0 - busy * (1.0 - lost))
}

/// Mean time from arrival to end with exponential service, in the unit of `service`; `None`: more comes than can be served.
pub fn mean_latency(rate: f64, service: f64, servers: u32) -> Option<f64> {
    let load = rate * service;
    let spare = f64::from(servers) - load;
    (spare > 0.0).then(|| service + erlang_c(load, servers) * service / spare)
}

/// Share of cold requests of one function whose service takes no time: none came for the keep-alive.
pub fn cold_share(rate: f64, keep_alive: f64) -> f64 {
    (-rate * keep_alive).exp()
}

/// Idle time that an instance is kept for each such request.
pub fn idle_a_request(rate: f64, keep_alive: f64) -> f64 {
    (1.0 - cold_share(rate, keep_alive)) / rate
}

/// A fleet in the Markov model: Poisson arrivals, one request an instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fleet {
    /// Requests a second.
    pub rate: f64,
    /// Mean service times in seconds, of warm requests and of cold ones with their start.
    pub warm_s: f64,
    pub cold_s: f64,
    /// Seconds after which an idle instance goes.
    pub keep_alive_s: f64,
}

/// What the model says of a fleet in the long run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Steady {
    /// Instances that are not gone.
    pub servers: f64,
    /// Of them with a request, warm or cold.
    pub running: f64,
    pub idle: f64,
    pub cold_share: f64,
    /// Instances with a warm request, of all.
    pub utilisation: f64,
    pub response_s: f64,
}

/// States that the chain goes on for after the last one that grows more often than it shrinks, as published.
const STATES_BEYOND: u32 = 30;

/// The steady state of the chain over the number of instances: up with each request that finds all busy (Erlang B) once it
/// has been served cold, down as each instance dies after its last request, as if instances were asked in a fixed order.
///
/// An approximation: at light load its cold share lies a tenth below what is simulated.
pub fn steady(fleet: &Fleet) -> Steady {
    let load = fleet.rate * fleet.warm_s;
    // Probability of each number of instances, beginning with none; scaled to a sum of one at the end.
    let (mut weight, mut total) = (1.0, 1.0);
    let mut sums = state(fleet, 1.0);
    let (mut up, mut death, mut lost_before) = (growth(fleet, 1.0), 0.0, 1.0);
    let (mut n, mut turning) = (0u32, 0u32);
    while n - turning < STATES_BEYOND {
        n += 1;
        let lost = erlang_b(load, n);
        death += death_rate(fleet, fleet.rate * (lost_before - lost));
        let next = weight * (up / death);
        if next / total < 1e30 {
            weight = next;
        } else {
            // Almost nothing ever comes back to fewer instances: what those states add is below a float's precision.
            (weight, total, sums) = (1.0, 0.0, Steady::default());
        }
        total += weight;
        let here = state(fleet, lost);
        sums.servers += weight * f64::from(n);
        sums.running += weight * here.running;
        sums.utilisation += weight * here.utilisation;
        sums.cold_share += weight * here.cold_share;
        sums.response_s += weight * here.response_s;
        up = growth(fleet, lost);
        lost_before = lost;
        if fleet.rate * lost > death {
            turning = n;
        }
    }
    let mut mean = scaled(&sums, 1.0 / total);
    // Up to here it is the number of those that run warm.
    let warm = mean.utilisation;
    mean.idle = mean.servers - warm;
    mean.utilisation = warm / mean.servers;
    mean
}

/// While so many of the requests find all instances busy; `utilisation` stands for the number that run warm.
fn state(fleet: &Fleet, lost: f64) -> Steady {
    let warm = fleet.rate * (1.0 - lost) * fleet.warm_s;
    Steady {
        servers: 0.0,
        running: warm + fleet.rate * lost * fleet.cold_s,
        idle: 0.0,
        cold_share: lost,
        utilisation: warm,
        response_s: lost * fleet.cold_s + (1.0 - lost) * fleet.warm_s,
    }
}

/// New warm instances a second: one for each request that finds none, when it has ended.
fn growth(fleet: &Fleet, lost: f64) -> f64 {
    1.0 / (1.0 / (fleet.rate * lost) + fleet.cold_s)
}

/// Deaths a second of an instance that gets `rate` requests a second: one by one, until no request comes for the keep-alive.
fn death_rate(fleet: &Fleet, rate: f64) -> f64 {
    let last = (-rate * fleet.keep_alive_s).exp();
    if last <= 0.0 {
        return 0.0;
    }
    let window = fleet.keep_alive_s + fleet.warm_s;
    let gap = (1.0 - (-rate * window).exp()) / rate - window * (-rate * window).exp();
    1.0 / (fleet.keep_alive_s + (1.0 / last - 1.0) * gap)
}

fn scaled(sums: &Steady, by: f64) -> Steady {
    Steady {
        servers: sums.servers * by,
        running: sums.running * by,
        idle: sums.idle * by,
        cold_share: sums.cold_share * by,
        utilisation: sums.utilisation * by,
        response_s: sums.response_s * by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn digits(value: f64, published: &str) {
        let decimals = published.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        assert_eq!(format!("{value:.decimals$}"), published);
    }

    /// FACTS 6A, and textbook values.
    #[test]
    fn erlangs_formulas() {
        digits(erlang_b(2_016.0, 1_000), "0.50445");
        digits(erlang_b(10.0, 10), "0.214582");
        digits(erlang_c(2.0, 3), "0.444444");
        digits(mean_latency(0.5, 1.0, 1).expect("stable"), "2.000000");
        assert_eq!(mean_latency(2.0, 1.0, 2), None);
    }

    /// pacslab/serverless-performance-modeling, every published digit.
    #[test]
    fn the_markov_model_comes_to_what_was_published() {
        let busy = steady(&Fleet {
            rate: 100.0,
            warm_s: 2.0,
            cold_s: 25.0,
            keep_alive_s: 600.0,
        });
        digits(busy.servers, "251.043927");
        digits(busy.running, "200.148828");
        digits(busy.idle, "51.056869");
        digits(busy.cold_share, "0.000065");
        digits(busy.utilisation, "0.796622");
        digits(busy.response_s, "2.001488");
        let small = steady(&Fleet {
            rate: 0.9,
            warm_s: 1.991,
            cold_s: 2.244,
            keep_alive_s: 600.0,
        });
        digits(small.servers, "7.603073");
        digits(small.cold_share, "0.00118627");
    }
}
