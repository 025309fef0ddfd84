//! The part of the load generator, which is a program of its own: one JSON line tells what it did.

use std::time::Duration;

use tokio::process::Command;

use crate::{Anything, BODY, Cost, Costs, Plan, WINDOW};

/// Publishing, then consuming; none without the program.
pub(crate) async fn run(plan: &Plan) -> Anything<Option<Costs>> {
    let Some(program) = &plan.load else { return Ok(None) };
    let (size, count, window) = (BODY.len().to_string(), plan.messages.to_string(), WINDOW.to_string());
    let address = plan.url.rsplit('@').next().unwrap_or_default().split('/').next().unwrap_or_default();
    let common = ["--addr", address, "--size", &size, "--count", &count];
    let publish = ["--consumers", "0", "--confirm", &window, "--keep"];
    let consume = ["--producers", "0", "--no-declare", "--prefetch", &window, "--ack", "50"];
    let mut costs = [Cost { wall: Duration::ZERO, cpu: Duration::ZERO }; 2];
    for (cost, (part, rate)) in
        costs.iter_mut().zip([(&publish[..], "total_pub_rate"), (&consume[..], "total_con_rate")])
    {
        let output = Command::new(program).args(common).args(part).output().await?;
        let line = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            return Err(format!("amqpload: {line}").into());
        }
        let wall = plan.messages as f64 / number(&line, rate)?;
        *cost =
            Cost { wall: Duration::from_secs_f64(wall), cpu: Duration::from_secs_f64(number(&line, "load_cpu_s")?) };
    }
    Ok(Some(costs))
}

fn number(line: &str, key: &str) -> Anything<f64> {
    let value = line.split(&format!("\"{key}\":")).nth(1).ok_or(format!("amqpload says nothing of {key}"))?;
    let end = value.find([',', '}']).unwrap_or(value.len());
    Ok(value[..end].parse()?)
}
