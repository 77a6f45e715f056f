//! The bare server as a program of its own, for measuring floors.
//!
//! `bare_server [--listen ADDR] [--difficulty D] [--notify-every SECONDS] [--threads N]`
//!
//! Prints the address it listens on; then, for each new job, the Unix time of publishing it. A job is published
//! at the given interval and on SIGUSR1. SIGINT and SIGTERM end it with its counters.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use lab::bare_server::{BareServer, BareServerOptions};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> Result<(), Box<dyn Error>> {
    let mut listen: SocketAddr = "127.0.0.1:0".parse()?;
    let mut options = BareServerOptions::default();
    let mut notify_every = Duration::ZERO;
    let mut threads = 2;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--listen" => listen = value.parse()?,
            "--difficulty" => options.difficulty = value.parse()?,
            "--notify-every" => notify_every = Duration::from_secs_f64(value.parse()?),
            "--threads" => threads = value.parse()?,
            _ => return Err(format!("unknown option {arg}").into()),
        }
    }
    lab::load::raise_open_files(20_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        let server = BareServer::bind(listen, options)?;
        let mut out = std::io::stdout();
        writeln!(out, "listening {}", server.local_addr()?)?;
        let control = server.control();
        let mut user = signal(SignalKind::user_defined1())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let jobs = async {
            let idle = Duration::from_secs(86_400);
            let pause = if notify_every.is_zero() { idle } else { notify_every };
            loop {
                tokio::select! {
                    _ = user.recv() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                let at = control.new_job();
                if writeln!(std::io::stdout(), "job {at:.6}").is_err() {
                    return;
                }
            }
        };
        let end = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
                () = jobs => {}
            }
        };
        server.run(end).await;
        writeln!(out, "{:?}", control.stats())?;
        Ok(())
    })
}
