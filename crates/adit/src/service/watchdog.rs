//! Signs of life for the service manager's watchdog, given only while the program is alive in all its parts.
//!
//! Twice in each interval every part is asked, and at the next turn it is looked who has answered: each thread that serves
//! miners, what drives their sockets and timers, and the router's thread, through its queue. Only if all have is the service
//! manager told. A thread that only has much to do answers in between; one that hangs does not.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::{error, info};

use super::Manager;
use crate::upstream::RouterMessage;

/// Asks all parts, in a thread of its own.
#[derive(Debug)]
pub(crate) struct Watchdog {
    miners: Handle,
    router: mpsc::Sender<RouterMessage>,
}

/// A part that was asked.
struct Asked {
    part: &'static str,
    answer: Receiver<()>,
}

/// What a thread had done when it was looked at: how often it has gone to sleep and woken, and how long it has worked.
type Done = (u64, Duration);

impl Watchdog {
    /// For the runtime that serves miners and the router.
    pub(crate) fn new(miners: Handle, router: mpsc::Sender<RouterMessage>) -> Self {
        Self { miners, router }
    }

    /// Begins, if the service manager wants signs of life.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn begin(self, manager: Manager) -> std::io::Result<()> {
        let mut interval = 0;
        if !sd_notify::watchdog_enabled(false, &mut interval) || interval == 0 {
            return Ok(());
        }
        let every = Duration::from_micros(interval) / 2;
        info!(?every, "the service manager's watchdog is told while all threads answer");
        std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || self.run(manager, every))?;
        Ok(())
    }

    fn run(&self, manager: Manager, every: Duration) {
        loop {
            let (asked, before) = (self.ask(), self.done());
            std::thread::sleep(every);
            let silent = self.silent(asked, &before);
            if silent.is_empty() {
                manager.alive();
            } else {
                error!(
                    silent = silent.join(", "),
                    "a part of Adit does not answer: the service manager will end it if it stays so"
                );
            }
        }
    }

    fn ask(&self) -> [Asked; 2] {
        let (miners, miners_answer) = sync_channel(1);
        self.miners.spawn(async move {
            // Timers have to work, too.
            tokio::time::sleep(Duration::from_millis(1)).await;
            answer(&miners);
        });
        let (router, router_answer) = sync_channel(1);
        // With a full queue there is no answer, which is right if it stays full.
        let _ = self.router.try_send(RouterMessage::Answer(router));
        [
            Asked { part: "the runtime that serves miners", answer: miners_answer },
            Asked { part: "the router", answer: router_answer },
        ]
    }

    fn done(&self) -> Vec<Done> {
        let metrics = self.miners.metrics();
        let workers = 0..metrics.num_workers();
        workers
            .map(|n| (metrics.worker_park_unpark_count(n), metrics.worker_total_busy_duration(n)))
            .collect()
    }

    /// Who has not answered since.
    fn silent(&self, asked: [Asked; 2], before: &[Done]) -> Vec<String> {
        let mut silent: Vec<String> = Vec::new();
        let parts = asked.into_iter().filter(|asked| asked.answer.try_recv().is_err());
        silent.extend(parts.map(|asked| asked.part.to_owned()));
        for (at, (done, before)) in self.done().iter().zip(before).enumerate() {
            // An odd number: it sleeps, because there is nothing to do.
            if done == before && done.0 % 2 == 0 {
                silent.push(format!("thread {at} of those that serve miners"));
            }
        }
        silent
    }
}

/// Nobody waits any more if it cannot be had.
pub(crate) fn answer(to: &SyncSender<()>) {
    let _ = to.try_send(());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two threads for miners, and what stands for the router.
    fn parts() -> (tokio::runtime::Runtime, mpsc::Receiver<RouterMessage>, Watchdog) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (sender, receiver) = mpsc::channel(8);
        let watchdog = Watchdog::new(runtime.handle().clone(), sender);
        (runtime, receiver, watchdog)
    }

    /// One turn, in which the router answers or does not; patient with a busy machine if all should answer.
    fn turn(watchdog: &Watchdog, router: Option<&mut mpsc::Receiver<RouterMessage>>) -> Vec<String> {
        let (asked, before) = (watchdog.ask(), watchdog.done());
        if let Some(router) = router {
            while let Ok(RouterMessage::Answer(to)) = router.try_recv() {
                answer(&to);
            }
        }
        std::thread::sleep(Duration::from_millis(100));
        watchdog.silent(asked, &before)
    }

    fn wait_for_life(watchdog: &Watchdog, router: &mut mpsc::Receiver<RouterMessage>) {
        for _ in 0..600 {
            if turn(watchdog, Some(router)).is_empty() {
                return;
            }
        }
        panic!("nothing hangs, and still: {:?}", turn(watchdog, Some(router)));
    }

    #[test]
    fn it_is_alive_when_there_is_nothing_to_do_and_when_there_is_much() {
        let (runtime, mut router, watchdog) = parts();
        wait_for_life(&watchdog, &mut router);
        let busy: Vec<_> = (0..4)
            .map(|_| {
                runtime.spawn(async {
                    loop {
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        wait_for_life(&watchdog, &mut router);
        busy.iter().for_each(tokio::task::JoinHandle::abort);
        runtime.shutdown_background();
    }

    #[test]
    fn a_router_that_hangs_is_found_out() {
        let (runtime, _router, watchdog) = parts();
        let silent = turn(&watchdog, None);
        assert!(silent.contains(&"the router".to_owned()), "{silent:?}");
        runtime.shutdown_background();
    }

    #[test]
    fn one_thread_of_several_that_hangs_is_found_out() {
        let (runtime, mut router, watchdog) = parts();
        wait_for_life(&watchdog, &mut router);
        let (release, hung) = std::sync::mpsc::channel::<()>();
        let (begun, began) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            begun.send(()).expect("the test waits");
            // As a thread hangs: without giving the runtime its turn.
            let _ = hung.recv();
        });
        began.recv().expect("it runs");
        let mut silent = Vec::new();
        let is_found =
            |silent: &[String]| silent.iter().any(|part| part.contains("of those that serve miners"));
        for _ in 0..600 {
            silent = turn(&watchdog, Some(&mut router));
            // On a busy machine others may be late, too.
            if is_found(&silent) {
                break;
            }
        }
        assert!(is_found(&silent), "{silent:?}");
        release.send(()).expect("it waits");
        wait_for_life(&watchdog, &mut router);
        runtime.shutdown_background();
    }
}
