//! `differential --seed N --scripts N --against AMQP_URL`: random client scripts on Leveret and on another broker. A script
//! on which they differ is shortened and printed.
#![expect(clippy::print_stdout, reason = "what it finds is its output")]

use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

use leveret_tests::differential::{Address, compare, script, shrink};

struct Options {
    seed: u64,
    scripts: u64,
    against: String,
    ours: Option<String>,
}

const USAGE: &str = "usage: differential [--seed N] [--scripts N] --against amqp://USER:PASSWORD@HOST:PORT [--ours URL]
  plays scripts N, N+1, ... on an embedded Leveret (or the broker of --ours) and on the other broker";

fn options() -> Option<Options> {
    let mut options = Options { seed: 1, scripts: 100, against: String::new(), ours: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next()?;
        match argument.as_str() {
            "--seed" => options.seed = value.parse().ok()?,
            "--scripts" => options.scripts = value.parse().ok()?,
            "--against" => options.against = value,
            "--ours" => options.ours = Some(value),
            _ => return None,
        }
    }
    (!options.against.is_empty()).then_some(options)
}

fn address(url: &str) -> Option<Address> {
    let rest = url.strip_prefix("amqp://")?.split('/').next()?;
    let (login, authority) = rest.rsplit_once('@').unwrap_or(("guest:guest", rest));
    let (user, password) = login.split_once(':')?;
    let socket: SocketAddr = authority.to_socket_addrs().ok()?.next()?;
    Some(Address { socket, user: user.into(), password: password.into() })
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let ours = match &options.ours {
        Some(url) => address(url),
        None => {
            let target = leveret_tests::target();
            let (user, password) = (target.user().into(), target.password().into());
            Some(Address { socket: target.address(), user, password })
        }
    };
    let (Some(ours), Some(theirs)) = (ours, address(&options.against)) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    match play(&options, &ours, &theirs) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            println!("a broker cannot be reached: {error}");
            ExitCode::from(2)
        }
    }
}

/// The number of scripts on which the brokers differ.
fn play(options: &Options, ours: &Address, theirs: &Address) -> std::io::Result<u64> {
    let mut different = 0;
    let run = std::process::id();
    for seed in options.seed..options.seed + options.scripts {
        let steps = script(seed);
        let name = format!("d{run}-{seed}");
        let Some(difference) = compare(&steps, ours, theirs, &name)? else { continue };
        different += 1;
        let (steps, difference) = shrink(steps, difference, ours, theirs, &name)?;
        println!("seed {seed}: they differ in step {}", difference.step);
        for (number, (place, step)) in steps.iter().enumerate() {
            println!("  {number:2} {place}: {step:?}");
        }
        println!("  ours:\n{}  theirs:\n{}", difference.ours, difference.theirs);
    }
    println!("{} scripts, {different} with a difference", options.scripts);
    Ok(different)
}
